//! The value of a secret in each field of each route, as the description of the API has them: it is found nowhere afterwards.

use serde_json::{Map, Value, json};

use super::Place;
use crate::support::daemon::Daemon;

/// Good as a name, a key and a part of an address, so that it gets as far as any text can.
const CANARY: &str = "canary-Klaus7x9";

const ASKS: &str = r#"
    trigger::webhook("in", #{ dedupe: "x-id" });
    fn main(input) {
        if input?.ask != true { return "in" }
        let said = task::ask(#{ title: "T" });
        if said.choice == "fail" { throw "no" }
        said
    }
"#;

/// What an operation wants at least to be done: the run or task that it is about is made anew for each request.
fn least(path: &str) -> Map<String, Value> {
    let least = match path {
        "/api/v1/runs/{id}/skip" => json!({ "step": "T" }),
        "/api/v1/runs/{id}/set-result" => json!({ "step": "T", "value": 1 }),
        "/api/v1/runs/{id}/fork" => json!({ "at": "T" }),
        "/api/v1/runs/cancel" | "/api/v1/runs/pause" | "/api/v1/runs/resume" | "/api/v1/runs/retry" => {
            json!({ "workflow": "w" })
        }
        "/api/v1/runs/{id}/events" | "/api/v1/events" => json!({ "name": "e" }),
        "/api/v1/tasks/{id}/answer" => json!({ "choice": "yes" }),
        "/api/v1/tokens" => json!({ "name": "t", "roles": ["read"] }),
        "/api/v1/secrets/{name}" => json!({ "for": ["example.com"] }),
        _ => json!({}),
    };
    least.as_object().expect("a map").clone()
}

/// The value as it fits a field: alone, in a list, or in the middle of something and as a key.
fn planted(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("array") => json!([CANARY]),
        Some("boolean") => json!(true),
        Some("integer") => json!(1),
        Some("object") => json!({ CANARY: CANARY }),
        Some(_) => json!(CANARY),
        None if schema["type"].is_array() => json!(CANARY),
        None => json!({ "in": [format!("x {CANARY} y")], CANARY: 1 }),
    }
}

/// All bodies to send to an operation: each field by itself beside what is needed, and all at once.
fn bodies(path: &str, operation: &Value) -> Vec<Value> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let Some(fields) = schema["properties"].as_object() else { return vec![json!({ "x": CANARY, CANARY: 1 })] };
    let is_value = |name: &str| path == "/api/v1/secrets/{name}" && name == "value";
    let with = |names: Vec<&String>| {
        let mut body = least(path);
        body.extend(names.into_iter().map(|name| (name.clone(), planted(&fields[name]))));
        Value::Object(body)
    };
    let names: Vec<_> = fields.keys().filter(|name| !is_value(name) && *name != "dry_run").collect();
    names.iter().map(|name| with(vec![*name])).chain([with(names.clone())]).collect()
}

struct Outside<'a> {
    daemon: &'a Daemon,
}

impl Outside<'_> {
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        self.daemon.request("POST", path, headers, &body.to_string()).expect("an answer")
    }

    /// A run that asks, and its task.
    fn asking(&self) -> (String, String) {
        let (_, started) = self.post("/api/v1/workflows/w/runs", &[], &json!({ "input": { "ask": true } }));
        let run = started["run"].as_str().expect("a run").to_owned();
        let task = self
            .until(&format!("/api/v1/tasks?run={run}"), |tasks| tasks["tasks"][0]["task"].as_str().map(str::to_owned));
        (run, task)
    }

    fn until<T>(&self, path: &str, look: impl Fn(Value) -> Option<T>) -> T {
        loop {
            let (_, shown) = self.daemon.request("GET", path, &[], "").expect("an answer");
            if let Some(found) = look(shown) {
                return found;
            }
            std::thread::yield_now();
        }
    }

    /// Brings a run to where the operation can be done.
    fn prepare(&self, path: &str, run: &str) {
        let at = format!("/api/v1/runs/{run}");
        if path == "/api/v1/runs/{id}/resume" {
            self.post(&format!("{at}/pause"), &[], &json!({}));
        }
        if path == "/api/v1/runs/{id}/retry" {
            self.post(&format!("{at}/cancel"), &[], &json!({}));
            self.until(&at, |run| (run["status"] == "cancelled").then_some(()));
        }
    }

    /// Sends everything that there is to send to an operation; how often it was taken.
    fn flood(&self, method: &str, path: &str, operation: &Value) -> usize {
        let mut taken = 0;
        for body in bodies(path, operation) {
            let names = if path.contains("{name}") { &["w", CANARY][..] } else { &["w"] };
            for name in names {
                let (run, task) = self.asking();
                self.prepare(path, &run);
                let id = if path.contains("/tasks/") { &task } else { &run };
                let at = path.replace("{id}", id).replace("{name}", name).replace("{path}", "in");
                let headers = [("idempotency-key", CANARY), ("x-id", CANARY), ("x-other", CANARY)];
                let (status, answer) =
                    self.daemon.request(method, &at, &headers, &body.to_string()).expect("an answer");
                assert!(status < 500, "{method} {at} {body}: {status} {answer}");
                taken += usize::from(status < 300);
                self.post("/api/v1/workflows/w/resume", &[], &json!({}));
            }
        }
        taken
    }
}

#[test]
fn the_value_of_a_secret_in_any_field_is_kept_nowhere() {
    let place = Place::new(&[("scripts/w.rhai", ASKS)]);
    place.set_secret(&["gh"], CANARY).expect(0);
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    let outside = Outside { daemon: &daemon };
    let (_, api) = daemon.request("GET", "/openapi.json", &[], "").expect("an answer");
    let mut operations = 0;
    for (path, item) in api["paths"].as_object().expect("paths") {
        // What is signed has nothing of its own, everything at a standstill would be the end of the test.
        let is_apart = path.starts_with("/t/") || path.starts_with("/e/") || path.starts_with("/log");
        for (method, operation) in item.as_object().expect("methods").iter().filter(|(method, _)| *method != "get") {
            if is_apart || matches!(path.as_str(), "/api/v1/pause" | "/api/v1/backup") {
                continue;
            }
            let taken = outside.flood(&method.to_uppercase(), path, operation);
            operations += usize::from(taken > 0);
        }
    }
    assert!(operations > 15, "{operations} were taken");
    for shown in ["/api/v1/audit?limit=1000", "/api/v1/runs?limit=1000", "/api/v1/tasks?limit=1000", "/api/v1/events"] {
        let (_, shown) = daemon.request("GET", shown, &[], "").expect("an answer");
        assert!(!shown.to_string().contains("Klaus7x9"), "{shown}");
    }
    drop(daemon);
    let all = place.everything();
    let at = all.find("Klaus7x9").map(|at| all[..at].chars().rev().take(300).collect::<Vec<_>>());
    let before = at.map(|before| before.into_iter().rev().collect::<String>());
    assert_eq!(before, None, "it is in a file of the data folder");
}
