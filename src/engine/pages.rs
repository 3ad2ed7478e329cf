//! A page of a journal: reading it costs what it shows, not how much its run has done.
//!
//! A page is bounded by what it shows and by what it looks at, so that one of few kinds in a journal of a million entries ends,
//! too. A repaired journal is the exception: what counts of it is decided by all of it, so all of it is read.

use super::handle::{Error, Handle};
use crate::id::RunId;
use crate::journal::{self, Entry, History, Kind, decode_segment, may_be_repaired};
use crate::store::{Store, Way};

/// Bytes of segments that are read at once.
pub(super) const AT_ONCE: usize = 256 << 10;
/// Bytes of what a page shows, about: a thousand entries of usual size are far less.
const SHOWN_MAX: usize = 4 << 20;
/// Entries that a page looks at.
const SEEN_MAX: usize = 20_000;

/// What is wanted of a journal.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// From the entry with this number on.
    pub from: usize,
    /// Entries of this kind; `None`: of all.
    pub kind: Option<Kind>,
    /// So many, at most.
    pub limit: usize,
}

/// Some entries of a journal, with their numbers.
#[derive(Debug)]
pub struct Page {
    /// They. There may be fewer than were wanted, or none, where others follow.
    pub entries: Vec<(usize, Entry)>,
    /// The number of the entry behind those that were looked at.
    pub read: usize,
    /// Whether there may be more.
    pub has_more: bool,
}

/// A page of a run's journal, as it counts now.
pub fn page(store: &dyn Store, run: RunId, wanted: &Wanted) -> Result<Page, Error> {
    let way = store.journal_way(run)?;
    if may_be_repaired(way.format) {
        let all = History::read(store.journal(run)?)?.into_entries();
        let mut gathered = Gathered::new(wanted, wanted.from.min(all.len()));
        let is_full = !all.into_iter().enumerate().skip(wanted.from).all(|(n, entry)| gathered.take(n, entry));
        return Ok(gathered.page(is_full));
    }
    let place = place(store, run, &way, wanted.from)?;
    let (mut mark, mut number) = (place.mark, place.number);
    let mut gathered = Gathered::new(wanted, number);
    loop {
        let part = store.journal_part(run, mark, AT_ONCE)?;
        for segment in &part.segments {
            let entries = follow(&mut number, segment)?;
            let first = number - entries.len();
            if !entries.into_iter().zip(first..).all(|(entry, n)| n < wanted.from || gathered.take(n, entry)) {
                return Ok(gathered.page(true));
            }
            gathered.read = number;
        }
        if part.is_last() {
            return Ok(gathered.page(false));
        }
        mark = part.mark;
    }
}

/// How many entries a journal has, as it counts now.
pub fn length(store: &dyn Store, run: RunId) -> Result<usize, Error> {
    let way = store.journal_way(run)?;
    if may_be_repaired(way.format) {
        return Ok(History::read(store.journal(run)?)?.entries.len());
    }
    let last = way.marks.len().saturating_sub(1);
    let Some(place) = landmark(store, run, &way, last)? else { return Ok(0) };
    let (mut mark, mut number) = (place.mark, place.number);
    loop {
        let part = store.journal_part(run, mark, AT_ONCE)?;
        for segment in &part.segments {
            follow(&mut number, segment)?;
        }
        if part.is_last() {
            return Ok(number);
        }
        mark = part.mark;
    }
}

/// A mark, and the number of the entry behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) mark: u64,
    pub(super) number: usize,
}

/// The last landmark of a journal without repairs that lies before an entry.
pub(super) fn place(store: &dyn Store, run: RunId, way: &Way, entry: usize) -> Result<Placed, Error> {
    let mut found = Placed { mark: 0, number: 0 };
    let (mut low, mut high) = (0, way.marks.len());
    while entry > 0 && high - low > 1 {
        let middle = low + (high - low) / 2;
        match landmark(store, run, way, middle)? {
            Some(placed) if placed.number <= entry => (low, found) = (middle, placed),
            _ => high = middle,
        }
    }
    Ok(found)
}

/// `None`: nothing is behind it.
fn landmark(store: &dyn Store, run: RunId, way: &Way, at: usize) -> Result<Option<Placed>, Error> {
    let Some(mark) = way.marks.get(at).copied() else { return Ok(None) };
    let part = store.journal_part(run, mark, 1)?;
    let first = part.segments.first().map(|segment| decode_segment(segment)).transpose()?;
    Ok(first.map(|(number, _)| Placed { mark, number }))
}

/// The entries of a segment, which has to go on with this number.
pub(super) fn follow(number: &mut usize, segment: &[u8]) -> Result<Vec<Entry>, journal::Error> {
    let (first, entries) = decode_segment(segment)?;
    if first != *number {
        return Err(journal::Error::Gap { found: first, expected: *number });
    }
    *number += entries.len();
    Ok(entries)
}

/// What was found so far.
struct Gathered<'w> {
    wanted: &'w Wanted,
    entries: Vec<(usize, Entry)>,
    read: usize,
    bytes: usize,
    seen: usize,
}

impl<'w> Gathered<'w> {
    fn new(wanted: &'w Wanted, read: usize) -> Self {
        Self { wanted, entries: Vec::new(), read, bytes: 0, seen: 0 }
    }

    /// Takes the next entry, if it is wanted; false: the page was full before it.
    fn take(&mut self, n: usize, entry: Entry) -> bool {
        self.read = n;
        let is_wanted = self.wanted.kind.is_none_or(|kind| entry.kind == kind);
        let is_full = self.entries.len() >= self.wanted.limit || self.bytes >= SHOWN_MAX;
        if is_wanted && is_full || self.seen >= SEEN_MAX {
            return false;
        }
        self.seen += 1;
        self.read = n + 1;
        if is_wanted {
            self.bytes += weight(&entry);
            self.entries.push((n, entry));
        }
        true
    }

    fn page(self, has_more: bool) -> Page {
        Page { entries: self.entries, read: self.read, has_more }
    }
}

/// Bytes that an entry takes to show, about.
pub(super) fn weight(entry: &Entry) -> usize {
    let outcome = match &entry.outcome {
        Some(Ok(value) | Err(value)) => value.text().len(),
        None => 0,
    };
    outcome + entry.detail.as_ref().map_or(0, |detail| detail.text().len()) + entry.name.len() + 200
}

impl Handle {
    /// A page of a run's journal.
    pub fn page(&self, run: RunId, wanted: &Wanted) -> Result<Page, Error> {
        page(&**self.store(), run, wanted)
    }

    /// How many entries a run's journal has.
    pub fn length(&self, run: RunId) -> Result<usize, Error> {
        length(&**self.store(), run)
    }
}

#[cfg(test)]
mod tests;
