//! SQLite files; what is the same for servers is tested here, too. Servers themselves: `tests/real/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::sqlite::reason;
use super::{Act, Asked, Database, Databases, Done, Params, Rows, Server, SqlReply, SqlRequest, Value, Where};
use crate::effect::{Allow, Attempt, Failure, Limits, NoSecrets, Performer, Reply, Request, Sent};

struct Desk {
    folder: tempfile::TempDir,
    limits: Limits,
    key: String,
}

impl Desk {
    /// A database `crm` with a table of three customers.
    async fn new() -> Self {
        let desk =
            Self { folder: tempfile::tempdir().expect("a folder"), limits: Limits::default(), key: "run-1".to_owned() };
        desk.execute("create table customers (id integer primary key, name text unique not null, paid decimal(10,2), vip boolean, scan blob)")
            .await;
        for (name, paid) in [("ann", "12.50"), ("bob", "0.1"), ("cid", "7")] {
            let values = vec![Value::Text(name.to_owned()), Value::Decimal(paid.to_owned())];
            let done = desk.ask(Act::Execute(asked("insert into customers (name, paid) values (?, ?)", values))).await;
            assert_eq!(done.map(|reply| matches!(reply, SqlReply::Done(Done { affected: 1, .. }))), Ok(true));
        }
        desk
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("crm.db")
    }

