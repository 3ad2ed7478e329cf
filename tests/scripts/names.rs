//! Every name that the script surface promises is one that the parser takes, called as people would call it.
//! Names that are promised for later are among them: a reserved word or a form that cannot be parsed is found today.

use std::collections::BTreeSet;

use panta::engine::script_engine;

/// A call of each function, by topic.
const CALLS: &[(&str, &[&str])] = &[
    (
        "steps and clean-up",
        &[
            r#"step("pack", || 1)"#,
            r#"step("pack", #{ retry: 5, timeout: "1m", undo: |v| v, on_error: |e| 0, at_most_once: true, idempotency_key: "k" }, || 1)"#,
            r#"once("make", || (), || 1)"#,
            r#"once("make", #{ retry: 5, undo: |v| v, on_error: |e| 0 }, || (), || 1)"#,
            "retry(3, || 1)",
            r#"retry(#{ attempts: 5, delay: "1s", factor: 2.0, max_delay: "5m", jitter: true, within: "1h", when: |e| e.status != 400 }, || 1)"#,
            r#"timeout("1s", || 1)"#,
            "attempt(|| 1)",
            r#"on_rollback("unpack", || 1)"#,
            r#"on_exit("lights", || 1)"#,
            "scope(|| 1)",
            r#"rollback("changed my mind")"#,
            "attempt_number()",
        ],
    ),
    (
        "waiting",
        &[
            r#"sleep("1h 30m")"#,
            r#"sleep_until("2030-01-01T00:00Z")"#,
            r#"wait_for("paid")"#,
            r#"wait_for("paid", #{ key: "A1", timeout: "2 weeks", when: |e| e.sum > 0, since: "1h" })"#,
            r#"wait_until(#{ every: "5s", timeout: "1h" }, || true)"#,
            "race([|| 1, || 2])",
            "race(#{ x: || 1, y: || 2 })",
            r#"task::ask(#{ title: "Pay?", text: "", to: "finance", except: ["ann"], form: #{ note: "string?" }, choices: ["yes", "no"], due: "2d", remind: "1d", escalate: [#{ after: "2d", to: "cfo" }] })"#,
        ],
    ),
    (
        "side by side",
        &[
            "parallel([|| 1, || 2])",
            "parallel(#{ x: || 1, y: || 2 })",
            "parallel_map([1, 2], |x| x)",
            "parallel_map([1, 2], #{ limit: 8, collect: true }, |x| x)",
            r#"workflow::run("child", #{})"#,
            r#"workflow::run("child", #{}, #{ key: "k" })"#,
            r#"workflow::start("child", #{})"#,
            r#"workflow::start("child", #{}, #{ key: "k", priority: 1, delay: "1h" })"#,
            r#"workflow::wait("id")"#,
            r#"workflow::cancel("id")"#,
            r#"workflow::status("id")"#,
            "workflow::continue_as(#{})",
            r#"event::emit("site.down", #{})"#,
            r#"event::emit("site.down", #{}, #{ key: "k", id: "i" })"#,
            r#"event::url("signed", #{ key: "k", expires: "1d" })"#,
            r#"lock("till", || 1)"#,
            r#"lock("till", #{ limit: 3, timeout: "1m" }, || 1)"#,
            r#"rate_limit("api", "10/s")"#,
        ],
    ),
    (
        "triggers",
        &[
            r#"trigger::cron("@daily")"#,
            r#"trigger::cron("0 8 * * MON-FRI", #{ tz: "Europe/Berlin", catch_up: "last", overlap: "skip", jitter: "1m" })"#,
            r#"trigger::every("5m")"#,
            r#"trigger::webhook("orders")"#,
            r#"trigger::webhook("orders", #{ methods: ["POST"], verify: hmac("github", secret("x")), respond: "output", dedupe: |req| 1 })"#,
            r#"trigger::file("inbox/*.csv", #{ on: "create", settle: "2s" })"#,
            r#"trigger::event("payment.*", #{ debounce: "1s", batch: #{ size: 10, within: "1m" } })"#,
            r#"trigger::mail("support")"#,
            r#"trigger::message("nats://broker.example.com/orders")"#,
            r#"trigger::sql("billing", "select 1", #{ every: "1m", cursor: "id" })"#,
            r#"trigger::run("orders/*", #{ on: "failed", when: |x| true, input: |x| x })"#,
            "trigger::startup()",
            "trigger::info()",
        ],
    ),
    (
        "declaring",
        &[
            r#"workflow(#{ title: "T", tags: ["a"], input: #{ a: "string?", b: list("int"), c: one_of("x", "y") }, output: "any", allow: #{ http: ["*.example.com"], shell: ["git"], files: ["/srv/*"], sql: ["db"], secrets: ["s"], mail: true, message: true, ai: true, std: true }, retry: 3, timeout: "1h", deadline: "60d", sla: #{ after: "4h", notify: "ops" }, concurrency: #{ key: |input| input.a, limit: 1, on_conflict: "queue" }, priority: 1, rate: "10/s", on_failure: #{ workflow: "w" }, upgrade: "pinned", keep: "90d" })"#,
            r#"hmac(#{ header: "X-Sign", algorithm: "sha256", encoding: "hex" }, secret("x"))"#,
            r#"bearer(secret("x"))"#,
            r#"token("X-Gitlab-Token", secret("x"))"#,
            r#"basic("ann", secret("x"))"#,
            r#"oauth2("crm")"#,
            r#"aws(#{ service: "s3", region: "eu-central-1" })"#,
            r#"azure_shared_key("acme", secret("x"))"#,
            r#"list("string")"#,
            r#"one_of("a", "b")"#,
            r#"secret("x")"#,
            r#"config("x")"#,
            r#"decimal("10.20")"#,
        ],
    ),
    (
        "services",
        &[
            r#"http::get("https://example.com")"#,
            r#"http::get("https://example.com", #{ headers: #{}, query: #{}, auth: oauth2("crm"), timeout: "5s", retry: 3, accept: [404], max_bytes: 10, save_to: "f", rate: "1/s" })"#,
            r#"http::post("https://example.com", #{}, #{ auth: aws(#{ service: "s3", region: "eu" }) })"#,
            r#"http::post("https://example.com", (), #{ form: #{ a: 1 }, multipart: [] })"#,
            r#"http::put("https://example.com", "x", #{ auth: azure_shared_key("a", secret("k")) })"#,
            r#"http::patch("https://example.com", #{})"#,
            r#"http::delete("https://example.com")"#,
            r#"http::head("https://example.com")"#,
            r#"http::request(#{ method: "GET", url: "https://example.com" })"#,
            r#"http::pages("https://example.com", #{ next: |res| res.body.next, rate: "5/s" }, |page| page.body)"#,
            r#"mail::send(#{ to: "a@example.com", cc: [], bcc: [], from: "b@example.com", reply_to: "", subject: "", text: "", html: "", attach: [] })"#,
            r#"shell::run("git", ["status"])"#,
            r#"shell::run("git", ["status"], #{ cwd: ".", env: #{}, stdin: "", timeout: "1m", accept: [1], save_to: "f" })"#,
            r#"sql::query("db", "select 1", [])"#,
            r#"sql::execute("db", "delete from t", [])"#,
            r#"sql::transaction("db", [["delete from t", []]])"#,
            r#"message::publish("nats://broker.example.com", "orders", #{})"#,
            r#"ai::chat("small", [#{ role: "user", content: "hi" }], #{})"#,
            r#"ai::extract("small", "text", #{ total: "decimal" })"#,
            r#"notify("ops", "it is on fire")"#,
        ],
    ),
    (
        "files",
        &[
            r#"file::read("a")"#,
            r#"file::read_blob("a")"#,
            r#"file::write("a", "x")"#,
            r#"file::append("a", "x")"#,
            r#"file::copy("a", "b")"#,
            r#"file::move("a", "b")"#,
            r#"file::remove("a")"#,
            r#"file::list("*.csv")"#,
            r#"file::exists("a")"#,
            r#"file::stat("a")"#,
            r#"file::open("a")"#,
            "file::temp()",
        ],
    ),
    (
        "data",
        &[
            r#"json::parse("1")"#,
            "json::encode(1)",
            r#"csv::parse("a;b", #{ separator: ";", decimal: ",", header: false })"#,
            "csv::encode([])",
            r#"xml::parse("<a/>")"#,
            "xml::encode(#{})",
            r#"yaml::parse("a: 1")"#,
            "yaml::encode(#{})",
            r#"toml::parse("a = 1")"#,
            "toml::encode(#{})",
            r#"template::render("{{ a }}", #{ a: 1 })"#,
            "html::table([])",
            r#"chart::svg(#{ kind: "line", x: "a", y: "b", rows: [] })"#,
            r#"regex::find("a+", "aa")"#,
            r#"regex::is_match("a+", "aa")"#,
            r#"regex::find_all("a+", "aa")"#,
            r#"regex::captures("(a)", "aa")"#,
            r#"regex::replace("a", "aa", "b")"#,
            r#"regex::replace("a", "aa", |m| m[0])"#,
            r#"regex::split(",", "a,b", #{ limit: 2 })"#,
            r#"url::parse("https://example.com/")"#,
            r#"url::build(#{ host: "example.com", path: "/a", query: #{ a: 1 } })"#,
            "url::query(#{ a: 1 })",
            r#"decimal::format(1, #{ places: 2, decimal: ",", thousands: "." })"#,
            r#"decimal("1.25").round(1, "half_up")"#,
            "round(1.25, 1)",
            r#"join(["a"], ",")"#,
            "sum([1])",
            "group_by([1], |x| x)",
            "unique([1])",
            "chunk([1], 1)",
            r#"base64::encode("a")"#,
            r#"base64::decode("YQ==")"#,
            r#"hash::sha256("a")"#,
            r#"hash::hmac_sha256("k", "a")"#,
            r#"url::encode("a b")"#,
            r#"url::decode("a%20b")"#,
            r#"validate(#{}, #{ a: "int?" })"#,
            r#"["a", "b"].join(", ")"#,
            "[1, 2].sum()",
            "[1, 2].group_by(|x| x)",
            "[1, 1].unique()",
            "[1, 2].chunk(1)",
        ],
    ),
    (
        "time, chance, state, log",
        &[
            r#"time::parse("2030-01-01")"#,
            r#"time::format(now(), "%Y")"#,
            r#"time::add(now(), "1h")"#,
            "time::diff(now(), now())",
            r#"time::in_zone(now(), "Europe/Berlin")"#,
            r#"time::start_of(now(), "day")"#,
            r#"time::add_business(now(), "2d", "office")"#,
            "now()",
            "uuid()",
            "random()",
            "random_int(1, 6)",
            r#"state::get("k")"#,
            r#"state::get("k", 0)"#,
            r#"state::set("k", 1)"#,
            r#"state::add("k", 1)"#,
            r#"state::update("k", |v| v)"#,
            r#"state::remove("k")"#,
            r#"log::trace("m", #{})"#,
            r#"log::info("m")"#,
            r#"log::warn("m")"#,
            r#"log::error("m", #{ a: 1 })"#,
            r#"print("m")"#,
            r#"progress(0.4, "uploading")"#,
            "run_id()",
        ],
    ),
    (
        "tests",
        &[
            r#"let t = test::workflow("orders/invoice")"#,
            "test::response(201, #{})",
            r#"test::error("http", #{ status: 500 })"#,
            r#"t.mock("http::post", |url, body| ())"#,
            r#"t.mock_step("pack", 1)"#,
            "t.start(#{})",
            r#"t.fire("webhook", #{})"#,
            r#"t.emit("paid", (), #{ key: "A1" })"#,
            r#"t.advance("31d")"#,
            r#"t.answer(0, #{ choice: "done", by: "ann" })"#,
            "t.cancel()",
            r#"t.hang("http::get")"#,
            r#"[t.status(), t.output(), t.error(), t.tasks(), t.calls("http::get"), t.logs()]"#,
            r#"t.secret("billing", "x")"#,
            r#"t.config("url", "x")"#,
            r#"t.state("k", 1)"#,
            "t.crash_everywhere()",
            "assert(true)",
            "assert_eq(1, 1)",
            "assert_ne(1, 2)",
            "assert_throws(|| throw 1)",
        ],
    ),
];

