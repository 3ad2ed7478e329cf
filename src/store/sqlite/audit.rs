//! The audit log as rows; and its head, kept beside the database.
//!
//! The head is a file of the data folder, written after each commit that adds a record. Who removes the end of the log from the
//! database alone is found out by it, and new records follow on what it says: the gap stays for ever. It is not synced, so it
//! may be behind after a loss of power, and then counts for less; it is never ahead.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::batch::Batch;
use crate::audit::{Act, Hash, Head, Record};
use crate::payload::Payload;
use crate::store::{Applied, AuditFilter, Change};

/// The name of the head's file in the data folder.
const FILE: &str = "audit.head";

const RECORD: &str = "SELECT seq, at, actor, act, subject, details, hash FROM audit";

/// Where the head is kept.
#[derive(Debug)]
pub(super) struct HeadFile {
    path: PathBuf,
}

impl HeadFile {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(FILE) }
    }

    /// The head that was written last; `None`: there is none, or it cannot be read.
    pub(super) fn read(&self) -> Option<Head> {
        Head::from_text(&std::fs::read_to_string(&self.path).ok()?)
    }

    /// Writes it in one go. A failure is no reason to stop: the record itself is durable.
    pub(super) fn write(&self, head: Head) {
        let write = || {
            let text = format!("{head}\n");
            // Not cut first: a file that is made anew for each commit costs a place on the disk each time.
            let mut file = super::owned().create(true).truncate(false).open(&self.path)?;
            file.write_all(text.as_bytes())?;
            if file.metadata()?.len() > text.len() as u64 { file.set_len(text.len() as u64) } else { Ok(()) }
        };
        if let Err(error) = write() {
            tracing::warn!("the head of the audit log cannot be written to `{}`: {error}", self.path.display());
        }
    }
}

impl<'a> Batch<'a> {
    /// Does the change, and keeps a record of the act where it took effect.
    pub(super) fn audit(&mut self, act: &Act, change: Option<&'a Change>) -> Result<Applied> {
        let applied = match change {
            Some(change) => self.apply(change)?,
            None => Applied::Done,
        };
        if applied.took_effect() {
            let head = match self.head() {
                Some(head) => head,
                None => self.known_head()?,
            };
            let Record { seq, act, hash } = head.next(act);
            let sql =
                "INSERT INTO audit(seq, at, actor, act, subject, details, hash) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let (seq_, details) = (seq.cast_signed(), act.details.text());
            self.execute(sql, params![seq_, act.at, act.actor, act.act, act.subject, details, hash.0.as_slice()])?;
            self.set_head(Head { seq, hash });
        }
        Ok(applied)
    }

    /// What the next record follows on: the last row, or the head beside it where rows are missing or were changed.
    fn known_head(&self) -> Result<Head> {
        let row = head_of(self.conn)?;
        Ok(self.head_file.read().filter(|kept| kept.seq >= row.seq).unwrap_or(row))
    }
}

/// Records after this number, in order.
pub(super) fn after(conn: &Connection, seq: u64, limit: usize) -> Result<Vec<Record>> {
    let sql = format!("{RECORD} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    conn.prepare_cached(&sql)?.query_map(params![number(seq), rows(limit)], record)?.collect()
}

/// Records, newest first.
pub(super) fn list(conn: &Connection, filter: &AuditFilter) -> Result<Vec<Record>> {
    let sql = format!("{RECORD} WHERE seq < ?1 AND (?2 IS NULL OR at >= ?2) ORDER BY seq DESC LIMIT ?3");
    let before = filter.before.map_or(i64::MAX, number);
    conn.prepare_cached(&sql)?.query_map(params![before, filter.since, rows(filter.limit)], record)?.collect()
}

/// The head that the rows of a database say; the beginning where it has no log.
pub(super) fn head_of(conn: &Connection) -> Result<Head> {
    let has_log: Option<i64> =
        conn.query_row("SELECT 1 FROM sqlite_schema WHERE name = 'audit'", [], |row| row.get(0)).optional()?;
    if has_log.is_none() {
        return Ok(Head::default());
    }
    let last = conn.query_row(&format!("{RECORD} ORDER BY seq DESC LIMIT 1"), [], record).optional()?;
    Ok(last.map_or(Head::default(), |last| Head { seq: last.seq, hash: last.hash }))
}

/// Puts a head beside the database: somebody has put another database in place.
pub(super) fn put_head(folder: &Path, head: Head) {
    HeadFile::in_folder(folder).write(head);
}

fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Reads a row whatever somebody made of it: the hash tells.
fn record(row: &Row<'_>) -> Result<Record> {
    let text = |at: usize| {
        Ok::<_, rusqlite::Error>(match row.get_ref(at)? {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            ValueRef::Blob(bytes) => hex::encode(bytes),
        })
    };
    let act = Act {
        at: row.get(1).unwrap_or_default(),
        actor: text(2)?.into(),
        act: text(3)?.into(),
        subject: text(4)?.into(),
        details: Payload::from_text(text(5)?),
    };
    Ok(Record { seq: row.get::<_, i64>(0)?.cast_unsigned(), act, hash: Hash(row.get(6).unwrap_or_default()) })
}
