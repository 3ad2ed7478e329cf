//! Workflows that need a daemon: others are started by what they send, and answer.

use std::time::Duration;

use panta::time::elapsed;
use serde_json::{Value, json};

use super::kills::PATIENCE;
use super::since;
use crate::cli::Place;
use crate::support::daemon::Daemon;

/// Starts the first of these workflows of `tests/connectors/` in a daemon that has them all, with the configuration and the secrets of
/// this place, once `ready` returns. The run, once it has ended.
pub(crate) fn ended(place: &Place, workflows: &[&str], input: &Value, ready: impl FnOnce()) -> Value {
    for name in workflows {
        let file = format!("{}/tests/connectors/{name}.rhai", env!("CARGO_MANIFEST_DIR"));
        place.write(&format!("scripts/{name}.rhai"), &std::fs::read_to_string(file).expect("a workflow"));
    }
    let config = place.path().join("panta.toml");
    let environment = [("PANTA_CONFIG", config.to_str().expect("a path"))];
    let daemon = Daemon::start_with(&place.path().join("scripts"), &place.path().join("data"), &environment);
    ready();
    let request = |method: &str, path: &str, body: &str| {
        let (status, answer) = daemon.request(method, path, &[], body).expect("an answer");
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    };
    let body = json!({ "input": input }).to_string();
    let started = request("POST", &format!("/api/v1/workflows/{}/runs", workflows[0]), &body);
    let path = format!("/api/v1/runs/{}", started["run"].as_str().expect("a run"));
    let begun = elapsed();
    loop {
        let run = request("GET", &path, "");
        if run["ended_at"] != Value::Null {
            return run;
        }
        assert!(since(begun) < 2 * PATIENCE, "it goes on: {run}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
