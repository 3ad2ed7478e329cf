//! A copy of the store while it is written to, and the way back.
//!
//! A backup is one `SQLite` file: the database as of one commit, and the encrypted `secrets` beside it as a table. The keys of
//! secrets and of signed addresses are not in it: who has the backup alone can open neither.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::schema::{self, FILE};
use super::{audit, make, owned};
use crate::audit::Head;
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

/// Puts a backup in place of what a data folder has. What is there is kept beside under names that end in `stamp`. Refused while
/// another process holds the folder, and where the file is damaged, of a later release, or no backup; then nothing has changed.
/// Durable when it returns; a crash on the way leaves the store that was there, or the backup's, each whole.
pub fn restore(folder: &Path, backup: &Path, stamp: &str) -> Result<Restored> {
    make(folder).map_err(|error| failed(folder, &error))?;
    let _lock = Lock::acquire(folder, &Holder::this_process(None))?;
    check_whole(backup)?;
    let fresh = folder.join(format!("{FILE}.restoring"));
    let unpacked = unpack(backup, &fresh).inspect_err(|_| drop(std::fs::remove_file(&fresh)))?;
    let before = keep(folder, FILE, stamp)?;
    for (name, bytes) in &unpacked.beside {
        keep(folder, name, stamp)?;
        write(&folder.join(name), bytes)?;
    }
    let target = folder.join(FILE);
    std::fs::rename(&fresh, &target).map_err(|error| failed(&target, &error))?;
    sync(folder)?;
    audit::put_head(folder, unpacked.head);
    Ok(Restored { before, runs: unpacked.runs, open: unpacked.open })
}

/// What a backup has, with the database beside its place.
struct Unpacked {
    runs: u64,
    open: u64,
    /// Names and contents of files of the data folder.
    beside: Vec<(String, Vec<u8>)>,
    head: Head,
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
    if !schema::is_ours(&conn)? {
        let shown = path.display();
        return Err(Error::Failed(format!(
            "`{shown}` is the database of another program, and no backup; hint: `panta backup FILE` makes one"
        )));
    }
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(Error::Damaged(format!("`{}`: {found}", path.display())))
}

/// Copies the database beside its place, and takes out of it what the backup took along.
fn unpack(backup: &Path, fresh: &Path) -> Result<Unpacked> {
    let mut out = owned().create(true).truncate(true).open(fresh).map_err(|error| failed(fresh, &error))?;
    let mut from = File::open(backup).map_err(|error| failed(backup, &error))?;
    std::io::copy(&mut from, &mut out).map_err(|error| failed(fresh, &error))?;
    drop(out);
    let conn = Connection::open_with_flags(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let beside = taken_along(&conn)?;
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let runs = count("SELECT count(*) FROM run")?;
    let open = count("SELECT count(*) FROM run WHERE ended_at IS NULL")?;
    let head = audit::head_of(&conn)?;
    conn.close().map_err(|(_, error)| error)?;
    sync(fresh)?;
    Ok(Unpacked { runs, open, beside, head })
}

/// The files in a backup, which is a plain store from then on. None in the copy of a store that somebody made by hand.
fn taken_along(conn: &Connection) -> Result<Vec<(String, Vec<u8>)>> {
    let found = conn.query_row("SELECT 1 FROM sqlite_schema WHERE name = 'beside'", [], |_| Ok(()));
    if found.optional()?.is_none() {
        return Ok(Vec::new());
    }
    let mut files = conn.prepare("SELECT name, bytes FROM beside")?;
    let files = files.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let files: Vec<_> = files.collect::<rusqlite::Result<_>>()?;
    conn.execute_batch("DROP TABLE beside")?;
    Ok(files.into_iter().filter(|(name, _)| BESIDE.contains(&name.as_str())).collect())
}

/// Gives a file of the data folder another name beside its own, until something takes its place. `None`: there is none.
fn keep(folder: &Path, name: &str, stamp: &str) -> Result<Option<PathBuf>> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let kept = folder.join(format!("{name}.before-{stamp}"));
    if name == FILE {
        // Closing it moves its log into it. One that is too damaged for that keeps its log beside, as far as it goes.
        let settled = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .and_then(|conn| conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        if let Err(error) = settled {
            tracing::warn!("the log of `{}` stays beside it: {error}", path.display());
        }
        // Beside another database the log would be wrong.
        for end in ["-wal", "-shm"] {
            let (from, to) = (folder.join(format!("{FILE}{end}")), folder.join(format!("{FILE}.before-{stamp}{end}")));
            if from.exists() {
                std::fs::rename(&from, &to).map_err(|error| failed(&from, &error))?;
            }
        }
    }
    // Some file systems have no second names.
    std::fs::hard_link(&path, &kept)
        .or_else(|_| std::fs::copy(&path, &kept).map(drop))
        .map_err(|error| failed(&kept, &error))?;
    Ok(Some(kept))
}

/// In place of what has that name: another name of the same file keeps what it was.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error).map(drop)
    };
    written().map_err(|error| failed(path, &error))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("`{}`: {error}", path.display()))
}
