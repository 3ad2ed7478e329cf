//! Segments that are put together: nobody who reads sees it, and they take a fraction of the space.

use panta::journal::{Entry, Kind, Phase, encode_segment};
use panta::store::memory::Memory;
use panta::store::part::STRIDE;
use panta::store::sqlite::Sqlite;
use panta::store::{Applied, Change, Compaction, Part, Place, Reopen, Status, Store};
use panta::time::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;

use super::contract;
use crate::support::stores::*;

contract!(
    a_journal_reads_as_before_from_every_mark,
    a_run_that_is_opened_again_meanwhile_goes_on,
    a_run_that_is_pruned_meanwhile_stays_gone,
);

/// Puts together what it may; in how many commits.
pub(super) fn put_together(store: &dyn Store, before: Timestamp) -> usize {
    let (mut place, mut commits) = (Place::default(), 0);
    while let Some(found) = store.compaction(before, place).unwrap() {
        place = found.place;
        put(store, found);
        commits += 1;
    }
    commits
}

pub(super) fn put(store: &dyn Store, found: Compaction) {
    assert_eq!(apply(store, Change::Compact(Box::new(found))), Applied::Done);
}

/// Runs 1 and 2 with so many segments, one after the other, under epoch 1.
fn two_long_runs(store: &dyn Store, segments: usize) {
    given(store, [start(running(1)), start(running(2))]);
    let changes = (0..segments).flat_map(|n| [append(1, 1, &format!("\u{1}{n}")), append(2, 1, "other")]);
    given(store, changes.collect::<Vec<_>>());
}

fn reopened(store: &dyn Store, n: u64) -> Change {
    let row = get(store, n);
    Change::Reopen(Box::new(Reopen {
        run: row.id,
        epoch: row.epoch,
        status: row.status,
        node: "a".into(),
        segment: "again".into(),
        upgrade: None,
        locks: Vec::new(),
        slot: None,
        stays_paused: false,
        then: Vec::new(),
    }))
}

/// All marks of a journal, the first in front of it.
fn marks(store: &dyn Store, n: u64) -> Vec<u64> {
    let mut marks = vec![0];
    loop {
        let part = store.journal_part(id(n), *marks.last().unwrap(), 1).unwrap();
        if part.segments.is_empty() {
            return marks;
        }
        marks.push(part.mark);
    }
}

/// The part of a journal behind a mark, and all behind it with the mark of its end.
type Behind = (Part, (Vec<Vec<u8>>, u64));

/// What is behind some of the marks.
fn behind(store: &dyn Store, n: u64, marks: &[u64]) -> Vec<Behind> {
    let some = marks.iter().step_by(61).chain(marks.last());
    some.map(|mark| {
        let part = store.journal_part(id(n), *mark, 900).unwrap();
        (part, store.journal_after(id(n), *mark).unwrap())
    })
    .collect()
}

fn a_journal_reads_as_before_from_every_mark(store: &dyn Store) {
    two_long_runs(store, 5 * STRIDE);
    given(store, [finish(1, at(5)), append(2, 1, "still open")]);
    // Somebody has looked along it before.
    let (way, marks) = (store.journal_way(id(1)).unwrap(), marks(store, 1));
    let before = behind(store, 1, &marks);
    put_together(store, at(9));
    assert_eq!(behind(store, 1, &marks), before);
    assert_eq!((journal(store, 1).len(), journal(store, 2).len()), (5 * STRIDE, 5 * STRIDE + 1));
    let now = store.journal_way(id(1)).unwrap();
    assert_eq!((now.end, now.format), (way.end, 1));
    for mark in now.marks.iter().chain(&way.marks) {
        assert!(marks.contains(mark) && store.journal_part(id(1), *mark, 1).unwrap().segments.len() == 1);
    }
}

