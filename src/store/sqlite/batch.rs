//! One batch while it is applied: what the writer knows of the rows, and what is gathered and written once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, params};

use super::super::{Run, Status};
use super::audit::HeadFile;
use super::prune::Place;
use super::row::status_code;
use super::tail::{self, Moved, Tail, UNNOTED};
use crate::audit::Head;
use crate::id::{RunId, Version};

/// Runs that are remembered, at most: 5 MB.
const REMEMBERED: usize = 50_000;

/// What the writer remembers of the tables, which nobody else writes. Dropped when a transaction fails: it may hold what
/// was never written.
#[derive(Debug)]
pub(super) struct Known {
    workflows: HashMap<Arc<str>, i64>,
    versions: HashMap<Version, i64>,
    runs: HashMap<RunId, Hot>,
    /// The newest segment, and the newest that the rows have.
    newest: i64,
    noted: i64,
    /// The end of the audit log, once a record was added; and whether that is to be written beside the rows.
    head: Option<Head>,
    head_moved: bool,
    /// The largest id of a run: ids grow with time, so one that is larger is new.
    last_run: Cell<Option<RunId>>,
    /// Whether something is held; `None`: to be looked up.
    pub(super) holds: Cell<Option<bool>>,
    /// A run may wait for the end of another.
    pub(super) end_waits: Cell<bool>,
    /// How far runs that have expired were looked at, where many of them had to stay. `None`: from the first.
    pub(super) looked: Option<Place>,
}

impl Known {
    pub(super) fn new(conn: &Connection) -> Result<Self> {
        let (newest, noted) = tail::newest(conn)?;
        let (workflows, versions, runs) = (HashMap::new(), HashMap::new(), HashMap::new());
        let last_run = conn.query_row("SELECT max(id) FROM run", [], |row| row.get(0))?;
        let end_waits = conn.prepare("SELECT 1 FROM subscription WHERE name = '' LIMIT 1")?.exists([])?;
        let (holds, end_waits, last_run) = (Cell::new(None), Cell::new(end_waits), Cell::new(last_run));
        let (head, head_moved, looked) = (None, false, None);
        Ok(Self { workflows, versions, runs, newest, noted, head, head_moved, last_run, holds, end_waits, looked })
    }

    /// The end of the audit log, where it is another one since this was asked last.
    pub(super) fn moved_head(&mut self) -> Option<Head> {
        std::mem::take(&mut self.head_moved).then_some(self.head).flatten()
    }
}

/// Applies changes; counts are gathered and written once a batch.
pub(super) struct Batch<'a> {
    pub(super) conn: &'a Connection,
    pub(super) known: &'a mut Known,
    tail: &'a Tail,
    pub(super) head_file: &'a HeadFile,
    moved: Moved,
    /// Workflow, version and status.
    counted: BTreeMap<(i64, i64, i64), i64>,
    /// Runs that start in this batch, whose rows are not written yet; see [`newborn`](super::newborn).
    pub(super) newborn: BTreeMap<RunId, &'a Run>,
    /// Statements that a batch uses again and again, by where their text is: they are looked up once.
    often: RefCell<Vec<(*const u8, CachedStatement<'a>)>>,
}

/// What most changes look at before they write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hot {
    pub(super) workflow: i64,
    pub(super) version: i64,
    pub(super) status: Status,
    pub(super) epoch: u64,
    pub(super) subscribed: bool,
    pub(super) beside: Beside,
    pub(super) chain: Option<RunId>,
    pub(super) parent: Option<RunId>,
    /// The last segment.
    pub(super) last: i64,
}

