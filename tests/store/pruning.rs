//! Pruning: what goes, what stays.

use panta::id::RunId;
use panta::store::{Applied, Change, End, Run, Status, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    old_runs_go_with_all_that_is_theirs,
    what_an_open_run_refers_to_stays,
    the_limit_holds,
    events_go_from_the_oldest_on,
    keys_go_when_they_expire,
    unused_bundles_go,
    a_run_goes_when_it_expires,
    the_first_of_a_chain_stays_while_one_of_it_is_open,
    a_long_journal_goes_in_parts,
    many_that_have_to_stay_keep_none_that_may_go,
    what_ended_before_is_looked_for_behind_what_was_reached,
);

/// So many runs went, and no others may follow.
fn pruned(runs: usize) -> Applied {
    Applied::Pruned { runs, more: false, reached: RunId::HIGHEST }
}

fn old_runs_go_with_all_that_is_theirs(store: &dyn Store) {
    given(store, [start_once(running(1), "k", 0, None), start(running(2)), start(running(3)), append(1, 1, "a")]);
    given(store, [finish(1, at(5)), finish(2, at(6)), end(3, 1, Status::Quarantined, at(1))]);
    assert_eq!(apply(store, prune(at(6), at(0), 10)), pruned(1));
    assert_eq!(listed(store, &any()), ids(&[3, 2]));
    assert!(journal(store, 1).is_empty());
    assert_eq!(apply(store, start_once(running(4), "k", 0, None)), Applied::Started);
    assert_eq!(store.counts().unwrap().iter().map(|(_, _, n)| n).sum::<u64>(), 3);
}

fn what_an_open_run_refers_to_stays(store: &dyn Store) {
    let child = |n, parent| Run { parent: Some(id(parent)), ..running(n) };
    given(store, [start(running(1)), start(child(2, 1)), start(running(3)), start(child(4, 3))]);
    given(store, [finish(2, at(5)), finish(3, at(5))]);
    assert_eq!(apply(store, prune(at(9), at(0), 10)), pruned(0));
    given(store, [finish(1, at(6)), finish(4, at(6))]);
    assert_eq!(apply(store, prune(at(9), at(0), 10)), pruned(4));
}

fn the_limit_holds(store: &dyn Store) {
    given(store, (1..=3).map(running).map(start));
    given(store, [(1, 9), (2, 7), (3, 8)].map(|(n, when)| finish(n, at(when))));
    assert_eq!(apply(store, prune(at(10), at(0), 2)), Applied::Pruned { runs: 2, more: true, reached: id(2) });
    assert_eq!(listed(store, &any()), ids(&[3]));
    assert_eq!(apply(store, prune_behind(id(2), at(10), at(0), 2)), pruned(1));
}

fn events_go_from_the_oldest_on(store: &dyn Store) {
    given(store, [1, 3, 2, 9, 4].map(|n| emit(event(&n.to_string(), "e", None, at(n)))));
    given(store, [prune(at(0), at(5), 2)]);
    assert_eq!(store.events(0, 10).unwrap()[0].seq, 3);
    given(store, [prune(at(0), at(5), 10)]);
    assert_eq!(store.events(0, 10).unwrap().len(), 2);
    given(store, [prune(at(0), at(10), 10)]);
    assert!(store.events(0, 10).unwrap().is_empty());
    assert_eq!(apply(store, emit(event("new", "e", None, at(10)))), emitted(6, &[]));
    let repeat = apply(store, emit(event("9", "e", None, at(10))));
    assert_eq!(repeat, Applied::Emitted { seq: 4, fresh: false, woken: vec![] });
}

fn keys_go_when_they_expire(store: &dyn Store) {
    given(store, [start_once(running(1), "k", 0, Some(at(50))), finish(1, at(2)), prune(at(10), at(0), 10)]);
    assert!(listed(store, &any()).is_empty());
    let repeated = Applied::Repeated { run: id(1), same_input: true };
    assert_eq!(apply(store, start_once(running(20), "k", 0, None)), repeated);
    given(store, [prune(at(50), at(0), 10)]);
    assert_eq!(apply(store, start_once(running(21), "k", 0, None)), Applied::Started);
}

fn unused_bundles_go(store: &dyn Store) {
    given(store, ["v1", "v2", "v3"].map(|name| put(name, name)));
    given(store, [start(running(1)), start(Run { version: version("v2"), ..running(2) }), finish(2, at(3))]);
    given(
        store,
        [Change::Prune {
            before: at(0),
            behind: RunId::LOWEST,
            expired: at(0),
            events_before: at(0),
            keep: Some(vec![version("v3")]),
            limit: 10,
        }],
    );
    let there = |name| store.bundle(&version(name)).unwrap().is_some();
    assert_eq!(["v1", "v2", "v3"].map(there), [true, true, true]);
    given(store, [prune(at(9), at(0), 10)]);
    assert_eq!(["v1", "v2", "v3"].map(there), [true, false, false]);
    given(store, [start(Run { version: version("v2"), ..running(4) }), put("v2", "again")]);
    assert_eq!(store.bundle(&version("v2")).unwrap(), Some(b"again".to_vec()));
}

