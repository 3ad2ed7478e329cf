//! The description of the API holds: what is answered fits it, and whatever is sent, an error is a problem.

use super::*;

const OPENAPI: &str = include_str!("../openapi.json");

/// Where a value does not fit a schema: as much of JSON Schema as the description uses; other words are a fault, too.
fn misfit(schema: &Value, value: &Value, whole: &Value, at: &str) -> Option<String> {
    for (word, rule) in schema.as_object()? {
        let fault = match &**word {
            "$ref" => misfit(whole.pointer(&rule.as_str()?[1..]).expect("a schema"), value, whole, at),
            "type" => (!is_of(rule, value)).then(|| format!("{at} is no {rule}: {value}")),
            "const" => (rule != value).then(|| format!("{at} is not {rule}: {value}")),
            "enum" => {
                let known = rule.as_array().expect("a list").contains(value);
                (!known).then(|| format!("{at} is none of {rule}: {value}"))
            }
            "required" => rule.as_array().into_iter().flatten().find_map(|name| {
                let is_missing = value.is_object() && value.get(name.as_str()?).is_none();
                is_missing.then(|| format!("{at} lacks {name}"))
            }),
            "properties" => rule.as_object()?.iter().find_map(|(name, schema)| {
                value.get(name).and_then(|value| misfit(schema, value, whole, &format!("{at}.{name}")))
            }),
            "items" => value.as_array().into_iter().flatten().find_map(|item| misfit(rule, item, whole, at)),
            "additionalProperties" => others(schema, rule, value, whole, at),
            "description" | "format" | "maxLength" | "minLength" | "minimum" => None,
            other => Some(format!("{at}: the word `{other}` is not known here")),
        };
        if fault.is_some() {
            return fault;
        }
    }
    None
}

fn others(schema: &Value, rule: &Value, value: &Value, whole: &Value, at: &str) -> Option<String> {
    let is_other = |name: &&String| schema["properties"].get(&***name).is_none();
    let mut others = value.as_object()?.keys().filter(is_other);
    match rule {
        Value::Bool(false) => others.next().map(|name| format!("{at} has `{name}`")),
        rule => others.find_map(|name| misfit(rule, &value[name], whole, &format!("{at}.{name}"))),
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().expect("a name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type `{other}`"),
    };
    kinds.as_array().map_or_else(|| is(kinds), |kinds| kinds.iter().any(is))
}

/// Asserts that an answer is as the description says.
fn fits(line: &str, described: &str, answer: &Answer) {
    let whole: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let (method, _) = line.split_once(' ').expect("a method");
    let operation = &whole["paths"][described][method.to_ascii_lowercase()];
    let status = answer.status.as_u16().to_string();
    let response = operation["responses"].get(&status).unwrap_or(&operation["responses"]["default"]);
    let response = response["$ref"].as_str().map_or(response, |name| whole.pointer(&name[1..]).expect("is there"));
    let kind = answer.headers["content-type"].to_str().expect("text").split(';').next().unwrap_or_default();
    let schema = &response["content"][kind]["schema"];
    assert!(schema.is_object(), "{line}: {status} with `{kind}` is not described");
    if kind.ends_with("json") {
        assert_eq!(misfit(schema, &answer.json(), &whole, line), None);
    }
}

