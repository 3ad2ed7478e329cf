//! Holding runs and opening them again, in memory.

use std::sync::Arc;

use super::super::control::{self, PAUSED, Reopen};
use super::super::slot::{self, BEGINNING};
use super::super::{Applied, Run, Slot, SlotState, Status};
use super::State;
use crate::id::RunId;

impl State {
    /// Whether runs of this workflow are not to be begun.
    pub(super) fn is_held(&self, workflow: &str) -> bool {
        let held = |key: &str| self.values.contains_key(&(PAUSED.into(), key.into()));
        held("") || held(workflow)
    }

    pub(super) fn pause(&mut self, run: RunId, unwinds: bool, segment: &[u8]) -> Applied {
        let may = |run: &&mut Run| run.status.is_live() && (unwinds || run.cancel.is_none());
        let Some(row) = self.runs.get_mut(&run).filter(may) else { return Applied::Refused };
        row.cancel = None;
        row.status = Status::Paused;
        self.journals.entry(run).or_default().push(segment.into());
        Applied::Done
    }

    pub(super) fn resume(&mut self, run: RunId, segment: &[u8]) -> Applied {
        let held = |status| matches!(status, Status::Paused | Status::Quarantined | Status::Diverged);
        let Some(row) = self.runs.get_mut(&run).filter(|run| held(run.status)) else { return Applied::Refused };
        let has_begun = row.started_at.is_some();
        row.status = if has_begun { Status::Running } else { Status::Queued };
        row.ready = has_begun || row.wake_at.is_none();
        row.charged = 0;
        (row.output, row.error) = (None, None);
        self.journals.entry(run).or_default().push(segment.into());
        Applied::Done
    }

    pub(super) fn reopen(&mut self, reopen: &Reopen) -> Applied {
        let seen = |status, epoch| status == reopen.status && epoch == reopen.epoch;
        let fits = self.runs.get(&reopen.run).is_some_and(|run| {
            seen(run.status, run.epoch)
                && run.owner.as_ref().is_none_or(|owner| *owner == reopen.node)
                && run.continued_as.is_none()
        });
        if !fits {
            return Applied::Refused;
        }
        if let Some(holder) = self.holder(reopen) {
            return Applied::Skipped { holder };
        }
        let priority = self.runs[&reopen.run].priority;
        for (name, ticket, limit) in &reopen.locks {
            self.take_ticket(reopen.run, name, ticket, *limit, priority, SlotState::Held);
        }
        self.unsubscribe(reopen.run);
        let mut row = self.runs[&reopen.run].clone();
        control::reopened(&mut row, reopen);
        if let Some((name, limit)) = &reopen.slot
            && !self.slots.is_held(reopen.run, BEGINNING)
        {
            self.take_ticket(reopen.run, name, &BEGINNING.into(), *limit, priority, SlotState::Waiting);
            if !self.grant(reopen.run, BEGINNING) && !reopen.stays_paused {
                row.status = Status::Queued;
                row.ready = false;
                row.waiting_for = slot::in_line(name);
            }
        }
        self.runs.insert(reopen.run, row);
        self.journals.entry(reopen.run).or_default().push(reopen.segment.as_slice().into());
        Applied::Reopened(reopen.then.iter().map(|change| self.apply(change)).collect())
    }

    /// Who holds a lock that the run needs; where the run has to stand in line for its own slot meanwhile, nobody must.
    fn holder(&self, reopen: &Reopen) -> Option<RunId> {
        let beginning = reopen.slot.as_ref().filter(|_| !reopen.locks.is_empty());
        let wanted = reopen.locks.iter().map(|(name, _, limit)| (name, limit));
        for (name, limit) in wanted.chain(beginning.map(|(name, limit)| (name, limit))) {
            let held = self.slots.of_name(name).into_iter();
            let others: Vec<_> = held.filter(|s| s.state == SlotState::Held && s.run != reopen.run).collect();
            if others.len() >= *limit as usize {
                return others.first().map(|slot| slot.run);
            }
        }
        None
    }

    fn take_ticket(
        &mut self,
        run: RunId,
        name: &Arc<str>,
        ticket: &Arc<str>,
        limit: u32,
        priority: i32,
        state: SlotState,
    ) {
        if !self.slots.is_held(run, ticket) {
            let (name, ticket) = (Arc::clone(name), Arc::clone(ticket));
            self.slots.put(Slot { run, ticket, name, state, limit, priority });
        }
    }
}
