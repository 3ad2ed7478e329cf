//! `sql::…` against PostgreSQL and MariaDB (or MySQL).

use serde_json::{Value, json};
use url::Url;

use super::program::Running;
use crate::cli::Place;

/// A database, the certificates to trust, and the module for it.
struct Database {
    url: Url,
    ca_file: String,
    module: &'static str,
}

impl Database {
    /// The one that listens with the password in this file.
    fn new(running: &Running, module: &'static str, scheme: &str, password: &str, place: &str) -> Self {
        let password = running.ask(&format!("cat data/{password}")).expect("its password");
        let url = format!("{scheme}://app:{password}@{place}").parse().expect("an address");
        Self { url, ca_file: running.ask("realpath data/ca.crt").expect("its certificate"), module }
    }
}

/// All that is to hold of PostgreSQL.
pub(crate) fn postgres(running: &Running) {
    let database = Database::new(running, "postgres", "postgres", "secret.pg", "127.0.0.1:15432/postgres");
    postgres_gives_and_takes_every_type(&database);
    postgres_writes_refuses_and_remembers(&database);
    both(&database);
}

/// All that is to hold of MariaDB.
pub(crate) fn mariadb(running: &Running) {
    let database = Database::new(running, "mariadb", "mysql", "secret.app", "127.0.0.1:13306/app");
    mariadb_gives_and_takes_every_type(&database);
    mariadb_writes_refuses_and_remembers(&database);
    both(&database);
}

fn both(database: &Database) {
    the_module_puts_rows_in_place(database);
    deadlocks_are_undone_and_done_again(database);
    a_wrong_password_is_told_and_never_shown(database);
    a_server_whose_certificate_nobody_signed_is_not_talked_to(database);
}

/// A folder with a configuration for this database, called `db`, and its password as a secret.
fn place(database: &Database, script: &str) -> Place {
    let mut url = database.url.clone();
    url.set_password(None).expect("a host");
    let ca_file = format!("ca_file = {:?}\n", database.ca_file);
    let config =
        format!("[databases.db]\nurl = \"{url}\"\nsecret = \"db\"\n{ca_file}\n[secrets.for]\ndb = [\"database:db\"]\n");
    let head = "workflow(#{ allow: #{ sql: [\"db\"], secrets: [\"db\"] } });\nfn fails(f) { let e = attempt(f).error; [e.kind, e.reason] }\n";
    Place::new(&[("panta.toml", &config), ("scripts/w.rhai", &format!("{head}{script}"))])
}

/// What the script gives.
fn run(place: &Place, password: &str) -> Value {
    let mut command = place.command(&["--config", "panta.toml", "--data", "data", "run", "scripts/w.rhai", "--json"]);
    let came = command.env("PANTA_SECRET_DB", password).output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&came.stdout), String::from_utf8_lossy(&came.stderr));
    assert!(came.status.success(), "{out}{err}");
    let ended: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).expect("JSON");
    ended["output"].clone()
}

fn output(database: &Database, script: &str) -> Value {
    run(&place(database, script), database.url.password().expect("a password"))
}

