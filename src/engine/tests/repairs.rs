//! Runs that people repair: tried again, with steps left out or given, and copied.

use super::slots::{started, until};
use super::*;
use crate::audit::Actor;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::memory::Fault;
use crate::store::{AuditFilter, Change};

/// Fails in its last step until the value `ok` is set.
const FAILS: &str = r#"
    fn main() {
        let a = step("a", || state::add("a", 1));
        step("b", || { state::add("b", 1); if !state::get("ok", false) { throw "not yet" } a * 10 })
    }"#;

pub(super) fn deed() -> Deed {
    Deed { by: Actor::LOCAL, reason: None }
}

fn again() -> Retry {
    Retry { confirmed: true, ..Retry::default() }
}

fn value(handle: &Handle, key: &str) -> Value {
    handle.store().state("w", key).expect("reads").map(|value| value.to_json()).unwrap_or_default()
}

async fn set(handle: &Handle, key: &str) {
    let value = Some(Payload::from_text("true"));
    handle.write(vec![Change::SetState { scope: "w".into(), key: key.into(), value }]).await.expect("writes");
}

async fn ends(handle: &Handle, run: RunId, status: Status) -> Value {
    let row = handle.ended(run).await.expect("ends");
    assert_eq!(row.status, status, "{:?}", row.error);
    row.output.map(|output| output.to_json()).unwrap_or_default()
}

async fn waits(handle: &Handle, run: RunId) {
    until(|| handle.run(run).expect("reads").status == Status::Waiting).await;
}

/// A bench with a run of `w` that has ended like that.
fn failed(script: &str) -> (Bench, Handle, RunId) {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let handle = bench.engine.handle();
    let run = bench.run("w", json!(null));
    assert_eq!(run.status, Status::Failed, "{:?}", run.output);
    (bench, handle, run.id)
}

fn acts(handle: &Handle) -> Vec<String> {
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    handle.audit(&filter).expect("reads").iter().map(|record| record.act.act.to_string()).collect()
}

#[test]
fn a_retry_keeps_what_was_done_and_does_the_failed_step_anew() {
    let (bench, handle, run) = failed(FAILS);
    bench.block(async {
        set(&handle, "ok").await;
        let answer = handle.retry(run, &Retry::default(), &deed()).await.expect("retries");
        assert_eq!((&answer["from"], &answer["again"]), (&json!("1"), &json!([])));
        assert_eq!(ends(&handle, run, Status::Completed).await, 10);
        assert_eq!((value(&handle, "a"), value(&handle, "b")), (json!(1), json!(2)));
        assert!(matches!(handle.retry(run, &again(), &deed()).await, Err(Error::NotNow { .. })));
        assert_eq!(acts(&handle), ["run.retry"]);
    });
}

#[test]
fn a_retry_from_a_step_does_that_and_all_after_it_anew() {
    let (bench, handle, run) = failed(FAILS);
    bench.block(async {
        let from = |step: &str| Retry { from: Some(step.to_owned()), ..Retry::default() };
        let wrong = handle.retry(run, &from("bb"), &deed()).await.expect_err("is unknown").to_string();
        assert!(wrong.contains("did you mean `b`?"), "{wrong}");
        set(&handle, "ok").await;
        handle.retry(run, &from("a"), &deed()).await.expect("retries");
        assert_eq!(ends(&handle, run, Status::Completed).await, 20);
    });
}

#[test]
fn what_was_undone_is_done_again_once_that_is_confirmed_and_nothing_else() {
    let (bench, handle, run) = failed(
        r#"fn main() {
            let a = step("a", #{ undo: |a| state::add("undone", 1) }, || state::add("a", 1));
            let m = step("middle", || state::add("m", 1));
            step("b", || { if !state::get("ok", false) { throw "no" } [a, m] })
        }"#,
    );
    bench.block(async {
        set(&handle, "ok").await;
        let Err(Error::Confirm { steps, .. }) = handle.retry(run, &Retry::default(), &deed()).await else {
            panic!("it has to be confirmed")
        };
        assert_eq!(steps, ["a"]);
        handle.retry(run, &again(), &deed()).await.expect("retries");
        assert_eq!(ends(&handle, run, Status::Completed).await, json!([2, 1]));
        assert_eq!(value(&handle, "undone"), json!(1));
    });
}

