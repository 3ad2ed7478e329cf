//! Removing what is no longer kept.

use rusqlite::{Result, params};

use super::super::{Applied, Change};
use super::batch::Batch;
use crate::id::{RunId, Version};
use crate::time::Timestamp;

/// Pages given back to the file system at once: 8 MB, a few tens of milliseconds.
const PAGES: usize = 2000;

impl Batch<'_> {
    pub(super) fn prune(&mut self, change: &Change) -> Result<Applied> {
        let Change::Prune { before, expired, events_before, keep, limit } = change else {
            unreachable!("called for `Prune` alone");
        };
        let rows = i64::try_from(*limit).unwrap_or(i64::MAX);
        let gone = self.prunable(*before, *expired, rows)?;
        for run in &gone {
            self.remove(*run)?;
        }
        self.prune_events(*events_before, rows)?;
        let sql = "DELETE FROM event_id WHERE id IN
            (SELECT id FROM event_id WHERE until <= ?1 ORDER BY until, id LIMIT ?2)";
        self.execute(sql, params![expired, rows])?;
        let sql = "DELETE FROM dedupe WHERE (scope, key) IN
            (SELECT scope, key FROM dedupe WHERE until <= ?1 ORDER BY until, scope, key LIMIT ?2)";
        self.execute(sql, params![expired, rows])?;
        if let Some(keep) = keep {
            self.prune_bundles(keep)?;
        }
        self.give_space_back()?;
        Ok(Applied::Pruned { runs: gone.len() })
    }

    /// Finished runs that nothing open refers to, the ones that ended first.
    fn prunable(&self, before: Timestamp, expired: Timestamp, limit: i64) -> Result<Vec<RunId>> {
        let sql = "SELECT id FROM run r WHERE (ended_at < ?1 OR expires_at <= ?2) AND status BETWEEN 4 AND 7
            AND NOT EXISTS (SELECT 1 FROM run n WHERE n.chain = r.id AND n.continued_as IS NULL
                AND n.status NOT BETWEEN 4 AND 7)
            AND NOT EXISTS (SELECT 1 FROM run p WHERE p.id = r.parent AND p.status NOT BETWEEN 4 AND 7)
            AND NOT EXISTS (SELECT 1 FROM run c WHERE c.parent = r.id AND c.status NOT BETWEEN 4 AND 7)
            ORDER BY ended_at, id LIMIT ?3";
        self.conn.prepare_cached(sql)?.query_map(params![before, expired, limit], |row| row.get(0))?.collect()
    }

    fn remove(&mut self, run: RunId) -> Result<()> {
        let sql = "DELETE FROM run WHERE id = ?1 RETURNING workflow, version, status, last";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?));
        let (workflow, version, status, mut last) = self.conn.prepare_cached(sql)?.query_row([run], read)?;
        self.count(workflow, version, status, -1);
        self.forget(run);
        self.execute("DELETE FROM run_data WHERE id = ?1", [run])?;
        self.execute("DELETE FROM outcome WHERE id = ?1", [run])?;
        self.remove_tasks_of(run)?;
        let mut segment = self.conn.prepare_cached("DELETE FROM segment WHERE id = ?1 RETURNING prev")?;
        while last != 0 {
            last = segment.query_row([last], |row| row.get(0))?;
        }
        self.execute("DELETE FROM dedupe WHERE run = ?1 AND until IS NULL", [run])?;
        Ok(())
    }

    /// From the oldest on, up to the first that stays.
    fn prune_events(&self, before: Timestamp, limit: i64) -> Result<()> {
        let sql = "SELECT seq, at FROM event ORDER BY seq LIMIT ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([limit])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if row.get::<_, Timestamp>(1)? >= before {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
        }
        if let Some(last) = last {
            self.execute("DELETE FROM event WHERE seq <= ?1", [last])?;
        }
        Ok(())
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

    fn give_space_back(&self) -> Result<()> {
        // It frees one page a row.
        let mut statement = self.conn.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut pages = statement.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }
}