fn postgres_gives_and_takes_every_type(database: &Database) {
    let given = output(
        database,
        r#"
let one = |text, params| sql::query("db", text, params)[0];
let a = one.call(`select true as b, 2::int2 as s, 3::int4 as i, 4::int8 as l, 1.5::float4 as f, 0.1::float8 as d,
    12.50::numeric(10,2) as n, 'ü'::text as t, 'x'::char(3) as c, '\x00ff'::bytea as y, '{"a":[1,2.5]}'::jsonb as j,
    date '2026-01-31' as day, time '12:00:05.5' as clock, timestamp '2026-01-31 12:00' as ts,
    timestamptz '2026-01-31 12:00+02' as tz, interval '1 day 2 hours' as iv, array[1,null,3] as arr,
    '550e8400-e29b-41d4-a716-446655440000'::uuid as u, inet '10.0.0.1' as ip, null::int as z`, []);
let b = one.call(`select $1::int8 + 1 as i, $2::numeric as n, $3::date as d, $4::bytea as y, $5::jsonb as j, $6::int[] as arr,
    $7::uuid as u, $8::boolean as b, $9::text as t, $10::timestamptz as tz`,
    [41, decimal("12345678901234567.890"), "2026-02-01", a.y, #{ k: [1] }, [1, 2], a.u, true, "'; drop table x; --", "2026-01-31T12:00:00Z"]);
let c = one.call("select :n::int + :n as twice, '12:30'::time as t", #{ n: 21 });
[a, b, c, type_of(a.n), type_of(a.y)]
"#,
    );
    let row = json!({
        "b": true, "s": 2, "i": 3, "l": 4, "f": 1.5, "d": 0.1, "n": "12.50", "t": "ü", "c": "x  ", "y": "AP8=", "j": { "a": [1, 2.5] },
        "day": "2026-01-31", "clock": "12:00:05.5", "ts": "2026-01-31T12:00:00", "tz": "2026-01-31T10:00:00Z", "iv": "P1DT2H",
        "arr": [1, null, 3], "u": "550e8400-e29b-41d4-a716-446655440000", "ip": "10.0.0.1", "z": null,
    });
    let back = json!({
        "i": 42, "n": "12345678901234567.890", "d": "2026-02-01", "y": "AP8=", "j": { "k": [1] }, "arr": [1, 2],
        "u": "550e8400-e29b-41d4-a716-446655440000", "b": true, "t": "'; drop table x; --", "tz": "2026-01-31T12:00:00Z",
    });
    assert_eq!(given, json!([row, back, { "twice": 42, "t": "12:30:00" }, "decimal", "blob"]));
}

fn postgres_writes_refuses_and_remembers(database: &Database) {
    let given = output(
        database,
        r#"
sql::execute("db", "drop table if exists panta_orders");
sql::execute("db", "create table panta_orders (id serial primary key, who text unique not null, total numeric(10,2))");
let add = "insert into panta_orders (who, total) values ($1, $2) returning id";
let a = sql::execute("db", add, ["ann", decimal("12.50")]);
let b = sql::transaction("db", [[add, ["bob", 1]], ["update panta_orders set total = total + 1"], ["select count(*) as n from panta_orders"]]);
let once = || sql::transaction("db", [["update panta_orders set total = total * 2 where who = $1 returning total", ["ann"]]],
    #{ once: true, idempotency_key: "order-" + run_id() });
let c = once.call();
let d = once.call();
let saved = sql::query("db", "select g as n, 'a,b' as t from generate_series(1, 200000) g", [], #{ save_to: "all.csv" });
[a.affected, a.rows[0].id, b.map(|one| one.affected), b[2].rows[0].n, c[0].rows[0].total, c == d, saved.rows, file::stat("all.csv").size == saved.size,
 fails(|| sql::execute("db", add, ["ann", 1])), fails(|| sql::query("db", "delete from panta_orders")),
 fails(|| sql::query("db", "with x as (delete from panta_orders returning id) select * from x")),
 fails(|| sql::query("db", "selec 1")), fails(|| sql::query("db", "select * from nowhere")), fails(|| sql::execute("db", add, [(), 1])),
 fails(|| sql::query("db", "select pg_sleep(30)", [], #{ timeout: "300ms", retry: 1 })), fails(|| sql::query("db", "select $1", [])),
 fails(|| sql::query("db", "select g from generate_series(1, 20000) g")), fails(|| sql::query("db", "select point '(1,2)' as p")),
 sql::query("db", "select who, total from panta_orders order by id")]
"#,
    );
    assert_eq!(
        given,
        json!([
            1, 1, [1, 2, 0], 2, "27.00", true, 200_000, true,
            ["sql", "unique"], ["sql", "read_only"], ["sql", "read_only"], ["sql", "syntax"], ["sql", "undefined"], ["sql", "not_null"],
            ["timeout", "timeout"], ["invalid", null], ["limit", null], ["sql", "other"],
            [{ "who": "ann", "total": "27.00" }, { "who": "bob", "total": "2.00" }],
        ])
    );
}

fn mariadb_gives_and_takes_every_type(database: &Database) {
    let given = output(
        database,
        r#"
sql::execute("db", "drop table if exists panta_types");
sql::execute("db", `create table panta_types (i int, l bigint unsigned, n decimal(20,3), f float, d double, t varchar(50), y blob, day date, dt datetime(3),
    ts timestamp null, clock time, bit1 bit(8), j json)`);
sql::execute("db", "insert into panta_types values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [-1, decimal("18446744073709551615"), decimal("12345678901234567.890"), 0.5, 0.1, "'; drop table x; --ü", base64::decode("AP8="), "2026-01-31",
     "2026-01-31T12:00:05.5", "2026-01-31 12:00:00", "26:03:04", 5, #{ a: [1] }]);
let a = sql::query("db", "select * from panta_types where t = :t and n = :n", #{ t: "'; drop table x; --ü", n: decimal("12345678901234567.890") })[0];
a.j = json::parse(a.j.to_string());
[a, type_of(a.n), type_of(a.y), sql::query("db", "select null as z, ? as p", [true])[0]]
"#,
    );
    let row = json!({
        "i": -1, "l": "18446744073709551615", "n": "12345678901234567.890", "f": 0.5, "d": 0.1, "t": "'; drop table x; --ü", "y": "AP8=",
        "day": "2026-01-31", "dt": "2026-01-31T12:00:05.5", "ts": "2026-01-31T12:00:00Z", "clock": "26:03:04", "bit1": 5, "j": { "a": [1] },
    });
    assert_eq!(given, json!([row, "decimal", "blob", { "z": null, "p": 1 }]));
}

fn mariadb_writes_refuses_and_remembers(database: &Database) {
    let given = output(
        database,
        r#"
sql::execute("db", "drop table if exists panta_orders");
sql::execute("db", "create table panta_orders (id int auto_increment primary key, who varchar(50) not null unique, total decimal(10,2)) engine=innodb");
let add = "insert into panta_orders (who, total) values (?, ?)";
let a = sql::execute("db", add, ["ann", decimal("12.50")]);
let b = sql::transaction("db", [[add, ["bob", 1]], ["update panta_orders set total = total + 1"], ["select count(*) as n from panta_orders"]]);
let once = || sql::transaction("db", [["update panta_orders set total = total * 2 where who = ?", ["ann"]]],
    #{ once: true, idempotency_key: "order-" + run_id() });
let c = once.call();
let d = once.call();
let saved = sql::query("db", "select seq as n, 'a,b' as t from seq_1_to_200000", [], #{ save_to: "all.csv" });
[a.affected, a.last_id, b.map(|one| one.affected), b[2].rows[0].n, c == d, saved.rows, file::stat("all.csv").size == saved.size,
 fails(|| sql::execute("db", add, ["ann", 1])), fails(|| sql::query("db", "delete from panta_orders")),
 fails(|| sql::query("db", "create table panta_x (i int)")), fails(|| sql::query("db", "truncate table panta_orders")),
 fails(|| sql::query("db", "selec 1")), fails(|| sql::query("db", "select * from nowhere")), fails(|| sql::execute("db", add, [(), 1])),
 fails(|| sql::query("db", "select sleep(30)", [], #{ timeout: "300ms", retry: 1 }))[0], fails(|| sql::query("db", "select ?", [])),
 fails(|| sql::query("db", "select seq from seq_1_to_20000")),
 sql::query("db", "select who, total from panta_orders order by id")]
"#,
    );
    assert_eq!(
        given,
        json!([
            1, 1, [1, 2, 0], 2, true, 200_000, true,
            ["sql", "unique"], ["sql", "read_only"], ["sql", "read_only"], ["sql", "read_only"], ["sql", "syntax"], ["sql", "undefined"], ["sql", "not_null"],
            "timeout", ["invalid", null], ["limit", null],
            [{ "who": "ann", "total": "27.00" }, { "who": "bob", "total": "2.00" }],
        ])
    );
}

fn the_module_puts_rows_in_place(database: &Database) {
    let module = database.module;
    let script = format!(
        r#"
import "std/{module}" as own;
sql::execute("db", "drop table if exists panta_rows");
sql::execute("db", "create table panta_rows (id int primary key, name varchar(50), total numeric(10,2))");
let rows = [];
for n in 1..=1200 {{ rows.push(#{{ id: n, name: `n${{n}}`, total: decimal("0.50") }}); }}
let a = own::insert("db", "panta_rows", rows);
own::upsert("db", "panta_rows", [#{{ id: 1, name: "new", total: 7 }}, #{{ id: 2000, name: "last", total: 8 }}], ["id"]);
own::upsert("db", "panta_rows", [#{{ id: 1 }}], ["id"]);
let seen = 0;
let b = own::pages("db", "select id from panta_rows where id > :after order by id limit 500", "id", 0, |page| seen += page[0].id);
let file = own::to_csv("db", "select id, name, total from panta_rows where id in (1, 2000) order by id", [], "two.csv");
[a, b, seen, file.rows, file::read("two.csv")]
"#
    );
    let csv = "id,name,total\n1,new,7.00\n2000,last,8.00\n";
    assert_eq!(output(database, &script), json!([1200, 1201, 1 + 501 + 1001, 2, csv]), "{module}");
}

/// Two transactions that wait for each other: one is undone and done again by itself, so both happen.
fn deadlocks_are_undone_and_done_again(database: &Database) {
    let is_postgres = database.module == "postgres";
    let mark = if is_postgres { ["$1", "$2"] } else { ["?", "?"] };
    let pause = if is_postgres { "select pg_sleep(0.5)::text as s" } else { "select sleep(0.5) as s" };
    let script = format!(
        r#"
sql::execute("db", "drop table if exists panta_pair");
sql::execute("db", "create table panta_pair (id int primary key, n int)");
sql::execute("db", "insert into panta_pair values (1, 0), (2, 0)");
let add = "update panta_pair set n = n + {} where id = {}";
fn both(add, a, b) {{ sql::transaction("db", [[add, [1, a]], ["{pause}"], [add, [1, b]]]) }}
parallel([|| both(add, 1, 2), || both(add, 2, 1)]);
sql::query("db", "select n from panta_pair order by id").map(|row| row.n)
"#,
        mark[0], mark[1]
    );
    assert_eq!(output(database, &script), json!([2, 2]));
}

fn a_wrong_password_is_told_and_never_shown(database: &Database) {
    let place = place(
        database,
        "let e = attempt(|| sql::query(\"db\", \"select 1 as n\")).error;\n[e.kind, e.reason, e.message]",
    );
    let given = run(&place, "wrong-password-7");
    assert_eq!((&given[0], &given[1]), (&json!("sql"), &json!("auth")), "{given}");
    assert!(!given.to_string().contains("wrong-password"), "{given}");
}

fn a_server_whose_certificate_nobody_signed_is_not_talked_to(database: &Database) {
    let mut url = database.url.clone();
    url.set_password(None).expect("a host");
    let config = format!(
        "[databases.db]\nurl = \"{url}\"\nsecret = \"db\"\ntls = true\n\n[secrets.for]\ndb = [\"database:db\"]\n"
    );
    let script = "workflow(#{ allow: #{ sql: [\"db\"] } });\nlet e = attempt(|| sql::query(\"db\", \"select 1 as n\", [], #{ retry: 1 })).error;\n[e.kind, e.message]";
    let place = Place::new(&[("panta.toml", &config), ("scripts/w.rhai", script)]);
    let given = run(&place, database.url.password().expect("a password"));
    assert_eq!(given[0], "network", "{given}");
    assert!(given[1].as_str().is_some_and(|message| message.to_lowercase().contains("certificate")), "{given}");
}
