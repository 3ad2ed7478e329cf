//! A person moves a run to the version of its workflow that is live.
//!
//! [`Handle::upgrade`] is the one place where it happens. The run is out of memory then, and the change names the epoch under
//! which its journal was read: whoever has claimed it in between raised the epoch, the change is refused, and it is tried
//! anew. So all that the new version writes stands behind the change in the log (see [`super::renewal`], where runs move by
//! themselves).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::deploy::Deployed;
use super::gate::{self, Parting, Report, Scope, Verdict};
use super::handle::{Error, Handle};
use super::semantics::held_change;
use super::shared::held;
use super::worker::Message;
use crate::audit::{Act, Actor};
use crate::id::{RunId, Version};
use crate::script::bundle::Bundle;
use crate::store::{Applied, Change, Run, Status};

/// A run that does something which takes time, such as a request, is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it rests.
const PAUSE: Duration = Duration::from_millis(20);
/// A run that is claimed again and again while it is tried is busy.
const TRIES: usize = 10;

/// What an upgrade does where the run does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// It is refused.
    #[default]
    Careful,
    /// Nothing happens in any case.
    DryRun,
    /// The run moves, and stops as `diverged`.
    Force,
}

/// What came of an upgrade.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Upgraded {
    /// The run.
    pub run: RunId,
    /// The version that it was on.
    pub from: Version,
    /// The live version.
    pub to: Version,
    /// Its journal replays on that.
    pub compatible: bool,
    /// It is on that version now. Durable.
    pub moved: bool,
    /// Where it parts from its journal there.
    pub divergence: Option<Parting>,
    /// Why there is no telling.
    pub problem: Option<String>,
}

impl Upgraded {
    /// Why it is not compatible, in a sentence; `None`: it is.
    pub fn refusal(&self) -> Option<String> {
        let why = self.divergence.as_ref().map(ToString::to_string).or_else(|| self.problem.clone());
        why.filter(|_| !self.compatible)
    }
}

impl Handle {
    /// Moves a run to the live version of its workflow. Where its journal does not replay there, it says so and leaves the run
    /// as it is, unless it is forced. A run that is held as `diverged` and fits goes on.
    pub async fn upgrade(&self, run: RunId, mode: Mode, by: &Actor) -> Result<Upgraded, Error> {
        for _ in 0..TRIES {
            let row = self.at_rest(run, mode).await?;
            let deployed = self.workflow(&row.workflow)?;
            let judged = self.judge(row.clone(), Arc::clone(&deployed)).await?;
            let Some(changes) = self.changes(&row, &deployed, &judged, (mode, by)) else { return Ok(judged) };
            if self.write(changes).await?.iter().all(|applied| *applied != Applied::Refused) {
                tracing::info!("run {run} of `{}` was moved to version {}", row.workflow, judged.to);
                if judged.compatible {
                    self.shared().claim_live(run);
                }
                return Ok(Upgraded { moved: true, ..judged });
            }
        }
        Err(Error::Busy(run))
    }

    /// What recorded runs of a bundle's workflow make of it; see [`gate::survey`]. For a thread that may be busy for long.
    pub fn gate(&self, bundle: &Bundle, go_on: &mut dyn FnMut(&Report) -> bool) -> Report {
        let options = &self.shared().options;
        let _watched = match self.shared().trying(&bundle.workflow, &bundle.version) {
            Ok(watched) => watched,
            Err(said) => return gate::untried(&**self.store(), bundle, &said, Scope::default(), go_on),
        };
        gate::survey(&**self.store(), bundle, &options.settings, &options.semantics, Scope::default(), go_on)
    }

    /// The run, out of memory, with all durable that it has written.
    async fn at_rest(&self, run: RunId, mode: Mode) -> Result<Run, Error> {
        let shared = self.shared();
        let mut waited = Duration::ZERO;
        let in_motion = || held(&shared.routes).get(&run).copied().filter(|_| mode != Mode::DryRun);
        while let Some(worker) = in_motion() {
            if waited >= PATIENCE {
                return Err(Error::Busy(run));
            }
            let _ = shared.workers[worker].send(Message::Leave(run));
            tokio::time::sleep(PAUSE).await;
            waited += PAUSE;
        }
        // Behind all that the run has handed to the log.
        self.write(Vec::new()).await?;
        let row = self.run(run)?;
        if row.status.is_final() { Err(Error::Ended(run, row.status)) } else { Ok(row) }
    }

    async fn judge(&self, row: Run, deployed: Arc<Deployed>) -> Result<Upgraded, Error> {
        let shared = Arc::clone(self.shared());
        let work = move || {
            let (from, to) = (row.version.clone(), deployed.version().clone());
            let options = &shared.options;
            let watched = shared.trying(&row.workflow, &to);
            let journal = watched.as_ref().map_err(Clone::clone).and_then(|_| gate::entries(&*shared.store, &row));
            let verdict = match journal {
                Ok(journal) => gate::try_with(&row, journal, &deployed.bundle, &options.settings, &options.semantics),
                Err(problem) => Verdict::Unknown(problem),
            };
            let upgraded =
                Upgraded { run: row.id, from, to, compatible: false, moved: false, divergence: None, problem: None };
            match verdict {
                Verdict::Compatible { .. } => Upgraded { compatible: true, ..upgraded },
                Verdict::Unknown(problem) => Upgraded { problem: Some(problem), ..upgraded },
                Verdict::Diverges(divergence) => {
                    let before: Option<Arc<Bundle>> = shared.bundle(&row.version).ok();
                    let recorder = before.as_deref().and_then(|before| {
                        let journal = gate::entries(&*shared.store, &row).ok()?;
                        gate::recorder(&row, journal, before, &divergence, &options.semantics, gate::PATIENCE)
                    });
                    let parting = Parting::new(&divergence, before.as_deref(), recorder.as_ref(), &deployed.bundle);
                    Upgraded { divergence: Some(parting), ..upgraded }
                }
            }
        };
        self.aside(work).await.ok_or_else(|| Error::Stopped("an internal error; hint: see the log".to_owned()))
    }

    /// What is to be written; `None`: nothing is to be done.
    fn changes(
        &self,
        row: &Run,
        deployed: &Deployed,
        judged: &Upgraded,
        (mode, by): (Mode, &Actor),
    ) -> Option<Vec<Change>> {
        let (version, settings) = (deployed.version().clone(), deployed.settings_payload());
        let details = json!({
            "workflow": &*row.workflow, "from": judged.from, "to": judged.to, "force": mode == Mode::Force,
            "diverges": !judged.compatible,
        });
        let act = Box::new(Act::new(self.shared().now(), by, "run.upgrade", row.id, &details));
        let moves = Change::Upgrade { run: row.id, epoch: row.epoch, version, settings };
        let moves = Change::Audit { act, change: Some(Box::new(moves)) };
        let is_held = row.status == Status::Diverged;
        match (mode, judged.refusal()) {
            (Mode::DryRun, _) | (Mode::Careful, Some(_)) => None,
            (_, None) => (is_held || judged.from != judged.to).then(|| vec![moves]),
            (Mode::Force, Some(why)) => {
                let hint = format!("it was moved by force; `panta show {}` shows the journal", row.id);
                let error = match &judged.divergence {
                    Some(parting) => parting.to_error(&hint),
                    None => json!({
                        "kind": "script", "message": format!("{why}; hint: {hint}"), "retryable": false,
                    }),
                };
                Some(vec![moves, held_change(row, &error, self.shared().now())])
            }
        }
    }
}
