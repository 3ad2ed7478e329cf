//! What is noted of messages, beside how far each listener has come: under which key something is started for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::Handle;
use crate::store::Change;
use crate::time::Timestamp;
use crate::trigger::service::{SCOPE, note, write};

/// How long a message is recognised whose server has numbered it anew. The keys of starts count for longer.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// How long the key of a start counts.
pub(super) const KEY_KEPT: Duration = Duration::from_hours(40 * 24);
/// Notes that are removed in one commit.
const REMOVED: usize = 500;

/// What was noted of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Note {
    /// The key under which runs are started for it, and its event is emitted.
    pub(super) key: String,
    /// When the server got it, in seconds since 1970.
    pub(super) date: i64,
    /// When it was noted.
    pub(super) at: Timestamp,
    /// All who listened then have got it.
    pub(super) is_done: bool,
}

impl Note {
    fn of_json(noted: &Value) -> Option<Self> {
        Some(Self {
            key: noted["key"].as_str()?.to_owned(),
            date: noted["date"].as_i64()?,
            at: Timestamp(noted["at"].as_i64()?),
            is_done: noted["done"].as_bool()?,
        })
    }

    /// The change that notes it.
    pub(super) fn change(&self, mailbox: &str, identity: &str) -> Change {
        let value = json!({ "key": self.key, "date": self.date, "at": self.at.0, "done": self.is_done });
        note(&format!("{}{identity}", prefix(mailbox)), Some(&value))
    }
}

fn prefix(mailbox: &str) -> String {
    format!("$mail/{mailbox}/")
}

fn forgotten_key(mailbox: &str) -> String {
    format!("$mails/{mailbox}")
}

/// What was noted of a message. The error says why the store cannot be read.
pub(super) fn of(handle: &Handle, mailbox: &str, identity: &str) -> Result<Option<Note>, String> {
    let noted = handle.store().state(SCOPE, &format!("{}{identity}", prefix(mailbox)));
    noted.map(|noted| Note::of_json(&noted?.to_json())).map_err(|error| error.to_string())
}

/// When the last message came of which nothing is noted any more.
pub(super) fn forgotten(handle: &Handle, mailbox: &str) -> Result<i64, String> {
    let noted = handle.store().state(SCOPE, &forgotten_key(mailbox)).map_err(|error| error.to_string())?;
    Ok(noted.and_then(|noted| noted.to_json().as_i64()).unwrap_or(i64::MIN))
}

/// Removes what is old.
pub(super) async fn forget(handle: &Handle, mailbox: &str) -> Result<(), String> {
    let all = handle.store().states(SCOPE, &prefix(mailbox)).map_err(|error| error.to_string())?;
    let before = handle.clock().now().minus(KEPT);
    let read = all.into_iter().map(|(key, noted)| (key, Note::of_json(&noted.to_json())));
    let old: Vec<_> = read.filter(|(_, noted)| noted.as_ref().is_none_or(|noted| noted.at < before)).collect();
    let dates = old.iter().filter_map(|(_, noted)| Some(noted.as_ref()?.date));
    let Some(last) = dates.max() else { return Ok(()) };
    let last = last.max(forgotten(handle, mailbox)?);
    // First what says that they are forgotten, so that none counts as new.
    let mut changes = vec![note(&forgotten_key(mailbox), Some(&last.into()))];
    changes.extend(old.iter().map(|(key, _)| note(key, None)));
    for part in changes.chunks(REMOVED) {
        if !write(handle, part.to_vec()).await {
            return Err("the store takes no notes now".to_owned());
        }
    }
    Ok(())
}
