//! A copy of the store while it is written to, and the way back.
//!
//! A backup is one `SQLite` file: the database as of one commit, and the encrypted `secrets` beside it as a table. The keys of
//! secrets and of signed addresses are not in it: who has the backup alone can open neither.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::schema::{self, FILE};
use super::{audit, make, owned};
use crate::store::lock::{Holder, Lock};
use crate::store::{Error, Result};

/// Files of the data folder that a backup takes along, where they are there.
const BESIDE: [&str; 1] = ["secrets"];

/// Copies all, as of the last commit, to a new file, for its owner alone.
pub(super) fn copy(folder: &Path, target: &Path) -> Result<()> {
    owned().create_new(true).open(target).map_err(|error| failed(target, &error))?;
    // One read transaction: a copy page by page would begin again at each commit.
    let conn = schema::open_reader(folder)?;
    conn.execute_batch("PRAGMA query_only = OFF")?;
    conn.execute("VACUUM INTO ?1", [&*target.to_string_lossy()])?;
    let copy =
        Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    copy.execute_batch(
        "PRAGMA journal_mode = DELETE; CREATE TABLE beside (name TEXT PRIMARY KEY, bytes BLOB NOT NULL)",
    )?;
    for name in BESIDE {
        if let Ok(bytes) = std::fs::read(folder.join(name)) {
            copy.execute("INSERT INTO beside (name, bytes) VALUES (?1, ?2)", params![name, bytes])?;
        }
    }
    copy.close().map_err(|(_, error)| error)?;
    sync(target)
}

/// What was put in place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Where the store lies now that was there before, if any was.
    pub before: Option<PathBuf>,
    /// Runs in the restored store.
    pub runs: u64,
    /// Open runs among them: they go on from where the backup has them.
    pub open: u64,
}

/// Puts a backup in place of what a data folder has. A store that is there is kept beside under a name that ends in `stamp`.
/// Refused while another process holds the folder, and where the file is damaged, of a later release, or no backup.
pub fn restore(folder: &Path, backup: &Path, stamp: &str) -> Result<Restored> {
    make(folder).map_err(|error| failed(folder, &error))?;
    let _lock = Lock::acquire(folder, &Holder::this_process(None))?;
    check_whole(backup)?;
    let fresh = folder.join(format!("{FILE}.restoring"));
    let copied = unpack(folder, backup, &fresh);
    if copied.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    let (runs, open) = copied?;
    let before = set_aside(folder, stamp)?;
    let target = folder.join(FILE);
    std::fs::rename(&fresh, &target).map_err(|error| failed(&target, &error))?;
    sync(folder)?;
    Ok(Restored { before, runs, open })
}

/// The file is a store of ours, of a release that is known, and not damaged.
fn check_whole(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Err(Error::Failed(format!(
            "there is no file `{}`; hint: `panta backup FILE` makes one",
            path.display()
        )));
    }
    schema::check_file(path)?;
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(Error::Damaged(format!("`{}`: {found}", path.display())))
}

/// Copies the database beside its place, and what the backup took along to where it belongs. Answers how many runs there are,
/// and how many are open.
fn unpack(folder: &Path, backup: &Path, fresh: &Path) -> Result<(u64, u64)> {
    let mut out = owned().create(true).truncate(true).open(fresh).map_err(|error| failed(fresh, &error))?;
    let mut from = File::open(backup).map_err(|error| failed(backup, &error))?;
    std::io::copy(&mut from, &mut out).map_err(|error| failed(fresh, &error))?;
    drop(out);
    let conn = Connection::open_with_flags(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let is_backup =
        conn.query_row("SELECT 1 FROM sqlite_schema WHERE name = 'beside'", [], |_| Ok(())).optional()?.is_some();
    if is_backup {
        let mut files = conn.prepare("SELECT name, bytes FROM beside")?;
        let files = files.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        for file in files {
            let (name, bytes) = file?;
            if BESIDE.contains(&name.as_str()) {
                write(&folder.join(name), &bytes)?;
            }
        }
        conn.execute_batch("DROP TABLE beside")?;
    }
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let all = count("SELECT count(*) FROM run")?;
    let open = count("SELECT count(*) FROM run WHERE ended_at IS NULL")?;
    audit::restore_head(&conn, folder)?;
    conn.close().map_err(|(_, error)| error)?;
    sync(fresh)?;
    Ok((all, open))
}

/// The store that is there, with its log, under another name.
fn set_aside(folder: &Path, stamp: &str) -> Result<Option<PathBuf>> {
    let before = folder.join(format!("{FILE}.before-{stamp}"));
    let mut moved = None;
    // The log first: without it the old file is behind, with the new file it would be wrong.
    for end in ["-wal", "-shm", ""] {
        let (from, to) = (folder.join(format!("{FILE}{end}")), folder.join(format!("{FILE}.before-{stamp}{end}")));
        match std::fs::rename(&from, &to) {
            Ok(()) => moved = Some(before.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&from, &error)),
        }
    }
    Ok(moved)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = || {
        let mut file = owned().create(true).truncate(true).open(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    };
    written().map_err(|error| failed(path, &error))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("`{}`: {error}", path.display()))
}
