//! What a journal has grown by, for those who follow it: reading it costs what is new, not its length.

use super::{Error, Handle};
use crate::id::RunId;
use crate::journal::{Entry, History, Kind, decode_segment};

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
    /// How far it is read with them.
    pub reached: Reached,
}

impl Handle {
    /// The entries behind those that were read.
    pub fn growth(&self, run: RunId, reached: Reached) -> Result<Growth, Error> {
        let (segments, mark) = self.shared.store.journal_after(run, reached.mark)?;
        let mut entries = Vec::new();
        for segment in segments {
            let (first, mut more) = decode_segment(&segment)?;
            let is_repair = more.iter().any(|entry| entry.kind == Kind::Repair);
            if is_repair || first != reached.entries + entries.len() {
                // It does not just go on: what counts of the journal is decided by all of it.
                return self.anew(run, mark);
            }
            entries.append(&mut more);
        }
        let first = reached.entries;
        let written = reached.written + entries.len();
        let places = (reached.written..written).collect();
        let reached = Reached { mark, entries: first + entries.len(), written };
        Ok(Growth { first, entries, places, written, reached })
    }

    fn anew(&self, run: RunId, mark: u64) -> Result<Growth, Error> {
        let History { entries, places, written, .. } = self.history(run)?;
        let reached = Reached { mark, entries: entries.len(), written };
        Ok(Growth { first: 0, entries, places, written, reached })
    }

    /// How many entries of a run were ever written.
    pub fn written(&self, run: RunId) -> Result<usize, Error> {
        Ok(self.history(run)?.written)
    }
}
