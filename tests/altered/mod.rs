//! A release under which scripts mean something else takes over the data folder of a daemon that was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use panta::engine::{Engine, Options, Semantics};
use panta::reload;
use panta::store::{Event, Run, RunFilter, Status, Store, sqlite};
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::server::Server;

/// What each workflow does before it posts, and whether a run that waits there diverges where `join` means something else.
const WORKFLOWS: [(&str, &str, bool); 12] = [
    ("name", r#"step([1, 2].join("-"), || 1); wait_for("go");"#, true),
    ("none", r#"step("a", || 1); wait_for("go");"#, false),
    ("unseen", r#"step("a", || [1, 2].join("-").len() > 0); wait_for("go");"#, false),
    ("later", r#"wait_for("go"); step([1, 2].join("-"), || 1);"#, false),
    ("branch", r#"parallel([|| { step([1, 2].join("-"), || 1); wait_for("go") }, || sleep("1s")]);"#, true),
    ("branch_later", r#"parallel([|| { wait_for("go"); [1, 2].join("-") }, || sleep("1s")]);"#, false),
    ("parent", r#"workflow::run("child", [1, 2].join("-"));"#, true),
    ("child", r#"wait_for("go");"#, false),
    ("other_parent", r#"workflow::run("bad_child", 1);"#, false),
    ("bad_child", r#"step([1, 2].join("-"), || 1); wait_for("go");"#, true),
    ("post", r#"http::post(BASE + "/before", [1, 2].join("-")); wait_for("go");"#, true),
    ("task", r#"task::ask(#{ title: [1, 2].join("-"), to: "ann", choices: ["ok"] });"#, true),
];
/// Runs of each that is started from outside.
const EACH: usize = 3;

struct Place {
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), server: Server::new(|_| (200, json!(1))) };
        std::fs::create_dir(place.scripts()).unwrap();
        std::fs::write(place.folder.path().join("panta.toml"), "[people.ann]\nemail = \"ann@example.com\"\n").unwrap();
        for (name, before, _) in WORKFLOWS {
            let base = place.server.url("");
            let text = format!(
                "const BASE = \"{base}\";\nworkflow(#{{ allow: #{{ http: [\"127.0.0.1\"] }} }});\nfn main(input) {{\n    {before}\n    http::post(BASE + \"/{name}\", 1);\n}}\n"
            );
            std::fs::write(place.scripts().join(format!("{name}.rhai")), text).unwrap();
        }
        place
    }

    fn scripts(&self) -> std::path::PathBuf {
        self.folder.path().join("scripts")
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Requests by path.
    fn requests(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for line in self.server.lines() {
            *count.entry(line.trim_start_matches("POST /").to_owned()).or_default() += 1;
        }
        count
    }
}

fn get(daemon: &Daemon, path: &str) -> serde_json::Value {
    daemon.request("GET", path, &[], "").expect("an answer").1
}

fn emit(daemon: &Daemon) {
    let json = [("Content-Type", "application/json")];
    let (status, body) = daemon.request("POST", "/api/v1/events", &json, "{\"name\":\"go\"}").expect("an answer");
    assert_eq!(status, 202, "{body}");
}

/// Starts the runs, and kills the daemon when all of them wait.
fn leave_open(place: &Place) {
    let daemon = Daemon::start(&place.scripts(), &place.data());
    let json = [("Content-Type", "application/json")];
    for (name, ..) in WORKFLOWS.iter().filter(|(name, ..)| !name.ends_with("child")) {
        for _ in 0..EACH {
            let path = format!("/api/v1/workflows/{name}/runs");
            assert_eq!(daemon.request("POST", &path, &json, "{}").expect("an answer").0, 202);
        }
    }
    let waiting = || get(&daemon, "/api/v1/runs?limit=500&status=waiting")["runs"].as_array().unwrap().len();
    while waiting() < EACH * WORKFLOWS.len() {
        std::thread::yield_now();
    }
    daemon.kill();
}

/// An engine of the other release, as a daemon has it, until `act` is done.
async fn under_altered<F: Future<Output = ()>>(place: &Place, act: impl FnOnce(panta::engine::Handle) -> F) {
    let store = sqlite::Sqlite::open(&place.data(), &sqlite::Options::default()).expect("the store");
    let ann = panta::engine::people::Person::default();
    let people = Arc::new(panta::engine::people::Directory { people: [("ann".into(), ann)].into() });
    let options = Options { semantics: Semantics::altered(), people, workers: 2, ..Options::new(&place.data()) };
    let engine = Engine::start(Arc::new(store), options);
    let reloads = reload::Service::start(engine.handle(), &place.scripts()).expect("the scripts");
    engine.handle().recover().expect("it recovers");
    tokio::time::timeout(Duration::from_mins(2), act(engine.handle())).await.expect("in time");
    reloads.stop();
    engine.stop();
}

fn runs(store: &dyn Store) -> Vec<Run> {
    store.runs(&RunFilter { limit: 999, ..RunFilter::default() }).expect("runs")
}

fn named(diverges: bool) -> BTreeSet<String> {
    WORKFLOWS.iter().filter(|(.., d)| *d == diverges).map(|(name, ..)| (*name).to_owned()).collect()
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn with_status(runs: &[Run], status: Status) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for run in runs.iter().filter(|run| run.status == status) {
        *count.entry(run.workflow.to_string()).or_default() += 1;
    }
    count
}

#[tokio::test]
async fn it_finds_exactly_the_runs_that_would_diverge_before_anything_is_performed() {
    let place = Place::new();
    leave_open(&place);
    let before: BTreeMap<_, _> = [("before".to_owned(), EACH)].into();
    assert_eq!(place.requests(), before);
    let expected: BTreeMap<_, _> = named(true).into_iter().map(|name| (name, EACH)).collect();
    under_altered(&place, |handle| {
        let (before, expected, place) = (&before, &expected, &place);
        async move {
            handle.settled().await;
            let found = runs(&**handle.store());
            assert_eq!(with_status(&found, Status::Diverged), *expected);
            assert_eq!(place.requests(), *before, "nothing is performed before all are tried");
            let errors =
                found.iter().filter(|run| run.status == Status::Diverged).map(|run| run.error.clone().unwrap());
            assert!(errors.map(|error| error.to_json()).all(|error| error["code"] == "E0515"));
            let at = handle.clock().now();
            let (id, name, payload) = ("1".into(), "go".into(), panta::payload::Payload::unit());
            handle.emit(Event { seq: 0, id, name, key: None, payload, run: None, at }).await.expect("is emitted");
            // The parent of a run that is held waits for it.
            let finished: BTreeMap<_, _> =
                named(false).into_iter().filter(|name| name != "other_parent").map(|name| (name, EACH)).collect();
            until(|| with_status(&runs(&**handle.store()), Status::Completed) == finished).await;
            assert_eq!(with_status(&runs(&**handle.store()), Status::Diverged), *expected);
            let posted: BTreeMap<_, _> = before.clone().into_iter().chain(finished).collect();
            assert_eq!(place.requests(), posted, "and of those that are held nothing is performed");
        }
    })
    .await;
    go_back(&place);
}

/// The release before finishes what is held, once each.
fn go_back(place: &Place) {
    let daemon = Daemon::start(&place.scripts(), &place.data());
    emit(&daemon);
    let task = |task: &serde_json::Value| {
        let path = format!("/api/v1/tasks/{}/answer", task["task"].as_str().unwrap());
        let json = [("Content-Type", "application/json")];
        let answered = daemon.request("POST", &path, &json, "{\"choice\":\"ok\",\"by\":\"ann\"}").expect("an answer");
        assert_eq!(answered.0, 200, "{}", answered.1);
    };
    get(&daemon, "/api/v1/tasks")["tasks"].as_array().unwrap().iter().for_each(task);
    let completed = || get(&daemon, "/api/v1/runs?limit=500&status=completed")["runs"].as_array().unwrap().len();
    while completed() < EACH * WORKFLOWS.len() {
        std::thread::yield_now();
    }
    let each = WORKFLOWS.iter().map(|(name, ..)| ((*name).to_owned(), EACH)).chain([("before".to_owned(), EACH)]);
    assert_eq!(place.requests(), each.collect(), "each request once");
    assert_eq!(daemon.terminate(), Some(0));
}
