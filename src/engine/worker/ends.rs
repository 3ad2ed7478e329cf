//! How runs leave the worker: by their end, or held for a person to look at.

use std::sync::Arc;

use super::Worker;
use crate::engine::after::Ending;
use crate::engine::gate::Parting;
use crate::id::RunId;
use crate::journal::Entry;
use crate::payload::Payload;
use crate::store::{End, Rollback, Run, Status};
use crate::trace::Trace;

impl Worker {
    /// A run that cannot be evaluated at all: its sources or journal cannot be read.
    pub(super) fn refuse(&self, row: &Run, problem: &str) {
        let error = serde_json::json!({ "kind": "script", "message": problem, "retryable": false });
        self.conclude(row, Status::Failed, Payload::from_json(&error));
    }

    /// Ends a run that is not evaluated.
    pub(super) fn conclude(&self, row: &Run, status: Status, error: Payload) {
        let end = self.stopped(status, error);
        // What its own version lays down is not known; what the workflow does now is nearest to it.
        let terms = self.shared.deployed(&row.workflow).map(|deployed| Arc::clone(&deployed.terms)).unwrap_or_default();
        let trace = Trace::of(row.id, &row.trigger).id;
        let ending = Ending { shared: &self.shared, run: row.id, workflow: &row.workflow, terms: &terms, trace };
        let number = ending.write(row.epoch, Vec::new(), Vec::new(), end);
        self.shared.left(row.id, number);
    }

    pub(super) fn stopped(&self, status: Status, error: Payload) -> End {
        let (rollback, at) = (Rollback::None, self.shared.now());
        End { status, output: None, error: Some(error), rollback, at, continued_as: None, expires_at: None }
    }

    pub(super) fn end(&mut self, run: RunId, end: End) {
        let Some(mut motion) = self.motions.remove(&run) else { return };
        let waits: Vec<_> = motion.waits.keys().copied().collect();
        for wait in waits {
            Self::abort(&mut motion, wait);
        }
        self.unsubscribe(run, &motion);
        let depth = motion.world.deeper(end.at);
        // Where the run goes on as another, the chain has not ended.
        let (starts, refused) = match end.continued_as {
            Some(_) => (Vec::new(), None),
            None => crate::engine::causes::starts_after(&self.shared, run, &motion.world.workflow, &end, depth),
        };
        let session = motion.activation.session();
        if let Some(problem) = refused {
            session.replay.borrow_mut().append(Entry::line("error", &problem, end.at));
        }
        let acts = session.take_acts();
        let (first, entries) = session.replay.borrow_mut().take_fresh().unwrap_or_default();
        let batch = crate::host::session::Batch { first, entries, acts, steps: session.steps.take() };
        let lines = motion.world.lines(&batch);
        let mut changes = motion.world.changes(&batch);
        changes.extend(starts);
        let (workflow, trace) = (&motion.world.workflow, motion.world.trace.id);
        let ending = Ending { shared: &self.shared, run, workflow, terms: &motion.terms, trace };
        if let Some(next) = session.continuing.take().filter(|next| end.continued_as == Some(next.run)) {
            match ending.continuation(&next, session.mailbox.borrow().clone()) {
                Ok(start) => changes.push(start),
                // The store cannot be read. Nothing of the end is written: it is made again after the restart.
                Err(problem) => {
                    tracing::error!(%run, %workflow, %trace, "the run cannot go on as another: {problem}");
                    return;
                }
            }
        }
        // From here on a wake-up claims the run; the claim stands behind the end in the log.
        let number = ending.write(motion.world.epoch, changes, lines, end);
        self.shared.left(run, number);
        if motion.activation.session().has_folder.get() {
            self.hands.remove_temp(run, motion.world.performer.clone());
        }
    }

    pub(super) fn diverge(&mut self, run: RunId, divergence: &crate::replay::Divergence) {
        let Some(motion) = self.motions.get(&run) else { return };
        let version = &motion.activation.session().facts.version;
        let hint = format!("`panta show {run}` shows the journal");
        let error = match self.shared.bundle(version) {
            Ok(bundle) => Parting::new(divergence, Some(&bundle), None, &bundle).to_error(&hint),
            Err(_) => serde_json::json!({
                "kind": "script", "message": format!("{divergence}; hint: {hint}"), "retryable": false,
                "position": divergence.position.to_string(),
            }),
        };
        self.hold(run, Status::Diverged, &error);
    }

    pub(super) fn quarantine(&mut self, run: RunId) {
        let message = "internal error while the run was driven; hint: this is a bug of `panta`, please report it with the daemon's log";
        let error = serde_json::json!({ "kind": "script", "message": message, "retryable": false });
        self.hold(run, Status::Quarantined, &error);
    }

    /// Takes a run out of motion, for a person to look at.
    pub(super) fn hold(&mut self, run: RunId, status: Status, error: &serde_json::Value) {
        let Some(motion) = self.motions.remove(&run) else { return };
        self.unsubscribe(run, &motion);
        let end = self.stopped(status, Payload::from_json(error));
        let trace = motion.world.trace.id;
        let ending =
            Ending { shared: &self.shared, run, workflow: &motion.world.workflow, terms: &motion.terms, trace };
        let number = ending.write(motion.world.epoch, Vec::new(), Vec::new(), end);
        self.shared.left(run, number);
    }
}
