//! What people repair, and how.

use std::time::Duration;

use serde_json::{Value, json};

use super::everywhere;
use super::lab::Lab;
use crate::engine::{Action, Retry};
use crate::id::RunId;
use crate::store::Status;

fn retry(lab: &mut Lab<'_>, run: RunId, from: Option<&str>) {
    let retry = Retry { from: from.map(str::to_owned), confirmed: true, ..Retry::default() };
    lab.repair(run, &Action::Retry(retry)).expect("retries");
}

fn skip(lab: &mut Lab<'_>, run: RunId, step: &str) {
    lab.repair(run, &Action::Skip { step: step.to_owned() }).expect("skips it");
}

fn set(lab: &mut Lab<'_>, run: RunId, step: &str, value: Value) {
    lab.repair(run, &Action::SetResult { step: step.to_owned(), value }).expect("sets it");
}

/// A copy of a run.
fn fork(lab: &mut Lab<'_>, run: RunId, at: &str, set: Option<Value>) -> RunId {
    lab.repair(run, &Action::Fork { at: at.to_owned(), set }).expect("forks");
    lab.runs().last().expect("a copy").id
}

fn is(lab: &Lab<'_>, run: RunId, status: Status) -> Value {
    let row = lab.run(run);
    assert_eq!(row.status, status, "{:?}", row.error);
    row.output.map(|output| output.to_json()).unwrap_or_default()
}

/// A run of `w` that has failed; from then on the service is up.
fn failed(lab: &mut Lab<'_>) -> RunId {
    let run = lab.start("w", &json!(null));
    lab.advance(Duration::from_hours(1));
    is(lab, run, Status::Failed);
    lab.service.is_up.set(true);
    run
}

/// How many requests to this address have keys of their own.
fn keys(lab: &Lab<'_>, address: &str) -> usize {
    lab.service.made().iter().filter(|(_, _, asked)| asked.contains(address)).count()
}

const STEPS: &str = r#"fn main() {
    let a = step("a", || { http::post("http://s.example/ok/a", 1); state::add("a", 1) });
    let b = step("b", || { let n = state::add("b", 1); http::post("http://s.example/down/b", a).status + n });
    let c = step("c", || http::post("http://s.example/ok/c", b).status);
    [a, b, c] }"#;

#[test]
fn steps_that_are_retried_skipped_given_and_copied() {
    everywhere(&[("w", STEPS)], |lab| {
        let run = failed(lab);
        retry(lab, run, None);
        assert_eq!(is(lab, run, Status::Completed), json!([1, 202, 200]));
        assert_eq!((keys(lab, "/ok/a"), keys(lab, "/down/b"), keys(lab, "/ok/c")), (1, 2, 1));
    });
    everywhere(&[("w", STEPS)], |lab| {
        let run = failed(lab);
        retry(lab, run, Some("a"));
        assert_eq!(is(lab, run, Status::Completed), json!([2, 202, 200]));
        assert_eq!((keys(lab, "/ok/a"), keys(lab, "/down/b"), keys(lab, "/ok/c")), (2, 2, 1));
    });
    everywhere(&[("w", STEPS)], |lab| {
        let (first, second) = (failed(lab), failed_again(lab));
        skip(lab, first, "b");
        set(lab, second, "b", json!(7));
        assert_eq!(is(lab, first, Status::Completed), json!([1, null, 200]));
        assert_eq!(is(lab, second, Status::Completed), json!([2, 7, 200]));
        assert_eq!(lab.value("w", "b"), json!(2));
    });
    everywhere(&[("w", STEPS)], |lab| {
        let run = failed(lab);
        let first = fork(lab, run, "a", Some(json!(40)));
        let second = fork(lab, run, "b", None);
        assert_eq!(is(lab, first, Status::Completed), json!([40, 202, 200]));
        assert_eq!(is(lab, second, Status::Completed), json!([1, 203, 200]));
        is(lab, run, Status::Failed);
        assert_eq!(keys(lab, "/ok/a"), 1, "what is copied is not done again");
    });
}

/// One more that fails, though the service was up for a while.
fn failed_again(lab: &mut Lab<'_>) -> RunId {
    lab.service.is_up.set(false);
    failed(lab)
}

#[test]
fn a_run_that_fails_again_and_again_has_a_new_key_each_time() {
    everywhere(&[("w", STEPS)], |lab| {
        let run = failed_again(lab);
        for _ in 0..2 {
            lab.service.is_up.set(false);
            retry(lab, run, Some("b"));
            is(lab, run, Status::Failed);
        }
        lab.service.is_up.set(true);
        retry(lab, run, None);
        assert_eq!(is(lab, run, Status::Completed), json!([1, 204, 200]));
        assert_eq!((keys(lab, "/ok/a"), keys(lab, "/down/b")), (1, 4));
    });
}

