//! Why a trigger last started nothing, for whoever wonders: kept in memory, since the log has it too.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::shared::held;
use crate::time::Timestamp;

/// Triggers of which a refusal is kept: more than anybody declares.
const MOST: usize = 10_000;

/// A start that did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// Why, in a sentence.
    pub reason: String,
    /// How many there were since the daemon's start, this one included.
    pub count: u64,
}

/// The last refusal of each trigger, by workflow and trigger.
#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeMap<(String, String), Refusal>>);

impl Refusals {
    pub(super) fn note(&self, workflow: &str, trigger: &str, at: Timestamp, reason: String) {
        let mut known = held(&self.0);
        let id = (workflow.to_owned(), trigger.to_owned());
        let count = known.get(&id).map_or(0, |refusal| refusal.count) + 1;
        if known.len() < MOST || count > 1 {
            known.insert(id, Refusal { at, reason, count });
        }
    }

    pub(super) fn last(&self, workflow: &str, trigger: &str) -> Option<Refusal> {
        held(&self.0).get(&(workflow.to_owned(), trigger.to_owned())).cloned()
    }
}
