//! An act on a database, whichever it is: what to begin, what to run, when to commit.

use std::time::Duration;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::collect::Collect;
use super::{Done, Rows, SqlReply, Statement, Value};
use crate::effect::{Failure, Field};

/// The table that notes what has happened (`once`), and its longest key: what indexes of all databases take.
const LONGEST_KEY: usize = 190;

/// What is done, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// The name of the database.
    pub(super) database: String,
    pub(super) act: Act,
    /// How long it may take.
    pub(super) time: Duration,
    /// The same on each try.
    pub(super) key: String,
}

/// What is done.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Query(Statement),
    Execute(Statement),
    Transaction { statements: Vec<Statement>, once: bool },
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    /// One statement, committed by itself.
    Alone,
    /// A transaction in which the database refuses to write.
    Reading,
    /// A transaction.
    Writing,
}

/// A conversation with a database.
pub(super) trait Session {
    /// How this database writes what `once` needs.
    const ONCE: Once;

    /// Begins.
    async fn begin(&mut self, how: Begin, time: Duration) -> Result<(), Failure>;

    /// Runs the n-th statement; its rows go to `collect`.
    async fn run(&mut self, number: usize, statement: &Statement, collect: &mut Collect) -> Result<Done, Failure>;

    /// Makes what was done durable.
    async fn commit(&mut self) -> Result<(), Failure>;

    /// Undoes what was done, as far as the database is still there.
    async fn rollback(&mut self);
}

/// The statements of `once`.
pub(super) struct Once {
    /// Makes the table where there is none.
    pub(super) create: &'static str,
    /// Adds a key (first parameter), or nothing where it is there.
    pub(super) insert: &'static str,
    /// Reads the result of a key.
    pub(super) select: &'static str,
    /// Notes a result (first parameter) of a key.
    pub(super) update: &'static str,
}

/// Carries an act out. What a query finds is left in `collect`.
pub(super) async fn carry_out<S: Session>(
    session: &mut S,
    work: &Work,
    collect: &mut Collect,
) -> Result<Option<SqlReply>, Failure> {
    match &work.act {
        Act::Query(statement) => {
            session.begin(Begin::Reading, work.time).await?;
            let done = session.run(0, statement, collect).await;
            end(session, done.as_ref().err()).await;
            done.map(|_| None)
        }
        Act::Execute(statement) => {
            session.begin(Begin::Alone, work.time).await?;
            let done = session.run(0, statement, collect).await?;
            Ok(Some(SqlReply::Done(Done { rows: collect.take(), ..done })))
        }
        Act::Transaction { statements, once } => {
            let key = once.then(|| short(&work.key));
            let done = transaction(session, statements, key, work.time, collect).await;
            if let Err(failure) = &done {
                end(session, Some(failure)).await;
            }
            done.map(|all| Some(SqlReply::All(all)))
        }
    }
}

/// Undoes what was done, where the session is not in the middle of a result that nobody takes to its end.
async fn end<S: Session>(session: &mut S, failure: Option<&Failure>) {
    if failure.is_none_or(|failure| !breaks_off(failure)) {
        session.rollback().await;
    }
}

/// Whether a failure may have left rows that were not read: its session is given up.
pub(super) fn breaks_off(failure: &Failure) -> bool {
    matches!(failure.kind, "network" | "limit" | "file")
}

async fn transaction<S: Session>(
    session: &mut S,
    statements: &[Statement],
    key: Option<String>,
    time: Duration,
    collect: &mut Collect,
) -> Result<Vec<Done>, Failure> {
    session.begin(Begin::Writing, time).await?;
    if let Some(key) = &key
        && let Some(before) = claim(session, key, time, collect).await?
    {
        session.rollback().await;
        return Ok(before);
    }
    let mut all = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        let done = session.run(number, statement, collect).await?;
        all.push(Done { rows: collect.take(), ..done });
    }
    if let Some(key) = key {
        let params = vec![Value::Text(noted(&all)), Value::Text(key)];
        run(session, S::ONCE.update, params, collect).await?;
    }
    session.commit().await?;
    Ok(all)
}

/// Notes that this transaction is under way, or gives what it did before.
async fn claim<S: Session>(
    session: &mut S,
    key: &str,
    time: Duration,
    collect: &mut Collect,
) -> Result<Option<Vec<Done>>, Failure> {
    let id = || vec![Value::Text(key.to_owned())];
    let is_missing = |failure: &Failure| failure.field("reason") == Some(&Field::Text("undefined".to_owned()));
    let claimed = match run(session, S::ONCE.insert, id(), collect).await {
        Err(failure) if is_missing(&failure) => {
            session.rollback().await;
            session.begin(Begin::Alone, time).await?;
            run(session, S::ONCE.create, Vec::new(), collect).await?;
            session.begin(Begin::Writing, time).await?;
            run(session, S::ONCE.insert, id(), collect).await?
        }
        claimed => claimed?,
    };
    if claimed.affected > 0 {
        return Ok(None);
    }
    run(session, S::ONCE.select, id(), collect).await?;
    let rows = collect.take().rows;
    let Some(Value::Text(noted)) = rows.first().and_then(|row| row.first()) else {
        // Somebody else has added it and not committed, or removed it just now.
        let message = "another try of the same transaction is under way; hint: give the step a `retry`";
        return Err(Failure::new("sql", message).retryable());
    };
    Ok(Some(read(noted)))
}

async fn run<S: Session>(
    session: &mut S,
    text: &str,
    params: Vec<Value>,
    collect: &mut Collect,
) -> Result<Done, Failure> {
    session.run(0, &Statement { text: text.to_owned(), params }, collect).await
}

fn short(key: &str) -> String {
    if key.len() <= LONGEST_KEY { key.to_owned() } else { hex::encode(Sha256::digest(key)) }
}

/// What a transaction did, as it is kept.
fn noted(all: &[Done]) -> String {
    let done = |done: &Done| json!([done.affected, done.last_id, done.rows.to_json()]);
    Json::from(all.iter().map(done).collect::<Vec<_>>()).to_string()
}

fn read(noted: &str) -> Vec<Done> {
    let all: Json = serde_json::from_str(noted).unwrap_or_default();
    let done = |one: &Json| Done {
        affected: one[0].as_u64().unwrap_or_default(),
        last_id: one[1].as_i64(),
        rows: Rows::from_json(&one[2]),
    };
    all.as_array().into_iter().flatten().map(done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_as_it_was() {
        let rows = Rows { columns: vec!["id".to_owned()], rows: vec![vec![Value::Int(7)]] };
        let all = vec![Done { affected: 2, last_id: Some(7), rows }, Done::default()];
        assert_eq!(read(&noted(&all)), all);
        assert_eq!((short("a"), short(&"x".repeat(191)).len()), ("a".to_owned(), 64));
    }
}
