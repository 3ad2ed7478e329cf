//! Who is told what each worker evaluates, so that the death of the process can be laid at the door of those that may have
//! caused it.
//!
//! A script that kills its interpreter (a native stack that overflows, memory that runs out, a fault of ours) cannot be asked
//! afterwards. So every worker says which run it evaluates, before it does, to a witness outside of the process. A run that was
//! charged with a death is a *suspect*: it is evaluated while all other workers rest, so that it drags nobody else into the next.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::shared::Shared;
use crate::id::RunId;

/// A death of an earlier process, and a run that was evaluated at that moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The run.
    pub run: RunId,
    /// How the process died, as it is told to people: `SIGSEGV`, `out of memory`.
    pub cause: String,
}

/// What outlives this process. Called for each turn of each run: must take no longer than writing to memory.
pub trait Witness: Send + Sync {
    /// This worker evaluates this run from now on.
    fn evaluates(&self, worker: usize, run: RunId);
    /// It evaluates nothing.
    fn rests(&self, worker: usize);
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
    Together { _hold: RwLockReadGuard<'a, ()> },
    Alone { _hold: RwLockWriteGuard<'a, ()> },
}

/// As long as it lives, a worker evaluates a run.
pub(super) struct Watched<'a> {
    witness: &'a dyn Witness,
    worker: usize,
    _hold: Hold<'a>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // After a panic that nobody catches the process ends: the note is what remains.
        if !std::thread::panicking() {
            self.witness.rests(self.worker);
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
        let Suspicion(lock) = &self.suspicion;
        let hold = match standing {
            Standing::Innocent => Hold::Together { _hold: lock.read().unwrap_or_else(PoisonError::into_inner) },
            Standing::Suspect => Hold::Alone { _hold: lock.write().unwrap_or_else(PoisonError::into_inner) },
        };
        witness.evaluates(worker, run);
        Some(Watched { witness, worker, _hold: hold })
    }
}
