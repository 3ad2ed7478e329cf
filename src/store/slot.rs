//! What only so many may hold at a time, over all runs: locks, and the runs of a workflow side by side.
//!
//! Each name has a line. A *ticket* (one of a run) waits in it or holds a slot; the line goes by priority, then by arrival.
//! Every ticket brings its own limit: the first in line gets a slot when fewer than *its* limit are held. So an edit of a
//! limit needs no agreement among runs of several versions.
//!
//! Whatever makes room (a release, an end, an operator) gives the slot to the next in line in the same transaction, and
//! makes its run ready. Runs that are quarantined or have diverged keep what they hold; in a line they are passed over.

use std::sync::Arc;

use crate::id::RunId;
use crate::payload::Payload;
use crate::time::Timestamp;

/// The scope of durable values in which rates keep their next free moment.
pub const RATES: &str = "$rate";

/// The ticket of a run for its own beginning.
pub const BEGINNING: &str = "begin";

/// What a start has to pass before its run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// A slot that the run holds from its beginning to its end.
    pub slot: Option<SlotWish>,
    /// How far starts lie apart.
    pub rate: Option<RateWish>,
}

impl Gate {
    /// One that lets everything pass.
    pub(super) const OPEN: Self = Self { slot: None, rate: None };
}

/// A slot for a whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotWish {
    /// Of what.
    pub name: Arc<str>,
    /// So many at a time.
    pub limit: u32,
    /// What happens when there is none.
    pub on_conflict: OnConflict,
}

/// What becomes of a start when no slot is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It waits in line.
    Queue,
    /// There is no run. Decided at acceptance; runs that wait count like those that hold.
    Skip,
    /// All that hold or wait are asked to end, for this reason; it waits in line. A run that is to begin later only waits.
    Cancel(Payload),
}

/// A rate of starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateWish {
    /// Of what.
    pub name: Arc<str>,
    /// Microseconds between two beginnings.
    pub interval_us: u64,
}

/// Where a ticket stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SlotState {
    /// It comes into the line when its run's time has come.
    Later,
    /// It waits in line.
    Waiting,
    /// It holds a slot.
    Held,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Whose.
    pub run: RunId,
    /// Which of that run's: the position of a `lock`, or [`BEGINNING`].
    pub ticket: Arc<str>,
    /// For what.
    pub name: Arc<str>,
    /// Where it stands.
    pub state: SlotState,
    /// It gets a slot when fewer are held.
    pub limit: u32,
    /// Larger goes first.
    pub priority: i32,
}

/// What a run that has not begun waits for, as a sentence.
pub(super) fn in_line(name: &str) -> Arc<str> {
    format!("its turn: no slot of `{name}` is free").into()
}

/// What a run waits for that a rate holds back.
pub(super) fn held_back(name: &str) -> Arc<str> {
    format!("its turn under the rate of `{name}`").into()
}

/// The moment that a rate has free, in microseconds, and the next one after it.
pub fn next_free(stored: Option<&Payload>, now: Timestamp, interval_us: u64) -> (i64, i64) {
    let next = stored.and_then(|value| value.to_json()["next"].as_i64()).unwrap_or(i64::MIN);
    let at = next.max(now.0.saturating_mul(1_000));
    (at, at.saturating_add(i64::try_from(interval_us).unwrap_or(i64::MAX)))
}

/// The moment that a ticket gets, in microseconds, and what is kept of it: the same ticket again gets the same one, as long
/// as no other has come.
pub fn reserved(stored: Option<&Payload>, now: Timestamp, interval_us: u64, ticket: &str) -> (i64, Payload) {
    if let Some(stored) = stored {
        let before = stored.to_json();
        if let Some(at) = before["at"].as_i64().filter(|_| before["by"] == ticket) {
            return (at, stored.clone());
        }
    }
    let (at, next) = next_free(stored, now, interval_us);
    (at, Payload::from_json(&serde_json::json!({ "next": next, "at": at, "by": ticket })))
}

/// A moment in microseconds as a time, never earlier.
pub fn not_before(us: i64) -> Timestamp {
    Timestamp(us.div_euclid(1_000) + i64::from(us.rem_euclid(1_000) > 0))
}

/// Puts a run back that may not begin at once: until `wake_at`, where that is given, or until it gets a slot.
pub(super) fn put_back(run: &mut super::Run, waiting_for: Arc<str>, wake_at: Option<Timestamp>) {
    run.status = super::Status::Queued;
    run.started_at = None;
    run.owner = None;
    run.epoch = 0;
    run.ready = false;
    run.waiting_for = waiting_for;
    run.wake_at = wake_at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_gives_moments_that_lie_apart() {
        let now = Timestamp(5);
        assert_eq!(next_free(None, now, 300), (5_000, 5_300));
        let stored = Payload::from_text("{\"next\":5300}");
        assert_eq!(next_free(Some(&stored), now, 300), (5_300, 5_600));
        let (at, kept) = reserved(Some(&stored), now, 300, "a");
        assert_eq!(at, 5_300);
        assert_eq!(reserved(Some(&kept), Timestamp(9), 300, "a"), (5_300, kept.clone()), "the same again");
        assert_eq!(reserved(Some(&kept), now, 300, "b").0, 5_600);
        assert_eq!((not_before(5_000), not_before(5_300), not_before(-1)), (Timestamp(5), Timestamp(6), Timestamp(0)));
    }
}
