//! Runs that wait for longer: written down as waiting, and after a while given up to their journal.

use std::sync::Arc;

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
        let Some(motion) = self.motions.get_mut(&run) else { return };
        motion.idle_since = elapsed;
        let busy = motion.waits.values().any(Pending::is_busy);
        let wake_at = motion.wake_at();
        if busy
            || motion.waits.is_empty()
            || motion.activation.can_advance()
            || wake_at.is_some_and(|at| at.since(now) < NAP)
        {
            motion.parked = false;
            return;
        }
        motion.parked = true;
        let change = motion.park(run, Status::Waiting, &self.shared.options.people);
        motion.world.written.set(self.shared.log.send(Item { changes: vec![change], done: None }));
    }

    /// Gives up runs that have waited for a while: their journal is all that is kept of them.
    pub(super) fn sweep(&mut self) {
        let elapsed = self.shared.options.clock.elapsed();
        let after = self.shared.options.evict_after;
        let crowded = self.motions.len() > self.shared.options.most_live;
        if elapsed.saturating_sub(self.swept) < after / 4 && !crowded {
            return;
        }
        self.swept = elapsed;
        let idle = |motion: &Motion| self.rests(motion);
        let gone: Vec<_> = self
            .motions
            .iter()
            .filter(|(_, motion)| idle(motion) && (crowded || elapsed.saturating_sub(motion.idle_since) >= after))
            .map(|(run, _)| *run)
            .collect();
        for run in gone {
            self.evict(run);
        }
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
        let wake_at = motion.wake_at();
        // From here on a wake-up claims the run; the claim stands behind the release in the log.
        self.shared.log.send(Item { changes: vec![Change::Release { run, epoch: motion.world.epoch }], done: None });
        held(&self.shared.routes).remove(&run);
        self.unsubscribe(run, &motion);
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
        let mut mailbox = held(&self.shared.mailbox);
        for name in motion.waits.values().filter_map(Pending::subscription).map(|s| s.name) {
            if let Some(waiting) = mailbox.get_mut(&name) {
                waiting.retain(|other| *other != run);
                if waiting.is_empty() {
                    mailbox.remove(&name);
                }
            }
        }
        drop(mailbox);
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
