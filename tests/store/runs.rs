//! Runs: acceptance, journal, claims, parking, end, lists.

use panta::store::{Applied, Change, Rollback, Run, RunFilter, Sla, Status, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    a_start_is_kept_as_given,
    a_key_starts_one_run,
    a_key_counts_until_it_expires,
    an_id_starts_one_run,
    segments_keep_their_order,
    a_lost_claim_writes_nothing,
    nothing_is_written_after_the_end,
    parking_sleeps_until_it_is_due,
    a_paused_run_is_not_due,
    claiming_raises_the_epoch,
    a_claim_respects_owner_and_end,
    a_released_run_has_no_owner,
    the_end_is_written_once,
    the_end_wakes_the_parent,
    the_end_wakes_all_that_wait_for_it,
    a_child_that_ended_before_the_wait_wakes_its_parent,
    a_diverged_run_has_not_ended,
    cancelling_wakes,
    cancelling_outlives_a_park,
    ready_lists_what_can_go_on,
    a_batch_sees_itself,
    lists_are_newest_first_by_page,
    lists_filter,
    counts_follow,
    an_upgrade_moves_a_run_that_is_claimed,
    a_reminder_comes_once_and_only_while_the_run_is_open,
);

fn a_start_is_kept_as_given(store: &dyn Store) {
    let given = Run {
        settings: text("settings"),
        output: Some(text("output")),
        error: Some(text("error")),
        parent: Some(id(9)),
        key: Some("key".into()),
        priority: -3,
        ended_at: Some(at(2)),
        waiting_for: "x".into(),
        wake_at: Some(at(3)),
        cancel: Some(text("cancel")),
        rollback: Rollback::Incomplete,
        charged: 2,
        epoch: u64::MAX,
        chain: Some(id(7)),
        continued_as: Some(id(8)),
        mailbox: Some(text("mailbox")),
        sla: Some(Sla { at: at(6), notify: "ops".into() }),
        expires_at: Some(at(9)),
        ..running(1)
    };
    assert_eq!(apply(store, start(given.clone())), Applied::Started);
    assert_eq!(get(store, 1), given);
    assert_eq!(store.run(id(2)).unwrap(), None);
}

fn a_key_starts_one_run(store: &dyn Store) {
    given(store, [start_once(run(1), "k", 5, None)]);
    let repeated = |same_input| Applied::Repeated { run: id(1), same_input };
    assert_eq!(apply(store, start_once(run(2), "k", 5, None)), repeated(true));
    assert_eq!(apply(store, start_once(run(2), "k", u64::MAX, None)), repeated(false));
    assert_eq!(apply(store, start_once(run(2), "other", 5, None)), Applied::Started);
    assert_eq!(listed(store, &any()), ids(&[2, 1]));
}

fn a_key_counts_until_it_expires(store: &dyn Store) {
    given(store, [start_once(run(1), "k", 5, Some(at(10)))]);
    assert_eq!(apply(store, start_once(run(9), "k", 5, None)), Applied::Repeated { run: id(1), same_input: true });
    assert_eq!(apply(store, start_once(run(10), "k", 5, Some(at(20)))), Applied::Started);
    let repeated = Applied::Repeated { run: id(10), same_input: false };
    assert_eq!(apply(store, start_once(run(19), "k", 6, None)), repeated);
}

fn an_id_starts_one_run(store: &dyn Store) {
    given(store, [start(run(1))]);
    let again = |input| apply(store, start(Run { input: text(input), ..run(1) }));
    assert_eq!(again("input"), Applied::Repeated { run: id(1), same_input: true });
    assert_eq!(again("other"), Applied::Repeated { run: id(1), same_input: false });
    assert_eq!(get(store, 1), run(1));
}

fn segments_keep_their_order(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), append(1, 1, "a"), append(2, 1, "x")]);
    given(store, [append(1, 1, "b"), append(1, 1, "")]);
    assert_eq!(journal(store, 1), ["a", "b", ""]);
    assert_eq!(journal(store, 2), ["x"]);
    assert!(journal(store, 3).is_empty());
}

fn a_lost_claim_writes_nothing(store: &dyn Store) {
    given(store, [start(running(1)), claim(&[1], "a", at(5))]);
    let before = get(store, 1);
    for stale in [append(1, 1, "a"), park(1, &[on("e")]), finish(1, at(6)), Change::Release { run: id(1), epoch: 1 }] {
        assert_eq!(apply(store, stale), Applied::Refused);
    }
    assert_eq!(apply(store, append(7, 1, "a")), Applied::Refused);
    assert_eq!((get(store, 1), journal(store, 1)), (before, vec![]));
    assert_eq!(apply(store, emit(event("1", "e", None, at(7)))), emitted(1, &[]));
}