#[test]
fn what_another_branch_had_done_meanwhile_is_not_done_twice() {
    let (bench, handle, run) = failed(
        r#"fn main() {
            parallel([
                || step("fails", || { sleep("1ms"); while state::get("x") == () { sleep("1ms"); } sleep("20ms");
                    if !state::get("ok", false) { throw "no" } 1 }),
                || { step("other", || state::add("x", 1)); sleep("1h"); },
            ])
        }"#,
    );
    bench.block(async {
        set(&handle, "ok").await;
        handle.retry(run, &Retry::default(), &deed()).await.expect("retries");
        waits(&handle, run).await;
        assert_eq!(value(&handle, "x"), json!(1));
        handle.cancel(run, "enough", &Actor::LOCAL).await.expect("cancels");
        ends(&handle, run, Status::Cancelled).await;
        handle.retry(run, &Retry::default(), &deed()).await.expect("goes on where it was cancelled");
        waits(&handle, run).await;
    });
}

#[test]
fn a_step_that_waits_is_skipped_or_gets_its_result_and_the_run_replays() {
    let store = Arc::new(Memory::default());
    let script = r#"fn main() { let a = step("ask", #{ undo: |a| state::set("undone", a) }, || wait_for("go")); wait_for("end"); a }"#;
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", script)]);
    let handle = bench.engine.handle();
    let runs = bench.block(async {
        let mut runs = Vec::new();
        for value in [None, Some(json!({ "n": 7 }))] {
            let run = started(&handle, "w", json!(null)).await;
            waits(&handle, run).await;
            handle.set_result(run, "ask", value.as_ref(), &deed()).await.expect("sets it");
            runs.push(run);
        }
        runs
    });
    drop(bench);
    let bench = Bench::new(store, &[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        handle.recover().expect("recovers");
        super::slots::emit(&handle, "end").await;
        assert_eq!(ends(&handle, runs[0], Status::Completed).await, json!(null));
        assert_eq!(ends(&handle, runs[1], Status::Completed).await, json!({ "n": 7 }));
        assert!(handle.set_result(runs[0], "ask", None, &deed()).await.is_err(), "what has ended stays");
    });
}

#[test]
fn a_failed_step_gets_its_result_and_an_outcome_never_changes() {
    let (bench, handle, run) = failed(FAILS);
    bench.block(async {
        let fixed = handle.set_result(run, "a", Some(&json!(5)), &deed()).await.expect_err("it is recorded");
        assert!(fixed.to_string().contains("panta fork"), "{fixed}");
        handle.set_result(run, "b", Some(&json!(5)), &deed()).await.expect("sets it");
        assert_eq!(ends(&handle, run, Status::Completed).await, 5);
        assert_eq!((value(&handle, "b"), acts(&handle)), (json!(1), vec!["run.set-result".to_owned()]));
    });
}

#[test]
fn a_copy_goes_on_from_a_step_with_another_value() {
    let (bench, handle, run) = failed(
        r#"fn main() {
            let id = uuid();
            let a = step("a", || { state::set("id", id); state::add("a", 1) });
            step("b", || { if a == 1 { throw "one" } [a, id] })
        }"#,
    );
    bench.block(async {
        let forked = handle.fork(run, "a", Some(&json!(3)), &deed()).await.expect("forks");
        let copy: RunId = forked["run"].as_str().and_then(|id| id.parse().ok()).expect("a run");
        let output = ends(&handle, copy, Status::Completed).await;
        assert_eq!((&output[0], value(&handle, "a")), (&json!(3), json!(1)));
        assert_ne!(output[1], value(&handle, "id"), "chance is its own where it goes its own way");
        let later = handle.fork(run, "b", None, &deed()).await.expect("forks");
        let copy: RunId = later["run"].as_str().and_then(|id| id.parse().ok()).expect("a run");
        ends(&handle, copy, Status::Failed).await;
        assert_eq!(value(&handle, "a"), json!(1), "what is copied is not done again");
        let trigger = handle.run(copy).expect("reads").trigger.to_json();
        assert_eq!((&trigger["forked"]["run"], &trigger["forked"]["at"]), (&json!(run), &json!("b")));
    });
}

#[test]
fn a_crash_while_a_run_is_opened_again_leaves_the_old_or_the_new() {
    for (fault, status) in [(Fault::Lost, Status::Failed), (Fault::Kept, Status::Running)] {
        let store = Arc::new(Memory::default());
        let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", FAILS)]);
        let run = bench.run("w", json!(null)).id;
        let handle = bench.engine.handle();
        bench.block(async {
            set(&handle, "ok").await;
            // A repair is written as an act of whoever makes it.
            store.fail_next_with(fault, |change| matches!(change, Change::Audit { .. }));
            assert!(handle.retry(run, &Retry::default(), &deed()).await.is_err());
        });
        drop(bench);
        let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", FAILS)]);
        let handle = bench.engine.handle();
        assert_eq!(handle.run(run).expect("reads").status, status);
        bench.block(async {
            handle.recover().expect("recovers");
            if status == Status::Failed {
                handle.retry(run, &Retry::default(), &deed()).await.expect("retries");
            }
            assert_eq!(ends(&handle, run, Status::Completed).await, 10);
        });
    }
}

