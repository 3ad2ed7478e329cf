//! What a journal has grown by, for those who follow it: reading it costs what is new, not its length, and comes in parts.

use super::{Error, Handle};
use crate::engine::pages::{AT_ONCE, place};
use crate::id::RunId;
use crate::journal::{Entry, Kind, decode_segment, may_be_repaired};

/// How far somebody has read a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reached {
    /// The store's mark behind the last segment.
    mark: u64,
    /// Entries up to there.
    entries: usize,
}

/// What there is beyond what was reached.
#[derive(Debug)]
pub struct Growth {
    /// The number of the first of the entries.
    pub first: usize,
    /// They.
    pub entries: Vec<Entry>,
    /// All of the journal is given anew, since what was read of it has changed.
    pub is_anew: bool,
    /// Nothing follows now.
    pub is_last: bool,
    /// How far it is read with them.
    pub reached: Reached,
}

impl Handle {
    /// The next part of the entries behind those that were read. Where the journal was repaired, all of it at once: what counts of
    /// it is decided by all of it.
    pub fn growth(&self, run: RunId, reached: Reached) -> Result<Growth, Error> {
        let store = &self.shared.store;
        let part = store.journal_part(run, reached.mark, AT_ONCE)?;
        // What follows may cut what is in this part.
        if !part.is_last() && may_be_repaired(store.journal_way(run)?.format) {
            return self.anew(run, part.end);
        }
        let mut entries = Vec::new();
        for segment in &part.segments {
            let (first, mut more) = decode_segment(segment)?;
            let is_repair = more.iter().any(|entry| entry.kind == Kind::Repair);
            if is_repair || first != reached.entries + entries.len() {
                // It does not just go on.
                return self.anew(run, part.end);
            }
            entries.append(&mut more);
        }
        let (first, is_last) = (reached.entries, part.is_last());
        let reached = Reached { mark: part.mark, entries: first + entries.len() };
        Ok(Growth { first, entries, is_anew: false, is_last, reached })
    }

    /// A place before an entry, from which a reader who knows what is before it goes on.
    pub fn reached_before(&self, run: RunId, entry: usize) -> Result<Reached, Error> {
        let store = &**self.store();
        let way = store.journal_way(run)?;
        if may_be_repaired(way.format) {
            return Ok(Reached::default());
        }
        let found = place(store, run, &way, entry)?;
        Ok(Reached { mark: found.mark, entries: found.number })
    }

    fn anew(&self, run: RunId, mark: u64) -> Result<Growth, Error> {
        let entries = self.journal(run)?;
        let reached = Reached { mark, entries: entries.len() };
        Ok(Growth { first: 0, entries, is_anew: true, is_last: true, reached })
    }
}
