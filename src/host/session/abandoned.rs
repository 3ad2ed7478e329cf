//! What a line of execution leaves behind that is dropped: a race was lost, a sibling failed, the run ends.

use serde_json::json;

use super::{Act, Session, Strand};
use crate::host::{lock, task, workflows};
use crate::payload::Payload;

/// Why a run ends that is waited for no longer.
pub fn abandoned() -> Payload {
    Payload::from_json(&json!({ "kind": "cancelled", "message": "the run that waited for it does not any more" }))
}

impl Session {
    /// A strand goes: the runs that it waits for end, its tasks close, and it leaves the lines that it stands in, in the commit
    /// of what made it go. By the journal, not by what it has asked for in this activation. While its going is replayed, that
    /// has happened.
    pub(crate) fn abandon(&self, strand: &Strand) {
        let mut replay = self.replay.borrow_mut();
        let scope = replay.scopes.path(strand.home).to_vec();
        let begun = replay.abandon(&scope);
        if begun.is_empty() || !replay.is_live() {
            return;
        }
        drop(replay);
        let mut acts = self.acts.borrow_mut();
        for entry in begun {
            if let Some(run) = workflows::attached_by(&entry) {
                acts.push(Act::Cancel { run, reason: abandoned() });
            } else if let Some(task) = task::opened_by(&entry) {
                acts.push(Act::CloseTask { task });
            } else if let Some(ticket) = lock::asked_by(&entry)
                // Otherwise leaving the inside of the lock gives it up.
                && !self.frames.borrow().locks().iter().any(|(_, known)| *known == ticket)
            {
                acts.push(Act::Unlock { ticket });
            }
        }
    }
}
