//! What people are told of a run that did not complete, and whom.
//!
//! The workflow says it with `on_failure`. A failure that nobody handles (no `on_failure`, and no parent that gets the error) goes
//! to the config's default channel.

use std::sync::Arc;

use serde_json::Value;

use super::after::Ending;
use super::notification::{About, Notification};
use super::terms::OnFailure;
use crate::payload::Payload;
use crate::store::{End, Status};

impl Ending<'_> {
    /// What people are told of its end; `is_handled`: a handler is started with it.
    pub(super) fn told(&self, epoch: u64, end: &End, is_handled: bool) -> Vec<Notification> {
        if !matches!(end.status, Status::Failed | Status::TimedOut | Status::Diverged | Status::Quarantined) {
            return Vec::new();
        }
        let channel = match &self.terms.on_failure {
            Some(OnFailure::Notify(channel)) => Some(channel),
            Some(OnFailure::Start(_)) if is_handled => None,
            Some(OnFailure::Start(_)) => self.shared.options.channels.default.as_ref(),
            None => self.shared.options.channels.default.as_ref().filter(|_| !self.goes_to_parent(end)),
        };
        channel.map(|channel| self.notification(channel, epoch, end)).into_iter().collect()
    }

    /// Whether another run gets the error. One that is held for a person has not ended for its parent.
    fn goes_to_parent(&self, end: &End) -> bool {
        let parent = || self.shared.store.run(self.run).ok().flatten().and_then(|row| row.parent);
        end.status.is_final() && parent().is_some()
    }

    fn notification(&self, channel: &Arc<str>, epoch: u64, end: &End) -> Notification {
        let error = end.error.as_ref().map(Payload::to_json).unwrap_or_default();
        let (about, verb) = match end.status {
            Status::TimedOut => (About::Deadline, "ran out of time"),
            Status::Diverged => (About::Failed, "has diverged"),
            Status::Quarantined => (About::Failed, "is quarantined"),
            _ => (About::Failed, "failed"),
        };
        let (message, hint) = message(&error);
        Notification {
            id: format!("{}.{epoch}.{}", self.run, end.status.name()).into(),
            channel: Arc::clone(channel),
            workflow: Arc::clone(self.workflow),
            run: self.run,
            about,
            title: format!("`{}` {verb}: {message}", self.workflow),
            text: self.lines(&error, hint),
            at: end.at,
            task: None,
            count: 1,
        }
    }

    /// Where it happened, and what to do.
    fn lines(&self, error: &Value, hint: Option<&str>) -> String {
        let line = error["line"].as_u64().filter(|line| *line > 0);
        let file = error["file"].as_str().map_or_else(|| format!("{}.rhai", self.workflow), str::to_owned);
        let step = error["step"].as_str().map(|step| format!(", in step `{step}`")).unwrap_or_default();
        let place = line.map(|line| format!("at {file}:{line}{step}"));
        let hint = hint.map(|hint| format!("hint: {hint}"));
        let todo = format!("`panta why {}` says more", self.run);
        [place, hint, Some(todo)].into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// The message of an error, and its hint, which may be part of the message.
fn message(error: &Value) -> (&str, Option<&str>) {
    let whole = error["message"].as_str().unwrap_or("no message");
    match error["hint"].as_str() {
        Some(hint) => (whole, Some(hint)),
        None => whole.split_once("; hint: ").map_or((whole, None), |(message, hint)| (message, Some(hint))),
    }
}
