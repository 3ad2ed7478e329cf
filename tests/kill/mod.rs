//! `kill -9` of the daemon, again and again: no acknowledged start is lost, no recorded step is repeated, each request
//! keeps its idempotency key, and every run ends as it would have without.

mod programs;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::server::Server;

const WORKFLOW: &str = r#"
workflow(#{ input: #{ n: "int", base: "string" }, allow: #{ http: ["127.0.0.1"] } });
fn main(i) {
    let a = step("a", || http::post(`${i.base}/a/${i.n}`, #{ n: i.n }).body.n);
    let seen = [];
    let both = parallel([
        || { http::post(`${i.base}/b/${i.n}`, 1); seen.push("b"); },
        || { sleep("2ms"); step("c", || http::put(`${i.base}/c/${i.n}`, 2).status); seen.push("c"); },
        || { sleep("20ms"); sleep("30ms"); seen.push("d"); },
        || { sleep("25ms"); sleep("35ms"); seen.push("e"); },
    ]);
    let count = state::add("done", 1);
    http::post(`${i.base}/d/${i.n}`, 3);
    #{ n: a, seen: seen.len(), count: count }
}
"#;

/// The request that each line of the workflow makes.
const REQUESTS: [(u64, &str); 4] = [(4, "POST /a"), (7, "POST /b"), (8, "PUT /c"), (13, "POST /d")];

/// How often the daemon is killed; `PANTA_KILLS` in the environment for more.
fn kills() -> usize {
    std::env::var("PANTA_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// A small generator of numbers, so that each run of the test kills at the same counts of requests.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn nothing_is_lost_or_repeated_by_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("a folder");
    std::fs::write(scripts.join("w.rhai"), WORKFLOW).expect("a script");
    let data = folder.path().join("data");
    let server = Server::new(|seen| (200, json!({ "n": seen.body["n"] })));
    let base = server.url("");

    let mut acknowledged: BTreeMap<usize, String> = BTreeMap::new();
    let mut recorded: BTreeMap<String, usize> = BTreeMap::new();
    let mut seed = 7;
    let kills = kills();
    for round in 0..kills {
        let daemon = Daemon::start(&scripts, &data);
        // One start a round; one that was not acknowledged before is asked for again, with its key.
        for n in [round.saturating_sub(1), round] {
            if let Some(run) = start(&daemon, n, &base) {
                let before = acknowledged.insert(n, run.clone());
                assert!(before.is_none_or(|before| before == run), "the same key is the same run");
            }
        }
        for (n, run) in acknowledged.range(round.saturating_sub(2)..) {
            note_recorded(&daemon, *n, run, &server, &mut recorded);
        }
        let more = server.seen().len() + (next(&mut seed) % 5) as usize;
        server.wait_for_total(more, Duration::from_millis(40));
        daemon.kill();
    }

    let daemon = Daemon::start(&scripts, &data);
    let mut counts = BTreeSet::new();
    for n in 0..kills {
        let (status, run) = post(&daemon, n, &base, "?wait=60s").expect("an answer");
        assert_eq!((status, &run["status"], &run["error"]), (200, &json!("completed"), &Value::Null), "run {n}: {run}");
        assert_eq!((&run["output"]["n"], &run["output"]["seen"]), (&json!(n), &json!(4)));
        counts.insert(run["output"]["count"].as_u64().expect("a count") as usize);
        if let Some(before) = acknowledged.get(&n) {
            assert_eq!(&run["run"], before, "an acknowledged start is not lost");
        }
    }
    assert_eq!(daemon.terminate(), Some(0), "it ends well when it is asked to");
    assert_eq!(counts, (1..=kills).collect(), "each run counted itself exactly once");
    check_requests(&server, kills);
    assert!(recorded.len() > kills / 2, "some outcomes were seen recorded before a kill: {}", recorded.len());
    for (request, count) in recorded {
        let now = server.lines().iter().filter(|line| **line == request).count();
        assert_eq!(now, count, "`{request}` was sent again although its outcome was recorded");
    }
}

/// Notes how often each request had come whose outcome the daemon shows as recorded.
fn note_recorded(daemon: &Daemon, n: usize, run: &str, server: &Server, recorded: &mut BTreeMap<String, usize>) {
    let Some((200, journal)) = daemon.request("GET", &format!("/api/v1/runs/{run}/journal"), &[], "") else { return };
    let entries = journal["entries"].as_array().expect("entries");
    let lines = server.lines();
    for entry in entries.iter().filter(|entry| entry["kind"] == "effect" && entry["ok"] == true) {
        let line = entry["line"].as_u64().unwrap_or_default();
        let (_, request) = REQUESTS.iter().find(|(own, _)| *own == line).expect("a line that makes a request");
        let request = format!("{request}/{n}");
        let count = lines.iter().filter(|line| **line == request).count();
        recorded.entry(request).or_insert(count);
    }
}

fn start(daemon: &Daemon, n: usize, base: &str) -> Option<String> {
    let (status, body) = post(daemon, n, base, "")?;
    assert_eq!(status, 202, "{body}");
    Some(body["run"].as_str().expect("a run").to_owned())
}

fn post(daemon: &Daemon, n: usize, base: &str, query: &str) -> Option<(u16, Value)> {
    let input = json!({ "input": { "n": n, "base": base } }).to_string();
    let key = n.to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
    daemon.request("POST", &format!("/api/v1/workflows/w/runs{query}"), &headers, &input)
}

/// Four requests a run, each with one key however often it was sent.
fn check_requests(server: &Server, runs: usize) {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in server.seen() {
        let key = request.header("idempotency-key").expect("a key").to_owned();
        keys.entry(request.line).or_default().insert(key);
    }
    assert_eq!(keys.len(), runs * 4, "four requests a run");
    let several: Vec<_> = keys.iter().filter(|(_, keys)| keys.len() != 1).collect();
    assert!(several.is_empty(), "one key a request: {several:?}");
    let all: BTreeSet<_> = keys.values().flatten().collect();
    assert_eq!(all.len(), runs * 4, "no two requests have the same key");
}