/// What a run may have in other tables.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Beside {
    /// Tickets for slots.
    pub(super) slots: bool,
    /// Open tasks.
    pub(super) tasks: bool,
    /// Open children.
    pub(super) children: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(conn: &'a Connection, known: &'a mut Known, tail: &'a Tail, head_file: &'a HeadFile) -> Self {
        // Never later: what this batch does not write to the rows at once must stay known.
        if known.runs.len() > REMEMBERED {
            known.runs.clear();
        }
        let (moved, counted, newborn) = (Moved::new(), BTreeMap::new(), BTreeMap::new());
        Self { conn, known, tail, head_file, moved, counted, newborn, often: RefCell::default() }
    }

    /// Writes what was gathered; what the tail is to follow after the commit.
    pub(super) fn finish_batch(mut self) -> Result<Moved> {
        self.bear_all()?;
        self.flush()?;
        if self.known.newest - self.known.noted >= UNNOTED {
            self.note_ends()?;
        }
        Ok(self.moved)
    }

    /// Writes the ends of all journals to their rows.
    fn note_ends(&mut self) -> Result<()> {
        for (run, end) in self.tail.with(&self.moved) {
            self.execute("UPDATE run SET last = ?2 WHERE id = ?1", params![run, end])?;
            self.moved.insert(run, None);
        }
        self.known.noted = self.known.newest;
        self.execute("UPDATE tail SET noted = ?1", [self.known.noted])?;
        Ok(())
    }

    /// Writes the counts.
    pub(super) fn flush(&mut self) -> Result<()> {
        let sql = "INSERT INTO tally VALUES(?1, ?2, ?3, ?4)
            ON CONFLICT(workflow, version, status) DO UPDATE SET n = n + excluded.n";
        for ((workflow, version, status), n) in std::mem::take(&mut self.counted) {
            if n != 0 {
                self.execute(sql, params![workflow, version, status, n])?;
            }
        }
        Ok(())
    }

    pub(super) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        self.conn.prepare_cached(sql)?.execute(values)
    }

    /// The same for a statement that most runs of a batch need.
    pub(super) fn execute_often(&self, sql: &'static str, values: impl rusqlite::Params) -> Result<usize> {
        let mut often = self.often.borrow_mut();
        let known = often.iter().position(|(known, _)| std::ptr::eq(*known, sql.as_ptr()));
        if known.is_none() {
            often.push((sql.as_ptr(), self.conn.prepare_cached(sql)?));
        }
        let at = known.unwrap_or(often.len() - 1);
        often[at].1.execute(values)
    }

    /// What a run's row is from now on.
    pub(super) fn remember(&mut self, run: RunId, hot: Hot) {
        self.known.runs.insert(run, hot);
    }

    /// A run with this parent starts.
    pub(super) fn has_child(&mut self, parent: Option<RunId>) {
        if let Some(hot) = parent.and_then(|parent| self.known.runs.get_mut(&parent)) {
            hot.beside.children = true;
        }
    }

    /// The row has the end of the run's journal.
    pub(super) fn noted(&mut self, run: RunId) {
        self.moved.insert(run, None);
    }

    /// The number of a segment that is appended.
    pub(super) fn next_segment(&mut self, run: RunId, hot: Hot) -> i64 {
        self.known.newest += 1;
        let id = self.known.newest;
        self.remember(run, Hot { last: id, ..hot });
        self.moved.insert(run, Some(id));
        id
    }

    /// The end of the audit log, where this process has added to it.
    pub(super) fn head(&self) -> Option<Head> {
        self.known.head
    }

    pub(super) fn set_head(&mut self, head: Head) {
        self.known.head = Some(head);
        self.known.head_moved = true;
    }

    pub(super) fn forget(&mut self, run: RunId) {
        self.known.runs.remove(&run);
    }

    /// A run with this id cannot be there yet.
    pub(super) fn is_new_id(&self, run: RunId) -> bool {
        self.known.last_run.get().is_none_or(|last| run > last)
    }

    /// From now on a run with this id is there.
    pub(super) fn has_id(&self, run: RunId) {
        self.known.last_run.set(self.known.last_run.get().max(Some(run)));
    }

    pub(super) fn forget_versions(&mut self) {
        self.known.versions.clear();
    }

    pub(super) fn count(&mut self, workflow: i64, version: i64, status: i64, n: i64) {
        *self.counted.entry((workflow, version, status)).or_default() += n;
    }

    pub(super) fn recount(&mut self, hot: &Hot, status: Status) {
        self.count(hot.workflow, hot.version, status_code(hot.status), -1);
        self.count(hot.workflow, hot.version, status_code(status), 1);
    }

    /// The run, where it has not ended.
    pub(super) fn open(&mut self, run: RunId) -> Result<Option<Hot>> {
        if let Some(hot) = self.known.runs.get(&run) {
            return Ok(Some(*hot));
        }
        let hot = self.load(run)?.filter(|hot| !hot.status.is_final());
        if let Some(hot) = hot {
            self.known.runs.insert(run, hot);
        }
        Ok(hot)
    }

    pub(super) fn load(&self, run: RunId) -> Result<Option<Hot>> {
        let sql = "SELECT workflow, version, status, epoch, subscribed, last, chain,
            EXISTS(SELECT 1 FROM slot WHERE slot.run = run.id), parent,
            EXISTS(SELECT 1 FROM task WHERE task.run = run.id),
            EXISTS(SELECT 1 FROM run child WHERE child.parent = run.id) FROM run WHERE id = ?1";
        let hot = self.conn.prepare_cached(sql)?.query_row([run], |row| {
            Ok(Hot {
                workflow: row.get(0)?,
                version: row.get(1)?,
                status: row.get(2)?,
                epoch: row.get::<_, i64>(3)?.cast_unsigned(),
                subscribed: row.get(4)?,
                chain: row.get(6)?,
                parent: row.get(8)?,
                beside: Beside { slots: row.get(7)?, tasks: row.get(9)?, children: row.get(10)? },
                // Within a batch the row may be ahead.
                last: self.tail.end(run).unwrap_or(0).max(row.get(5)?),
            })
        });
        hot.optional()
    }

    /// The run, where it has not ended and the claim holds.
    pub(super) fn claimed(&mut self, run: RunId, epoch: u64) -> Result<Option<Hot>> {
        Ok(self.open(run)?.filter(|hot| hot.epoch == epoch))
    }

    pub(super) fn workflow(&mut self, name: &Arc<str>) -> Result<i64> {
        if let Some(id) = self.known.workflows.get(name) {
            return Ok(*id);
        }
        let id = self.intern("workflow", "name", name)?;
        self.known.workflows.insert(name.clone(), id);
        Ok(id)
    }

    pub(super) fn version(&mut self, version: &Version) -> Result<i64> {
        if let Some(id) = self.known.versions.get(version) {
            return Ok(*id);
        }
        let id = self.intern("bundle", "version", &version.0)?;
        self.known.versions.insert(version.clone(), id);
        Ok(id)
    }

    /// The number of a name, which is added where it is new.
    fn intern(&self, table: &str, column: &str, name: &str) -> Result<i64> {
        self.execute(&format!("INSERT INTO {table}({column}) VALUES(?1) ON CONFLICT DO NOTHING"), [name])?;
        let sql = format!("SELECT id FROM {table} WHERE {column} = ?1");
        self.conn.prepare_cached(&sql)?.query_row([name], |row| row.get(0))
    }
}
