//! Pages of journals that are long, of few kinds, large, or repaired.

use super::*;
use crate::journal::{Phase, Repair, Repaired, encode_segment};
use crate::payload::Payload;
use crate::store::memory::Memory;
use crate::store::{Change, Run, Status};
use crate::time::Timestamp;

fn entry(kind: Kind, text: &str) -> Entry {
    let opened = Entry::opened(kind, "0".parse().expect("a position"), "x".into(), Timestamp(1));
    Entry { phase: Phase::Closed, outcome: Some(Ok(Payload::from_json(&text.into()))), ..opened }
}

/// A run whose every hundredth entry is a log line, the others effects.
fn mixed(count: usize) -> Vec<Entry> {
    (0..count).map(|n| entry(if n % 100 == 0 { Kind::Log } else { Kind::Effect }, &n.to_string())).collect()
}

fn run() -> Run {
    let version = crate::id::Version("v".into());
    Run {
        status: Status::Running,
        epoch: 1,
        ..Run::accepted(RunId::new(), "w".into(), version, Payload::unit(), Timestamp(1))
    }
}

/// A store with a run that has these segments.
fn kept(segments: impl IntoIterator<Item = Vec<u8>>) -> (Memory, RunId) {
    let (store, run) = (Memory::new(), run());
    let id = run.id;
    let start = Change::Start { run: Box::new(run), dedupe: None, gate: None };
    let appended = segments.into_iter().map(|segment| Change::Append { run: id, epoch: 1, segment });
    store.commit(&[start].into_iter().chain(appended).collect::<Vec<_>>()).expect("commits");
    (store, id)
}

/// Segments of three entries each.
fn segments(entries: &[Entry]) -> Vec<Vec<u8>> {
    entries.chunks(3).enumerate().map(|(n, chunk)| encode_segment(3 * n, chunk)).collect()
}

/// All entries from that one on, page by page, and how many pages it took.
fn walked(store: &Memory, run: RunId, wanted: Wanted) -> (Vec<(usize, Entry)>, usize) {
    let (mut all, mut pages, mut wanted) = (Vec::new(), 0, wanted);
    loop {
        let page = page(store, run, &wanted).expect("reads");
        assert!(page.entries.len() <= wanted.limit && page.read >= wanted.from.min(page.read));
        all.extend(page.entries);
        pages += 1;
        if !page.has_more {
            return (all, pages);
        }
        assert!(page.read > wanted.from, "each page goes on");
        wanted.from = page.read;
    }
}

fn numbered(entries: &[Entry], from: usize, kind: Option<Kind>) -> Vec<(usize, Entry)> {
    let all = entries.iter().cloned().enumerate().skip(from);
    all.filter(|(_, entry)| kind.is_none_or(|kind| entry.kind == kind)).collect()
}

#[test]
fn pages_are_the_whole_from_any_entry_on() {
    let all = mixed(5_000);
    let (store, run) = kept(segments(&all));
    for (from, limit) in [(0, 999), (0, 5_000), (1, 1_000), (2_500, 7), (4_999, 1), (5_000, 1), (9_000, 1)] {
        let (found, pages) = walked(&store, run, Wanted { from, kind: None, limit });
        assert_eq!(found, numbered(&all, from, None), "{from} {limit}");
        assert_eq!(pages, found.len().div_ceil(limit).max(1));
    }
    assert_eq!(length(&store, run).expect("reads"), 5_000);
}

#[test]
fn a_page_of_a_kind_names_the_next_of_it_and_looks_at_no_more_than_it_may() {
    let all = mixed(2 * SEEN_MAX);
    let (store, run) = kept(segments(&all));
    let logs = Wanted { from: 0, kind: Some(Kind::Log), limit: 5 };
    let first = page(&store, run, &logs).expect("reads");
    assert_eq!((first.read, first.has_more), (500, true));
    assert_eq!(walked(&store, run, Wanted { limit: 1_000, ..logs }), (numbered(&all, 0, Some(Kind::Log)), 2));
    let timers = page(&store, run, &Wanted { kind: Some(Kind::Timer), ..logs }).expect("reads");
    assert_eq!((timers.entries.len(), timers.read, timers.has_more), (0, SEEN_MAX, true));
}

#[test]
fn a_page_of_large_entries_has_fewer() {
    let all: Vec<_> = (0..50).map(|n| entry(Kind::Log, &n.to_string().repeat(300_000))).collect();
    let (store, run) = kept(segments(&all));
    let (found, pages) = walked(&store, run, Wanted { from: 0, kind: None, limit: 1_000 });
    assert!(found == numbered(&all, 0, None) && pages > 3, "{pages} pages");
}

#[test]
fn a_repaired_journal_is_shown_as_it_counts() {
    let all = mixed(3_000);
    let cut = crate::journal::Cut { from: 10, ..crate::journal::Cut::default() };
    let repair = Repair { cut: Some(cut), ..Repair::new(Repaired::Retry, Timestamp(2)) }.to_entry();
    let (store, run) = kept(segments(&all).into_iter().chain([encode_segment(0, &[repair])]));
    let counts = History::read(store.journal(run).expect("reads")).expect("reads").into_entries();
    let (found, _) = walked(&store, run, Wanted { from: 0, kind: None, limit: 4 });
    assert_eq!((found.len(), length(&store, run).expect("reads")), (11, 11));
    assert_eq!(found, numbered(&counts, 0, None));
}

#[test]
fn a_gap_is_found() {
    let (store, run) = kept([encode_segment(0, &mixed(3)), encode_segment(4, &mixed(1))]);
    assert!(page(&store, run, &Wanted { from: 0, kind: None, limit: 9 }).is_err());
}
