//! Slots in memory: see [`crate::store::slot`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::slot::{self, BEGINNING, RATES};
use super::super::{Applied, Gate, OnConflict, RateWish, Run, Slot, SlotState, SlotWish, Status};
use super::State;
use crate::id::RunId;
use crate::payload::Payload;

/// All tickets, by run and name of the ticket, with their places in the order of arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    all: BTreeMap<(RunId, Arc<str>), (u64, Slot)>,
    next: u64,
}

impl Slots {
    pub(super) fn of_run(&self, run: RunId) -> Vec<Slot> {
        let of = self.all.range((run, Arc::from(""))..).take_while(|((owner, _), _)| *owner == run);
        of.map(|(_, (_, slot))| slot.clone()).collect()
    }

    pub(super) fn of_name(&self, name: &str) -> Vec<Slot> {
        let mut found: Vec<_> = self.all.values().filter(|(_, slot)| *slot.name == *name).collect();
        found.sort_by_key(|(place, slot)| match slot.state {
            SlotState::Held => (0, Reverse(0), *place),
            SlotState::Waiting => (1, Reverse(slot.priority), *place),
            SlotState::Later => (2, Reverse(0), *place),
        });
        found.into_iter().map(|(_, slot)| slot.clone()).collect()
    }

    pub(super) fn is_held(&self, run: RunId, ticket: &str) -> bool {
        self.all.get(&(run, ticket.into())).is_some_and(|(_, slot)| slot.state == SlotState::Held)
    }

    pub(super) fn put(&mut self, slot: Slot) {
        self.next += 1;
        self.all.insert((slot.run, slot.ticket.clone()), (self.next, slot));
    }
}

impl State {
    /// What the gate makes of a start: the row may be put back.
    pub(super) fn pass(&mut self, run: &mut Run, gate: &Gate) -> Applied {
        let taken = gate.slot.as_ref().map(|wish| self.slots.of_name(&wish.name)).unwrap_or_default();
        let full = gate.slot.as_ref().is_some_and(|wish| taken.len() >= wish.limit as usize);
        if let Some(SlotWish { on_conflict: OnConflict::Skip, .. }) = gate.slot
            && full
        {
            return Applied::Skipped { holder: taken[0].run };
        }
        let delayed = gate.rate.as_ref().is_some_and(|rate| self.hold_back(run, rate));
        let Some(wish) = &gate.slot else {
            return if delayed {
                Applied::Queued { wake_at: run.wake_at, cancelled: Vec::new() }
            } else {
                Applied::Started
            };
        };
        self.take_place(run, wish, &taken, full)
    }

    /// Reserves the next free moment of a rate; whether the run has to wait for it.
    fn hold_back(&mut self, run: &mut Run, rate: &RateWish) -> bool {
        let key = (Arc::from(RATES), rate.name.clone());
        let (at, next) = slot::next_free(self.values.get(&key), run.created_at, rate.interval_us);
        self.values.insert(key, Payload::from_json(&serde_json::json!({ "next": next })));
        let at = slot::not_before(at);
        if at <= run.created_at {
            return false;
        }
        let at = run.wake_at.map_or(at, |later| later.max(at));
        slot::put_back(run, slot::held_back(&rate.name), Some(at));
        true
    }

    fn take_place(&mut self, run: &mut Run, wish: &SlotWish, taken: &[Slot], full: bool) -> Applied {
        let later = run.wake_at.is_some();
        let state = if later { SlotState::Later } else { SlotState::Waiting };
        let (limit, priority) = (wish.limit, run.priority);
        let (name, ticket) = (wish.name.clone(), Arc::from(BEGINNING));
        self.slots.put(Slot { run: run.id, ticket, name, state, limit, priority });
        if later {
            slot::put_back(run, run.waiting_for.clone(), run.wake_at);
            return Applied::Queued { wake_at: run.wake_at, cancelled: Vec::new() };
        }
        if self.grant(run.id, BEGINNING) {
            return Applied::Started;
        }
        let mut cancelled = Vec::new();
        if let OnConflict::Cancel(reason) = &wish.on_conflict
            && full
        {
            let runs: BTreeSet<_> = taken.iter().map(|slot| slot.run).collect();
            cancelled.extend(runs.into_iter().filter(|run| self.cancel(*run, reason) == Applied::Done));
        }
        slot::put_back(run, slot::in_line(&wish.name), None);
        Applied::Queued { wake_at: None, cancelled }
    }

