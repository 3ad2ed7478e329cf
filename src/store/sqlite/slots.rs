//! Slots in tables: see [`crate::store::slot`].

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::super::slot::{self, BEGINNING, RATES};
use super::super::{Applied, Gate, OnConflict, RateWish, Run, Slot, SlotState, SlotWish, Status};
use super::batch::{Batch, Beside, Hot};
use super::read;
use crate::id::RunId;
use crate::payload::Payload;

const COLUMNS: &str = "SELECT run, ticket, name, state, most, priority FROM slot";

fn slot(row: &Row<'_>) -> Result<Slot> {
    let state = match row.get(3)? {
        0 => SlotState::Later,
        1 => SlotState::Waiting,
        2 => SlotState::Held,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    };
    Ok(Slot {
        run: row.get(0)?,
        ticket: row.get(1)?,
        name: row.get(2)?,
        state,
        limit: row.get(4)?,
        priority: row.get(5)?,
    })
}

fn code(state: SlotState) -> i64 {
    match state {
        SlotState::Later => 0,
        SlotState::Waiting => 1,
        SlotState::Held => 2,
    }
}

/// See [`crate::store::Store::slots`].
pub(super) fn of_name(conn: &Connection, name: &str) -> Result<Vec<Slot>> {
    let sql = format!(
        "{COLUMNS} WHERE name = ?1 ORDER BY state DESC, CASE state WHEN 1 THEN priority ELSE 0 END DESC, place"
    );
    conn.prepare_cached(&sql)?.query_map([name], slot)?.collect()
}

/// See [`crate::store::Store::slots_of`].
pub(super) fn of_run(conn: &Connection, run: RunId) -> Result<Vec<Slot>> {
    conn.prepare_cached(&format!("{COLUMNS} WHERE run = ?1 ORDER BY ticket"))?.query_map([run], slot)?.collect()
}

fn one(conn: &Connection, run: RunId, ticket: &str) -> Result<Option<Slot>> {
    let sql = format!("{COLUMNS} WHERE run = ?1 AND ticket = ?2");
    conn.prepare_cached(&sql)?.query_row(params![run, ticket], slot).optional()
}

