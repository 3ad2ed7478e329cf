//! Locks, rates, and runs side by side.

use super::*;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{Change, End, Event, Rollback, SlotState};

/// Holds the lock `till` until the event `go`; returns what the body got.
const HOLDER: &str = r#"fn main() { lock("till", || { wait_for("go", #{ timeout: "1h" }); "held" }) }"#;
const WAITER: &str = r#"fn main() { lock("till", || "got it") }"#;

fn bench(scripts: &[(&str, &str)]) -> Bench {
    Bench::new(Arc::new(Memory::default()), scripts)
}

pub(super) async fn started(handle: &Handle, workflow: &str, input: Value) -> RunId {
    handle.start(workflow, Start { input, ..Start::default() }).await.expect("starts").run
}

pub(super) async fn emit(handle: &Handle, name: &str) {
    let (seq, at, payload) = (0, handle.clock().now(), Payload::unit());
    let event =
        Event { seq, id: RunId::new().to_string().into(), name: name.into(), key: None, payload, run: None, at };
    handle.emit(event).await.expect("emits");
}

/// Looks until it is so: what is awaited is at most some commits away.
pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until nothing is in memory.
async fn all_evicted(handle: &Handle) {
    until(|| handle.in_motion().0 == 0).await;
}

/// A run that holds `till`, and one that waits for it; both have left memory.
async fn one_holds_one_waits(handle: &Handle) -> (RunId, RunId) {
    let holder = started(handle, "holder", json!(null)).await;
    until(|| handle.slots("till").expect("reads").len() == 1).await;
    let waiter = started(handle, "waiter", json!(null)).await;
    until(|| handle.slots("till").expect("reads").len() == 2).await;
    all_evicted(handle).await;
    (holder, waiter)
}

async fn output_of(handle: &Handle, run: RunId) -> Value {
    let row = handle.ended(run).await.expect("ends");
    row.output.unwrap_or_else(|| panic!("{:?}: {:?}", row.status, row.error)).to_json()
}

/// An end, as another process might have written it.
fn ended(status: Status, at: crate::time::Timestamp) -> End {
    let (output, error, rollback) = (None, None, Rollback::None);
    End { status, output, error, rollback, at, continued_as: None, expires_at: None }
}

fn state(handle: &Handle, workflow: &str, key: &str) -> Value {
    handle.store().state(workflow, key).expect("reads").map(|value| value.to_json()).unwrap_or_default()
}

#[test]
fn two_hundred_runs_over_a_lock_of_three_are_never_four() {
    let script = r#"
        fn main() {
            lock("till", #{ limit: 3 }, || {
                let n = state::add("inside", 1);
                state::update("most", |most| if most == () || n > most { n } else { most });
                sleep("1ms");
                state::add("inside", -1);
            })
        }"#;
    let bench = bench(&[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let mut runs = Vec::new();
        for _ in 0..200 {
            runs.push(started(&handle, "w", json!(null)).await);
        }
        for run in runs {
            assert_eq!(handle.ended(run).await.expect("ends").status, Status::Completed);
        }
    });
    assert_eq!((state(&handle, "w", "most"), state(&handle, "w", "inside")), (json!(3), json!(0)));
    assert_eq!(handle.slots("till").expect("reads"), []);
}

#[test]
fn a_run_that_left_memory_gets_the_lock_when_it_is_free() {
    let bench = bench(&[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let (holder, waiter) = one_holds_one_waits(&handle).await;
        let sentence = handle.run(waiter).expect("is there").waiting_for;
        assert!(sentence.starts_with(&format!("the lock `till`, held by run {holder} (line 1,")), "{sentence}");
        emit(&handle, "go").await;
        assert_eq!(output_of(&handle, holder).await, json!("held"));
        assert_eq!(output_of(&handle, waiter).await, json!("got it"));
    });
}

