//! MySQL and MariaDB.

mod types;

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::{Protocol, Queryable as _};
use mysql_async::{
    Conn, Error, IoError, OptsBuilder, Params, PoolConstraints, PoolOpts, QueryResult, ServerError, SslOpts,
};
use tokio::sync::Mutex;

use super::collect::Collect;
use super::fault::{self, Fault, Reason};
use super::session::{Begin, Once, Session, Work, carry_out};
use super::sqlite::counted;
use super::{Done, Server, SqlReply, Statement, Value};
use crate::effect::{Failure, Sent};

/// How long a connection that nobody uses stays open.
const IDLE: Duration = Duration::from_mins(1);
/// The statement is none that can be prepared.
const NOT_PREPARED: u16 = 1295;

/// The connections to one database.
#[derive(Default)]
pub(super) struct Pool(Mutex<Option<mysql_async::Pool>>);

impl Pool {
    /// Carries an act out on a connection of its own for that time.
    pub(super) async fn perform(
        &self,
        server: &Server,
        password: Option<String>,
        most: usize,
        work: &Work,
        mut collect: Collect,
    ) -> Result<SqlReply, Failure> {
        let pool = {
            let mut pool = self.0.lock().await;
            pool.get_or_insert_with(|| mysql_async::Pool::new(options(server, password, most))).clone()
        };
        let conn = match pool.get_conn().await {
            Ok(conn) => conn,
            Err(error) => {
                // The password may be another one by now.
                self.0.lock().await.take();
                return Err(connecting(&error, &work.database));
            }
        };
        let mut session = Mysql { conn, database: &work.database, is_sent: false };
        let outcome = carry_out(&mut session, work, &mut collect).await;
        // Dropped, it goes back to the pool, which takes what is left of a result and resets it.
        drop(session);
        match outcome? {
            Some(reply) => Ok(reply),
            None => collect.finish().await,
        }
    }
}

fn options(server: &Server, password: Option<String>, most: usize) -> OptsBuilder {
    let pool = PoolOpts::default()
        .with_constraints(PoolConstraints::new(0, most).unwrap_or_default())
        .with_inactive_connection_ttl(IDLE);
    let tls = server.tls.then(|| {
        let own = server.ca_file.as_ref().map(|file| file.clone().into());
        SslOpts::default().with_disable_built_in_roots(own.is_some()).with_root_certs(own.into_iter().collect())
    });
    OptsBuilder::default()
        .ip_or_hostname(&server.host)
        .tcp_port(server.port)
        .user(Some(&server.user))
        .pass(password)
        .db_name(Some(&server.database))
        .prefer_socket(false)
        .pool_opts(pool)
        .ssl_opts(tls)
        // Times are what the database says; those that have a zone are in UTC.
        .setup(vec!["set time_zone = '+00:00'"])
}

/// Why no connection came to be: nothing was asked yet.
fn connecting(error: &Error, name: &str) -> Failure {
    match error {
        Error::Server(error) => told(error).of(name, None),
        error => fault::network(name, error, Sent::No),
    }
}

struct Mysql<'a> {
    conn: Conn,
    database: &'a str,
    is_sent: bool,
}

impl Mysql<'_> {
    fn failed(&self, error: &Error, statement: Option<(usize, &Statement)>) -> Failure {
        match error {
            Error::Server(error) => told(error).of(self.database, statement),
            Error::Io(IoError::Io(_)) | Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
                fault::network(self.database, error, if self.is_sent { Sent::Maybe } else { Sent::No })
            }
            error => Fault::new(Reason::Other, "", error.to_string()).of(self.database, statement),
        }
    }

    async fn control(&mut self, text: &str) -> Result<(), Failure> {
        let done = self.conn.query_drop(text).await;
        done.map_err(|error| self.failed(&error, None))
    }

    /// What came of a statement; its error is still that of the server.
    async fn ran(&mut self, statement: &Statement, collect: &mut Collect) -> Result<Result<Done, Failure>, Error> {
        match self.conn.prep(&statement.text).await {
            Ok(prepared) => {
                if let Err(failure) = counted(self.database, usize::from(prepared.num_params()), statement) {
                    return Ok(Err(failure));
                }
                let values: Vec<_> = statement.params.iter().map(types::given).collect();
                let params = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
                self.is_sent = true;
                taken(self.conn.exec_iter(prepared, params).await?, collect).await
            }
            Err(Error::Server(error)) if error.code == NOT_PREPARED && statement.params.is_empty() => {
                self.is_sent = true;
                taken(self.conn.query_iter(&statement.text).await?, collect).await
            }
            Err(error) => Err(error),
        }
    }
}

