//! Locks of runs in motion, and what an operator does about them.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::handle::{Error, Handle};
use super::log::Item;
use super::pending::Pending;
use super::shared::Shared;
use super::worker::Message;
use crate::audit::Actor;
use crate::host::session::{Act, Answer, Ask, Reservation, Reserved, What};
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::slot::{self, RATES};
use crate::store::{Applied, Change, Slot, SlotState};

/// What a run waits for that comes into a line.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) name: Arc<str>,
    pub(super) ticket: Arc<str>,
    /// It is written that it waits: before that, it may get the slot at once.
    pub(super) written: bool,
}

/// Sends a run into the line for a slot. It is told when it has it, or that it waits.
pub(super) fn acquire(
    shared: &Shared,
    inbox: &mpsc::UnboundedSender<Message>,
    run: RunId,
    epoch: u64,
    ask: Ask,
) -> Pending {
    let What::Lock { name, ticket, limit, due } = &ask.what else { unreachable!("only locks have a line") };
    let line = Line { name: Arc::clone(name), ticket: Arc::clone(ticket), written: false };
    let change = Change::Acquire { run, epoch, name: Arc::clone(name), ticket: Arc::clone(ticket), limit: *limit };
    let (inbox, wait, due) = (inbox.clone(), ask.wait, *due);
    let done = move |applied: &[Applied]| {
        let message = match applied {
            [Applied::Acquired(true)] => Message::Answer(run, wait, Answer::Lock(true)),
            [Applied::Acquired(false)] => Message::InLine(run, wait),
            _ => return,
        };
        let _ = inbox.send(message);
    };
    shared.log.send(Item { changes: vec![change], done: Some(Box::new(done)) });
    Pending::Lock { line, due, holders: Vec::new(), ask }
}

impl Pending {
    /// Notes that it is written that the run waits, and for whom.
    pub(super) fn stands_in_line(&mut self, shared: &Shared) {
        if let Self::Lock { line, holders, .. } = self {
            line.written = true;
            let all = shared.store.slots(&line.name).unwrap_or_default();
            holders.extend(all.into_iter().filter(|slot| slot.state == SlotState::Held).map(|slot| slot.run));
        }
    }
}

/// The slot that a ticket in line has got.
pub(super) fn slot_answer(shared: &Shared, run: RunId, ticket: &str) -> Option<Answer> {
    match shared.store.slots_of(run) {
        Ok(slots) => {
            let held = |slot: &Slot| *slot.ticket == *ticket && slot.state == SlotState::Held;
            slots.iter().any(held).then_some(Answer::Lock(true))
        }
        Err(error) => {
            tracing::warn!(%run, "the slots of the run cannot be read: {error}");
            None
        }
    }
}

/// What a run waits for that stands in line, in words.
pub(super) fn sentence(line: &Line, holders: &[RunId]) -> String {
    let shown = line.name.strip_prefix("lock:").unwrap_or(&line.name);
    match holders {
        [] => format!("the lock `{shown}`"),
        [one] => format!("the lock `{shown}`, held by run {one}"),
        [first, rest @ ..] => format!("the lock `{shown}`, held by run {first} and {} more", rest.len()),
    }
}

impl Shared {
    /// See [`crate::host::session::World::reserve`].
    pub(super) fn reserve(&self, wanted: &Reservation<'_>, record: &mut Reserved<'_>) -> Result<(), String> {
        let scope: Arc<str> = RATES.into();
        loop {
            let (stored, number) = self.state(&scope, wanted.name)?;
            let now = self.now().max(wanted.now);
            let (at, value) = slot::reserved(stored.as_ref(), now, wanted.interval_us, wanted.ticket);
            let due = Some(slot::not_before(at)).filter(|due| *due > now);
            let act = Act::Rate { name: wanted.name.into(), value: value.clone() };
            let set = self.set_state(&scope, wanted.name, Some(number), Some(value), &mut || record(due, act.clone()));
            if set {
                return Ok(());
            }
        }
    }
}

/// A line as the API shows it: who holds a slot (`place` 0), and who waits at which place.
pub fn line_to_json(line: &[Slot]) -> serde_json::Value {
    let mut waiting = 0;
    let shown = line.iter().map(|slot| {
        waiting += i64::from(slot.state == SlotState::Waiting);
        let (state, place) = match slot.state {
            SlotState::Held => ("held", Some(0)),
            SlotState::Waiting => ("waiting", Some(waiting)),
            SlotState::Later => ("later", None),
        };
        serde_json::json!({
            "run": slot.run, "ticket": &*slot.ticket, "state": state, "place": place, "limit": slot.limit,
            "priority": slot.priority,
        })
    });
    shown.collect()
}

/// What an operator freed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlocked {
    /// From whom.
    pub holders: Vec<RunId>,
    /// Who has a slot now.
    pub next: Vec<RunId>,
}

impl Handle {
    /// Who holds a lock or a slot of a workflow, and who waits: `till`, or a full name such as `workflow:orders/invoice`.
    pub fn slots(&self, name: &str) -> Result<Vec<Slot>, Error> {
        Ok(named(&**self.store(), name)?)
    }

    /// The tickets of a run, each with all that are in the same line.
    pub fn lines_of(&self, run: RunId) -> Result<Vec<(Slot, Vec<Slot>)>, Error> {
        let slots = self.store().slots_of(run)?;
        let with_line = |slot: Slot| self.store().slots(&slot.name).map(|line| (slot, line));
        Ok(slots.into_iter().map(with_line).collect::<Result<_, _>>()?)
    }

    /// Takes a lock from the runs that hold it. Those that go on by themselves keep it, unless forced: what they do inside
    /// of it would no longer be alone.
    pub async fn unlock(&self, name: &str, is_forced: bool, by: &Actor) -> Result<Unlocked, Error> {
        let held: Vec<_> = self.slots(name)?.into_iter().filter(|slot| slot.state == SlotState::Held).collect();
        let Some(first) = held.first() else { return Err(Error::NotLocked(name.to_owned())) };
        for slot in &held {
            let row = self.store().run(slot.run)?;
            if let Some(row) = row.filter(|row| row.status.is_live() && !is_forced) {
                return Err(Error::LockInUse { name: name.to_owned(), run: row.id, status: row.status });
            }
        }
        let holders: Vec<_> = held.iter().map(|slot| slot.run).collect();
        let details = serde_json::json!({ "taken_from": holders, "force": is_forced });
        let change = Change::FreeSlots { name: Arc::clone(&first.name) };
        match self.act(by, "lock.unlock", &first.name, &details, change).await? {
            Applied::Freed { holders, woken } => Ok(Unlocked { holders, next: woken }),
            _ => Ok(Unlocked { holders: Vec::new(), next: Vec::new() }),
        }
    }
}

/// The line that a name means: a lock's, or one by its full name.
pub fn named(store: &dyn crate::store::Store, name: &str) -> Result<Vec<Slot>, crate::store::Error> {
    let lock = store.slots(&format!("lock:{name}"))?;
    if lock.is_empty() { store.slots(name) } else { Ok(lock) }
}

/// Keeps what a rate was set to.
pub(super) fn kept(name: Arc<str>, value: Payload) -> Change {
    Change::SetState { scope: RATES.into(), key: name, value: Some(value) }
}