#[test]
fn a_crash_keeps_the_holder_and_the_line() {
    let store = Memory::default();
    let shared: Arc<Memory> = Arc::new(store);
    let before = Bench::new(Arc::clone(&shared) as Arc<dyn Store>, &[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = before.engine.handle();
    let (holder, waiter) = before.block(one_holds_one_waits(&handle));
    let after = Bench::new(Arc::new(shared.crash()), &[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = after.engine.handle();
    handle.recover().expect("recovers");
    after.block(async {
        emit(&handle, "go").await;
        assert_eq!(output_of(&handle, waiter).await, json!("got it"));
        let names: Vec<_> = handle.journal(holder).expect("reads").iter().map(|e| e.name.to_string()).collect();
        assert_eq!(names, ["holder", "lock:till", "lock:till", "go", "go", "unlock:till", "completed"]);
    });
}

#[test]
fn a_grant_that_was_not_recorded_is_found_again() {
    let shared = Arc::new(Memory::default());
    let before = Bench::new(Arc::clone(&shared) as Arc<dyn Store>, &[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = before.engine.handle();
    let (holder, waiter) = before.block(one_holds_one_waits(&handle));
    // The holder's end is committed by a process that is gone at once: the waiter has the slot, and was not told.
    let crashed = Arc::new(shared.crash());
    let row = crashed.run(holder).expect("reads").expect("is there");
    let end = ended(Status::Completed, row.created_at);
    crashed.commit(&[Change::Finish { run: holder, epoch: row.epoch, end }]).expect("commits");
    let after = Bench::new(crashed, &[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = after.engine.handle();
    handle.recover().expect("recovers");
    assert_eq!(after.block(output_of(&handle, waiter)), json!("got it"));
}

#[test]
fn a_lock_is_left_when_its_body_throws_or_its_branch_is_dropped() {
    let script = r#"
        fn main() {
            let first = attempt(|| lock("a", || throw "no"));
            race([|| lock("a", || sleep("1h")), || sleep("10ms")]);
            parallel_map([1, 2, 3], |n| lock("a", #{ timeout: "10s" }, || { sleep("1ms"); n * 10 }))
        }"#;
    assert_eq!(output(script), json!([10, 20, 30]));
}

#[test]
fn a_dropped_branch_leaves_the_line() {
    let script = r#"fn main() { race([|| lock("till", || 1), || { sleep("20ms"); 2 }]).value }"#;
    let bench = bench(&[("holder", HOLDER), ("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let holder = started(&handle, "holder", json!(null)).await;
        until(|| handle.slots("till").expect("reads").len() == 1).await;
        let run = started(&handle, "w", json!(null)).await;
        assert_eq!(output_of(&handle, run).await, json!(2));
        let runs: Vec<_> = handle.slots("till").expect("reads").into_iter().map(|slot| slot.run).collect();
        assert_eq!(runs, [holder]);
    });
}

#[test]
fn entering_a_lock_from_inside_is_an_error() {
    let script = r#"attempt(|| lock("a", || parallel([|| lock("a", || 1)]))).error"#;
    let error = output(script);
    let message = "`lock`: the lock `a` is held here already, and would wait for itself; hint: leave it first, or call the rest directly";
    assert_eq!((&error["kind"], &error["message"]), (&json!("invalid"), &json!(message)));
}

#[test]
fn a_wait_for_a_lock_may_end() {
    let script = r#"
        fn main() {
            let late = parallel([
                || lock("a", || { sleep("60ms"); "first" }),
                || attempt(|| lock("a", #{ timeout: "20ms" }, || "second")).error.kind,
            ]);
            late + [lock("a", || "third")]
        }"#;
    assert_eq!(output(script), json!(["first", "timeout", "third"]));
}

#[test]
fn what_is_registered_inside_of_a_lock_stays_with_the_run() {
    let script = r#"
        fn main() {
            lock("a", || step("pay", #{ undo: |v| state::set("undone", v) }, || "paid"));
            throw "later";
        }"#;
    let bench = bench(&[("w", script)]);
    assert_eq!(bench.run("w", json!(null)).status, Status::Failed);
    assert_eq!(state(&bench.engine.handle(), "w", "undone"), json!("paid"));
}

#[test]
fn a_cancelled_run_gives_its_lock_to_the_next() {
    let bench = bench(&[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let (holder, waiter) = one_holds_one_waits(&handle).await;
        handle.cancel(holder, "enough", &Actor::LOCAL).await.expect("cancels");
        assert_eq!(output_of(&handle, waiter).await, json!("got it"));
    });
}

#[test]
fn an_operator_frees_the_lock_of_a_quarantined_run_alone() {
    let bench = bench(&[("holder", HOLDER), ("waiter", WAITER)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let (holder, waiter) = one_holds_one_waits(&handle).await;
        assert!(matches!(handle.unlock("till", false, &Actor::LOCAL).await, Err(Error::LockInUse { run, .. }) if run == holder));
        let row = handle.run(holder).expect("is there");
        let at = handle.clock().now();
        let end = ended(Status::Quarantined, at);
        handle.write(vec![Change::Finish { run: holder, epoch: row.epoch, end }]).await.expect("writes");
        assert_eq!(handle.slots("till").expect("reads")[0].state, SlotState::Held);
        let unlocked = handle.unlock("till", false, &Actor::LOCAL).await.expect("unlocks");
        assert_eq!(unlocked, Unlocked { holders: vec![holder], next: vec![waiter] });
        assert_eq!(output_of(&handle, waiter).await, json!("got it"));
        assert!(matches!(handle.unlock("till", false, &Actor::LOCAL).await, Err(Error::NotLocked(_))));
    });
}

#[test]
fn a_rate_holds_over_all_runs_and_records_only_waits() {
    let script = r#"
        fn main() {
            rate_limit("api", "100/s");
            let at = now();
            state::update("at", |all| (if all == () { [] } else { all }) + [at]);
        }"#;
    let bench = bench(&[("w", script)]);
    let handle = bench.engine.handle();
    let began = handle.clock().now();
    let runs = bench.block(async {
        let mut runs = Vec::new();
        for _ in 0..12 {
            runs.push(started(&handle, "w", json!(null)).await);
        }
        for run in &runs {
            handle.ended(*run).await.expect("ends");
        }
        runs
    });
    let at = state(&handle, "w", "at");
    let shown = at.as_array().expect("a list").iter().filter_map(Value::as_str);
    let mut times: Vec<_> = shown.filter_map(crate::time::Timestamp::from_text).collect();
    times.sort_unstable();
    assert_eq!(times.len(), 12);
    for (n, time) in times.iter().enumerate() {
        assert!(time.0 >= began.0 + 10 * n as i64, "call {n} came after {} ms", time.0 - began.0);
    }
    let waits = |run: &RunId| {
        let journal = handle.journal(*run).expect("reads");
        journal.iter().filter(|entry| &*entry.name == "rate_limit").count()
    };
    assert_eq!(runs.iter().map(waits).min(), Some(0), "the first to come did not wait");
    assert_eq!(runs.iter().map(waits).max(), Some(2), "a wait is one command: begun and ended");
}

const QUEUED: &str = r#"
    const PREFIX = "customer ";
    workflow(#{ concurrency: #{ key: |order| PREFIX + order.customer, limit: 1 } });
    fn main(order) { wait_for("go " + order.n, #{ timeout: "1h" }); order.n }"#;

#[test]
fn runs_with_the_same_key_go_one_after_another() {
    let bench = bench(&[("w", QUEUED)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let order = |n: i64, customer: &str| json!({ "n": n, "customer": customer });
        let first = started(&handle, "w", order(1, "a")).await;
        let second = started(&handle, "w", order(2, "a")).await;
        let other = started(&handle, "w", order(3, "b")).await;
        emit(&handle, "go 2").await;
        emit(&handle, "go 3").await;
        assert_eq!(output_of(&handle, other).await, json!(3));
        let row = handle.run(second).expect("is there");
        assert_eq!((row.status, row.started_at), (Status::Queued, None));
        assert_eq!(&*row.waiting_for, "its turn: no slot of `workflow:w:customer a` is free");
        emit(&handle, "go 1").await;
        assert_eq!((output_of(&handle, first).await, output_of(&handle, second).await), (json!(1), json!(2)));
    });
}

#[test]
fn a_queued_run_survives_a_crash_and_begins_after_the_first() {
    let shared = Arc::new(Memory::default());
    let before = Bench::new(Arc::clone(&shared) as Arc<dyn Store>, &[("w", QUEUED)]);
    let handle = before.engine.handle();
    let order = |n: i64| json!({ "n": n, "customer": "a" });
    let runs = before.block(async { [started(&handle, "w", order(1)).await, started(&handle, "w", order(2)).await] });
    let after = Bench::new(Arc::new(shared.crash()), &[("w", QUEUED)]);
    let handle = after.engine.handle();
    assert!(handle.recover().expect("recovers") < 2, "the second waits for its turn");
    after.block(async {
        emit(&handle, "go 2").await;
        emit(&handle, "go 1").await;
        assert_eq!(output_of(&handle, runs[1]).await, json!(2));
        let [first, second] = runs.map(|run| handle.run(run).expect("is there"));
        assert!(second.started_at >= first.ended_at, "{:?} {:?}", second.started_at, first.ended_at);
    });
}

#[test]
fn a_start_is_skipped_while_another_runs() {
    let one =
        r#"workflow(#{ concurrency: #{ on_conflict: "skip" } }); fn main() { wait_for("go", #{ timeout: "1h" }); 1 }"#;
    let parent = r#"fn main() { attempt(|| workflow::run("one", ())).error.kind }"#;
    let bench = bench(&[("one", one), ("parent", parent)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let first = started(&handle, "one", json!(null)).await;
        let again = handle.start("one", Start::default()).await;
        assert!(matches!(again, Err(Error::Skipped { holder, .. }) if holder == first), "{again:?}");
        let parent = started(&handle, "parent", json!(null)).await;
        assert_eq!(output_of(&handle, parent).await, json!("skipped"));
        emit(&handle, "go").await;
        assert_eq!(output_of(&handle, first).await, json!(1));
        started(&handle, "one", json!(null)).await;
    });
}

#[test]
fn the_newest_run_takes_the_place_of_those_before() {
    let script = r#"
        workflow(#{ concurrency: #{ on_conflict: "cancel_running" } });
        fn main(n) { state::add("begun", 1); if n < 3 { sleep("1h") } n }"#;
    let bench = bench(&[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let mut runs = Vec::new();
        for n in 1..=3 {
            runs.push(started(&handle, "w", json!(n)).await);
        }
        assert_eq!(output_of(&handle, runs[2]).await, json!(3));
        for run in &runs[..2] {
            assert_eq!(handle.ended(*run).await.expect("ends").status, Status::Cancelled);
        }
    });
    let begun = state(&handle, "w", "begun").as_i64();
    assert!(begun.is_some_and(|begun| begun <= 3), "{begun:?}");
}

#[test]
fn a_cancelled_run_that_has_not_begun_does_nothing() {
    let script = r#"
        workflow(#{ concurrency: #{ limit: 1 } });
        fn main(n) { state::add("begun", 1); wait_for("go", #{ timeout: "1h" }) }"#;
    let bench = bench(&[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        started(&handle, "w", json!(1)).await;
        let second = started(&handle, "w", json!(2)).await;
        handle.cancel(second, "enough", &Actor::LOCAL).await.expect("cancels");
        assert_eq!(handle.ended(second).await.expect("ends").status, Status::Cancelled);
        assert_eq!(handle.slots("workflow:w").expect("reads").len(), 1);
        until(|| state(&handle, "w", "begun") == json!(1)).await;
    });
}

#[test]
fn a_key_that_cannot_be_told_starts_nothing() {
    let script = r#"workflow(#{ concurrency: #{ key: |i| parse_int("x") } }); fn main(i) { 1 }"#;
    let bench = bench(&[("w", script)]);
    let handle = bench.engine.handle();
    let started = bench.block(handle.start("w", Start::default()));
    let Err(Error::Closure(problem)) = started else { panic!("{started:?}") };
    assert!(problem.starts_with("`concurrency.key` of workflow `w`: "), "{problem}");
}

#[test]
fn starts_beyond_the_rate_begin_later_in_order() {
    let script = r#"
        workflow(#{ rate: "20/s" });
        fn main(n) { state::update("order", |all| (if all == () { [] } else { all }) + [n]); n }"#;
    let bench = bench(&[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let began = handle.clock().now();
        let mut runs = Vec::new();
        for n in 0..4 {
            runs.push(started(&handle, "w", json!(n)).await);
        }
        let last = handle.run(runs[3]).expect("is there");
        assert!(last.status == Status::Queued && last.wake_at.is_some_and(|at| at.0 >= began.0 + 150), "{last:?}");
        for run in &runs {
            handle.ended(*run).await.expect("ends");
        }
        assert!(handle.run(runs[3]).expect("is there").started_at >= last.wake_at);
    });
    assert_eq!(state(&handle, "w", "order"), json!([0, 1, 2, 3]));
}

#[test]
fn larger_priorities_get_the_slot_first() {
    let child = r#"
        workflow(#{ concurrency: #{ limit: 1 } });
        fn main(n) {
            if n == 0 { wait_for("go", #{ timeout: "1h" }); }
            state::update("order", |all| (if all == () { [] } else { all }) + [n])
        }"#;
    let parent = r#"fn main() { [0, 1, 3, 2].map(|n| workflow::start("child", n, #{ priority: n })) }"#;
    let bench = bench(&[("child", child), ("parent", parent)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let parent = started(&handle, "parent", json!(null)).await;
        let children = output_of(&handle, parent).await;
        until(|| handle.slots("workflow:child").expect("reads").len() == 4).await;
        emit(&handle, "go").await;
        let last = children[1].as_str().and_then(|run| run.parse().ok()).expect("a run");
        assert_eq!(output_of(&handle, last).await, json!([0, 3, 2, 1]));
    });
}
