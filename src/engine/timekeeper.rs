//! The thread that wakes runs which wait outside of memory, and does what is done now and then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::retention::Housekeeping;
use super::shared::Shared;
use super::{reminders, renewal};
use crate::store::Due;
use crate::time::Timestamp;

/// How far ahead due times are held in memory.
const HORIZON: Duration = Duration::from_mins(2);
/// How often the store is asked for the next ones. Half of the horizon, so that none is missed.
const PERIOD: Duration = Duration::from_mins(1);
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
        shared.timeline.wait(now, most.min(shared.reminders.pause(now)), places(shared));
    }
    housekeeping.join();
}

/// Whether something due then is held in memory.
pub(super) fn is_soon(shared: &Shared, at: Timestamp) -> bool {
    at <= shared.now().plus(HORIZON)
}

/// For how many that are due there is place in line.
fn places(shared: &Shared) -> usize {
    shared.admission.places(shared.options.most_queued)
}

/// Puts runs in motion that are due, and tells of those that are open for too long.
pub(super) fn wake_due(shared: &Shared) {
    shared.make_up();
    loop {
        wake_some(shared);
        // The store may have had more than memory is taken for.
        let Some((behind, until)) = shared.timeline.is_used_up() else { break };
        look(shared, Some(behind), until);
    }
    reminders::tell(shared);
}

fn wake_some(shared: &Shared) {
    let mut due = Vec::new();
    for (at, run) in shared.timeline.take(shared.now(), places(shared)) {
        // What fell due while nobody was there is made up for: it says nothing about how late this engine is.
        if at >= shared.started_at {
            shared.metrics.schedule_lag.time(shared.now().since(at));
        }
        if !shared.tell(run) {
            due.push(run);
        }
    }
    if !due.is_empty() {
        shared.claim(due);
    }
}

/// Takes over the due times of the next minutes.
pub(super) fn load_soon(shared: &Shared) {
    load(shared, shared.now().plus(HORIZON));
}

/// Takes over the due times that the store has.
pub(super) fn load(shared: &Shared, until: Timestamp) {
    let most = shared.options.most_queued;
    reminders::load(shared, until, most);
    shared.timeline.look_ahead(until);
    look(shared, None, until);
}

fn look(shared: &Shared, behind: Option<Due>, until: Timestamp) {
    let most = shared.options.most_queued;
    match shared.store.due(behind, until, most) {
        Ok(due) => shared.timeline.fill(until, due, most),
        Err(error) => tracing::warn!("due times cannot be read: {error}"),
    }
}
