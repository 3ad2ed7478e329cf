//! The reads: each is one statement, or several within one transaction of the caller.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use uuid::Uuid;

use super::super::{Due, Event, EventFilter, PAUSED, Run, RunFilter, Status};
use super::packed;
use super::row::{self, status_code};
use crate::id::{RunId, Version};
use crate::payload::Payload;
use crate::time::Timestamp;

/// How far a run's id and its time of acceptance may lie apart, in milliseconds: both are taken in one request, and ten
/// minutes forgive a clock that was set in between.
pub(super) const SKEW_MS: i64 = 600_000;

pub(super) fn run(conn: &Connection, id: RunId) -> Result<Option<Run>> {
    conn.prepare_cached(row::RUN)?.query_row([id], row::run).optional()
}

/// The newest of a run's chain, or itself.
pub(super) fn newest(conn: &Connection, id: RunId) -> Result<Option<RunId>> {
    let sql = "SELECT CASE WHEN r.continued_as IS NULL THEN r.id ELSE
        (SELECT n.id FROM run n WHERE n.chain = r.chain AND n.continued_as IS NULL) END FROM run r WHERE r.id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([id], |row| row.get::<_, Option<RunId>>(0)).optional()?;
    Ok(found.flatten())
}

pub(super) fn runs(conn: &Connection, filter: &RunFilter) -> Result<Vec<Run>> {
    let mut ids = match page(filter) {
        page if filter.workflow.is_none() && filter.statuses.is_empty() => page.of_all(conn)?,
        page => page.of_groups(conn, &groups(conn, filter)?)?,
    };
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.truncate(filter.limit);
    ids.into_iter().filter_map(|id| run(conn, id).transpose()).collect()
}

/// The part of the order of all runs that a list is taken from.
struct Page {
    from: RunId,
    before: RunId,
    since: Timestamp,
    limit: i64,
}

fn page(filter: &RunFilter) -> Page {
    Page {
        from: filter.since.map_or(RunId(Uuid::nil()), |since| first_id(Timestamp(since.0.saturating_sub(SKEW_MS)))),
        // No id that is made is the largest one.
        before: filter.before.unwrap_or(RunId(Uuid::max())),
        since: filter.since.unwrap_or(Timestamp(i64::MIN)),
        limit: rows(filter.limit),
    }
}

impl Page {
    fn of_all(&self, conn: &Connection) -> Result<Vec<RunId>> {
        let sql = "SELECT id FROM run WHERE id >= ?1 AND id < ?2 AND created_at >= ?3 ORDER BY id DESC LIMIT ?4";
        list(conn, sql, params![self.from, self.before, self.since, self.limit], |row| row.get(0))
    }

    /// The newest of each group: together they hold the newest of all.
    fn of_groups(&self, conn: &Connection, groups: &[(i64, i64)]) -> Result<Vec<RunId>> {
        let sql = "SELECT id FROM run INDEXED BY run_by_status WHERE workflow = ?1 AND status = ?2
            AND id >= ?3 AND id < ?4 AND created_at >= ?5 ORDER BY id DESC LIMIT ?6";
        let mut ids = Vec::new();
        for (workflow, status) in groups {
            let values = params![workflow, status, self.from, self.before, self.since, self.limit];
            ids.extend(list(conn, sql, values, |row| row.get::<_, RunId>(0))?);
        }
        Ok(ids)
    }
}

/// Workflow and status of all runs that a filter may mean.
fn groups(conn: &Connection, filter: &RunFilter) -> Result<Vec<(i64, i64)>> {
    let sql = "SELECT DISTINCT t.workflow, t.status FROM tally t JOIN workflow w ON w.id = t.workflow
        WHERE t.n > 0 AND (?1 IS NULL OR w.name = ?1)";
    let wanted: Vec<_> = filter.statuses.iter().map(|status| status_code(*status)).collect();
    let mut groups = list(conn, sql, [&filter.workflow], |row| Ok((row.get(0)?, row.get(1)?)))?;
    groups.retain(|(_, status)| wanted.is_empty() || wanted.contains(status));
    Ok(groups)
}

