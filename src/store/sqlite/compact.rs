//! Putting segments of finished runs together.
//!
//! [`look`] goes along the segments, in the order in which they were written, behind a durable place, and stops at the first
//! run that has not been over for long enough: so each is looked at once, and what was found last is found again after a crash.
//! It packs on the thread of its caller; a commit only replaces rows: the last one of a piece keeps its number, so that
//! whatever names it (the row of the run, the segment behind it, a mark) still does. Reads unpack.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::super::{Applied, Compaction, Piece, Place};
use super::batch::Batch;
use super::packed::{Segment, pack};
use crate::id::RunId;
use crate::time::Timestamp;

/// Segments of one piece, and those of one commit, which may lie on a page each: a commit of some milliseconds. Fewer than
/// a stride, so that landmarks of a journal stay near to each other.
const MOST: usize = 255;
/// Bytes of a piece, and the segment that exceeds them: LZ4 looks back no further.
const BYTES: usize = 64 << 10;
/// A segment of this size stays as it is: it is compressed already, and has pages of its own.
const LARGE: i64 = 16 << 10;
/// With fewer segments, what is written costs more than what it saves.
const FEWEST: usize = 4;
/// Segments that one look goes past, so that a read is short, and holds back no checkpoint.
const SEEN: i64 = 4_096;
/// What ended so much later has ended by another clock.
const LATER: Duration = Duration::from_hours(48);

/// What is to be done next for runs that ended before a time. `None`: nothing.
pub(super) fn look(conn: &Connection, before: Timestamp, from: Place) -> Result<Option<Compaction>> {
    let durable = conn.prepare_cached("SELECT reached FROM compacted")?.query_row([], |row| row.get(0))?;
    let from = if from.reached == durable { from } else { Place { reached: durable, within: None } };
    let mut looking = Looking { conn, found: Compaction { pieces: Vec::new(), place: from }, packed: 0, seen: 0 };
    // A run that has one segment alone is passed by without a look at its row.
    let sql = "SELECT id, run, prev FROM segment WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut ends = statement.query(params![durable, SEEN])?;
    while let Some(row) = ends.next()? {
        let (end, run, prev): (i64, RunId, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if prev != 0 && !looking.is_done(run, end, before)? {
            break;
        }
        looking.found.place = Place { reached: end, within: None };
    }
    Ok(Some(looking.found).filter(|found| found.place != from))
}

struct Looking<'a> {
    conn: &'a Connection,
    found: Compaction,
    /// Segments that were packed.
    packed: usize,
    /// Segments of journals that were gone past.
    seen: i64,
}

impl Looking<'_> {
    /// Whether nothing is left to do for a run whose last segment this may be. False: the look ends here.
    fn is_done(&mut self, run: RunId, end: i64, before: Timestamp) -> Result<bool> {
        // One that is open writes another one with its end; the few that end without, such as one whose sources cannot be read,
        // stay as they are. One that is gone has nothing to be kept.
        let sql = "SELECT ended_at FROM run WHERE id = ?1 AND last = ?2 AND status BETWEEN 4 AND 7";
        let mut statement = self.conn.prepare_cached(sql)?;
        let Some(ended) = statement.query_row(params![run, end], |row| row.get::<_, Timestamp>(0)).optional()? else {
            return Ok(true);
        };
        if ended >= before {
            // Where the clock was set back since, nothing waits for it.
            return Ok(ended.since(before) > LATER);
        }
        let within = self.found.place.within.filter(|(of, _)| *of == end);
        let mut at = within.map_or(end, |(_, at)| at);
        while at != 0 {
            if self.packed >= MOST || self.seen >= SEEN {
                self.found.place.within = Some((end, at));
                return Ok(false);
            }
            let Some(next) = self.piece(run, at)? else {
                self.found.place.within = Some((end, at));
                return Ok(false);
            };
            at = next;
        }
        Ok(true)
    }

    /// Makes a piece of the segments up to this one, if that is worth it; the next one before them. `None`: it would be too much
    /// for one commit.
    fn piece(&mut self, run: RunId, end: i64) -> Result<Option<i64>> {
        let sql = "SELECT prev, length(body), packed IS NOT NULL FROM segment WHERE id = ?1";
        let mut row = self.conn.prepare_cached(sql)?;
        let mut body = self.conn.prepare_cached("SELECT body FROM segment WHERE id = ?1")?;
        let (mut at, mut bytes, mut segments) = (end, 0, Vec::<Segment>::new());
        // What is not part of a piece is gone past.
        let mut next = None;
        while at != 0 && segments.len() < MOST && bytes < BYTES && next.is_none() {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?));
            let (prev, length, is_packed): (i64, _, _) = row.query_row([at], read)?;
            self.seen += 1;
            if is_packed || length >= LARGE {
                next = Some(prev);
            } else {
                let body: Vec<u8> = body.query_row([at], |row| row.get(0))?;
                bytes += body.len();
                segments.push((at, body));
                at = prev;
            }
        }
        if segments.len() >= FEWEST {
            if self.packed > 0 && self.packed + segments.len() > MOST {
                return Ok(None);
            }
            self.packed += segments.len();
            segments.reverse();
            let numbers = segments.iter().map(|(id, _)| *id).collect();
            self.found.pieces.push(Piece { run, segments: numbers, prev: at, body: pack(&segments) });
        }
        Ok(Some(next.unwrap_or(at)))
    }
}

impl Batch<'_> {
    /// Replaces rows by what was packed of them.
    pub(super) fn compact(&mut self, compaction: &Compaction) -> Result<Applied> {
        for piece in &compaction.pieces {
            // A run may have been pruned since the look.
            if self.is_there(piece)? {
                self.replace(piece)?;
            }
        }
        self.execute("UPDATE compacted SET reached = ?1 WHERE reached < ?1", [compaction.place.reached])?;
        Ok(Applied::Done)
    }

    fn is_there(&self, piece: &Piece) -> Result<bool> {
        let sql = "SELECT 1 FROM segment WHERE id = ?1 AND run = ?2 AND prev = ?3 AND packed IS NULL";
        let mut there = self.conn.prepare_cached(sql)?;
        let mut prev = piece.prev;
        for id in &piece.segments {
            if !there.exists(params![id, piece.run, prev])? {
                return Ok(false);
            }
            prev = *id;
        }
        Ok(true)
    }

    fn replace(&self, piece: &Piece) -> Result<()> {
        let Some((last, others)) = piece.segments.split_last() else { return Ok(()) };
        for id in others {
            self.execute("DELETE FROM segment WHERE id = ?1", [id])?;
        }
        let sql = "UPDATE segment SET prev = ?2, body = ?3, packed = 1 WHERE id = ?1";
        self.execute(sql, params![last, piece.prev, piece.body])?;
        Ok(())
    }
}
