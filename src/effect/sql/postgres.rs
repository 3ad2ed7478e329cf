//! PostgreSQL.
//!
//! Parameters go as text, which the server reads by the type that the statement wants: so a number, a date, a UUID or an array
//! needs no cast. Rows come in the binary form of each type.

mod array;
mod numeric;
mod tls;
mod types;

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls};
use tokio_stream::StreamExt as _;

use super::collect::Collect;
use super::fault::{self, Fault, Reason};
use super::session::{Begin, Once, Session, Work, breaks_off, carry_out};
use super::sqlite::counted;
use super::{Done, Server, SqlReply, Statement};
use crate::effect::{Failure, Sent};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection that nobody uses stays open.
const IDLE: Duration = Duration::from_mins(1);

/// The connections to one database.
pub(super) struct Pool {
    places: Semaphore,
    idle: Arc<Mutex<VecDeque<Client>>>,
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { places: Semaphore::new(most), idle: Arc::default() }
    }

    /// Carries an act out on a connection of its own for that time.
    pub(super) async fn perform(
        &self,
        server: &Server,
        password: Option<String>,
        work: &Work,
        mut collect: Collect,
    ) -> Result<SqlReply, Failure> {
        let _place = self.places.acquire().await;
        let client = match self.rested() {
            Some(client) => client,
            None => connect(server, password, &work.database).await?,
        };
        let mut session = Postgres { client, database: &work.database, is_sent: false };
        let outcome = carry_out(&mut session, work, &mut collect).await;
        let Postgres { client, .. } = session;
        let is_well = outcome.as_ref().err().is_none_or(|failure| !breaks_off(failure));
        // What this act has set must not be seen by the next one.
        if is_well && client.batch_execute("discard all").await.is_ok() {
            self.rest(client);
        }
        match outcome? {
            Some(reply) => Ok(reply),
            None => collect.finish().await,
        }
    }

    fn rested(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop_back()).find(|client| !client.is_closed())
    }

    /// Keeps a connection for a while; the one that has been there the longest goes first.
    fn rest(&self, client: Client) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(client);
        let idle = Arc::clone(&self.idle);
        tokio::runtime::Handle::current().spawn(async move {
            tokio::time::sleep(IDLE).await;
            idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        });
    }
}

async fn connect(server: &Server, password: Option<String>, name: &str) -> Result<Client, Failure> {
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).user(&server.user).dbname(&server.database);
    config.application_name("panta").connect_timeout(CONNECT);
    if let Some(password) = password {
        config.password(password);
    }
    let failed = |error: &Error| connecting(error, name);
    // Each connection is driven until it ends.
    let drive = |connection: std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>| {
        tokio::runtime::Handle::current().spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to a database ended: {error}");
            }
        });
    };
    if server.tls {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) =
            config.connect(tls::Tls::new(server, name)?).await.map_err(|error| failed(&error))?;
        drive(Box::pin(connection));
        return Ok(client);
    }
    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    let (client, connection) = config.connect(NoTls).await.map_err(|error| failed(&error))?;
    drive(Box::pin(connection));
    Ok(client)
}

/// Why no connection came to be: nothing was asked yet.
fn connecting(error: &Error, name: &str) -> Failure {
    match error.as_db_error() {
        Some(error) => told(error).of(name, None),
        None if error.to_string().contains("password missing") => {
            Fault::new(Reason::Auth, "", "the server wants a password, and no `secret` names one").of(name, None)
        }
        None => {
            let mut why = error.to_string();
            let mut source = error.source();
            while let Some(inner) = source {
                why = format!("{why}: {inner}");
                source = inner.source();
            }
            fault::network(name, &why, Sent::No)
        }
    }
}

struct Postgres<'a> {
    client: Client,
    database: &'a str,
    is_sent: bool,
}

