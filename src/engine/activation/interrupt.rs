//! Ending a strand that computes: the time of a `timeout` is over, or the run is cancelled, and nothing waits.
//!
//! Everything else that happens to a run happens when all strands wait. Here the entry says where the strand was, exactly,
//! and a replay stops it at the same operation before it feeds that entry.

use super::{Activation, Answer, Entry, Input, Kind, Next, Payload, Phase, Position, StrandId};
use crate::host::branches;

impl Activation {
    /// A strand has used up its slice. Timers that have not begun touch nothing of the script: they come first, so that
    /// their time runs. Not in a replay, where they would take their outcome at once.
    pub(super) fn sliced(&mut self, id: StrandId) {
        self.computing = Some(id);
        self.ready.push_front(id);
        if !self.session.guard.live.get() {
            return;
        }
        self.session.face();
        for timer in branches::timers_around(&self.session, id) {
            self.set_going(timer);
        }
    }

    /// A timer that began during the replay waits for its end, which has come.
    fn set_going(&mut self, timer: StrandId) {
        let strand = self.strands.get(&timer).map(|live| &live.strand);
        let waits = strand.is_some_and(|strand| strand.must_wait.get() && strand.due.get().is_none());
        if waits && !self.ready.contains(&timer) {
            self.session.outbox.borrow_mut().retain(|ask| ask.strand != timer);
            self.answer(timer, Answer::Due);
        }
        self.advance_to_front(timer);
    }

    /// Whether a strand computes within the limit of a `timeout`.
    pub fn is_timed(&self) -> bool {
        self.computing.is_some_and(|id| !branches::timers_around(&self.session, id).is_empty())
    }

    /// Ends a strand that goes on computing, if something says so by now: instead of it, its ending goes on.
    pub(super) fn interrupt(&mut self, id: StrandId) -> bool {
        if self.computing.take_if(|computing| *computing == id).is_none() || !self.session.guard.live.get() {
            return false;
        }
        let Some(live) = self.strands.get(&id) else { return false };
        let place = self.session.interruption(&live.strand);
        let cancelled = self.inbox.iter().position(|input| matches!(input, Input::Cancel(_)));
        if let Some(Input::Cancel(reason)) = cancelled.and_then(|at| self.inbox.remove(at))
            && self.ending.is_none()
        {
            self.record_cancel(&reason, place.place(), place.ticks);
            self.cancel(&reason);
            return true;
        }
        let now = self.session.now.get();
        let is_over = |timer: &StrandId| {
            let due = self.strands.get(timer).and_then(|live| live.strand.due.get());
            due.is_some_and(|due| due <= now)
        };
        let Some(timer) = branches::timers_around(&self.session, id).into_iter().find(is_over) else { return false };
        let strand = &self.strands[&timer].strand;
        strand.interrupted.replace(Some(place));
        if let Some(wait) = strand.wait.take()
            && self.waits.remove(&wait)
        {
            self.aborted.push(wait);
        }
        self.answer(timer, Answer::Due);
        self.advance_to_front(timer);
        true
    }

    /// A replay stopped a strand where it was interrupted: what interrupted it comes now.
    pub(super) fn reached(&mut self) {
        let next = self.session.replay.borrow_mut().upcoming();
        match next {
            Next::Cancelled(reason) => self.cancel(&reason),
            Next::Recorded(index) => {
                let position = self.session.replay.borrow().position_of_next();
                // The timer has not begun where the strand computed from the start.
                if let Some(timer) = branches::strand_in(&self.session, &position.scope)
                    && let Some(at) = self.ready.iter().position(|ready| *ready == timer)
                {
                    self.ready.remove(at);
                    self.resume(timer);
                }
                let waiting = self.session.awaiting.borrow_mut().remove(&index);
                if let Some(timer) = waiting {
                    self.answer(timer, Answer::Recorded);
                    self.advance_to_front(timer);
                }
            }
            Next::Ended | Next::Live => unreachable!("a strand is stopped for what comes next in the journal"),
        }
    }

    pub(super) fn record_cancel(&mut self, reason: &Payload, position: Position, ticks: u64) {
        let now = self.session.now.get();
        let mut entry = Entry::opened(Kind::Cancel, position, "cancel".into(), now);
        entry.phase = Phase::Closed;
        entry.detail = Some(reason.clone());
        entry.arguments = ticks;
        self.session.replay.borrow_mut().append(entry);
    }

    fn advance_to_front(&mut self, id: StrandId) {
        if let Some(at) = self.ready.iter().position(|ready| *ready == id) {
            self.ready.remove(at);
            self.ready.push_front(id);
        }
    }
}
