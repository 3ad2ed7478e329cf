//! Finished runs that have expired are removed, in small commits, with keys and ids that have.
//!
//! That may take minutes where a million have, so it has a thread of its own as long as it takes: timers do not wait for it.
//! Then journals of runs that have been over for a while are put together, a piece at a time: packed here, so that a commit
//! has rows to replace alone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::log::Item;
use super::options::Reach;
use super::shared::Shared;
use crate::id::{RunId, Version};
use crate::store::{Applied, Change, Place};
use crate::time::Timestamp;

/// How often: what stays for an hour longer than it has to does no harm.
const PERIOD: Duration = Duration::from_hours(1);

/// Runs, keys and ids of one commit at most: some milliseconds, which others wait.
const BATCH: usize = 128;

/// How long a run has been over before its journal is put together: who tries it again does so mostly before.
const OVER: Duration = Duration::from_hours(1);
/// Commits of one round that put journals together. What is left is done in the next: as much as an engine writes in the
/// time between two rounds when every step of it waits for the disk.
const COMPACTIONS: usize = 50_000;

/// Which stored versions go, beside runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Versions {
    /// None: which ones are live is not known yet.
    Stay,
    /// Those that no run uses and that are not live.
    Go,
}

/// Removes what has expired now and then.
#[derive(Default)]
pub(super) struct Housekeeping {
    begun: Option<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// Begins where it is time, unless it is still at it.
    pub(super) fn round(&mut self, shared: &Arc<Shared>, elapsed: Duration) {
        if self.begun.is_some_and(|at| elapsed.saturating_sub(at) < PERIOD)
            || self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
        {
            return;
        }
        self.join();
        // The scripts are loaded after the start.
        let versions = if self.begun.is_none() { Versions::Stay } else { Versions::Go };
        let pruned = Arc::clone(shared);
        let run = move || {
            prune(&pruned, versions, None);
            compact(&pruned);
        };
        // Where the system gives no thread now, it may later.
        self.thread = std::thread::Builder::new().name("pruning".into()).spawn(run).ok();
        self.begun = Some(elapsed);
    }

    /// Waits until it is over: soon, when the engine is closing.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Removes all that has expired; waits for each commit. The engine of a single run leaves others' runs alone.
/// With `keep`, runs that ended longer ago go too, whatever they say.
pub(super) fn prune(shared: &Shared, versions: Versions, keep: Option<Duration>) -> usize {
    if shared.options.reach == Reach::Own {
        return 0;
    }
    let (mut gone, mut behind) = (0, RunId::LOWEST);
    let before = keep.map_or(Timestamp(i64::MIN), |keep| shared.now().minus(keep));
    // Each commit takes what else has gathered meanwhile: nobody waits for more than two of these.
    while !shared.closing.load(Ordering::Relaxed) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = move |applied: &[Applied]| {
            // Nobody waits any more when the engine is closing.
            let _ = sender.send(applied.first().cloned());
        };
        send(shared, versions, before, behind, Box::new(done));
        let Ok(Some(Applied::Pruned { runs, more, reached })) = receiver.recv() else { return gone };
        gone += runs;
        behind = reached;
        if !more {
            break;
        }
    }
    gone
}

fn send(shared: &Shared, versions: Versions, before: Timestamp, behind: RunId, done: super::log::Done) {
    // Held until the change is in the log: a version that is deployed is there before it, or its sources come after.
    let registry = shared.registry.read().unwrap_or_else(PoisonError::into_inner);
    let live = || registry.values().map(|deployed| deployed.version().clone()).collect::<Vec<Version>>();
    let change = Change::Prune {
        before,
        behind,
        expired: shared.now(),
        // An open run may still want an old event.
        events_before: Timestamp(i64::MIN),
        keep: (versions == Versions::Go).then(live),
        limit: BATCH,
    };
    shared.log.send(Item { changes: vec![change], done: Some(done) });
}

/// Puts journals of finished runs together; waits for each commit.
fn compact(shared: &Shared) {
    if shared.options.reach == Reach::Own {
        return;
    }
    let before = shared.now().minus(OVER);
    let mut place = Place::default();
    for _ in 0..COMPACTIONS {
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        let found = match shared.store.compaction(before, place) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return tracing::warn!("journals cannot be put together: {error}"),
        };
        place = found.place;
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = move |applied: &[Applied]| {
            // Nobody waits any more when the engine is closing.
            let _ = sender.send(applied.len());
        };
        shared.log.send(Item { changes: vec![Change::Compact(Box::new(found))], done: Some(Box::new(done)) });
        if receiver.recv().is_err() {
            return;
        }
    }
}
