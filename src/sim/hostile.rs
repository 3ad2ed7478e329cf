//! What no call may do, from the registry: for each function, each parameter and each option, values that nobody expects.
//! A bad argument is an error of the script, never a panic; and a replay of what came of it gives the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::*;
use crate::effect::http::HttpBody;
use crate::effect::{Failure, FileReply, FileRequest, HttpReply, Reply};
use crate::host::declare::{collect, testing};
use crate::host::function::{Function, Nature};

/// What the values below are made of.
const PRELUDE: &str = r#"
let big = "0123456789abcdef"; for i in 0..12 { big += big; }
let open = "([{<%{{"; for i in 0..7 { open += open; }
let deep = 1; for i in 0..100 { deep = [deep]; }
let down = #{}; for i in 0..100 { down = #{ a: down }; }
let done = 0;
"#;

/// Values of every kind, and texts that are nearly something.
const VALUES: &[&str] = &[
    "()",
    "true",
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "(-9223372036854775807 - 1)",
    "0.0",
    "-0.5",
    "0.0 / 0.0",
    "1.0 / 0.0",
    "-1.0 / 0.0",
    "1e308",
    "5e-324",
    "decimal(\"79228162514264337593543950335\")",
    "decimal(\"-79228162514264337593543950335\")",
    "decimal(\"0.0000000000000000000000000001\")",
    "'🦀'",
    "'\\x00'",
    "\"\"",
    "\" \"",
    "\"\\n\"",
    "\"a\\r\\nb\\x00\\x07\"",
    "\"🦀é\\u200d\"",
    "\"%\"",
    "\"%ff%00\"",
    "\"%999999999999Y%-1Z%!\"",
    "\"*\"",
    "\"../../x\"",
    "\"-1d\"",
    "\"365250d\"",
    "\"1e999s\"",
    "\"P99999999999999999999D\"",
    "\"99999999999999999999\"",
    "\"-1/s\"",
    "\"999999999999/s\"",
    "\"2026-02-30T25:61:00Z\"",
    "\"9999-12-31T23:59:59.9999999Z\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"-009999-01-01T00:00:00Z\"",
    "\"2011-12-30T12:00[Pacific/Apia]\"",
    "\"9999-12-31T23:59:59-23:59[Europe/Berlin]\"",
    "\"http://[::1]:99999/\"",
    "\"⟦secret:a:n1⟧\"",
    "\"(?<a>\\\\w{900}){900}\"",
    "\"{% for a in range(99999) %}{{ a * 9999999999999999999999 }}{% endfor %}\"",
    "big",
    "open",
    "[]",
    "[()]",
    "[1, \"a\", #{ a: [] }, 0.0 / 0.0]",
    "deep",
    "#{}",
    "#{ \"\": 1, \"🦀\": #{}, \"@\": [], a: || 1 }",
    "down",
    "blob(3, 255)",
    "0..5",
    "|| 1",
    "|x| x",
    "|a, b, c| a",
    "|| throw \"x\"",
    "Fn(\"nope\")",
    "secret(\"x\")",
];

fn functions() -> Vec<&'static Function> {
    crate::host::tables().into_iter().flatten().collect()
}

/// Whether a call belongs at the top level of a file.
fn declares(function: &Function) -> bool {
    function.nature == Nature::Declarative && (function.name == "workflow" || function.name.starts_with("trigger::"))
}

/// Something that fits a parameter.
fn plausible(function: &Function, param: &str) -> &'static str {
    let (name, kind) = param.split_once(": ").unwrap_or((param, "any"));
    match kind.trim_end_matches('?') {
        "closure" if matches!(name, "body" | "condition") && function.name != "parallel_map" => "|| 1",
        "closure" => "|x| 1",
        "int" | "number" | "any" | "int or map" | "decimal or number" | "string or number" => "1",
        "secret" => "secret(\"x\")",
        "time" => "\"2026-12-24T08:00:00Z\"",
        kind if kind.starts_with("duration") => "\"1s\"",
        kind if kind.contains("of closures") => "[|| 1]",
        kind if kind.starts_with("list") => "[#{ a: 1 }]",
        kind if kind.starts_with("map") => "#{}",
        _ => "\"a\"",
    }
}

/// A call with this at one place, and plausible values elsewhere.
fn call(function: &Function, at: usize, value: &str) -> String {
    let args: Vec<_> = function.params.iter().map(|param| plausible(function, param)).collect();
    let last = args.len().min(args.len().max(at + 1));
    let args: Vec<_> =
        (0..last.max(at + 1)).map(|n| if n == at { value } else { args.get(n).copied().unwrap_or("1") }).collect();
    format!("{}({})", function.name, args.join(", "))
}

/// Every call of a function, by the place that is tried.
fn places(function: &Function) -> Vec<Vec<String>> {
    let mut places = Vec::new();
    // `one_of` has sixteen parameters that are all alike.
    for at in 0..function.params.len().min(4) {
        places.push(VALUES.iter().map(|value| call(function, at, value)).collect());
    }
    if let Some(at) = function.options_at() {
        for option in function.options {
            let nested = |value: &str| match option.name.split_once('.') {
                Some((above, key)) => format!("#{{ \"{above}\": #{{ \"{key}\": {value} }} }}"),
                None => format!("#{{ \"{}\": {value} }}", option.name),
            };
            places.push(VALUES.iter().map(|value| call(function, at, &nested(value))).collect());
        }
    }
    let count = |n: usize| format!("{}({})", function.name, vec!["1"; n].join(", "));
    places.push((0..=function.params.len() + 1).map(count).collect());
    places
}