async fn taken<P: Protocol>(
    mut result: QueryResult<'_, '_, P>,
    collect: &mut Collect,
) -> Result<Result<Done, Failure>, Error> {
    let columns = result.columns().unwrap_or_else(|| Arc::from([]));
    let names = columns.iter().map(|column| column.name_str().into_owned()).collect();
    if !columns.is_empty()
        && let Err(failure) = collect.head(names).await
    {
        return Ok(Err(failure));
    }
    while let Some(row) = result.next().await? {
        let values = row.unwrap().into_iter().zip(&*columns).map(|(value, column)| types::taken(value, column));
        let values: Vec<Value> = values.collect();
        if let Err(failure) = collect.row(values).await {
            return Ok(Err(failure));
        }
    }
    let affected = if columns.is_empty() { result.affected_rows() } else { 0 };
    let last_id = result.last_insert_id().filter(|id| *id > 0).and_then(|id| i64::try_from(id).ok());
    result.drop_result().await?;
    Ok(Ok(Done { affected, last_id, ..Done::default() }))
}

impl Session for Mysql<'_> {
    const ONCE: Once = Once {
        create: "create table if not exists panta_once \
                 (id varchar(200) primary key, result longtext not null, at timestamp not null default current_timestamp)",
        insert: "insert ignore into panta_once (id, result) values (?, '')",
        select: "select result from panta_once where id = ?",
        update: "update panta_once set result = ? where id = ?",
    };

    async fn begin(&mut self, how: Begin, time: Duration) -> Result<(), Failure> {
        // The server ends by itself what nobody waits for any more: MariaDB by the one, MySQL (what reads) by the other.
        let seconds = time.as_secs_f64();
        if self.conn.query_drop(format!("set session max_statement_time = {seconds}")).await.is_err() {
            let most = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
            let _ = self.conn.query_drop(format!("set session max_execution_time = {most}")).await;
        }
        match how {
            Begin::Alone => Ok(()),
            Begin::Reading => {
                // For the whole session: a statement that commits by itself would leave the transaction.
                self.control("set session transaction read only").await?;
                self.control("start transaction read only").await
            }
            Begin::Writing => self.control("start transaction").await,
        }
    }

    async fn run(&mut self, number: usize, statement: &Statement, collect: &mut Collect) -> Result<Done, Failure> {
        match self.ran(statement, collect).await {
            Ok(done) => done,
            Err(error) => Err(self.failed(&error, Some((number, statement)))),
        }
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.control("commit").await
    }

    async fn rollback(&mut self) {
        let _ = self.conn.query_drop("rollback").await;
    }
}

fn told(error: &ServerError) -> Fault {
    let reason = match error.code {
        1062 | 1586 => Reason::Unique,
        1216 | 1217 | 1451 | 1452 => Reason::ForeignKey,
        1048 | 1364 => Reason::NotNull,
        3819 | 4025 => Reason::Check,
        1020 => Reason::Serialization,
        1213 => Reason::Deadlock,
        1205 => Reason::Busy,
        1064 | 1065 => Reason::Syntax,
        1146 | 1054 | 1049 | 1305 => Reason::Undefined,
        1044 | 1142 | 1143 | 1227 | 1370 => Reason::Permission,
        1045 | 1698 | 1130 => Reason::Auth,
        1792 | 1290 => Reason::ReadOnly,
        3024 | 1969 | 1317 => Reason::TimedOut,
        1040 | 1203 | 1226 | 1053 => Reason::Unavailable,
        _ => Reason::Other,
    };
    // `Duplicate entry 'a' for key 'name'`.
    let constraint = (reason == Reason::Unique).then(|| error.message.rsplit('\'').nth(1).map(str::to_owned)).flatten();
    Fault { constraint, ..Fault::new(reason, error.code.to_string(), error.message.clone()) }
}