fn nothing_is_written_after_the_end(store: &dyn Store) {
    given(store, [start(running(1)), finish(1, at(5))]);
    let before = get(store, 1);
    let late = [append(1, 1, "a"), park(1, &[]), finish(1, at(6)), Change::Release { run: id(1), epoch: 1 }];
    for late in late.into_iter().chain([cancel(1, "too late")]) {
        assert_eq!(apply(store, late), Applied::Refused);
    }
    assert_eq!((get(store, 1), journal(store, 1)), (before, vec![]));
}

fn parking_sleeps_until_it_is_due(store: &dyn Store) {
    given(store, [1, 2, 3].map(running).map(start));
    given(store, [(1, 30), (2, 10), (3, 20)].map(|(n, wake)| park_until(n, Status::Waiting, at(wake))));
    let parked = get(store, 1);
    assert_eq!((parked.status, parked.ready, &*parked.waiting_for), (Status::Waiting, false, "time"));
    assert_eq!(store.due(None, at(20), 10).unwrap(), [(at(10), id(2)), (at(20), id(3))]);
    assert_eq!(store.due(None, at(99), 1).unwrap(), [(at(10), id(2))]);
    given(store, [finish(2, at(40)), park(3, &[])]);
    assert_eq!(store.due(None, at(99), 10).unwrap(), [(at(30), id(1))]);
}

fn a_paused_run_is_not_due(store: &dyn Store) {
    given(store, [start(running(1)), park_until(1, Status::Paused, at(2))]);
    assert!(store.due(None, at(9), 10).unwrap().is_empty());
    assert!(ready(store, "a").is_empty());
}

fn claiming_raises_the_epoch(store: &dyn Store) {
    given(store, [start(run(1)), start(running(2))]);
    let Applied::Claimed(claimed) = apply(store, claim(&[2, 1, 8], "a", at(50))) else { panic!("not claimed") };
    let two = Run { epoch: 2, ..running(2) };
    let one = Run { started_at: Some(at(50)), ..running(1) };
    assert_eq!(claimed, [two, one]);
    assert_eq!(get(store, 1), claimed[1]);
}

fn a_claim_respects_owner_and_end(store: &dyn Store) {
    given(store, [1, 2, 3, 4].map(running).map(start));
    given(store, [finish(2, at(9)), park_until(3, Status::Paused, at(9)), end(4, 1, Status::Diverged, at(9))]);
    assert_eq!(apply(store, claim(&[1], "b", at(9))), Applied::Claimed(vec![]));
    assert_eq!(apply(store, claim(&[2, 3, 4], "a", at(9))), Applied::Claimed(vec![]));
    assert_eq!(get(store, 1), running(1));
}

fn a_released_run_has_no_owner(store: &dyn Store) {
    given(store, [start(running(1)), Change::Release { run: id(1), epoch: 1 }]);
    assert_eq!(get(store, 1).owner, None);
    let Applied::Claimed(claimed) = apply(store, claim(&[1], "b", at(9))) else { panic!("not claimed") };
    assert_eq!((claimed[0].owner.as_deref(), claimed[0].epoch), (Some("b"), 2));
}

fn the_end_is_written_once(store: &dyn Store) {
    let asked = Run { wake_at: Some(at(9)), waiting_for: "x".into(), cancel: Some(text("c")), ..running(1) };
    given(store, [start(asked)]);
    assert_eq!(apply(store, end(1, 1, Status::Completed, at(5))), Applied::Ended { parent: None, woken: vec![] });
    let ended = Run {
        status: Status::Completed,
        output: Some(text("output")),
        rollback: Rollback::Complete,
        ended_at: Some(at(5)),
        ready: false,
        owner: None,
        ..running(1)
    };
    assert_eq!(get(store, 1), ended);
    assert_eq!(apply(store, end(1, 1, Status::Failed, at(6))), Applied::Refused);
    assert_eq!(get(store, 1), ended);
}