#[test]
fn what_is_answered_fits_the_description() {
    let ask = "//! Asks.\nworkflow(#{ title: \"T\" }); trigger::event(\"x\");\nfn main(i) { log::info(\"hi\"); task::ask(#{ title: \"go?\" }) }";
    let bench = Bench::new(&[("ask", ask), ("fail", "throw \"no\"")]);
    bench.post("/api/v1/workflows/fail/runs?wait=20s", &json!({})).expect(200);
    let started = bench.post("/api/v1/workflows/ask/runs", &json!({})).expect(202);
    fits("POST /", "/api/v1/workflows/{name}/runs", &started);
    let run = started.json()["run"].as_str().expect("an id").to_owned();
    let task = loop {
        let tasks = bench.get("/api/v1/tasks").json();
        if let Some(task) = tasks["tasks"][0]["task"].as_str() {
            break task.to_owned();
        }
    };
    fits("POST /", "/api/v1/events", &bench.post("/api/v1/events", &json!({ "name": "x" })).expect(202));
    let one = |path: &str| path.replace("{id}", &run).replace("{name}", "ask").replace("{task}", &task);
    for path in [
        "/api/v1/workflows",
        "/api/v1/workflows/{name}",
        "/api/v1/runs",
        "/api/v1/runs/{id}",
        "/api/v1/runs/{id}/journal",
        "/api/v1/runs/{id}/logs",
        "/api/v1/runs/{id}/sources",
        "/api/v1/runs/{id}/locks",
        "/api/v1/runs/{id}/replay",
        "/api/v1/events",
        "/api/v1/tasks",
        "/api/v1/tasks/{task}",
        "/api/v1/audit",
        "/api/v1/audit/verify",
        "/api/v1/secrets",
        "/healthz",
        "/readyz",
        "/api/v1/tokens",
    ] {
        let described = path.replace("{task}", "{id}");
        fits(&format!("GET {path}"), &described, &bench.get(&one(path)).expect(200));
    }
}

/// Numbers that are spread and the same each time.
struct Dice(u64);

impl Dice {
    fn roll<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        of[(self.0 >> 33) as usize % of.len()]
    }
}

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"];
const PARTS: &[&str] =
    &["x", "%ff", "%2f", "..", "%00", "0198f000-0000-7000-8000-000000000000", "é", "w", "%F0%9F%92%A9"];
const QUERIES: &[&str] = &[
    "",
    "?limit=x",
    "?limit=-1",
    "?limit=99999999999999999999",
    "?cursor=%ff",
    "?since=soon",
    "?a[]=1&a[]=2",
    "?&&&=",
    "?status=%00",
    "?wait=-1s",
    "?until=",
    "?kind=nonsense",
    "?limit=1&limit=2",
];
const BODIES: &[&str] = &[
    "",
    "{",
    "[]",
    "null",
    "\"x\"",
    "{\"input\":",
    "{\"nonsense\":1}",
    "\u{0}",
    "{\"name\":5}",
    "{\"choice\":[]}",
    "1e999",
];
const KINDS: &[&str] = &[
    "application/json",
    "text/plain",
    "application/xml",
    "x",
    "",
    "application/cloudevents+json",
    "multipart/form-data",
];

#[test]
fn whatever_is_sent_an_error_is_a_problem_without_internals() {
    let bench = Bench::new(&[("w", "fn main(i) { sleep(\"1h\") }")]);
    let whole: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let paths: Vec<&str> = whole["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let mut dice = Dice(7);
    for _ in 0..3_000 {
        let path = dice.roll(&paths);
        let path: String = path
            .split('/')
            .skip(1)
            .fold(String::new(), |path, part| path + "/" + if part.starts_with('{') { dice.roll(PARTS) } else { part });
        // A stream that is open has no end to read.
        if path.ends_with("/stream") && !path.contains("/runs/") {
            continue;
        }
        let line = format!("{} {path}{}", dice.roll(METHODS), dice.roll(QUERIES));
        let Ok(_) = line.split_once(' ').expect("a path").1.parse::<axum::http::Uri>() else { continue };
        let long = "x".repeat(9_000);
        let headers = [
            ("content-type", dice.roll(KINDS)),
            ("last-event-id", dice.roll(&["", "x", "-1"])),
            ("idempotency-key", dice.roll(&["", "k", &long])),
        ];
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| !dice.roll(&["", name]).is_empty()).collect();
        let answer = bench.send(&line, &headers, dice.roll(BODIES));
        if answer.status.as_u16() < 400 || line.starts_with("HEAD") {
            continue;
        }
        let kind = answer.headers["content-type"].to_str().expect("text");
        if kind.starts_with("text/html") {
            continue;
        }
        assert_eq!(kind, "application/problem+json", "{line}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(misfit(&whole["components"]["schemas"]["Problem"], &problem, &whole, &line), None);
        assert_eq!(problem["status"], answer.status.as_u16(), "{line}");
        for internal in ["src/", ".rs:", "panicked", "rusqlite", "serde", "axum", "RUST_BACKTRACE"] {
            assert!(!answer.text.contains(internal), "{line}: {}", answer.text);
        }
        assert!(answer.status != 500, "{line}: {}", answer.text);
    }
}
