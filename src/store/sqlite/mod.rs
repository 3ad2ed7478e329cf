//! The store in one `SQLite` file, `panta.db` in the data folder; readable with the `sqlite3` shell.
//!
//! One connection writes; a commit is one transaction in the write-ahead log, synced before it returns. The log is filled
//! to its size once and overwritten from then on. Reads have connections of their own and see the last commit. The data
//! folder is locked as long as the store is open.
//!
//! After a commit whose outcome is unknown the store writes nothing more: what this process believes and what a restart
//! would find may differ. It is to be opened again.

mod audit;
mod backup;
mod batch;
mod compact;
mod control;
mod error;
mod newborn;
mod packed;
mod part;
mod prune;
mod read;
mod row;
mod schema;
mod slots;
mod tail;
mod tasks;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode};

use super::lock::{Holder, Lock};
use super::{
    Applied, AuditFilter, Change, Compaction, Due, Error, Event, EventFilter, Part, Place, Result, Run, RunFilter,
    Size, Slot, Status, Store, TaskFilter, Way,
};
use crate::audit::{Head, Record};
use crate::id::{RunId, TaskId, Version};
use crate::payload::Payload;
use crate::task::Task;
use crate::time::Timestamp;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the write-ahead log. Half of it is written between two checkpoints: larger means fewer of them, and a
    /// slower first start. Nothing was gained beyond 4 MB; twice that leaves room for a long read.
    pub wal_bytes: u64,
    /// Connections that are kept for reading; more are opened when needed, and closed after.
    pub readers: usize,
    /// Where this process listens, for those who find the folder locked.
    pub listen: Option<String>,
    /// Process id of the one that stands for this process, where that is another: for those who find the folder locked, too.
    pub parent: Option<u32>,
    /// The largest size of the file, in pages of 4096 bytes.
    pub max_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { wal_bytes: 8 << 20, readers: 8, listen: None, parent: None, max_pages: None }
    }
}

pub use backup::{Restored, restore};

/// The store in a data folder.
#[derive(Debug)]
pub struct Sqlite {
    folder: PathBuf,
    readers: usize,
    writer: Mutex<Writer>,
    tail: Arc<tail::Tail>,
    ways: part::Ways,
    idle: Mutex<Vec<Connection>>,
    // Dropped last: the folder is held until the connections are closed.
    lock: Lock,
}

#[derive(Debug)]
struct Writer {
    conn: Connection,
    /// `None` after a transaction failed.
    known: Option<batch::Known>,
    tail: Arc<tail::Tail>,
    head_file: audit::HeadFile,
    /// A commit had an unknown outcome.
    lost: bool,
}

impl Sqlite {
    /// Takes the data folder (made where it is missing) and opens the store in it.
    pub fn open(folder: &Path, options: &Options) -> Result<Self> {
        make(folder).map_err(|error| Error::Failed(format!("`{}`: {error}", folder.display())))?;
        let holder = Holder::this_process(options.listen.clone());
        let lock = Lock::acquire(folder, &Holder { pid: options.parent.unwrap_or(holder.pid), ..holder })?;
        let conn = schema::open_writer(folder, options.wal_bytes)?;
        if let Some(pages) = options.max_pages {
            conn.pragma_update(None, "max_page_count", pages)?;
        }
        let tail = Arc::new(tail::Tail::find(&conn)?);
        let head_file = audit::HeadFile::in_folder(folder);
        let writer = Mutex::new(Writer { conn, known: None, tail: tail.clone(), head_file, lost: false });
        let (ways, idle) = (part::Ways::default(), Mutex::default());
        Ok(Self { folder: folder.to_owned(), readers: options.readers, writer, tail, ways, idle, lock })
    }

    /// Says where this process listens, once that is known.
    pub fn announce(&self, listen: &str) -> Result<()> {
        self.lock.announce(&Holder::this_process(Some(listen.to_owned())))
    }

