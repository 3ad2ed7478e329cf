//! Where settings and secrets come from.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::effect::{Failure, Field, Secrets, Target};
use crate::id::RunId;
use crate::payload::Payload;
use crate::script::secret::find_placeholders;

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

/// Secrets from the environment: `PANTA_SECRET_NAME` for the secret `name` (letters in capitals, `-` and `.` as `_`).
#[derive(Clone, Debug, Default)]
pub struct EnvironmentSecrets {
    values: BTreeMap<String, String>,
}

const PREFIX: &str = "PANTA_SECRET_";
/// Shorter values are not taken out of texts: they would hit by chance.
const SHORTEST: usize = 6;

impl EnvironmentSecrets {
    /// From the variables of this process.
    pub fn from_process() -> Self {
        Self::from_pairs(std::env::vars())
    }

    /// From names and values; others than `PANTA_SECRET_…` are left out.
    pub fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let values = pairs.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)));
        Self { values: values.collect() }
    }

    fn variable(name: &str) -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
    }

    /// The value of a secret.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(&Self::variable(name)).map(String::as_str)
    }
}

impl Secrets for RunSecrets<'_> {
    fn resolve<'t>(&self, text: &'t str, _: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        let found = find_placeholders(text);
        if found.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for placeholder in found {
            if placeholder.nonce != (self.nonce)(placeholder.name) && placeholder.nonce != DECLARED {
                continue;
            }
            let value = self.all.value(placeholder.name).ok_or_else(|| missing(placeholder.name))?;
            out.push_str(&text[from..placeholder.range.start]);
            out.push_str(value);
            from = placeholder.range.end;
        }
        out.push_str(&text[from..]);
        Ok(Cow::Owned(out))
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = Cow::Borrowed(text);
        for (name, value) in &self.all.values {
            if value.len() >= SHORTEST && shown.contains(value.as_str()) {
                shown = Cow::Owned(shown.replace(value.as_str(), &format!("⟦secret:{}:echo⟧", name.to_lowercase())));
            }
        }
        shown
    }
}

const DECLARED: &str = "declared";

/// The secrets of one run: only placeholders that it made are replaced.
pub(super) struct RunSecrets<'a> {
    pub(super) all: &'a EnvironmentSecrets,
    pub(super) nonce: Box<dyn Fn(&str) -> String + Send + Sync + 'a>,
}

fn missing(name: &str) -> Failure {
    let variable = EnvironmentSecrets::variable(name);
    Failure::new(
        "not_found",
        format!("there is no secret `{name}`; hint: set the environment variable `{PREFIX}{variable}` for the process"),
    )
    .with("secret", Field::Text(name.to_owned()))
}
