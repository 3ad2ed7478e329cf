//! The thread that wakes runs which wait outside of memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use crate::time::Timestamp;

/// How far ahead due times are held in memory.
const HORIZON: Duration = Duration::from_mins(2);
/// How often the store is asked for the next ones. Half of the horizon, so that none is missed.
const PERIOD: Duration = Duration::from_mins(1);
/// Due times held in memory at most.
const MOST: usize = 100_000;
/// Runs claimed by one commit.
const BATCH: usize = 512;

pub(super) fn run(shared: &Arc<Shared>) {
    let mut asked: Option<Duration> = None;
    while !shared.closing.load(Ordering::Relaxed) {
        let elapsed = shared.options.clock.elapsed();
        if asked.is_none_or(|at| elapsed.saturating_sub(at) >= PERIOD) {
            asked = Some(elapsed);
            load(shared, shared.now().plus(HORIZON));
        }
        wake_due(shared);
        shared.timeline.wait(shared.now(), PERIOD);
    }
}

/// Puts runs in motion that are due.
pub(super) fn wake_due(shared: &Shared) {
    let mut due = Vec::new();
    for run in shared.timeline.take(shared.now()) {
        if super::shared::held(&shared.routes).contains_key(&run) { shared.wake(run) } else { due.push(run) }
    }
    for batch in due.chunks(BATCH) {
        shared.claim(batch.to_vec());
    }
}

/// Takes over the due times that the store has.
pub(super) fn load(shared: &Shared, until: Timestamp) {
    match shared.store.due(until, MOST) {
        Ok(due) => due.into_iter().for_each(|(at, run)| shared.timeline.add(at, run)),
        Err(error) => tracing::warn!("due times cannot be read: {error}"),
    }
}
