//! What people hold: single workflows, or everything. Runs of theirs that are in motion halt; the store lets no other begin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use super::shared::{Shared, held};
use super::timekeeper;
use crate::id::RunId;
use crate::journal::{History, Repair, Repaired};
use crate::store::{Error, PAUSED, Run, Status, Store};

/// What is held, as far as runs in motion have to know; the store is what decides.
#[derive(Default)]
pub(super) struct Holds {
    paused: RwLock<BTreeSet<Arc<str>>>,
    /// Runs that are not to be in motion while they are repaired, and by how many: nothing durable, a process that dies
    /// leaves them as they were.
    resting: Mutex<BTreeMap<RunId, usize>>,
}

/// Keeps a run out of motion until it is dropped.
pub(super) struct Rest {
    shared: Arc<Shared>,
    run: RunId,
}

impl Rest {
    /// From now on the run begins nothing new, leaves memory as soon as what has begun is over, and is not claimed.
    pub(super) fn of(shared: &Arc<Shared>, run: RunId) -> Self {
        *held(&shared.holds.resting).entry(run).or_insert(0) += 1;
        shared.tell(run);
        Self { shared: Arc::clone(shared), run }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut resting = held(&self.shared.holds.resting);
        let left = resting.get(&self.run).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            resting.insert(self.run, left);
            return;
        }
        resting.remove(&self.run);
        drop(resting);
        // Whatever it could have been woken for meanwhile, it looks at itself.
        self.shared.wake(self.run);
    }
}

impl Holds {
    /// Reads what an earlier process was told.
    pub(super) fn load(&self, store: &dyn Store) -> Result<(), Error> {
        let paused = store.states(PAUSED, "")?.into_iter().map(|(key, _)| key).collect();
        *self.paused.write().unwrap_or_else(PoisonError::into_inner) = paused;
        Ok(())
    }

    /// A workflow is held from now on, or not any more; all of them by the empty name.
    pub(super) fn set(&self, key: &Arc<str>, is_held: bool) {
        let mut paused = self.paused.write().unwrap_or_else(PoisonError::into_inner);
        if is_held {
            paused.insert(Arc::clone(key));
        } else {
            paused.remove(key);
        }
    }

    /// Whether runs of a workflow are held.
    pub(super) fn has(&self, workflow: &str) -> bool {
        let paused = self.paused.read().unwrap_or_else(PoisonError::into_inner);
        !paused.is_empty() && (paused.contains("") || paused.contains(workflow))
    }

    /// Whether a run is kept out of motion.
    pub(super) fn rests(&self, run: RunId) -> bool {
        held(&self.resting).contains_key(&run)
    }
}

/// A run may go on: at once, or when its time comes.
pub(super) fn resumed(shared: &Shared, run: RunId) {
    match shared.store.run(run) {
        Ok(Some(row)) if row.status == Status::Queued && row.wake_at.is_some_and(|at| at > shared.now()) => {
            shared.timeline.add(row.wake_at.unwrap_or_default(), run);
        }
        Ok(_) => shared.wake(run),
        Err(error) => tracing::warn!("run {run} cannot be read: {error}"),
    }
}

/// Takes up all that may go on again.
pub(super) fn take_up(shared: &Shared) -> Result<(), Error> {
    shared.claim_ready()?;
    timekeeper::load_soon(shared);
    Ok(())
}

/// By what a run is held, as the API shows it: `{"scope","at","by","reason"}` with the scope `run`, `workflow` or `all`;
/// `null` where it is not.
pub fn held_by(store: &dyn Store, run: &Run) -> Result<Value, Error> {
    if run.status.is_final() {
        return Ok(Value::Null);
    }
    for (scope, key) in [("all", ""), ("workflow", &*run.workflow)] {
        if let Some(value) = store.state(PAUSED, key)? {
            let mut shown = value.to_json();
            shown["scope"] = scope.into();
            return Ok(shown);
        }
    }
    if run.status != Status::Paused {
        return Ok(Value::Null);
    }
    let entries = History::read(store.journal(run.id)?).map(History::into_entries).unwrap_or_default();
    let last = entries.iter().rev().filter_map(Repair::from_entry).find(|repair| repair.done == Repaired::Pause);
    let (at, by, reason) = last.map(|repair| (repair.at, repair.by, repair.reason)).unwrap_or_default();
    Ok(json!({ "scope": "run", "at": at, "by": by, "reason": reason }))
}
