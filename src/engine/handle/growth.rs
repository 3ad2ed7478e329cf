//! What a journal has grown by, for those who follow it: reading it costs what is new, not its length.

use super::{Error, Handle};
use crate::id::RunId;
use crate::journal::{Entry, Kind, decode_segment};

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
        let reached = Reached { mark, entries: first + entries.len() };
        Ok(Growth { first, entries, is_anew: false, reached })
    }

    fn anew(&self, run: RunId, mark: u64) -> Result<Growth, Error> {
        let entries = self.journal(run)?;
        let reached = Reached { mark, entries: entries.len() };
        Ok(Growth { first: 0, entries, is_anew: true, reached })
    }
}
