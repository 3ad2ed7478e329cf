//! The changes, one by one, within the transaction of their batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Result, ToSql, params};

use super::super::{Applied, Change, Dedupe, End, Event, Gate, Gather, Keep, PAUSED, Run, Status, Subscription, TOLD};
use super::batch::{Batch, Hot};
use super::row::{rollback_code, status_code};
use super::{read, slots};
use crate::id::{RunId, Version};
use crate::payload::Payload;
use crate::time::Timestamp;

impl<'a> Batch<'a> {
    pub(super) fn apply(&mut self, change: &'a Change) -> Result<Applied> {
        if !change.leaves_rows_alone() {
            self.bear_all()?;
        }
        match change {
            Change::Start { run, dedupe, gate } => self.start(run, dedupe.as_ref(), gate.as_deref()),
            Change::Append { run, epoch, segment } => self.append(*run, *epoch, segment),
            Change::Park { .. } => self.park(change),
            Change::Release { run, epoch } => self.release(*run, *epoch),
            Change::Claim { runs, node, at } => {
                let claimed = runs.iter().filter_map(|run| self.claim(*run, node, *at).transpose());
                Ok(Applied::Claimed(claimed.collect::<Result<_>>()?))
            }
            Change::Finish { run, epoch, end } => self.finish(*run, *epoch, end),
            Change::Cancel { run, reason } => self.cancel(*run, reason),
            Change::Pause { run, unwinds, segment } => self.pause(*run, *unwinds, segment),
            Change::Resume { run, segment } => self.resume(*run, segment),
            Change::Reopen(reopen) => self.reopen(reopen),
            Change::Emit { event, dedupe_until, gather } => self.emit(event, *dedupe_until, gather),
            Change::OpenTask { epoch, task } => self.open_task(*epoch, task),
            Change::AnswerTask { task, answer, at } => self.answer_task(*task, answer, *at),
            Change::CloseTask { task, at } => self.close_task(*task, *at),
            Change::EscalateTask { task, stage } => self.escalate_task(*task, *stage),
            Change::SetState { scope, key, value } => self.set_state(scope, key, value.as_ref()),
            Change::Acquire { run, epoch, name, ticket, limit } => self.acquire(*run, *epoch, name, ticket, *limit),
            Change::ReleaseSlot { run, epoch, ticket } => self.release_slot(*run, *epoch, ticket),
            Change::FreeSlots { name } => self.free_slots(name),
            Change::Audit { act, change } => self.audit(act, change.as_deref()),
            Change::Tell { change, told, keep } => {
                let applied = self.apply(change)?;
                if *keep == Keep::Until && applied.took_effect() {
                    told.iter().try_for_each(|told| self.set_state(TOLD, &told.key(), Some(&told.value)).map(drop))?;
                }
                Ok(applied)
            }
            Change::PutBundle { version, bytes } => {
                let sql = "INSERT INTO bundle(version, body) VALUES(?1, ?2)
                    ON CONFLICT(version) DO UPDATE SET body = excluded.body WHERE body IS NULL";
                self.execute(sql, params![&*version.0, bytes])?;
                Ok(Applied::Done)
            }
            Change::Upgrade { run, epoch, version, settings } => self.upgrade(*run, *epoch, version, settings),
            Change::Charge { run, epoch, charged } => {
                if self.claimed(*run, *epoch)?.is_none() {
                    return Ok(Applied::Refused);
                }
                self.execute("UPDATE run SET charged = ?2 WHERE id = ?1", params![run, charged])?;
                Ok(Applied::Done)
            }
            Change::Remind { run, at } => {
                let sql = "UPDATE run SET sla_at = NULL, sla_notify = NULL WHERE id = ?1 AND sla_at <= ?2";
                Ok(if self.execute(sql, params![run, at])? == 0 { Applied::Refused } else { Applied::Done })
            }
            Change::Prune { .. } => self.prune(change),
            Change::Compact(compaction) => self.compact(compaction),
        }
    }