/// The smallest id of a run that was accepted then: a `UUIDv7` begins with the time.
pub(super) fn first_id(at: Timestamp) -> RunId {
    let mut bytes = [0; 16];
    let ms = at.0.clamp(0, (1 << 48) - 1).to_be_bytes();
    bytes[..6].copy_from_slice(&ms[2..]);
    RunId(Uuid::from_bytes(bytes))
}

pub(super) fn counts(conn: &Connection) -> Result<Vec<(Arc<str>, Status, u64)>> {
    let sql = "SELECT w.name, t.status, sum(t.n) FROM tally t JOIN workflow w ON w.id = t.workflow WHERE t.n > 0
        GROUP BY w.name, t.status ORDER BY w.name, t.status";
    list(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned())))
}

/// `end`: the last segment, where the run's row may not have it.
/// Numbers of segments grow along a run's journal, so that the way back ends at `mark`.
pub(super) fn journal(conn: &Connection, run: RunId, end: Option<i64>, mark: u64) -> Result<(Vec<Vec<u8>>, u64)> {
    let mark = i64::try_from(mark).unwrap_or(i64::MAX);
    let last =
        conn.prepare_cached("SELECT last FROM run WHERE id = ?1")?.query_row([run], |row| row.get(0)).optional()?;
    let Some(last) = last else { return Ok((Vec::new(), 0)) };
    let last: i64 = end.map_or(last, |end: i64| end.max(last));
    let mut next = last;
    let mut segments = Vec::new();
    let sql = "SELECT prev, body, packed IS NOT NULL FROM segment WHERE id = ?1";
    let mut segment = conn.prepare_cached(sql)?;
    while next > mark {
        let (prev, body, is_packed) =
            segment.query_row([next], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?)))?;
        if is_packed {
            let behind = packed::segments(next, body, true)?.into_iter().filter(|(id, _)| *id > mark);
            segments.extend(behind.map(|(_, body)| body).rev());
        } else {
            segments.push(body);
        }
        next = prev;
    }
    segments.reverse();
    Ok((segments, last.max(mark).cast_unsigned()))
}

pub(super) fn ready(conn: &Connection, node: &str, limit: usize) -> Result<Vec<RunId>> {
    // What is held stays where it is, however much that is; mostly nothing is.
    let is_held = conn.prepare_cached("SELECT 1 FROM state WHERE scope = ?1 LIMIT 1")?.exists([PAUSED])?;
    let held = "AND (cancel IS NOT NULL OR NOT EXISTS (SELECT 1 FROM state s JOIN workflow w ON s.key IN ('', w.name)
        WHERE s.scope = ?3 AND w.id = run.workflow))";
    let sql = format!(
        "SELECT id FROM run INDEXED BY run_ready WHERE (ready OR status = 1 OR cancel IS NOT NULL)
        AND (status < 3 OR cancel IS NOT NULL) AND (owner IS NULL OR owner = ?1) {} ORDER BY priority DESC, id LIMIT ?2",
        if is_held { held } else { "AND ?3 = ?3" }
    );
    list(conn, &sql, params![node, rows(limit), PAUSED], |row| row.get(0))
}

