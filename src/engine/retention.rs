//! Finished runs that have expired are removed, in small commits, with keys and ids that have.

use std::sync::PoisonError;
use std::time::Duration;

use super::log::Item;
use super::options::Reach;
use super::shared::Shared;
use crate::id::Version;
use crate::store::{Applied, Change};
use crate::time::Timestamp;

/// How often: what stays for an hour longer than it has to does no harm.
pub(super) const PERIOD: Duration = Duration::from_hours(1);

/// Runs, keys and ids of one commit at most: some tens of milliseconds.
const BATCH: usize = 500;

/// Which stored versions go, beside runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Versions {
    /// None: which ones are live is not known yet.
    Stay,
    /// Those that no run uses and that are not live.
    Go,
}

/// Removes all that has expired; waits for each commit. The engine of a single run leaves others' runs alone.
/// With `keep`, runs that ended longer ago go too, whatever they say.
pub(super) fn prune(shared: &Shared, versions: Versions, keep: Option<Duration>) -> usize {
    if shared.options.reach == Reach::Own {
        return 0;
    }
    let mut gone = 0;
    loop {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = move |applied: &[Applied]| {
            // Nobody waits any more when the engine is closing.
            let _ = sender.send(applied.first().cloned());
        };
        send(shared, versions, keep, Box::new(done));
        let Ok(Some(Applied::Pruned { runs })) = receiver.recv() else { return gone };
        gone += runs;
        if runs < BATCH {
            return gone;
        }
    }
}

fn send(shared: &Shared, versions: Versions, keep: Option<Duration>, done: super::log::Done) {
    // Held until the change is in the log: a version that is deployed is there before it, or its sources come after.
    let registry = shared.registry.read().unwrap_or_else(PoisonError::into_inner);
    let live = || registry.values().map(|deployed| deployed.version().clone()).collect::<Vec<Version>>();
    let change = Change::Prune {
        before: keep.map_or(Timestamp(i64::MIN), |keep| shared.now().minus(keep)),
        expired: shared.now(),
        // An open run may still want an old event.
        events_before: Timestamp(i64::MIN),
        keep: (versions == Versions::Go).then(live),
        limit: BATCH,
    };
    shared.log.send(Item { changes: vec![change], done: Some(done) });
}
