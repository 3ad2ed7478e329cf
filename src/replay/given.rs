//! Outcomes that commands get without being performed, by a repair.

use std::collections::HashMap;

use super::Command;
use crate::journal::{Entry, Phase, Position, Repair, Repaired};
use crate::payload::Payload;
use crate::time::Timestamp;

/// What is given.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Outcomes that were recorded before a repair, and are taken again.
    outcomes: HashMap<Position, Entry>,
    /// What the command at each place asked for when it was first done, by the hash of its arguments.
    asked: HashMap<Position, u64>,
    /// Outcomes that a person has set, and whether the command was left out rather than done by hand.
    set: HashMap<Position, (Payload, bool)>,
}

impl Given {
    /// An outcome that a repair has taken out of the order.
    pub(super) fn add(&mut self, entry: Entry) {
        self.asked.entry(entry.position.clone()).or_insert(entry.arguments);
        self.outcomes.insert(entry.position.clone(), entry);
    }

    /// Whether the command at a place asks for something else than when it was first done.
    pub(super) fn is_another(&self, position: &Position, arguments: u64) -> bool {
        self.asked.get(position).is_some_and(|first| *first != arguments)
    }

    /// What a repair sets.
    pub(super) fn set(&mut self, repair: &Repair) {
        if let Some((position, value)) = &repair.result {
            self.set.insert(position.clone(), (value.clone(), repair.done == Repaired::Skip));
        }
    }

    pub(super) fn is_set(&self, position: &Position) -> bool {
        !self.set.is_empty() && self.set.contains_key(position)
    }

    pub(super) fn is_skipped(&self, position: &Position) -> bool {
        self.set.get(position).is_some_and(|(_, is_skipped)| *is_skipped)
    }

    pub(super) fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// What a command gets: what was set for it, or its own outcome where it still is the same command.
    pub(super) fn take(&mut self, position: &Position, command: &Command) -> Option<Entry> {
        if self.set.is_empty() && self.outcomes.is_empty() {
            return None;
        }
        let before = self.outcomes.remove(position);
        if let Some((value, _)) = self.set.get(position) {
            let mut entry = Entry::opened(command.kind, position.clone(), command.name.clone(), Timestamp::default());
            entry.arguments = command.arguments;
            entry.phase = Phase::Given;
            entry.outcome = Some(Ok(value.clone()));
            return Some(entry);
        }
        before.filter(|it| it.kind == command.kind && it.name == command.name && it.arguments == command.arguments)
    }
}
