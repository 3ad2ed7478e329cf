//! Runs that start and end within one batch.
//!
//! Most runs of a busy node do: between two commits a run of a few quick steps is accepted, evaluated and over. Its row is
//! written once then, as it ended, instead of being written and changed, with all indexes that its status stands in. Until
//! something else than its own journal and end concerns it, and at the latest at the end of the batch, it is not written.

use rusqlite::Result;

use super::super::{Applied, Dedupe, End, Run, Status};
use super::batch::{Batch, Beside, Hot};
use super::row::status_code;
use crate::id::RunId;

impl Hot {
    /// Of a run that is accepted.
    pub(super) fn of(run: &Run, workflow: i64, version: i64, slots: bool) -> Self {
        let Run { status, epoch, chain, parent, .. } = *run;
        let beside = Beside { slots, ..Beside::default() };
        Self { workflow, version, status, epoch, subscribed: false, beside, chain, parent, last: 0 }
    }
}

impl<'a> Batch<'a> {
    /// Accepts a run whose row is written later. False: it has to be written at once.
    pub(super) fn conceive(&mut self, run: &'a Run, dedupe: Option<&Dedupe>) -> Result<bool> {
        if run.status != Status::Running || run.parent.is_some() || !self.is_new_id(run.id) {
            return Ok(false);
        }
        let (workflow, version) = (self.workflow(&run.workflow)?, self.version(&run.version)?);
        self.insert_dedupe(run.id, dedupe)?;
        self.count(workflow, version, status_code(run.status), 1);
        self.remember(run.id, Hot::of(run, workflow, version, false));
        self.has_id(run.id);
        self.newborn.insert(run.id, run);
        Ok(true)
    }

    /// Writes the row of a run that was accepted in this batch, if that is still to be done.
    pub(super) fn bear(&mut self, run: RunId) -> Result<()> {
        let Some(row) = self.newborn.remove(&run) else { return Ok(()) };
        let hot = self.open(run)?.expect("what is accepted in a batch is known until its end");
        self.insert_run(row, hot.workflow, hot.version, hot.last)?;
        self.insert_beside(row)?;
        if hot.last != 0 {
            self.noted(run);
        }
        Ok(())
    }

    /// Writes all that are still to be written.
    pub(super) fn bear_all(&mut self) -> Result<()> {
        while let Some((run, _)) = self.newborn.first_key_value() {
            self.bear(*run)?;
        }
        Ok(())
    }

    /// The end, for good, of a run whose row was not written yet: it is written as it is then. `None`: its row is there.
    pub(super) fn end_newborn(&mut self, run: RunId, hot: &Hot, end: &End) -> Result<Option<Applied>> {
        let Some(row) = self.newborn.remove(&run) else { return Ok(None) };
        let ended = row.ended_by(end);
        self.insert_run(&ended, hot.workflow, hot.version, hot.last)?;
        self.insert_beside(&ended)?;
        self.recount(hot, end.status);
        self.noted(run);
        self.forget(run);
        let woken = self.wake_waiters(hot.chain.unwrap_or(run))?;
        Ok(Some(Applied::Ended { parent: None, woken }))
    }
}
