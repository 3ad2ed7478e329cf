//! What a journal has grown by, for those who follow it: reading it costs what is new, not its length, and comes in parts.

use super::{Error, Handle};
use crate::engine::pages::{AT_ONCE, place};
use crate::id::RunId;
use crate::journal::{Entry, History, Kind, decode_segment, may_be_repaired};

/// How far somebody has read a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reached {
    /// The store's mark behind the last segment.
    mark: u64,
    /// Entries up to there.
    entries: usize,
    /// Those that were ever written up to there, with what repairs have cut.
    written: usize,
}

/// What there is beyond what was reached.
#[derive(Debug)]
pub struct Growth {
    /// The number of the first of the entries.
    pub first: usize,
    /// They.
    pub entries: Vec<Entry>,
    /// The place of each among all that were ever written: unlike its number, nothing changes it.
    pub places: Vec<usize>,
    /// How many were ever written up to there.
    pub written: usize,
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
        let written = reached.written + entries.len();
        let places = (reached.written..written).collect();
        let reached = Reached { mark: part.mark, entries: first + entries.len(), written };
        Ok(Growth { first, entries, places, written, is_last, reached })
    }

    /// A place before an entry, from which a reader who knows what is before it goes on.
    pub fn reached_before(&self, run: RunId, entry: usize) -> Result<Reached, Error> {
        let store = &**self.store();
        let way = store.journal_way(run)?;
        if may_be_repaired(way.format) {
            return Ok(Reached::default());
        }
        let found = place(store, run, &way, entry)?;
        Ok(Reached { mark: found.mark, entries: found.number, written: found.number })
    }

    fn anew(&self, run: RunId, mark: u64) -> Result<Growth, Error> {
        let History { entries, places, written, .. } = self.history(run)?;
        let reached = Reached { mark, entries: entries.len(), written };
        Ok(Growth { first: 0, entries, places, written, is_last: true, reached })
    }

    /// How many entries of a run were ever written.
    pub fn written(&self, run: RunId) -> Result<usize, Error> {
        let is_repaired = may_be_repaired(self.store().journal_way(run)?.format);
        if is_repaired { Ok(self.history(run)?.written) } else { self.length(run) }
    }
}
