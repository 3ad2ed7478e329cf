//! Who is told what each thread evaluates, so that the death of the process can be laid at the door of those that may have
//! caused it.
//!
//! A script that kills its interpreter (a native stack that overflows, memory that runs out, a fault of ours) cannot be asked
//! afterwards. So every thread says what it evaluates, before it does, to a witness outside of the process: a run, or a
//! closure, a trial, a replay. A run that was charged with a death is a *suspect*: it is evaluated while all others rest, so
//! that it drags nobody else into the next.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::shared::{Shared, held};
use crate::id::RunId;

/// Threads beside the workers that have a place for their note. Those beyond are not watched: closures are asked four at once.
const BESIDE: usize = 32;
/// Marks what is no run: no version of UUIDs has this number.
const NO_RUN: u8 = 0xf0;

/// What a thread evaluates, no larger than a note can be: the id of a run, or the hash of a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Evaluated(pub Uuid);

impl From<RunId> for Evaluated {
    fn from(run: RunId) -> Self {
        Self(run.0)
    }
}

impl Evaluated {
    /// Something that is no run, by what it is called.
    pub fn named(name: &str) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(name.as_bytes())[..16]);
        bytes[6] = bytes[6] & 0x0f | NO_RUN;
        Self(Uuid::from_bytes(bytes))
    }

    /// The run, where it is one.
    pub fn run(self) -> Option<RunId> {
        (self.0.as_bytes()[6] & NO_RUN != NO_RUN).then_some(RunId(self.0))
    }
}

/// A death of an earlier process, and what was evaluated at that moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// What it was.
    pub what: Evaluated,
    /// How the process died, as it is told to people: `SIGSEGV`, `out of memory`.
    pub cause: String,
}

/// What outlives this process. Called for each turn of each run: must take no longer than writing to memory.
pub trait Witness: Send + Sync {
    /// The thread with this number evaluates this from now on.
    fn evaluates(&self, thread: usize, what: Evaluated);
    /// It evaluates nothing.
    fn rests(&self, thread: usize);
    /// What earlier processes left to be charged.
    fn charges(&self) -> Vec<Charge>;
    /// All of that is durable.
    fn settled(&self);
}

/// Whether a run was there when a process died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Innocent,
    Suspect,
}

impl Standing {
    pub(super) fn of(charged: u32) -> Self {
        if charged == 0 { Self::Innocent } else { Self::Suspect }
    }
}

/// Suspects hold it alone, all others together.
#[derive(Default)]
pub(super) struct Suspicion(RwLock<()>);

enum Hold<'a> {
    /// With others, or without asking any.
    Together {
        _hold: Option<RwLockReadGuard<'a, ()>>,
    },
    Alone {
        _hold: RwLockWriteGuard<'a, ()>,
    },
}

/// Numbers for the notes of threads that are no workers.
#[derive(Default)]
pub(super) struct Places(Mutex<[bool; BESIDE]>);

impl Places {
    fn take(&self) -> Option<usize> {
        let mut taken = held(&self.0);
        let free = taken.iter().position(|taken| !taken)?;
        taken[free] = true;
        Some(free)
    }

    fn give_back(&self, place: usize) {
        held(&self.0)[place] = false;
    }
}

thread_local! {
    /// What this thread has noted, and where.
    static NOTED: Cell<Option<(usize, Evaluated)>> = const { Cell::new(None) };
}

/// A number that is given back.
type Place<'a> = (&'a Places, usize);

/// As long as it lives, a thread evaluates something.
pub(super) struct Watched<'a> {
    witness: &'a dyn Witness,
    thread: usize,
    /// What it evaluated before, and goes on with.
    before: Option<(usize, Evaluated)>,
    place: Option<Place<'a>>,
    _hold: Hold<'a>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // After a panic of a worker the process ends: the note is what remains. Other threads' panics are caught.
        if !std::thread::panicking() || self.place.is_some() {
            NOTED.set(self.before);
            match self.before {
                Some((thread, what)) => self.witness.evaluates(thread, what),
                None => self.witness.rests(self.thread),
            }
            if let Some((places, place)) = self.place {
                places.give_back(place);
            }
        }
    }
}

impl Shared {
    /// This engine cannot go on, for a fault of its own. Where another process takes over, that is asked for at once.
    pub(super) fn broken(&self, why: &str) {
        if self.options.witness.is_some() {
            tracing::error!("{why}");
            std::process::abort();
        }
        self.fail(why);
    }

    /// Says what a worker evaluates, until the answer is dropped. Waits until that is allowed.
    pub(super) fn watched(&self, worker: usize, run: RunId, standing: Standing) -> Option<Watched<'_>> {
        let witness = &**self.options.witness.as_ref()?;
        let hold = self.hold(standing);
        Some(note(witness, worker, run.into(), hold, None))
    }

    /// The same for a thread that is no worker, and for what a worker evaluates in the middle of a run's turn: then that is
    /// noted in the run's place, for the run is not to blame.
    pub(super) fn watched_beside(&self, what: Evaluated, standing: Standing) -> Option<Watched<'_>> {
        let witness = &**self.options.witness.as_ref()?;
        if let Some((thread, _)) = NOTED.get() {
            // Its thread holds already: waiting once more could be for itself.
            return Some(note(witness, thread, what, Hold::Together { _hold: None }, None));
        }
        let place = self.places.take()?;
        let hold = self.hold(standing);
        Some(note(witness, self.workers.len() + place, what, hold, Some((&self.places, place))))
    }

    /// The same, without waiting for anybody: for what may take long.
    pub(super) fn watched_aside(&self, what: Evaluated) -> Option<Watched<'_>> {
        let witness = &**self.options.witness.as_ref()?;
        let place = self.places.take()?;
        let hold = Hold::Together { _hold: None };
        Some(note(witness, self.workers.len() + place, what, hold, Some((&self.places, place))))
    }

    fn hold(&self, standing: Standing) -> Hold<'_> {
        let Suspicion(lock) = &self.suspicion;
        match standing {
            Standing::Innocent => Hold::Together { _hold: Some(lock.read().unwrap_or_else(PoisonError::into_inner)) },
            Standing::Suspect => Hold::Alone { _hold: lock.write().unwrap_or_else(PoisonError::into_inner) },
        }
    }
}

fn note<'a>(
    witness: &'a dyn Witness,
    thread: usize,
    what: Evaluated,
    hold: Hold<'a>,
    place: Option<Place<'a>>,
) -> Watched<'a> {
    witness.evaluates(thread, what);
    let before = NOTED.replace(Some((thread, what)));
    Watched { witness, thread, before, place, _hold: hold }
}
