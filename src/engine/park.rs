//! Runs that wait outside of memory, and when they are due.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::shared::held;
use crate::id::RunId;
use crate::time::Timestamp;

/// Due times of the next minutes: the store has all of them.
#[derive(Default)]
pub(super) struct Timeline {
    soon: Mutex<Soon>,
    changed: Condvar,
}

#[derive(Default)]
struct Soon {
    due: BTreeSet<(Timestamp, RunId)>,
    /// There is something to look at: the next wait ends at once.
    is_woken: bool,
}

impl Timeline {
    pub(super) fn add(&self, at: Timestamp, run: RunId) {
        let mut soon = held(&self.soon);
        soon.due.insert((at, run));
        soon.is_woken = true;
        drop(soon);
        self.changed.notify_one();
    }

    /// Ends a wait, also one that is about to begin: something is due at once.
    pub(super) fn wake(&self) {
        held(&self.soon).is_woken = true;
        self.changed.notify_one();
    }

    /// When the first one is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        held(&self.soon).due.first().map(|(at, _)| *at)
    }

    /// Takes what is due, with when it was.
    pub(super) fn take(&self, now: Timestamp) -> Vec<(Timestamp, RunId)> {
        let mut soon = held(&self.soon);
        let later = soon.due.split_off(&(Timestamp(now.0 + 1), RunId(uuid::Uuid::nil())));
        std::mem::replace(&mut soon.due, later).into_iter().collect()
    }

    /// Waits until the first one is due, something was added since the last wait, or `most` has passed.
    pub(super) fn wait(&self, now: Timestamp, most: Duration) {
        let mut soon = held(&self.soon);
        let next = soon.due.first().map_or(most, |(at, _)| at.since(now).min(most));
        if !next.is_zero() {
            let asleep = |soon: &mut Soon| !soon.is_woken;
            soon = self
                .changed
                .wait_timeout_while(soon, next, asleep)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
        soon.is_woken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_taken_once_and_in_order() {
        let timeline = Timeline::default();
        let runs = [RunId::new(), RunId::new(), RunId::new()];
        timeline.add(Timestamp(20), runs[0]);
        timeline.add(Timestamp(10), runs[1]);
        timeline.add(Timestamp(21), runs[2]);
        assert_eq!(timeline.take(Timestamp(20)), [(Timestamp(10), runs[1]), (Timestamp(20), runs[0])]);
        assert_eq!(timeline.take(Timestamp(20)), []);
    }
}
