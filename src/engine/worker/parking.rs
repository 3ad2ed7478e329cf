//! Runs that wait for longer: written down as waiting, and after a while given up to their journal.

use std::sync::Arc;
use std::time::Duration;

use super::{Motion, NAP, Worker};
use crate::engine::locks::slot_answer;
use crate::engine::log::Item;
use crate::engine::pending::{Pending, child_answer, event_answer, task_is_over};
use crate::engine::people::Directory;
use crate::engine::shared::held;
use crate::id::RunId;
use crate::store::{Change, Status};

impl Motion {
    /// The row of a run that waits.
    pub(super) fn park(&self, run: RunId, status: Status, people: &Directory) -> Change {
        let waits = || self.waits.values();
        let sentences: Vec<_> = waits().map(|pending| pending.sentence(people)).collect();
        Change::Park {
            run,
            epoch: self.world.epoch,
            status,
            waiting_for: sentences.join("; and ").into(),
            wake_at: self.wake_at(),
            subscriptions: waits().filter_map(Pending::subscription).collect(),
            children: waits().filter_map(Pending::child).collect(),
            slots: waits().filter_map(Pending::ticket).collect(),
            tasks: waits().filter_map(Pending::task).collect(),
        }
    }
}

impl Worker {
    /// Writes to the row that the run waits, when it waits for longer than a nap.
    pub(super) fn maybe_park(&mut self, run: RunId) {
        let now = self.shared.now();
        let elapsed = self.shared.options.clock.elapsed();
        if self.motions.get(&run).is_some_and(Motion::is_halted) {
            return self.maybe_leave(run);
        }
        // Where others wait for room, a nap makes some, too.
        let nap = if self.shared.admission.is_pressed() { Duration::ZERO } else { NAP };
        let Some(motion) = self.motions.get_mut(&run) else { return };
        motion.idle_since = elapsed;
        let busy = motion.waits.values().any(Pending::is_busy);
        let wake_at = motion.wake_at();
        if busy
            || motion.waits.is_empty()
            || motion.activation.can_advance()
            || wake_at.is_some_and(|at| at.since(now) < nap)
        {
            motion.parked = false;
            return;
        }
        motion.parked = true;
        self.resting.push_back((elapsed, run));
        let change = motion.park(run, Status::Waiting, &self.shared.options.people);
        motion.world.written.set(self.shared.log.send(Item { changes: vec![change], done: None }));
    }

    /// Gives up runs that have waited for a while, and the longest waiting of too many: their journal is all that is kept of
    /// them.
    pub(super) fn sweep(&mut self) {
        while let Some(run) = self.is_to_leave() {
            let Some(motion) = self.motions.get(&run) else { return };
            if !self.rests(motion) {
                return;
            }
            self.resting.pop_front();
            self.evict(run);
        }
    }

    /// The run that is to leave memory next, as soon as its row is durable.
    pub(super) fn is_to_leave(&mut self) -> Option<RunId> {
        let options = &self.shared.options;
        let most = (options.most_resting / self.shared.workers.len()).min(options.most_live);
        let is_crowded = self.resting.len() > most || self.motions.len() > options.most_live;
        while let Some((since, run)) = self.resting.front() {
            if !is_crowded && options.clock.elapsed().saturating_sub(*since) < options.evict_after {
                return None;
            }
            let stays =
                |motion: &Motion| motion.parked && motion.idle_since == *since && !motion.activation.can_advance();
            if self.motions.get(run).is_some_and(stays) {
                return Some(*run);
            }
            // It has gone on since.
            self.resting.pop_front();
        }
        None
    }

    /// It waits, its row says so, and all that it wrote is durable.
    fn rests(&self, motion: &Motion) -> bool {
        motion.parked && motion.world.written.get() <= self.shared.log.durable() && !motion.activation.can_advance()
    }

    /// Somebody wants the run out of memory: it goes where it rests, and stays where it does not.
    pub(super) fn leave(&mut self, run: RunId) {
        if self.motions.get(&run).is_some_and(|motion| self.rests(motion)) {
            self.evict(run);
        }
    }

    pub(super) fn evict(&mut self, run: RunId) {
        let shared = Arc::clone(&self.shared);
        let Some(standing) = self.motions.get(&run).map(|motion| motion.standing) else { return };
        // Dropping it may be what kills.
        let _watched = shared.watched(self.number, run, standing);
        let Some(motion) = self.motions.remove(&run) else { return };
        self.shared.metrics.evictions.one();
        let wake_at = motion.wake_at();
        // From here on a wake-up claims the run; the claim stands behind the release in the log.
        self.shared.log.send(Item { changes: vec![Change::Release { run, epoch: motion.world.epoch }], done: None });
        self.unsubscribe(run, &motion);
        self.shared.unroute(run);
        if let Some(at) = wake_at {
            self.shared.timeline.add(at, run);
        }
        // What happened between the last look and now must not be lost.
        let missed = motion.waits.values().any(|pending| match pending {
            Pending::Event { filter, due, .. } => event_answer(&self.shared, filter, *due).is_some(),
            Pending::Child { run, .. } => child_answer(&self.shared, *run).is_some(),
            Pending::Lock { line, .. } => slot_answer(&self.shared, run, &line.ticket).is_some(),
            Pending::Task { task, .. } => task_is_over(&self.shared, task.id),
            _ => false,
        });
        let facts = &motion.activation.session().facts;
        if missed || crate::engine::renewal::target(&self.shared, &facts.workflow, run, &facts.version).is_some() {
            self.shared.claim(vec![run]);
        }
    }

    pub(super) fn unsubscribe(&self, run: RunId, motion: &Motion) {
        for wanted in motion.waits.values().filter_map(Pending::subscription) {
            self.shared.mailbox.unsubscribe(run, &wanted);
        }
        let mut ends = held(&self.shared.ends);
        for pending in motion.waits.values() {
            if let Pending::Child { run: child, .. } = pending
                && let Some(waiting) = ends.get_mut(child)
            {
                waiting.retain(|other| *other != run);
            }
        }
    }
}
