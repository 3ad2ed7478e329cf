//! Chains of runs that continue each other: one mailbox, one who waits, one cancellation.

use panta::store::{Applied, Event, EventFilter, Run, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    the_newest_of_a_chain_is_found_from_each,
    whoever_waits_waits_for_the_last,
    a_wait_that_begins_later_finds_the_last,
    a_cancellation_reaches_the_newest,
    a_cancellation_of_the_last_moment_is_passed_on,
    an_event_for_one_run_is_for_its_chain,
);

/// Run 1 has gone on as 2, and that as 3.
fn chain(store: &dyn Store, first: Run) {
    given(store, [start(first)]);
    given(store, go_on(1, 2, 1, at(4)).into_iter().chain(go_on(2, 3, 1, at(5))));
}

fn the_newest_of_a_chain_is_found_from_each(store: &dyn Store) {
    chain(store, running(1));
    given(store, [start(running(9))]);
    let newest = |n| store.newest(id(n)).unwrap().map(|run| run.id);
    assert_eq!([1, 2, 3, 9, 8].map(newest), [Some(id(3)), Some(id(3)), Some(id(3)), Some(id(9)), None]);
    let links = [1, 2, 3].map(|n| (get(store, n).chain, get(store, n).continued_as));
    assert_eq!(links, [(Some(id(1)), Some(id(2))), (Some(id(1)), Some(id(3))), (Some(id(1)), None)]);
    assert_eq!((get(store, 1).ended_at, get(store, 3).mailbox), (Some(at(4)), Some(text("mailbox"))));
}

fn whoever_waits_waits_for_the_last(store: &dyn Store) {
    given(store, [start(running(9)), park_for(9, 1), start(Run { parent: Some(id(9)), ..running(1) })]);
    let [next, end] = go_on(1, 2, 1, at(4));
    given(store, [next]);
    assert_eq!(apply(store, end), Applied::Ended { parent: None, woken: vec![] });
    assert!(!get(store, 9).ready);
    assert_eq!(apply(store, park_for(9, 1)), Applied::Done);
}

fn a_wait_that_begins_later_finds_the_last(store: &dyn Store) {
    chain(store, running(1));
    given(store, [start(running(9))]);
    assert_eq!(apply(store, park_for(9, 1)), Applied::Done);
    assert_eq!(apply(store, finish(3, at(8))), Applied::Ended { parent: None, woken: ids(&[9]) });
    assert!(get(store, 9).ready);
    assert_eq!(apply(store, park_for(9, 1)), Applied::Ready);
}

fn a_cancellation_reaches_the_newest(store: &dyn Store) {
    chain(store, running(1));
    assert_eq!(apply(store, cancel(1, "enough")), Applied::Done);
    assert_eq!([1, 2, 3].map(|n| get(store, n).cancel), [None, None, Some(text("enough"))]);
    given(store, [finish(3, at(8))]);
    assert_eq!(apply(store, cancel(1, "too late")), Applied::Refused);
}

fn a_cancellation_of_the_last_moment_is_passed_on(store: &dyn Store) {
    given(store, [start(running(1)), cancel(1, "enough")]);
    given(store, go_on(1, 2, 1, at(4)));
    assert_eq!([1, 2].map(|n| get(store, n).cancel), [None, Some(text("enough"))]);
    assert!(get(store, 2).ready);
}

fn an_event_for_one_run_is_for_its_chain(store: &dyn Store) {
    let only = |n, name: &str| emit(Event { run: Some(id(n)), ..event(name, "e", None, at(6)) });
    given(store, [start(running(1)), only(1, "first")]);
    given(
        store,
        go_on(1, 2, 1, at(4)).into_iter().chain([park(2, &[on("other")]), only(2, "second"), only(9, "stranger")]),
    );
    let seen = EventFilter { run: Some(id(1)), ..wanted("e") };
    let next = |after| store.next_event(&EventFilter { after, ..seen.clone() }).unwrap().map(|event| event.seq);
    assert_eq!([next(0), next(1), next(2)], [Some(1), Some(2), None]);
    given(store, [park(2, &[panta::store::Subscription { after: 2, ..on("e") }])]);
    assert_eq!(apply(store, only(1, "third")), emitted(4, &[2]));
}
