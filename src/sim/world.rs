//! What a simulated run asks of its surroundings at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::effect::{Failure, Request};
use crate::host::session::{Act, Batch, Reservation, Reserved, World, hash_text};
use crate::id::RunId;
use crate::journal::{Entry, Kind, Position};
use crate::payload::Payload;
use crate::script::secret::{Marks, SecretRef};
use crate::time::Timestamp;

/// What is durable of a simulated run: its entries, and the acts with the number of entries that were there with them.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The journal.
    pub entries: Vec<Entry>,
    /// Acts inside the engine.
    pub acts: Vec<(usize, Act)>,
}

impl Written {
    /// What a crash leaves when only the first `count` entries were durable.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Self {
        let acts = self.acts.iter().filter(|(with, _)| *with <= count).cloned().collect();
        Self { entries: self.entries[..count].to_vec(), acts }
    }

    pub(super) fn last_time(&self) -> Timestamp {
        self.entries.iter().map(|entry| entry.ended_at).max().unwrap_or(super::START)
    }

    /// How many entries are there when an act becomes durable that belongs to one of them: a run is started, and a slot given
    /// up, with the entry that says so.
    fn count_with(&self, act: &Act) -> Option<usize> {
        let belongs = |entry: &Entry| match act {
            Act::Unlock { ticket } => {
                let given_up = entry.kind == Kind::State && entry.arguments == hash_text(ticket);
                given_up || matches!(entry.outcome, Some(Err(_))) && entry.position.to_string() == **ticket
            }
            Act::Start(start) => {
                entry.detail.as_ref().is_some_and(|detail| detail.to_json()["run"] == start.run.to_string())
            }
            _ => false,
        };
        self.entries.iter().position(belongs).map(|index| index + 1)
    }

    fn state(&self) -> BTreeMap<String, (Option<Payload>, u64)> {
        let mut values = BTreeMap::new();
        for (number, (_, act)) in self.acts.iter().enumerate() {
            if let Act::SetState { key, value } = act {
                values.insert(key.to_string(), (value.clone(), number as u64 + 1));
            }
        }
        values
    }
}

pub(super) struct SimWorld {
    pub(super) written: RefCell<Written>,
    state: RefCell<BTreeMap<String, (Option<Payload>, u64)>>,
    runs: Cell<u128>,
}

impl SimWorld {
    pub(super) fn new(written: Written) -> Self {
        let started = written.acts.iter().filter(|(_, act)| matches!(act, Act::Start(_))).count();
        Self { state: RefCell::new(written.state()), written: RefCell::new(written), runs: Cell::new(started as u128) }
    }
}

/// Nothing is sent: what stands for a secret is told by its origin alone.
impl Marks for SimWorld {
    fn mark(&self, secret: &SecretRef) -> String {
        secret.origin.to_string()
    }
}

impl World for SimWorld {
    fn prepare(&self, _: &Request) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    fn config(&self, _: &str) -> Option<Payload> {
        None
    }

    fn state(&self, key: &str) -> Result<(Option<Payload>, u64), String> {
        Ok(self.state.borrow().get(key).cloned().unwrap_or((None, 0)))
    }

    fn set_state(&self, key: &str, expected: Option<u64>, value: Option<Payload>, flush: &mut dyn FnMut()) -> bool {
        let number = self.state.borrow().get(key).map_or(0, |(_, number)| *number);
        if expected.is_some_and(|expected| expected != number) {
            return false;
        }
        flush();
        self.state.borrow_mut().insert(key.to_owned(), (value, number + 1));
        true
    }

    fn reserve(&self, wanted: &Reservation<'_>, record: &mut Reserved<'_>) -> Result<(), String> {
        self.next_moment(wanted, record);
        Ok(())
    }

    fn may_skip(&self, _: &str) -> bool {
        false
    }

    fn append(&self, batch: Batch) {
        let mut written = self.written.borrow_mut();
        assert!(batch.entries.is_empty() || batch.first == written.entries.len(), "entries are appended without a gap");
        written.entries.extend(batch.entries);
        let count = written.entries.len();
        let acts: Vec<_> = batch.acts.into_iter().map(|act| (written.count_with(&act).unwrap_or(count), act)).collect();
        written.acts.extend(acts);
    }

    fn accepts(&self, _: &str, _: &Payload) -> Result<(), Payload> {
        Ok(())
    }

    fn known_people(&self, _: &[Arc<str>]) -> Result<(), String> {
        Ok(())
    }

    fn event_url(&self, name: &str, _: Option<&str>, _: Option<Timestamp>) -> Result<String, String> {
        Ok(format!("https://panta.example.com/e/{name}"))
    }

    fn status(&self, _: RunId) -> Result<Option<&'static str>, String> {
        Ok(Some("completed"))
    }

    fn begun(&self, _: &str, _: &Position, _: u32) {}

    fn new_run(&self) -> RunId {
        self.runs.set(self.runs.get() + 1);
        RunId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + self.runs.get()))
    }
}
