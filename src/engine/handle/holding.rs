//! Holding runs, workflows and everything; and letting them go on.

use serde_json::json;

use super::{Error, Handle};
use crate::audit::Actor;
use crate::engine::holds;
use crate::id::RunId;
use crate::journal::{History, Kind, Repair, Repaired, encode_segment};
use crate::payload::Payload;
use crate::store::{Applied, Change, PAUSED, Run, Status};

/// Who does something, and why.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Who.
    pub by: Actor,
    /// As it was said.
    pub reason: Option<String>,
}

impl Handle {
    /// The journal of a run with its places.
    pub(super) fn history(&self, run: RunId) -> Result<History, Error> {
        Ok(History::read(self.shared.store.journal(run)?)?)
    }

    /// A repair as a segment.
    pub(super) fn repair(&self, done: Repaired, deed: &Deed) -> Repair {
        let (by, reason) = (Some(deed.by.to_string()), self.reason(deed));
        Repair { by, reason, ..Repair::new(done, self.shared.now()) }
    }

    /// Holds a run, or the newest of its chain: what has begun goes on to its outcome, nothing new is begun, its compensations
    /// neither. One that is held already stays so. Durable when this returns.
    pub async fn pause(&self, run: RunId, deed: &Deed) -> Result<Run, Error> {
        let row = self.newest(run)?;
        if row.status == Status::Paused {
            return Ok(row);
        }
        let segment = encode_segment(0, &[self.repair(Repaired::Pause, deed).to_entry()]);
        let details = json!({ "workflow": &*row.workflow, "reason": deed.reason });
        // Where its journal has it, the run knows by that alone that it is to end.
        let unwinds = row.cancel.is_some() && self.history(row.id)?.entries.iter().any(|e| e.kind == Kind::Cancel);
        let pause = Change::Pause { run: row.id, unwinds, segment };
        match self.act(&deed.by, "run.pause", row.id, &details, pause).await? {
            Applied::Done => self.run(row.id),
            _ => Err(self.cannot_be_held(row.id)?),
        }
    }

    fn cannot_be_held(&self, run: RunId) -> Result<Error, Error> {
        let row = self.newest(run)?;
        if row.status.is_final() {
            return Ok(Error::Ended(row.id, row.status));
        }
        let why = match row.cancel {
            Some(_) => "it was asked to end, and does not unwind yet; hint: try again in a moment".to_owned(),
            None => format!("it does not go on by itself; hint: `panta why {run}`"),
        };
        Ok(Error::NotNow { run: row.id, status: row.status, why })
    }

    /// A run that is held goes on: paused, quarantined or diverged. Durable when this returns.
    pub async fn resume(&self, run: RunId, deed: &Deed) -> Result<Run, Error> {
        let row = self.newest(run)?;
        let segment = encode_segment(0, &[self.repair(Repaired::Resume, deed).to_entry()]);
        let details = json!({ "workflow": &*row.workflow, "status": row.status, "reason": deed.reason });
        match self.act(&deed.by, "run.resume", row.id, &details, Change::Resume { run: row.id, segment }).await? {
            Applied::Done => self.run(row.id),
            _ => Err(self.cannot_go_on(row.id)?),
        }
    }

    fn cannot_go_on(&self, run: RunId) -> Result<Error, Error> {
        let row = self.newest(run)?;
        if row.status.is_final() {
            return Ok(Error::Ended(row.id, row.status));
        }
        let held = holds::held_by(&*self.shared.store, &row)?;
        let why = match held["scope"].as_str() {
            Some("workflow") => format!("its workflow is paused; hint: `panta resume --workflow {}`", row.workflow),
            Some("all") => "everything is paused; hint: `panta resume --all`".to_owned(),
            _ => "it is not held".to_owned(),
        };
        Ok(Error::NotNow { run: row.id, status: row.status, why })
    }

    /// Holds a workflow, or everything without a name: new starts are queued, and its open runs halt. False: it was held
    /// already. Durable when this returns.
    pub async fn hold(&self, workflow: Option<&str>, deed: &Deed) -> Result<bool, Error> {
        let key = workflow.unwrap_or_default();
        if !key.is_empty() {
            self.knows(key)?;
        }
        if self.shared.store.state(PAUSED, key)?.is_some() {
            return Ok(false);
        }
        let value = json!({ "at": self.shared.now(), "by": deed.by.to_string(), "reason": self.reason(deed) });
        self.set_hold(key, Some(Payload::from_json(&value)), deed).await?;
        Ok(true)
    }

    /// A workflow that is held goes on, or everything; what is held by itself stays so. False: it was not held.
    pub async fn let_go(&self, workflow: Option<&str>, deed: &Deed) -> Result<bool, Error> {
        let key = workflow.unwrap_or_default();
        if self.shared.store.state(PAUSED, key)?.is_none() {
            if !key.is_empty() {
                self.knows(key)?;
            }
            return Ok(false);
        }
        self.set_hold(key, None, deed).await?;
        holds::take_up(&self.shared)?;
        Ok(true)
    }

    async fn set_hold(&self, key: &str, value: Option<Payload>, deed: &Deed) -> Result<(), Error> {
        let act = format!(
            "{}.{}",
            if key.is_empty() { "engine" } else { "workflow" },
            if value.is_some() { "pause" } else { "resume" }
        );
        let details = json!({ "reason": deed.reason });
        let change = Change::SetState { scope: PAUSED.into(), key: key.into(), value };
        self.act(&deed.by, &act, if key.is_empty() { "all" } else { key }, &details, change).await.map(drop)
    }

    /// A workflow that is there, or of which there are runs.
    fn knows(&self, workflow: &str) -> Result<(), Error> {
        let Err(unknown) = self.workflow(workflow) else { return Ok(()) };
        let has_runs = self.counts()?.iter().any(|(name, ..)| **name == *workflow);
        if has_runs { Ok(()) } else { Err(unknown) }
    }

    /// What is held: workflows by their names, everything by the empty name; with when, by whom and why.
    pub fn holds(&self) -> Result<Vec<(std::sync::Arc<str>, Payload)>, Error> {
        Ok(self.shared.store.states(PAUSED, "")?)
    }
}
