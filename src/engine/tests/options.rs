//! The options of `workflow(#{ … })`: what they do to whole runs.

use std::sync::Mutex;

use super::*;

/// Notifications, as they come.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<Notification>>);

impl Notifier for Told {
    fn notify(&self, notification: Notification) {
        self.0.lock().expect("not poisoned").push(notification);
    }
}

impl Told {
    pub(super) fn all(&self) -> Vec<(About, String, String)> {
        let all = self.0.lock().expect("not poisoned");
        all.iter().map(|n| (n.about, n.channel.to_string(), n.title.clone())).collect()
    }
}

/// A bench that keeps what is told.
fn told(store: &Arc<Memory>, scripts: &[(&str, &str)]) -> (Bench, Arc<Told>) {
    let told = Arc::new(Told::default());
    let notifier = Arc::clone(&told) as Arc<dyn Notifier>;
    let change = |options| Options { notifier, ..options };
    (Bench::with(Arc::clone(store) as Arc<dyn Store>, scripts, change), told)
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory::default())
}

/// Looks until it holds.
fn until(bench: &Bench, holds: impl Fn() -> bool) {
    bench.block(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

fn started(bench: &Bench, workflow: &str) -> crate::id::RunId {
    let handle = bench.engine.handle();
    bench.block(async { handle.start(workflow, Start::default()).await.expect("starts").run })
}

#[test]
fn an_output_is_what_its_schema_says() {
    let output =
        output("workflow(#{ output: #{ total: \"decimal\", note: \"string?\" } }); #{ total: \"1.50\", note: () }");
    assert_eq!(output, json!({"total": "1.50"}));
    let typed = r#"workflow(#{ output: "decimal" }); "1.50""#;
    let parent = r#"fn main() { workflow::run("typed", ()) + 1 }"#;
    let bench = Bench::new(memory(), &[("typed", typed), ("w", parent)]);
    assert_eq!(bench.run("w", json!(null)).output.expect("an output").text(), r#"{"$decimal":"2.50"}"#);
}

#[test]
fn an_output_that_does_not_fit_fails_the_run_with_every_path() {
    let script = r#"
        workflow(#{ output: #{ total: "int", lines: [#{ qty: "int" }] } });
        fn main() { on_rollback("undo", || state::set("undone", true)); #{ lines: [#{ qty: "two" }] } }"#;
    let bench = Bench::new(memory(), &[("w", script)]);
    let run = bench.run("w", json!(null));
    let error = run.error.expect("an error").to_json();
    assert_eq!((run.status, &error["kind"], &error["path"]), (Status::Failed, &json!("invalid"), &json!("total")));
    let paths: Vec<_> = error["faults"].as_array().expect("faults").iter().map(|fault| &fault["path"]).collect();
    assert_eq!(paths, ["total", "lines[0].qty"]);
    assert!(bench.engine.handle().store().state("w", "undone").expect("reads").is_some());
}

#[test]
fn steps_without_a_policy_have_that_of_the_workflow() {
    let script = |options: &str| {
        format!(
            r#"workflow(#{{ retry: #{{ attempts: 3, delay: "5ms", when: |e| e.message != "final" }} }});
            fn main(input) {{ step("s"{options}, || {{ if attempt_number() < 3 {{ throw input.message }} attempt_number() }}) }}"#
        )
    };
    let run = |options: &str, message: &str| {
        let bench = Bench::new(memory(), &[("w", &script(options))]);
        let run = bench.run("w", json!({ "message": message }));
        (run.output.map(|output| output.to_json()), run.error.map(|error| error.to_json()["attempt"].clone()))
    };
    assert_eq!(run("", "again"), (Some(json!(3)), None));
    assert_eq!(run("", "final"), (None, Some(json!(1))));
    assert_eq!(run(", #{ retry: 1 }", "again"), (None, Some(json!(1))));
}

#[test]
fn a_workflows_policy_is_not_that_of_retry_and_of_clean_ups() {
    let script = r#"
        workflow(#{ retry: #{ attempts: 2, delay: "1ms" } });
        fn main() {
            on_exit("bye", || { state::add("exits", 1); throw "no" });
            retry(1, || { state::add("tries", 1); throw "no" })
        }"#;
    let bench = Bench::new(memory(), &[("w", script)]);
    let handle = bench.engine.handle();
    let run = started(&bench, "w");
    let count = |key: &str| handle.store().state("w", key).expect("reads").map(|count| count.to_json());
    until(&bench, || count("exits").is_some());
    assert_eq!(count("tries"), Some(json!(1)));
    let waits = || handle.run(run).expect("is there").waiting_for.contains("the next attempt");
    until(&bench, || waits() || count("exits") == Some(json!(2)));
}

#[test]
fn a_timeout_counts_what_runs_and_not_what_waits() {
    let waits = r#"workflow(#{ timeout: "150ms" }); fn main() { sleep("300ms"); "done" }"#;
    let runs = r#"
        workflow(#{ timeout: "150ms" });
        fn main() { on_exit("bye", || state::set("bye", true)); loop { now(); } }"#;
    let bench = Bench::new(memory(), &[("waits", waits), ("runs", runs)]);
    assert_eq!(bench.run("waits", json!(null)).status, Status::Completed);
    let run = bench.run("runs", json!(null));
    assert_eq!((run.status, &run.error.expect("an error").to_json()["kind"]), (Status::TimedOut, &json!("timeout")));
    assert!(bench.engine.handle().store().state("runs", "bye").expect("reads").is_some());
}

#[test]
fn a_timeout_that_ended_a_run_replays() {
    let script = r#"
        workflow(#{ timeout: "50ms" });
        fn main() { on_exit("bye", || { sleep("1200ms"); state::set("bye", true) }); loop { now(); } }"#;
    let store = memory();
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", script)]);
    let run = started(&bench, "w");
    until(&bench, || store.run(run).expect("reads").is_some_and(|row| row.status == Status::Waiting));
    let again = Arc::new(store.crash());
    drop(bench);
    let bench = Bench::new(Arc::clone(&again) as Arc<dyn Store>, &[("w", script)]);
    let handle = bench.engine.handle();
    handle.recover().expect("recovers");
    let row = bench.block(async { handle.ended(run).await.expect("ends") });
    assert_eq!(row.status, Status::TimedOut);
    assert!(Store::state(&*again, "w", "bye").expect("reads").is_some());
}

/// A service on this machine that takes its time for each answer.
fn slow_service(answer_after: Duration) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (_never, clock) = std::sync::mpsc::channel::<()>();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let _ = clock.recv_timeout(answer_after);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    port
}

#[test]
fn a_timeout_adds_up_over_the_waits_in_which_a_run_leaves_memory() {
    let port = slow_service(Duration::from_millis(150));
    let script = format!(
        r#"workflow(#{{ timeout: "400ms", allow: #{{ http: ["127.0.0.1:{port}"] }} }});
        fn main(n) {{ for i in 0..n {{ http::get("http://127.0.0.1:{port}/"); state::set("got", i + 1); sleep("1200ms"); }} }}"#
    );
    let bench = Bench::new(memory(), &[("w", &script)]);
    assert_eq!(bench.run("w", json!(1)).status, Status::Completed);
    let activations = bench.engine.handle().in_motion().1;
    assert_eq!(bench.run("w", json!(9)).status, Status::TimedOut);
    let got = bench.engine.handle().store().state("w", "got").expect("reads").expect("is set").to_json();
    assert_eq!((got, bench.engine.handle().in_motion().1 > activations + 1), (json!(2), true));
}

#[test]
fn a_run_that_is_open_for_too_long_is_told_of_once() {
    let script = r#"workflow(#{ sla: #{ after: "30ms", notify: "ops" } }); fn main() { wait_for("go") }"#;
    let store = memory();
    let (bench, told_first) = told(&store, &[("w", script), ("quick", &script.replace("wait_for(\"go\")", "1"))]);
    bench.run("quick", json!(null));
    started(&bench, "w");
    until(&bench, || !told_first.all().is_empty());
    let (about, channel, title) = told_first.all().remove(0);
    assert_eq!((about, channel.as_str()), (About::Sla, "ops"));
    assert!(title.starts_with("a run of `w` is open for more than 30 ms"), "{title}");
    let (bench, told_again) = told(&Arc::new(store.crash()), &[("w", script)]);
    started(&bench, "w");
    until(&bench, || !told_again.all().is_empty());
    assert_eq!((told_first.all().len(), told_again.all().len()), (1, 1));
}

#[test]
fn a_failure_is_told_once_it_is_durable() {
    let script = r#"
        workflow(#{ on_failure: "ops", deadline: if config("late", false) { "1h" } else { "1h" } });
        fn main(input) { if input.fails { throw "no paper" } 1 }"#;
    let (bench, told) = told(&memory(), &[("w", script)]);
    bench.run("w", json!({"fails": false}));
    bench.run("w", json!({"fails": true}));
    until(&bench, || !told.all().is_empty());
    assert_eq!(told.all(), [(About::Failed, "ops".to_owned(), "`w` failed: no paper".to_owned())]);
}

#[test]
fn a_failure_starts_its_handler_with_what_happened() {
    let script = r#"workflow(#{ on_failure: #{ workflow: "handler" } }); fn main(input) { throw "no" }"#;
    let handler = r#"fn main(e) { state::set("seen", [e.workflow, e.status, e.input.n, e.error.message, trigger::info().kind]) }"#;
    let bench = Bench::new(memory(), &[("w", script), ("handler", handler)]);
    bench.run("w", json!({"n": 7}));
    let seen = || bench.engine.handle().store().state("handler", "seen").expect("reads");
    until(&bench, || seen().is_some());
    assert_eq!(seen().expect("is set").to_json(), json!(["w", "failed", 7, "no", "failure"]));
}

#[test]
fn a_handler_that_fails_does_not_start_itself_without_end() {
    let fails = r#"workflow(#{ on_failure: #{ workflow: "handler" } }); throw "no""#;
    let handler = r#"workflow(#{ on_failure: #{ workflow: "handler" } }); fn main(e) { workflow::run("w", ()) }"#;
    let bench = Bench::new(memory(), &[("w", fails), ("handler", handler)]);
    bench.run("w", json!(null));
    let handle = bench.engine.handle();
    let all = || handle.runs(&crate::store::RunFilter { limit: 100, ..Default::default() }).expect("reads");
    until(&bench, || all().len() >= 3 && all().iter().all(|run| run.status.is_final()));
    let workflows: Vec<_> = all().iter().rev().map(|run| run.workflow.to_string()).collect();
    assert_eq!(workflows, ["w", "handler", "w"]);
}

#[test]
fn a_finished_run_is_kept_as_long_as_it_says() {
    let bench = Bench::new(memory(), &[("short", "workflow(#{ keep: \"1ms\" }); 1"), ("long", "1")]);
    let (short, long) = (bench.run("short", json!(null)), bench.run("long", json!(null)));
    let kept = |run: &Run| run.expires_at.expect("it expires").since(run.ended_at.expect("it ended"));
    assert_eq!((kept(&short), kept(&long)), (Duration::from_millis(1), KEEP));
    let handle = bench.engine.handle();
    until(&bench, || handle.clock().now() >= short.expires_at.expect("it expires"));
    // Housekeeping may have been first.
    assert!(handle.prune(None) <= 1);
    assert!(matches!((handle.run(short.id), handle.run(long.id)), (Err(Error::UnknownRun(_)), Ok(_))));
    assert!(handle.store().bundle(&short.version).expect("reads").is_some(), "a live version stays");
}

/// A run of the first script that waits outside of memory, then the second is deployed.
fn redeployed(before: &str, after: &str) -> (Bench, crate::id::RunId) {
    let bench = Bench::new(memory(), &[("w", before)]);
    let handle = bench.engine.handle();
    let run = started(&bench, "w");
    until(&bench, || handle.run(run).is_ok_and(|row| row.status == Status::Waiting) && handle.in_motion().0 == 0);
    bench.deploy("w", after);
    (bench, run)
}

fn emit(bench: &Bench, name: &str, payload: &Value) {
    let handle = bench.engine.handle();
    let event = crate::store::Event {
        seq: 0,
        id: uuid::Uuid::now_v7().to_string().into(),
        name: name.into(),
        key: None,
        payload: crate::payload::Payload::from_json(payload),
        run: None,
        at: handle.clock().now(),
    };
    bench.block(async { handle.emit(event).await.expect("emits") });
}

fn finished(bench: &Bench, run: crate::id::RunId) -> Run {
    let handle = bench.engine.handle();
    bench.block(async { handle.ended(run).await.expect("ends") })
}

const BEFORE: &str =
    r#"workflow(#{ upgrade: "when_compatible" }); fn main() { let a = step("a", || 1); wait_for("go"); a }"#;

#[test]
fn an_open_run_moves_to_a_version_that_fits_its_journal() {
    let (bench, run) = redeployed(BEFORE, &BEFORE.replace("; a }", "; a + 1 }"));
    let handle = bench.engine.handle();
    let version = handle.workflow("w").expect("is there").version().clone();
    until(&bench, || handle.run(run).expect("is there").version == version);
    emit(&bench, "go", &json!(null));
    assert_eq!(finished(&bench, run).output.expect("an output").to_json(), json!(2));
}

#[test]
fn an_open_run_stays_where_the_new_version_does_not_fit() {
    let (bench, run) = redeployed(BEFORE, &BEFORE.replace("step(\"a\"", "step(\"b\""));
    let before = bench.engine.handle().run(run).expect("is there").version;
    emit(&bench, "go", &json!(null));
    let ended = finished(&bench, run);
    assert_eq!((ended.status, ended.version), (Status::Completed, before));
}

#[test]
fn a_pinned_run_stays() {
    let (bench, run) = redeployed(
        &BEFORE.replace("when_compatible", "pinned"),
        &BEFORE.replace("; a }", "; a + 1 }").replace("when_compatible", "pinned"),
    );
    emit(&bench, "go", &json!(null));
    assert_eq!(finished(&bench, run).output.expect("an output").to_json(), json!(1));
}

#[test]
fn a_chain_has_one_mailbox_and_one_end() {
    let script = r#"
        fn main(n) {
            let got = wait_for("tick");
            let seen = state::update("seen", |s| (if s == () { [] } else { s }) + [got.n]);
            if seen.len() == 4 { return seen }
            workflow::continue_as((if n == () { 0 } else { n }) + 1)
        }"#;
    let parent = r#"fn main() { workflow::run("w", ()) }"#;
    let bench = Bench::new(memory(), &[("w", script), ("parent", parent)]);
    let run = started(&bench, "parent");
    let handle = bench.engine.handle();
    let all = || {
        handle
            .runs(&crate::store::RunFilter { workflow: Some("w".into()), limit: 9, ..Default::default() })
            .expect("reads")
    };
    until(&bench, || !all().is_empty());
    (1..=4).for_each(|n| emit(&bench, "tick", &json!({ "n": n })));
    assert_eq!(finished(&bench, run).output.expect("an output").to_json(), json!([1, 2, 3, 4]));
    let chain = all();
    let first = chain.last().expect("the first").id;
    assert_eq!(chain.iter().map(|run| run.chain).collect::<Vec<_>>(), vec![Some(first); 4]);
    assert_eq!(chain[3].to_json()["continued_as"], json!(chain[2].id));
    assert_eq!(
        chain.iter().map(|run| run.input.to_json()).collect::<Vec<_>>(),
        [json!(3), json!(2), json!(1), json!(null)]
    );
}

#[test]
fn cancelling_a_run_that_has_continued_cancels_the_newest() {
    let script = r#"fn main(n) { if n == () { workflow::continue_as(1) } wait_for("never") }"#;
    let bench = Bench::new(memory(), &[("w", script)]);
    let handle = bench.engine.handle();
    let run = started(&bench, "w");
    until(&bench, || handle.newest(run).is_ok_and(|newest| newest.id != run));
    bench.block(async { handle.cancel(run, "enough", &Actor::LOCAL).await.expect("cancels") });
    let ended = finished(&bench, run);
    assert_eq!((ended.status, ended.chain), (Status::Cancelled, Some(run)));
    let again = bench.block(async { handle.cancel(run, "again", &Actor::LOCAL).await });
    assert!(matches!(again, Err(Error::Ended(id, Status::Cancelled)) if id == ended.id));
}

#[test]
fn a_run_continues_with_nothing_left_behind_and_an_input_that_fits() {
    let script = r#"
        workflow(#{ input: #{ n: "int?" } });
        fn main(input) {
            if input.n == 1 { return "next" }
            let held = attempt(|| scope(|| { on_rollback("undo", || 1); workflow::continue_as(#{ n: 1 }) }));
            let wrong = attempt(|| workflow::continue_as(#{ n: "one" }));
            state::set("errors", [held.error.kind, held.error.message, wrong.error.kind]);
            on_exit("bye", || state::set("bye", true));
            workflow::continue_as(#{ n: 1 });
            state::set("never", true)
        }"#;
    let bench = Bench::new(memory(), &[("w", script)]);
    let run = started(&bench, "w");
    assert_eq!(finished(&bench, run).output.expect("an output").to_json(), json!("next"));
    let state = |key: &str| bench.engine.handle().store().state("w", key).expect("reads").map(|value| value.to_json());
    let errors = state("errors").expect("is set");
    assert!(errors[1].as_str().is_some_and(|message| message.contains("compensations are registered")), "{errors}");
    assert_eq!(
        (&errors[0], &errors[2], state("bye"), state("never")),
        (&json!("invalid"), &json!("invalid"), Some(json!(true)), None)
    );
}

#[test]
fn a_thousand_continuations_leave_nothing_in_memory() {
    let script = r#"fn main(n) { let n = if n == () { 0 } else { n }; event::emit("t"); wait_for("t"); if n < 1000 { workflow::continue_as(n + 1) } n }"#;
    let bench = Bench::new(memory(), &[("w", script)]);
    let run = started(&bench, "w");
    let handle = bench.engine.handle();
    for n in [200, 400, 600, 800, 1_000] {
        until(&bench, || handle.newest(run).expect("is there").input.to_json().as_u64() >= Some(n));
    }
    let last = finished(&bench, run);
    assert_eq!((last.output.expect("an output").to_json(), last.chain), (json!(1000), Some(run)));
    assert!(last.mailbox.expect("is handed on").text().len() < 200);
    assert!(handle.journal(last.id).expect("reads").len() < 8);
    until(&bench, || handle.in_motion().0 == 0);
}

#[test]
fn a_chain_goes_on_once_after_a_crash_at_any_time() {
    let script = r#"
        fn main(n) {
            let n = if n == () { 0 } else { n };
            on_exit("count", || state::update("seen", |s| (if s == () { [] } else { s }) + [n]));
            event::emit("tick", #{ n: n });
            let got = wait_for("tick").n;
            if got < 20 { workflow::continue_as(got + 1) }
            got
        }"#;
    let store = memory();
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", script)]);
    let handle = bench.engine.handle();
    let run = started(&bench, "w");
    let crashes = std::cell::RefCell::new(Vec::new());
    until(&bench, || {
        crashes.borrow_mut().push(store.crash());
        handle.newest(run).is_ok_and(|newest| newest.status.is_final())
    });
    for crash in crashes.take() {
        let store = Arc::new(crash);
        let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", script)]);
        bench.engine.handle().recover().expect("recovers");
        assert_eq!(finished(&bench, run).output.expect("an output").to_json(), json!(20));
        let seen = Store::state(&*store, "w", "seen").expect("reads").expect("is set").to_json();
        assert_eq!(seen, json!((0..=20).collect::<Vec<_>>()));
    }
}