    fn start(&mut self, run: &'a Run, dedupe: Option<&Dedupe>, gate: Option<&Gate>) -> Result<Applied> {
        if let Some(dedupe) = dedupe
            && let Some(repeated) = self.started_before(dedupe, run.created_at)?
        {
            return Ok(repeated);
        }
        self.has_child(run.parent);
        let is_held = run.status.is_live() && self.is_held(&run.workflow)?;
        let Some(gate) = gate.or(is_held.then_some(&Gate::OPEN)) else {
            if self.conceive(run, dedupe)? {
                return Ok(Applied::Started);
            }
            let inserted = self.insert(run, dedupe, false)?;
            return if inserted { Ok(Applied::Started) } else { self.repeated(run) };
        };
        let sql = "SELECT 1 FROM run WHERE id = ?1";
        if self.conn.prepare_cached(sql)?.exists([run.id])? {
            return self.repeated(run);
        }
        self.bear_all()?;
        let mut row = run.clone();
        let mut applied = self.pass(&mut row, gate)?;
        if applied == Applied::Started && is_held {
            super::super::control::hold_back(&mut row);
            applied = Applied::Queued { wake_at: row.wake_at, cancelled: Vec::new() };
        }
        if !matches!(applied, Applied::Skipped { .. }) {
            self.insert(&row, dedupe, gate.slot.is_some())?;
        }
        Ok(applied)
    }

    /// The run is there already.
    fn repeated(&self, run: &Run) -> Result<Applied> {
        let sql = "SELECT input = ?2 FROM run_data WHERE id = ?1";
        let same_input = self.conn.prepare_cached(sql)?.query_row(params![run.id, run.input], |row| row.get(0))?;
        Ok(Applied::Repeated { run: run.id, same_input })
    }

    /// Writes the rows of a new run. False: it is there already.
    fn insert(&mut self, run: &Run, dedupe: Option<&Dedupe>, slots: bool) -> Result<bool> {
        self.bear(run.id)?;
        let (workflow, version) = (self.workflow(&run.workflow)?, self.version(&run.version)?);
        if self.insert_run(run, workflow, version, 0)? == 0 {
            return Ok(false);
        }
        self.insert_beside(run)?;
        self.insert_dedupe(run.id, dedupe)?;
        self.count(workflow, version, status_code(run.status), 1);
        if !run.status.is_final() {
            self.remember(run.id, Hot::of(run, workflow, version, slots));
        }
        Ok(true)
    }

    /// What a run was accepted with, and what came of it.
    pub(super) fn insert_beside(&self, run: &Run) -> Result<()> {
        let sql = "INSERT INTO run_data(id, input, settings, \"trigger\", key, mailbox, output, error)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Run { input, settings, trigger, key, mailbox, output, error, .. } = run;
        self.execute_often(sql, params![run.id, input, settings, trigger, key, mailbox, output, error])?;
        Ok(())
    }

    pub(super) fn insert_dedupe(&self, run: RunId, dedupe: Option<&Dedupe>) -> Result<()> {
        if let Some(Dedupe { scope, key, input, until }) = dedupe {
            let sql = "INSERT OR REPLACE INTO dedupe(scope, key, run, input, until) VALUES(?1, ?2, ?3, ?4, ?5)";
            self.execute(sql, params![scope, key, run, input.cast_signed(), until])?;
        }
        Ok(())
    }

    fn started_before(&self, dedupe: &Dedupe, now: Timestamp) -> Result<Option<Applied>> {
        let sql = "SELECT run, input FROM dedupe WHERE scope = ?1 AND key = ?2 AND (until IS NULL OR until > ?3)";
        let found = self.conn.prepare_cached(sql)?.query_row(params![dedupe.scope, dedupe.key, now], |row| {
            let input = row.get::<_, i64>(1)?.cast_unsigned();
            Ok(Applied::Repeated { run: row.get(0)?, same_input: input == dedupe.input })
        });
        found.optional()
    }

