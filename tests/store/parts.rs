//! Journals in parts: what is read at once is bounded, and the middle of a long one can be gone to.

use panta::engine::pages::{Wanted, page};
use panta::journal::{Entry, Kind, Phase, encode_segment};
use panta::store::part::STRIDE;
use panta::store::{Change, Store};

use super::contract;
use crate::support::stores::*;

contract!(
    a_part_is_as_large_as_it_may_be,
    parts_are_the_whole_in_order,
    a_way_leads_to_the_middle,
    a_way_grows_with_its_journal,
    a_format_of_any_segment_is_known,
    there_is_no_way_along_what_is_not_there,
);

/// Appends segments with these numbers to run 1, with one of another run between any two.
fn long(store: &dyn Store, numbers: std::ops::Range<usize>) {
    let changes = numbers.flat_map(|n| [append(1, 1, &n.to_string()), append(2, 1, "other")]);
    given(store, changes.collect::<Vec<_>>());
}

fn two_runs(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2))]);
}

/// All that follows a mark, by parts of so many bytes.
fn rest(store: &dyn Store, mut mark: u64, most: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let part = store.journal_part(id(1), mark, most).unwrap();
        all.extend(part.segments.iter().map(|segment| String::from_utf8(segment.clone()).unwrap()));
        if part.is_last() {
            return all;
        }
        assert!(part.mark > mark, "each part has something");
        mark = part.mark;
    }
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

fn a_part_is_as_large_as_it_may_be(store: &dyn Store) {
    two_runs(store);
    given(store, [append(1, 1, "aaa"), append(1, 1, "bbb"), append(1, 1, "ccc")]);
    let sizes = [1, 3, 4, 6, 7, 100].map(|most| store.journal_part(id(1), 0, most).unwrap().segments.len());
    assert_eq!(sizes, [1, 1, 2, 2, 3, 3]);
    let first = store.journal_part(id(1), 0, 1).unwrap();
    let second = store.journal_part(id(1), first.mark, 1).unwrap();
    assert_eq!((first.is_last(), second.segments, second.end), (false, vec![b"bbb".to_vec()], first.end));
    let behind = store.journal_part(id(1), first.end, 1).unwrap();
    assert!(behind.is_last() && behind.segments.is_empty() && behind.mark == first.end);
}

fn parts_are_the_whole_in_order(store: &dyn Store) {
    two_runs(store);
    let count = 5 * STRIDE + 3;
    long(store, 0..count);
    for most in [1, 700, usize::MAX] {
        assert_eq!(rest(store, 0, most), texts(0..count));
    }
    assert_eq!(rest(store, 0, usize::MAX), journal(store, 1));
}

fn a_way_leads_to_the_middle(store: &dyn Store) {
    two_runs(store);
    let count = 9 * STRIDE + 1;
    long(store, 0..count);
    let way = store.journal_way(id(1)).unwrap();
    let firsts: Vec<usize> = way.marks.iter().map(|mark| rest(store, *mark, 100)[0].parse().unwrap()).collect();
    assert_eq!((firsts[0], way.end), (0, store.journal_part(id(1), 0, 1).unwrap().end));
    let bounds: Vec<_> = firsts.iter().copied().chain([count]).collect();
    assert!(bounds.windows(2).all(|pair| pair[0] < pair[1] && pair[1] < pair[0] + 2 * STRIDE), "{bounds:?}");
    assert!(way.marks.len() <= count / STRIDE + 1);
    way.marks.iter().zip(firsts).for_each(|(mark, first)| assert_eq!(rest(store, *mark, 1_000), texts(first..count)));
}

fn a_way_grows_with_its_journal(store: &dyn Store) {
    two_runs(store);
    let mut count = 0;
    for more in [1, 2 * STRIDE, 3, STRIDE, 1, 1, 1, 4 * STRIDE, 7] {
        long(store, count..count + more);
        count += more;
        let way = store.journal_way(id(1)).unwrap();
        assert!(way.marks.is_sorted() && way.marks.len() <= count / STRIDE + 1, "{count}: {:?}", way.marks);
        let last = *way.marks.last().unwrap();
        let left = rest(store, last, 500);
        assert!(left.len() < 2 * STRIDE && left.last() == texts(0..count).last(), "{count}: {}", left.len());
    }
    assert_eq!(rest(store, 0, 100), texts(0..count));
}

fn a_format_of_any_segment_is_known(store: &dyn Store) {
    two_runs(store);
    given(store, [append(1, 1, "\u{1}a"), append(1, 1, "\u{2}b"), append(1, 1, "\u{1}c")]);
    assert_eq!(store.journal_way(id(1)).unwrap().format, 2);
    given(store, [append(1, 1, ""), append(1, 1, "\u{3}")]);
    assert_eq!(store.journal_way(id(1)).unwrap().format, 3);
}

fn there_is_no_way_along_what_is_not_there(store: &dyn Store) {
    assert_eq!((store.journal_way(id(1)).unwrap().marks.len(), rest(store, 0, 1).len()), (0, 0));
    two_runs(store);
    assert_eq!((store.journal_way(id(1)).unwrap().marks.clone(), rest(store, 0, 1).len()), (vec![0], 0));
}

/// A journal with so many entries, each in a segment of its own; `PANTA_ENTRIES` in the environment for more.
fn entries() -> usize {
    std::env::var("PANTA_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000)
}

fn entry(n: usize) -> Entry {
    let opened = Entry::opened(Kind::Effect, "0".parse().expect("a position"), "x".into(), at(0));
    Entry { phase: Phase::Closed, outcome: Some(Ok(text(&format!("the outcome of entry {n}")))), ..opened }
}

#[test]
fn a_page_of_a_long_journal_reads_a_small_part_of_it() {
    let (store, _folder) = sqlite();
    let count = entries();
    two_runs(&store);
    for first in (0..count).step_by(10_000) {
        let segment = |n| Change::Append { run: id(1), epoch: 1, segment: encode_segment(n, &[entry(n)]) };
        given(&store, (first..count.min(first + 10_000)).map(segment));
    }
    for from in [0, count / 2, 1, count - 1_000, count / 2 + 1_000] {
        let began = panta::time::elapsed();
        let found = page(&store, id(1), &Wanted { from, kind: None, limit: 1_000 }).expect("reads");
        let numbers: Vec<_> = found.entries.iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, (from..from + 1_000).collect::<Vec<_>>());
        assert_eq!(found.entries[999].1, entry(from + 999));
        println!("{from} of {count}: {:?}", panta::time::elapsed().saturating_sub(began));
    }
    assert!(store.journal_way(id(1)).unwrap().marks.len() <= count / STRIDE + 1);
    assert!(store.journal_part(id(1), 0, 1 << 10).unwrap().segments.len() < 40);
}
