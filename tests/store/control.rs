//! Holding runs, workflows and everything; and opening runs again.

use panta::payload::Payload;
use panta::store::{Applied, Change, End, PAUSED, Reopen, Run, Status, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    a_paused_run_is_left_alone_until_it_is_resumed,
    its_owner_may_write_what_has_begun_and_parking_leaves_it_paused,
    a_paused_run_that_is_asked_to_end_is_claimed,
    what_unwinds_is_held_and_what_is_still_to_be_ended_is_not,
    what_a_repair_leaves_behind_ends_with_it_or_stays,
    an_end_takes_the_runs_with_it_that_it_waited_for,
    what_had_not_begun_is_queued_again,
    a_paused_run_in_line_is_passed_over,
    what_is_quarantined_goes_on_without_a_charge,
    starts_of_a_held_workflow_are_queued_and_nothing_of_it_is_claimed,
    what_is_held_is_not_among_what_can_go_on,
    a_run_is_opened_again_as_it_was_seen_or_not_at_all,
    a_run_is_opened_again_with_all_its_locks_or_not_at_all,
    what_came_of_a_run_is_gone_when_it_is_opened_again,
    a_run_that_is_opened_again_comes_into_the_line_for_its_slot,
);

fn pause(n: u64) -> Change {
    Change::Pause { run: id(n), unwinds: false, segment: "pause".into() }
}

fn resume(n: u64) -> Change {
    Change::Resume { run: id(n), segment: "resume".into() }
}

fn hold(workflow: &str, is_held: bool) -> Change {
    let value = is_held.then(Payload::unit);
    Change::SetState { scope: PAUSED.into(), key: workflow.into(), value }
}

/// Opens run `n` again, which was seen with this status under epoch 1.
fn reopen(n: u64, status: Status) -> Reopen {
    Reopen {
        run: id(n),
        epoch: 1,
        status,
        node: "a".into(),
        segment: "retry".into(),
        upgrade: None,
        locks: Vec::new(),
        slot: None,
        stays_paused: false,
        then: Vec::new(),
    }
}

fn open(store: &dyn Store, reopen: Reopen) -> Applied {
    apply(store, Change::Reopen(Box::new(reopen)))
}

fn claimed(store: &dyn Store, n: u64) -> bool {
    matches!(apply(store, claim(&[n], "a", at(9))), Applied::Claimed(rows) if rows.len() == 1)
}

fn status(store: &dyn Store, n: u64) -> Status {
    get(store, n).status
}

fn a_paused_run_is_left_alone_until_it_is_resumed(store: &dyn Store) {
    given(store, [start(running(1)), park_until(1, Status::Waiting, at(2))]);
    given(store, [Change::Release { run: id(1), epoch: 1 }]);
    assert_eq!((apply(store, pause(1)), apply(store, pause(1))), (Applied::Done, Applied::Refused));
    assert_eq!((status(store, 1), claimed(store, 1)), (Status::Paused, false));
    assert_eq!((store.due(None, at(9), 9).unwrap(), store.ready("a", 9).unwrap()), (vec![], vec![]));
    assert_eq!((apply(store, resume(1)), apply(store, resume(1))), (Applied::Done, Applied::Refused));
    assert_eq!((ready(store, "a"), claimed(store, 1)), (ids(&[1]), true));
    assert_eq!(journal(store, 1), ["pause", "resume"]);
}

fn its_owner_may_write_what_has_begun_and_parking_leaves_it_paused(store: &dyn Store) {
    given(store, [start(running(1)), pause(1), append(1, 1, "more"), park(1, &[])]);
    assert_eq!((status(store, 1), journal(store, 1)), (Status::Paused, vec!["pause".into(), "more".into()]));
    assert_eq!(store.counts().unwrap(), [("orders".into(), Status::Paused, 1)]);
}

fn a_paused_run_that_is_asked_to_end_is_claimed(store: &dyn Store) {
    given(store, [start(running(1)), Change::Release { run: id(1), epoch: 1 }, pause(1), cancel(1, "no")]);
    assert_eq!((claimed(store, 1), status(store, 1)), (true, Status::Running));
}

