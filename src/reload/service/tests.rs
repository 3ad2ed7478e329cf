//! Saves in real folders, through the engine on the memory store.

use std::fs;

use serde_json::Value;

use super::*;
use crate::engine::{self, Engine, Start};
use crate::reload::one;
use crate::store::memory::Memory;
use crate::store::{Event, Status as RunStatus, Store};

/// No test waits longer for what must come; the folder is looked at every half minute in any case.
const BOUND: Duration = Duration::from_mins(1);

struct Bench {
    service: Arc<Service>,
    handle: Handle,
    scripts: tempfile::TempDir,
    store: Arc<dyn Store>,
    _engine: Engine,
    _data: tempfile::TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::over(Arc::new(Memory::default()), files)
    }

    fn over(store: Arc<dyn Store>, files: &[(&str, &str)]) -> Self {
        let (scripts, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, text) in files {
            write(scripts.path(), name, text);
        }
        let engine = Engine::start(Arc::clone(&store), engine::Options::new(data.path()));
        let handle = engine.handle();
        let service = Service::start(handle.clone(), scripts.path()).unwrap();
        Self { service, handle, scripts, store, _engine: engine, _data: data }
    }

    /// Saves a file and returns the records that come of it, until there is one with this status.
    fn save(&self, name: &str, text: &str, until: Status) -> Vec<Reload> {
        let mut records = self.service.follow().1;
        write(self.scripts.path(), name, text);
        told(&mut records, until)
    }

    fn remove(&self, name: &str) -> Vec<Reload> {
        let mut records = self.service.follow().1;
        fs::remove_file(self.scripts.path().join(name)).unwrap();
        told(&mut records, Status::Removed)
    }

    fn run(&self, workflow: &str) -> Value {
        block(async {
            let run = self.handle.start(workflow, Start::default()).await.unwrap().run;
            self.handle.ended(run).await.unwrap().output.expect("an output").to_json()
        })
    }

    fn statuses(&self) -> Vec<(String, &'static str)> {
        self.service.reloads().into_iter().map(|reload| (reload.workflow, reload.status.name())).collect()
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(BOUND, future).await.expect("in time") })
}

fn told(records: &mut broadcast::Receiver<Reload>, until: Status) -> Vec<Reload> {
    block(async {
        let mut found = Vec::new();
        loop {
            found.push(records.recv().await.unwrap());
            if found.last().is_some_and(|reload| reload.status == until) {
                return found;
            }
        }
    })
}

#[test]
fn a_save_is_live_and_a_run_in_flight_keeps_its_version_even_when_the_file_is_gone() {
    let bench = Bench::new(&[("a.rhai", "wait_for(\"go\"); \"old\"")]);
    let run = block(bench.handle.start("a", Start::default())).unwrap().run;
    let reloads = bench.save("a.rhai", "\"new\"", Status::Live);
    assert_eq!((reloads.len(), bench.run("a")), (1, "new".into()));
    bench.remove("a.rhai");
    assert!(bench.handle.workflow("a").is_err());
    let payload = Payload::unit();
    let at = bench.handle.clock().now();
    let event = Event { seq: 0, id: "e".into(), name: "go".into(), key: None, payload, run: None, at };
    let row = block(async {
        bench.handle.emit(event).await.unwrap();
        bench.handle.ended(run).await.unwrap()
    });
    assert_eq!((row.status, row.output.unwrap().to_json()), (RunStatus::Completed, "old".into()));
}

#[test]
fn a_broken_save_keeps_the_version_before_and_says_why() {
    let bench = Bench::new(&[("a.rhai", "1")]);
    let reloads = bench.save("a.rhai", "let x = ;", Status::Broken);
    let live = bench.handle.workflow("a").unwrap();
    assert_eq!(reloads[0].version.as_ref(), Some(live.version()));
    assert_eq!(reloads[0].diagnostics[0].place.line, 1);
    assert_eq!((bench.service.broken("a").unwrap().len(), bench.run("a")), (1, 1.into()));
    bench.save("a.rhai", "1", Status::Live);
    assert_eq!(bench.service.broken("a"), None);
}