fn expire(store: &dyn Store, when: u64) -> Applied {
    let (expired, never) = (at(when), panta::time::Timestamp(i64::MIN));
    apply(
        store,
        Change::Prune { before: never, behind: RunId::LOWEST, expired, events_before: never, keep: None, limit: 10 },
    )
}

fn a_run_goes_when_it_expires(store: &dyn Store) {
    given(
        store,
        [
            put("v1", "sources"),
            put("unused", "x"),
            start(running(1)),
            start(running(2)),
            emit(event("e", "e", None, at(1))),
        ],
    );
    let end = End { expires_at: Some(at(50)), ..ending(Status::Completed, at(5)) };
    given(store, [Change::Finish { run: id(1), epoch: 1, end }, finish(2, at(6))]);
    assert_eq!(expire(store, 49), pruned(0));
    assert_eq!(expire(store, 50), pruned(1));
    assert_eq!((listed(store, &any()), store.events(0, 9).unwrap().len()), (ids(&[2]), 1));
    assert!(store.bundle(&version("unused")).unwrap().is_some());
}

fn the_first_of_a_chain_stays_while_one_of_it_is_open(store: &dyn Store) {
    given(store, [start(running(1))]);
    given(store, go_on(1, 2, 1, at(3)).into_iter().chain(go_on(2, 3, 1, at(4))));
    assert_eq!(apply(store, prune(at(9), at(0), 10)), pruned(1));
    assert_eq!((listed(store, &any()), store.newest(id(1)).unwrap().map(|run| run.id)), (ids(&[3, 1]), Some(id(3))));
    given(store, [finish(3, at(8))]);
    assert_eq!(apply(store, prune(at(9), at(0), 10)), pruned(2));
}

fn a_long_journal_goes_in_parts(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2))]);
    given(store, (0..1_300).flat_map(|n| [append(1, 1, &n.to_string()), append(2, 1, "other")]).collect::<Vec<_>>());
    given(store, [finish(1, at(2))]);
    assert_eq!(pruned_in_all(store, at(9)), 1);
    assert!(store.run(id(1)).unwrap().is_none() && journal(store, 1).is_empty());
    assert_eq!(journal(store, 2), vec!["other"; 1_300]);
    given(store, [append(2, 1, "last"), finish(2, at(3))]);
    assert_eq!((journal(store, 2).len(), pruned_in_all(store, at(9))), (1_301, 1));
}

fn many_that_have_to_stay_keep_none_that_may_go(store: &dyn Store) {
    let child = |n| Run { parent: Some(id(1)), ..running(n) };
    given(store, [start(running(1))].into_iter().chain((2..2_502).map(|n| start(child(n)))).collect::<Vec<_>>());
    given(store, (2..2_502).map(|n| finish(n, at(n))).collect::<Vec<_>>());
    given(store, [start(running(3_000)), finish(3_000, at(3_001))]);
    assert_eq!(pruned_in_all(store, at(9_000)), 1);
    assert_eq!((store.run(id(3_000)).unwrap(), store.run(id(2)).unwrap().is_some()), (None, true));
    given(store, [finish(1, at(3_002))]);
    assert_eq!(pruned_in_all(store, at(9_000)), 2_501);
}

/// Prunes runs that ended before the time until there is nothing more to do; how many went.
fn pruned_in_all(store: &dyn Store, before: panta::time::Timestamp) -> usize {
    pruned_behind(store, RunId::LOWEST, before)
}

/// The same for runs behind one.
fn pruned_behind(store: &dyn Store, mut behind: RunId, before: panta::time::Timestamp) -> usize {
    let mut gone = 0;
    loop {
        let applied = apply(store, prune_behind(behind, before, at(0), 128));
        let Applied::Pruned { runs, more, reached } = applied else { panic!("a prune") };
        assert!(reached >= behind && runs <= 128);
        (gone, behind) = (gone + runs, reached);
        if !more {
            return gone;
        }
    }
}

fn what_ended_before_is_looked_for_behind_what_was_reached(store: &dyn Store) {
    given(store, (1..=2_600).map(running).map(start).collect::<Vec<_>>());
    given(store, [2, 1_300, 2_600].map(|n| finish(n, at(n))));
    assert_eq!((pruned_behind(store, RunId::HIGHEST, at(9_000)), pruned_behind(store, id(2), at(9_000))), (0, 2));
    assert_eq!((store.run(id(2)).unwrap().is_some(), pruned_in_all(store, at(9_000))), (true, 1));
}
