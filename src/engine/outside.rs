//! Texts from outside that become rows as they are: keys, ids, names, reasons, who did it, and outcomes that somebody sets. They
//! pass here on their way in, in [`Handle`], so that it does not matter by which face they come.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::handle::{Deed, Handle};
use super::people::Given;
use super::secrets::{cleaned, from_outside, text_from_outside};
use crate::audit::Act;
use crate::payload::Payload;
use crate::store::Event;
use crate::trace::Trace;
use crate::vault::Vault;

/// What the audit log says in the place of a secret's value.
const HIDDEN: &str = "***";

/// An event without values of secrets, in any of its texts.
pub(super) fn event_from_outside(vault: &Vault, event: Event) -> Event {
    let text = |text: &Arc<str>| Arc::<str>::from(text_from_outside(vault, text));
    let payload = serde_json::from_str(event.payload.text()).map(|value| from_outside(vault, value));
    let (id, name, key) = (text(&event.id), text(&event.name), event.key.as_ref().map(text));
    let payload = payload.map_or(event.payload, |clean| Payload::from_text(clean.to_string()));
    Event { id, name, key, payload, ..event }
}

/// A trace without what vendors hand on, where a secret's value stands in it.
pub(super) fn trace_from_outside(vault: &Vault, trace: Trace) -> Trace {
    let state = trace.state.filter(|state| text_from_outside(vault, state) == *state);
    Trace { state, ..trace }
}

impl Handle {
    /// A value as it may be kept: without values of secrets, and without what looks like a placeholder.
    pub(super) fn value_from_outside(&self, value: &Value) -> Value {
        from_outside(self.secrets(), value.clone())
    }

    /// The same for a text.
    pub fn text_from_outside(&self, text: &str) -> String {
        text_from_outside(self.secrets(), text)
    }

    /// The same for why something is done.
    pub(super) fn reason(&self, deed: &Deed) -> Option<String> {
        deed.reason.as_deref().map(|reason| self.text_from_outside(reason))
    }

    /// The same for an answer.
    pub(super) fn given_from_outside(&self, given: &Given) -> Given {
        let text = |text: &String| self.text_from_outside(text);
        Given {
            choice: given.choice.as_ref().map(text),
            data: self.value_from_outside(&given.data),
            by: given.by.as_ref().map(text),
            note: given.note.as_ref().map(text),
            texts: given.texts,
        }
    }

    /// Whether a secret's value stands in it: no name is a place for one.
    pub fn names_a_secret(&self, text: &str) -> bool {
        matches!(self.secrets().redact(text, &|_| HIDDEN.to_owned()), Cow::Owned(_))
    }

    /// What is kept of an act. What it shows of the run has passed before: placeholders stay what they are.
    pub(super) fn act_from_outside(&self, act: Act) -> Act {
        let search = self.secrets().search();
        let has_none = |text: &str| matches!(search.redact(text, &|_| HIDDEN.to_owned()), Cow::Borrowed(_));
        let details = act.details.text();
        // Without escapes, every text of it stands there as it is.
        if !details.contains('\\') && has_none(details) && has_none(&act.subject) {
            return act;
        }
        let clean = |text: String| match search.redact(&text, &|_| HIDDEN.to_owned()) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => text,
        };
        let details = serde_json::from_str(act.details.text()).map(|value| cleaned(value, &clean));
        let details = details.map_or_else(|_| act.details.clone(), |value| Payload::from_text(value.to_string()));
        Act { subject: clean(act.subject.to_string()).into(), details, ..act }
    }
}
