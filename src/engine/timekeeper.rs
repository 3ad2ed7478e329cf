//! The thread that wakes runs which wait outside of memory, and does what is done now and then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::retention::Housekeeping;
use super::shared::Shared;
use super::{reminders, renewal};
use crate::time::Timestamp;

/// How far ahead due times are held in memory.
const HORIZON: Duration = Duration::from_mins(2);
/// How often the store is asked for the next ones. Half of the horizon, so that none is missed.
const PERIOD: Duration = Duration::from_mins(1);
/// Due times held in memory at most.
const MOST: usize = 100_000;
/// Runs claimed by one commit.
const BATCH: usize = 512;
/// Between two looks whether more runs can be tried on a new version.
const RENEWAL_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn run(shared: &Arc<Shared>) {
    let mut asked: Option<Duration> = None;
    let mut housekeeping = Housekeeping::default();
    while !shared.closing.load(Ordering::Relaxed) {
        let elapsed = shared.options.clock.elapsed();
        if asked.is_none_or(|at| elapsed.saturating_sub(at) >= PERIOD) {
            asked = Some(elapsed);
            load(shared, shared.now().plus(HORIZON));
        }
        housekeeping.round(shared, elapsed);
        wake_due(shared);
        let most = if renewal::round(shared) { RENEWAL_PAUSE } else { PERIOD };
        let now = shared.now();
        shared.timeline.wait(now, most.min(shared.reminders.pause(now)));
    }
    housekeeping.join();
}

/// Whether something due then is held in memory.
pub(super) fn is_soon(shared: &Shared, at: Timestamp) -> bool {
    at <= shared.now().plus(HORIZON)
}

/// Puts runs in motion that are due, and tells of those that are open for too long.
pub(super) fn wake_due(shared: &Shared) {
    let mut due = Vec::new();
    let now = shared.now();
    for (at, run) in shared.timeline.take(now) {
        // What fell due while nobody was there is made up for: it says nothing about how late this engine is.
        if at >= shared.started_at {
            shared.metrics.schedule_lag.time(now.since(at));
        }
        if super::shared::held(&shared.routes).contains_key(&run) { shared.wake(run) } else { due.push(run) }
    }
    for batch in due.chunks(BATCH) {
        shared.claim(batch.to_vec());
    }
    reminders::tell(shared);
}

/// Takes over the due times of the next minutes.
pub(super) fn load_soon(shared: &Shared) {
    load(shared, shared.now().plus(HORIZON));
}

/// Takes over the due times that the store has.
pub(super) fn load(shared: &Shared, until: Timestamp) {
    reminders::load(shared, until, MOST);
    match shared.store.due(until, MOST) {
        Ok(due) => due.into_iter().for_each(|(at, run)| shared.timeline.add(at, run)),
        Err(error) => tracing::warn!("due times cannot be read: {error}"),
    }
}
