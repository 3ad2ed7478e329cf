//! Runs, workflows and everything, held by people.

use super::slots::{emit, started, until};
use super::*;
use crate::audit::Actor;
use crate::id::RunId;
use crate::journal::{Kind, Repair, Repaired};

/// Counts in a durable value between two naps; never ends by itself.
const BUSY: &str = r#"fn main() { loop { state::add("n", 1); sleep("1ms"); } }"#;
const WAITER: &str = r#"fn main() { wait_for("go"); "went" }"#;

fn deed() -> Deed {
    Deed { by: Actor::Local { user: Some("ann".into()) }, reason: Some("a look".into()) }
}

fn count(handle: &Handle) -> i64 {
    handle.store().state("w", "n").expect("reads").map_or(0, |n| n.to_json().as_i64().expect("a number"))
}

/// Held, and nothing of it is in memory any more.
async fn rests(handle: &Handle, run: RunId) {
    until(|| handle.in_motion().0 == 0 && handle.run(run).expect("reads").owner.is_none()).await;
}

async fn is(handle: &Handle, run: RunId, status: Status) {
    until(|| handle.run(run).expect("reads").status == status).await;
}

fn repairs(handle: &Handle, run: RunId) -> Vec<Repaired> {
    handle.journal(run).expect("reads").iter().filter_map(Repair::from_entry).map(|repair| repair.done).collect()
}

#[test]
fn a_run_in_motion_halts_at_its_next_call_and_goes_on_where_it_was() {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", BUSY)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let run = started(&handle, "w", json!(null)).await;
        until(|| count(&handle) > 3).await;
        assert_eq!(handle.pause(run, &deed()).await.expect("pauses").status, Status::Paused);
        rests(&handle, run).await;
        let before = count(&handle);
        handle.resume(run, &deed()).await.expect("resumes");
        until(|| count(&handle) > before + 3).await;
        handle.pause(run, &deed()).await.expect("pauses");
        rests(&handle, run).await;
        let added = handle.journal(run).expect("reads").iter().filter(|entry| entry.kind == Kind::State).count();
        assert_eq!(i64::try_from(added).expect("few"), count(&handle), "none is repeated, none is lost");
        assert_eq!(repairs(&handle, run), [Repaired::Pause, Repaired::Resume, Repaired::Pause]);
        let shown = handle.run_json(&handle.run(run).expect("reads")).expect("shows")["paused"].clone();
        assert_eq!(
            (&shown["scope"], &shown["by"], &shown["reason"]),
            (&json!("run"), &json!("local:ann"), &json!("a look"))
        );
    });
}

#[test]
fn a_timer_that_comes_due_meanwhile_fires_after_the_resume_also_over_a_restart() {
    let store = Arc::new(Memory::default());
    let script = [("w", r#"fn main() { sleep("1s"); "slept" }"#)];
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &script);
    let handle = bench.engine.handle();
    let run = bench.block(async {
        let run = started(&handle, "w", json!(null)).await;
        handle.pause(run, &deed()).await.expect("pauses");
        rests(&handle, run).await;
        run
    });
    drop(bench);
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &script);
    let handle = bench.engine.handle();
    bench.block(async {
        assert_eq!(handle.recover().expect("recovers"), 0);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(handle.run(run).expect("reads").status, Status::Paused);
        handle.resume(run, &deed()).await.expect("resumes");
        assert_eq!(handle.ended(run).await.expect("ends").output.map(|it| it.to_json()), Some(json!("slept")));
    });
}

#[test]
fn a_paused_run_can_be_cancelled_and_cleans_up() {
    let script = r#"fn main() { on_exit("bye", || state::set("bye", 1)); wait_for("go"); }"#;
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let run = started(&handle, "w", json!(null)).await;
        is(&handle, run, Status::Waiting).await;
        handle.pause(run, &deed()).await.expect("pauses");
        rests(&handle, run).await;
        handle.cancel(run, "no more", &Actor::LOCAL).await.expect("cancels");
        assert_eq!(handle.ended(run).await.expect("ends").status, Status::Cancelled);
        assert_eq!(handle.store().state("w", "bye").expect("reads").map(|it| it.to_json()), Some(json!(1)));
        assert!(matches!(handle.resume(run, &deed()).await, Err(Error::Ended(..))));
    });
}

#[test]
fn an_event_that_came_while_it_was_paused_is_not_lost() {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", WAITER)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let run = started(&handle, "w", json!(null)).await;
        is(&handle, run, Status::Waiting).await;
        handle.pause(run, &deed()).await.expect("pauses");
        rests(&handle, run).await;
        emit(&handle, "go").await;
        assert_eq!(handle.run(run).expect("reads").status, Status::Paused);
        handle.resume(run, &deed()).await.expect("resumes");
        assert_eq!(handle.ended(run).await.expect("ends").status, Status::Completed);
    });
}

#[test]
fn a_held_workflow_queues_its_starts_and_halts_its_runs_and_no_other() {
    let store = Arc::new(Memory::default());
    let scripts = [("w", BUSY), ("waiter", WAITER), ("other", r#""free""#)];
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &scripts);
    let handle = bench.engine.handle();
    let (open, fresh) = bench.block(async {
        let open = started(&handle, "waiter", json!(null)).await;
        is(&handle, open, Status::Waiting).await;
        assert!(handle.hold(Some("waiter"), &deed()).await.expect("holds"));
        assert!(!handle.hold(Some("waiter"), &deed()).await.expect("is held"));
        let fresh = started(&handle, "waiter", json!(null)).await;
        emit(&handle, "go").await;
        let other = started(&handle, "other", json!(null)).await;
        assert_eq!(handle.ended(other).await.expect("ends").status, Status::Completed);
        assert_eq!(handle.run(fresh).expect("reads").status, Status::Queued);
        assert!(handle.hold(Some("wiater"), &deed()).await.expect_err("is unknown").to_string().contains("`waiter`"));
        rests(&handle, open).await;
        (open, fresh)
    });
    drop(bench);
    let bench = Bench::new(store, &scripts);
    let handle = bench.engine.handle();
    bench.block(async {
        handle.recover().expect("recovers");
        emit(&handle, "go").await;
        for run in [open, fresh] {
            let row = handle.run(run).expect("reads");
            assert_eq!((row.status.is_live(), row.owner.clone()), (true, None));
            assert_eq!(handle.run_json(&row).expect("shows")["paused"]["scope"], "workflow");
        }
        assert!(handle.let_go(Some("waiter"), &deed()).await.expect("lets go"));
        for run in [open, fresh] {
            assert_eq!(handle.ended(run).await.expect("ends").status, Status::Completed);
        }
    });
}

#[test]
fn everything_is_held_and_goes_on() {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", BUSY)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let run = started(&handle, "w", json!(null)).await;
        until(|| count(&handle) > 3).await;
        handle.hold(None, &deed()).await.expect("holds");
        rests(&handle, run).await;
        let (before, queued) = (count(&handle), started(&handle, "w", json!(null)).await);
        assert!(handle.resume(run, &deed()).await.expect_err("all is held").to_string().contains("--all"));
        handle.let_go(None, &deed()).await.expect("lets go");
        until(|| count(&handle) > before + 3).await;
        is(&handle, queued, Status::Running).await;
    });
}
