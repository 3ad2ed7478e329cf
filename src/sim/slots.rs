//! Locks and rates of a simulated run: no other run is there, so only its own branches wait for each other.

use std::collections::BTreeMap;

use super::world::{SimWorld, Written};
use crate::host::session::{Act, Ask, Reservation, Reserved, WaitId, What};
use crate::journal::Phase;
use crate::store::slot;
use crate::time::Timestamp;

impl Written {
    /// How many slots of a lock are held: what was granted and not given up.
    fn held(&self, name: &str) -> usize {
        let given_up = |ticket: &str| {
            self.acts.iter().any(|(_, act)| matches!(act, Act::Unlock { ticket: other } if **other == *ticket))
        };
        let granted = self.entries.iter().filter(|entry| {
            *entry.name == *name && entry.phase == Phase::Closed && matches!(entry.outcome, Some(Ok(_)))
        });
        granted.filter(|entry| !given_up(&entry.position.to_string())).count()
    }

    /// The place in line of a ticket: that of the entry which says that it waits.
    fn place(&self, ticket: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.phase == Phase::Opened && entry.position.to_string() == *ticket)
    }
}

/// When a wait for a lock is answered: now, where it is its turn; else when its time is over.
pub(super) fn when(now: Timestamp, written: &Written, pending: &BTreeMap<WaitId, Ask>, ask: &Ask) -> Option<Timestamp> {
    let What::Lock { due, .. } = &ask.what else { return None };
    if is_granted(written, pending, ask) { Some(now) } else { *due }
}

/// Whether an ask for a lock gets it: the first in line, where a slot is free.
pub(super) fn is_granted(written: &Written, pending: &BTreeMap<WaitId, Ask>, ask: &Ask) -> bool {
    let What::Lock { name, ticket, limit, .. } = &ask.what else { return false };
    let place = written.place(ticket);
    let before = |other: &Ask| matches!(&other.what, What::Lock { name: same, ticket, .. } if same == name && written.place(ticket) < place);
    !pending.values().any(before) && written.held(name) < *limit as usize
}

impl SimWorld {
    /// The next free moment of a rate: see [`crate::host::session::World::reserve`].
    pub(super) fn next_moment(&self, wanted: &Reservation<'_>, record: &mut Reserved<'_>) {
        let stored = self.written.borrow().acts.iter().rev().find_map(|(_, act)| match act {
            Act::Rate { name, value } if **name == *wanted.name => Some(value.clone()),
            _ => None,
        });
        let (at, value) = slot::reserved(stored.as_ref(), wanted.now, wanted.interval_us, wanted.ticket);
        let due = Some(slot::not_before(at)).filter(|due| *due > wanted.now);
        record(due, Act::Rate { name: wanted.name.into(), value });
    }
}