fn the_end_wakes_the_parent(store: &dyn Store) {
    given(store, [start(running(1)), start(Run { parent: Some(id(1)), ..running(2) }), park_for(1, 2)]);
    assert!(!get(store, 1).ready);
    assert_eq!(apply(store, finish(2, at(5))), Applied::Ended { parent: Some(id(1)), woken: vec![] });
    assert!(get(store, 1).ready);
    given(store, [finish(1, at(6)), start(Run { parent: Some(id(1)), ..running(3) })]);
    assert_eq!(apply(store, finish(3, at(7))), Applied::Ended { parent: None, woken: vec![] });
    assert!(!get(store, 1).ready);
}

fn the_end_wakes_all_that_wait_for_it(store: &dyn Store) {
    given(
        store,
        [start(running(1)), start(running(2)), start(running(3)), start(Run { parent: Some(id(1)), ..running(4) })],
    );
    given(store, [park_for(1, 4), park_for(2, 4), park_for(3, 4), park(3, &[])]);
    assert_eq!(apply(store, end(4, 1, Status::Diverged, at(5))), Applied::Ended { parent: None, woken: vec![] });
    given(store, [cancel(4, "no"), claim(&[4], "b", at(6))]);
    assert_eq!(
        apply(store, end(4, 2, Status::Cancelled, at(7))),
        Applied::Ended { parent: Some(id(1)), woken: ids(&[2]) }
    );
    assert_eq!([1, 2, 3].map(|run| get(store, run).ready), [true, true, false]);
}

fn a_child_that_ended_before_the_wait_wakes_its_parent(store: &dyn Store) {
    given(store, [start(running(1)), start(Run { parent: Some(id(1)), ..running(2) }), finish(2, at(5))]);
    assert_eq!(apply(store, park_for(1, 2)), Applied::Ready);
    assert_eq!(ready(store, "a"), ids(&[1]));
    assert_eq!(apply(store, park_for(1, 3)), Applied::Done);
    assert!(ready(store, "a").is_empty());
}

fn a_diverged_run_has_not_ended(store: &dyn Store) {
    given(store, [start(running(1)), start(Run { parent: Some(id(1)), ..running(2) }), park_for(1, 2)]);
    assert_eq!(apply(store, end(2, 1, Status::Diverged, at(5))), Applied::Ended { parent: None, woken: vec![] });
    assert_eq!(
        (get(store, 2).ended_at, get(store, 2).output, get(store, 1).ready),
        (None, Some(text("output")), false)
    );
    assert_eq!(apply(store, cancel(2, "no")), Applied::Done);
    assert_eq!(ready(store, "a"), ids(&[2]));
    given(store, [claim(&[2], "b", at(6))]);
    assert_eq!(
        apply(store, end(2, 2, Status::Cancelled, at(7))),
        Applied::Ended { parent: Some(id(1)), woken: vec![] }
    );
}

fn cancelling_wakes(store: &dyn Store) {
    given(store, [start(running(1)), park(1, &[]), cancel(1, "first"), cancel(1, "second")]);
    assert_eq!(get(store, 1).cancel, Some(text("first")));
    assert_eq!(ready(store, "a"), ids(&[1]));
    assert_eq!(apply(store, cancel(2, "unknown")), Applied::Refused);
}

fn cancelling_outlives_a_park(store: &dyn Store) {
    given(store, [start(running(1)), cancel(1, "stop"), park_until(1, Status::Paused, at(9))]);
    assert_eq!(ready(store, "a"), ids(&[1]));
    let Applied::Claimed(claimed) = apply(store, claim(&[1], "a", at(9))) else { panic!("not claimed") };
    assert_eq!(claimed[0].cancel, Some(text("stop")));
}

fn ready_lists_what_can_go_on(store: &dyn Store) {
    given(store, [start(run(4)), start(running(1)), start(Run { owner: Some("b".into()), ..running(2) })]);
    given(store, [start(running(3)), park(3, &[]), start(running(5)), finish(5, at(9))]);
    assert_eq!(ready(store, "a"), ids(&[1, 4]));
    assert_eq!(ready(store, "b"), ids(&[2, 4]));
    assert_eq!(store.ready("a", 1).unwrap(), ids(&[1]));
}

fn a_batch_sees_itself(store: &dyn Store) {
    let batch = [start(run(1)), claim(&[1], "a", at(2)), append(1, 0, "x"), append(1, 1, "y"), finish(1, at(3))];
    let applied = store.commit(&batch).unwrap();
    assert_eq!(applied[2..], [Applied::Refused, Applied::Done, Applied::Ended { parent: None, woken: vec![] }]);
    assert_eq!((journal(store, 1), get(store, 1).status), (vec!["y".to_owned()], Status::Completed));
    assert_eq!(store.commit(&[]).unwrap(), []);
}

