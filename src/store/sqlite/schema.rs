//! The tables, and how a file is opened, created, checked and brought up to date.
//!
//! A run's row is split: what changes while it runs (`run`), what it was accepted with (`run_data`), what came of it
//! (`outcome`; of a run that ended before its row was written, `run_data`), so that the row that is written often stays small. Segments are appended in the order of the log.
//! Every migration is one entry of [`STEPS`]; the file's `user_version` counts those that it has.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::super::{Error, Result};

/// `Pnta`: marks a file as a store of ours.
const APPLICATION_ID: i64 = 0x506e_7461;

/// From each version to the next. What was released never changes; only new entries are added.
const STEPS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
    include_str!("v8.sql"),
];

/// The newest version that this release reads.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Bytes of a page and of its header in the write-ahead log.
const FRAME: u64 = PAGE + 24;
const PAGE: u64 = 4096;

/// The name of the file in the data folder.
pub(super) const FILE: &str = "panta.db";

/// Opens the file for writing, and creates or migrates it.
pub(super) fn open_writer(folder: &Path, wal_bytes: u64) -> Result<Connection> {
    let path = folder.join(FILE);
    let fresh = is_fresh(&path)?;
    let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    shared_settings(&conn)?;
    if fresh {
        conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    let version = version(&conn)?;
    configure(&conn, wal_bytes)?;
    migrate(&conn, version)?;
    if fresh {
        // The file's name is durable only with its folder.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, &error))?;
    }
    fill_wal(&conn, &folder.join(format!("{FILE}-wal")), wal_bytes)?;
    Ok(conn)
}

/// Opens the file for reading.
pub(super) fn open_reader(folder: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(folder.join(FILE), flags)?;
    shared_settings(&conn)?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1000;")?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

fn shared_settings(conn: &Connection) -> Result<()> {
    // The log is kept at its size over a restart; and a file that must not be touched is not.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // A statement is planned once; otherwise many are planned again whenever other values are bound to them.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn.busy_timeout(Duration::from_secs(5))?)
}

/// Refuses a file that is not a store of ours, or is of a later release.
pub(super) fn check_file(path: &Path) -> Result<()> {
    if is_fresh(path)? { Err(Error::Damaged(format!("`{}` is empty", path.display()))) } else { Ok(()) }
}

/// Looks at the bytes alone before the database is opened, so that a file that is not ours stays as it is.
/// True where there is nothing yet.
fn is_fresh(path: &Path) -> Result<bool> {
    let mut header = Vec::new();
    let file = super::owned().create(true).truncate(false).open(path).map_err(|error| failed(path, &error))?;
    file.take(100).read_to_end(&mut header).map_err(|error| failed(path, &error))?;
    if header.is_empty() {
        return Ok(true);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(Error::Damaged(format!("`{}` is not a SQLite file", path.display())));
    }
    let number = |at: usize| i64::from(u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes")));
    check(number(68), number(60))?;
    Ok(false)
}

/// The version, as the database with its log has it.
fn version(conn: &Connection) -> Result<i64> {
    let number = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    check(application, version)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && tables > 0 {
        return Err(Error::Damaged("`panta.db` is the database of another program".into()));
    }
    Ok(version)
}

fn check(application: i64, version: i64) -> Result<()> {
    if application != 0 && application != APPLICATION_ID {
        return Err(Error::Damaged("`panta.db` is the database of another program".into()));
    }
    if application == APPLICATION_ID && version > VERSION {
        return Err(Error::Newer { found: version, known: VERSION });
    }
    Ok(())
}

/// Whether a database was written by a store of ours.
pub(super) fn is_ours(conn: &Connection) -> Result<bool> {
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'run'", [], |row| row.get(0))?;
    Ok(application == APPLICATION_ID && tables == 1)
}

fn configure(conn: &Connection, wal_bytes: u64) -> Result<()> {
    // A checkpoint at half the log's size is done before the other half is full, so the log starts over within its
    // size; where a long read held it back and it grew, it is cut to twice the size when it starts over.
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
         PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = {}; PRAGMA journal_size_limit = {};",
        (wal_bytes / FRAME / 2).max(1),
        wal_bytes * 2,
    ))?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(conn: &Connection, from: i64) -> Result<()> {
    if from == VERSION {
        return Ok(());
    }
    let transaction = conn.unchecked_transaction()?;
    for step in &STEPS[from as usize..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

/// Lets the log grow to its size once: commits that overwrite it later need no new blocks of the file system, and take a
/// fraction of the time.
fn fill_wal(conn: &Connection, wal: &Path, bytes: u64) -> Result<()> {
    if std::fs::metadata(wal).is_ok_and(|wal| wal.len() >= bytes) {
        return Ok(());
    }
    let pages = conn.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get::<_, i64>(0))?;
    // Each round writes the first page as it is; nothing of it needs to be durable before the checkpoint.
    conn.execute_batch("PRAGMA wal_checkpoint(RESTART); PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF;")?;
    for _ in 0..bytes.div_ceil(FRAME) {
        conn.pragma_update(None, "user_version", VERSION)?;
    }
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(RESTART);")?;
    conn.pragma_update(None, "wal_autocheckpoint", pages)?;
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("`{}`: {error}", path.display()))
}
