//! Removing what is no longer kept.
//!
//! One prune is a bounded piece of work, however much there is to remove and however long journals are: other commits wait
//! for it. What has expired is found by indexes, in their order. What ended before a time is looked for along the runs
//! themselves, some at a time: only a person asks for that, and an index for it would be written at the end of every run. A run
//! goes at once with its rows; a journal that is longer than one commit should be stands in `leftover` until its last segment is
//! gone, and is nobody's meanwhile.

use rusqlite::{OptionalExtension as _, Result, params};

use super::super::{Applied, Change};
use super::batch::Batch;
use super::read::{SKEW_MS, first_id};
use crate::id::{RunId, Version};
use crate::time::Timestamp;

/// Segments that are removed by one commit: those of a long journal lie on a page each.
const SEGMENTS: usize = 512;
/// Bytes of segments that are removed by one commit, and the segment that exceeds them.
const BYTES: i64 = 2 << 20;
/// Runs that one commit looks at beyond those that it removes: others still refer to them.
const HELD: usize = 1_000;
/// Runs that one commit looks at, at most, where it looks at all in their order: some forty pages.
const SEEN: usize = 1_000;

/// Pages given back to the file system by one commit: 1 MB, some milliseconds.
const PAGES: i64 = 256;
/// Free pages that are kept, and the part of the file that is: what comes next is written there.
const SPARE: i64 = 64;
const SPARE_PART: i64 = 8;

/// A place in the order of when runs expire.
pub(super) type Place = (Timestamp, RunId);

/// Nothing open refers to a run.
const IS_FREE: &str = "NOT EXISTS (SELECT 1 FROM run n WHERE n.chain = r.id AND n.continued_as IS NULL
        AND n.status NOT BETWEEN 4 AND 7)
    AND NOT EXISTS (SELECT 1 FROM run p WHERE p.id = r.parent AND p.status NOT BETWEEN 4 AND 7)
    AND NOT EXISTS (SELECT 1 FROM run c WHERE c.parent = r.id AND c.status NOT BETWEEN 4 AND 7)";

/// What one commit may still remove of journals.
struct Budget {
    segments: usize,
    bytes: i64,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.segments == 0 || self.bytes <= 0
    }
}

