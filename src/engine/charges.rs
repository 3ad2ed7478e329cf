//! Deaths of earlier processes: charged to what may have caused them, before anything is put in motion again.
//!
//! A run that was charged as often as is allowed, without anything durable of it in between, is quarantined: nobody takes it up
//! by itself. What it holds (slots, tasks, its parent's wait) stays, for a person to decide.

use std::sync::Arc;

use serde_json::json;

use super::after::Ending;
use super::lethal;
use super::log::Item;
use super::shared::Shared;
use super::witness::Witness;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{CHARGED, Change, End, Error, Rollback, Run, Status, Store};
use crate::time::Clock;

/// Deaths without progress that a run is given. Three: a run beside which others died twice was unlucky, and each costs
/// everybody a restart.
const MOST: u32 = 3;

/// Where it is kept who was quarantined, until what follows from it is written.
const SCOPE: &str = "$quarantined";

/// Charges what the witness has; durable when this returns. Answers the runs that are quarantined now. To be called before an
/// engine is started on the store.
pub fn charge(store: &dyn Store, witness: &dyn Witness, clock: &dyn Clock) -> Result<Vec<RunId>, Error> {
    let mut quarantined = Vec::new();
    for charge in witness.charges() {
        let Some(run) = charge.what.run() else {
            lethal::charge(store, charge.what, &charge.cause, clock)?;
            continue;
        };
        // A row that was being written when the process died may not be there.
        let Some(row) = store.run(run)?.filter(|row| !row.status.is_final()) else { continue };
        let came = store.journal(row.id)?.len();
        let key: Arc<str> = row.id.to_string().into();
        let before = store.state(CHARGED, &key)?.and_then(|before| before.to_json().as_u64());
        let charged = if before == Some(came as u64) { row.charged + 1 } else { 1 };
        let (run, epoch) = (row.id, row.epoch);
        let mut changes = vec![
            Change::Charge { run, epoch, charged },
            Change::SetState { scope: CHARGED.into(), key: key.clone(), value: Some(Payload::from_json(&json!(came))) },
        ];
        if charged >= MOST {
            let end = quarantine(&row, charged, &charge.cause, clock);
            changes.push(Change::Finish { run, epoch, end });
            changes.push(Change::SetState { scope: SCOPE.into(), key, value: Some(Payload::from_json(&json!(true))) });
            quarantined.push(run);
        }
        store.commit(&changes)?;
    }
    witness.settled();
    Ok(quarantined)
}

fn quarantine(row: &Run, charged: u32, cause: &str, clock: &dyn Clock) -> End {
    let run = row.id;
    let message = format!(
        "the process died {charged} times while it evaluated this run ({cause} in the end), and nothing of the run was recorded in between; hint: `panta show {run}` shows how far it came: what comes next in its script needs more stack or memory than there is"
    );
    let error = json!({ "kind": "limit", "message": message, "retryable": false });
    End {
        status: Status::Quarantined,
        output: None,
        error: Some(Payload::from_json(&error)),
        rollback: row.rollback,
        at: clock.now(),
        continued_as: None,
        expires_at: None,
    }
}

/// What follows from a quarantine, as from any failure: once the workflows are known.
pub(super) fn follow_up(shared: &Arc<Shared>) -> Result<(), Error> {
    for (key, _) in shared.store.states(SCOPE, "")? {
        let Some(row) = key.parse().ok().map(|run| shared.store.run(run)).transpose()?.flatten() else { continue };
        let terms = shared.deployed(&row.workflow).map(|deployed| Arc::clone(&deployed.terms)).unwrap_or_default();
        let trace = crate::trace::Trace::of(row.id, &row.trigger).id;
        let ending = Ending { shared, run: row.id, workflow: &row.workflow, terms: &terms, trace };
        let end = End {
            status: row.status,
            output: None,
            error: row.error.clone(),
            rollback: Rollback::None,
            at: shared.now(),
            continued_as: None,
            expires_at: None,
        };
        // A person may have acted on it already.
        let is_told = row.status == Status::Quarantined;
        let handler = ending.starts(&end).filter(|_| is_told);
        let told = if is_told { ending.told(row.epoch, &end, handler.is_some()) } else { Vec::new() };
        let forget = Change::SetState { scope: SCOPE.into(), key, value: None };
        let changes = [shared.telling(forget, told)].into_iter().chain(handler).collect();
        shared.log.send(Item { changes, done: None });
    }
    Ok(())
}