fn what_unwinds_is_held_and_what_is_still_to_be_ended_is_not(store: &dyn Store) {
    given(store, [start(running(1)), cancel(1, "no")]);
    assert_eq!(apply(store, pause(1)), Applied::Refused);
    let unwinds = Change::Pause { run: id(1), unwinds: true, segment: "pause".into() };
    assert_eq!((apply(store, unwinds), get(store, 1).cancel), (Applied::Done, None));
    given(store, [Change::Release { run: id(1), epoch: 1 }]);
    assert_eq!((status(store, 1), claimed(store, 1)), (Status::Paused, false));
}

fn what_a_repair_leaves_behind_ends_with_it_or_stays(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), end(1, 1, Status::Failed, at(3))]);
    let opened = |epoch| Reopen { then: vec![cancel(2, "left")], epoch, ..reopen(1, Status::Failed) };
    assert_eq!((open(store, opened(7)), get(store, 2).cancel), (Applied::Refused, None));
    assert_eq!(open(store, opened(1)), Applied::Reopened(vec![Applied::Done]));
    assert_eq!(get(store, 2).cancel, Some(text("left")));
}

fn what_is_held_is_not_among_what_can_go_on(store: &dyn Store) {
    let other = Run { workflow: "other".into(), ..running(2) };
    given(store, [start(running(1)), start(other)]);
    assert_eq!(ready(store, "a"), ids(&[1, 2]));
    given(store, [hold("orders", true)]);
    assert_eq!(ready(store, "a"), ids(&[2]));
    given(store, [hold("orders", false), hold("", true)]);
    assert_eq!(ready(store, "a"), vec![]);
    given(store, [cancel(1, "no")]);
    assert_eq!(ready(store, "a"), ids(&[1]), "it may end");
    given(store, [hold("", false)]);
    assert_eq!(ready(store, "a"), ids(&[1, 2]));
}

fn what_came_of_a_run_is_gone_when_it_is_opened_again(store: &dyn Store) {
    let came = |n| (get(store, n).output, get(store, n).error);
    // The one ends in the commit that it starts in, the other later.
    given(store, [start(running(1)), finish(1, at(3)), start(running(2))]);
    given(store, [finish(2, at(3))]);
    assert!(came(1).0.is_some() && came(1) == came(2));
    for n in [1, 2] {
        assert_eq!(open(store, reopen(n, Status::Completed)), Applied::Reopened(vec![]));
        assert_eq!(came(n), (None, None));
        let end = End { output: None, error: Some(text("broken")), ..ending(Status::Failed, at(9)) };
        given(store, [Change::Finish { run: id(n), epoch: 2, end }]);
        assert_eq!(came(n), (None, Some(text("broken"))));
    }
}

fn an_end_takes_the_runs_with_it_that_it_waited_for(store: &dyn Store) {
    let child = |n, parent| start(Run { parent: Some(id(parent)), ..running(n) });
    given(store, [start(running(1)), child(2, 1), child(3, 1), child(4, 9), start(running(5))]);
    given(store, [finish(3, at(4)), end(1, 1, Status::Diverged, at(4))]);
    assert!((2..6).all(|n| get(store, n).cancel.is_none()));
    assert_eq!(apply(store, end(1, 1, Status::Failed, at(5))), Applied::Ended { parent: None, woken: ids(&[2]) });
    let asked: Vec<_> = (2..6).filter(|n| get(store, *n).cancel.is_some()).collect();
    assert_eq!((asked, get(store, 3).status), (vec![2], Status::Completed));
}

fn what_had_not_begun_is_queued_again(store: &dyn Store) {
    let later = Run { wake_at: Some(at(8)), ready: false, ..run(1) };
    given(store, [start(later), pause(1)]);
    assert_eq!(store.due(None, at(9), 9).unwrap(), []);
    given(store, [resume(1)]);
    assert_eq!((status(store, 1), ready(store, "a")), (Status::Queued, ids(&[])));
    assert_eq!(store.due(None, at(9), 9).unwrap(), [(at(8), id(1))]);
}

fn a_paused_run_in_line_is_passed_over(store: &dyn Store) {
    given(store, [1, 2, 3].map(|n| start(running(n))));
    given(store, [1, 2, 3].map(|n| acquire(n, "till", "0", 1)));
    given(store, [pause(2)]);
    assert_eq!(apply(store, release(1, "0")), freed(&[3]));
    assert_eq!(line(store, "till"), "3+ 2-");
}

