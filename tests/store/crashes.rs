//! A crash around each commit of what removes or replaces rows by itself: nothing that is kept is lost, and it goes on.

use std::fs;
use std::path::Path;

use panta::id::RunId;
use panta::store::sqlite::Sqlite;
use panta::store::{Applied, Place, Store};

use super::compaction::{kept, put, put_together};
use crate::support::stores::*;

/// Segments of the long runs: more than one commit removes, or puts together.
const LONG: usize = 700;

/// What a crash may leave between two moments with one commit in between: nothing of it, a part of it or all of it in the log,
/// and then a part of it or all of it in the file.
fn crashes(before: &Path, after: &Path) -> Vec<tempfile::TempDir> {
    let read = |name| [before, after].map(|folder| fs::read(folder.join(name)).unwrap());
    let ([file, file_after], [log, log_after]) = (read("panta.db"), read("panta.db-wal"));
    let in_log = (0..=3).map(|thirds| (file.clone(), torn(&log, &log_after, thirds)));
    let in_file = (1..=3).map(|thirds| (torn(&file, &file_after, thirds), log_after.clone()));
    let made = |(file, log): (Vec<u8>, Vec<u8>)| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("panta.db"), file).unwrap();
        fs::write(folder.path().join("panta.db-wal"), log).unwrap();
        folder
    };
    in_log.chain(in_file).map(made).collect()
}

/// So many thirds of what has changed, from its beginning.
fn torn(before: &[u8], after: &[u8], thirds: usize) -> Vec<u8> {
    let differs = |n: &usize| before.get(*n) != after.get(*n);
    let all = before.len().max(after.len());
    let (first, last) = ((0..all).find(differs).unwrap_or(all), (0..all).rev().find(differs).map_or(all, |n| n + 1));
    let cut = (first + (last - first) * thirds / 3).min(after.len());
    let mut torn = after[..cut].to_vec();
    torn.extend_from_slice(before.get(cut..).unwrap_or_default());
    torn
}

/// Runs 1 and 2 with long journals that lie between each other, and short ones; all but 2 have ended.
fn filled(store: &dyn Store) {
    given(store, (1..=200).map(running).map(start).collect::<Vec<_>>());
    given(store, (0..LONG).flat_map(|n| [append(1, 1, &n.to_string()), append(2, 1, "x")]).collect::<Vec<_>>());
    given(store, (3..=200).flat_map(|n| (0..n % 9).map(move |_| append(n, 1, "short"))).collect::<Vec<_>>());
    given(store, (1..=200).filter(|n| *n != 2).map(|n| finish(n, at(5))).collect::<Vec<_>>());
}

fn journals(store: &dyn Store) -> Vec<Vec<String>> {
    (1..=200).map(|n| journal(store, n)).collect()
}

#[test]
fn a_crash_around_each_commit_that_puts_segments_together_loses_nothing() {
    let (store, folder) = sqlite();
    filled(&store);
    let (expected, mut place, mut commits) = (journals(&store), Place::default(), 0);
    while let Some(found) = store.compaction(at(9), place).unwrap() {
        let before = crashed(folder.path());
        place = found.place;
        put(&store, found);
        for crash in crashes(before.path(), crashed(folder.path()).path()) {
            let again = Sqlite::open(crash.path(), &options()).unwrap();
            assert_eq!((again.check().unwrap(), journals(&again) == expected), (None, true), "commit {commits}");
            put_together(&again, at(9));
            given(&again, [append(2, 1, "x")]);
            assert_eq!((journals(&again)[0] == expected[0], journal(&again, 2).len()), (true, LONG + 1));
        }
        commits += 1;
    }
    assert!(commits > 4 && journals(&store) == expected, "{commits} commits");
    assert!(kept(folder.path()).0 < LONG as i64 + 300);
}

#[test]
fn a_crash_around_each_commit_of_a_prune_leaves_each_run_whole_or_gone() {
    let (store, folder) = sqlite();
    filled(&store);
    let (expected, mut behind, mut commits) = (journals(&store), RunId::LOWEST, 0);
    loop {
        let before = crashed(folder.path());
        let Applied::Pruned { more, reached, .. } = apply(&store, prune_behind(behind, at(9), at(0), 64)) else {
            panic!("a prune");
        };
        behind = reached;
        for crash in crashes(before.path(), crashed(folder.path()).path()) {
            let again = Sqlite::open(crash.path(), &options()).unwrap();
            whole_or_gone(&again, &expected);
            while matches!(apply(&again, prune(at(9), at(0), 64)), Applied::Pruned { more: true, .. }) {}
            assert_eq!((listed(&again, &any()), kept(crash.path()).0), (ids(&[2]), LONG as i64));
        }
        commits += 1;
        if !more {
            break;
        }
    }
    assert!(commits > 3, "{commits} commits");
}

fn whole_or_gone(store: &dyn Store, expected: &[Vec<String>]) {
    assert_eq!(store.check().unwrap(), None);
    let there: Vec<u64> = (1..=200).filter(|n| store.run(id(*n)).unwrap().is_some()).collect();
    let counted: u64 = store.counts().unwrap().iter().map(|(_, _, n)| n).sum();
    assert!(there.contains(&2) && counted == there.len() as u64);
    for n in 1..=200 {
        let whole = if there.contains(&n) { expected[n as usize - 1].as_slice() } else { &[] };
        assert_eq!(journal(store, n), whole, "run {n}");
    }
}
