//! Repairing runs: going on from a step, leaving one out, giving its outcome, and copies of a run up to a step.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Deed, Error, Handle, new_run};
use crate::engine::deploy::{self, Deployed};
use crate::engine::gate::{self, Examined, Verdict};
use crate::engine::holds::Rest;
use crate::engine::left;
use crate::engine::repair::{self, From, Known, Plan};
use crate::engine::retrace::{self, until};
use crate::host::mailbox::Mailbox;
use crate::id::{RunId, TaskId};
use crate::journal::{Entry, History, Kind, Phase, Position, Repair, Repaired, encode_segment};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::store::{Applied, Change, Gate, Reopen, Run, Status};
use crate::task;
use crate::time::elapsed;

/// How long a run may take to come to rest before it is repaired: an effect on its way is waited for.
const REST: Duration = Duration::from_secs(10);
/// Between two looks whether it rests: a few commits.
const REST_PAUSE: Duration = Duration::from_millis(5);

/// How a run is tried again.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// The step from which on all is done anew; `None`: the one that failed.
    pub from: Option<String>,
    /// It goes on with the version that is live.
    pub upgrade: bool,
    /// Steps that were undone are done again.
    pub confirmed: bool,
}

/// A run that is to be repaired, read once.
struct Patient {
    row: Run,
    history: History,
    undone: Vec<(Position, Position)>,
    open: Vec<(Position, Arc<str>)>,
}

/// What is written to open a run again.
struct Opening {
    /// As the audit log names it.
    act: String,
    reopen: Reopen,
    /// Names of the steps that are done again because they were undone.
    again: Vec<String>,
    notes: Vec<String>,
    from: Option<Position>,
}

/// A copy of a run that is to be started.
struct Copy {
    row: Run,
    segments: Vec<Vec<u8>>,
    gate: Option<Gate>,
}

impl From {
    fn position(&self) -> Option<Position> {
        match self {
            Self::Command(position) => Some(position.clone()),
            Self::Entry(_) => None,
        }
    }
}

impl Handle {
    /// A run that has failed, was cancelled, or is held goes on from a step: everything that was recorded before stays. Says
    /// what is done anew. Durable when this returns.
    pub async fn retry(&self, run: RunId, retry: &Retry, deed: &Deed) -> Result<Value, Error> {
        let row = self.newest(run)?;
        may_be_retried(&row)?;
        let (handle, asked, by) = (self.clone(), retry.clone(), deed.clone());
        let opening = self.planned(move || handle.plan_retry(row.id, &asked, &by)).await?;
        self.open_again(opening, deed).await
    }

    /// A step is left out: its outcome is this value, or `()`. The run goes on, unless it was paused. Durable when this returns.
    pub async fn set_result(&self, run: RunId, step: &str, value: Option<&Value>, deed: &Deed) -> Result<Value, Error> {
        let row = self.newest(run)?;
        if row.status == Status::Completed {
            return Err(Error::Ended(row.id, row.status));
        }
        // Nothing of this is durable: a process that dies before the repair leaves the run as it was.
        let _rest = row.status.is_live().then(|| Rest::of(&self.shared, row.id));
        self.comes_to_rest(row.id).await?;
        let (handle, step, by) = (self.clone(), step.to_owned(), deed.clone());
        let value = value.map(|value| Payload::from_json(&self.value_from_outside(value)));
        let opening = self.planned(move || handle.plan_result(row.id, &step, value, &by)).await?;
        self.open_again(opening, deed).await
    }

