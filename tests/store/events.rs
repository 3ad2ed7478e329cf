//! Events: order, repeats, whom they wake, which one a wait takes.

use panta::store::{Applied, Event, EventFilter, Store, Subscription};

use super::contract;
use crate::support::stores::*;

contract!(
    an_event_wakes_its_subscribers,
    a_park_replaces_what_was_waited_for,
    an_event_for_one_run_wakes_it_alone,
    a_repeat_is_dropped,
    an_event_before_the_park_wakes,
    an_event_that_is_not_meant_does_not_wake,
    the_next_event_fits,
    the_next_event_since_a_time,
    events_are_listed_in_order,
    a_paused_run_is_woken_for_later,
);

fn an_event_wakes_its_subscribers(store: &dyn Store) {
    given(store, (1..=5).map(running).map(start));
    let subscriptions =
        [on("paid"), on_key("paid", "7"), on_key("paid", "8"), on("sent"), on_key("paid", "")].map(|one| vec![one]);
    given(store, (1..).zip(&subscriptions).map(|(n, wanted)| park(n, wanted)));
    assert_eq!(apply(store, emit(event("1", "paid", Some("7"), at(9)))), emitted(1, &[1, 2]));
    assert_eq!(apply(store, emit(event("2", "paid", None, at(9)))), emitted(2, &[1]));
    assert_eq!(apply(store, emit(event("3", "paid", Some(""), at(9)))), emitted(3, &[1, 5]));
    assert_eq!(ready(store, "a"), ids(&[1, 2, 5]));
}

fn a_park_replaces_what_was_waited_for(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), park(1, &[on("a"), on("a"), on_key("a", "k")])]);
    given(store, [park(1, &[on("b")]), park(2, &[on("b")]), finish(2, at(8))]);
    assert_eq!(apply(store, emit(event("1", "a", Some("k"), at(9)))), emitted(1, &[]));
    assert_eq!(apply(store, emit(event("2", "b", None, at(9)))), emitted(2, &[1]));
}

fn an_event_for_one_run_wakes_it_alone(store: &dyn Store) {
    given(store, (1..=3).map(running).map(start));
    given(store, [park(1, &[on("e")]), park(2, &[on("e")]), park(3, &[on("f")])]);
    let only = |n, id_| Event { run: Some(id(n)), ..event(id_, "e", None, at(9)) };
    assert_eq!(apply(store, emit(only(2, "1"))), emitted(1, &[2]));
    assert_eq!(apply(store, emit(only(3, "2"))), emitted(2, &[]));
    let seen = |n| store.next_event(&EventFilter { run: Some(id(n)), ..wanted("e") }).unwrap().map(|event| event.seq);
    assert_eq!((seen(1), seen(2), seen(3)), (None, Some(1), Some(2)));
}

fn a_repeat_is_dropped(store: &dyn Store) {
    given(store, [start(running(1)), emit(event("x", "other", None, at(1))), park(1, &[on("e")])]);
    let again = |when| apply(store, emit(event("x", "e", None, when)));
    assert_eq!(again(at(100)), Applied::Emitted { seq: 1, fresh: false, woken: vec![] });
    assert_eq!(again(at(101)), emitted(2, &[1]));
    assert_eq!(again(at(200)), Applied::Emitted { seq: 2, fresh: false, woken: vec![] });
}

fn an_event_before_the_park_wakes(store: &dyn Store) {
    given(store, [start(running(1)), emit(event("1", "e", Some("k"), at(5)))]);
    assert_eq!(apply(store, park(1, &[on("f"), on_key("e", "k")])), Applied::Ready);
    assert_eq!(ready(store, "a"), ids(&[1]));
    let seen = Subscription { after: 1, ..on("e") };
    assert_eq!(apply(store, park(1, &[seen])), Applied::Done);
    assert!(ready(store, "a").is_empty());
}

fn an_event_that_is_not_meant_does_not_wake(store: &dyn Store) {
    let for_another = Event { run: Some(id(2)), ..event("2", "e", None, at(6)) };
    given(store, [start(running(1)), emit(event("1", "e", Some("k"), at(5))), emit(for_another)]);
    assert_eq!(apply(store, park(1, &[on_key("e", "other")])), Applied::Done);
    assert_eq!(apply(store, park(1, &[Subscription { since: at(6), ..on("e") }])), Applied::Done);
    assert_eq!(apply(store, park(1, &[Subscription { since: at(7), ..on("e") }])), Applied::Done);
}

fn the_next_event_fits(store: &dyn Store) {
    let events = [("1", "a", None), ("2", "b", Some("k")), ("3", "a", Some("k")), ("4", "a", Some("l"))];
    given(store, events.map(|(id, name, key)| emit(event(id, name, key, at(1)))));
    let next = |filter: EventFilter| store.next_event(&filter).unwrap().map(|event| event.seq);
    assert_eq!(next(wanted("a")), Some(1));
    assert_eq!(next(EventFilter { after: 1, ..wanted("a") }), Some(3));
    assert_eq!(next(EventFilter { key: Some("l".into()), ..wanted("a") }), Some(4));
    assert_eq!(next(EventFilter { key: Some("l".into()), after: 4, ..wanted("a") }), None);
    assert_eq!(next(EventFilter { after: u64::MAX, ..wanted("a") }), None);
    assert_eq!(next(wanted("c")), None);
}

fn the_next_event_since_a_time(store: &dyn Store) {
    // The clock is set back by some seconds now and then.
    let times = [3, 5, 4, 9, 2, 9, 20, 15, 30, 31];
    let events = times.iter().zip(1..).map(|(when, n)| emit(event(&format!("{n}"), "e", None, at(*when))));
    given(store, events);
    for since in 0..=32 {
        let found = store.next_event(&EventFilter { since: at(since), ..wanted("e") }).unwrap();
        let expected = times.iter().position(|when| *when >= since).map(|index| index as u64 + 1);
        assert_eq!(found.map(|event| event.seq), expected, "since {since}");
    }
}

fn events_are_listed_in_order(store: &dyn Store) {
    let first = Event { run: Some(id(1)), ..event("x", "a", Some("k"), at(1)) };
    given(store, [emit(first.clone()), emit(event("y", "b", None, at(0))), emit(event("z", "a", None, at(2)))]);
    assert_eq!(store.events(0, 1).unwrap(), [Event { seq: 1, ..first }]);
    let later: Vec<_> = store.events(1, 10).unwrap().into_iter().map(|event| event.id.to_string()).collect();
    assert_eq!(later, ["y", "z"]);
    assert!(store.events(u64::MAX, 10).unwrap().is_empty());
}

fn a_paused_run_is_woken_for_later(store: &dyn Store) {
    given(store, [start(running(1)), park(1, &[on("e")])]);
    let panta::store::Change::Park { run, epoch, subscriptions, .. } = park(1, &[on("e")]) else { unreachable!() };
    let paused = panta::store::Status::Paused;
    let hold = panta::store::Change::Park {
        run,
        epoch,
        status: paused,
        waiting_for: "".into(),
        wake_at: None,
        subscriptions,
        children: vec![],
        slots: vec![],
        tasks: vec![],
    };
    given(store, [hold]);
    assert_eq!(apply(store, emit(event("1", "e", None, at(9)))), emitted(1, &[]));
    assert!(get(store, 1).ready && ready(store, "a").is_empty());
}
