//! Runs and events as rows.

use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Result, Row};
use uuid::Uuid;

use super::super::{Event, Rollback, Run, Sla, Status};
use crate::id::{RunId, Version};
use crate::payload::Payload;
use crate::time::Timestamp;

/// The columns of [`run`], for `WHERE r.id = …`.
pub(super) const RUN: &str = "SELECT r.id, w.name, b.version, d.settings, r.status, d.input, ifnull(d.output, o.output), ifnull(d.error, o.error),
    d.\"trigger\", r.parent, d.key, r.priority, r.created_at, r.started_at, r.ended_at, r.waiting_for, r.wake_at,
    r.cancel, r.ready, r.rollback, r.charged, r.owner, r.epoch, r.chain, r.continued_as, d.mailbox, r.sla_at,
    r.sla_notify, r.expires_at
    FROM run r JOIN workflow w ON w.id = r.workflow JOIN bundle b ON b.id = r.version JOIN run_data d ON d.id = r.id
    LEFT JOIN outcome o ON o.id = r.id WHERE r.id = ?1";

/// The columns of [`event`].
pub(super) const EVENT: &str = "SELECT seq, id, name, key, payload, run, at FROM event";

impl ToSql for RunId {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for RunId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(|bytes| Self(Uuid::from_bytes(bytes)))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl ToSql for Payload {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(self.text().into())
    }
}

impl FromSql for Payload {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::from_text)
    }
}

/// The number of a status in the file.
pub(super) fn status_code(status: Status) -> i64 {
    Status::ALL.iter().position(|other| *other == status).expect("`ALL` holds all") as i64
}

impl FromSql for Status {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let code = i64::column_result(value)?;
        let status = usize::try_from(code).ok().and_then(|code| Self::ALL.get(code));
        status.copied().ok_or(FromSqlError::OutOfRange(code))
    }
}

/// The number of a rollback in the file.
pub(super) fn rollback_code(rollback: Rollback) -> i64 {
    match rollback {
        Rollback::None => 0,
        Rollback::Complete => 1,
        Rollback::Incomplete => 2,
    }
}

impl FromSql for Rollback {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match i64::column_result(value)? {
            0 => Ok(Self::None),
            1 => Ok(Self::Complete),
            2 => Ok(Self::Incomplete),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// Reads a run from the columns of [`RUN`].
pub(super) fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        workflow: row.get(1)?,
        version: Version(row.get::<_, Arc<str>>(2)?),
        settings: row.get(3)?,
        status: row.get(4)?,
        input: row.get(5)?,
        output: row.get(6)?,
        error: row.get(7)?,
        trigger: row.get(8)?,
        parent: row.get(9)?,
        key: row.get(10)?,
        priority: row.get(11)?,
        created_at: row.get(12)?,
        started_at: row.get(13)?,
        ended_at: row.get(14)?,
        waiting_for: row.get(15)?,
        wake_at: row.get(16)?,
        cancel: row.get(17)?,
        ready: row.get(18)?,
        rollback: row.get(19)?,
        charged: row.get(20)?,
        owner: row.get(21)?,
        epoch: row.get::<_, i64>(22)?.cast_unsigned(),
        chain: row.get(23)?,
        continued_as: row.get(24)?,
        mailbox: row.get(25)?,
        sla: match row.get::<_, Option<Timestamp>>(26)? {
            Some(at) => Some(Sla { at, notify: row.get(27)? }),
            None => None,
        },
        expires_at: row.get(28)?,
    })
}

/// Reads an event from the columns of [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> Result<Event> {
    Ok(Event {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        id: row.get(1)?,
        name: row.get(2)?,
        key: row.get(3)?,
        payload: row.get(4)?,
        run: row.get(5)?,
        at: row.get(6)?,
    })
}