    /// Waits until nobody has the run in motion.
    async fn comes_to_rest(&self, run: RunId) -> Result<(), Error> {
        let began = elapsed();
        loop {
            let row = self.run(run)?;
            let is_in_motion = self.shared.is_in_motion(run);
            // An earlier process may have left it without giving it up; this one has, when all that it wrote is durable.
            let is_own = row.owner.as_ref() == Some(&self.shared.options.node);
            let is_left = row.owner.is_none() || is_own && self.shared.log.last() <= self.shared.log.durable();
            if row.status.is_final() || is_left && !is_in_motion {
                return Ok(());
            }
            if let Some(problem) = self.trouble() {
                return Err(Error::Stopped(problem));
            }
            if elapsed().saturating_sub(began) > REST {
                let why = "an effect of it is still on its way; hint: try again when it is over".to_owned();
                return Err(Error::NotNow { run, status: row.status, why });
            }
            match tokio::runtime::Handle::try_current() {
                Ok(_) => tokio::time::sleep(REST_PAUSE).await,
                // Driven inline: whoever drives lets it come to rest.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Evaluates on another thread.
    async fn planned<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.aside(work).await;
        done.unwrap_or_else(|| Err(Error::Stopped("an internal error; hint: see the log".to_owned())))
    }

    /// A run on a version, as this engine evaluates it.
    fn examined(&self, row: &Run, journal: Vec<Entry>, bundle: &Bundle) -> Examined {
        let options = &self.shared.options;
        gate::examine(row, journal, bundle, &options.settings, &options.semantics)
    }

    fn patient(&self, run: RunId) -> Result<Patient, Error> {
        let row = self.run(run)?;
        let history = self.history(run)?;
        let bundle = self.sources(&row)?;
        let seen = self.examined(&row, history.entries.clone(), &bundle);
        Ok(Patient { row, history, undone: seen.undone, open: seen.open })
    }

    fn plan_retry(&self, run: RunId, retry: &Retry, deed: &Deed) -> Result<Opening, Error> {
        let patient = self.patient(run)?;
        let from = match &retry.from {
            Some(step) => From::Command(named(&patient, step)?.0),
            None => repair::failure(&patient.history.entries),
        };
        let plan = repair::plan(&patient.history, &from, &self.known(&patient, &from));
        let steps = steps(&patient.history.entries, &plan.undone);
        if !steps.is_empty() && !retry.confirmed {
            return Err(Error::Confirm { run, steps });
        }
        let mut notes = Vec::new();
        if patient.row.parent.is_some() && patient.row.status.is_final() {
            notes.push("the run that waited for it was told that it failed, and does not change".to_owned());
        }
        if from.position().is_none() && patient.row.status == Status::Failed {
            notes
                .push("no recorded step failed, the script itself threw: on the same version it will again".to_owned());
        }
        let upgrade = self.other_version(&patient.row, &plan, retry.upgrade, &mut notes)?;
        let repair = Repair { cut: Some(plan.cut.clone()), ..self.repair(Repaired::Retry, deed) };
        self.opening(patient, &plan, &repair, upgrade, notes, from.position(), false)
    }

    fn plan_result(&self, run: RunId, step: &str, value: Option<Payload>, deed: &Deed) -> Result<Opening, Error> {
        let patient = self.patient(run)?;
        let (position, name) = named(&patient, step)?;
        let entries = &patient.history.entries;
        let status = patient.row.status;
        if let Some(n) = repair::closing(entries, &position)
            && (matches!(entries[n].outcome, Some(Ok(_))) || !status.is_final())
        {
            let why = format!(
                "`{name}` has an outcome, which never changes; hint: `panta fork {run} --at {step} --set VALUE`"
            );
            return Err(Error::NotNow { run, status, why });
        }
        let from = From::Command(position.clone());
        let plan = repair::plan(&patient.history, &from, &self.known(&patient, &from));
        let undone = steps(entries, &plan.undone.iter().filter(|one| **one != position).cloned().collect::<Vec<_>>());
        if !undone.is_empty() {
            let why = format!(
                "its failure undid {}, so it cannot go on from there; hint: `panta retry {run}` does them again",
                undone.join(", ")
            );
            return Err(Error::NotNow { run, status, why });
        }
        let done = if value.is_some() { Repaired::SetResult } else { Repaired::Skip };
        let result = Some((position.clone(), value.unwrap_or_default()));
        let repair = Repair { cut: Some(plan.cut.clone()), result, ..self.repair(done, deed) };
        let stays_paused = status == Status::Paused;
        self.opening(patient, &plan, &repair, None, Vec::new(), Some(position), stays_paused)
    }

    /// What the store knows of tasks and children that the run had begun.
    fn known(&self, patient: &Patient, from: &From) -> Known {
        let mut known = Known { undone: patient.undone.clone(), ..Known::default() };
        let entries = &patient.history.entries;
        for entry in entries.iter().filter(|entry| entry.phase == Phase::Opened) {
            let detail = entry.detail.as_ref().map(Payload::to_json).unwrap_or_default();
            let is_open = repair::closing(entries, &entry.position).is_none();
            let is_there = match entry.kind {
                Kind::Task => {
                    detail["task"].as_str().and_then(|id| id.parse().ok()).is_some_and(|id| self.is_of_use(id))
                }
                Kind::Child => {
                    let child = detail["run"].as_str().and_then(|id| id.parse::<RunId>().ok());
                    child.is_some_and(|child| self.goes_on_or_completed(child))
                }
                _ => continue,
            };
            if is_open && !is_there {
                known.lost.insert(entry.position.clone());
            }
            known.child_stands |=
                is_there && entry.kind == Kind::Child && from.position().as_ref() == Some(&entry.position);
        }
        known
    }

    fn is_of_use(&self, id: TaskId) -> bool {
        let open = |task: &task::Task| matches!(task.status, task::Status::Open | task::Status::Answered);
        self.shared.store.task(id).ok().flatten().is_some_and(|task| open(&task))
    }

    fn goes_on_or_completed(&self, child: RunId) -> bool {
        let newest = self.shared.store.newest(child).ok().flatten();
        newest.is_some_and(|row| !row.status.is_final() && row.cancel.is_none() || row.status == Status::Completed)
    }

    /// The live version, where it is wanted and fits; or that there is one.
    fn other_version(
        &self,
        row: &Run,
        plan: &Plan,
        wanted: bool,
        notes: &mut Vec<String>,
    ) -> Result<Option<Arc<Deployed>>, Error> {
        let live = self.shared.deployed(&row.workflow).filter(|live| *live.version() != row.version);
        let Some(live) = live else { return Ok(None) };
        if !wanted {
            notes.push("the file has changed since; hint: `--upgrade` goes on with the new version".to_owned());
            return Ok(None);
        }
        match self.examined(row, plan.kept.clone(), &live.bundle).verdict {
            Verdict::Compatible { .. } => Ok(Some(live)),
            Verdict::Diverges(divergence) => Err(Error::Diverges { run: row.id, divergence: divergence.to_string() }),
            Verdict::Unknown(divergence) => Err(Error::Diverges { run: row.id, divergence }),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one fact of the opening that is made here")]
    fn opening(
        &self,
        patient: Patient,
        plan: &Plan,
        repair: &Repair,
        upgrade: Option<Arc<Deployed>>,
        notes: Vec<String>,
        from: Option<Position>,
        stays_paused: bool,
    ) -> Result<Opening, Error> {
        let Patient { row, history, .. } = patient;
        let bundle = match &upgrade {
            Some(live) => Arc::clone(&live.bundle),
            None => self.sources(&row)?,
        };
        let seen = self.examined(&row, plan.kept.clone(), &bundle);
        let reopen = Reopen {
            run: row.id,
            epoch: row.epoch,
            status: row.status,
            node: Arc::clone(&self.shared.options.node),
            segment: encode_segment(0, &[repair.to_entry()]),
            upgrade: upgrade.map(|live| (live.version().clone(), live.settings_payload())),
            locks: repair::held(&plan.kept, &seen.locks),
            slot: self.gate_of(&row).and_then(|gate| gate.slot).map(|slot| (slot.name, slot.limit)),
            stays_paused,
            then: left::behind(&row, &history.entries, &plan.kept, repair, self.shared.now()),
        };
        let again = steps(&history.entries, &plan.undone);
        let act = format!("run.{}", repair.done.name());
        Ok(Opening { act, reopen, again, notes, from })
    }

    /// What a run of a workflow has to pass to begin.
    fn gate_of(&self, row: &Run) -> Option<Gate> {
        let deployed = self.shared.deployed(&row.workflow).or_else(|| {
            let bundle = (*self.sources(row).ok()?).clone();
            deploy::compile(bundle, &self.shared.options.settings).ok().map(Arc::new)
        })?;
        deployed.gate.of(&deployed, &row.input).ok().flatten().map(|gate| *gate)
    }

    async fn open_again(&self, opening: Opening, deed: &Deed) -> Result<Value, Error> {
        let Opening { act, reopen, again, notes, from } = opening;
        let (run, status) = (reopen.run, reopen.status);
        let details =
            json!({ "from": from.as_ref().map(ToString::to_string), "status": status, "reason": deed.reason });
        match self.act(&deed.by, &act, run, &details, Change::Reopen(Box::new(reopen))).await? {
            Applied::Reopened(_) => {
                let row = self.run(run)?;
                Ok(json!({
                    "run": run, "status": row.status, "from": from.map(|from| from.to_string()), "again": again,
                    "notes": notes,
                }))
            }
            Applied::Skipped { holder } => {
                let why = format!(
                    "a lock that it holds by its journal is held by run {holder} now; hint: try again when it is free"
                );
                Err(Error::NotNow { run, status, why })
            }
            _ => {
                let why = "it has changed in the meantime; hint: look at it, and try again".to_owned();
                Err(Error::NotNow { run, status: self.run(run)?.status, why })
            }
        }
    }

    /// A new run of the same workflow, version and input, whose journal is that of a run up to a step; the step's outcome is
    /// `set`, or it is done anew. Durable when this returns.
    pub async fn fork(&self, run: RunId, at: &str, set: Option<&Value>, deed: &Deed) -> Result<Value, Error> {
        let (handle, at, set, by) =
            (self.clone(), at.to_owned(), set.map(|set| self.value_from_outside(set)), deed.clone());
        let set = set.as_ref().map(Payload::from_json);
        let Copy { row, segments, gate } = self.planned(move || handle.plan_fork(run, &at, set, &by)).await?;
        let id = row.id;
        let details = json!({ "workflow": &*row.workflow, "from": run, "at": row.trigger.to_json()["forked"]["at"], "reason": deed.reason });
        let start = Change::Start { run: Box::new(row), dedupe: None, gate: gate.map(Box::new) };
        let act = Box::new(self.record(&deed.by, "run.fork", id, &details));
        let mut changes = vec![Change::Audit { act, change: Some(Box::new(start)) }];
        changes.extend(segments.into_iter().map(|segment| Change::Append { run: id, epoch: 0, segment }));
        if let Some(Applied::Skipped { holder }) = self.write(changes).await?.first() {
            return Err(Error::Skipped { workflow: self.run(run)?.workflow.to_string(), holder: *holder });
        }
        self.shared.wake(id);
        Ok(json!({ "run": id, "forked_from": run }))
    }

    fn plan_fork(&self, run: RunId, at: &str, set: Option<Payload>, deed: &Deed) -> Result<Copy, Error> {
        let patient = self.patient(run)?;
        let (position, name) = named(&patient, at)?;
        let plan = repair::plan(&patient.history, &From::Command(position.clone()), &Known::default());
        let bundle = self.sources(&patient.row)?;
        let (own, repairs) = copied(&plan.kept);
        let inherited = own.iter().filter(|entry| entry.phase == Phase::Closed && !is_beside(entry)).count();
        let result = set.map(|value| (position.clone(), value));
        let forked = Repair { result, ..self.repair(Repaired::Fork, deed) };
        let row = self.copy_of(&patient.row, &position, &name, inherited);
        let journal = [repairs.clone(), own.clone(), vec![forked.to_entry()]].concat();
        let seen = self.examined(&row, journal, &bundle);
        match seen.verdict {
            Verdict::Compatible { .. } => {}
            Verdict::Diverges(divergence) => {
                return Err(Error::Diverges { run, divergence: divergence.to_string() });
            }
            Verdict::Unknown(divergence) => return Err(Error::Diverges { run, divergence }),
        }
        if !repair::held(&own, &seen.locks).is_empty() {
            let why = format!("it is inside of a lock at `{name}`; hint: fork it at a step before the lock");
            return Err(Error::NotNow { run, status: patient.row.status, why });
        }
        let segments = [repairs, own, vec![forked.to_entry()]].into_iter().filter(|entries| !entries.is_empty());
        let gate = self.gate_of(&patient.row);
        let segments = segments.map(|entries| encode_segment(0, &entries)).collect();
        Ok(Copy { row, segments, gate })
    }

    fn copy_of(&self, from: &Run, position: &Position, name: &str, inherited: usize) -> Run {
        let now = self.shared.now();
        let mut trigger = from.trigger.to_json();
        // Up to there it lives on the other's chance; of a copy of a copy, on the first one's as far as that goes.
        let forked = json!({ "run": from.id, "at": name, "position": position.to_string(), "inherited": inherited });
        if let Some(fields) = trigger.as_object_mut() {
            fields.insert("forked".to_owned(), forked);
        } else {
            trigger = json!({ "kind": "hand", "forked": forked });
        }
        let mut mailbox = from.mailbox.as_ref().map(Mailbox::from_payload).unwrap_or_default();
        mailbox.since.get_or_insert(from.created_at);
        let like = match self.shared.deployed(&from.workflow) {
            Some(deployed) => new_run(&self.shared, &deployed, from.id, Payload::unit(), &Value::Null, None),
            None => Run { sla: None, ..from.clone() },
        };
        let id = (self.shared.options.new_run)();
        Run {
            settings: from.settings.clone(),
            trigger: Payload::from_json(&trigger),
            mailbox: Some(mailbox.to_payload()),
            priority: like.priority,
            sla: like.sla,
            ..Run::accepted(id, like.workflow, from.version.clone(), from.input.clone(), now)
        }
    }
}

/// What of a journal goes into a copy: outcomes, without what only had begun; and those results that people have set which
/// are among them.
fn copied(kept: &[Entry]) -> (Vec<Entry>, Vec<Entry>) {
    let own = kept.iter().filter(|entry| entry.kind != Kind::Repair);
    let own: Vec<_> = own.filter(|entry| entry.phase != Phase::Opened || entry.kind == Kind::Start).cloned().collect();
    let is_there = |(position, _): &(Position, Payload)| {
        own.iter().any(|entry| until::is_step(entry) && entry.position == *position)
    };
    let set = kept.iter().filter_map(Repair::from_entry).filter(|repair| repair.result.as_ref().is_some_and(is_there));
    let set = set.map(|repair| Repair { cut: None, ..repair }.to_entry()).collect();
    (own, set)
}

/// Outside of the order.
fn is_beside(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Start | Kind::Log | Kind::Repair)
}

fn named(patient: &Patient, step: &str) -> Result<(Position, Arc<str>), Error> {
    let found = repair::named(step, &patient.history.entries, &patient.open);
    found.map_err(|error| match error {
        retrace::Error::UnknownStep(what) | retrace::Error::Broken(what) => Error::UnknownStep(what),
    })
}

fn may_be_retried(row: &Run) -> Result<(), Error> {
    match row.status {
        Status::Failed | Status::Cancelled | Status::TimedOut | Status::Quarantined | Status::Diverged => Ok(()),
        Status::Completed => {
            let why = format!(
                "nothing of it failed; hint: `panta fork {} --at STEP` makes a copy that goes on from a step",
                row.id
            );
            Err(Error::NotNow { run: row.id, status: row.status, why })
        }
        status => {
            let why = "it has not ended; hint: `panta cancel` ends it, `panta skip` leaves a step out".to_owned();
            Err(Error::NotNow { run: row.id, status, why })
        }
    }
}

/// The names of commands, as they are recorded.
fn steps(entries: &[Entry], positions: &[Position]) -> Vec<String> {
    let is_it = |entry: &&Entry, position: &Position| until::is_step(entry) && entry.position == *position;
    let name = |position: &Position| entries.iter().find(|entry| is_it(entry, position)).map(|e| e.name.to_string());
    let names: BTreeSet<_> = positions.iter().filter_map(name).collect();
    names.into_iter().collect()
}