fn canned(request: &Request, _: u32) -> Outcome {
    let stat = || crate::effect::file::FileStat {
        path: "a".into(),
        name: "a".into(),
        size: 1,
        modified: START,
        sha256: None,
        is_folder: false,
    };
    Ok(match request {
        Request::Http(http) => {
            let body = HttpBody::Json("{\"id\":1}".to_owned());
            Reply::Http(HttpReply { status: 200, headers: Vec::new(), body, url: http.url.clone() })
        }
        Request::File(FileRequest::Read { .. }) => Reply::File(FileReply::Text("x".into())),
        Request::File(FileRequest::ReadBlob { .. }) => Reply::File(FileReply::Blob(vec![1])),
        Request::File(FileRequest::Exists { .. }) => Reply::File(FileReply::Flag(true)),
        Request::File(FileRequest::List { .. }) => Reply::File(FileReply::List(vec!["a".into()])),
        Request::File(FileRequest::Stat { .. } | FileRequest::Open { .. }) => Reply::File(FileReply::Stat(stat())),
        Request::File(FileRequest::Temp { .. }) => Reply::File(FileReply::Path("t".into())),
        Request::File(_) => Reply::File(FileReply::Done),
        Request::Mail(_) | Request::Shell(_) | Request::Sql(_) | Request::Ai(_) | Request::Message(_) => {
            return Err(Failure::new("network", "nothing is there"));
        }
    })
}

fn simulated(script: &str) -> (Sim, Report) {
    let bundle = Bundle::of_text("w.rhai", script).expect("a bundle");
    let mut sim = Sim::new(&bundle, Payload::from_text("{}"), canned)
        .unwrap_or_else(|faults| panic!("{}\n{script}", faults[0].render(crate::diag::Color::Plain)));
    sim.events = vec![SimEvent {
        after: Duration::from_millis(20),
        name: "payment.received".into(),
        key: Some("A1".into()),
        payload: Payload::from_text("1"),
    }];
    let report = sim.run(Written::default());
    (sim, report)
}

/// How many of the calls came to an end; a panic is one of the test, which names the call.
fn attempted(calls: &[String]) -> usize {
    let tries = |call: &String| format!("try {{ timeout(\"1s\", || {{ {call} }}); }} catch (e) {{ }} done += 1;\n");
    let script = format!("{PRELUDE}{}done", calls.iter().map(tries).collect::<String>());
    let run = catch_unwind(AssertUnwindSafe(|| simulated(&script)));
    let named = || calls.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
    let (sim, report) =
        run.unwrap_or_else(|_| panic!("a panic in\n{}", if calls.len() == 1 { named() } else { calls.join("\n") }));
    let Finish::Ended(end) = &report.finish else { panic!("{:?} of\n{}", report.finish, named()) };
    let error = end.error.as_ref().map_or(String::new(), |error| error.text().to_owned());
    assert!(!error.contains("internal error"), "{error}\nin one of\n{}", calls.join("\n"));
    let again = sim.run(report.written.clone());
    assert_eq!((again.output(), again.asked), (report.output(), 0), "a replay of\n{}", named());
    report.output().and_then(|done| done.as_u64()).unwrap_or(0) as usize
}

fn no_call_panics(function: &Function) {
    for calls in places(function) {
        if declares(function) {
            declared(&calls);
        }
        // A call may end the run, by a limit: then each gets a run of its own.
        if attempted(&calls) < calls.len() {
            calls.iter().for_each(|call| {
                attempted(std::slice::from_ref(call));
            });
        }
    }
}

/// The same at the top level of a file.
fn declared(calls: &[String]) {
    let engine = testing::engine();
    for call in calls {
        let script = format!("{PRELUDE}{call}");
        let settings: crate::host::declare::Settings = Rc::new(|_: &str| None);
        let (_, _) = collect(settings, || engine.eval::<rhai::Dynamic>(&script).map(drop));
    }
}

fn all_of(wanted: impl Fn(&str) -> bool) {
    let found: Vec<_> = functions().into_iter().filter(|function| wanted(function.name)).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(no_call_panics);
}

const SERVICES: [&str; 6] = ["http::", "file::", "message::", "shell::", "sql::", "trigger::"];
const DATA: [&str; 14] = [
    "json::",
    "csv::",
    "xml::",
    "yaml::",
    "toml::",
    "template::",
    "html::",
    "chart::",
    "regex::",
    "url::",
    "base64::",
    "hash::",
    "time::",
    "decimal::",
];

fn begins(name: &str, with: &[&str]) -> bool {
    with.iter().any(|begin| name.starts_with(begin))
}

#[test]
fn no_value_makes_a_data_function_panic() {
    all_of(|name| begins(name, &DATA));
}

#[test]
fn no_value_makes_a_service_or_trigger_panic() {
    all_of(|name| begins(name, &SERVICES));
}

#[test]
fn no_value_makes_another_function_panic() {
    all_of(|name| !begins(name, &DATA) && !begins(name, &SERVICES));
}

/// The example of each function, with answers at hand.
#[test]
fn each_example_runs() {
    for function in functions() {
        let name = function.name;
        if declares(function) && name != "trigger::info" {
            let result = testing::declared(function.example);
            assert!(result.is_ok(), "{name}: {}", result.err().unwrap_or_default());
            continue;
        }
        // Two need what this simulation does not have: people, and an address of the daemon.
        if ["task::ask", "event::url"].contains(&name) {
            continue;
        }
        let (_, report) = simulated(&format!("{};\n()", function.example));
        let Finish::Ended(end) = &report.finish else { panic!("{name}: {:?}", report.finish) };
        // What has no answer above got as far as the outside: the call itself is right.
        let error = end.error.as_ref().map_or("", |error| error.text());
        assert!(error.is_empty() || error.contains("nothing is there"), "{name}: {error}");
    }
}
