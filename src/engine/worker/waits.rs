//! What runs wait for: from what a script asks to the answer.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{DEADLINE, Message, Worker};
use crate::engine::activation::Input;
use crate::engine::locks::{self, slot_answer};
use crate::engine::log::Item;
use crate::engine::pending::{Pending, child_answer, deadline_passed, event_answer};
use crate::engine::shared::held;
use crate::engine::spent::TIMEOUT;
use crate::host::session::{Answer, Ask, WaitId, What};
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{Applied, EventFilter};
use crate::time::Timestamp;

impl Worker {
    pub(super) fn ask(&mut self, run: RunId, ask: Ask) {
        let wait = ask.wait;
        if let What::Effect { .. } | What::Stand { .. } = ask.what {
            return self.ask_outside(run, ask);
        }
        let pending = match ask.what.clone() {
            What::Effect { .. } | What::Stand { .. } => unreachable!("what is asked of the outside went there"),
            What::Until { due, retry_of } => {
                self.arm(run, wait, due);
                Pending::Until { due, retry_of, ask }
            }
            What::Event { name, key, since, after, due } => {
                self.shared.mailbox.subscribe(run, &name, key.as_ref());
                if let Some(due) = due {
                    self.arm(run, wait, due);
                }
                let mailbox = self.motions.get(&run).map(|motion| motion.world.mailbox);
                Pending::Event { filter: EventFilter { name, key, run: mailbox, after, since }, due, ask }
            }
            What::Child { run: child, workflow } => {
                held(&self.shared.ends).entry(child).or_default().push(run);
                Pending::Child { run: child, workflow, ask }
            }
            What::Lock { due, .. } => {
                if let Some(due) = due {
                    self.arm(run, wait, due);
                }
                locks::acquire(&self.shared, &self.inbox, run, self.motions[&run].world.epoch, ask)
            }
            What::Task { task } => Pending::Task { task, armed: None, ask },
            What::Start { start } => {
                self.start_child(run, wait, &start);
                Pending::Start
            }
        };
        if let Some(motion) = self.motions.get_mut(&run) {
            motion.waits.insert(wait, pending);
        }
        self.look(run, wait);
    }

    /// What changes the outside waits for the disk; what only looks goes straight on.
    fn ask_outside(&mut self, run: RunId, ask: Ask) {
        let wait = ask.wait;
        let number = if ask.what.is_mutating() { self.shared.log.last() } else { 0 };
        let pending = if number > self.shared.log.durable() {
            self.held.push_back((number, run, wait));
            Pending::Held(ask)
        } else {
            self.perform(run, ask)
        };
        if let Some(motion) = self.motions.get_mut(&run) {
            motion.waits.insert(wait, pending);
        }
    }

    pub(super) fn arm(&mut self, run: RunId, wait: WaitId, due: Timestamp) {
        let left = due.since(self.shared.now());
        self.timers.push(Reverse((self.shared.options.clock.elapsed() + left, run, wait)));
    }

    pub(super) fn start_child(&self, run: RunId, wait: WaitId, start: &crate::host::session::ChildStart) {
        let change = self.motions.get(&run).and_then(|motion| motion.world.start(start));
        let inbox = self.inbox.clone();
        let id = start.run;
        let answer = move |answer: Result<RunId, Payload>| {
            let _ = inbox.send(Message::Answer(run, wait, Answer::Started(answer)));
        };
        let Some(change) = change else {
            let error = serde_json::json!({ "kind": "not_found", "message": format!("there is no workflow `{}`", start.workflow), "retryable": false });
            return answer(Err(Payload::from_json(&error)));
        };
        let (key, workflow) = (start.key.clone().unwrap_or_default(), Arc::clone(&start.workflow));
        let done = move |applied: &[Applied]| match applied {
            [Applied::Repeated { run, same_input: true }] => answer(Ok(*run)),
            [Applied::Skipped { holder }] => {
                let message = format!("skipped: run {holder} of `{workflow}` is there already");
                let error =
                    serde_json::json!({ "kind": "skipped", "message": message, "retryable": false, "run": holder });
                answer(Err(Payload::from_json(&error)));
            }
            [Applied::Repeated { run, .. }] => {
                let message = format!("the key `{key}` started run {run} with another input");
                answer(Err(Payload::from_json(
                    &serde_json::json!({ "kind": "invalid", "message": message, "retryable": false }),
                )));
            }
            _ => answer(Ok(id)),
        };
        self.shared.log.send(Item { changes: vec![change], done: Some(Box::new(done)) });
    }

    /// Whether what is waited for is there already.
    pub(super) fn look(&mut self, run: RunId, wait: WaitId) {
        let Some(motion) = self.motions.get_mut(&run) else { return };
        let answer = match motion.waits.get(&wait) {
            Some(Pending::Task { .. }) => return self.look_at_task(run, wait, None),
            Some(Pending::Event { filter, due, .. }) => event_answer(&self.shared, filter, *due),
            Some(Pending::Child { run: child, .. }) => child_answer(&self.shared, *child),
            Some(Pending::Lock { line, .. }) if line.written => slot_answer(&self.shared, run, &line.ticket),
            _ => None,
        };
        if let Some(answer) = answer {
            motion.waits.remove(&wait);
            motion.activation.push(Input::Answer(wait, answer));
            self.ready.push_back(run);
        }
    }

    pub(super) fn release(&mut self, number: u64) {
        while self.held.front().is_some_and(|(needed, ..)| *needed <= number) {
            let Some((_, run, wait)) = self.held.pop_front() else { return };
            let Some(Pending::Held(ask)) = self.motions.get_mut(&run).and_then(|motion| motion.waits.remove(&wait))
            else {
                continue;
            };
            let pending = self.perform(run, ask);
            if let Some(motion) = self.motions.get_mut(&run) {
                motion.waits.insert(wait, pending);
            }
        }
    }

    pub(super) fn perform(&self, run: RunId, ask: Ask) -> Pending {
        self.hands.perform(run, ask, &self.motions[&run].world, &self.inbox)
    }

    pub(super) fn fire_timers(&mut self) {
        let elapsed = self.shared.options.clock.elapsed();
        while self.timers.peek().is_some_and(|Reverse((due, ..))| *due <= elapsed) {
            let Some(Reverse((due, run, wait))) = self.timers.pop() else { return };
            let Some(motion) = self.motions.get_mut(&run) else { continue };
            if motion.is_halted() && !motion.is_of_something_begun(wait) {
                // It is due again when the run goes on.
                continue;
            }
            if wait == DEADLINE {
                motion.activation.push(Input::Cancel(deadline_passed(motion.deadline)));
                self.ready.push_back(run);
                continue;
            }
            if wait == TIMEOUT {
                if let Some(reason) = motion.meter.over(elapsed) {
                    motion.activation.push(Input::Cancel(reason));
                    self.ready.push_back(run);
                }
                continue;
            }
            let answer = match motion.waits.get(&wait) {
                Some(Pending::Task { .. }) => {
                    self.fire_task(run, wait);
                    continue;
                }
                Some(Pending::Until { .. }) => {
                    self.shared.metrics.schedule_lag.time(elapsed.saturating_sub(due));
                    Answer::Due
                }
                Some(Pending::Lock { .. }) => Answer::Lock(false),
                Some(Pending::Event { filter, due, .. }) => {
                    event_answer(&self.shared, filter, *due).unwrap_or(Answer::Event(None))
                }
                _ => continue,
            };
            motion.waits.remove(&wait);
            motion.activation.push(Input::Answer(wait, answer));
            self.ready.push_back(run);
        }
    }
}
