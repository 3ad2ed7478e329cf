//! Where settings come from, and who tells people.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::RunId;
use crate::payload::Payload;

/// Plain settings for scripts.
pub trait Settings: Send + Sync {
    /// The value of a setting.
    fn get(&self, name: &str) -> Option<Payload>;
}

/// None at all.
#[derive(Clone, Copy, Debug)]
pub struct NoSettings;

impl Settings for NoSettings {
    fn get(&self, _: &str) -> Option<Payload> {
        None
    }
}

impl Settings for BTreeMap<String, Payload> {
    fn get(&self, name: &str) -> Option<Payload> {
        BTreeMap::get(self, name).cloned()
    }
}

/// What a notification is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// A run did not complete.
    Failed,
    /// A run is open for longer than its workflow's `sla` allows.
    Sla,
    /// A run has passed its deadline.
    Deadline,
    /// A task waits for a person.
    Task,
}

impl About {
    /// The name that is shown: `failed`, `sla`, `deadline`, `task`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Sla => "sla",
            Self::Deadline => "deadline",
            Self::Task => "task",
        }
    }
}

/// Something that people are told. What it tells of is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// The channel, as the workflow names it.
    pub channel: Arc<str>,
    /// Which workflow it is about.
    pub workflow: Arc<str>,
    /// Which run it is about.
    pub run: RunId,
    /// What it is about.
    pub about: About,
    /// One line.
    pub title: String,
    /// Some lines; may be empty.
    pub text: String,
}

/// Tells people. Called after the commit of what it tells of, from any thread: must not block.
pub trait Notifier: Send + Sync {
    /// Takes a notification.
    fn notify(&self, notification: Notification);
}

/// Writes a line to the daemon's own log.
#[derive(Clone, Copy, Debug)]
pub struct LogNotifier;

impl Notifier for LogNotifier {
    fn notify(&self, told: Notification) {
        let Notification { channel, workflow, run, about, title, text } = told;
        tracing::warn!(%channel, %workflow, %run, about = about.name(), text, "{title}");
    }
}

/// Follows what runs do. Called after the commit of what happened, from the log's thread: must not block.
pub trait Follower: Send + Sync {
    /// A run waits, and all that it did until then is durable.
    fn parked(&self, run: RunId);
    /// A run has ended, or is held for a person.
    fn ended(&self, run: RunId);
    /// How much could not be handed on so far.
    fn dropped(&self) -> u64;
}