/// Names that scripts meet as keys of maps; none may be a word that has to be quoted.
const KEYS: &[&str] = &[
    "status",
    "ok",
    "headers",
    "body",
    "kind",
    "message",
    "retryable",
    "step",
    "attempt",
    "code",
    "stdout",
    "stderr",
    "url",
    "path",
    "name",
    "size",
    "sha256",
    "run",
    "workflow",
    "error",
    "input",
    "output",
    "winner",
    "value",
    "choice",
    "data",
    "by",
    "at",
    "faults",
    "modified",
    "folder",
];

fn calls() -> impl Iterator<Item = &'static str> {
    CALLS.iter().flat_map(|(_, calls)| calls.iter().copied())
}

#[test]
fn every_call_parses() {
    let engine = script_engine();
    for call in calls() {
        for script in [call.to_owned(), format!("fn main(input) {{ {call}; }}")] {
            engine.compile(&script).unwrap_or_else(|error| panic!("{script}\n{error}"));
        }
    }
}

#[test]
fn every_key_parses() {
    let engine = script_engine();
    for key in KEYS {
        engine.compile(format!("let m = #{{ {key}: 1 }}; m.{key}")).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}

/// Nothing that scripts can call is missing above.
#[test]
fn every_function_is_called() {
    let known: BTreeSet<_> = calls().map(|call| call.split('(').next().unwrap_or(call)).collect();
    let tables = panta::host::tables();
    let missing: Vec<_> =
        tables.iter().copied().flatten().filter(|f| !known.contains(f.name)).map(|f| f.name).collect();
    assert!(missing.is_empty(), "add a call of each to `CALLS`: {missing:?}");
}
