//! Runs that are put in motion while their start is on its way to the disk.
//!
//! A run whose start can only be accepted is given to a worker at once. It comes behind its start in the log, so that all it
//! writes is durable after it; and what others could see of it waits for the log in any case: a mutating effect, its end,
//! an answer to whoever asked for it. A process that dies in between leaves no trace of it, and nobody has been told of it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::handle::{Error, Handle};
use super::log::Item;
use super::shared::{Shared, held};
use crate::id::RunId;
use crate::store::{Applied, Change, Run};

impl Shared {
    /// The run of a start that the store accepts whatever is there: under an id of our own, without a key, a slot or a rate.
    /// Whether something is held that this process does not know of yet, the store says: the worker drops the run then.
    fn certain(&self, change: &Change) -> Option<Box<Run>> {
        match change {
            Change::Audit { change, .. } => self.certain(change.as_deref()?),
            Change::Start { run, dedupe: None, gate: None } => {
                let begins = run.owner.as_deref() == Some(&*self.options.node) && !self.holds.has(&run.workflow);
                begins.then(|| run.clone())
            }
            _ => None,
        }
    }

    /// Forgets that the start of a run was on its way: it is durable now. Its row, where a worker has the run already.
    pub(super) fn take_early(&self, run: RunId) -> Option<Arc<Run>> {
        held(&self.starting).remove(&run).flatten()
    }

    /// The row of a run, also of one whose start is on its way.
    pub(super) fn row(&self, run: RunId) -> Result<Option<Run>, crate::store::Error> {
        // Asked first: a start that becomes durable in between is in the store then.
        let early = held(&self.starting).get(&run).cloned().flatten();
        early.map_or_else(|| self.store.run(run), |row| Ok(Some((*row).clone())))
    }
}

impl Handle {
    /// Writes a start under an id that was made for it. Durable when this returns.
    pub(super) async fn write_start(&self, change: Change) -> Result<Option<Applied>, Error> {
        self.room().await?;
        let certain = self.shared.certain(&change);
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |applied: &[Applied]| {
            let _ = sender.send(applied.first().cloned());
        });
        if let Some(row) = &certain {
            held(&self.shared.starting).insert(row.id, Some(Arc::from(row.clone())));
        }
        // It has a worker before others can see its row.
        let worker = certain.as_ref().and_then(|row| self.shared.route(row.id));
        self.shared.log.send(Item { changes: vec![change], done: Some(done) });
        if let (Some(row), Some(worker)) = (certain, worker) {
            self.shared.begin(row, worker);
        }
        receiver.await.map_err(|_| self.stopped())
    }
}