    /// Reads in one transaction, on a connection of the pool.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let idle = lock(&self.idle).pop();
        let conn = idle.map_or_else(|| schema::open_reader(&self.folder), Ok)?;
        let found = read(&conn)?;
        let mut idle = lock(&self.idle);
        if idle.len() < self.readers {
            idle.push(conn);
        }
        Ok(found)
    }
}

impl Drop for Sqlite {
    /// Moves the log into the file, so that a copy of the file alone is whole. The log stays, at its size.
    fn drop(&mut self) {
        lock(&self.idle).clear();
        let writer = lock(&self.writer);
        if !writer.lost
            && let Err(error) = writer.conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")
        {
            tracing::debug!(%error, "the log was not moved into the store");
        }
    }
}

impl Writer {
    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>> {
        if self.lost {
            return Err(Error::Failed(
                "the outcome of an earlier commit is unknown; hint: open the store again".into(),
            ));
        }
        let (applied, moved) = match self.apply(changes) {
            Ok(done) => done,
            Err(error) => return Err(self.give_up(error, false)),
        };
        match self.conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            Ok(_) => {
                self.tail.follow(moved);
                if let Some(head) = self.known.as_mut().and_then(batch::Known::moved_head) {
                    self.head_file.write(head);
                }
                Ok(applied)
            }
            Err(error) => Err(self.give_up(error, true)),
        }
    }

    fn apply(&mut self, changes: &[Change]) -> rusqlite::Result<(Vec<Applied>, tail::Moved)> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        // Taken, so that a panic on the way leaves nothing known that is not written.
        let mut known = self.known.take().map_or_else(|| batch::Known::new(&self.conn), Ok)?;
        let mut batch = batch::Batch::new(&self.conn, &mut known, &self.tail, &self.head_file);
        let applied = changes.iter().map(|change| batch.apply(change)).collect::<rusqlite::Result<_>>()?;
        let moved = batch.finish_batch()?;
        self.known = Some(known);
        Ok((applied, moved))
    }

    /// Takes the transaction back. Where that is not certain to have left nothing, the store is lost to this process.
    fn give_up(&mut self, error: rusqlite::Error, committing: bool) -> Error {
        self.known = None;
        let back = self.conn.is_autocommit() || self.conn.execute_batch("ROLLBACK").is_ok();
        let nothing_written = matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
        self.lost = !back || committing && !nothing_written;
        error.into()
    }
}

