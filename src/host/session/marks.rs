//! Placeholders of secrets in what is recorded.
//!
//! Their marks depend on a key, and a journal outlives it: the hash of a command's arguments, and its name, are taken with the
//! *origin* of a secret in place of its mark, which follows from the run alone. Earlier releases had the origin as the mark.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Session, current, hash_text};
use crate::id::RunId;
use crate::payload::Payload;
use crate::placeholder::{MarkKind, may_hold, replaced, written};
use crate::script::secret::DECLARED;

/// The origin of a reference to a secret that a run makes.
pub fn origin(run: RunId, name: &str) -> String {
    format!("{:016x}", hash_text(&format!("{run}/{name}")))
}

impl Session {
    /// The origin of a reference that is made now; in a copy of another run it is the other's, as far as it was copied.
    pub fn origin(&self, name: &str) -> String {
        let taken = self.replay.borrow().taken();
        let copied = self.facts.forked.filter(|(_, inherited)| taken < *inherited);
        origin(copied.map_or(self.facts.run, |(run, _)| run), name)
    }
}

/// The hash of a command's arguments.
pub fn hash_arguments(text: &str) -> u64 {
    hash_text(&unmarked_here(text))
}

/// The text with the origins of secrets in place of their marks, in the run that is being evaluated.
pub fn unmarked_here(text: &str) -> Cow<'_, str> {
    if !may_hold(text) {
        return Cow::Borrowed(text);
    }
    match current() {
        Some((session, _)) => unmarked(text, &|name| session.origin(name)),
        None => Cow::Borrowed(text),
    }
}

/// The same for a run that is told by its origins.
fn unmarked<'t>(text: &'t str, origin: &dyn Fn(&str) -> String) -> Cow<'t, str> {
    replaced(text, |placeholder| match MarkKind::of(placeholder.mark)? {
        MarkKind::Run => Some(written(placeholder.name, &origin(placeholder.name))),
        MarkKind::Declared => Some(written(placeholder.name, DECLARED)),
    })
}

/// The same for bytes. What is no text has no marks that count.
pub fn unmarked_bytes(bytes: &[u8], origin: &dyn Fn(&str) -> String) -> Option<Vec<u8>> {
    match unmarked(std::str::from_utf8(bytes).ok()?, origin) {
        Cow::Owned(changed) => Some(changed.into_bytes()),
        Cow::Borrowed(_) => None,
    }
}

/// The same for a value of the journal, in its texts and in its bytes.
pub fn unmarked_value(payload: &Payload, origin: &dyn Fn(&str) -> String) -> Payload {
    let text = unmarked(payload.text(), origin);
    if !text.contains("\"$blob\"") {
        return Payload::from_text(text.into_owned());
    }
    let Ok(mut value) = serde_json::from_str(&text) else { return Payload::from_text(text.into_owned()) };
    if unmark_blobs(&mut value, origin) {
        Payload::from_text(value.to_string())
    } else {
        Payload::from_text(text.into_owned())
    }
}

fn unmark_blobs(value: &mut Value, origin: &dyn Fn(&str) -> String) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |any, item| unmark_blobs(item, origin) | any),
        Value::Object(map) => map.iter_mut().fold(false, |any, (key, value)| {
            let bytes = value.as_str().filter(|_| key == "$blob").and_then(|text| STANDARD.decode(text).ok());
            let Some(changed) = bytes.and_then(|bytes| unmarked_bytes(&bytes, origin)) else {
                return unmark_blobs(value, origin) | any;
            };
            *value = STANDARD.encode(changed).into();
            true
        }),
        _ => false,
    }
}
