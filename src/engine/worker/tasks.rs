//! Runs that wait for a person: the answer, and what happens to a task by itself meanwhile.

use super::Worker;
use crate::engine::activation::Input;
use crate::engine::announce::announcements;
use crate::engine::log::Item;
use crate::engine::pending::Pending;
use crate::host::session::{Answer, WaitId};
use crate::id::RunId;
use crate::store::Change;
use crate::task::Status;

impl Worker {
    /// Whether a task is over, or something is to happen to it. `fired`: the timer of that stage has run out.
    ///
    /// Only the store decides: the end of a task goes through the log as its answer does, so that the one that came first
    /// is what the run gets and what people are told.
    pub(super) fn look_at_task(&mut self, run: RunId, wait: WaitId, fired: Option<u32>) {
        let now = self.shared.now();
        let Some(motion) = self.motions.get_mut(&run) else { return };
        let Some(Pending::Task { task, armed, .. }) = motion.waits.get_mut(&wait) else { return };
        let stage = task.stage;
        match self.shared.store.task(task.id) {
            Ok(Some(row)) => **task = row,
            // Not durable yet.
            Ok(None) => {}
            Err(error) => tracing::warn!("task {} cannot be read: {error}", task.id),
        }
        let answer = match task.status {
            Status::Answered => Answer::Task(task.answer.clone()),
            // Closed without this run's doing it is over all the same: nobody can answer it any more.
            Status::Expired | Status::Cancelled => Answer::Task(None),
            Status::Open => {
                let moved = task.stage != stage;
                if let Some(moment) = task.next() {
                    let (at, stage) = (moment.at, task.stage);
                    if at <= now || fired == Some(stage) {
                        let told = announcements(&self.shared, task, Some(stage));
                        let change = self.shared.telling(Change::EscalateTask { task: task.id, stage }, told);
                        self.shared.log.send(Item { changes: vec![change], done: None });
                    } else if *armed != Some(stage) {
                        *armed = Some(stage);
                        self.arm(run, wait, at);
                    }
                }
                if moved {
                    self.maybe_park(run);
                }
                return;
            }
        };
        motion.waits.remove(&wait);
        motion.activation.push(Input::Answer(wait, answer));
        self.ready.push_back(run);
    }

    /// The timer of a task has run out.
    pub(super) fn fire_task(&mut self, run: RunId, wait: WaitId) {
        let motion = self.motions.get(&run);
        let fired = match motion.and_then(|motion| motion.waits.get(&wait)) {
            Some(Pending::Task { armed, .. }) => *armed,
            _ => return,
        };
        self.look_at_task(run, wait, fired);
    }
}
