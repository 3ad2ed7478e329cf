//! Runs that people hold while they are in motion: they begin nothing new, and leave memory when what has begun is over.

use super::{Motion, Worker};
use crate::engine::log::Item;
use crate::engine::pending::Pending;
use crate::host::session::WaitId;
use crate::id::RunId;
use crate::journal::{Entry, Repair, Repaired};
use crate::store::{Change, Run, Status};
use crate::time::Timestamp;

/// Where a run was last opened again by a repair.
fn opened(journal: &[Entry]) -> Option<usize> {
    let opens = |entry: &Entry| {
        let done = Repair::from_entry(entry).map(|repair| repair.done);
        done.is_some_and(|done| !matches!(done, Repaired::Pause | Repaired::Resume))
    };
    journal.iter().rposition(opens)
}

/// From when on the deadline of a run counts: since it was accepted, or last opened again.
pub(super) fn began(row: &Run, journal: &[Entry]) -> Timestamp {
    opened(journal).map_or(row.created_at, |n| journal[n].started_at.max(row.created_at))
}

/// What counts for the `timeout` of a run: all since it was last opened again.
pub(super) fn counted(journal: &[Entry]) -> &[Entry] {
    &journal[opened(journal).unwrap_or(0)..]
}

impl Motion {
    /// Nothing new of it is begun.
    pub(super) fn is_halted(&self) -> bool {
        self.world.halted.get()
    }

    /// It goes on as if it had never been held.
    pub(super) fn let_go(&mut self) {
        self.world.halted.set(false);
        self.activation.go_on();
    }

    /// What is waited for belongs to something that has begun, and ends it: a command that is over lets others go on first.
    pub(super) fn is_of_something_begun(&self, wait: WaitId) -> bool {
        let at_once = |pending: &Pending| matches!(pending, Pending::Until { due, ask, .. } if *due <= ask.since);
        self.waits.get(&wait).is_some_and(at_once)
    }
}

impl Worker {
    /// A run is held, or is not any more.
    pub(super) fn follow_pause(&mut self, run: RunId, status: Status) {
        if let Some(motion) = self.motions.get_mut(&run) {
            motion.is_paused = status == Status::Paused;
            self.follow_hold(run);
        }
    }

    /// What is held has changed.
    pub(super) fn follow_holds(&mut self) {
        let runs: Vec<_> = self.motions.keys().copied().collect();
        for run in runs {
            self.follow_hold(run);
            self.maybe_park(run);
        }
    }

    pub(super) fn follow_hold(&mut self, run: RunId) {
        let Some(motion) = self.motions.get_mut(&run) else { return };
        let holds = &self.shared.holds;
        let is_held = motion.is_paused || holds.has(&motion.world.workflow) || holds.rests(run);
        if is_held && !motion.is_halted() {
            // What it is asked to undo is undone.
            let asked = self.shared.store.run(run).ok().flatten().is_some_and(|row| row.cancel.is_some());
            motion.world.halted.set(!asked);
        } else if !is_held && motion.is_halted() {
            motion.let_go();
            let due: Vec<_> = motion.waits.iter().filter_map(|(wait, it)| Some((*wait, it.due()?))).collect();
            let deadline = motion.deadline;
            for (wait, due) in due {
                self.arm(run, wait, due);
            }
            if let Some(deadline) = deadline {
                self.arm(run, super::DEADLINE, deadline);
            }
            self.ready.push_back(run);
        }
    }

    /// A held run leaves memory as soon as nothing of it is on its way.
    pub(super) fn maybe_leave(&mut self, run: RunId) {
        let Some(motion) = self.motions.get(&run) else { return };
        let busy = |(wait, pending): (&WaitId, &Pending)| pending.is_busy() || motion.is_of_something_begun(*wait);
        if motion.waits.iter().any(busy) || motion.activation.can_advance() || self.ready.contains(&run) {
            return;
        }
        let Some(motion) = self.motions.remove(&run) else { return };
        // One that stands before something new goes on by itself when it may: it waits for nothing.
        let stands = !motion.activation.session().halted.borrow().is_empty() || motion.waits.is_empty();
        let status = match (motion.is_paused, stands) {
            (true, _) => Status::Paused,
            (false, true) => Status::Running,
            (false, false) => Status::Waiting,
        };
        let park = motion.park(run, status, &self.shared.options.people);
        let release = Change::Release { run, epoch: motion.world.epoch };
        self.shared.log.send(Item { changes: vec![park, release], done: None });
        self.unsubscribe(run, &motion);
        self.shared.unroute(run);
    }
}
