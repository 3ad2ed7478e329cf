//! Where the journal of each run ends.
//!
//! Segments are appended in the order of the log, and each names the one before it of its run: an index by run would be
//! written all over the file, and cost several times what the segments do. The end of the chain is in the run's row
//! (`last`), as of the last time that the row was written for another reason. For runs with newer segments it is kept
//! here; after a restart it is found again in the newest segments. Now and then all ends are noted in the rows, so that
//! these are never many.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Result};

use crate::id::RunId;

/// Segments that are looked through at opening, at most: some milliseconds. Fewer would mean to write rows more often.
pub(super) const UNNOTED: i64 = 8192;

/// The ends that the rows do not have yet. Readers take them from here; they are changed after a commit alone.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<BTreeMap<RunId, i64>>);

/// What a batch does to the ends: a newer one, or `None` where the row has it.
pub(super) type Moved = BTreeMap<RunId, Option<i64>>;

impl Tail {
    /// Reads the newest segments.
    pub(super) fn find(conn: &Connection) -> Result<Self> {
        let sql = "SELECT s.run, max(s.id) FROM segment s JOIN run r ON r.id = s.run
            WHERE s.id > (SELECT noted FROM tail) GROUP BY s.run HAVING max(s.id) > r.last";
        let mut statement = conn.prepare(sql)?;
        let ends = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self(Mutex::new(ends.collect::<Result<_>>()?)))
    }

    /// The end of a run's journal, where its row does not have it.
    pub(super) fn end(&self, run: RunId) -> Option<i64> {
        self.ends().get(&run).copied()
    }

    /// All ends, as they are with a batch that is not committed yet.
    pub(super) fn with(&self, moved: &Moved) -> BTreeMap<RunId, i64> {
        let mut ends = self.ends().clone();
        apply(&mut ends, moved.clone());
        ends
    }

    /// Follows a batch that is committed.
    pub(super) fn follow(&self, moved: Moved) {
        apply(&mut self.ends(), moved);
    }

    fn ends(&self) -> MutexGuard<'_, BTreeMap<RunId, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(ends: &mut BTreeMap<RunId, i64>, moved: Moved) {
    for (run, end) in moved {
        match end {
            Some(end) => ends.insert(run, end),
            None => ends.remove(&run),
        };
    }
}

/// The newest segment, which may be gone, and the newest whose run has it in its row.
pub(super) fn newest(conn: &Connection) -> Result<(i64, i64)> {
    let sql =
        "SELECT max(noted, ifnull((SELECT max(id) FROM segment), 0), (SELECT reached FROM compacted)), noted FROM tail";
    conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}
