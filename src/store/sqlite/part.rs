//! Journals in parts.
//!
//! Each segment names the one before it, so the way along a journal can be found from its end alone. It is walked once, without
//! the segments being kept, and landmarks of it are remembered; later looks walk what is new, and from one landmark to the one
//! before. Landmarks may be in the middle of segments that were put together since: a mark is what a journal is read behind of
//! all the same, but a walk does not begin there.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::super::part::{Part, STRIDE, Way};
use super::packed::{self, HEAD};
use crate::id::RunId;

/// Ways that are remembered: as many long runs as people look at. Each takes 8 bytes for 256 segments.
const KEPT: usize = 64;

/// The ways of runs that were looked at last, the newest last.
#[derive(Debug, Default)]
pub(super) struct Ways(Mutex<Vec<(RunId, Arc<Way>)>>);

impl Ways {
    fn take(&self, run: RunId) -> Option<Arc<Way>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(other, _)| *other == run)?;
        Some(kept.remove(at).1)
    }

    fn keep(&self, run: RunId, way: &Arc<Way>) {
        // A short one is found again for less than it takes to remember it.
        if way.marks.len() < 2 {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, _)| *other != run);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((run, Arc::clone(way)));
    }
}

/// The last segment of a run; `None`: there is no such run.
fn last(conn: &Connection, run: RunId, end: Option<i64>) -> Result<Option<i64>> {
    let noted: Option<i64> =
        conn.prepare_cached("SELECT last FROM run WHERE id = ?1")?.query_row([run], |row| row.get(0)).optional()?;
    Ok(noted.map(|noted| end.map_or(noted, |end| end.max(noted))))
}

/// The way along a journal. `end`: the last segment, where the run's row may not have it.
pub(super) fn way(conn: &Connection, ways: &Ways, run: RunId, end: Option<i64>) -> Result<Arc<Way>> {
    let known = ways.take(run);
    let Some(last) = last(conn, run, end)? else { return Ok(Arc::default()) };
    let known = known.unwrap_or_else(|| Arc::new(Way { marks: vec![0], end: 0, format: 0 }));
    let way = if known.end.cast_signed() < last { Arc::new(longer(conn, &known, last)?) } else { known };
    ways.keep(run, &way);
    Ok(way)
}

/// The way with what came since. Landmarks are set from the end; the first new one leaves a stride to the last old one, so that
/// many small pieces do not make many landmarks.
fn longer(conn: &Connection, known: &Way, last: i64) -> Result<Way> {
    let from = known.marks.last().copied().unwrap_or_default().cast_signed();
    let mut way = Way { marks: known.marks.clone(), end: last.cast_unsigned(), format: known.format };
    let sql = "SELECT prev, substr(body, 1, ?2), packed IS NOT NULL FROM segment WHERE id = ?1";
    let mut step = conn.prepare_cached(sql)?;
    let (mut at, mut steps, mut found) = (last, 0, Vec::new());
    while at > from {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get(2)?));
        let (prev, first, is_packed) = step.query_row(params![at, HEAD as i64], read)?;
        let first = first.unwrap_or_default();
        let (format, count) =
            if is_packed { packed::head(&first)? } else { (first.first().copied().unwrap_or_default(), 1) };
        way.format = way.format.max(format);
        if steps >= found.last().map_or(0, |(_, from_end)| *from_end) + STRIDE {
            found.push((at.cast_unsigned(), steps));
        }
        (at, steps) = (prev, steps + count);
    }
    if found.last().is_some_and(|(_, from_end)| steps - from_end < STRIDE) {
        found.pop();
    }
    way.marks.extend(found.into_iter().rev().map(|(mark, _)| mark));
    Ok(way)
}

/// Segments behind a mark: so many bytes, and the segment that exceeds them.
pub(super) fn part(
    conn: &Connection,
    ways: &Ways,
    run: RunId,
    end: Option<i64>,
    mark: u64,
    most: usize,
) -> Result<Part> {
    let Some(last) = last(conn, run, end)? else { return Ok(Part::default()) };
    let mut part = Part { segments: Vec::new(), mark, end: last.cast_unsigned().max(mark) };
    let mut row = conn.prepare_cached("SELECT body, packed IS NOT NULL FROM segment WHERE id = ?1")?;
    let mut bytes = 0;
    while part.mark < part.end {
        let from = part.mark.cast_signed();
        // Those who follow a journal need no way.
        let ids = if let Some(ids) = between(conn, from, last, 2 * STRIDE)? {
            ids
        } else {
            let to = landmark(conn, ways, run, end, from)?.unwrap_or(last).min(last);
            between(conn, from, to, usize::MAX)?.unwrap_or_default()
        };
        for id in ids {
            let (body, is_packed) = row.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for (id, segment) in packed::segments(id, body, is_packed)?.into_iter().filter(|(id, _)| *id > from) {
                bytes += segment.len();
                part.segments.push(segment);
                part.mark = id.cast_unsigned();
                if bytes >= most {
                    return Ok(part);
                }
            }
        }
    }
    Ok(part)
}

/// The next landmark behind a mark from which one can walk. One of a later look may lie behind what this one sees.
fn landmark(conn: &Connection, ways: &Ways, run: RunId, end: Option<i64>, from: i64) -> Result<Option<i64>> {
    let behind = |way: &Way| way.marks.iter().map(|mark| mark.cast_signed()).find(|mark| *mark > from);
    let mut there = conn.prepare_cached("SELECT 1 FROM segment WHERE id = ?1")?;
    let Some(found) = behind(&*way(conn, ways, run, end)?) else { return Ok(None) };
    if there.exists([found])? {
        return Ok(Some(found));
    }
    // The journal was put together since that way was walked.
    ways.take(run);
    Ok(behind(&*way(conn, ways, run, end)?))
}

/// The segments behind a mark up to this one, in order; `None` where they are more than that.
fn between(conn: &Connection, from: i64, to: i64, most: usize) -> Result<Option<Vec<i64>>> {
    let mut prev = conn.prepare_cached("SELECT prev FROM segment WHERE id = ?1")?;
    let (mut at, mut ids) = (to, Vec::new());
    while at > from {
        if ids.len() >= most {
            return Ok(None);
        }
        ids.push(at);
        at = prev.query_row([at], |row| row.get(0))?;
    }
    ids.reverse();
    Ok(Some(ids))
}
