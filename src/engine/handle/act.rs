//! Acts on one run or on many, with answers as the API gives them.

use serde_json::{Value, json};

use super::{Deed, Error, Handle};
use crate::id::RunId;
use crate::store::{RunFilter, Status};
use crate::time::Timestamp;

/// Runs of a page while many are gone through.
const PAGE: usize = 500;

/// What is to be done to a run.
#[derive(Clone, Debug)]
pub enum Act {
    /// It ends; compensations and clean-ups first.
    Cancel,
    /// Nothing new of it is begun.
    Pause,
    /// It goes on.
    Resume,
}

impl Act {
    /// What is meant where no status is said: those that it can be done to.
    fn usual(&self) -> &'static [Status] {
        match self {
            Self::Cancel => {
                &[Status::Queued, Status::Running, Status::Waiting, Status::Paused, Status::Quarantined, Status::Diverged]
            }
            Self::Pause => &[Status::Queued, Status::Running, Status::Waiting],
            Self::Resume => &[Status::Paused],
        }
    }
}

/// Which runs are meant.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Of this workflow.
    pub workflow: Option<String>,
    /// In one of these; empty: those that the act can be done to.
    pub statuses: Vec<Status>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
}

impl Chosen {
    /// Nothing is said: that is no choice.
    pub fn is_empty(&self) -> bool {
        self.workflow.is_none() && self.statuses.is_empty() && self.since.is_none()
    }
}

impl Handle {
    /// Does it to one run; the answer says what came of it. Durable when this returns.
    pub async fn act(&self, run: RunId, act: &Act, deed: &Deed) -> Result<Value, Error> {
        match act {
            Act::Cancel => {
                self.cancel(run, deed.reason.as_deref().unwrap_or("cancelled by hand")).await?;
                Ok(json!({ "run": run }))
            }
            Act::Pause => {
                let row = self.pause(run, deed).await?;
                Ok(json!({ "run": row.id, "status": row.status }))
            }
            Act::Resume => {
                let row = self.resume(run, deed).await?;
                Ok(json!({ "run": row.id, "status": row.status }))
            }
        }
    }

    /// The runs that are meant, the oldest first.
    pub fn chosen(&self, chosen: &Chosen, act: &Act) -> Result<Vec<RunId>, Error> {
        let statuses = if chosen.statuses.is_empty() { act.usual().to_vec() } else { chosen.statuses.clone() };
        let (workflow, since) = (chosen.workflow.clone(), chosen.since);
        let mut filter = RunFilter { workflow, statuses, since, limit: PAGE, before: None };
        let mut found = Vec::new();
        loop {
            let page = self.runs(&filter)?;
            found.extend(page.iter().map(|run| run.id));
            filter.before = page.last().map(|run| run.id);
            if page.len() < PAGE {
                found.reverse();
                return Ok(found);
            }
        }
    }

    /// Does it to many: `{"matched","done":[run…],"refused":[{"run","problem"}]}`. One that cannot be done holds up no other;
    /// an engine that has stopped does.
    pub async fn act_on(&self, runs: &[RunId], act: &Act, deed: &Deed) -> Result<Value, Error> {
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for run in runs {
            match self.act(*run, act, deed).await {
                Ok(_) => done.push(json!(run)),
                Err(error @ (Error::Store(_) | Error::Stopped(_))) => return Err(error),
                Err(error) => refused.push(json!({ "run": run, "problem": error.to_string() })),
            }
        }
        Ok(json!({ "matched": runs.len(), "done": done, "refused": refused }))
    }
}