fn what_is_quarantined_goes_on_without_a_charge(store: &dyn Store) {
    given(store, [start(Run { charged: 3, ..running(1) }), end(1, 1, Status::Quarantined, at(2)), resume(1)]);
    let row = get(store, 1);
    assert_eq!((row.status, row.charged, row.error, row.ready), (Status::Running, 0, None, true));
    assert!(claimed(store, 1));
}

fn starts_of_a_held_workflow_are_queued_and_nothing_of_it_is_claimed(store: &dyn Store) {
    given(store, [start(running(1)), Change::Release { run: id(1), epoch: 1 }]);
    for held in ["orders", ""] {
        given(store, [hold(held, true)]);
        let n = if held.is_empty() { 3 } else { 2 };
        assert!(matches!(apply(store, start(running(n))), Applied::Queued { .. }));
        assert_eq!((status(store, n), get(store, n).owner, claimed(store, n)), (Status::Queued, None, false));
        assert!(!claimed(store, 1));
        let other = Run { workflow: "others".into(), ..running(n + 10) };
        let is_held = matches!(apply(store, start(other)), Applied::Queued { .. });
        assert_eq!(is_held, held.is_empty());
        given(store, [hold(held, false)]);
        assert!(claimed(store, n));
    }
    given(store, [hold("orders", true), cancel(1, "no")]);
    assert!(claimed(store, 1), "what is to end ends");
}

fn a_run_is_opened_again_as_it_was_seen_or_not_at_all(store: &dyn Store) {
    given(store, [start(running(1)), append(1, 1, "a"), end(1, 1, Status::Failed, at(2))]);
    for wrong in [Reopen { epoch: 2, ..reopen(1, Status::Failed) }, reopen(1, Status::Cancelled)] {
        assert_eq!(open(store, wrong), Applied::Refused);
    }
    let upgrade = Some((version("v2"), text("settings")));
    assert_eq!(open(store, Reopen { upgrade, ..reopen(1, Status::Failed) }), Applied::Reopened(vec![]));
    let row = get(store, 1);
    assert_eq!((row.status, row.epoch, row.ended_at, row.error, row.output), (Status::Running, 2, None, None, None));
    assert_eq!((row.version, journal(store, 1)), (version("v2"), vec!["a".into(), "retry".into()]));
    assert_eq!(apply(store, append(1, 1, "late")), Applied::Refused);
    assert_eq!((ready(store, "a"), claimed(store, 1)), (ids(&[1]), true));
    assert_eq!(apply(store, append(1, 3, "more")), Applied::Done);
}

fn a_run_is_opened_again_with_all_its_locks_or_not_at_all(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), end(1, 1, Status::Failed, at(2))]);
    given(store, [acquire(2, "till", "0", 1)]);
    let locks = [("door", "1"), ("till", "2")].map(|(name, ticket)| (name.into(), ticket.into(), 1)).to_vec();
    let wanted = Reopen { locks, ..reopen(1, Status::Failed) };
    assert_eq!(open(store, wanted.clone()), Applied::Skipped { holder: id(2) });
    assert_eq!((line(store, "door"), status(store, 1)), (String::new(), Status::Failed));
    given(store, [release(2, "0")]);
    assert_eq!(open(store, wanted), Applied::Reopened(vec![]));
    assert_eq!((line(store, "door"), line(store, "till")), ("1+".into(), "1+".into()));
}

fn a_run_that_is_opened_again_comes_into_the_line_for_its_slot(store: &dyn Store) {
    given(store, [start(running(1)), end(1, 1, Status::Failed, at(2)), start(running(2)), acquire(2, "w", "begin", 1)]);
    let wanted = Reopen { slot: Some(("w".into(), 1)), ..reopen(1, Status::Failed) };
    assert_eq!(open(store, wanted), Applied::Reopened(vec![]));
    assert_eq!((status(store, 1), claimed(store, 1)), (Status::Queued, false));
    given(store, [finish(2, at(3))]);
    assert_eq!((line(store, "w"), claimed(store, 1)), ("1+".into(), true));
}