fn lists_are_newest_first_by_page(store: &dyn Store) {
    given(store, (1..=5).map(run).map(start));
    let first = RunFilter { limit: 2, ..any() };
    assert_eq!(listed(store, &first), ids(&[5, 4]));
    assert_eq!(listed(store, &RunFilter { before: Some(id(4)), ..first.clone() }), ids(&[3, 2]));
    assert_eq!(listed(store, &RunFilter { before: Some(id(2)), ..first }), ids(&[1]));
    assert_eq!(listed(store, &RunFilter { limit: usize::MAX, ..any() }), ids(&[5, 4, 3, 2, 1]));
}

fn lists_filter(store: &dyn Store) {
    let other = |n| Run { workflow: "other".into(), ..running(n) };
    given(store, [start(run(1)), start(running(2)), start(other(3)), start(other(2000)), finish(3, at(4))]);
    let workflow = Some("other".to_owned());
    assert_eq!(listed(store, &RunFilter { workflow: workflow.clone(), ..any() }), ids(&[2000, 3]));
    assert_eq!(
        listed(store, &RunFilter { statuses: vec![Status::Running, Status::Completed], ..any() }),
        ids(&[2000, 3, 2])
    );
    assert_eq!(listed(store, &RunFilter { workflow, statuses: vec![Status::Completed], ..any() }), ids(&[3]));
    assert_eq!(listed(store, &RunFilter { since: Some(at(2)), ..any() }), ids(&[2000, 3, 2]));
    assert_eq!(
        listed(store, &RunFilter { since: Some(at(3)), statuses: vec![Status::Running], ..any() }),
        ids(&[2000])
    );
    assert_eq!(listed(store, &RunFilter { workflow: Some("none".into()), ..any() }), []);
}

fn counts_follow(store: &dyn Store) {
    given(store, [start(run(1)), start(run(2)), start(running(3)), start(Run { workflow: "b".into(), ..running(4) })]);
    given(store, [start(Run { version: version("v2"), ..run(5) }), claim(&[1], "a", at(9)), finish(4, at(9))]);
    let counts = store.counts().unwrap();
    let counts: Vec<_> = counts.iter().map(|(workflow, status, n)| (&**workflow, *status, *n)).collect();
    let expected = [("b", Status::Completed, 1), ("orders", Status::Queued, 2), ("orders", Status::Running, 2)];
    assert_eq!(counts, expected);
}

fn an_upgrade_moves_a_run_that_is_claimed(store: &dyn Store) {
    given(store, [put("v2", "sources"), start(running(1)), upgrade(1, 1, "v2")]);
    assert_eq!((get(store, 1).version, get(store, 1).settings), (version("v2"), text("new")));
    assert_eq!(apply(store, upgrade(1, 0, "v3")), Applied::Refused);
    given(store, [finish(1, at(2))]);
    assert_eq!(apply(store, upgrade(1, 1, "v3")), Applied::Refused);
    given(store, [prune(at(1), at(0), 1)]);
    assert!(store.bundle(&version("v2")).unwrap().is_some());
    assert_eq!(store.counts().unwrap(), [("orders".into(), Status::Completed, 1)]);
}

fn a_reminder_comes_once_and_only_while_the_run_is_open(store: &dyn Store) {
    let watched = |n: u64, when: u64| Run { sla: Some(Sla { at: at(when), notify: "ops".into() }), ..running(n) };
    given(store, [start(watched(1, 20)), start(watched(2, 10)), start(watched(3, 15)), finish(3, at(4))]);
    assert_eq!(store.overdue(at(20), 9).unwrap(), [(at(10), id(2)), (at(20), id(1))]);
    assert_eq!(store.overdue(at(19), 9).unwrap(), [(at(10), id(2))]);
    let remind = |n, when| apply(store, Change::Remind { run: id(n), at: at(when) });
    assert_eq!(
        [remind(2, 9), remind(2, 10), remind(2, 11), remind(3, 99)],
        [Applied::Refused, Applied::Done, Applied::Refused, Applied::Refused]
    );
    assert_eq!((get(store, 2).sla, store.overdue(at(99), 9).unwrap()), (None, vec![(at(20), id(1))]));
}
