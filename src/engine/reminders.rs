//! `sla`: once a run, somebody is told that it is open for too long.
//!
//! When is in the run's row; the row forgets it in the commit after which the channel is told, so that nobody is told twice,
//! whatever restarts in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::log::Item;
use super::shared::{Shared, held};
use super::surroundings::{About, Notification};
use crate::id::RunId;
use crate::store::{Applied, Change, Run, Sla};
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
            Err(error) => tracing::warn!(%run, "the run cannot be read: {error}"),
        }
    }
}

fn remind(shared: &Shared, row: &Run, now: Timestamp) {
    let Some(sla) = row.sla.as_ref().filter(|_| !row.status.is_final()) else { return };
    let notification = notification(row, sla);
    let notifier = Arc::clone(&shared.options.notifier);
    let tell = move |applied: &[Applied]| {
        if applied.first() == Some(&Applied::Done) {
            notifier.notify(notification);
        }
    };
    let change = Change::Remind { run: row.id, at: now };
    shared.log.send(Item { changes: vec![change], done: Some(Box::new(tell)) });
}

fn notification(row: &Run, sla: &Sla) -> Notification {
    let after = format_duration(sla.at.since(row.created_at));
    let waits = if row.waiting_for.is_empty() { String::new() } else { format!("it waits for {}", row.waiting_for) };
    Notification {
        channel: Arc::clone(&sla.notify),
        workflow: Arc::clone(&row.workflow),
        run: row.id,
        about: About::Sla,
        title: format!("a run of `{}` is open for more than {after}; it is {}", row.workflow, row.status.name()),
        text: waits,
    }
}
