//! Locks, and runs side by side: who holds, who waits, and who is next.

use panta::store::{Applied, Change, OnConflict, Run, Status, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    the_line_goes_by_arrival,
    larger_priorities_go_first,
    a_replayed_acquire_changes_nothing,
    a_ticket_brings_its_own_limit,
    an_end_gives_the_slot_to_the_next,
    a_held_up_run_keeps_its_slot_and_an_operator_takes_it,
    a_quarantined_run_in_line_is_passed_over,
    a_lost_claim_takes_and_gives_nothing,
    a_run_that_parks_sees_the_slot_that_it_got,
    a_start_waits_for_its_slot,
    a_start_is_skipped_without_a_trace,
    a_start_asks_the_others_to_end,
    a_later_start_comes_into_the_line_when_its_time_has_come,
    a_rate_spreads_starts,
    a_queued_run_that_is_asked_to_end_can_be_claimed,
);

fn are_running(store: &dyn Store, runs: &[u64]) {
    given(store, runs.iter().map(|n| start(running(*n))));
}

fn the_line_goes_by_arrival(store: &dyn Store) {
    are_running(store, &[1, 2, 3]);
    assert_eq!(apply(store, acquire(1, "till", "0", 1)), Applied::Acquired(true));
    assert_eq!(apply(store, acquire(3, "till", "0", 1)), Applied::Acquired(false));
    assert_eq!(apply(store, acquire(2, "till", "0", 1)), Applied::Acquired(false));
    assert_eq!(line(store, "till"), "1+ 3- 2-");
    assert_eq!(apply(store, release(1, "0")), freed(&[3]));
    assert_eq!(line(store, "till"), "3+ 2-");
    assert_eq!(apply(store, release(2, "0")), freed(&[]));
    assert_eq!(line(store, "till"), "3+");
}

fn larger_priorities_go_first(store: &dyn Store) {
    are_running(store, &[1, 2]);
    given(store, [start(Run { priority: 5, ..running(3) })]);
    for n in [1, 2, 3] {
        apply(store, acquire(n, "till", "0", 1));
    }
    assert_eq!(line(store, "till"), "1+ 3- 2-");
    given(store, [park(1, &[]), Change::Release { run: id(1), epoch: 1 }, Change::Release { run: id(3), epoch: 1 }]);
    assert_eq!(store.ready("b", 10).expect("a read"), ids(&[3]), "and in what is taken up");
}

fn a_replayed_acquire_changes_nothing(store: &dyn Store) {
    are_running(store, &[1, 2, 3]);
    given(store, [acquire(1, "till", "0", 1), acquire(2, "till", "0", 1), acquire(3, "till", "0", 1)]);
    assert_eq!(apply(store, acquire(1, "till", "0", 1)), Applied::Acquired(true));
    assert_eq!(apply(store, acquire(2, "till", "0", 1)), Applied::Acquired(false));
    assert_eq!(line(store, "till"), "1+ 2- 3-");
    assert_eq!(apply(store, acquire(1, "till", "1", 1)), Applied::Acquired(false), "another ticket stands in line");
}

fn a_ticket_brings_its_own_limit(store: &dyn Store) {
    are_running(store, &[1, 2, 3]);
    assert_eq!(apply(store, acquire(1, "till", "0", 2)), Applied::Acquired(true));
    assert_eq!(apply(store, acquire(2, "till", "0", 1)), Applied::Acquired(false));
    assert_eq!(apply(store, acquire(3, "till", "0", 2)), Applied::Acquired(false), "nobody overtakes the first");
    assert_eq!(apply(store, release(2, "0")), freed(&[3]), "which has left");
    assert_eq!(line(store, "till"), "1+ 3+");
}

fn an_end_gives_the_slot_to_the_next(store: &dyn Store) {
    are_running(store, &[1, 2]);
    given(store, [acquire(1, "till", "0", 1), acquire(1, "door", "1", 1), acquire(2, "till", "0", 1)]);
    given(store, [park(2, &[])]);
    assert_eq!(apply(store, finish(1, at(9))), Applied::Ended { parent: None, woken: ids(&[2]) });
    assert_eq!((line(store, "till"), line(store, "door"), get(store, 2).ready), ("2+".into(), String::new(), true));
}

fn a_held_up_run_keeps_its_slot_and_an_operator_takes_it(store: &dyn Store) {
    are_running(store, &[1, 2]);
    given(store, [acquire(1, "till", "0", 1), acquire(2, "till", "0", 1)]);
    assert_eq!(apply(store, end(1, 1, Status::Quarantined, at(9))), Applied::Ended { parent: None, woken: vec![] });
    assert_eq!(line(store, "till"), "1+ 2-");
    let taken = Applied::Freed { holders: ids(&[1]), woken: ids(&[2]) };
    assert_eq!(apply(store, Change::FreeSlots { name: "till".into() }), taken);
    assert_eq!(line(store, "till"), "2+");
}

fn a_quarantined_run_in_line_is_passed_over(store: &dyn Store) {
    are_running(store, &[1, 2, 3]);
    given(store, [1, 2, 3].map(|n| acquire(n, "till", "0", 1)));
    apply(store, end(2, 1, Status::Quarantined, at(9)));
    assert_eq!(apply(store, release(1, "0")), freed(&[3]));
    assert_eq!(line(store, "till"), "3+ 2-");
}

fn a_lost_claim_takes_and_gives_nothing(store: &dyn Store) {
    given(store, [start(Run { epoch: 2, ..running(1) })]);
    assert_eq!(apply(store, acquire(1, "till", "0", 1)), Applied::Refused);
    assert_eq!(apply(store, release(1, "0")), Applied::Refused);
    assert_eq!(line(store, "till"), "");
}

