//! Tasks as rows.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::super::{Applied, TaskFilter};
use super::batch::{Batch, Beside, Hot};
use crate::id::{RunId, TaskId};
use crate::payload::Payload;
use crate::task::{Status, Task};
use crate::time::Timestamp;

/// The columns of [`task`].
const TASK: &str =
    "SELECT id, run, workflow, title, text, recipients, excluded, form, choices, opened_at, due, moments,
    stage, status, answer, ended_at FROM task";

impl ToSql for TaskId {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for TaskId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(|bytes| Self(Uuid::from_bytes(bytes)))
    }
}

/// The number of a status in the file.
fn code(status: Status) -> i64 {
    Status::ALL.iter().position(|other| *other == status).expect("`ALL` holds all") as i64
}

impl FromSql for Status {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let code = i64::column_result(value)?;
        let status = usize::try_from(code).ok().and_then(|code| Self::ALL.get(code));
        status.copied().ok_or(FromSqlError::OutOfRange(code))
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("lists of texts and moments are JSON")
}

/// A column of JSON.
struct Json<T>(T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

fn task(row: &Row<'_>) -> Result<Task> {
    Ok(Task {
        id: row.get(0)?,
        run: row.get(1)?,
        workflow: row.get(2)?,
        title: row.get(3)?,
        text: row.get(4)?,
        to: row.get::<_, Json<_>>(5)?.0,
        except: row.get::<_, Json<_>>(6)?.0,
        form: row.get(7)?,
        choices: row.get::<_, Json<_>>(8)?.0,
        opened_at: row.get(9)?,
        due: row.get(10)?,
        moments: row.get::<_, Json<_>>(11)?.0,
        stage: row.get(12)?,
        status: row.get(13)?,
        answer: row.get(14)?,
        ended_at: row.get(15)?,
    })
}

pub(super) fn one(conn: &Connection, id: TaskId) -> Result<Option<Task>> {
    conn.prepare_cached(&format!("{TASK} WHERE id = ?1"))?.query_row([id], task).optional()
}

pub(super) fn list(conn: &Connection, filter: &TaskFilter) -> Result<Vec<Task>> {
    // The narrowest index that serves the order, or the run's own few tasks.
    let index = match (filter.run, filter.status) {
        (Some(_), _) => "task_by_run",
        (None, Some(_)) => "task_by_status",
        (None, None) => "task_by_time",
    };
    let run = if filter.run.is_some() { "run = ?1" } else { "?1 IS NULL" };
    let status = if filter.status.is_some() { "status = ?2" } else { "?2 IS NULL" };
    let sql = format!(
        "{TASK} INDEXED BY {index} WHERE {run} AND {status} AND (?3 IS NULL OR workflow = ?3)
            AND (?4 = '[]' OR recipients = '[]'
                OR EXISTS (SELECT 1 FROM json_each(recipients) r, json_each(?4) w WHERE r.value = w.value))
            AND (opened_at, id) < (?5, ?6) ORDER BY opened_at DESC, id DESC LIMIT ?7"
    );
    // No id that is made is the largest one.
    let (at, id) = filter.before.unwrap_or((Timestamp(i64::MAX), TaskId(Uuid::max())));
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let values = params![filter.run, filter.status.map(code), filter.workflow, json(&filter.to), at, id, limit];
    conn.prepare_cached(&sql)?.query_map(values, task)?.collect()
}

/// How many are open.
pub(super) fn count_open(conn: &Connection) -> Result<u64> {
    let sql = "SELECT count(*) FROM task WHERE status = ?1";
    conn.prepare_cached(sql)?.query_row([code(Status::Open)], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

impl Batch<'_> {
    pub(super) fn open_task(&mut self, epoch: u64, task: &Task) -> Result<Applied> {
        let Some(hot) = self.claimed(task.run, epoch)? else { return Ok(Applied::Refused) };
        self.remember(task.run, Hot { beside: Beside { tasks: true, ..hot.beside }, ..hot });
        let sql =
            "INSERT INTO task(id, run, workflow, title, text, recipients, excluded, form, choices, opened_at, due,
            moments, stage, status, answer, ended_at)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT(id) DO NOTHING";
        let values = params![
            task.id,
            task.run,
            task.workflow,
            task.title,
            task.text,
            json(&task.to),
            json(&task.except),
            task.form,
            json(&task.choices),
            task.opened_at,
            task.due,
            json(&task.moments),
            task.stage,
            code(task.status),
            task.answer,
            task.ended_at,
        ];
        let fresh = self.execute(sql, values)? == 1;
        let task = if fresh { Some(task.clone()) } else { one(self.conn, task.id)? };
        Ok(task.map_or(Applied::Refused, |task| Applied::Task { task: Box::new(task), fresh }))
    }

    /// Changes an open task, and makes its run ready where it is over then.
    fn change_task(&self, id: TaskId, change: impl FnOnce(&mut Task) -> bool) -> Result<Applied> {
        let Some(mut task) = one(self.conn, id)? else { return Ok(Applied::Refused) };
        let fresh = task.status == Status::Open && change(&mut task);
        if fresh {
            let sql = "UPDATE task SET recipients = ?2, due = ?3, stage = ?4, status = ?5, answer = ?6, ended_at = ?7
                WHERE id = ?1";
            let (status, to) = (code(task.status), json(&task.to));
            self.execute(sql, params![id, to, task.due, task.stage, status, task.answer, task.ended_at])?;
            if task.status != Status::Open {
                self.wake(task.run)?;
            }
        }
        Ok(Applied::Task { task: Box::new(task), fresh })
    }

    pub(super) fn answer_task(&self, id: TaskId, answer: &Payload, at: Timestamp) -> Result<Applied> {
        self.change_task(id, |task| {
            task.answer = Some(answer.clone());
            task.close(Status::Answered, at);
            true
        })
    }

    pub(super) fn close_task(&self, id: TaskId, at: Timestamp) -> Result<Applied> {
        self.change_task(id, |task| {
            task.close(Status::Cancelled, at);
            true
        })
    }

    pub(super) fn escalate_task(&self, id: TaskId, stage: u32) -> Result<Applied> {
        self.change_task(id, |task| task.pass(stage))
    }

    /// Whether one of them is over.
    pub(super) fn any_over(&self, tasks: &[TaskId]) -> Result<bool> {
        for id in tasks {
            let sql = "SELECT status <> 0 FROM task WHERE id = ?1";
            let over = self.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
            if over.unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes what a run that has ended leaves open.
    pub(super) fn close_tasks_of(&self, run: RunId, at: Timestamp) -> Result<()> {
        let sql = "UPDATE task SET status = ?2, ended_at = ?3 WHERE run = ?1 AND status = 0";
        self.execute(sql, params![run, code(Status::Cancelled), at])?;
        Ok(())
    }

    /// What goes with a run that is not kept any longer.
    pub(super) fn remove_tasks_of(&self, run: RunId) -> Result<()> {
        self.execute("DELETE FROM task WHERE run = ?1", [run])?;
        for scope in [super::super::PROGRESS, super::super::CHARGED] {
            self.execute("DELETE FROM state WHERE scope = ?1 AND key = ?2", params![scope, run.to_string()])?;
        }
        Ok(())
    }
}
