//! Whole runs through the engine, on the memory store.

mod holding;
mod slots;
mod tasks;
mod tokens;
mod triggers;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::audit::Actor;
use crate::script::bundle::Bundle;
use crate::store::memory::Memory;
use crate::store::{Run, Status, Store};

mod compaction;
mod deaths;
mod family;
mod gate;
mod lethal;
mod options;
mod pruning;
mod repairs;
mod retrace;
mod semantics;
mod survey;
mod upgrades;

/// An engine with one script, over a store.
struct Bench {
    engine: Engine,
    /// Held: it goes with the bench.
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(store: Arc<dyn Store>, scripts: &[(&str, &str)]) -> Self {
        Self::with(store, scripts, |options| options)
    }

    fn with(store: Arc<dyn Store>, scripts: &[(&str, &str)], change: impl FnOnce(Options) -> Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { evict_after: Duration::from_millis(50), workers: 2, ..Options::new(folder.path()) };
        let engine = Engine::start(store, change(options));
        let bench = Self { engine, _folder: folder };
        for (name, text) in scripts {
            bench.deploy(name, text);
        }
        bench
    }

    fn deploy(&self, name: &str, text: &str) {
        let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("a bundle");
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let deployed = compile(bundle, &settings)
            .unwrap_or_else(|faults| panic!("{}", faults[0].render(crate::diag::Color::Plain)));
        self.engine.handle().deploy(deployed);
    }

    #[expect(clippy::unused_self, reason = "read as: the bench waits")]
    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { tokio::time::timeout(Duration::from_mins(2), future).await.expect("in time") })
    }

    fn run(&self, workflow: &str, input: Value) -> Run {
        let handle = self.engine.handle();
        self.block(async {
            let started = handle.start(workflow, Start { input, ..Start::default() }).await.expect("starts");
            handle.ended(started.run).await.expect("ends")
        })
    }
}

fn output(script: &str) -> Value {
    let run = Bench::new(Arc::new(Memory::default()), &[("w", script)]).run("w", json!({"n": 2}));
    assert_eq!(run.status, Status::Completed, "{:?}", run.error);
    run.output.expect("an output").to_json()
}

fn error(script: &str) -> Value {
    let run = Bench::new(Arc::new(Memory::default()), &[("w", script)]).run("w", json!(null));
    assert_eq!(run.status, Status::Failed, "{:?}", run.output);
    run.error.expect("an error").to_json()
}

#[test]
fn a_bare_script_has_its_input_and_its_last_value_is_the_output() {
    assert_eq!(output("input.n * 21"), json!(42));
}