pub(super) fn due(conn: &Connection, after: Option<Due>, until: Timestamp, limit: usize) -> Result<Vec<Due>> {
    let (at, run) = after.unwrap_or((Timestamp(i64::MIN), RunId(Uuid::nil())));
    let sql =
        "SELECT wake_at, id FROM run INDEXED BY run_due WHERE (wake_at, id) > (?3, ?4) AND wake_at <= ?1 AND status < 3
        ORDER BY wake_at, id LIMIT ?2";
    list(conn, sql, params![until, rows(limit), at, run], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn workflows_of(conn: &Connection, runs: &[RunId]) -> Result<Vec<(RunId, Arc<str>)>> {
    let names: HashMap<i64, Arc<str>> =
        list(conn, "SELECT id, name FROM workflow", [], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect();
    let mut workflow = conn.prepare_cached("SELECT workflow FROM run WHERE id = ?1")?;
    let mut found = Vec::with_capacity(runs.len());
    for run in runs {
        let workflow = workflow.query_row([run], |row| row.get::<_, i64>(0)).optional()?;
        found.extend(workflow.and_then(|workflow| Some((*run, Arc::clone(names.get(&workflow)?)))));
    }
    Ok(found)
}

pub(super) fn overdue(conn: &Connection, until: Timestamp, limit: usize) -> Result<Vec<(Timestamp, RunId)>> {
    let sql = "SELECT sla_at, id FROM run INDEXED BY run_sla WHERE sla_at <= ?1 ORDER BY sla_at, id LIMIT ?2";
    list(conn, sql, params![until, rows(limit)], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn next_event(conn: &Connection, filter: &EventFilter) -> Result<Option<Event>> {
    let Some(first) = first_since(conn, filter.since)? else { return Ok(None) };
    let from = first.max(filter.after.saturating_add(1)).min(i64::MAX as u64).cast_signed();
    let (name, run, since) = (&filter.name, filter.run, filter.since);
    let sql = match filter.key {
        Some(_) => concat_event("INDEXED BY event_by_key WHERE name = ?1 AND key = ?5"),
        None => concat_event("INDEXED BY event_by_name WHERE name = ?1 AND ?5 IS NULL"),
    };
    conn.prepare_cached(&sql)?.query_row(params![name, from, run, since, filter.key], row::event).optional()
}

fn concat_event(condition: &str) -> String {
    format!("{} {condition} AND seq >= ?2 AND (run IS NULL OR run = ?3) AND at >= ?4 ORDER BY seq LIMIT 1", row::EVENT)
}

/// The first event that may have been accepted since then; found by bisection, for `latest` never falls.
fn first_since(conn: &Connection, since: Timestamp) -> Result<Option<u64>> {
    let Some((newest, latest)) = edge(conn, "ORDER BY seq DESC")? else { return Ok(None) };
    let Some((mut low, first)) = edge(conn, "ORDER BY seq")? else { return Ok(None) };
    if latest < since {
        return Ok(None);
    }
    if first >= since {
        return Ok(Some(low.cast_unsigned()));
    }
    // Between an event before that time and one that is not.
    let mut high = newest;
    let mut probe = conn.prepare_cached("SELECT seq, latest FROM event WHERE seq > ?1 ORDER BY seq LIMIT 1")?;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let (seq, latest): (i64, Timestamp) = probe.query_row([middle - 1], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if latest < since {
            low = seq;
        } else if seq == high {
            // Nothing lies between the middle and the upper end.
            high = middle;
        } else {
            high = seq;
        }
    }
    Ok(Some(high.cast_unsigned()))
}

/// An event at one end of the order, and the latest time up to it.
fn edge(conn: &Connection, order: &str) -> Result<Option<(i64, Timestamp)>> {
    let sql = format!("SELECT seq, latest FROM event {order} LIMIT 1");
    conn.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

pub(super) fn events(conn: &Connection, after: u64, limit: usize) -> Result<Vec<Event>> {
    let sql = format!("{} WHERE seq > ?1 ORDER BY seq LIMIT ?2", row::EVENT);
    list(conn, &sql, params![after.min(i64::MAX as u64).cast_signed(), rows(limit)], row::event)
}

pub(super) fn state(conn: &Connection, scope: &str, key: &str) -> Result<Option<Payload>> {
    let sql = "SELECT value FROM state WHERE scope = ?1 AND key = ?2";
    conn.prepare_cached(sql)?.query_row([scope, key], |row| row.get(0)).optional()
}

pub(super) fn states(conn: &Connection, scope: &str, prefix: &str) -> Result<Vec<(Arc<str>, Payload)>> {
    let sql = "SELECT key, value FROM state WHERE scope = ?1 AND key >= ?2 ORDER BY key";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([scope, prefix])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: Arc<str> = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        found.push((key, row.get(1)?));
    }
    Ok(found)
}

pub(super) fn bundle(conn: &Connection, version: &Version) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT body FROM bundle WHERE version = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([&*version.0], |row| row.get(0)).optional()?.flatten())
}

fn list<T>(
    conn: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(values, read)?.collect()
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
