//! The time in which open runs are tried: until all are, none of them goes on. Runs that start meanwhile do.

use std::collections::HashSet;
use std::sync::Mutex;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::engine::shared::held;
use crate::id::RunId;

/// How far the trials are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trials {
    /// Runs that were tried.
    pub tried: usize,
    /// Runs that were open when it began.
    pub total: usize,
}

/// Where that stands. Nothing is held back unless it was begun.
pub(in crate::engine) struct Settling {
    phase: Mutex<Option<Phase>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_over: watch::Sender<bool>,
}

struct Phase {
    /// Started by this process: of these semantics.
    fresh: HashSet<RunId>,
    progress: Trials,
    begun: bool,
}

impl Default for Settling {
    fn default() -> Self {
        Self { phase: Mutex::default(), thread: Mutex::default(), is_over: watch::Sender::new(true) }
    }
}

impl Settling {
    /// From here on no run goes on that was there before.
    pub(super) fn hold_back(&self, total: usize) {
        self.is_over.send_replace(false);
        let progress = Trials { tried: 0, total };
        *held(&self.phase) = Some(Phase { fresh: HashSet::new(), progress, begun: false });
    }

    /// Whether the trials are to begin now: once.
    pub(super) fn begins(&self) -> bool {
        held(&self.phase).as_mut().is_some_and(|phase| !std::mem::replace(&mut phase.begun, true))
    }

    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        *held(&self.thread) = Some(thread);
    }

    /// Waits for its thread, where the engine is closing.
    pub(in crate::engine) fn join(&self) {
        let thread = held(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// A run was started by this process.
    pub(in crate::engine) fn started(&self, run: RunId) {
        if let Some(phase) = &mut *held(&self.phase) {
            phase.fresh.insert(run);
        }
    }

    pub(super) fn is_fresh(&self, run: RunId) -> bool {
        held(&self.phase).as_ref().is_none_or(|phase| phase.fresh.contains(&run))
    }

    /// Leaves those that may be claimed. The others are taken up when it is over: what made them ready is in the store.
    pub(in crate::engine) fn retain(&self, runs: &mut Vec<RunId>) {
        if let Some(phase) = &*held(&self.phase) {
            runs.retain(|run| phase.fresh.contains(run));
        }
    }

    pub(super) fn tried(&self) {
        if let Some(phase) = &mut *held(&self.phase) {
            phase.progress.tried += 1;
        }
    }

    /// How far it is; `None`: nothing is held back.
    pub(in crate::engine) fn progress(&self) -> Option<Trials> {
        held(&self.phase).as_ref().map(|phase| phase.progress)
    }

    /// From here on all may be claimed.
    pub(super) fn end(&self) {
        *held(&self.phase) = None;
    }

    /// All that could go on was claimed.
    pub(super) fn over(&self) {
        self.is_over.send_replace(true);
    }

    /// Tells when it is over.
    pub(in crate::engine) fn follow(&self) -> watch::Receiver<bool> {
        self.is_over.subscribe()
    }
}