#[test]
fn a_bad_trigger_keeps_a_script_from_going_live() {
    let bench = Bench::new(&[("a.rhai", "trigger::cron(\"61 * * * *\");\nfn main() { 1 }")]);
    assert!(bench.handle.workflow("a").is_err());
    assert_eq!(bench.service.broken("a").unwrap()[0].code, "E0307");
}

#[test]
fn a_changed_module_is_live_in_what_imports_it_alone() {
    let importing = "import \"lib/m\" as m;\nfn main() { m::value() }";
    let bench = Bench::new(&[("lib/m.rhai", "fn value() { 1 }"), ("a.rhai", importing), ("b.rhai", "0")]);
    assert_eq!(bench.run("a"), 1);
    let reloads = bench.save("lib/m.rhai", "fn value() { 2 }", Status::Live);
    assert_eq!(reloads.iter().map(|reload| &*reload.file).collect::<Vec<_>>(), ["a.rhai"]);
    assert_eq!(bench.run("a"), 2);
    bench.save("lib/m.rhai", "fn value( {", Status::Broken);
    assert_eq!(bench.run("a"), 2);
}

#[test]
fn a_module_that_was_missing_makes_its_importer_live() {
    let bench = Bench::new(&[("a.rhai", "import \"lib/m\" as m;\nfn main() { m::value() }")]);
    assert_eq!(bench.service.broken("a").unwrap()[0].code, "E0111");
    bench.save("lib/m.rhai", "fn value() { 3 }", Status::Live);
    assert_eq!(bench.run("a"), 3);
}