    async fn ask_with(&self, request: SqlRequest) -> Result<SqlReply, Failure> {
        let server = |host: &str, port| Server {
            host: host.to_owned(),
            port,
            user: "app".to_owned(),
            database: "app".to_owned(),
            tls: false,
            ca_file: None,
        };
        let at = |place: Where| Database { place, secret: None, max_rows: 100, pool: 1 };
        let all = BTreeMap::from([
            ("crm".to_owned(), at(Where::Sqlite(self.path()))),
            ("away".to_owned(), at(Where::Postgres(server("127.0.0.1", 1)))),
            ("gone".to_owned(), at(Where::Mysql(server("127.0.0.1", 1)))),
            (
                "locked".to_owned(),
                Database { secret: Some("x".to_owned()), ..at(Where::Postgres(server("127.0.0.1", 1))) },
            ),
        ]);
        let databases = Databases::new(all, Box::new(|_, secret| Err(format!("the secret `{secret}` is not for it"))));
        let sql = ["crm", "away", "gone", "locked", "unknown"].map(str::to_owned).to_vec();
        let allow = Allow { sql, ..Allow::default() };
        let attempt = Attempt {
            number: 1,
            idempotency_key: &self.key,
            undo: None,
            again: false,
            allow: &allow,
            secrets: &NoSecrets,
            trace: None,
        };
        let performer = Performer::new(self.limits).at(self.folder.path()).with_databases(Some(Arc::new(databases)));
        match performer.perform(&Request::Sql(Box::new(request)), attempt).await? {
            Reply::Sql(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self, act: Act) -> Result<SqlReply, Failure> {
        self.ask_with(request("crm", act)).await
    }

    async fn execute(&self, text: &str) -> Done {
        match self.ask(Act::Execute(asked(text, Vec::new()))).await {
            Ok(SqlReply::Done(done)) => done,
            other => panic!("{text}: {other:?}"),
        }
    }

    async fn query(&self, text: &str, params: Vec<Value>) -> Rows {
        match self.ask(Act::Query(asked(text, params))).await {
            Ok(SqlReply::Rows(rows)) => rows,
            other => panic!("{text}: {other:?}"),
        }
    }

    async fn fails(&self, act: Act) -> Failure {
        self.ask(act).await.expect_err("it fails")
    }
}

fn request(database: &str, act: Act) -> SqlRequest {
    SqlRequest { database: database.to_owned(), act, timeout: None, max_rows: None, save_to: None }
}

fn asked(text: &str, params: Vec<Value>) -> Asked {
    Asked { text: text.to_owned(), params: Params::Positional(params) }
}

fn plain(text: &str) -> Asked {
    asked(text, Vec::new())
}

fn query(text: &str) -> Act {
    Act::Query(plain(text))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.to_owned())
}

#[tokio::test]
async fn rows_come_as_what_they_are() {
    let desk = Desk::new().await;
    desk.execute("update customers set vip = true, scan = x'00ff' where name = 'ann'").await;
    let rows = desk
        .query("select name, paid, vip, scan, 1.5 as n, null as x from customers where name <= ?", vec![text("bob")])
        .await;
    assert_eq!(rows.columns, ["name", "paid", "vip", "scan", "n", "x"]);
    let ann = vec![
        text("ann"),
        decimal("12.5"),
        Value::Bool(true),
        Value::Bytes(vec![0, 255]),
        Value::Float(1.5),
        Value::Null,
    ];
    let bob = vec![text("bob"), decimal("0.1"), Value::Null, Value::Null, Value::Float(1.5), Value::Null];
    assert_eq!(rows.rows, [ann, bob]);
}

#[tokio::test]
async fn names_stand_for_parameters() {
    let desk = Desk::new().await;
    let params = Params::Named(vec![("who".to_owned(), text("ann' or 1=1 --"))]);
    let act =
        Act::Query(Asked { text: "select id from customers where name = :who or name = :who".to_owned(), params });
    assert_eq!(desk.ask(act).await, Ok(SqlReply::Rows(Rows { columns: vec!["id".to_owned()], rows: Vec::new() })));
    let few = desk.fails(query("select ?")).await;
    assert!(few.kind == "invalid" && few.message.contains("wants 1 value, and 0 are given"), "{few}");
}

#[tokio::test]
async fn what_writes_is_no_query() {
    let desk = Desk::new().await;
    for text in [
        "delete from customers",
        "insert into customers (name) values ('x') returning id",
        "drop table customers",
        "pragma user_version = 5",
    ] {
        let failure = desk.fails(query(text)).await;
        assert!(failure.kind == "sql" && failure.message.contains("`sql::execute`"), "{text}: {failure}");
        assert_eq!(reason(&failure), "read_only");
    }
    assert_eq!(desk.query("select count(*) as n from customers", Vec::new()).await.rows, [[Value::Int(3)]]);
}

#[tokio::test]
async fn a_statement_tells_what_it_did() {
    let desk = Desk::new().await;
    let added = desk.execute("insert into customers (name) values ('dan'), ('eve') returning name").await;
    assert_eq!((added.affected, added.last_id), (2, Some(5)));
    assert_eq!(added.rows.rows, [[text("dan")], [text("eve")]]);
    let changed = desk.execute("update customers set paid = 1").await;
    assert_eq!((changed.affected, changed.last_id), (5, None));
    assert_eq!(desk.execute("create index i on customers (paid)").await.affected, 0);
}

#[tokio::test]
async fn other_files_are_out_of_reach() {
    let desk = Desk::new().await;
    let other = desk.folder.path().join("other.db");
    for text in ["attach database 'other.db' as o".to_owned(), format!("vacuum into '{}'", other.display())] {
        let failure = desk.fails(Act::Execute(plain(&text))).await;
        assert_eq!((failure.kind, reason(&failure)), ("sql", "permission"), "{text}: {failure}");
    }
    assert!(!other.exists() && !Path::new("other.db").exists());
}

#[tokio::test]
async fn a_transaction_happens_wholly_or_not_at_all() {
    let desk = Desk::new().await;
    let transaction =
        |texts: &[&str]| Act::Transaction { statements: texts.iter().map(|text| plain(text)).collect(), once: false };
    let failure = desk
        .fails(transaction(&[
            "delete from customers where name = 'ann'",
            "insert into customers (name) values ('bob')",
        ]))
        .await;
    assert_eq!((failure.kind, reason(&failure), failure.retryable), ("sql", "unique", false));
    assert!(failure.message.contains("statement 2: ") && failure.message.contains("customers.name"), "{failure}");
    assert_eq!(desk.query("select count(*) as n from customers", Vec::new()).await.rows, [[Value::Int(3)]]);
    let done =
        desk.ask(transaction(&["delete from customers where id > 1", "select count(*) as n from customers"])).await;
    let Ok(SqlReply::All(all)) = done else { panic!("{done:?}") };
    assert_eq!((all.len(), all[0].affected, &all[1].rows.rows), (2, 2, &vec![vec![Value::Int(1)]]));
}

#[tokio::test]
async fn once_is_once_and_gives_the_same_again() {
    let mut desk = Desk::new().await;
    let add = || Act::Transaction {
        statements: vec![plain("insert into customers (name) values ('dan') returning id, paid")],
        once: true,
    };
    let first = desk.ask(add()).await.expect("is done");
    assert_eq!(desk.ask(add()).await.as_ref(), Ok(&first), "a second try finds what the first one did");
    assert_eq!(desk.query("select count(*) as n from customers", Vec::new()).await.rows, [[Value::Int(4)]]);
    desk.key = "run-2".to_owned();
    assert_eq!(reason(&desk.fails(add()).await), "unique", "another call is another one");
    assert_eq!(desk.query("select id from panta_once", Vec::new()).await.rows, [[text("run-1")]]);
}

#[tokio::test]
async fn errors_say_where_and_what() {
    let desk = Desk::new().await;
    let syntax = desk.fails(query("select 1,\n  'ü', wher")).await;
    assert_eq!(reason(&syntax), "undefined", "{syntax}");
    let syntax = desk.fails(query("select 'ü'\nfrom from customers")).await;
    assert!(reason(&syntax) == "syntax" && syntax.message.contains("(line 2, column 6)"), "{syntax}");
    for (text, expected) in [
        ("select * from nowhere", "undefined"),
        ("insert into customers (name) values (null)", "not_null"),
        ("insert into customers (id, name) values (1, 'x')", "unique"),
        ("select 1; select 2", "syntax"),
    ] {
        assert_eq!(reason(&desk.fails(Act::Execute(plain(text))).await), expected, "{text}");
    }
    let none = desk.ask_with(request("unknown", query("select 1"))).await.expect_err("is not there");
    assert!(none.kind == "not_found" && none.message.contains("[databases.unknown]"), "{none}");
    std::fs::remove_file(desk.path()).expect("is removed");
    assert_eq!(desk.fails(query("select 1")).await.kind, "not_found");
}

#[tokio::test]
async fn only_what_is_listed_is_asked() {
    let denied =
        super::admit(&request("crm", query("select 1")), &Allow { sql: vec!["erp".to_owned()], ..Allow::default() });
    let denied = denied.expect_err("is not listed");
    assert!(denied.kind == "denied" && denied.message.contains("`allow: #{ sql: [\"erp\", \"crm\"] }`"), "{denied}");
}

#[tokio::test]
async fn a_result_is_bounded_and_a_file_is_not() {
    let mut desk = Desk::new().await;
    let many =
        "with recursive c(n) as (select 1 union all select n + 1 from c where n < 50000) select n, 'a,b' as t from c";
    let failure = desk.fails(query(many)).await;
    assert!(failure.kind == "limit" && failure.message.contains("more than 100 rows"), "{failure}");
    desk.limits.body_bytes = 1_000;
    let long = SqlRequest { max_rows: Some(1_000_000), ..request("crm", query(many)) };
    assert!(desk.ask_with(long).await.expect_err("is too much").message.contains("1000 bytes"));
    let saved = desk.ask_with(SqlRequest { save_to: Some("all.csv".to_owned()), ..request("crm", query(many)) }).await;
    let Ok(SqlReply::Saved { file, rows: 50_000 }) = saved else { panic!("{saved:?}") };
    let csv = std::fs::read_to_string(desk.folder.path().join("all.csv")).expect("is there");
    assert!(csv.starts_with("n,t\n1,\"a,b\"\n") && csv.ends_with("\n50000,\"a,b\"\n") && file.size == csv.len() as u64);
}

#[tokio::test]
async fn what_takes_too_long_is_interrupted() {
    let desk = Desk::new().await;
    let endless = query("with recursive c(n) as (select 1 union all select n + 1 from c) select max(n) from c");
    let request = SqlRequest { timeout: Some(Duration::from_millis(200)), ..request("crm", endless) };
    let failure = desk.ask_with(request).await.expect_err("has no end");
    assert!(failure.kind == "timeout" && failure.retryable, "{failure}");
}

#[tokio::test]
async fn a_lock_that_is_held_is_worth_another_try() {
    let desk = Desk::new().await;
    let other = rusqlite::Connection::open(desk.path()).expect("opens");
    other.execute_batch("begin immediate").expect("locks");
    let act = Act::Execute(plain("delete from customers"));
    let failure = desk.ask_with(SqlRequest { timeout: Some(Duration::from_millis(200)), ..request("crm", act) }).await;
    let failure = failure.expect_err("is locked");
    assert!(failure.retryable && matches!(failure.kind, "sql" | "timeout"), "{failure}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_worth_another_try() {
    let desk = Desk::new().await;
    for name in ["away", "gone"] {
        let failure = desk.ask_with(request(name, query("select 1"))).await.expect_err("nobody listens");
        assert_eq!((failure.kind, failure.retryable, failure.sent), ("network", true, Sent::No), "{failure}");
        assert!(failure.message.contains(&format!("`{name}` cannot be reached")), "{failure}");
    }
    let denied = desk.ask_with(request("locked", query("select 1"))).await.expect_err("has no password");
    assert!(denied.kind == "denied" && denied.message.contains("the secret `x` is not for it"), "{denied}");
}
