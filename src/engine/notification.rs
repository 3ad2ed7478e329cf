//! What people are told, as data; how it is kept; and who passes it on.
//!
//! What is told is part of the commit of what it tells of ([`Change::Tell`]): a crash in between loses nothing. Whoever
//! delivers it removes the row then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::shared::Shared;
use crate::id::{RunId, TaskId};
use crate::payload::Payload;
use crate::script::secret;
use crate::store::{Change, Keep, Told};
use crate::time::Timestamp;

/// Characters of a title: it is a subject, and one line of a phone.
const LONGEST_TITLE: usize = 300;
/// Characters of a text. Chats cut or refuse what is longer.
const LONGEST_TEXT: usize = 3_000;

/// What a notification is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A run did not complete, or is held for a person.
    Failed,
    /// A run is open for longer than its workflow's `sla` allows.
    Sla,
    /// A run has passed its deadline.
    Deadline,
    /// A task waits for a person.
    Task,
    /// What a script says with `notify`.
    Message,
}

impl About {
    /// The name that is shown: `failed`, `sla`, `deadline`, `task`, `message`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Sla => "sla",
            Self::Deadline => "deadline",
            Self::Task => "task",
            Self::Message => "message",
        }
    }
}

/// The task that a notification leads to, and the person to whom it is sent. Its address is signed, so it is made when the
/// notification is sent, and is in no row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskOf {
    /// Which.
    pub task: TaskId,
    /// Who answers at the address; `None`: whoever has it.
    pub person: Option<Arc<str>>,
}

/// Something that people are told. What it tells of is durable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// The same for the same thing: letters, digits, `.`, `-` and `#`.
    pub id: Arc<str>,
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
    /// When it came about.
    pub at: Timestamp,
    /// The task that it leads to; else it leads to the run.
    pub task: Option<TaskOf>,
    /// So many things it tells of: more than one where repeats were put together.
    pub count: u32,
}

impl Notification {
    /// The row that keeps it.
    pub fn to_told(&self) -> Told {
        let value = serde_json::to_value(self).expect("plain data can be written");
        Told { id: Arc::clone(&self.id), value: Payload::from_json(&value) }
    }

    /// What a row keeps; `None`: a later release wrote it, or somebody else.
    pub fn from_payload(value: &Payload) -> Option<Self> {
        serde_json::from_value(value.to_json()).ok()
    }

    /// Without placeholders of secrets, on one line and no longer than is good.
    fn shown(mut self) -> Self {
        let title = secret::mask(&self.title).split_whitespace().collect::<Vec<_>>().join(" ");
        self.title = cut(&title, LONGEST_TITLE);
        self.text = cut(&secret::mask(&self.text), LONGEST_TEXT);
        self
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Tells people. Called after the commit of what it tells of, from any thread: must not block.
pub trait Notifier: Send + Sync {
    /// Takes a notification.
    fn notify(&self, notification: Notification);
    /// Whether what people are told is kept until somebody has delivered it and removed the row.
    fn keep(&self) -> Keep {
        Keep::Not
    }
}

/// Writes a line to the daemon's own log.
#[derive(Clone, Copy, Debug)]
pub struct LogNotifier;

impl Notifier for LogNotifier {
    fn notify(&self, told: Notification) {
        let Notification { channel, workflow, run, about, title, text, .. } = told;
        tracing::warn!(%channel, %workflow, %run, about = about.name(), text, "{title}");
    }
}

impl Shared {
    /// The change, with what people are told of it.
    pub(super) fn telling(&self, change: Change, notifications: Vec<Notification>) -> Change {
        if notifications.is_empty() {
            return change;
        }
        let told = notifications.into_iter().map(|one| one.shown().to_told()).collect();
        Change::Tell { change: Box::new(change), told, keep: self.options.notifier.keep() }
    }

    /// The commit is done: passes on what people are told.
    pub(super) fn pass_on(&self, told: &[Told]) {
        told.iter()
            .filter_map(|told| Notification::from_payload(&told.value))
            .for_each(|it| self.options.notifier.notify(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn notification() -> Notification {
        Notification {
            id: "1.end".into(),
            channel: "ops".into(),
            workflow: "orders/invoice".into(),
            run: RunId(uuid::Uuid::from_u128(1)),
            about: About::Failed,
            title: "no paper".to_owned(),
            text: String::new(),
            at: Timestamp(5),
            task: None,
            count: 1,
        }
    }

    #[test]
    fn a_row_gives_back_what_was_kept() {
        let task = Some(TaskOf { task: TaskId(uuid::Uuid::from_u128(2)), person: Some("ann".into()) });
        let kept = Notification { task, about: About::Task, ..notification() };
        assert_eq!(Notification::from_payload(&kept.to_told().value), Some(kept));
        assert_eq!(Notification::from_payload(&Payload::from_text("{\"id\":7}")), None);
    }

    #[test]
    fn what_is_shown_is_one_line_without_secrets_and_not_endless() {
        let secret = "⟦secret:smtp:abc⟧";
        let title = format!("with {secret}\n{}", "x".repeat(900));
        let shown = Notification { title, text: secret.to_owned(), ..notification() }.shown();
        assert!(shown.title.starts_with("with *** xxx") && shown.title.ends_with("x…"), "{}", shown.title);
        assert_eq!((shown.title.chars().count(), &*shown.text), (LONGEST_TITLE + 1, "***"));
    }
}