#[test]
fn branches_of_which_one_failed() {
    let script = r#"fn main() { parallel([
        || step("fails", || { sleep("10ms"); http::post("http://s.example/down/b", 1).status }),
        || { http::post("http://s.example/ok/a", 1); state::add("n", 1); sleep("20ms"); http::post("http://s.example/ok/c", 1).status },
        || wait_for("go")]) }"#;
    everywhere(&[("w", script)], |lab| {
        let run = failed(lab);
        retry(lab, run, None);
        lab.emit("go", None);
        lab.advance(Duration::from_secs(1));
        assert_eq!(is(lab, run, Status::Completed), json!([200, 200, 1]));
        assert_eq!((keys(lab, "/ok/a"), lab.value("w", "n")), (1, json!(1)));
    });
    everywhere(&[("w", script)], |lab| {
        let run = failed(lab);
        set(lab, run, "fails", json!(5));
        lab.emit("go", None);
        lab.advance(Duration::from_secs(1));
        assert_eq!(is(lab, run, Status::Completed), json!([5, 200, 1]));
    });
}

#[test]
fn what_was_undone_is_done_again_and_what_is_asked_anew_has_its_own_key() {
    let script = r#"fn main() {
        let a = step("a", #{ undo: |a| http::delete(`http://s.example/ok/${a}`) },
            || { http::post("http://s.example/ok/a", 1); state::add("a", 1) });
        step("m", || http::post("http://s.example/ok/m", a));
        http::post("http://s.example/ok/same", 1);
        step("b", || http::post("http://s.example/down/b", a).status) }"#;
    everywhere(&[("w", script)], |lab| {
        let run = failed(lab);
        retry(lab, run, None);
        assert_eq!(is(lab, run, Status::Completed), json!(200));
        // What depends on the new value of `a` asks for something else: the service must not take it for the same.
        assert_eq!((keys(lab, "/ok/m"), keys(lab, "/ok/a"), keys(lab, "/ok/same")), (2, 2, 1));
    });
    everywhere(&[("w", script)], |lab| {
        let run = failed(lab);
        lab.service.is_up.set(false);
        retry(lab, run, None);
        is(lab, run, Status::Failed);
        lab.service.is_up.set(true);
        retry(lab, run, None);
        assert_eq!(is(lab, run, Status::Completed), json!(200));
        assert_eq!((keys(lab, "/ok/m"), keys(lab, "/ok/a"), keys(lab, "/ok/same")), (3, 3, 1));
    });
}

#[test]
fn children_that_failed_are_repaired_before_who_waits_for_them() {
    let parent = r#"fn main() { step("before", || http::post("http://s.example/ok/p", 1));
        step("call", || workflow::run("child", ())) }"#;
    let child = r#"fn main() { step("a", || state::add("a", 1)); step("b", || http::post("http://s.example/down/b", 1).status) }"#;
    everywhere(&[("w", parent), ("child", child)], |lab| {
        let run = failed(lab);
        let child = lab.runs().last().expect("a child").id;
        retry(lab, child, None);
        is(lab, child, Status::Completed);
        retry(lab, run, Some("child"));
        assert_eq!(is(lab, run, Status::Completed), json!(200));
        assert_eq!((keys(lab, "/ok/p"), lab.value("child", "a"), lab.runs().len()), (1, json!(1), 2));
    });
    everywhere(&[("w", parent), ("child", child)], |lab| {
        let run = failed(lab);
        retry(lab, run, None);
        assert_eq!(is(lab, run, Status::Completed), json!(200));
        assert_eq!((lab.runs().len(), lab.value("child", "a")), (3, json!(2)));
    });
}

#[test]
fn timers_and_events_that_came_before_the_failure_stay() {
    let script = r#"fn main() { sleep("10s"); let e = wait_for("go", #{ key: "k" }); let f = wait_for("go");
        http::post("http://s.example/down/b", e); sleep("1m"); [e, f] }"#;
    everywhere(&[("w", script)], |lab| {
        let run = lab.start("w", &json!(null));
        lab.emit("go", None);
        lab.emit("go", Some("k"));
        lab.advance(Duration::from_mins(1));
        is(lab, run, Status::Failed);
        lab.service.is_up.set(true);
        retry(lab, run, None);
        lab.advance(Duration::from_mins(2));
        assert_eq!(is(lab, run, Status::Completed), json!([2, 1]));
    });
}

