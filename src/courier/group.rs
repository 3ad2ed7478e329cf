//! Which notifications are told by themselves, and which repeats are told together. Pure: time comes in, rows to be written go out.
//!
//! Of equal ones (channel, about, workflow; of messages of scripts the text, too) the first goes out at once and opens a window.
//! Those that follow within it are absorbed: the row of the window counts them, and theirs is gone. At its end they are told as
//! one message, which opens the next window. As long as a message of a group is not delivered, its window stays open, so that
//! a dead channel gathers two rows a group. What concerns one person's task is never put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::engine::{About, Notification};
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{Change, TOLD};
use crate::time::{Timestamp, format_duration};

/// The beginning of the key of a window.
const WINDOW: &str = "w/";
/// Runs that a message about several names.
const NAMED: usize = 10;

/// What belongs together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
struct Group {
    channel: Arc<str>,
    about: About,
    workflow: Arc<str>,
    /// Of a script's message: a hash of what it says. `None`: whatever it says.
    text: Option<String>,
}

impl Group {
    /// Everything of this kind about the workflow.
    fn coarse(of: &Notification) -> Self {
        Self { channel: Arc::clone(&of.channel), about: of.about, workflow: Arc::clone(&of.workflow), text: None }
    }

    /// `None`: it is told by itself.
    fn of(told: &Notification) -> Option<Self> {
        match told.about {
            About::Task => None,
            About::Message => Some(Self { text: Some(hash(&[&told.title, &told.text])), ..Self::coarse(told) }),
            About::Failed | About::Sla | About::Deadline => Some(Self::coarse(told)),
        }
    }

    /// Letters and digits that stand for it.
    fn name(&self) -> String {
        hash(&[&self.channel, self.about.name(), &self.workflow, self.text.as_deref().unwrap_or_default()])
    }

    fn key(&self) -> Arc<str> {
        format!("{WINDOW}{}", self.name()).into()
    }
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(&hasher.finalize()[..12])
}

/// What came since the last message of a group.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Window {
    group: Group,
    began: Timestamp,
    until: Timestamp,
    /// The message that opened it.
    opened_by: Arc<str>,
    /// So many came since.
    held: u32,
    /// The last of them.
    last: Option<Notification>,
    /// The last runs of them, the newest last.
    runs: Vec<RunId>,
}

/// Windows, and who is in which.
#[derive(Debug)]
pub(super) struct Groups {
    repeat: Duration,
    windows: BTreeMap<Group, Window>,
    /// Windows whose rows are to be written anew, or removed where they are gone.
    touched: BTreeSet<Group>,
}

/// What becomes of a notification.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// It is to be sent by itself.
    Alone(Notification),
    /// It is counted; the row of this key is to be removed.
    Absorbed(Arc<str>),
}

impl Groups {
    pub(super) fn new(repeat: Duration) -> Self {
        Self { repeat, windows: BTreeMap::new(), touched: BTreeSet::new() }
    }

    /// Takes over the windows that the rows hold.
    pub(super) fn load(&mut self, rows: &[(Arc<str>, Payload)]) {
        let windows = rows.iter().filter(|(key, _)| key.starts_with(WINDOW));
        let read = windows.filter_map(|(_, value)| serde_json::from_value::<Window>(value.to_json()).ok());
        self.windows.extend(read.map(|window| (window.group.clone(), window)));
    }

    /// Takes a notification, which has a row.
    pub(super) fn take(&mut self, told: Notification, now: Timestamp) -> Taken {
        let Some(group) = Group::of(&told) else { return Taken::Alone(told) };
        match self.windows.get_mut(&group) {
            // It was decided before a restart.
            Some(window) if window.opened_by == told.id => Taken::Alone(told),
            Some(window) => {
                self.touched.insert(group);
                Taken::Absorbed(window.absorb(told))
            }
            None => {
                self.open(group, Arc::clone(&told.id), now);
                Taken::Alone(told)
            }
        }
    }

    /// Counts what would be told by itself, since too much waits; the key of its row, which is to be removed.
    pub(super) fn fold(&mut self, told: Notification, now: Timestamp) -> Arc<str> {
        let group = Group::coarse(&told);
        self.touched.insert(group.clone());
        let open = || Window::open(group.clone(), "".into(), now, self.repeat);
        self.windows.entry(group.clone()).or_insert_with(open).absorb(told)
    }