    /// The row of a run, whose journal ends with the segment `last`.
    pub(super) fn insert_run(&self, run: &Run, workflow: i64, version: i64, last: i64) -> Result<usize> {
        self.has_id(run.id);
        let sql =
            "INSERT INTO run(id, workflow, version, status, epoch, ready, subscribed, last, owner, wake_at, created_at,
            started_at, ended_at, parent, priority, charged, rollback, waiting_for, cancel, chain, continued_as, sla_at,
            sla_notify, expires_at)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?23, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                ?22)
            ON CONFLICT(id) DO NOTHING";
        let values = params![
            run.id,
            workflow,
            version,
            status_code(run.status),
            run.epoch.cast_signed(),
            run.ready,
            run.owner,
            run.wake_at,
            run.created_at,
            run.started_at,
            run.ended_at,
            run.parent,
            run.priority,
            run.charged,
            rollback_code(run.rollback),
            run.waiting_for,
            run.cancel,
            run.chain,
            run.continued_as,
            run.sla.as_ref().map(|sla| sla.at),
            run.sla.as_ref().map(|sla| &*sla.notify),
            run.expires_at,
            last,
        ];
        self.execute_often(sql, values)
    }

    /// What came of a run counts no longer.
    pub(super) fn forget_outcome(&self, run: RunId) -> Result<()> {
        self.execute("DELETE FROM outcome WHERE id = ?1", [run])?;
        let sql = "UPDATE run_data SET output = NULL, error = NULL
            WHERE id = ?1 AND (output IS NOT NULL OR error IS NOT NULL)";
        self.execute(sql, [run])?;
        Ok(())
    }

    fn insert_outcome(&self, run: RunId, output: Option<&Payload>, error: Option<&Payload>) -> Result<()> {
        if output.is_some() || error.is_some() {
            let sql = "INSERT OR REPLACE INTO outcome(id, output, error) VALUES(?1, ?2, ?3)";
            self.execute(sql, params![run, output, error])?;
        }
        Ok(())
    }

    fn append(&mut self, run: RunId, epoch: u64, segment: &[u8]) -> Result<Applied> {
        let Some(hot) = self.claimed(run, epoch)? else { return Ok(Applied::Refused) };
        let id = self.next_segment(run, hot);
        let sql = "INSERT INTO segment(id, run, prev, body) VALUES(?1, ?2, ?3, ?4)";
        self.execute_often(sql, params![id, run, hot.last, segment])?;
        Ok(Applied::Done)
    }

    fn park(&mut self, change: &Change) -> Result<Applied> {
        let Change::Park { run, epoch, status, waiting_for, wake_at, subscriptions, children, slots, tasks } = change
        else {
            unreachable!("called for `Park` alone");
        };
        let Some(hot) = self.claimed(*run, *epoch)? else { return Ok(Applied::Refused) };
        self.unsubscribe(*run, &hot)?;
        let granted = slots::any_held(self.conn, *run, slots)? | self.any_over(tasks)?;
        let mailbox = hot.chain.unwrap_or(*run);
        let status = &if hot.status == Status::Paused { Status::Paused } else { *status };
        let ready = self.subscribe(*run, mailbox, subscriptions)? | self.any_ended(children)? | granted;
        let subscribed = self.await_ends(*run, children)? || !subscriptions.is_empty();
        // A status that is written is written to its index, too, even where it is the same.
        let sql = if *status == hot.status {
            "UPDATE run SET ready = ?2, subscribed = ?3, wake_at = ?4, waiting_for = ?5, last = ?6
                WHERE id = ?1 AND status = ?7"
        } else {
            self.recount(&hot, *status);
            "UPDATE run SET ready = ?2, subscribed = ?3, wake_at = ?4, waiting_for = ?5, last = ?6, status = ?7
                WHERE id = ?1"
        };
        self.execute(sql, params![run, ready, subscribed, wake_at, waiting_for, hot.last, status_code(*status)])?;
        self.noted(*run);
        self.remember(*run, Hot { status: *status, subscribed, ..hot });
        Ok(if ready { Applied::Ready } else { Applied::Done })
    }

    /// Notes what a run waits for; whether an event that it waits for is there already.
    fn subscribe(&self, run: RunId, mailbox: RunId, subscriptions: &[Subscription]) -> Result<bool> {
        let mut there = false;
        for wanted in subscriptions {
            let key = wanted.key.as_deref();
            let sql = "INSERT OR IGNORE INTO subscription(name, keyed, key, run) VALUES(?1, ?2, ?3, ?4)";
            self.execute(sql, params![wanted.name, key.is_some(), key.unwrap_or(""), run])?;
            there = there || read::next_event(self.conn, &wanted.filter(mailbox))?.is_some();
        }
        Ok(there)
    }

    /// Notes whose end a run waits for; false: nothing was noted. Such a note stands among the subscriptions, under a name that
    /// no event has, with the first of the chain as its key. A child wakes its parent without one.
    fn await_ends(&self, run: RunId, children: &[RunId]) -> Result<bool> {
        let mut noted = false;
        let mut found = self.conn.prepare_cached("SELECT ifnull(chain, id), parent FROM run WHERE id = ?1")?;
        for child in children {
            let row = found.query_row([child], |row| Ok((row.get::<_, RunId>(0)?, row.get::<_, Option<RunId>>(1)?)));
            let (first, parent) = row.optional()?.unwrap_or((*child, None));
            if parent != Some(run) {
                let sql = "INSERT OR IGNORE INTO subscription(name, keyed, key, run) VALUES('', 1, ?1, ?2)";
                self.execute(sql, params![first.to_string(), run])?;
                self.known.end_waits.set(true);
                noted = true;
            }
        }
        Ok(noted)
    }

    /// Runs that parked until this chain has ended, in order.
    pub(super) fn wake_waiters(&self, first: RunId) -> Result<Vec<RunId>> {
        if !self.known.end_waits.get() {
            return Ok(Vec::new());
        }
        let sql = "SELECT run FROM subscription WHERE name = '' AND keyed = 1 AND key = ?1 ORDER BY run";
        let mut waiters = self.conn.prepare_cached(sql)?;
        let waiters: Vec<RunId> = waiters.query_map([first.to_string()], |row| row.get(0))?.collect::<Result<_>>()?;
        let mut woken = Vec::new();
        for run in waiters {
            if self.wake(run)? {
                woken.push(run);
            }
        }
        Ok(woken)
    }

    fn unsubscribe(&self, run: RunId, hot: &Hot) -> Result<()> {
        if hot.subscribed {
            self.execute("DELETE FROM subscription WHERE run = ?1", [run])?;
        }
        Ok(())
    }

    fn any_ended(&self, runs: &[RunId]) -> Result<bool> {
        let mut status = self.conn.prepare_cached("SELECT status FROM run WHERE id = ?1")?;
        for run in runs {
            let newest = read::newest(self.conn, *run)?;
            let status = status.query_row([newest], |row| row.get::<_, Status>(0)).optional()?;
            if status.is_some_and(Status::is_final) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn release(&mut self, run: RunId, epoch: u64) -> Result<Applied> {
        if self.claimed(run, epoch)?.is_none() {
            return Ok(Applied::Refused);
        }
        self.execute("UPDATE run SET owner = NULL WHERE id = ?1", [run])?;
        Ok(Applied::Done)
    }

    fn claim(&mut self, run: RunId, node: &Arc<str>, at: Timestamp) -> Result<Option<Run>> {
        let Some(hot) = self.open(run)? else { return Ok(None) };
        if self.is_held_back(run)? || !self.may_begin(run, &hot, node)? {
            return Ok(None);
        }
        let sql = "UPDATE run SET owner = ?2, epoch = epoch + 1, started_at = ifnull(started_at, ?3)
            WHERE id = ?1 AND (owner IS NULL OR owner = ?2) AND (status < 3 OR cancel IS NOT NULL)";
        if self.execute(sql, params![run, node, at])? == 0 {
            return Ok(None);
        }
        let mut claimed = Hot { epoch: hot.epoch + 1, ..hot };
        if matches!(hot.status, Status::Queued | Status::Paused) {
            claimed.status = Status::Running;
            let sql = "UPDATE run SET status = ?2, waiting_for = '', wake_at = NULL WHERE id = ?1";
            self.execute(sql, params![run, status_code(claimed.status)])?;
            self.recount(&hot, claimed.status);
        }
        self.remember(run, claimed);
        read::run(self.conn, run)
    }

    fn finish(&mut self, run: RunId, epoch: u64, end: &End) -> Result<Applied> {
        let Some(hot) = self.claimed(run, epoch)? else { return Ok(Applied::Refused) };
        let is_final = end.status.is_final();
        if !is_final || end.continued_as.is_some() || hot.beside.slots || hot.beside.children || hot.parent.is_some() {
            // Other runs are concerned.
            self.bear_all()?;
        } else if let Some(applied) = self.end_newborn(run, &hot, end)? {
            return Ok(applied);
        }
        if let Some(next) = end.continued_as {
            self.pass_on(run, next)?;
        }
        let sql = "UPDATE run SET status = ?2, rollback = ?3, ended_at = ?4, waiting_for = '', wake_at = NULL,
            cancel = NULL, ready = 0, subscribed = 0, owner = NULL, last = ?5, sla_at = iif(?4 IS NULL, sla_at, NULL),
            sla_notify = iif(?4 IS NULL, sla_notify, NULL), expires_at = ?6 WHERE id = ?1";
        let ended_at = is_final.then_some(end.at);
        let expires_at = end.expires_at.filter(|_| is_final);
        let values = params![run, status_code(end.status), rollback_code(end.rollback), ended_at, hot.last, expires_at];
        self.execute(sql, values)?;
        self.recount(&hot, end.status);
        self.unsubscribe(run, &hot)?;
        self.noted(run);
        self.forget(run);
        if hot.status == Status::Diverged || hot.status == Status::Quarantined {
            self.forget_outcome(run)?;
        }
        self.insert_outcome(run, end.output.as_ref(), end.error.as_ref())?;
        if is_final && hot.beside.tasks {
            self.close_tasks_of(run, end.at)?;
        }
        let parent = match hot.parent.filter(|_| is_final && end.continued_as.is_none()) {
            Some(parent) if self.wake(parent)? => Some(parent),
            _ => None,
        };
        if let Some(next) = end.continued_as.filter(|_| is_final) {
            self.hand_over(run, &hot, next)?;
        }
        let mut woken = self.leave_lines(run, &hot, is_final)?;
        if is_final && end.continued_as.is_none() {
            woken.extend(self.wake_waiters(hot.chain.unwrap_or(run))?);
            if hot.beside.children {
                woken.extend(self.cancel_children(run)?);
            }
        }
        Ok(Applied::Ended { parent, woken })
    }

    /// Another run goes on in this one's place, and takes over what was asked of it.
    fn pass_on(&self, run: RunId, next: RunId) -> Result<()> {
        let sql = "UPDATE run SET continued_as = ?2, chain = ifnull(chain, id) WHERE id = ?1 RETURNING cancel";
        let cancel: Option<Payload> = self.conn.prepare_cached(sql)?.query_row(params![run, next], |row| row.get(0))?;
        if let Some(reason) = cancel {
            // From here on this one is not the newest.
            self.cancel(next, &reason)?;
        }
        Ok(())
    }

    fn upgrade(&mut self, run: RunId, epoch: u64, version: &Version, settings: &Payload) -> Result<Applied> {
        let Some(hot) = self.claimed(run, epoch)? else { return Ok(Applied::Refused) };
        let version = self.version(version)?;
        self.execute("UPDATE run SET version = ?2 WHERE id = ?1", params![run, version])?;
        self.execute("UPDATE run_data SET settings = ?2 WHERE id = ?1", params![run, settings])?;
        self.count(hot.workflow, hot.version, status_code(hot.status), -1);
        let status = if hot.status == Status::Diverged { Status::Waiting } else { hot.status };
        if status != hot.status {
            self.execute("UPDATE run SET status = ?2, ready = 1 WHERE id = ?1", params![run, status_code(status)])?;
            self.forget_outcome(run)?;
        }
        self.count(hot.workflow, version, status_code(status), 1);
        self.remember(run, Hot { version, status, ..hot });
        Ok(Applied::Done)
    }

    /// Makes a run ready that has not ended; whether it is live.
    pub(super) fn wake(&self, run: RunId) -> Result<bool> {
        let sql = "UPDATE run SET ready = 1 WHERE id = ?1 AND status NOT BETWEEN 4 AND 7 RETURNING status < 3";
        let live = self.conn.prepare_cached(sql)?.query_row([run], |row| row.get(0)).optional()?;
        Ok(live.unwrap_or(false))
    }

    pub(super) fn cancel(&self, run: RunId, reason: &Payload) -> Result<Applied> {
        let run = read::newest(self.conn, run)?.unwrap_or(run);
        let sql = "UPDATE run SET cancel = ifnull(cancel, ?2), ready = 1 WHERE id = ?1 AND status NOT BETWEEN 4 AND 7";
        Ok(if self.execute(sql, params![run, reason])? == 0 { Applied::Refused } else { Applied::Done })
    }

    /// Nobody waits for the runs any more whose parent has ended. Those that had not ended.
    fn cancel_children(&self, parent: RunId) -> Result<Vec<RunId>> {
        let sql = "SELECT id FROM run WHERE parent = ?1 AND status NOT BETWEEN 4 AND 7 ORDER BY id";
        let mut children = self.conn.prepare_cached(sql)?;
        let children: Vec<RunId> = children.query_map([parent], |row| row.get(0))?.collect::<Result<_>>()?;
        for run in &children {
            self.cancel(*run, &super::super::control::orphaned())?;
        }
        Ok(children)
    }

    fn emit(&self, event: &Event, until: Timestamp, gather: &[Gather]) -> Result<Applied> {
        let sql = "SELECT seq FROM event_id WHERE id = ?1 AND until > ?2";
        let seen = self.conn.prepare_cached(sql)?.query_row(params![event.id, event.at], |row| row.get::<_, i64>(0));
        if let Some(seq) = seen.optional()? {
            return Ok(Applied::Emitted { seq: seq.cast_unsigned(), fresh: false, woken: Vec::new() });
        }
        let sql = "INSERT INTO event(id, name, key, payload, run, at, latest) VALUES(?1, ?2, ?3, ?4, ?5, ?6,
            max(?6, ifnull((SELECT latest FROM event ORDER BY seq DESC LIMIT 1), ?6)))";
        let only = event.run.map(|run| self.mailbox_of(run)).transpose()?;
        self.execute(sql, params![event.id, event.name, event.key, event.payload, only, event.at])?;
        let seq = self.conn.last_insert_rowid();
        let sql = "INSERT OR REPLACE INTO event_id(id, seq, until) VALUES(?1, ?2, ?3)";
        self.execute(sql, params![event.id, seq, until])?;
        for Gather { scope, prefix, value } in gather {
            self.set_state(scope, &Gather::key_at(prefix, seq.cast_unsigned()), Some(value))?;
        }
        let mut woken = Vec::new();
        for run in self.subscribed(event)? {
            if self.wake(run)? {
                woken.push(run);
            }
        }
        Ok(Applied::Emitted { seq: seq.cast_unsigned(), fresh: true, woken })
    }

    /// Runs that wait for such an event.
    fn subscribed(&self, event: &Event) -> Result<BTreeSet<RunId>> {
        let sql = "SELECT run FROM subscription WHERE name = ?1 AND keyed = ?2 AND key = ?3";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut runs = BTreeSet::new();
        for key in [None].into_iter().chain(event.key.as_deref().map(Some)) {
            let values: [&dyn ToSql; 3] = [&event.name, &key.is_some(), &key.unwrap_or("")];
            for run in statement.query_map(values, |row| row.get(0))? {
                runs.insert(run?);
            }
        }
        let Some(only) = event.run else { return Ok(runs) };
        let only = self.mailbox_of(only)?;
        runs.into_iter()
            .filter_map(|run| self.mailbox_of(run).map(|own| (own == only).then_some(run)).transpose())
            .collect()
    }

    /// The run whose mailbox this one reads: the first of its chain.
    fn mailbox_of(&self, run: RunId) -> Result<RunId> {
        let sql = "SELECT ifnull(chain, id) FROM run WHERE id = ?1";
        Ok(self.conn.prepare_cached(sql)?.query_row([run], |row| row.get(0)).optional()?.unwrap_or(run))
    }

    pub(super) fn set_state(&self, scope: &str, key: &str, value: Option<&Payload>) -> Result<Applied> {
        if scope == PAUSED {
            self.known.holds.set(None);
        }
        match value {
            Some(value) => {
                let sql = "INSERT OR REPLACE INTO state(scope, key, value) VALUES(?1, ?2, ?3)";
                self.execute(sql, params![scope, key, value])?
            }
            None => self.execute("DELETE FROM state WHERE scope = ?1 AND key = ?2", [scope, key])?,
        };
        Ok(Applied::Done)
    }
}
