//! Keeping the store, getting it back, removing what is old, and finding what is wrong.

use std::fs;

use serde_json::{Value, json};

use super::{Came, Place};
use crate::support::daemon::Daemon;

const WAITS: &str = "let given = wait_for(\"go\", #{ key: input }); given.n";

impl Place {
    /// A store with one run that has ended.
    fn with_run() -> Self {
        let place = Self::new(&[("done.rhai", "state::add(\"runs\", 1)")]);
        place.panta(&["run", "done.rhai"]).expect(0);
        place
    }

    fn runs(&self) -> Vec<Value> {
        let listed = self.panta(&["runs", "--json"]).expect(0).out;
        listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn doctor(&self) -> Came {
        self.panta(&["doctor"])
    }
}

#[test]
fn a_backup_of_a_running_daemon_is_taken_up_where_it_stood() {
    let place = Place::new(&[("scripts/waits.rhai", WAITS)]);
    let start = |daemon: &Daemon, key: &str| {
        let body = json!({ "input": key }).to_string();
        let (status, started) = daemon.request("POST", "/api/v1/workflows/waits/runs", &[], &body).expect("an answer");
        assert_eq!(status, 202, "{started}");
        started["run"].as_str().expect("an id").to_owned()
    };
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    let kept = start(&daemon, "a");
    place.panta(&["backup", "kept.db"]).expect(0);
    start(&daemon, "b");
    place.panta(&["backup", "kept.db"]).expect(2);
    drop(daemon);
    place.panta(&["restore", "kept.db"]).expect(2);
    let said = place.panta(&["restore", "kept.db", "--replace"]).expect(0);
    assert!(
        said.out.contains("restored 1 runs, 1 of them open") && said.err.contains("hint:"),
        "{}{}",
        said.out,
        said.err
    );
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    place.panta(&["emit", "go", "--key", "a", "--payload", "{\"n\": 7}"]).expect(0);
    let waited = format!("/api/v1/runs/{kept}/stream");
    daemon.request("GET", &waited, &[], "").expect("the end");
    assert_eq!(place.runs().iter().map(|run| run["output"].clone()).collect::<Vec<_>>(), [json!(7)]);
    place.panta(&["audit", "--verify"]).expect(0);
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let place = Place::with_run();
    place.write("no.db", "hello");
    for file in ["no.db", "none.db"] {
        let said = place.panta(&["restore", file, "--replace"]).expect(5);
        assert!(said.err.contains(file), "{}", said.err);
    }
    let foreign = rusqlite::Connection::open(place.path().join("foreign.db")).expect("a database");
    foreign.execute_batch("CREATE TABLE notes (text TEXT)").expect("a table");
    let said = place.panta(&["restore", "foreign.db", "--replace"]).expect(5);
    assert!(said.err.contains("`foreign.db` is the database of another program"), "{}", said.err);
    assert!(said.err.contains("hint:") && !said.err.contains("no such table"), "{}", said.err);
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn what_is_old_is_removed_when_somebody_says_so() {
    let place = Place::with_run();
    assert_eq!(place.panta(&["prune", "--json"]).expect(0).json(), json!({ "removed": 0 }));
    let dry = place.panta(&["prune", "--keep", "1ms", "--dry-run", "--json"]).expect(0);
    assert_eq!(dry.json(), json!({ "matched": 1 }));
    assert!(place.panta(&["prune", "--keep", "1ms"]).expect(2).err.contains("remove 1 finished run with"), "it asks");
    assert_eq!(place.panta(&["prune", "--keep", "1ms", "--yes", "--json"]).expect(0).json(), json!({ "removed": 1 }));
    assert!(place.runs().is_empty());
    place.panta(&["prune", "--keep", "soon"]).expect(2);
}

#[test]
fn a_healthy_place_has_no_failures() {
    let place = Place::with_run();
    let said = place.doctor().expect(0).out;
    for what in ["store", "audit log", "secrets", "scripts", "data folder"] {
        assert!(said.lines().any(|line| line.starts_with("ok") && line.contains(what)), "{what}: {said}");
    }
    let found = place.panta(&["doctor", "--json"]).expect(0).out;
    assert!(
        found.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|found| found["check"].is_string()))
    );
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let place = Place::with_run();
    let database = place.path().join("data/panta.db");
    place.panta(&["cancel", "00000000-0000-7000-8000-000000000000"]);
    place.panta(&["prune"]).expect(0);
    let shell = rusqlite::Connection::open(&database).expect("opens");
    shell.execute("UPDATE audit SET actor = 'nobody'", []).expect("changes");
    drop(shell);
    let said = place.doctor().expect(1).out;
    assert!(said.lines().any(|line| line.starts_with("failure") && line.contains("audit log")), "{said}");
    fs::write(database, "not a database, and longer than the header of one".repeat(9)).expect("writes");
    let said = place.doctor().expect(1).out;
    assert!(said.lines().any(|line| line.starts_with("failure") && line.contains("store")), "{said}");
}

#[test]
fn a_daemon_is_asked_for_its_health() {
    let place = Place::new(&[("scripts/waits.rhai", WAITS)]);
    let _daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    let said = place.doctor().expect(0).out;
    assert!(said.contains("daemon") && said.contains("answers at"), "{said}");
}