impl Batch<'_> {
    pub(super) fn prune(&mut self, change: &Change) -> Result<Applied> {
        let Change::Prune { before, behind, expired, events_before, keep, limit } = change else {
            unreachable!("called for `Prune` alone");
        };
        let rows = i64::try_from(*limit).unwrap_or(i64::MAX);
        let mut budget = Budget { segments: SEGMENTS, bytes: BYTES };
        let mut more = self.remove_leftovers(&mut budget)?;
        let first = self.prune_expired(*expired, *limit, &mut budget)?;
        let then = if first.is_full {
            Round { gone: 0, is_full: true, reached: *behind }
        } else {
            self.prune_ended(*before, *behind, *limit - first.gone, &mut budget)?
        };
        more |= then.is_full | self.prune_events(*events_before, rows)?;
        let sql = "DELETE FROM event_id WHERE id IN
            (SELECT id FROM event_id WHERE until <= ?1 ORDER BY until, id LIMIT ?2)";
        more |= self.execute(sql, params![expired, rows])? == *limit;
        let sql = "DELETE FROM dedupe WHERE (scope, key) IN
            (SELECT scope, key FROM dedupe WHERE until <= ?1 ORDER BY until, scope, key LIMIT ?2)";
        more |= self.execute(sql, params![expired, rows])? == *limit;
        if let Some(keep) = keep {
            self.prune_bundles(keep)?;
        }
        // What is at the end of the file may be about to go: then it need not be moved.
        let more = more || self.give_space_back()?;
        Ok(Applied::Pruned { runs: first.gone + then.gone, more, reached: then.reached })
    }

    /// Runs that have expired, from the place on where the last one of these stopped because too many had to stay.
    fn prune_expired(&mut self, expired: Timestamp, limit: usize, budget: &mut Budget) -> Result<Round> {
        let from = self.known.looked;
        // What expires then goes, too.
        let (free, next) = self.look(Timestamp(expired.0.saturating_add(1)), from, limit)?;
        let gone = self.remove_all(&free, budget)?;
        if gone < free.len() {
            return Ok(Round { gone, is_full: true, reached: RunId::LOWEST });
        }
        let is_full = next.is_some() || gone == limit || budget.is_spent();
        self.known.looked = next.or(from.filter(|_| is_full));
        Ok(Round { gone, is_full, reached: RunId::LOWEST })
    }

    /// So many runs that may go, in the order in which they expire, up to a time; and where to go on, if too many were looked at.
    fn look(&self, until: Timestamp, from: Option<Place>, limit: usize) -> Result<(Vec<RunId>, Option<Place>)> {
        let (at, run) = from.unwrap_or((Timestamp(i64::MIN), RunId::LOWEST));
        let mut statement = self.conn.prepare_cached(&expired_runs())?;
        let mut rows = statement.query(params![until, at, run])?;
        let (mut free, mut held) = (Vec::new(), 0);
        while free.len() < limit
            && let Some(row) = rows.next()?
        {
            let run = row.get(1)?;
            if row.get(2)? {
                free.push(run);
            } else if held < HELD {
                held += 1;
            } else {
                return Ok((free, Some((row.get(0)?, run))));
            }
        }
        Ok((free, None))
    }

    /// Runs that ended before a time, in the order of their ids, behind one of them.
    fn prune_ended(&mut self, before: Timestamp, behind: RunId, limit: usize, budget: &mut Budget) -> Result<Round> {
        let (free, seen) = self.look_along(before, behind, limit)?;
        let gone = self.remove_all(&free, budget)?;
        let reached = if gone < free.len() { gone.checked_sub(1).map_or(behind, |n| free[n]) } else { seen };
        let is_full = reached != RunId::HIGHEST || gone == limit || budget.is_spent();
        Ok(Round { gone, is_full, reached })
    }

    /// So many runs that may go; and how far it looked.
    fn look_along(&self, before: Timestamp, behind: RunId, limit: usize) -> Result<(Vec<RunId>, RunId)> {
        // What was accepted later cannot have ended before.
        let end = first_id(Timestamp(before.0.saturating_add(SKEW_MS)));
        let mut statement = self.conn.prepare_cached(&ended_runs())?;
        let mut rows = statement.query(params![before, behind, end])?;
        let (mut free, mut last) = (Vec::new(), behind);
        for _ in 0..SEEN {
            if free.len() == limit {
                return Ok((free, last));
            }
            let Some(row) = rows.next()? else { return Ok((free, RunId::HIGHEST)) };
            let run = row.get(0)?;
            if row.get(1)? {
                free.push(run);
            }
            last = run;
        }
        Ok((free, last))
    }

    /// Removes runs, as many of them as there is budget for; how many.
    fn remove_all(&mut self, runs: &[RunId], budget: &mut Budget) -> Result<usize> {
        let mut gone = 0;
        for run in runs {
            if budget.is_spent() {
                break;
            }
            self.remove(*run, budget)?;
            gone += 1;
        }
        Ok(gone)
    }

    fn remove(&mut self, run: RunId, budget: &mut Budget) -> Result<()> {
        let sql = "DELETE FROM run WHERE id = ?1 RETURNING workflow, version, status, last";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?));
        let (workflow, version, status, last) = self.conn.prepare_cached(sql)?.query_row([run], read)?;
        self.count(workflow, version, status, -1);
        self.forget(run);
        self.execute("DELETE FROM run_data WHERE id = ?1", [run])?;
        self.execute("DELETE FROM outcome WHERE id = ?1", [run])?;
        self.remove_tasks_of(run)?;
        let left = self.remove_journal(last, budget)?;
        if left != 0 {
            self.execute("INSERT INTO leftover(last) VALUES(?1)", [left])?;
        }
        self.execute("DELETE FROM dedupe WHERE run = ?1 AND until IS NULL", [run])?;
        Ok(())
    }

    /// Removes segments from the last one of a journal on; the last one that is left, or 0.
    fn remove_journal(&self, mut last: i64, budget: &mut Budget) -> Result<i64> {
        let sql = "DELETE FROM segment WHERE id = ?1 RETURNING prev, length(body)";
        let mut segment = self.conn.prepare_cached(sql)?;
        while last != 0 && !budget.is_spent() {
            let bytes: i64;
            (last, bytes) = segment.query_row([last], |row| Ok((row.get(0)?, row.get(1)?)))?;
            budget.segments -= 1;
            budget.bytes -= bytes;
        }
        Ok(last)
    }

    /// Goes on with journals of runs that are gone. Whether something is left.
    fn remove_leftovers(&self, budget: &mut Budget) -> Result<bool> {
        let mut first = self.conn.prepare_cached("SELECT last FROM leftover ORDER BY last LIMIT 1")?;
        while let Some(last) = first.query_row([], |row| row.get::<_, i64>(0)).optional()? {
            if budget.is_spent() {
                return Ok(true);
            }
            let left = self.remove_journal(last, budget)?;
            self.execute("DELETE FROM leftover WHERE last = ?1", [last])?;
            if left != 0 {
                self.execute("INSERT INTO leftover(last) VALUES(?1)", [left])?;
            }
        }
        Ok(false)
    }

    /// From the oldest on, up to the first that stays. Whether as many went as may.
    fn prune_events(&self, before: Timestamp, limit: i64) -> Result<bool> {
        let sql = "SELECT seq, at FROM event ORDER BY seq LIMIT ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([limit])?;
        let (mut last, mut count) = (None, 0);
        while let Some(row) = rows.next()? {
            if row.get::<_, Timestamp>(1)? >= before {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
            count += 1;
        }
        if let Some(last) = last {
            self.execute("DELETE FROM event WHERE seq <= ?1", [last])?;
        }
        Ok(count == limit)
    }

    fn prune_bundles(&mut self, keep: &[Version]) -> Result<()> {
        self.flush()?;
        self.execute("DELETE FROM tally WHERE n = 0", [])?;
        let sql = "SELECT id, version FROM bundle WHERE id NOT IN (SELECT version FROM tally)";
        let mut statement = self.conn.prepare_cached(sql)?;
        let unused = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (id, version) in unused.collect::<Result<Vec<(i64, String)>>>()? {
            if keep.iter().all(|kept| *kept.0 != *version) {
                self.execute("DELETE FROM bundle WHERE id = ?1", [id])?;
            }
        }
        self.forget_versions();
        Ok(())
    }

    /// Makes the file smaller where much of it is free. Whether it is still too large.
    fn give_space_back(&self) -> Result<bool> {
        let number = |sql: &str| self.conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let spare = (number("PRAGMA page_count")? / SPARE_PART).max(SPARE);
        let beyond = number("PRAGMA freelist_count")? - spare;
        if beyond <= 0 {
            return Ok(false);
        }
        // It frees one page a row.
        let mut statement = self.conn.prepare(&format!("PRAGMA incremental_vacuum({})", beyond.min(PAGES)))?;
        let mut pages = statement.query([])?;
        while pages.next()?.is_some() {}
        Ok(beyond > PAGES)
    }
}

