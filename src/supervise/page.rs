//! The page of memory that both processes have: what each thread evaluates, and what is to be charged.
//!
//! A file without a place on any disk, mapped into both. A thread's note is two writes to memory (4 ns; a system call would be
//! 600), so it can be made for each turn. A note is read only when its writer is dead. Another thread may have been writing its
//! own at that moment: half of one id and half of another is the id of nothing, and nobody is charged.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, memfd_create};
use uuid::Uuid;
use vm_memory::mmap::MmapRegion;
use vm_memory::{Bytes, FileOffset, VolatileMemory};

use super::death::Cause;
use crate::engine::{Charge, Evaluated, Witness};

/// Threads that have a place for their note. Those beyond are not watched: 256 are more than there are cores.
const THREADS: usize = 256;
/// Charges that are kept for the next process; what is beyond is forgotten.
const CHARGES: usize = 256;
/// An id is two words, a charge has the cause beside it.
const WORD: usize = 8;
const NOTE: usize = 2 * WORD;
const CHARGE: usize = 3 * WORD;

const COUNT_AT: usize = THREADS * NOTE;
const CHARGES_AT: usize = COUNT_AT + WORD;
const SIZE: usize = CHARGES_AT + CHARGES * CHARGE;

/// The page, mapped.
pub(super) struct Page {
    file: File,
    region: MmapRegion,
}

impl Page {
    /// A new one, without notes and charges.
    pub(super) fn create() -> io::Result<Self> {
        let file = File::from(memfd_create(c"panta", MemfdFlags::CLOEXEC)?);
        file.set_len(SIZE as u64)?;
        Self::map(file)
    }

    /// The one that another process has made.
    pub(super) fn map(file: File) -> io::Result<Self> {
        if file.metadata()?.len() < SIZE as u64 {
            // Reading beyond the end of a file kills.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the shared page is too short"));
        }
        let region = MmapRegion::from_file(FileOffset::new(file.try_clone()?, 0), SIZE).map_err(io::Error::other)?;
        Ok(Self { file, region })
    }

    /// The file, to be named to the other process.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn get(&self, at: usize) -> u64 {
        self.region.as_volatile_slice().load(at, Ordering::Acquire).expect("within the page")
    }

    fn set(&self, at: usize, word: u64) {
        self.region.as_volatile_slice().store(word, at, Ordering::Release).expect("within the page");
    }

    fn id(&self, at: usize) -> Option<Evaluated> {
        let id = Uuid::from_u64_pair(self.get(at), self.get(at + WORD));
        (!id.is_nil()).then_some(Evaluated(id))
    }

    fn set_id(&self, at: usize, id: Uuid) {
        let (high, low) = id.as_u64_pair();
        self.set(at, high);
        self.set(at + WORD, low);
    }

    /// What the dead process was evaluating.
    pub(super) fn notes(&self) -> Vec<Evaluated> {
        (0..THREADS).filter_map(|thread| self.id(thread * NOTE)).collect()
    }

    /// Takes the notes away: their writer is gone.
    pub(super) fn clear_notes(&self) {
        (0..THREADS).for_each(|thread| self.rests(thread));
    }

    /// Leaves charges for the next process, beside those that are not settled yet.
    pub(super) fn charge(&self, all: &[Evaluated], cause: Cause) {
        let mut count = self.count();
        for what in all.iter().take(CHARGES - count) {
            let at = CHARGES_AT + count * CHARGE;
            self.set_id(at, what.0);
            self.set(at + NOTE, cause.to_code());
            count += 1;
        }
        self.set(COUNT_AT, count as u64);
    }

    fn count(&self) -> usize {
        usize::try_from(self.get(COUNT_AT)).unwrap_or(0).min(CHARGES)
    }
}

impl Witness for Page {
    fn evaluates(&self, thread: usize, what: Evaluated) {
        if thread < THREADS {
            self.set_id(thread * NOTE, what.0);
        }
    }

    fn rests(&self, thread: usize) {
        if thread < THREADS {
            self.set_id(thread * NOTE, Uuid::nil());
        }
    }

    fn charges(&self) -> Vec<Charge> {
        let places = (0..self.count()).map(|n| CHARGES_AT + n * CHARGE);
        let charge = |at| Some(Charge { what: self.id(at)?, cause: Cause::from_code(self.get(at + NOTE)).to_string() });
        places.filter_map(charge).collect()
    }

    fn settled(&self) {
        self.set(COUNT_AT, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;

    fn both() -> (Page, Page) {
        let parent = Page::create().expect("a page");
        let engine = Page::map(parent.file().try_clone().expect("its file")).expect("the same page");
        (parent, engine)
    }

    #[test]
    fn the_parent_sees_what_each_thread_evaluates() {
        let (parent, engine) = both();
        let (a, b): (Evaluated, Evaluated) = (RunId::new().into(), Evaluated::named("b"));
        engine.evaluates(0, a);
        engine.evaluates(THREADS - 1, b);
        engine.evaluates(THREADS, RunId::new().into());
        assert_eq!(parent.notes(), [a, b]);
        engine.rests(0);
        assert_eq!(parent.notes(), [b]);
        parent.clear_notes();
        assert_eq!(parent.notes(), []);
    }

    #[test]
    fn charges_stay_until_they_are_settled() {
        let (parent, engine) = both();
        let (a, b): (Evaluated, Evaluated) = (RunId::new().into(), Evaluated::named("b"));
        parent.charge(&[a], Cause::Signal(11));
        parent.charge(&[b], Cause::Memory);
        let charge = |what, cause: &str| Charge { what, cause: cause.to_owned() };
        assert_eq!(engine.charges(), [charge(a, "SIGSEGV"), charge(b, "out of memory")]);
        engine.settled();
        assert_eq!(engine.charges(), []);
    }

    #[test]
    fn more_charges_than_there_is_room_for_are_forgotten() {
        let (parent, engine) = both();
        let runs: Vec<_> = std::iter::repeat_with(|| Evaluated::from(RunId::new())).take(CHARGES + 5).collect();
        parent.charge(&runs, Cause::Panic);
        parent.charge(&runs, Cause::Panic);
        assert_eq!(engine.charges().len(), CHARGES);
    }

    #[test]
    fn a_page_that_is_too_short_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        assert!(Page::map(file).is_err());
    }
}