#[test]
fn a_run_that_waits_is_held_and_goes_on_and_a_wait_is_left_out_or_given() {
    let script = r#"fn main() { http::post("http://s.example/ok/a", 1); sleep("10s");
        let e = step("ask", || wait_for("go")); http::post("http://s.example/ok/b", e); sleep("5s"); e }"#;
    everywhere(&[("w", script)], |lab| {
        let run = lab.start("w", &json!(null));
        lab.repair(run, &Action::Pause).expect("pauses");
        lab.advance(Duration::from_mins(1));
        is(lab, run, Status::Paused);
        lab.repair(run, &Action::Resume).expect("resumes");
        lab.emit("go", None);
        lab.repair(run, &Action::Pause).expect("pauses");
        lab.repair(run, &Action::Resume).expect("resumes");
        lab.advance(Duration::from_mins(1));
        assert_eq!(is(lab, run, Status::Completed), json!(1));
    });
    everywhere(&[("w", script)], |lab| {
        let runs = [lab.start("w", &json!(null)), lab.start("w", &json!(null))];
        lab.advance(Duration::from_mins(1));
        skip(lab, runs[0], "ask");
        set(lab, runs[1], "ask", json!("given"));
        lab.advance(Duration::from_mins(1));
        assert_eq!(is(lab, runs[0], Status::Completed), json!(null));
        assert_eq!(is(lab, runs[1], Status::Completed), json!("given"));
    });
    everywhere(&[("w", script)], |lab| {
        let run = lab.start("w", &json!(null));
        lab.advance(Duration::from_mins(1));
        lab.repair(run, &Action::Pause).expect("pauses");
        set(lab, run, "ask", json!("given"));
        lab.advance(Duration::from_mins(1));
        is(lab, run, Status::Paused);
        lab.repair(run, &Action::Resume).expect("resumes");
        lab.advance(Duration::from_mins(1));
        assert_eq!(is(lab, run, Status::Completed), json!("given"));
    });
}

#[test]
fn tasks_that_are_answered_stay_and_open_ones_are_opened_anew() {
    let script = r#"fn main() { let first = task::ask(#{ title: "first", choices: ["yes", "no"] }).choice;
        let both = parallel([|| task::ask(#{ title: "second", choices: ["a", "b"] }).choice,
            || { sleep("1m"); step("b", || http::post("http://s.example/down/b", 1).status) }]);
        [first, both] }"#;
    everywhere(&[("w", script)], |lab| {
        let run = lab.start("w", &json!(null));
        assert!(lab.answer(), "the first is open");
        lab.advance(Duration::from_mins(5));
        is(lab, run, Status::Failed);
        assert!(!lab.answer(), "none is open");
        lab.service.is_up.set(true);
        retry(lab, run, None);
        assert!(lab.answer(), "the second is open again");
        lab.advance(Duration::from_mins(5));
        assert_eq!(is(lab, run, Status::Completed), json!(["yes", ["a", 200]]));
    });
}

#[test]
fn a_lock_is_held_again_from_the_repair_on() {
    let script = r#"fn main(n) { lock("till", || { let a = state::add("in", 1);
        step("b", || { sleep("10s"); http::post("http://s.example/down/b", n).status }); state::add("in", -1) + a }) }"#;
    everywhere(&[("w", script)], |lab| {
        let run = failed(lab);
        let holder = lab.start("w", &json!(1));
        let refused = lab.repair(run, &Action::Retry(Retry::default())).expect_err("it is taken");
        assert!(refused.contains(&holder.to_string()), "{refused}");
        lab.advance(Duration::from_mins(1));
        is(lab, holder, Status::Completed);
        retry(lab, run, None);
        let waiter = lab.start("w", &json!(2));
        lab.advance(Duration::from_mins(1));
        is(lab, run, Status::Completed);
        is(lab, waiter, Status::Completed);
        assert_eq!(lab.value("w", "in"), json!(0));
    });
}

#[test]
fn a_run_that_was_cancelled_goes_on_where_it_was_or_from_a_step() {
    let script = r#"fn main() { on_exit("tidy", || http::post("http://s.example/ok/tidy", 1));
        let a = step("a", || http::post("http://s.example/ok/a", 1).status); sleep("1h"); a }"#;
    everywhere(&[("w", script)], |lab| {
        let runs = [lab.start("w", &json!(null)), lab.start("w", &json!(null))];
        for (run, from) in runs.into_iter().zip([None, Some("a")]) {
            lab.repair(run, &Action::Cancel).expect("cancels");
            is(lab, run, Status::Cancelled);
            retry(lab, run, from);
        }
        lab.advance(Duration::from_hours(2));
        runs.iter().for_each(|run| assert_eq!(is(lab, *run, Status::Completed), json!(200)));
        assert_eq!((keys(lab, "/ok/a"), keys(lab, "/ok/tidy")), (3, 4));
    });
}

#[test]
fn many_are_retried_each_whole_or_not_and_a_second_call_does_the_rest() {
    everywhere(&[("w", STEPS)], |lab| {
        let runs = [failed(lab), failed_again(lab), failed_again(lab)];
        let done = lab.repair_all("w", &Action::Retry(Retry::default()));
        assert_eq!(done, 3);
        runs.iter().for_each(|run| drop(is(lab, *run, Status::Completed)));
        assert_eq!(keys(lab, "/down/b"), 6, "each was done once more");
        assert_eq!(lab.repair_all("w", &Action::Retry(Retry::default())), 0, "nothing is left to do");
    });
}