#[test]
fn a_workflow_runs_steps_branches_and_waits() {
    let script = r#"
        fn main(input) {
            let a = step("double", || input.n * 2);
            let both = parallel([|| { sleep("20ms"); a + 1 }, || a + 2]);
            let squares = parallel_map([1, 2, 3], #{ limit: 2 }, |x| { sleep("5ms"); x * x });
            let won = race(#{ slow: || { sleep("1h"); 1 }, quick: || { sleep("5ms"); 2 } });
            #{ both: both, squares: squares, won: won }
        }"#;
    assert_eq!(output(script), json!({"both": [5, 6], "squares": [1, 4, 9], "won": {"winner": "quick", "value": 2}}));
}

#[test]
fn retries_wait_and_count_attempts() {
    let script = r#"
        let tried = step("try", #{ retry: #{ attempts: 3, delay: "5ms" } }, || {
            if attempt_number() < 3 { throw "not yet" }
            attempt_number()
        });
        tried"#;
    assert_eq!(output(script), json!(3));
}

#[test]
fn an_uncaught_error_fails_the_run_with_its_place() {
    let error = error("let x = 1;\nstep(\"s\", || { throw #{ kind: \"custom\", message: \"no\" } });");
    assert_eq!(
        (&error["kind"], &error["message"], &error["step"], &error["line"]),
        (&json!("custom"), &json!("no"), &json!("s"), &json!(2))
    );
}

#[test]
fn compensations_run_last_first_and_then_the_clean_ups() {
    let script = r#"
        fn main() {
            on_exit("door", || state::update("log", |l| (if l == () { [] } else { l }) + ["exit"]));
            step("a", #{ undo: |v| state::update("log", |l| (if l == () { [] } else { l }) + ["undo " + v]) }, || "a");
            on_rollback("b", || state::update("log", |l| (if l == () { [] } else { l }) + ["undo b"]));
            throw "stop";
        }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let run = bench.run("w", json!(null));
    assert_eq!((run.status, run.rollback), (Status::Failed, crate::store::Rollback::Complete));
    let log = bench.engine.handle().store().state("w", "log").expect("reads").expect("is there");
    assert_eq!(log.to_json(), json!(["undo b", "undo a", "exit"]));
}

#[test]
fn an_event_wakes_a_run_that_has_left_memory() {
    let script = r#"fn main(i) { wait_for("paid", #{ key: "k1", timeout: "1h" }) }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let handle = bench.engine.handle();
    let row = bench.block(async {
        let started = handle.start("w", Start::default()).await.expect("starts");
        while handle.in_motion().0 > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let event = crate::store::Event {
            seq: 0,
            id: "e1".into(),
            name: "paid".into(),
            key: Some("k1".into()),
            payload: crate::payload::Payload::from_json(&json!({"amount": 3})),
            run: None,
            at: handle.clock().now(),
        };
        handle.emit(event).await.expect("emits");
        handle.ended(started.run).await.expect("ends")
    });
    assert_eq!(row.output.expect("output").to_json(), json!({"amount": 3}));
}

#[test]
fn a_sleeping_run_that_left_memory_wakes_on_time() {
    assert_eq!(output("sleep(\"1200ms\"); \"awake\""), json!("awake"));
}

#[test]
fn a_workflow_starts_another_and_gets_its_output() {
    let parent = r#"fn main() { workflow::run("child", #{ n: 4 }) + 1 }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("child", "fn main(i) { i.n * 10 }"), ("w", parent)]);
    assert_eq!(bench.run("w", json!(null)).output.expect("output").to_json(), json!(41));
}

#[test]
fn a_failing_branch_cancels_its_siblings() {
    let error = error("parallel([|| sleep(\"1h\"), || { sleep(\"5ms\"); throw \"broken\" }])");
    assert_eq!(error["message"], json!("broken"));
}

#[test]
fn a_timeout_is_an_error_that_can_be_caught() {
    let script = r#"let r = attempt(|| timeout("10ms", || sleep("1h"))); r.error.kind"#;
    assert_eq!(output(script), json!("timeout"));
}

#[test]
fn an_endless_loop_fails_its_run_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { script_cpu: Duration::from_millis(200), workers: 1, ..Options::new(folder.path()) };
    let engine = Engine::start(Arc::new(Memory::default()), options);
    let bench = Bench { engine, _folder: folder };
    bench.deploy("endless", "[1].map(|x| loop {})");
    bench.deploy("other", "1");
    let handle = bench.engine.handle();
    bench.block(async {
        let endless = handle.start("endless", Start::default()).await.expect("starts");
        let other = handle.start("other", Start::default()).await.expect("starts");
        assert_eq!(handle.ended(other.run).await.expect("ends").status, Status::Completed);
        let ended = handle.ended(endless.run).await.expect("ends");
        assert_eq!(ended.error.expect("an error").to_json()["kind"], "limit");
    });
}

#[test]
fn a_cancelled_run_cleans_up() {
    let script = r#"fn main() { on_exit("bye", || state::set("bye", true)); sleep("1h") }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let handle = bench.engine.handle();
    let row = bench.block(async {
        let run = handle.start("w", Start::default()).await.expect("starts").run;
        handle.cancel(run, "enough", &Actor::LOCAL).await.expect("cancels");
        handle.ended(run).await.expect("ends")
    });
    assert_eq!(row.status, Status::Cancelled);
    assert_eq!(handle.store().state("w", "bye").expect("reads").expect("is there").to_json(), json!(true));
}

#[test]
fn polling_is_one_entry() {
    let script = r#"
        fn main() {
            let end = now();
            wait_until(#{ every: "5ms", timeout: "10s" }, || now() > end)
        }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let run = bench.run("w", json!(null));
    assert_eq!(run.output.expect("output").to_json(), json!(true));
    let kinds: Vec<_> =
        bench.engine.handle().journal(run.id).expect("reads").iter().map(crate::journal::Entry::shown_kind).collect();
    assert_eq!(kinds, ["start", "effect", "wait", "wait", "end"]);
}

#[test]
fn a_key_starts_once() {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", "input")]);
    let handle = bench.engine.handle();
    let start = |input: Value| Start { input, key: Some("k".into()), ..Start::default() };
    bench.block(async {
        let first = handle.start("w", start(json!(1))).await.expect("starts");
        let again = handle.start("w", start(json!(1))).await.expect("starts");
        assert_eq!((again.run, again.fresh), (first.run, false));
        assert!(matches!(handle.start("w", start(json!(2))).await, Err(Error::KeyConflict { .. })));
    });
}

#[test]
fn an_error_of_the_script_says_what_and_where_and_what_to_do() {
    let error = error("let list = [1];\nfn pick(l) { l[7] }\npick(list)");
    assert_eq!((&error["kind"], &error["line"]), (&json!("script"), &json!(2)));
    assert!(error["code"].as_str().is_some_and(|code| code.starts_with('E')), "{error}");
}

#[test]
fn a_fault_that_can_be_seen_is_found_before_a_run() {
    let bundle = Bundle::of_text("w.rhai", "let x = 1;\nstpe(\"a\", || x);\nsleep(\"90\")").expect("a bundle");
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let faults = compile(bundle, &settings).expect_err("has faults");
    assert_eq!(faults.iter().map(|f| f.place.line).collect::<Vec<_>>(), [2, 3], "{faults:#?}");
}

#[test]
fn a_deadline_ends_a_run_that_waits() {
    let script = r#"
        workflow(#{ deadline: "60ms" });
        fn main() { on_exit("bye", || state::set("bye", true)); sleep("1h") }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let run = bench.run("w", json!(null));
    assert_eq!((run.status, &run.error.expect("an error").to_json()["kind"]), (Status::TimedOut, &json!("timeout")));
    assert!(bench.engine.handle().store().state("w", "bye").expect("reads").is_some());
}

#[test]
fn a_run_that_was_just_started_has_a_status() {
    let parent = r#"fn main() { let run = workflow::start("child", #{ n: 4 }); workflow::status(run) }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("child", "fn main(i) { sleep(\"1h\") }"), ("w", parent)]);
    let status = bench.run("w", json!(null)).output.expect("output").to_json();
    assert!(["queued", "running", "waiting"].map(Value::from).contains(&status), "{status}");
}

#[test]
fn a_limit_has_a_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { script_cpu: Duration::from_millis(100), ..Options::new(folder.path()) };
    let bench = Bench { engine: Engine::start(Arc::new(Memory::default()), options), _folder: folder };
    bench.deploy("w", "let a = 1;\nlet b = 2;\nloop { a += b; a = 0; }");
    let error = bench.run("w", json!(null)).error.expect("an error").to_json();
    assert_eq!((&error["kind"], &error["line"]), (&json!("limit"), &json!(3)), "{error}");
}

#[test]
fn a_fault_in_a_step_says_what_it_means_and_what_to_do() {
    for script in ["let a = (); a.choice", "let a = (); step(\"s\", || a.choice)"] {
        let error = error(script);
        assert_eq!((&error["code"], &error["message"]), (&json!("E0505"), &json!("`()` has no property `choice`")));
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("`?.choice`")), "{error}");
    }
}