/// Whether one of these tickets holds a slot.
pub(super) fn any_held(conn: &Connection, run: RunId, tickets: &[Arc<str>]) -> Result<bool> {
    for ticket in tickets {
        if one(conn, run, ticket)?.is_some_and(|slot| slot.state == SlotState::Held) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Batch<'_> {
    /// What the gate makes of a start: the row may be put back. Comes before the row is written.
    pub(super) fn pass(&mut self, run: &mut Run, gate: &Gate) -> Result<Applied> {
        let taken = match &gate.slot {
            Some(wish) => of_name(self.conn, &wish.name)?,
            None => Vec::new(),
        };
        let full = gate.slot.as_ref().is_some_and(|wish| taken.len() >= wish.limit as usize);
        if let Some(SlotWish { on_conflict: OnConflict::Skip, .. }) = gate.slot
            && full
        {
            return Ok(Applied::Skipped { holder: taken[0].run });
        }
        let delayed = match &gate.rate {
            Some(rate) => self.hold_back(run, rate)?,
            None => false,
        };
        match &gate.slot {
            Some(wish) => self.take_place(run, wish, &taken, full),
            None if delayed => Ok(Applied::Queued { wake_at: run.wake_at, cancelled: Vec::new() }),
            None => Ok(Applied::Started),
        }
    }

    /// Reserves the next free moment of a rate; whether the run has to wait for it.
    fn hold_back(&self, run: &mut Run, rate: &RateWish) -> Result<bool> {
        let stored = read::state(self.conn, RATES, &rate.name)?;
        let (at, next) = slot::next_free(stored.as_ref(), run.created_at, rate.interval_us);
        self.set_state(RATES, &rate.name, Some(&Payload::from_json(&serde_json::json!({ "next": next }))))?;
        let at = slot::not_before(at);
        if at <= run.created_at {
            return Ok(false);
        }
        let at = run.wake_at.map_or(at, |later| later.max(at));
        slot::put_back(run, slot::held_back(&rate.name), Some(at));
        Ok(true)
    }

    fn take_place(&mut self, run: &mut Run, wish: &SlotWish, taken: &[Slot], full: bool) -> Result<Applied> {
        let later = run.wake_at.is_some();
        let state = if later { SlotState::Later } else { SlotState::Waiting };
        self.put(run.id, BEGINNING, &wish.name, state, wish.limit, run.priority)?;
        if later {
            slot::put_back(run, run.waiting_for.clone(), run.wake_at);
            return Ok(Applied::Queued { wake_at: run.wake_at, cancelled: Vec::new() });
        }
        if self.grant(run.id, BEGINNING)? {
            return Ok(Applied::Started);
        }
        let mut cancelled = Vec::new();
        if let OnConflict::Cancel(reason) = &wish.on_conflict
            && full
        {
            for other in taken.iter().map(|slot| slot.run).collect::<BTreeSet<_>>() {
                if self.cancel(other, reason)? == Applied::Done {
                    cancelled.push(other);
                }
            }
        }
        slot::put_back(run, slot::in_line(&wish.name), None);
        Ok(Applied::Queued { wake_at: None, cancelled })
    }

    /// Whether a claim may take the run: a queued one comes into the line for its slot first.
    pub(super) fn may_begin(&self, run: RunId, hot: &Hot, node: &str) -> Result<bool> {
        if hot.status != Status::Queued || !hot.beside.slots {
            return Ok(true);
        }
        let sql = "SELECT cancel IS NOT NULL OR NOT (owner IS NULL OR owner = ?2) FROM run WHERE id = ?1";
        if self.conn.prepare_cached(sql)?.query_row(params![run, node], |row| row.get(0))? {
            return Ok(true);
        }
        let Some(slot) = one(self.conn, run, BEGINNING)? else { return Ok(true) };
        if slot.state == SlotState::Later {
            self.put(run, BEGINNING, &slot.name, SlotState::Waiting, slot.limit, slot.priority)?;
        }
        if self.grant(run, BEGINNING)? {
            return Ok(true);
        }
        let sql = "UPDATE run SET wake_at = NULL, ready = 0, waiting_for = ?2 WHERE id = ?1";
        self.execute(sql, params![run, slot::in_line(&slot.name)])?;
        Ok(false)
    }

    pub(super) fn acquire(&mut self, run: RunId, epoch: u64, name: &str, ticket: &str, limit: u32) -> Result<Applied> {
        let Some(hot) = self.claimed(run, epoch)? else { return Ok(Applied::Refused) };
        if one(self.conn, run, ticket)?.is_none() {
            let sql = "SELECT priority FROM run WHERE id = ?1";
            let priority = self.conn.prepare_cached(sql)?.query_row([run], |row| row.get(0))?;
            self.put(run, ticket, name, SlotState::Waiting, limit, priority)?;
            self.remember(run, Hot { beside: Beside { slots: true, ..hot.beside }, ..hot });
        }
        Ok(Applied::Acquired(self.grant(run, ticket)?))
    }

    pub(super) fn release_slot(&mut self, run: RunId, epoch: u64, ticket: &str) -> Result<Applied> {
        if self.claimed(run, epoch)?.is_none() {
            return Ok(Applied::Refused);
        }
        let gone = one(self.conn, run, ticket)?;
        self.execute("DELETE FROM slot WHERE run = ?1 AND ticket = ?2", params![run, ticket])?;
        let woken = match gone {
            Some(slot) => self.promote(&slot.name)?,
            None => Vec::new(),
        };
        Ok(Applied::Freed { holders: Vec::new(), woken })
    }

    pub(super) fn free_slots(&self, name: &str) -> Result<Applied> {
        let sql = "DELETE FROM slot WHERE name = ?1 AND state = 2 RETURNING run";
        let mut statement = self.conn.prepare_cached(sql)?;
        let holders = statement.query_map([name], |row| row.get(0))?.collect::<Result<BTreeSet<RunId>>>()?;
        Ok(Applied::Freed { holders: holders.into_iter().collect(), woken: self.promote(name)? })
    }

    /// A run goes on as another, which keeps the slot that the run held from its beginning.
    pub(super) fn hand_over(&mut self, run: RunId, hot: &Hot, next: RunId) -> Result<()> {
        if !hot.beside.slots {
            return Ok(());
        }
        let sql = "UPDATE OR IGNORE slot SET run = ?2 WHERE run = ?1 AND ticket = ?3";
        self.execute(sql, params![run, next, BEGINNING])?;
        if let Some(hot) = self.open(next)? {
            self.remember(next, Hot { beside: Beside { slots: true, ..hot.beside }, ..hot });
        }
        Ok(())
    }

    /// A run has ended, or is held for a person: others may get what it had or stood before.
    pub(super) fn leave_lines(&self, run: RunId, hot: &Hot, is_final: bool) -> Result<Vec<RunId>> {
        if !hot.beside.slots {
            return Ok(Vec::new());
        }
        let names: BTreeSet<_> = of_run(self.conn, run)?.into_iter().map(|slot| slot.name).collect();
        if is_final {
            self.execute("DELETE FROM slot WHERE run = ?1", [run])?;
        }
        let mut woken = Vec::new();
        for name in names {
            woken.extend(self.promote(&name)?);
        }
        Ok(woken)
    }

    /// A ticket with the next place in the order of arrival.
    pub(super) fn put(
        &self,
        run: RunId,
        ticket: &str,
        name: &str,
        state: SlotState,
        limit: u32,
        priority: i32,
    ) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO slot(run, ticket, name, state, most, priority, place)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ifnull((SELECT max(place) FROM slot), 0) + 1)";
        self.execute(sql, params![run, ticket, name, code(state), limit, priority]).map(drop)
    }

    /// The first in line that can take a slot, where one is free for it.
    fn next_in_line(&self, name: &str) -> Result<Option<Slot>> {
        // Runs that are paused, quarantined or have diverged are passed over.
        let sql = format!(
            "{COLUMNS} WHERE name = ?1 AND state = 1
            AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = slot.run AND run.status IN (3, 8, 9))
            ORDER BY priority DESC, place LIMIT 1"
        );
        let Some(first) = self.conn.prepare_cached(&sql)?.query_row([name], slot).optional()? else { return Ok(None) };
        let sql = "SELECT count(*) FROM (SELECT 1 FROM slot WHERE name = ?1 AND state = 2 LIMIT ?2)";
        let held: u32 = self.conn.prepare_cached(sql)?.query_row(params![name, first.limit], |row| row.get(0))?;
        Ok((held < first.limit).then_some(first))
    }

    /// Gives this ticket a slot where it is the first in line and one is free; whether it holds one now.
    pub(super) fn grant(&self, run: RunId, ticket: &str) -> Result<bool> {
        let Some(slot) = one(self.conn, run, ticket)? else { return Ok(false) };
        if slot.state == SlotState::Held {
            return Ok(true);
        }
        let first = self.next_in_line(&slot.name)?.filter(|first| first.run == run && *first.ticket == *ticket);
        if slot.state == SlotState::Later || first.is_none() {
            return Ok(false);
        }
        self.hold(run, ticket)?;
        Ok(true)
    }

    fn hold(&self, run: RunId, ticket: &str) -> Result<()> {
        self.execute("UPDATE slot SET state = 2 WHERE run = ?1 AND ticket = ?2", params![run, ticket]).map(drop)
    }

    /// Gives free slots of a name to those in line, and makes their runs ready: the live ones.
    fn promote(&self, name: &str) -> Result<Vec<RunId>> {
        let mut woken = Vec::new();
        while let Some(first) = self.next_in_line(name)? {
            self.hold(first.run, &first.ticket)?;
            if self.wake(first.run)? {
                woken.push(first.run);
            }
        }
        Ok(woken)
    }
}