#[test]
fn of_two_workflows_with_one_webhook_the_first_by_name_has_it() {
    let hook = "trigger::webhook(\"orders\");\nfn main(x) { 1 }";
    let bench = Bench::new(&[("b.rhai", hook), ("a.rhai", hook)]);
    assert_eq!(bench.statuses(), [("a".to_owned(), "live"), ("b".to_owned(), "broken")]);
    let fault = &bench.service.broken("b").unwrap()[0];
    assert_eq!(fault.title, "webhook path `orders` belongs to workflow `a` already");
    bench.remove("a.rhai");
    let is_free = || bench.handle.workflow("b").is_ok();
    block(async {
        while !is_free() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_file_that_is_broken_at_the_start_keeps_its_last_good_version() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    drop(Bench::over(Arc::clone(&store), &[("a.rhai", "7")]));
    let bench = Bench::over(store, &[("a.rhai", "let x = ;")]);
    assert_eq!((bench.statuses(), bench.run("a")), (vec![("a".to_owned(), "broken")], 7.into()));
    bench.remove("a.rhai");
    assert_eq!(bench.store.state(SCOPE, "a").unwrap(), None);
}

#[test]
fn one_script_is_deployed_with_those_beside_it() {
    let bench = Bench::new(&[]);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "main.rhai", "fn main() { workflow::run(\"child\", 4) + 1 }");
    write(folder.path(), "child.rhai", "fn main(n) { n * 10 }");
    write(folder.path(), "broken.rhai", "let x = ;");
    assert_eq!(&*one(&bench.handle, &folder.path().join("main.rhai")).unwrap().name, "main");
    assert_eq!(bench.run("main"), 41);
    assert_eq!(one(&bench.handle, &folder.path().join("broken.rhai")).unwrap_err().len(), 1);
    assert_eq!(one(&bench.handle, &folder.path().join("nowhere.rhai")).unwrap_err().len(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::start(Arc::new(Memory::default()), engine::Options::new(data.path()));
    assert!(matches!(Service::start(engine.handle(), Path::new("/nowhere/scripts")), Err(Error::Read { .. })));
}

/// Waits until the gate has tried another version of a workflow than the one that is live before the act.
fn gated(bench: &Bench, workflow: &str, act: impl FnOnce()) -> Report {
    let before = bench.handle.workflow(workflow).unwrap().version().clone();
    let mut gates = bench.service.follow_gates();
    act();
    block(async {
        loop {
            let record = gates.recv().await.unwrap();
            if record.workflow == workflow && record.version.as_ref() != Some(&before) {
                return record.gate.expect("the gate is done");
            }
        }
    })
}

fn started(bench: &Bench, workflow: &str) -> crate::id::RunId {
    block(async {
        let run = bench.handle.start(workflow, Start::default()).await.unwrap().run;
        while bench.handle.run(run).unwrap().status != RunStatus::Waiting {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run
    })
}

const GATED: &str = "let a = step(\"a\", || 1);\nwait_for(\"done\");\na";

#[test]
fn a_save_is_tried_on_the_runs_that_are_open() {
    let bench = Bench::new(&[("a.rhai", GATED), ("b.rhai", "1")]);
    let runs = [started(&bench, "a"), started(&bench, "a")];
    let fits = gated(&bench, "a", || write(bench.scripts.path(), "a.rhai", &GATED.replace("\na", "\na + 1")));
    assert_eq!((fits.open.total, fits.open.compatible, fits.divergences.len()), (2, 2, 0));
    let other = format!("// another\n{}", GATED.replace("\"a\"", "\"b\""));
    let report = gated(&bench, "a", || write(bench.scripts.path(), "a.rhai", &other));
    assert_eq!((report.open.diverging, report.divergences[0].count), (2, 2));
    assert!(runs.iter().all(|run| report.divergences[0].runs.contains(run)));
    let record = bench.service.reloads().pop().unwrap();
    assert_eq!(record.gate.as_ref(), Some(&report));
    let shown = record.render_gate(crate::diag::Color::Plain);
    assert!(shown.starts_with("a.rhai: gate: 2 open runs: 0 compatible, 2 would diverge\n"), "{shown}");
    assert!(shown.contains("--> a.rhai:2:15") && shown.contains("step `a` (line 1 of a.rhai)"), "{shown}");
    assert_eq!(bench.service.gate("b").map(|report| report.is_empty()), Some(true));
}

/// What `git revert` and a save do.
#[test]
fn the_content_of_before_is_the_version_of_before_and_both_versions_finish() {
    let bench = Bench::new(&[("a.rhai", GATED)]);
    let old = started(&bench, "a");
    let first = bench.handle.workflow("a").unwrap().version().clone();
    let later = GATED.replace("\"a\"", "\"b\"").replace("\na", "\na + 1");
    gated(&bench, "a", || write(bench.scripts.path(), "a.rhai", &later));
    let new = started(&bench, "a");
    let report = gated(&bench, "a", || write(bench.scripts.path(), "a.rhai", GATED));
    assert_eq!(bench.handle.workflow("a").unwrap().version(), &first);
    assert_eq!(
        (report.version, report.open.total, report.open.diverging),
        (first, 1, 1),
        "the one on the later version"
    );
    let (payload, at) = (Payload::unit(), bench.handle.clock().now());
    let event = Event { seq: 0, id: "e".into(), name: "done".into(), key: None, payload, run: None, at };
    block(async {
        bench.handle.emit(event).await.unwrap();
        for (run, output) in [(old, 1), (new, 2)] {
            assert_eq!(bench.handle.ended(run).await.unwrap().output.unwrap().to_json(), output);
        }
    });
}

#[test]
fn what_was_live_when_the_daemon_ended_is_not_tried_again() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let first = Bench::over(Arc::clone(&store), &[("a.rhai", GATED)]);
    started(&first, "a");
    drop(first);
    let second = Bench::over(Arc::clone(&store), &[("a.rhai", GATED)]);
    assert_eq!(second.service.reloads()[0].gate, None);
    drop(second);
    let third = Bench::over(store, &[("a.rhai", "1")]);
    let first = &third.service.reloads()[0];
    assert!(first.gate.is_some(), "it was saved while no daemon ran");
}
