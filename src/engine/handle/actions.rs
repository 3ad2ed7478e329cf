//! Acts on one run or on many, with answers as the API gives them.

use serde_json::{Value, json};

use super::{Deed, Error, Handle, Retry};
use crate::id::RunId;
use crate::store::{RunFilter, Status};
use crate::time::Timestamp;

/// Runs of a page while many are gone through.
const PAGE: usize = 500;

/// What is to be done to a run.
#[derive(Clone, Debug)]
pub enum Action {
    /// It ends; compensations and clean-ups first.
    Cancel,
    /// Nothing new of it is begun.
    Pause,
    /// It goes on.
    Resume,
    /// It goes on from a step.
    Retry(Retry),
    /// A step is left out; its outcome is `()`.
    Skip {
        /// The step.
        step: String,
    },
    /// A step is left out; this is its outcome.
    SetResult {
        /// The step.
        step: String,
        /// The outcome, plain JSON.
        value: Value,
    },
    /// Another run begins as a copy of it up to a step.
    Fork {
        /// The step.
        at: String,
        /// Its outcome there, plain JSON; `None`: it is done anew.
        set: Option<Value>,
    },
}

impl Action {
    /// Its name, as in the address by which it is asked for.
    fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry(_) => "retry",
            Self::Skip { .. } => "skip",
            Self::SetResult { .. } => "set-result",
            Self::Fork { .. } => "fork",
        }
    }

    /// What is meant where no status is said: those that it can be done to.
    fn usual(&self) -> &'static [Status] {
        match self {
            Self::Cancel => &[
                Status::Queued,
                Status::Running,
                Status::Waiting,
                Status::Paused,
                Status::Quarantined,
                Status::Diverged,
            ],
            Self::Pause => &[Status::Queued, Status::Running, Status::Waiting],
            Self::Retry(_) => &[Status::Failed, Status::TimedOut],
            Self::Resume | Self::Skip { .. } | Self::SetResult { .. } | Self::Fork { .. } => &[Status::Paused],
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
    pub async fn carry_out(&self, run: RunId, action: &Action, deed: &Deed) -> Result<Value, Error> {
        match action {
            Action::Cancel => {
                self.cancel(run, deed.reason.as_deref().unwrap_or("cancelled by hand"), &deed.by).await?;
                Ok(json!({ "run": run }))
            }
            Action::Pause => {
                let row = self.pause(run, deed).await?;
                Ok(json!({ "run": row.id, "status": row.status }))
            }
            Action::Resume => {
                let row = self.resume(run, deed).await?;
                Ok(json!({ "run": row.id, "status": row.status }))
            }
            Action::Retry(retry) => self.retry(run, retry, deed).await,
            Action::Skip { step } => self.set_result(run, step, None, deed).await,
            Action::SetResult { step, value } => self.set_result(run, step, Some(value), deed).await,
            Action::Fork { at, set } => self.fork(run, at, set.as_ref(), deed).await,
        }
    }

    /// The runs that are meant, the oldest first.
    pub fn chosen(&self, chosen: &Chosen, action: &Action) -> Result<Vec<RunId>, Error> {
        let statuses = if chosen.statuses.is_empty() { action.usual().to_vec() } else { chosen.statuses.clone() };
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

    /// Notes in the audit log that it is begun on so many; each one has a record of its own, so that the two tell how far it came.
    /// `chosen`: by what they were chosen.
    pub async fn note_many(&self, matched: usize, action: &Action, chosen: &Value, deed: &Deed) -> Result<(), Error> {
        let details = json!({ "matched": matched, "chosen": chosen, "reason": self.reason(deed) });
        self.note_act(&deed.by, &format!("runs.{}", action.name()), "many", &details).await
    }

    /// Does it to many: `{"matched","done":[run…],"refused":[{"run","problem"}]}`. One that cannot be done holds up no other;
    /// an engine that has stopped does.
    pub async fn carry_out_on(&self, runs: &[RunId], action: &Action, deed: &Deed) -> Result<Value, Error> {
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for run in runs {
            match self.carry_out(*run, action, deed).await {
                Ok(_) => done.push(json!(run)),
                Err(error @ (Error::Store(_) | Error::Stopped(_))) => return Err(error),
                Err(error) => refused.push(json!({ "run": run, "problem": error.to_string() })),
            }
        }
        Ok(json!({ "matched": runs.len(), "done": done, "refused": refused }))
    }
}
