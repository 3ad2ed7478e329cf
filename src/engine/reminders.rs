//! `sla`: once a run, somebody is told that it is open for too long.
//!
//! When is in the run's row; the row forgets it in the commit after which the channel is told, so that nobody is told twice,
//! whatever restarts in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::log::Item;
use super::notification::{About, Notification};
use super::shared::{Shared, held};
use crate::id::RunId;
use crate::store::{Change, Run, Sla};
use crate::time::{Timestamp, format_duration};

/// Reminders of the next minutes: the store has all of them.
#[derive(Default)]
pub(super) struct Reminders(Mutex<BTreeSet<(Timestamp, RunId)>>);

impl Reminders {
    pub(super) fn add(&self, at: Timestamp, run: RunId) {
        held(&self.0).insert((at, run));
    }

    /// When the next one is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        held(&self.0).first().map(|(at, _)| *at)
    }

    /// How long until the next one.
    pub(super) fn pause(&self, now: Timestamp) -> Duration {
        held(&self.0).first().map_or(Duration::MAX, |(at, _)| at.since(now))
    }

    fn take(&self, now: Timestamp) -> Vec<RunId> {
        let mut soon = held(&self.0);
        let later = soon.split_off(&(Timestamp(now.0 + 1), RunId(uuid::Uuid::nil())));
        std::mem::replace(&mut *soon, later).into_iter().map(|(_, run)| run).collect()
    }
}

/// Reads the reminders up to a time.
pub(super) fn load(shared: &Shared, until: Timestamp, most: usize) {
    match shared.store.overdue(until, most) {
        Ok(due) => due.into_iter().for_each(|(at, run)| shared.reminders.add(at, run)),
        Err(error) => tracing::warn!("runs that are open for too long cannot be read: {error}"),
    }
}

/// Tells what is due.
pub(super) fn tell(shared: &Shared) {
    let now = shared.now();
    for run in shared.reminders.take(now) {
        match shared.store.run(run) {
            Ok(Some(row)) => remind(shared, &row, now),
            Ok(None) => {}
            Err(error) => tracing::warn!("run {run} cannot be read: {error}"),
        }
    }
}

fn remind(shared: &Shared, row: &Run, now: Timestamp) {
    let Some(sla) = row.sla.as_ref().filter(|_| !row.status.is_final()) else { return };
    let told = vec![notification(row, sla, now)];
    let change = shared.telling(Change::Remind { run: row.id, at: now }, told);
    shared.log.send(Item { changes: vec![change], done: None });
}

fn notification(row: &Run, sla: &Sla, now: Timestamp) -> Notification {
    let after = format_duration(sla.at.since(row.created_at));
    let waits = if row.waiting_for.is_empty() { String::new() } else { format!("it waits for {}", row.waiting_for) };
    Notification {
        id: format!("{}.{}.sla", row.id, sla.at.0).into(),
        channel: Arc::clone(&sla.notify),
        workflow: Arc::clone(&row.workflow),
        run: row.id,
        about: About::Sla,
        title: format!("a run of `{}` is open for more than {after}; it is {}", row.workflow, row.status.name()),
        text: waits,
        at: now,
        task: None,
        count: 1,
    }
}