impl Postgres<'_> {
    fn failed(&self, error: &Error, statement: Option<(usize, &Statement)>) -> Failure {
        match error.as_db_error() {
            Some(error) => told(error).of(self.database, statement),
            None if error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>) => {
                fault::network(self.database, error, if self.is_sent { Sent::Maybe } else { Sent::No })
            }
            None => {
                let mut message = error.to_string();
                if let Some(source) = error.source() {
                    message = format!("{message}: {source}");
                }
                Fault::new(Reason::Other, "", message).of(self.database, statement)
            }
        }
    }

    async fn control(&mut self, text: &str) -> Result<(), Failure> {
        self.client.batch_execute(text).await.map_err(|error| self.failed(&error, None))
    }
}

impl Session for Postgres<'_> {
    const ONCE: Once = Once {
        create: "create table if not exists panta_once \
                 (id varchar(200) primary key, result text not null, at timestamptz not null default now())",
        insert: "insert into panta_once (id, result) values ($1, '') on conflict (id) do nothing",
        select: "select result from panta_once where id = $1",
        update: "update panta_once set result = $1 where id = $2",
    };

    async fn begin(&mut self, how: Begin, time: Duration) -> Result<(), Failure> {
        let begin = match how {
            Begin::Alone => "",
            Begin::Reading => "; start transaction read only",
            Begin::Writing => "; start transaction",
        };
        // The server ends by itself what nobody waits for any more.
        let time = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).clamp(1, i32::MAX as u32);
        self.control(&format!("set statement_timeout = {time}{begin}")).await
    }

    async fn run(&mut self, number: usize, statement: &Statement, collect: &mut Collect) -> Result<Done, Failure> {
        let place = Some((number, statement));
        let prepared = self.client.prepare(&statement.text).await.map_err(|error| self.failed(&error, place))?;
        counted(self.database, prepared.params().len(), statement)?;
        let columns = prepared.columns();
        if !columns.is_empty() {
            collect.head(columns.iter().map(|column| column.name().to_owned()).collect()).await?;
        }
        self.is_sent = true;
        let params = statement.params.iter().map(|value| value as &(dyn ToSql + Sync));
        let rows = self.client.query_raw(&prepared, params).await.map_err(|error| self.failed(&error, place))?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.next().await {
            let row = row.map_err(|error| self.failed(&error, place))?;
            let value = |index| row.try_get::<_, types::Taken>(index).map(|taken| taken.0);
            let values: Result<Vec<_>, _> = (0..columns.len()).map(value).collect();
            collect.row(values.map_err(|error| self.failed(&error, place))?).await?;
        }
        let affected = if columns.is_empty() || !is_reading(&statement.text) { rows.rows_affected() } else { None };
        Ok(Done { affected: affected.unwrap_or_default(), ..Done::default() })
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.control("commit").await
    }

    async fn rollback(&mut self) {
        let _ = self.client.batch_execute("rollback").await;
    }
}

/// Whether a statement that returns rows only reads them: their number is none of rows that were changed.
fn is_reading(text: &str) -> bool {
    let first = text.trim_start().get(..6).unwrap_or_default();
    ["select", "values", "show", "table", "explai"].iter().any(|word| first.to_lowercase().starts_with(word))
}

fn told(error: &DbError) -> Fault {
    let code = error.code().code();
    let reason = match code {
        "23505" => Reason::Unique,
        "23503" => Reason::ForeignKey,
        "23502" => Reason::NotNull,
        "23514" | "23P01" => Reason::Check,
        "40001" => Reason::Serialization,
        "40P01" => Reason::Deadlock,
        "55P03" => Reason::Busy,
        "42601" => Reason::Syntax,
        "42P01" | "42703" | "42883" | "42704" | "3D000" | "3F000" => Reason::Undefined,
        "42501" => Reason::Permission,
        "28P01" | "28000" => Reason::Auth,
        "25006" => Reason::ReadOnly,
        "57014" => Reason::TimedOut,
        "53300" | "57P03" | "57P01" | "57P02" | "53400" => Reason::Unavailable,
        _ => Reason::Other,
    };
    let position = match error.position() {
        Some(ErrorPosition::Original(at)) => usize::try_from(*at).ok(),
        _ => None,
    };
    let detail = error.detail().map(|detail| format!(" ({})", detail.trim_end_matches('.'))).unwrap_or_default();
    let message = format!("{}{detail}", error.message());
    Fault { position, constraint: error.constraint().map(str::to_owned), ..Fault::new(reason, code, message) }
}