#[test]
fn a_fault_of_the_script_is_not_tried_again() {
    let error = error(r#"step("bug", #{ retry: #{ attempts: 3, delay: "5ms" } }, || { let x = 1; x < "a" })"#);
    assert_eq!((&error["kind"], &error["attempt"]), (&json!("script"), &json!(1)));
}

#[test]
fn the_attempt_of_an_error_is_that_of_its_step() {
    let error = error(r#"step("s", #{ retry: #{ attempts: 3, delay: "5ms" } }, || { throw "no" })"#);
    assert_eq!((&error["step"], &error["attempt"]), (&json!("s"), &json!(3)));
}

#[test]
fn branches_with_timers_survive_that_their_run_leaves_memory() {
    let script = r#"
        fn main() {
            parallel([
                || { sleep("20ms"); sleep("1300ms"); sleep("10ms"); 1 },
                || { sleep("30ms"); sleep("1300ms"); sleep("10ms"); 2 },
            ])
        }"#;
    assert_eq!(output(script), json!([1, 2]));
}

#[test]
fn a_run_that_computes_is_cancelled_and_cleans_up_after_a_restart() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let script = r#"on_exit("leave", || { wait_for("go"); }); let n = 0; loop { n += 1; }"#;
    let bench = Bench::new(Arc::clone(&store), &[("w", script)]);
    let handle = bench.engine.handle();
    let run = bench.block(async { handle.start("w", Start::default()).await.expect("starts").run });
    bench.block(async { handle.cancel(run, "enough", &Actor::LOCAL).await.expect("is asked to end") });
    bench.block(async {
        let mut watch = handle.watch();
        while !handle.run(run).expect("is there").waiting_for.contains("go") {
            watch.next().await;
        }
    });
    drop(bench);
    let bench = Bench::new(store, &[]);
    let handle = bench.engine.handle();
    handle.recover().expect("recovers");
    let event = crate::store::Event {
        seq: 0,
        id: "e".into(),
        name: "go".into(),
        key: None,
        payload: crate::payload::Payload::unit(),
        run: None,
        at: handle.clock().now(),
    };
    let ended = bench.block(async {
        handle.emit(event).await.expect("is emitted");
        handle.ended(run).await.expect("ends")
    });
    assert_eq!(ended.status, Status::Cancelled, "{:?}", ended.error);
}
