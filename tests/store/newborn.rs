//! Runs that start and end in one batch, with all that may concern them in between.

use panta::store::{Applied, Change, Run, RunFilter, Status, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    one_batch_leaves_what_several_leave,
    a_run_that_goes_on_is_there_after_its_batch,
    what_concerns_others_is_seen_within_the_batch,
    an_id_that_is_taken_is_a_repeat,
    a_chain_may_go_on_within_a_batch,
    what_is_held_is_not_begun,
);

fn life(n: u64) -> [Change; 4] {
    [start(running(n)), append(n, 1, "one"), append(n, 1, "two"), finish(n, at(100))]
}

/// Rows and journals of two runs, with the same name.
fn seen(store: &dyn Store, n: u64) -> (Run, Vec<Vec<u8>>) {
    let row = store.run(id(n)).unwrap().expect("it is there");
    (Run { id: id(0), created_at: at(0), started_at: None, ..row }, store.journal(id(n)).unwrap())
}

fn one_batch_leaves_what_several_leave(store: &dyn Store) {
    given(store, life(2));
    life(1).into_iter().chain(life(3)).for_each(|change| given(store, [change]));
    assert_eq!(seen(store, 2), seen(store, 1));
    assert_eq!(seen(store, 2), seen(store, 3));
    assert_eq!(store.counts().unwrap(), [("orders".into(), Status::Completed, 3)]);
    let ended = RunFilter { statuses: vec![Status::Completed], limit: 10, ..RunFilter::default() };
    assert_eq!(store.runs(&ended).unwrap().len(), 3);
}

fn a_run_that_goes_on_is_there_after_its_batch(store: &dyn Store) {
    given(store, [start(running(1)), append(1, 1, "one")]);
    given(store, [append(1, 1, "two")]);
    assert_eq!(store.journal(id(1)).unwrap(), [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(store.run(id(1)).unwrap().map(|run| run.status), Some(Status::Running));
}

fn what_concerns_others_is_seen_within_the_batch(store: &dyn Store) {
    let child = Run { parent: Some(id(1)), ..running(2) };
    let applied = store.commit(&[start(running(1)), start(child), finish(1, at(5))]).unwrap();
    assert_eq!(applied[2], Applied::Ended { parent: None, woken: vec![id(2)] });
    assert!(store.run(id(2)).unwrap().is_some_and(|run| run.cancel.is_some()), "its parent has ended");
    let applied = store.commit(&[start(running(3)), cancel(3, "no"), claim(&[3], "a", at(6))]).unwrap();
    let Applied::Claimed(rows) = &applied[2] else { panic!("{applied:?}") };
    assert_eq!((rows[0].cancel.clone(), rows[0].epoch), (Some(text("no")), 2));
    let parked = store.commit(&[start(running(4)), park_for(4, 5), start(running(5)), finish(5, at(7))]).unwrap();
    assert_eq!(parked[3], Applied::Ended { parent: None, woken: vec![id(4)] });
}

fn an_id_that_is_taken_is_a_repeat(store: &dyn Store) {
    let repeated = Applied::Repeated { run: id(5), same_input: true };
    let applied = store.commit(&[start(running(5)), start(running(5)), finish(5, at(9)), start(running(5))]).unwrap();
    assert_eq!([&applied[1], &applied[3]], [&repeated, &repeated]);
    let applied = store.commit(&[start(running(4)), start(running(5)), finish(4, at(9))]).unwrap();
    assert_eq!((&applied[0], &applied[1]), (&Applied::Started, &repeated));
    assert_eq!(store.counts().unwrap(), [("orders".into(), Status::Completed, 2)]);
}

fn a_chain_may_go_on_within_a_batch(store: &dyn Store) {
    let changes = [start(running(1))].into_iter().chain(go_on(1, 2, 1, at(3))).chain(go_on(2, 3, 1, at(4)));
    given(store, changes.chain([finish(3, at(5))]).collect::<Vec<_>>());
    assert_eq!(store.newest(id(1)).unwrap().map(|run| (run.id, run.status)), Some((id(3), Status::Completed)));
}

fn what_is_held_is_not_begun(store: &dyn Store) {
    given(store, [set(panta::store::PAUSED, "orders", Some("held"))]);
    let applied = store.commit(&[start(running(1)), append(1, 1, "one"), finish(1, at(3))]).unwrap();
    // Who had it in motion before it was known that it is held writes nothing.
    assert!(matches!(applied[0], Applied::Queued { .. }), "{applied:?}");
    assert_eq!(applied[1..], [Applied::Refused, Applied::Refused]);
    given(store, [set(panta::store::PAUSED, "orders", None), claim(&[1], "a", at(4))]);
    assert_eq!(store.commit(&[append(1, 1, "late")]).unwrap(), [Applied::Refused]);
    assert!(store.run(id(1)).unwrap().is_some_and(|run| run.status == Status::Running && run.epoch > 1));
}