#[test]
fn a_lock_is_taken_again_or_the_run_stays_closed() {
    let (bench, handle, run) =
        failed(r#"fn main() { lock("till", || { step("b", || { if !state::get("ok", false) { throw "no" } 1 }) }) }"#);
    bench.deploy("holder", r#"fn main() { lock("till", || wait_for("go")) }"#);
    bench.block(async {
        set(&handle, "ok").await;
        let holder = started(&handle, "holder", json!(null)).await;
        waits(&handle, holder).await;
        let taken = handle.retry(run, &Retry::default(), &deed()).await.expect_err("it is taken").to_string();
        assert!(taken.contains(&holder.to_string()), "{taken}");
        super::slots::emit(&handle, "go").await;
        ends(&handle, holder, Status::Completed).await;
        handle.retry(run, &Retry::default(), &deed()).await.expect("retries");
        assert_eq!(ends(&handle, run, Status::Completed).await, 1);
        assert_eq!(handle.slots("till").expect("reads"), []);
    });
}

#[test]
fn a_new_version_is_taken_where_what_is_kept_replays_on_it() {
    let (bench, handle, run) = failed(FAILS);
    bench.block(async {
        bench.deploy("w", r#"fn main() { step("z", || 1) }"#);
        let upgrade = Retry { upgrade: true, ..Retry::default() };
        let other = handle.retry(run, &upgrade, &deed()).await.expect_err("it diverges").to_string();
        assert!(other.contains("step `a`") || other.contains("state::add"), "{other}");
        bench.deploy("w", r#"fn main() { let a = step("a", || state::add("a", 1)); step("b", || a + 6) }"#);
        handle.retry(run, &upgrade, &deed()).await.expect("retries");
        assert_eq!(ends(&handle, run, Status::Completed).await, 7);
    });
}

#[test]
fn a_task_that_ended_with_the_run_is_opened_anew() {
    let (bench, handle, run) = failed(
        r#"fn main() { parallel([|| task::ask(#{ title: "Pay?" }), || { sleep("30ms"); step("b", || throw "no") }]) }"#,
    );
    bench.block(async {
        handle.set_result(run, "b", Some(&json!(2)), &deed()).await.expect("sets it");
        waits(&handle, run).await;
        let tasks = handle.tasks(&crate::store::TaskFilter { limit: 9, ..Default::default() }).expect("reads");
        let open: Vec<_> = tasks.iter().filter(|task| task.status == crate::task::Status::Open).collect();
        assert_eq!((tasks.len(), open.len()), (2, 1));
    });
}

#[test]
fn a_deadline_counts_anew_from_the_retry() {
    let script = r#"workflow(#{ deadline: "2s" }); fn main() { wait_for("go"); "went" }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let handle = bench.engine.handle();
    let run = bench.run("w", json!(null));
    assert_eq!(run.status, Status::TimedOut);
    bench.block(async {
        super::slots::emit(&handle, "go").await;
        handle.retry(run.id, &Retry::default(), &deed()).await.expect("retries");
        assert_eq!(ends(&handle, run.id, Status::Completed).await, "went");
    });
}

#[test]
fn a_child_that_was_repaired_meanwhile_is_waited_for_and_not_started_twice() {
    let bench = Bench::new(
        Arc::new(Memory::default()),
        &[("w", FAILS), ("parent", r#"fn main() { step("call", || workflow::run("w", ())) }"#)],
    );
    let handle = bench.engine.handle();
    let parent = bench.run("parent", json!(null));
    assert_eq!(parent.status, Status::Failed);
    bench.block(async {
        let all = handle.runs(&crate::store::RunFilter { limit: 9, ..Default::default() }).expect("reads");
        let child = all.iter().find(|run| &*run.workflow == "w").expect("a child").id;
        set(&handle, "ok").await;
        let answer = handle.retry(child, &Retry::default(), &deed()).await.expect("retries");
        assert!(answer["notes"][0].as_str().is_some_and(|note| note.contains("does not change")), "{answer}");
        ends(&handle, child, Status::Completed).await;
        let from = Retry { from: Some("w".into()), ..Retry::default() };
        handle.retry(parent.id, &from, &deed()).await.expect("retries");
        assert_eq!(ends(&handle, parent.id, Status::Completed).await, 10);
        assert_eq!(value(&handle, "a"), json!(1));
    });
}
