//! The databases that the configuration names, and the connections to servers, which all workers share.
//!
//! Servers are talked to on one thread of their own ([`Aside`]); it is there once the first one is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::collect::Collect;
use super::named::Style;
use super::session::Work;
use super::{SqlReply, fault};
use crate::effect::Failure;
use crate::effect::aside::{self, Aside, Ended};

/// Rows that a query returns, at most, unless it is said: each is a value of the script and part of its journal.
pub const MAX_ROWS: u64 = 10_000;
/// Connections to a server at a time, unless it is said: a server is set up for a hundred or so, from all its users.
pub const POOL: usize = 8;

/// A database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Database {
    /// Where it is.
    pub place: Where,
    /// The name of the secret that is the password.
    pub secret: Option<String>,
    /// Rows that a query returns, at most, unless it says so.
    pub max_rows: u64,
    /// Connections at a time, at most.
    pub pool: usize,
}

/// Where a database is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Where {
    /// A file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Server),
    /// A MySQL or MariaDB server.
    Mysql(Server),
}

/// A server, and whom it knows us as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The name that the database has there.
    pub database: String,
    /// Whether the connection is by TLS, with the server's certificate checked.
    pub tls: bool,
    /// The certificates that are trusted, in place of the usual ones: a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl Database {
    pub(super) fn style(&self) -> Style {
        match self.place {
            Where::Postgres(_) => Style::Dollar,
            Where::Sqlite(_) | Where::Mysql(_) => Style::Question,
        }
    }
}

/// Gives the password of a database: its name, and that of the secret. The error says why there is none.
pub type Password = dyn Fn(&str, &str) -> Result<String, String> + Send + Sync;

/// All databases, by name.
pub struct Databases {
    all: BTreeMap<String, Known>,
    password: Box<Password>,
    aside: Aside,
}

/// A database, and the connections to it.
struct Known {
    database: Database,
    #[cfg(feature = "postgres")]
    postgres: Arc<super::postgres::Pool>,
    #[cfg(feature = "mysql")]
    mysql: Arc<super::mysql::Pool>,
}

impl Databases {
    /// Those of a configuration.
    pub fn new(all: BTreeMap<String, Database>, password: Box<Password>) -> Self {
        let known = |database: Database| Known {
            #[cfg(feature = "postgres")]
            postgres: Arc::new(super::postgres::Pool::new(database.pool)),
            #[cfg(feature = "mysql")]
            mysql: Arc::default(),
            database,
        };
        Self {
            all: all.into_iter().map(|(name, database)| (name, known(database))).collect(),
            password,
            aside: Aside::new("databases"),
        }
    }

    /// The database of this name.
    pub(super) fn find<'a>(all: Option<&'a Arc<Self>>, name: &str) -> Result<&'a Database, Failure> {
        Self::known(all, name).map(|known| &known.database)
    }

    fn known<'a>(all: Option<&'a Arc<Self>>, name: &str) -> Result<&'a Known, Failure> {
        let found = all.and_then(|all| all.all.get(name));
        found.ok_or_else(|| {
            let message = format!("there is no database `{name}`");
            let hint = format!("add a section `[databases.{name}]` with `url` to `panta.toml`");
            Failure::new("not_found", format!("{message}; hint: {hint}"))
        })
    }

    /// Asks a server, on the thread for that. Dropped, it is given up there, too.
    pub(super) async fn perform(all: Option<&Arc<Self>>, work: Work, collect: Collect) -> Result<SqlReply, Failure> {
        let known = Self::known(all, &work.database)?;
        let password = match (&known.database.secret, all) {
            (Some(secret), Some(all)) => Some(
                (all.password)(&work.database, secret)
                    .map_err(|why| Failure::denied(format!("database `{}`: {why}", work.database)))?,
            ),
            _ => None,
        };
        let runtime = all
            .and_then(|all| all.aside.runtime())
            .ok_or_else(|| Failure::new("network", "the system gives no thread to talk to databases").retryable())?;
        let (database, time) = (work.database.clone(), work.time);
        let talk = match &known.database.place {
            #[cfg(feature = "postgres")]
            Where::Postgres(server) => {
                let (pool, server) = (Arc::clone(&known.postgres), server.clone());
                runtime.spawn(async move { pool.perform(&server, password, &work, collect).await })
            }
            #[cfg(feature = "mysql")]
            Where::Mysql(server) => {
                let (pool, server, most) = (Arc::clone(&known.mysql), server.clone(), known.database.pool);
                runtime.spawn(async move { pool.perform(&server, password, most, &work, collect).await })
            }
            _ => {
                let message = format!("database `{database}`: this build cannot talk to such servers");
                return Err(Failure::new(
                    "not_found",
                    format!("{message}; hint: build it with `postgres` and `mysql`"),
                ));
            }
        };
        match aside::within(time, talk).await {
            Ended::Done(outcome) => outcome,
            Ended::Stopped => Err(Failure::new("sql", "the daemon is going down; hint: it is redone by itself")
                .retryable()
                .maybe_sent()),
            Ended::TimedOut => Err(fault::timed_out(&database, time)),
        }
    }
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.all.keys()).finish()
    }
}