    /// Closes the windows that have ended; messages about what they held, whose rows are to be written. `unsent`: whether
    /// a message still waits.
    pub(super) fn close(&mut self, now: Timestamp, unsent: &dyn Fn(&str) -> bool) -> Vec<Notification> {
        let ended = self.windows.values().filter(|window| window.until <= now);
        let ended: Vec<_> = ended.map(|window| window.group.clone()).collect();
        let mut messages = Vec::new();
        for group in ended {
            let window = self.windows.get_mut(&group).expect("it was just seen");
            self.touched.insert(group.clone());
            if unsent(&window.opened_by) {
                window.until = now.plus(self.repeat);
            } else if let Some(message) = window.message() {
                self.open(group, Arc::clone(&message.id), now);
                messages.push(message);
            } else {
                self.windows.remove(&group);
            }
        }
        messages
    }

    fn open(&mut self, group: Group, opened_by: Arc<str>, now: Timestamp) {
        self.touched.insert(group.clone());
        self.windows.insert(group.clone(), Window::open(group, opened_by, now, self.repeat));
    }

    /// What is to be written of the windows that were touched since this was asked last.
    pub(super) fn edits(&mut self) -> Vec<Change> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|group| row(group.key(), self.windows.get(&group))).collect()
    }

    /// When the first window ends.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.windows.values().map(|window| window.until).min()
    }
}

impl Window {
    fn open(group: Group, opened_by: Arc<str>, now: Timestamp, repeat: Duration) -> Self {
        let (until, runs) = (now.plus(repeat), Vec::new());
        Self { group, began: now, until, opened_by, held: 0, last: None, runs }
    }

    /// Counts it; the key of its row.
    fn absorb(&mut self, told: Notification) -> Arc<str> {
        let key = told.to_told().key();
        self.held = self.held.saturating_add(told.count);
        self.runs.retain(|run| *run != told.run);
        self.runs.push(told.run);
        let more = self.runs.len().saturating_sub(NAMED);
        self.runs.drain(..more);
        self.last = Some(told);
        key
    }

    /// What is told of all that it held; `None`: nothing.
    fn message(&self) -> Option<Notification> {
        let last = self.last.as_ref()?;
        let (count, workflow) = (self.held, &self.group.workflow);
        let within = format_duration(Duration::from_secs(self.until.since(self.began).as_secs().max(1)));
        let title = match (count, self.group.about) {
            (1, _) => return Some(Notification { id: self.id(), ..last.clone() }),
            (n, About::Failed) => format!("{n} more runs of `{workflow}` failed in {within}; the last: {}", last.title),
            (n, About::Deadline) => {
                format!("{n} more runs of `{workflow}` ran out of time in {within}; the last: {}", last.title)
            }
            (n, About::Sla) => format!("{n} more runs of `{workflow}` are open for too long; the last: {}", last.title),
            (n, About::Task) => format!("{n} more tasks of `{workflow}`; the last: {}", last.title),
            (n, About::Message) => format!("{n} more messages of `{workflow}` in {within}; the last: {}", last.title),
        };
        let runs: Vec<_> = self.runs.iter().rev().map(ToString::to_string).collect();
        let named = if self.runs.len() == 1 { "run" } else { "the last runs, the newest first:" };
        let text = format!("{}\n{named} {}", last.text, runs.join(", "));
        let text = text.trim().to_owned();
        Some(Notification { id: self.id(), title, text, count, at: self.until, ..last.clone() })
    }

    /// The same again after a crash: it is told as the same thing.
    fn id(&self) -> Arc<str> {
        format!("{}.{}", self.group.name(), self.until.0).into()
    }
}

/// Writes a value of [`TOLD`], or removes it.
pub(super) fn row(key: Arc<str>, value: Option<&impl Serialize>) -> Change {
    let value = value.map(|value| serde_json::to_value(value).expect("plain data can be written"));
    Change::SetState { scope: TOLD.into(), key, value: value.as_ref().map(Payload::from_json) }
}

#[cfg(test)]
mod tests;
