//! SQLite files. Each act opens the file anew: that takes a fraction of a millisecond, and nothing stays open.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, ToSql};
use tokio::sync::oneshot;

use super::collect::Collect;
use super::fault::{self, Fault, Reason};
use super::session::{Act, Begin, Once, Session, Work, carry_out};
use super::{Done, SqlReply, Statement, Value};
use crate::effect::Failure;

/// How long is waited for somebody else's lock, at most; less where the act has less time.
const LOCKED: Duration = Duration::from_secs(10);

/// Asks a file.
pub(super) async fn perform(path: PathBuf, work: Work, mut collect: Collect) -> Result<SqlReply, Failure> {
    let (database, time) = (work.database.clone(), work.time);
    let (tell, told) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let act = tokio::task::spawn_blocking(move || {
        let mut session = Sqlite::open(&path, &work)?;
        let _ = tell.send(session.connection.get_interrupt_handle());
        runtime.block_on(async {
            match carry_out(&mut session, &work, &mut collect).await? {
                Some(reply) => Ok(reply),
                None => collect.finish().await,
            }
        })
    });
    let mut stop = Stop { told: Some(told) };
    let mut act = std::pin::pin!(act);
    let ended = tokio::select! {
        ended = &mut act => ended,
        () = tokio::time::sleep(time) => {
            stop.now();
            match act.await {
                Ok(Err(failure)) if failure.kind == "timeout" => return Err(fault::timed_out(&database, time)),
                ended => ended,
            }
        }
    };
    stop.told = None;
    match ended {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => {
            Err(Failure::new("sql", "the worker is going down; hint: it is redone by itself").retryable().maybe_sent())
        }
    }
}

/// Interrupts what runs, when nobody waits for it any more.
struct Stop {
    told: Option<oneshot::Receiver<InterruptHandle>>,
}

impl Stop {
    fn now(&mut self) {
        if let Some(Ok(handle)) = self.told.take().map(|mut told| told.try_recv()) {
            handle.interrupt();
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.now();
    }
}

struct Sqlite {
    connection: Connection,
    database: String,
    how: Begin,
}

impl Sqlite {
    fn open(path: &std::path::Path, work: &Work) -> Result<Self, Failure> {
        let reads = matches!(work.act, Act::Query(_));
        let database = work.database.clone();
        if reads && !path.exists() {
            let message = format!("database `{database}`: there is no file `{}`", path.display());
            return Err(Failure::new("not_found", format!("{message}; hint: `sql::execute` makes it")));
        }
        let how = if reads {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        let told = |error: rusqlite::Error| told(&error).of(&database, None);
        let mut connection = Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(told)?;
        connection.busy_timeout(LOCKED.min(work.time)).map_err(told)?;
        // What the file itself says must not do more than the script may.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(told)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(told)?;
        connection.authorizer(Some(no_other_files)).map_err(told)?;
        Ok(Self { connection, database, how: Begin::Alone })
    }

    fn control(&self, text: &str) -> Result<(), Failure> {
        self.connection.execute_batch(text).map_err(|error| told(&error).of(&self.database, None))
    }
}

/// A database is one file: others would be reached by `attach`, and by `vacuum into`, which attaches.
fn no_other_files(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

impl Session for Sqlite {
    const ONCE: Once = Once {
        create: "create table if not exists panta_once \
                 (id text primary key, result text not null, at text not null default current_timestamp)",
        insert: "insert or ignore into panta_once (id, result) values (?, '')",
        select: "select result from panta_once where id = ?",
        update: "update panta_once set result = ? where id = ?",
    };

    async fn begin(&mut self, how: Begin, _: Duration) -> Result<(), Failure> {
        self.how = how;
        match how {
            Begin::Alone => Ok(()),
            Begin::Reading => self.control("pragma query_only = true; begin"),
            // Whoever will write says so at once: no two can wait for each other.
            Begin::Writing => self.control("begin immediate"),
        }
    }

    async fn run(&mut self, number: usize, statement: &Statement, collect: &mut Collect) -> Result<Done, Failure> {
        let fault = |error: rusqlite::Error| {
            let mut fault = told(&error);
            // SQLite counts bytes.
            fault.position =
                fault.position.map(|at| statement.text.get(..at).map_or(at, |before| before.chars().count()) + 1);
            fault.of(&self.database, Some((number, statement)))
        };
        let before = self.connection.total_changes();
        let mut prepared = self.connection.prepare(&statement.text).map_err(fault)?;
        if self.how == Begin::Reading && !prepared.readonly() {
            let message = "the statement writes";
            return Err(Fault::new(Reason::ReadOnly, "8", message).of(&self.database, Some((number, statement))));
        }
        counted(&self.database, prepared.parameter_count(), statement)?;
        for (index, value) in statement.params.iter().enumerate() {
            prepared.raw_bind_parameter(index + 1, value).map_err(fault)?;
        }
        let columns: Vec<_> =
            prepared.columns().map(|it| (it.name().to_owned(), Declared::of(it.decl_type()))).collect();
        if !columns.is_empty() {
            collect.head(columns.iter().map(|(name, _)| name.clone()).collect()).await?;
        }
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(fault)? {
            let value =
                |(index, (_, declared)): (usize, &(String, Declared))| Ok(taken(row.get_ref(index)?, *declared));
            let values = columns.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>().map_err(fault)?;
            collect.row(values).await?;
        }
        drop(rows);
        drop(prepared);
        let affected = if self.connection.total_changes() == before { 0 } else { self.connection.changes() };
        let first = statement.text.trim_start().get(..7).unwrap_or_default().to_lowercase();
        let adds = first.starts_with("insert") || first.starts_with("replace");
        let last_id = (affected > 0 && adds).then(|| self.connection.last_insert_rowid());
        Ok(Done { affected, last_id, ..Done::default() })
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.control("commit")
    }

    async fn rollback(&mut self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("rollback");
        }
    }
}

/// How many values a statement wants, and how many it has.
pub(super) fn counted(database: &str, wanted: usize, statement: &Statement) -> Result<(), Failure> {
    let given = statement.params.len();
    if wanted == given {
        return Ok(());
    }
    let values = if wanted == 1 { "value" } else { "values" };
    let message = format!("database `{database}`: the statement wants {wanted} {values}, and {given} are given");
    Err(Failure::invalid(format!("{message}; hint: one for each placeholder, in a list")))
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null | Self::List(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Bool(flag) => ToSqlOutput::Owned(i64::from(*flag).into()),
            Self::Int(number) => ToSqlOutput::Owned((*number).into()),
            Self::Float(number) => ToSqlOutput::Owned((*number).into()),
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) => {
                ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
            }
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// What a column was declared as, where that says more than the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Declared {
    Decimal,
    Bool,
    Json,
    Other,
}

impl Declared {
    fn of(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().to_lowercase();
        match text.split('(').next().unwrap_or_default().trim() {
            "decimal" | "numeric" => Self::Decimal,
            "bool" | "boolean" => Self::Bool,
            "json" | "jsonb" => Self::Json,
            _ => Self::Other,
        }
    }
}

fn taken(value: ValueRef<'_>, declared: Declared) -> Value {
    match (value, declared) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), Declared::Bool) => Value::Bool(number != 0),
        (ValueRef::Integer(number), Declared::Decimal) => Value::Decimal(number.to_string()),
        (ValueRef::Integer(number), _) => Value::Int(number),
        (ValueRef::Real(number), Declared::Decimal) if number.is_finite() => Value::Decimal(number.to_string()),
        (ValueRef::Real(number), _) => Value::Float(number),
        (ValueRef::Text(text), declared) => {
            let text = String::from_utf8_lossy(text).into_owned();
            match declared {
                Declared::Decimal => Value::Decimal(text),
                Declared::Json => Value::Json(text),
                Declared::Bool | Declared::Other => Value::Text(text),
            }
        }
        (ValueRef::Blob(bytes), _) => Value::Bytes(bytes.to_vec()),
    }
}