impl Store for Sqlite {
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        lock(&self.writer).commit(changes)
    }

    fn run(&self, id: RunId) -> Result<Option<Run>> {
        self.read(|conn| read::run(conn, id))
    }

    fn newest(&self, id: RunId) -> Result<Option<Run>> {
        self.read(|conn| {
            // The first look is enough for all but those of a chain that went on.
            let run = read::run(conn, id)?;
            if run.as_ref().is_none_or(|run| run.continued_as.is_none()) {
                return Ok(run);
            }
            let transaction = conn.unchecked_transaction()?;
            let newest = read::newest(&transaction, id)?;
            newest.map_or(Ok(None), |newest| read::run(&transaction, newest))
        })
    }

    fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        self.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            read::runs(&transaction, filter)
        })
    }

    fn counts(&self) -> Result<Vec<(Arc<str>, Status, u64)>> {
        self.read(read::counts)
    }

    fn journal(&self, id: RunId) -> Result<Vec<Vec<u8>>> {
        Ok(self.journal_after(id, 0)?.0)
    }

    fn journal_after(&self, id: RunId, mark: u64) -> Result<(Vec<Vec<u8>>, u64)> {
        // Before the read begins: what is known then is committed, and will be seen.
        let end = self.tail.end(id);
        self.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            read::journal(&transaction, id, end, mark)
        })
    }

    fn journal_part(&self, id: RunId, mark: u64, most: usize) -> Result<Part> {
        let end = self.tail.end(id);
        self.read(|conn| part::part(&*conn.unchecked_transaction()?, &self.ways, id, end, mark, most))
    }

    fn journal_way(&self, id: RunId) -> Result<Arc<Way>> {
        let end = self.tail.end(id);
        self.read(|conn| part::way(&*conn.unchecked_transaction()?, &self.ways, id, end))
    }

    fn compaction(&self, before: Timestamp, from: Place) -> Result<Option<Compaction>> {
        self.read(|conn| compact::look(&*conn.unchecked_transaction()?, before, from))
    }

    fn ready(&self, node: &str, limit: usize) -> Result<Vec<RunId>> {
        self.read(|conn| read::ready(conn, node, limit))
    }

    fn due(&self, after: Option<Due>, until: Timestamp, limit: usize) -> Result<Vec<Due>> {
        self.read(|conn| read::due(conn, after, until, limit))
    }

    fn workflows_of(&self, runs: &[RunId]) -> Result<Vec<(RunId, Arc<str>)>> {
        self.read(|conn| read::workflows_of(&*conn.unchecked_transaction()?, runs))
    }

    fn overdue(&self, until: Timestamp, limit: usize) -> Result<Vec<(Timestamp, RunId)>> {
        self.read(|conn| read::overdue(conn, until, limit))
    }

    fn next_event(&self, filter: &EventFilter) -> Result<Option<Event>> {
        self.read(|conn| {
            let transaction = conn.unchecked_transaction()?;
            read::next_event(&transaction, filter)
        })
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>> {
        self.read(|conn| read::events(conn, after, limit))
    }

    fn task(&self, id: TaskId) -> Result<Option<Task>> {
        self.read(|conn| tasks::one(conn, id))
    }

    fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>> {
        self.read(|conn| tasks::list(conn, filter))
    }

    fn open_tasks(&self) -> Result<u64> {
        self.read(tasks::count_open)
    }

    fn state(&self, scope: &str, key: &str) -> Result<Option<Payload>> {
        self.read(|conn| read::state(conn, scope, key))
    }

    fn states(&self, scope: &str, prefix: &str) -> Result<Vec<(Arc<str>, Payload)>> {
        self.read(|conn| read::states(conn, scope, prefix))
    }

    fn slots(&self, name: &str) -> Result<Vec<Slot>> {
        self.read(|conn| slots::of_name(conn, name))
    }

    fn slots_of(&self, run: RunId) -> Result<Vec<Slot>> {
        self.read(|conn| slots::of_run(conn, run))
    }

    fn acts(&self, after: u64, limit: usize) -> Result<Vec<Record>> {
        self.read(|conn| audit::after(conn, after, limit))
    }

    fn audit(&self, filter: &AuditFilter) -> Result<Vec<Record>> {
        self.read(|conn| audit::list(conn, filter))
    }

    fn audit_head(&self) -> Result<Option<Head>> {
        Ok(audit::HeadFile::in_folder(&self.folder).read())
    }

    fn bundle(&self, version: &Version) -> Result<Option<Vec<u8>>> {
        self.read(|conn| read::bundle(conn, version))
    }

    fn backup(&self, target: &Path) -> Result<()> {
        backup::copy(&self.folder, target)
    }

    fn size(&self) -> Result<Size> {
        let bytes = |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |found| found.len());
        let log = bytes(&format!("{}-wal", schema::FILE));
        self.read(|conn| {
            let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
            let page = number("PRAGMA page_size")?;
            let (pages, free) = (number("PRAGMA page_count")?, number("PRAGMA freelist_count")?);
            Ok(Size { database: pages * page, free: free * page, log })
        })
    }

    fn check(&self) -> Result<Option<String>> {
        let found = self.read(|conn| conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)))?;
        Ok((found != "ok").then_some(found))
    }
}

/// A panic elsewhere leaves nothing half done: a transaction that was cut short makes the next `BEGIN` fail, which takes
/// it back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the data folder, for its owner alone.
fn make(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// How files are made that only their owner may read.
fn owned() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