    /// Whether a claim may take the run: a queued one comes into the line for its slot first. `None`: there is no such run.
    pub(super) fn may_begin(&mut self, run: RunId, node: &str) -> Option<bool> {
        let row = self.runs.get(&run)?;
        let free = row.owner.as_deref().is_none_or(|owner| owner == node);
        if row.status != Status::Queued || row.cancel.is_some() || !free {
            return Some(true);
        }
        let Some((_, slot)) = self.slots.all.get(&(run, BEGINNING.into())).cloned() else { return Some(true) };
        if slot.state == SlotState::Later {
            self.slots.put(Slot { state: SlotState::Waiting, ..slot.clone() });
        }
        if self.grant(run, BEGINNING) {
            return Some(true);
        }
        let row = self.runs.get_mut(&run)?;
        row.wake_at = None;
        row.ready = false;
        row.waiting_for = slot::in_line(&slot.name);
        Some(false)
    }

    pub(super) fn acquire(
        &mut self,
        run: RunId,
        epoch: u64,
        name: &Arc<str>,
        ticket: &Arc<str>,
        limit: u32,
    ) -> Applied {
        let Some(row) = self.claimed(run, epoch) else { return Applied::Refused };
        let priority = row.priority;
        if !self.slots.all.contains_key(&(run, ticket.clone())) {
            let (name, ticket) = (name.clone(), ticket.clone());
            self.slots.put(Slot { run, ticket, name, state: SlotState::Waiting, limit, priority });
        }
        Applied::Acquired(self.grant(run, ticket))
    }

    pub(super) fn release_slot(&mut self, run: RunId, epoch: u64, ticket: &Arc<str>) -> Applied {
        if self.claimed(run, epoch).is_none() {
            return Applied::Refused;
        }
        let gone = self.slots.all.remove(&(run, ticket.clone()));
        let woken = gone.map(|(_, slot)| self.promote(&slot.name)).unwrap_or_default();
        Applied::Freed { holders: Vec::new(), woken }
    }

    pub(super) fn free_slots(&mut self, name: &str) -> Applied {
        let held: Vec<_> = self.slots.of_name(name).into_iter().filter(|slot| slot.state == SlotState::Held).collect();
        for slot in &held {
            self.slots.all.remove(&(slot.run, slot.ticket.clone()));
        }
        let holders: BTreeSet<_> = held.iter().map(|slot| slot.run).collect();
        Applied::Freed { holders: holders.into_iter().collect(), woken: self.promote(name) }
    }

    /// A run goes on as another, which keeps the slot that the run held from its beginning.
    pub(super) fn hand_over(&mut self, run: RunId, next: RunId) {
        let (from, to) = ((run, Arc::from(BEGINNING)), (next, Arc::from(BEGINNING)));
        if !self.slots.all.contains_key(&to)
            && let Some((place, slot)) = self.slots.all.remove(&from)
        {
            self.slots.all.insert(to, (place, Slot { run: next, ..slot }));
        }
    }

    /// A run has ended, or is held for a person: others may get what it had or stood before.
    pub(super) fn leave_lines(&mut self, run: RunId, is_final: bool) -> Vec<RunId> {
        let slots = self.slots.of_run(run);
        if is_final {
            for slot in &slots {
                self.slots.all.remove(&(run, slot.ticket.clone()));
            }
        }
        let names: BTreeSet<_> = slots.into_iter().map(|slot| slot.name).collect();
        names.into_iter().flat_map(|name| self.promote(&name)).collect()
    }

    /// The first in line that can take a slot, where one is free for it.
    fn next_in_line(&self, name: &str) -> Option<Slot> {
        let all = self.slots.of_name(name);
        let held = all.iter().filter(|slot| slot.state == SlotState::Held).count();
        let stuck = |run: &RunId| {
            let held = |run: &Run| matches!(run.status, Status::Paused | Status::Quarantined | Status::Diverged);
            self.runs.get(run).is_some_and(held)
        };
        let first = all.into_iter().find(|slot| slot.state == SlotState::Waiting && !stuck(&slot.run))?;
        (held < first.limit as usize).then_some(first)
    }

    /// Gives this ticket a slot where it is the first in line and one is free; whether it holds one now.
    pub(super) fn grant(&mut self, run: RunId, ticket: &str) -> bool {
        let key = (run, Arc::from(ticket));
        let Some((_, slot)) = self.slots.all.get(&key) else { return false };
        if slot.state == SlotState::Waiting {
            let name = slot.name.clone();
            if self.next_in_line(&name).is_some_and(|first| first.run == run && *first.ticket == *ticket) {
                self.hold(&key);
            }
        }
        self.slots.is_held(run, ticket)
    }

    fn hold(&mut self, key: &(RunId, Arc<str>)) {
        if let Some((_, slot)) = self.slots.all.get_mut(key) {
            slot.state = SlotState::Held;
        }
    }

    /// Gives free slots of a name to those in line, and makes their runs ready: the live ones.
    fn promote(&mut self, name: &str) -> Vec<RunId> {
        let mut woken = Vec::new();
        while let Some(first) = self.next_in_line(name) {
            self.hold(&(first.run, first.ticket));
            if self.wake(first.run) {
                woken.push(first.run);
            }
        }
        woken
    }
}
