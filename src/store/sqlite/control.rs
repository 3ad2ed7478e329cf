//! Holding runs and opening them again, in tables.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Result, params};

use super::super::control::{self, PAUSED, Reopen};
use super::super::slot::{self, BEGINNING};
use super::super::{Applied, Run, SlotState, Status};
use super::batch::{Batch, Beside, Hot};
use super::row::{rollback_code, status_code};
use super::{read, slots};
use crate::id::RunId;

impl<'a> Batch<'a> {
    /// Whether runs of this workflow are not to be begun.
    pub(super) fn is_held(&self, workflow: &str) -> Result<bool> {
        if !self.holds_some()? {
            return Ok(false);
        }
        let sql = "SELECT 1 FROM state WHERE scope = ?1 AND key IN ('', ?2)";
        self.conn.prepare_cached(sql)?.exists([PAUSED, workflow])
    }

    /// Whether a claim leaves this run where it is.
    pub(super) fn is_held_back(&self, run: RunId) -> Result<bool> {
        if !self.holds_some()? {
            return Ok(false);
        }
        let sql = "SELECT w.name FROM run r JOIN workflow w ON w.id = r.workflow WHERE r.id = ?1 AND r.cancel IS NULL";
        let workflow = self.conn.prepare_cached(sql)?.query_row([run], |row| row.get::<_, Arc<str>>(0)).optional()?;
        workflow.map_or(Ok(false), |workflow| self.is_held(&workflow))
    }

    fn holds_some(&self) -> Result<bool> {
        if let Some(holds) = self.known.holds.get() {
            return Ok(holds);
        }
        let holds = self.conn.prepare_cached("SELECT 1 FROM state WHERE scope = ?1 LIMIT 1")?.exists([PAUSED])?;
        self.known.holds.set(Some(holds));
        Ok(holds)
    }

    pub(super) fn pause(&mut self, run: RunId, unwinds: bool, segment: &[u8]) -> Result<Applied> {
        let Some(hot) = self.open(run)?.filter(|hot| hot.status.is_live()) else { return Ok(Applied::Refused) };
        let sql = "UPDATE run SET status = ?2, cancel = NULL WHERE id = ?1 AND (?3 OR cancel IS NULL)";
        if self.execute(sql, params![run, status_code(Status::Paused), unwinds])? == 0 {
            return Ok(Applied::Refused);
        }
        self.recount(&hot, Status::Paused);
        self.add_segment(run, Hot { status: Status::Paused, ..hot }, segment)?;
        Ok(Applied::Done)
    }

    pub(super) fn resume(&mut self, run: RunId, segment: &[u8]) -> Result<Applied> {
        let held = |status| matches!(status, Status::Paused | Status::Quarantined | Status::Diverged);
        let Some(hot) = self.open(run)?.filter(|hot| held(hot.status)) else { return Ok(Applied::Refused) };
        let sql = "UPDATE run SET status = iif(started_at IS NULL, ?2, ?3), charged = 0,
            ready = (started_at IS NOT NULL OR wake_at IS NULL) WHERE id = ?1 RETURNING status";
        let codes = params![run, status_code(Status::Queued), status_code(Status::Running)];
        let status = self.conn.prepare_cached(sql)?.query_row(codes, |row| row.get::<_, Status>(0))?;
        self.forget_outcome(run)?;
        self.recount(&hot, status);
        self.add_segment(run, Hot { status, ..hot }, segment)?;
        Ok(Applied::Done)
    }

    fn add_segment(&mut self, run: RunId, hot: Hot, segment: &[u8]) -> Result<()> {
        let id = self.next_segment(run, hot);
        let sql = "INSERT INTO segment(id, run, prev, body) VALUES(?1, ?2, ?3, ?4)";
        self.execute(sql, params![id, run, hot.last, segment]).map(drop)
    }