/// What became of one look.
struct Round {
    gone: usize,
    /// No more may go in this commit.
    is_full: bool,
    /// How far it looked along the runs.
    reached: RunId,
}

/// Finished runs in the order in which they expire, up to a time, from a place on; and whether nothing refers to them.
fn expired_runs() -> String {
    format!(
        "SELECT expires_at, id, {IS_FREE} FROM run r INDEXED BY run_expires WHERE expires_at < ?1
        AND (expires_at, id) >= (?2, ?3) AND status BETWEEN 4 AND 7 ORDER BY expires_at, id"
    )
}

/// Runs in the order of their ids, behind one and before another; and whether they ended before a time and nothing refers to them.
fn ended_runs() -> String {
    format!(
        "SELECT id, CASE WHEN ended_at < ?1 AND status BETWEEN 4 AND 7 THEN {IS_FREE} ELSE 0 END FROM run r
        WHERE id > ?2 AND id < ?3 ORDER BY id"
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Sqlite, lock};
    use super::{ended_runs, expired_runs};

    /// Each line of the plans goes along an index: none reads a whole table, and nothing is sorted.
    #[test]
    fn what_is_to_go_is_found_without_a_look_at_what_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(folder.path(), &Options { wal_bytes: 1 << 20, ..Options::default() }).expect("opens");
        let writer = lock(&store.writer);
        for sql in [expired_runs(), ended_runs()] {
            let mut plan = writer.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
            let lines = plan.query_map([0; 3], |row| row.get::<_, String>(3)).expect("a plan");
            let lines: Vec<_> = lines.map(|line| line.expect("a line")).collect();
            assert!(lines.iter().all(|line| !line.starts_with("SCAN") && !line.contains("B-TREE")), "{lines:#?}");
            assert!(lines[0].contains(">?") || lines[0].contains("<?"), "{lines:#?}");
        }
    }
}
