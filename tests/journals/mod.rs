//! Runs that were recorded once and replay for ever: see `README.md` beside this.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use panta::audit::Actor;
use panta::engine::gate::Verdict;
use panta::engine::people::Given;
use panta::engine::recording::{Recorded, Recording};
use panta::engine::{Deed, Engine, Error, Handle, Options, Retry, Semantics, Start, compile};
use panta::host::schema::Texts;
use panta::id::RunId;
use panta::journal::Kind;
use panta::payload::Payload;
use panta::script::bundle::Bundle;
use panta::store::memory::Memory;
use panta::store::{Event, Status, TaskFilter};
use serde_json::{Value, json};

use crate::support::server::Server;

/// Longer than any of the scripts takes on a machine that is busy.
const BOUND: Duration = Duration::from_mins(1);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals").join(name)
}

fn is_writing() -> bool {
    std::env::var_os("PANTA_WRITE_JOURNALS").is_some()
}

fn files(name: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// All recorded runs, by file.
fn recordings() -> Vec<(String, Recording)> {
    let files = files("v1", ".json").into_iter().filter(|path| stem(path) != "probes");
    let read = |path: PathBuf| {
        let value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (stem(&path).to_owned(), Recording::from_json(&value).unwrap_or_else(|| panic!("{} is read", path.display())))
    };
    files.map(read).collect()
}

/// Records the scripts that have no record yet, where that is wanted.
fn record_missing() {
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = WRITING.lock();
    for script in files("scripts", ".rhai") {
        let target = folder("v1").join(format!("{}.json", stem(&script)));
        if is_writing() && !target.exists() {
            let recorded = record(stem(&script), &std::fs::read_to_string(&script).unwrap());
            std::fs::write(target, format!("{:#}\n", recorded.to_json())).unwrap();
        }
    }
}

#[test]
fn every_recorded_run_replays() {
    record_missing();
    let recordings = recordings();
    for (file, recording) in &recordings {
        for run in &recording.0 {
            let verdict = run.replays();
            let replays = matches!(verdict, Verdict::Compatible { otherwise: None });
            assert!(replays, "{file}.json, run {} of `{}`: {verdict:?}", run.run, run.workflow);
        }
    }
    let recorded: BTreeSet<_> = recordings.iter().map(|(file, _)| file.clone()).collect();
    let missing: Vec<_> = files("scripts", ".rhai").iter().map(|path| stem(path).to_owned()).collect();
    assert!(missing.iter().all(|name| recorded.contains(name)), "each of {missing:?} is recorded: see README.md");
}

#[test]
fn every_kind_of_entry_is_among_them() {
    record_missing();
    let all = recordings();
    let entries = || all.iter().flat_map(|(_, recording)| &recording.0).flat_map(|run| &run.journal);
    for kind in Kind::ALL {
        assert!(entries().any(|entry| entry.kind == kind), "{}", kind.name());
    }
    let open = all.iter().flat_map(|(_, recording)| &recording.0).filter(|run| !run.status.is_final());
    assert!(open.count() > 0, "and a run that waits");
}

/// A meaning is never changed; new probes are noted.
#[test]
fn expressions_mean_what_they_meant() {
    let path = folder("v1").join("probes.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
    let mut noted: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let now = Semantics::probes();
    if is_writing() {
        for (probe, outcome) in &now {
            noted.entry(probe.clone()).or_insert_with(|| outcome.clone());
        }
        std::fs::write(&path, format!("{:#}\n", json!(noted))).unwrap();
    }
    for (probe, outcome) in &now {
        assert_eq!(noted.get(probe), Some(outcome), "`{probe}`; where it is new: see tests/journals/README.md");
    }
    let gone: Vec<_> = noted.keys().filter(|probe| !now.contains_key(*probe)).collect();
    let engine = panta::engine::script_engine();
    for probe in gone {
        // An example that was written anew means what it meant.
        assert_eq!(Semantics::probe(&engine, probe), noted[probe], "`{probe}`");
    }
}

/// Runs a script of `scripts/` as its head says.
fn record(name: &str, text: &str) -> Recording {
    let data = tempfile::tempdir().unwrap();
    let server = Server::new(|seen| {
        let is_there = !seen.line.contains("missing");
        if is_there { (200, json!({ "yes": [1, 2.5, null] })) } else { (404, json!({ "no": true })) }
    });
    let engine = Engine::start(Arc::new(Memory::default()), Options::new(data.path()));
    let handle = engine.handle();
    for script in files("scripts", ".rhai") {
        let text = std::fs::read_to_string(&script).unwrap();
        let bundle = Bundle::of_text(&format!("{}.rhai", stem(&script)), &text).unwrap();
        handle.deploy(
            compile(bundle, handle.settings()).unwrap_or_else(|faults| panic!("{}: {faults:?}", stem(&script))),
        );
    }
    let then = text.lines().next().and_then(|line| line.split_once("Then: ")).map(|(_, then)| then.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recorded = runtime.block_on(async {
        let input = if name == "child" { json!(21) } else { json!({ "url": server.url("/a") }) };
        let run = handle.start(name, Start { input, ..Start::default() }).await.unwrap().run;
        tokio::time::timeout(BOUND, drive(&handle, run, then)).await.expect("in time");
        gathered(&handle, run)
    });
    engine.stop();
    recorded
}

async fn drive(handle: &Handle, run: RunId, then: Option<String>) {
    rests(handle, run).await;
    let Some(then) = then else { return };
    match then.split_once(' ').unwrap_or((&then, "")) {
        ("emit", name) => {
            let (payload, at) = (Payload::from_json(&json!({ "n": 1 })), handle.clock().now());
            let event = Event { seq: 0, id: "e".into(), name: name.into(), key: None, payload, run: None, at };
            handle.emit(event).await.unwrap();
        }
        ("answer", choice) => {
            let filter = TaskFilter { run: Some(run), limit: 1, ..TaskFilter::default() };
            let task = handle.store().tasks(&filter).unwrap().remove(0);
            let (choice, by, data, note) = (Some(choice.to_owned()), Some("ann".to_owned()), Value::Null, None);
            handle
                .answer(task.id, &Given { choice, data, by, note, texts: Texts::Strict }, &Actor::LOCAL)
                .await
                .unwrap();
        }
        ("retry", _) => {
            let deed = Deed { by: Actor::LOCAL, reason: None };
            let retry = Retry { from: None, upgrade: false, confirmed: true };
            handle.retry(run, &retry, &deed).await.unwrap();
        }
        ("cancel", _) => handle.cancel(run, "no more", &Actor::LOCAL).await.unwrap(),
        (other, _) => panic!("`{other}` is nothing that can be done"),
    }
    handle.ended(run).await.unwrap();
}

/// It has ended, or its row says that it waits.
async fn rests(handle: &Handle, run: RunId) {
    loop {
        let row = handle.newest(run).unwrap();
        if row.status == Status::Waiting || row.status.is_final() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn gathered(handle: &Handle, run: RunId) -> Recording {
    let load = |run| match handle.run(run) {
        Ok(row) => {
            let bundle = (*handle.sources(&row).unwrap()).clone();
            Ok::<_, Error>(Some(Recorded::new(row, handle.journal(run)?, bundle)))
        }
        Err(_) => Ok(None),
    };
    Recording::gather(run, load).unwrap().expect("it is there")
}
