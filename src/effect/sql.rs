//! Databases: SQLite files, PostgreSQL, MySQL and MariaDB.
//!
//! A statement and its parameters go to the database apart from each other: nothing is ever put into the text. What only reads
//! runs where the database itself refuses to write. Whatever the database, an act is the same ([`session`]): begin, run the
//! statements, commit; rows go to memory within bounds, or to a file as they come ([`collect`]).
//!
//! Servers are talked to on a thread of its own, so that the workers share their connections ([`databases`]).

mod collect;
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), expect(unused, reason = "it is there for servers"))]
mod databases;
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), expect(unused, reason = "it is there for servers"))]
mod fault;
#[cfg(feature = "mysql")]
mod mysql;
mod named;
#[cfg(feature = "postgres")]
mod postgres;
mod session;
mod sqlite;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::allow::allow_line;
use super::file::{self, FileStat, Inflow, Place};
use super::{Allow, Attempt, Failure, Kind, Limits, Secrets, Target};
use collect::Collect;
pub use databases::{Database, Databases, MAX_ROWS, POOL, Password, Server, Where};
use named::Style;
use session::{Act as Job, Work};
pub use value::{Rows, Value};

/// What an act may take unasked: reports run for seconds, and a lock that is held longer is somebody's mistake.
const TIME: Duration = Duration::from_mins(1);

/// What is asked of a database.
#[derive(Clone, PartialEq, Debug)]
pub struct SqlRequest {
    /// Its name, as `allow.sql` and `[databases]` have it.
    pub database: String,
    /// What to do.
    pub act: Act,
    /// How long it may take; a minute where it is left out.
    pub timeout: Option<Duration>,
    /// The most rows that are returned; as the configuration says where it is left out.
    pub max_rows: Option<u64>,
    /// The CSV file that gets the rows.
    pub save_to: Option<String>,
}

/// What to do with a database.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// Reads.
    Query(Asked),
    /// One statement that may write, committed by itself.
    Execute(Asked),
    /// Statements that happen together or not at all.
    Transaction {
        /// In order.
        statements: Vec<Asked>,
        /// Whether the database itself notes that it happened, so that a second try finds it.
        once: bool,
    },
}

/// A statement as a script gives it.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// The text, with placeholders.
    pub text: String,
    /// What stands for them.
    pub params: Params,
}

/// Values for the placeholders of a statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Params {
    /// In the order of the placeholders, which are those of the database.
    Positional(Vec<Value>),
    /// For `:name`.
    Named(Vec<(String, Value)>),
}

/// What a database answered.
#[derive(Clone, PartialEq, Debug)]
pub enum SqlReply {
    /// Rows.
    Rows(Rows),
    /// Rows, in a file.
    Saved {
        /// The file.
        file: FileStat,
        /// How many rows are in it.
        rows: u64,
    },
    /// What a statement did.
    Done(Done),
    /// What each statement of a transaction did.
    All(Vec<Done>),
}

/// What a statement did.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Done {
    /// Rows that it changed.
    pub affected: u64,
    /// The id that the database gave to the last row that was added, where it says so.
    pub last_id: Option<i64>,
    /// What it returned (`… returning id`).
    pub rows: Rows,
}

/// A statement as the database gets it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Statement {
    text: String,
    params: Vec<Value>,
}

impl SqlRequest {
    pub(super) fn kind(&self) -> Kind {
        match self.act {
            Act::Query(_) if self.save_to.is_none() => Kind::Reading,
            _ => Kind::Mutating,
        }
    }

    /// Whether a second execution leaves the world as one would.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.act, Act::Query(_) | Act::Transaction { once: true, .. })
    }

    pub(super) fn arguments(&self) -> serde_json::Value {
        let values = |params: &Params| match params {
            Params::Positional(values) => values.iter().map(Value::to_json).collect(),
            Params::Named(pairs) => json!(pairs.iter().map(|(name, v)| json!([name, v.to_json()])).collect::<Vec<_>>()),
        };
        let asked = |asked: &Asked| json!([asked.text, values(&asked.params)]);
        let (what, statements, once) = match &self.act {
            Act::Query(one) => ("query", vec![asked(one)], false),
            Act::Execute(one) => ("execute", vec![asked(one)], false),
            Act::Transaction { statements, once } => ("transaction", statements.iter().map(asked).collect(), *once),
        };
        let time = self.timeout.map(|time| time.as_millis() as u64);
        json!(["sql", self.database, what, statements, once, time, self.max_rows, self.save_to])
    }
}

/// Whether a workflow may use this database.
pub(super) fn admit(request: &SqlRequest, allow: &Allow) -> Result<(), Failure> {
    let name = &request.database;
    if allow.sql.iter().any(|listed| listed == name) {
        return Ok(());
    }
    let line = allow_line("sql", allow.sql.iter().cloned(), name);
    Err(Failure::denied(format!(
        "the database `{name}` is not among those of this workflow; hint: add `{line}` to `workflow(#{{ … }})`"
    )))
}

/// Asks a database.
pub(super) async fn perform(
    request: &SqlRequest,
    attempt: &Attempt<'_>,
    place: Place,
    limits: &Limits,
    databases: Option<&Arc<Databases>>,
) -> Result<SqlReply, Failure> {
    admit(request, attempt.allow)?;
    let database = Databases::find(databases, &request.database)?;
    let work = Work {
        database: request.database.clone(),
        act: job(request, database.style(), attempt.secrets)?,
        time: request.timeout.unwrap_or(TIME),
        key: attempt.idempotency_key.to_owned(),
    };
    let collect = match &request.save_to {
        Some(path) => {
            let path = path.clone();
            let spot = file::off_thread(move || place.target(&path)).await?;
            Collect::into_file(Inflow::start(spot, attempt.idempotency_key.to_owned(), limits.saved_bytes).await?)
        }
        None => Collect::bounded(request.max_rows.unwrap_or(database.max_rows), limits.body_bytes),
    };
    match &database.place {
        Where::Sqlite(path) => sqlite::perform(path.clone(), work, collect).await,
        Where::Postgres(_) | Where::Mysql(_) => Databases::perform(databases, work, collect).await,
    }
}

/// The statements as the database gets them, with the secrets that are for it.
fn job(request: &SqlRequest, style: Style, secrets: &dyn Secrets) -> Result<Job, Failure> {
    let target = Target::Database(&request.database);
    let statement = |asked: &Asked| -> Result<Statement, Failure> {
        let (text, mut params) = match &asked.params {
            Params::Positional(values) => (asked.text.clone(), values.clone()),
            Params::Named(pairs) => named::positional(&asked.text, pairs, style)?,
        };
        for value in &mut params {
            if let Value::Text(text) | Value::Json(text) = value {
                *text = secrets.resolve(text, target)?.into_owned();
            }
        }
        Ok(Statement { text, params })
    };
    Ok(match &request.act {
        Act::Query(asked) => Job::Query(statement(asked)?),
        Act::Execute(asked) => Job::Execute(statement(asked)?),
        Act::Transaction { statements, once } => {
            Job::Transaction { statements: statements.iter().map(statement).collect::<Result<_, _>>()?, once: *once }
        }
    })
}