    pub(super) fn reopen(&mut self, reopen: &'a Reopen) -> Result<Applied> {
        let seen = |run: &Run| run.status == reopen.status && run.epoch == reopen.epoch;
        let row = read::run(self.conn, reopen.run)?;
        let row = row.filter(|run| {
            seen(run) && run.owner.as_ref().is_none_or(|owner| *owner == reopen.node) && run.continued_as.is_none()
        });
        let Some(mut row) = row else { return Ok(Applied::Refused) };
        if let Some(holder) = self.holder(reopen)? {
            return Ok(Applied::Skipped { holder });
        }
        for (name, ticket, limit) in &reopen.locks {
            self.take_ticket(reopen.run, ticket, name, SlotState::Held, *limit, row.priority)?;
        }
        control::reopened(&mut row, reopen);
        if let Some((name, limit)) = &reopen.slot
            && !slots::any_held(self.conn, reopen.run, &[BEGINNING.into()])?
        {
            self.take_ticket(reopen.run, BEGINNING, name, SlotState::Waiting, *limit, row.priority)?;
            if !self.grant(reopen.run, BEGINNING)? && !reopen.stays_paused {
                row.status = Status::Queued;
                row.ready = false;
                row.waiting_for = slot::in_line(name);
            }
        }
        self.write_reopened(&row, &reopen.segment)?;
        let then = reopen.then.iter().map(|change| self.apply(change));
        Ok(Applied::Reopened(then.collect::<Result<_>>()?))
    }

    fn write_reopened(&mut self, row: &Run, segment: &[u8]) -> Result<()> {
        let Some(before) = self.load(row.id)? else { return Ok(()) };
        let version = self.version(&row.version)?;
        let sql = "UPDATE run SET status = ?2, epoch = ?3, ready = ?4, version = ?5, rollback = ?6, charged = 0,
            waiting_for = ?7, ended_at = NULL, expires_at = NULL, wake_at = NULL, cancel = NULL, owner = NULL,
            subscribed = 0 WHERE id = ?1";
        let values = params![
            row.id,
            status_code(row.status),
            row.epoch.cast_signed(),
            row.ready,
            version,
            rollback_code(row.rollback),
            row.waiting_for,
        ];
        self.execute(sql, values)?;
        self.execute("UPDATE run_data SET settings = ?2 WHERE id = ?1", params![row.id, row.settings])?;
        self.forget_outcome(row.id)?;
        self.execute("DELETE FROM subscription WHERE run = ?1", [row.id])?;
        self.count(before.workflow, before.version, status_code(before.status), -1);
        self.count(before.workflow, version, status_code(row.status), 1);
        let slots = !slots::of_run(self.conn, row.id)?.is_empty();
        let beside = Beside { slots, ..before.beside };
        let hot = Hot { version, status: row.status, epoch: row.epoch, subscribed: false, beside, ..before };
        self.add_segment(row.id, hot, segment)
    }

    /// Who holds a lock that the run needs; where the run has to stand in line for its own slot meanwhile, nobody must.
    fn holder(&self, reopen: &Reopen) -> Result<Option<RunId>> {
        let beginning = reopen.slot.as_ref().filter(|_| !reopen.locks.is_empty());
        let wanted = reopen.locks.iter().map(|(name, _, limit)| (name, limit));
        for (name, limit) in wanted.chain(beginning.map(|(name, limit)| (name, limit))) {
            let held = slots::of_name(self.conn, name)?.into_iter();
            let others: Vec<_> = held.filter(|s| s.state == SlotState::Held && s.run != reopen.run).collect();
            if others.len() >= *limit as usize {
                return Ok(others.first().map(|slot| slot.run));
            }
        }
        Ok(None)
    }

    fn take_ticket(
        &self,
        run: RunId,
        ticket: &str,
        name: &str,
        state: SlotState,
        limit: u32,
        priority: i32,
    ) -> Result<()> {
        if slots::any_held(self.conn, run, &[ticket.into()])? {
            return Ok(());
        }
        self.put(run, ticket, name, state, limit, priority)
    }
}