fn a_run_that_parks_sees_the_slot_that_it_got(store: &dyn Store) {
    are_running(store, &[1, 2]);
    given(store, [acquire(1, "till", "0", 1), acquire(2, "till", "7", 1), release(1, "0")]);
    let Change::Park { run, epoch, status, waiting_for, .. } = park(2, &[]) else { unreachable!() };
    let (wake_at, subscriptions, children, slots) = (None, Vec::new(), Vec::new(), vec!["7".into()]);
    let tasks = Vec::new();
    let parked = Change::Park { run, epoch, status, waiting_for, wake_at, subscriptions, children, slots, tasks };
    assert_eq!(apply(store, parked), Applied::Ready);
}

fn a_start_waits_for_its_slot(store: &dyn Store) {
    assert_eq!(apply(store, start_in(running(1), "w", 1, OnConflict::Queue)), Applied::Started);
    assert_eq!(apply(store, start_in(running(2), "w", 1, OnConflict::Queue)), queued(&[]));
    let row = get(store, 2);
    assert_eq!((row.status, row.ready, row.owner, row.epoch), (Status::Queued, false, None, 0));
    assert_eq!(&*row.waiting_for, "its turn: no slot of `w` is free");
    assert_eq!(ready(store, "a"), ids(&[1]), "a restart does not begin it");
    assert_eq!(apply(store, claim(&[2], "a", at(3))), Applied::Claimed(vec![]), "nor does a claim");
    assert_eq!(apply(store, finish(1, at(4))), Applied::Ended { parent: None, woken: ids(&[2]) });
    assert_eq!(ready(store, "a"), ids(&[2]));
    given(store, [claim(&[2], "a", at(5))]);
    let row = get(store, 2);
    assert_eq!((row.status, &*row.waiting_for, row.epoch), (Status::Running, "", 1));
}

fn a_start_is_skipped_without_a_trace(store: &dyn Store) {
    given(store, [start_in(running(1), "w", 1, OnConflict::Skip)]);
    assert_eq!(apply(store, start_in(running(2), "w", 1, OnConflict::Skip)), Applied::Skipped { holder: id(1) });
    assert_eq!(listed(store, &any()), ids(&[1]));
    assert_eq!(
        apply(store, start_in(running(1), "w", 1, OnConflict::Skip)),
        Applied::Repeated { run: id(1), same_input: true },
        "the same start again is no conflict"
    );
    given(store, [finish(1, at(4))]);
    assert_eq!(apply(store, start_in(running(2), "w", 1, OnConflict::Skip)), Applied::Started);
}

fn a_start_asks_the_others_to_end(store: &dyn Store) {
    let newer = || OnConflict::Cancel(text("newer"));
    given(store, [start_in(running(1), "w", 1, newer())]);
    assert_eq!(apply(store, start_in(running(2), "w", 1, newer())), queued(&[1]));
    assert_eq!(apply(store, start_in(running(3), "w", 1, newer())), queued(&[1, 2]));
    assert_eq!(get(store, 1).cancel, Some(text("newer")));
    apply(store, end(1, 1, Status::Cancelled, at(9)));
    given(store, [claim(&[2], "a", at(10))]);
    apply(store, end(2, 1, Status::Cancelled, at(11)));
    assert_eq!(line(store, "w"), "3+");
}

fn a_later_start_comes_into_the_line_when_its_time_has_come(store: &dyn Store) {
    let later = Run { wake_at: Some(at(50)), ready: false, owner: None, ..run(1) };
    let applied = apply(store, start_in(later, "w", 1, OnConflict::Queue));
    assert_eq!(applied, Applied::Queued { wake_at: Some(at(50)), cancelled: vec![] });
    assert_eq!(apply(store, start_in(running(2), "w", 1, OnConflict::Queue)), Applied::Started);
    assert_eq!(line(store, "w"), "2+ 1~");
    assert_eq!(apply(store, claim(&[1], "a", at(50))), Applied::Claimed(vec![]));
    assert_eq!((line(store, "w"), get(store, 1).wake_at), ("2+ 1-".into(), None));
    assert_eq!(apply(store, finish(2, at(60))), Applied::Ended { parent: None, woken: ids(&[1]) });
}

fn a_rate_spreads_starts(store: &dyn Store) {
    let begins = |n| apply(store, start_at_rate(running(n), 10));
    let queued = |n| Applied::Queued { wake_at: Some(at(n)), cancelled: vec![] };
    assert_eq!((begins(0), begins(1), begins(2)), (Applied::Started, queued(10), queued(20)));
    assert_eq!(begins(35), Applied::Started);
    assert_eq!(store.due(None, at(100), 9).expect("a read"), [(at(10), id(1)), (at(20), id(2))]);
    assert_eq!(&*get(store, 1).waiting_for, "its turn under the rate of `orders`");
    given(store, [claim(&[1], "a", at(10))]);
    assert_eq!((get(store, 1).status, get(store, 1).wake_at), (Status::Running, None));
}

fn a_queued_run_that_is_asked_to_end_can_be_claimed(store: &dyn Store) {
    given(store, [start_in(running(1), "w", 1, OnConflict::Queue)]);
    apply(store, start_in(running(2), "w", 1, OnConflict::Queue));
    given(store, [cancel(2, "enough"), claim(&[2], "a", at(3))]);
    apply(store, end(2, 1, Status::Cancelled, at(4)));
    assert_eq!(line(store, "w"), "1+");
}