fn a_run_that_is_opened_again_meanwhile_goes_on(store: &dyn Store) {
    two_long_runs(store, 600);
    given(store, [finish(1, at(5))]);
    let mut expected = journal(store, 1);
    let looked = store.compaction(at(9), Place::default()).unwrap();
    given(store, [reopened(store, 1), append(1, 2, "more")]);
    looked.into_iter().for_each(|found| put(store, found));
    expected.extend(["again".to_owned(), "more".to_owned()]);
    assert_eq!(journal(store, 1), expected);
    given(store, [Change::Finish { run: id(1), epoch: 2, end: ending(Status::Completed, at(6)) }]);
    put_together(store, at(9));
    assert_eq!((journal(store, 1), get(store, 1).status), (expected, Status::Completed));
}

fn a_run_that_is_pruned_meanwhile_stays_gone(store: &dyn Store) {
    two_long_runs(store, 100);
    given(store, [finish(1, at(5))]);
    let looked = store.compaction(at(9), Place::default()).unwrap();
    given(store, [prune(at(9), at(0), 10), append(2, 1, "more")]);
    looked.into_iter().for_each(|found| put(store, found));
    assert_eq!((journal(store, 1).len(), journal(store, 2).len()), (0, 101));
}

/// Rows of segments, and bytes in them.
pub(super) fn kept(folder: &std::path::Path) -> (i64, i64) {
    let conn = Connection::open(folder.join("panta.db")).unwrap();
    let sql = "SELECT count(*), ifnull(sum(length(body)), 0) FROM segment";
    conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// A step as a run records it.
fn step(n: usize) -> Entry {
    let name = format!("step {n}").as_str().into();
    let opened = Entry::opened(Kind::Effect, format!("{n}").parse().unwrap(), name, at(n as u64));
    let arguments = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Entry { phase: Phase::Closed, arguments, outcome: Some(Ok(text(&format!("what came of {n}")))), ..opened }
}

#[test]
fn a_long_journal_takes_a_fraction_and_what_is_short_stays() {
    let (store, folder) = sqlite();
    given(&store, [start(running(1)), start(running(2))]);
    let segment = |n| Change::Append { run: id(1), epoch: 1, segment: encode_segment(n, &[step(n)]) };
    given(&store, (0..1_001).map(segment).collect::<Vec<_>>());
    given(&store, [append(2, 1, "a"), append(2, 1, "b"), append(2, 1, "c"), finish(1, at(5)), finish(2, at(5))]);
    let (before, (rows, bytes)) = (store.journal(id(1)).unwrap(), kept(folder.path()));
    assert_eq!((rows, put_together(&store, at(9))), (1_004, 4));
    let after = kept(folder.path());
    // Each row that is gone took some thirty bytes beside.
    assert!(after.0 == 4 + 3 && after.1 < bytes * 2 / 3, "{bytes} bytes are {after:?}");
    assert_eq!(
        (store.journal(id(1)).unwrap(), journal(&store, 2)),
        (before, ["a", "b", "c"].map(str::to_owned).to_vec())
    );
    assert_eq!((pruned(&store), kept(folder.path())), (2, (0, 0)));
}

fn pruned(store: &dyn Store) -> usize {
    match apply(store, prune(at(9), at(0), 10)) {
        Applied::Pruned { runs, more: false, .. } => runs,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_not_over_for_long_enough_waits_and_nothing_is_looked_at_twice() {
    let (store, folder) = sqlite();
    two_long_runs(&store, 10);
    given(&store, [append(1, 1, "end"), finish(1, at(5)), append(2, 1, "end"), finish(2, at(7))]);
    assert_eq!((put_together(&store, at(5)), kept(folder.path()).0), (1, 22));
    assert_eq!((put_together(&store, at(6)), kept(folder.path()).0), (1, 12));
    assert_eq!(store.compaction(at(6), Place::default()).unwrap(), None);
    let crash = crashed(folder.path());
    drop(store);
    for folder in [&folder, &crash] {
        let again = Sqlite::open(folder.path(), &options()).unwrap();
        assert_eq!(again.compaction(at(6), Place::default()).unwrap(), None);
        assert_eq!((put_together(&again, at(8)), kept(folder.path()).0), (1, 2));
        assert_eq!((journal(&again, 1).len(), journal(&again, 2).len()), (11, 11));
    }
}

#[test]
fn what_ended_by_a_clock_that_was_ahead_holds_up_nothing() {
    let (store, folder) = sqlite();
    two_long_runs(&store, 10);
    given(&store, [append(1, 1, "end"), finish(1, at(1_000_000)), append(2, 1, "end"), finish(2, at(7))]);
    put_together(&store, at(9));
    assert_eq!((kept(folder.path()).0, journal(&store, 2).len()), (12, 11));
}

#[test]
fn numbers_are_not_used_again_when_the_newest_are_gone() {
    let (store, folder) = sqlite();
    two_long_runs(&store, 10);
    given(&store, [append(1, 1, "end"), finish(1, at(5)), append(2, 1, "end"), finish(2, at(5))]);
    put_together(&store, at(9));
    assert_eq!(pruned(&store), 2);
    drop(store);
    let again = Sqlite::open(folder.path(), &options()).unwrap();
    given(&again, [start(running(3))]);
    given(&again, (0..10).map(|_| append(3, 1, "x")));
    given(&again, [finish(3, at(6))]);
    put_together(&again, at(9));
    assert_eq!((kept(folder.path()).0, journal(&again, 3).len()), (1, 10));
}

/// What happens to one of three runs.
#[derive(Clone, Debug)]
enum Deed {
    Append(u64, usize),
    Finish(u64),
    Reopen(u64),
    /// Looks, lets something else happen, then commits.
    PutTogether(Option<Box<Self>>),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    let simple = prop_oneof![
        5 => (0..3_u64, 1..300_usize).prop_map(|(run, count)| Deed::Append(run, count)),
        3 => (0..3_u64).prop_map(Deed::Finish),
        2 => (0..3_u64).prop_map(Deed::Reopen),
        1 => Just(Deed::Restart),
    ];
    let between = (0..3_u64).prop_map(|run| Box::new(Deed::Reopen(run)));
    prop_oneof![11 => simple, 5 => prop::option::of(between).prop_map(Deed::PutTogether)]
}

/// The changes that a deed is, for both stores alike.
fn changes(store: &dyn Store, deed: &Deed) -> Vec<Change> {
    match deed {
        Deed::Append(run, count) => {
            let epoch = get(store, *run).epoch;
            (0..*count).map(|n| append(*run, epoch, &format!("{n} of {count}"))).collect()
        }
        Deed::Finish(run) => {
            let end = ending(Status::Completed, at(5));
            vec![Change::Finish { run: id(*run), epoch: get(store, *run).epoch, end }]
        }
        Deed::Reopen(run) if get(store, *run).status.is_final() => vec![reopened(store, *run)],
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_journals_are_the_same(deeds in prop::collection::vec(deed(), 1..24)) {
        let memory = Memory::new();
        let (mut sqlite, folder) = sqlite();
        let starts = [0, 1, 2].map(|n| start(running(n)));
        prop_assert_eq!(memory.commit(&starts).unwrap(), sqlite.commit(&starts).unwrap());
        for deed in deeds {
            let looked = match &deed {
                Deed::PutTogether(_) => sqlite.compaction(at(9), Place::default()).unwrap(),
                _ => None,
            };
            let meanwhile = if let Deed::PutTogether(Some(meanwhile)) = &deed { meanwhile } else { &deed };
            let batch = changes(&memory, meanwhile);
            prop_assert_eq!(memory.commit(&batch).unwrap(), sqlite.commit(&batch).unwrap());
            looked.into_iter().for_each(|found| put(&sqlite, found));
            if matches!(deed, Deed::Restart) {
                drop(sqlite);
                sqlite = Sqlite::open(folder.path(), &options()).unwrap();
            }
            for n in 0..3 {
                prop_assert_eq!(journal(&memory, n), journal(&sqlite, n));
                let _ = sqlite.journal_way(id(n)).unwrap();
            }
        }
        put_together(&sqlite, at(9));
        let whole = |store: &dyn Store, n| (journal(store, n), marks(store, n).len());
        (0..3).for_each(|n| assert_eq!(whole(&memory, n), whole(&sqlite, n)));
    }
}
