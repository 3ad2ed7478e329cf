//! Runs that wait outside of memory, and when they are due.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::shared::held;
use crate::id::RunId;
use crate::store::Due;
use crate::time::Timestamp;

/// Due times of the next minutes: the store has all of them. Up to the *edge* of what was looked for, they are here, or were.
#[derive(Default)]
pub(super) struct Timeline {
    soon: Mutex<Soon>,
    changed: Condvar,
}

struct Soon {
    due: BTreeSet<Due>,
    /// What is due later is left to the store. All is taken until the store was looked at first.
    edge: Due,
    /// The store has more up to the time that was asked for, behind the edge.
    goes_on: Option<Timestamp>,
    /// There is something to look at: the next wait ends at once.
    is_woken: bool,
}

/// The last of those that are due by a time.
fn last(until: Timestamp) -> Due {
    (until, RunId(Uuid::max()))
}

impl Default for Soon {
    fn default() -> Self {
        Self { due: BTreeSet::new(), edge: last(Timestamp::MAX), goes_on: None, is_woken: false }
    }
}

impl Timeline {
    pub(super) fn add(&self, at: Timestamp, run: RunId) {
        let mut soon = held(&self.soon);
        if (at, run) > soon.edge {
            return;
        }
        soon.due.insert((at, run));
        soon.is_woken = true;
        drop(soon);
        self.changed.notify_one();
    }

    /// The store is about to be asked for what is due until then. What is added meanwhile is kept, whether it sees that or not.
    pub(super) fn look_ahead(&self, until: Timestamp) {
        let mut soon = held(&self.soon);
        soon.edge = last(until);
        soon.goes_on = None;
    }

    /// Takes over what the store has; so many of one look say that it has more.
    pub(super) fn fill(&self, until: Timestamp, due: Vec<Due>, most: usize) {
        let mut soon = held(&self.soon);
        if let Some(edge) = due.last().filter(|_| due.len() >= most) {
            soon.edge = *edge;
            soon.goes_on = Some(until);
        }
        soon.due.extend(due);
    }

    /// Behind what, and until when, the store is to be asked for more: nothing is here any more, and it has more.
    pub(super) fn is_used_up(&self) -> Option<(Due, Timestamp)> {
        let mut soon = held(&self.soon);
        let until = soon.goes_on.filter(|_| soon.due.is_empty())?;
        let behind = soon.edge;
        soon.edge = last(until);
        soon.goes_on = None;
        Some((behind, until))
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

    /// Takes what is due, with when it was, as far as there are places for it.
    pub(super) fn take(&self, now: Timestamp, places: usize) -> Vec<Due> {
        let mut soon = held(&self.soon);
        let mut due = Vec::new();
        while due.len() < places
            && let Some(first) = soon.due.first().copied().filter(|(at, _)| *at <= now)
        {
            soon.due.remove(&first);
            due.push(first);
        }
        due
    }

    /// Waits until the first one is due, something was added since the last wait, or `most` has passed. Where there is no
    /// place for what is due, somebody wakes when there is.
    pub(super) fn wait(&self, now: Timestamp, most: Duration, places: usize) {
        let mut soon = held(&self.soon);
        let first = soon.due.first().filter(|_| places > 0);
        let next = first.map_or(most, |(at, _)| at.since(now).min(most));
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

    fn due(at: i64) -> Due {
        (Timestamp(at), RunId::new())
    }

    #[test]
    fn what_is_due_is_taken_once_in_order_and_as_far_as_there_are_places() {
        let (timeline, all) = (Timeline::default(), [due(10), due(20), due(20), due(21)]);
        all.iter().rev().for_each(|(at, run)| timeline.add(*at, *run));
        assert_eq!(timeline.take(Timestamp(20), 1), all[..1]);
        assert_eq!(timeline.take(Timestamp(20), 9), all[1..3]);
        assert_eq!(timeline.take(Timestamp(20), 9), []);
        assert_eq!(timeline.first(), Some(Timestamp(21)));
    }

    #[test]
    fn what_finds_no_place_is_asked_for_when_the_rest_is_used_up() {
        let (timeline, all) = (Timeline::default(), [due(10), due(10), due(12), due(30)]);
        timeline.look_ahead(Timestamp(20));
        timeline.add(all[3].0, all[3].1);
        timeline.fill(Timestamp(20), all[..2].to_vec(), 2);
        timeline.add(all[2].0, all[2].1);
        assert_eq!(timeline.is_used_up(), None, "something is here yet");
        assert_eq!(timeline.take(Timestamp(99), 9), all[..2], "what lies behind them is in the store");
        assert_eq!(timeline.is_used_up(), Some((all[1], Timestamp(20))));
        timeline.fill(Timestamp(20), vec![all[2]], 2);
        assert_eq!((timeline.take(Timestamp(99), 9), timeline.is_used_up()), (vec![all[2]], None));
    }
}