/// The fault of an error; a position is in bytes, from 0.
fn told(error: &rusqlite::Error) -> Fault {
    let plain = |reason: Reason| Fault::new(reason, "", error.to_string().to_lowercase());
    let (code, message, position) = match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            (*code, message.clone().unwrap_or_else(|| code.to_string()), None)
        }
        rusqlite::Error::SqlInputError { error, msg, offset, .. } => {
            (*error, msg.clone(), usize::try_from(*offset).ok())
        }
        rusqlite::Error::MultipleStatement => {
            return Fault {
                message: "there are several statements; hint: `sql::transaction` takes a list".to_owned(),
                ..plain(Reason::Syntax)
            };
        }
        _ => return plain(Reason::Other),
    };
    let unknown = ["no such table", "no such column", "no such function"].iter().any(|it| message.contains(it));
    let reason = match (code.code, code.extended_code) {
        (_, 2067 | 1555 | 2579) => Reason::Unique,
        (_, 787 | 1811) => Reason::ForeignKey,
        (_, 1299) => Reason::NotNull,
        (ErrorCode::ConstraintViolation, _) => Reason::Check,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Reason::Busy,
        (ErrorCode::ReadOnly, _) => Reason::ReadOnly,
        (ErrorCode::OperationInterrupted, _) => Reason::TimedOut,
        (ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied, _) => Reason::Permission,
        (ErrorCode::Unknown, _) if unknown => Reason::Undefined,
        (ErrorCode::Unknown, _) if position.is_some() => Reason::Syntax,
        _ => Reason::Other,
    };
    let constraint = matches!(reason, Reason::Unique | Reason::NotNull | Reason::Check)
        .then(|| message.split_once("failed: ").map(|(_, what)| what.to_owned()))
        .flatten();
    Fault { position, constraint, ..Fault::new(reason, code.extended_code.to_string(), message) }
}

/// The field of a failure that says what went wrong.
#[cfg(test)]
pub(super) fn reason(failure: &Failure) -> &str {
    match failure.field("reason") {
        Some(crate::effect::Field::Text(reason)) => reason,
        _ => "",
    }
}
