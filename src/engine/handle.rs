//! The engine as others see it: starting it, and acting on workflows, runs and events.

mod actions;
mod acts;
mod growth;
mod holding;
mod repairs;
mod repeats;
mod settling;
mod tasks;

pub use actions::{Action, Chosen};
pub use holding::Deed;
pub use repairs::Retry;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::decide::{Decision, Received, decide};
use super::deploy::{Deployed, TriggerSpec};
use super::gather::Waiting;
use super::lethal::{Lethal, Ward};
use super::log::{Item, Log};
use super::options::Options;
use super::outside::{event_from_outside, trace_from_outside};
use super::secrets::searched;
use super::semantics::{self, settle_family};
use super::shared::{AfterCommit, Notice, Shared, held};
use super::surroundings::Settings;
use super::{causes, charges, gather, timekeeper, worker};
use crate::audit::Actor;
use crate::host::schema::Fault;
use crate::host::session::hash_text;
use crate::id::{RunId, TaskId};
use crate::journal::Entry;
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::store::{Applied, Change, Dedupe, Event, Run, RunFilter, Status, Store};
use crate::task::Task;
use crate::time::Clock;
use crate::trace::Trace;
use crate::vault::Vault;

pub use acts::verify_audit;
pub use growth::{Growth, Reached};

/// Between two looks whether the log has room again: a few commits.
const CROWDED_PAUSE: Duration = Duration::from_millis(2);

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such workflow.
    #[error("there is no workflow `{name}`{hint}")]
    UnknownWorkflow {
        /// As asked for.
        name: String,
        /// `; hint: did you mean …?` or empty.
        hint: String,
    },
    /// The input does not fit.
    #[error("the input does not fit the workflow: {}", .0.first().map(|f| format!("{}: {}", f.path, f.message)).unwrap_or_default())]
    Input(Vec<Fault>),
    /// The key was used with another input.
    #[error("the key `{key}` started run {run} with another input; hint: use another key, or the same input")]
    KeyConflict {
        /// The key.
        key: String,
        /// What it started.
        run: RunId,
    },
    /// Others of it run, and `concurrency` says `skip`.
    #[error("skipped: run {holder} of `{workflow}` is there already")]
    Skipped {
        /// The workflow.
        workflow: String,
        /// The run that has its slot, or waits for it.
        holder: RunId,
    },
    /// A closure of the declaration cannot say what the start needs.
    #[error("{0}")]
    Closure(String),
    /// Nobody holds it.
    #[error("nobody holds the lock `{0}`; hint: `panta why RUN` names the lock that a run waits for")]
    NotLocked(String),
    /// A run that goes on by itself holds it.
    #[error(
        "the lock `{name}` is held by run {run}, which is {status}; hint: cancel the run, or force it: what the run does would no longer be alone",
        status = .status.name()
    )]
    LockInUse {
        /// As asked for.
        name: String,
        /// Who holds it.
        run: RunId,
        /// How that is.
        status: Status,
    },
    /// No such run.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// It has ended.
    #[error("run {0} has ended already ({status})", status = .1.name())]
    Ended(RunId, Status),
    /// It is in a state in which that cannot be done.
    #[error("run {run} is {status}: {why}", status = .status.name())]
    NotNow {
        /// The run.
        run: RunId,
        /// Where it stands.
        status: Status,
        /// Why not, and what to do.
        why: String,
    },
    /// Steps would be done once more that were undone: it has to be confirmed.
    #[error("these steps were undone, and would be done again, with new idempotency keys: {}; hint: confirm it with `--yes`, or `\"confirm\": true`", .steps.iter().map(|step| format!("`{step}`")).collect::<Vec<_>>().join(", "))]
    Confirm {
        /// The run.
        run: RunId,
        /// Names of the steps.
        steps: Vec<String>,
    },
    /// What is recorded does not fit the version that it is to go on with.
    #[error("run {run} cannot go on so: {divergence}")]
    Diverges {
        /// The run.
        run: RunId,
        /// Both sides with their lines.
        divergence: String,
    },
    /// The run has no such step: what it has.
    #[error("{0}")]
    UnknownStep(String),
    /// It does not come to rest.
    #[error("run {0} is busy; hint: try again when it waits, or pause it first")]
    Busy(RunId),
    /// No such task.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// It was answered or closed before: this is how.
    #[error("{}", task_over(.0))]
    TaskOver(Box<Task>),
    /// The answer does not fit: the faults, by their paths.
    #[error("the answer does not fit the task: {}", crate::host::schema::sentence(.0))]
    Answer(Vec<Fault>),
    /// No such token.
    #[error("there is no token `{0}`; hint: `panta token list` shows them")]
    UnknownToken(String),
    /// A token that cannot be made: why.
    #[error("{0}")]
    BadToken(String),
    /// This person may not answer.
    #[error("{0}")]
    MayNotAnswer(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    /// The engine has stopped.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
}

/// How a task ended, in words.
fn task_over(task: &Task) -> String {
    let at = task.ended_at.unwrap_or_default();
    let answer = task.answer.as_ref().map(Payload::to_json).unwrap_or_default();
    match task.status {
        crate::task::Status::Answered => {
            let by = answer["by"].as_str().map(|by| format!(" by `{by}`")).unwrap_or_default();
            let choice = answer["choice"].as_str().map(|choice| format!(": {choice}")).unwrap_or_default();
            format!("task {} was answered{by} at {at}{choice}", task.id)
        }
        status => format!("task {} is over since {at} ({})", task.id, status.name()),
    }
}

/// A start as asked for from outside.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The input, plain JSON.
    pub input: Value,
    /// A repeat is answered with the first run.
    pub key: Option<String>,
    /// What the key belongs to; the workflow unless said otherwise.
    pub key_scope: Option<String>,
    /// How long the key counts; `None`: as long as the run is kept.
    pub within: Option<Duration>,
    /// What started it: `#{ kind, … }`.
    pub trigger: Value,
    /// The id to use, given by the caller so that it is known before.
    pub run: Option<RunId>,
    /// Where it stands among others; that of the workflow unless given.
    pub priority: Option<i32>,
    /// Who starts it by hand: shown as `by` of its trigger, and kept in the audit log. `None`: a trigger, or the engine itself.
    pub by: Option<Actor>,
}

/// What came of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// It was not emitted before.
    pub fresh: bool,
    /// Its place in the order of all events, or that of the first with its id.
    pub seq: u64,
    /// Runs that it started.
    pub started: Vec<RunId>,
    /// Runs that waited for such an event, and look at it now.
    pub woken: Vec<RunId>,
}

/// What came of a start. It is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// False: the key had started it before.
    pub fresh: bool,
}

/// A running engine. Dropping it stops it without a trace: everything acknowledged is durable.
pub struct Engine {
    handle: Handle,
    threads: Vec<std::thread::JoinHandle<()>>,
    log: Option<std::thread::JoinHandle<()>>,
}

/// What others hold of an engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Engine {
    /// Starts the threads. Nothing runs until [`Handle::recover`] or a start.
    pub fn start(store: Arc<dyn Store>, options: Options) -> Self {
        let (log, spawn_log) = Log::start(Arc::clone(&store));
        let (inboxes, outboxes): (Vec<_>, Vec<_>) =
            (0..options.workers.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
        let shared = Shared::new(store, log, options, inboxes.clone());
        let log = spawn_log(Box::new(AfterCommit::new(&shared)));
        // Before any thread that claims runs.
        semantics::hold_back(&shared);
        Lethal::load(&shared);
        let mut threads = Vec::new();
        for (number, (inbox, messages)) in inboxes.into_iter().zip(outboxes).enumerate() {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            threads.push(
                thread.spawn(move || worker::run(number, &shared, inbox, messages)).expect("the system gives a thread"),
            );
        }
        let gatherer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("gather".into());
        threads.push(thread.spawn(move || gather::run(&gatherer)).expect("the system gives a thread"));
        let keeper = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("timekeeper".into());
        threads.push(thread.spawn(move || timekeeper::run(&keeper)).expect("the system gives a thread"));
        Self { handle: Handle { shared }, threads, log: Some(log) }
    }

    /// What others hold.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops: runs in motion are dropped where they are, what is in the log is written.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        let shared = &self.handle.shared;
        shared.closing.store(true, Ordering::Relaxed);
        for worker in &shared.workers {
            let _ = worker.send(worker::Message::Close);
        }
        shared.timeline.wake();
        shared.gathered.wake();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        shared.settling.join();
        shared.log.close();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Handle {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Takes up what an earlier process left: runs that can go on. Returns how many. Where they are to be tried under this
    /// release's semantics first, that is none, and they follow when that is done: see [`Handle::settling`].
    pub fn recover(&self) -> Result<usize, Error> {
        self.shared.gathered.load(&*self.shared.store)?;
        charges::follow_up(&self.shared)?;
        self.shared.holds.load(&*self.shared.store)?;
        self.shared.tell_of_lethal();
        Ok(semantics::take_up(&self.shared)?)
    }

    /// Takes up one run that an earlier process left, with the open runs that it waits for.
    pub fn take_up(&self, run: RunId) -> Result<(), Error> {
        let statuses = Status::ALL.into_iter().filter(|status| !status.is_final()).collect();
        let filter = RunFilter { statuses, limit: usize::MAX, ..RunFilter::default() };
        let mut family = vec![run];
        // Newest first: turned round, a parent comes before its children.
        for row in self.shared.store.runs(&filter)?.iter().rev() {
            if row.parent.is_some_and(|parent| family.contains(&parent)) {
                family.push(row.id);
            }
        }
        settle_family(&self.shared, &family)?;
        family.iter().for_each(|run| self.shared.own(*run));
        self.shared.claim(family);
        Ok(())
    }

    /// Makes a workflow known, or its new version; runs in motion keep theirs.
    pub fn deploy(&self, deployed: Deployed) {
        let bundle = Arc::clone(&deployed.bundle);
        let deployed = Deployed { ward: Ward::of(&self.shared), ..deployed };
        self.shared.keep_bundle(&bundle);
        let change = Change::PutBundle { version: bundle.version.clone(), bytes: bundle.to_stored() };
        let renews = deployed.terms.upgrades.then(|| Arc::clone(&deployed.name));
        let mut registry = self.shared.registry.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Under the lock: what removes versions that are not live looks at it, too.
        self.shared.log.send(Item { changes: vec![change], done: None });
        registry.insert(Arc::clone(&deployed.name), Arc::new(deployed));
        drop(registry);
        self.shared.gathered.wake();
        if let Some(workflow) = renews {
            self.shared.renewals.add(&workflow);
            self.shared.timeline.wake();
        }
        self.shared.deployments.send_modify(|count| *count += 1);
    }

    /// Forgets a workflow: it cannot be started any more; its open runs finish.
    pub fn withdraw(&self, workflow: &str) {
        self.shared.registry.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(workflow);
        self.shared.deployments.send_modify(|count| *count += 1);
    }

    /// Changes whenever a workflow is deployed or withdrawn.
    pub fn deployments(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.deployments.subscribe()
    }

    /// The workflows that can be started, by name.
    pub fn workflows(&self) -> Vec<Arc<Deployed>> {
        self.shared.registry.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().cloned().collect()
    }

    /// One workflow.
    pub fn workflow(&self, name: &str) -> Result<Arc<Deployed>, Error> {
        self.shared.deployed(name).ok_or_else(|| {
            let all = self.workflows();
            let hint = crate::diag::suggest::nearest(name, all.iter().map(|w| &*w.name));
            Error::UnknownWorkflow {
                name: name.to_owned(),
                hint: hint.map(|near| format!("; hint: did you mean `{near}`?")).unwrap_or_default(),
            }
        })
    }

    /// Starts a run. It is durable when this returns.
    pub async fn start(&self, workflow: &str, start: Start) -> Result<Started, Error> {
        let deployed = self.workflow(workflow)?;
        let (by, own_id) = (start.by.clone(), start.run.is_none());
        let change = self.start_change(&deployed, start)?;
        let Change::Start { run, dedupe, .. } = &change else { unreachable!("a start was made") };
        let (id, key) = (run.id, dedupe.as_ref().map(|d| d.key.to_string()));
        let change = match by {
            Some(by) => {
                let details = json!({ "workflow": workflow, "key": key });
                let act = Box::new(self.record(&by, "run.start", id, &details));
                Change::Audit { act, change: Some(Box::new(change)) }
            }
            None => change,
        };
        let applied = if own_id { self.write_start(change).await? } else { self.write(vec![change]).await?.pop() };
        match &applied {
            Some(Applied::Repeated { run, same_input: true }) => Ok(Started { run: *run, fresh: false }),
            Some(Applied::Repeated { run, .. }) => Err(Error::KeyConflict { key: key.unwrap_or_default(), run: *run }),
            Some(Applied::Skipped { holder }) => Err(Error::Skipped { workflow: workflow.to_owned(), holder: *holder }),
            _ => Ok(Started { run: id, fresh: true }),
        }
    }

    /// What comes from outside holds no secret's value, and nothing that would stand for one.
    fn cleaned(&self, start: Start) -> Start {
        let search = self.shared.options.secrets.search();
        let (input, trigger) = (searched(&search, start.input), searched(&search, start.trigger));
        let key = start.key.map(|key| match searched(&search, Value::String(key)) {
            Value::String(key) => key,
            other => other.to_string(),
        });
        Start { input, key, trigger, ..start }
    }

    fn start_change(&self, deployed: &Deployed, start: Start) -> Result<Change, Error> {
        let start = self.cleaned(start);
        let input = deployed.accept(&start.input).map_err(Error::Input)?;
        let id = start.run.unwrap_or_else(|| (self.shared.options.new_run)());
        let mut trigger = if start.trigger.is_null() { json!({ "kind": "hand" }) } else { start.trigger };
        if let (Some(by), Some(trigger)) = (&start.by, trigger.as_object_mut()) {
            trigger.insert("by".to_owned(), by.to_string().into());
        }
        let now = self.shared.now();
        let scope = start.key_scope.unwrap_or_else(|| format!("workflow:{}", deployed.name));
        let dedupe = start.key.as_ref().map(|key| Dedupe {
            scope: scope.into(),
            key: key.as_str().into(),
            input: hash_text(input.text()),
            until: start.within.map(|within| now.plus(within)),
        });
        let gate = deployed.gate.of(deployed, &input).map_err(Error::Closure)?;
        let mut run = new_run(&self.shared, deployed, id, input, &trigger, start.key.as_deref());
        run.priority = start.priority.unwrap_or(run.priority);
        Ok(Change::Start { run: Box::new(run), dedupe, gate })
    }

    /// Emits an event: wakes what waits for it, starts what it triggers. Durable when this returns.
    /// Answers its place in the order, and the runs that it started; a repeated id starts none.
    pub async fn emit(&self, event: Event) -> Result<Emitted, Error> {
        self.emit_traced(event, None).await
    }

    /// The same; what it starts belongs to this trace.
    pub async fn emit_traced(&self, event: Event, trace: Option<Trace>) -> Result<Emitted, Error> {
        let shared = Arc::clone(&self.shared);
        let event = event_from_outside(&shared.options.secrets, event);
        let trace = trace.map(|trace| trace_from_outside(&shared.options.secrets, trace));
        let changes = if causes::asks_closures(&shared, &event.name) {
            let work = move || causes::emission(&shared, event, 0, trace.as_ref());
            self.aside(work).await.ok_or_else(|| Error::Stopped("an internal error; hint: see the log".to_owned()))?
        } else {
            causes::emission(&shared, event, 0, trace.as_ref())
        };
        let ids: Vec<_> = changes.iter().filter_map(started_run).collect();
        let applied = self.write(changes).await?;
        let Some(Applied::Emitted { fresh, woken, seq }) = applied.first() else { return Err(self.stopped()) };
        let started = applied[1..].iter().zip(ids).filter(|(a, _)| is_accepted(a)).map(|(_, id)| id).collect();
        Ok(Emitted { fresh: *fresh, seq: *seq, started, woken: woken.clone() })
    }

    /// What the closures of a trigger make of what it received, without holding up this thread; see [`decide`].
    pub async fn decide(
        &self,
        deployed: &Arc<Deployed>,
        spec: &TriggerSpec,
        received: Received,
    ) -> Result<Decision, String> {
        let (deployed, spec) = (Arc::clone(deployed), spec.clone());
        if spec.closures.is_empty() {
            return decide(&deployed, &spec, received);
        }
        let asked = self.aside(move || decide(&deployed, &spec, received)).await;
        let decided = asked.unwrap_or_else(|| Err("an internal error; hint: see the log".to_owned()));
        // What went wrong may quote what was received.
        decided.map_err(|problem| self.text_from_outside(&problem))
    }

    /// Why this trigger's closures are not asked for some seconds, if they are not: one ran into its limit over something
    /// else. What is to be decided waits.
    pub fn rests(&self, workflow: &str, spec: &TriggerSpec) -> Option<String> {
        let asks = !spec.closures.is_empty();
        asks.then(|| self.workflow(workflow).ok())
            .flatten()
            .and_then(|deployed| super::closures::rests(&deployed, &spec.id))
    }

    /// Does what asks closures on another thread; `None`: it panicked.
    pub(super) async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if tokio::runtime::Handle::try_current().is_err() {
            // Driven inline, where there is one thread.
            return Some(work());
        }
        let _permit = self.shared.asking.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// What is gathered for a workflow's triggers, and has not started a run yet.
    pub fn gathered(&self, deployed: &Arc<Deployed>) -> Vec<Waiting> {
        self.shared.gathered.waiting(deployed)
    }

    /// Asks a run to end, or the newest of its chain. Its compensations and clean-ups run first.
    pub async fn cancel(&self, run: RunId, reason: &str, by: &Actor) -> Result<(), Error> {
        let row = self.newest(run)?;
        if row.status.is_final() {
            return Err(Error::Ended(row.id, row.status));
        }
        let reason = self.text_from_outside(reason);
        let details = json!({ "workflow": &*row.workflow, "reason": reason });
        let reason = Payload::from_json(&json!({ "kind": "cancelled", "message": reason }));
        match self.act(by, "run.cancel", run, &details, Change::Cancel { run, reason }).await? {
            Applied::Refused => {
                let row = self.newest(run)?;
                Err(Error::Ended(row.id, row.status))
            }
            _ => Ok(()),
        }
    }

    /// The run that goes on in this one's place (`workflow::continue_as`), the newest of its chain; or itself.
    pub fn newest(&self, run: RunId) -> Result<Run, Error> {
        self.shared.store.newest(run)?.ok_or(Error::UnknownRun(run))
    }

    /// Removes finished runs that have expired, and versions that nothing uses any more; with `keep` also runs that ended
    /// longer ago. Returns how many runs. Waits for the disk: call it where blocking is allowed.
    pub fn prune(&self, keep: Option<Duration>) -> usize {
        super::retention::prune(&self.shared, super::retention::Versions::Go, keep)
    }

    /// Writes changes of the daemon's own (trigger states and the like). Durable when this returns.
    pub async fn write(&self, changes: Vec<Change>) -> Result<Vec<Applied>, Error> {
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |applied: &[Applied]| {
            let _ = sender.send(applied.to_vec());
        });
        self.room().await?;
        self.shared.log.send(Item { changes, done: Some(done) });
        receiver.await.map_err(|_| self.stopped())
    }

    /// Waits until the log takes something from outside.
    pub(super) async fn room(&self) -> Result<(), Error> {
        while self.shared.log.is_crowded() && self.shared.trouble().is_none() {
            tokio::time::sleep(CROWDED_PAUSE).await;
        }
        self.shared.trouble().map_or(Ok(()), |problem| Err(Error::Stopped(problem)))
    }

    pub(super) fn stopped(&self) -> Error {
        Error::Stopped(self.shared.trouble().unwrap_or_else(|| "it is being shut down".to_owned()))
    }

    /// Why the engine has stopped by itself, if it has.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Ready when the engine has stopped by itself: why. Whoever waits here, and not for all that happens, costs the runs nothing.
    pub async fn failed(&self) -> String {
        loop {
            let mut noticed = std::pin::pin!(self.shared.failing.notified());
            // Before the look, so that nothing falls in between.
            noticed.as_mut().enable();
            if let Some(trouble) = self.trouble() {
                return trouble;
            }
            noticed.await;
        }
    }

    /// One run.
    pub fn run(&self, run: RunId) -> Result<Run, Error> {
        self.shared.store.run(run)?.ok_or(Error::UnknownRun(run))
    }

    /// Runs, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, Error> {
        Ok(self.shared.store.runs(filter)?)
    }

    /// How many runs of each workflow are in each status.
    pub fn counts(&self) -> Result<Vec<(Arc<str>, Status, u64)>, Error> {
        Ok(self.shared.store.counts()?)
    }

    /// The journal of a run, as it counts now.
    pub fn journal(&self, run: RunId) -> Result<Vec<Entry>, Error> {
        Ok(self.history(run)?.into_entries())
    }

    /// The sources that a run is pinned to.
    pub fn sources(&self, run: &Run) -> Result<Arc<Bundle>, Error> {
        self.shared.bundle(&run.version).map_err(|problem| Error::Store(crate::store::Error::Damaged(problem)))
    }

    /// What happens from now on.
    pub fn watch(&self) -> Watch {
        self.shared.watching.fetch_add(1, Ordering::Relaxed);
        Watch { receiver: self.shared.notices.subscribe(), shared: Arc::clone(&self.shared) }
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Hosts that failed so often that they are not called now, and calls that were refused for it.
    pub fn failing_hosts(&self) -> (u64, u64) {
        self.shared.options.breakers.figures()
    }

    /// Plain settings.
    pub fn settings(&self) -> &Arc<dyn Settings> {
        &self.shared.options.settings
    }

    /// Secrets.
    pub fn secrets(&self) -> &Arc<Vault> {
        &self.shared.options.secrets
    }

    /// Folder of the workflows' own folders.
    pub fn workspace(&self) -> &Path {
        &self.shared.options.workspace
    }

    /// What the engine was started with.
    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// So much is under way that nothing should be taken from outside: whoever asks should come again a moment later.
    pub fn is_overrun(&self) -> bool {
        self.in_motion().0 > self.shared.most_live() || self.shared.log.is_crowded()
    }

    /// The store has no space left: what is acknowledged is kept, and nothing new can be until there is space again.
    pub fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// Keeps why a trigger started nothing.
    pub fn refuse(&self, workflow: &str, trigger: &str, reason: impl Into<String>) {
        let reason = self.text_from_outside(&reason.into());
        self.shared.refusals.note(workflow, trigger, self.shared.now(), reason);
    }

    /// What a run does outside at this moment, the earliest first: `[#{ what, since }]`.
    pub fn under_way(&self, run: RunId) -> Value {
        self.shared.under_way.of(run)
    }

    /// Why a trigger last started nothing since the engine's start.
    pub fn refusal(&self, workflow: &str, trigger: &str) -> Option<super::Refusal> {
        self.shared.refusals.last(workflow, trigger)
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.options.clock
    }

    /// How many runs are in motion, and how often one was put in motion.
    pub fn in_motion(&self) -> (usize, u64) {
        (held(&self.shared.routes).len(), self.shared.activations.load(Ordering::Relaxed))
    }
}

/// Notices as they come.
pub struct Watch {
    receiver: broadcast::Receiver<Notice>,
    shared: Arc<Shared>,
}

impl Watch {
    /// The next one; `None` when some were missed, and what is shown must be read anew.
    pub async fn next(&mut self) -> Option<Notice> {
        self.receiver.recv().await.ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.watching.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn new_run(
    shared: &Shared,
    deployed: &Deployed,
    id: RunId,
    input: Payload,
    trigger: &Value,
    key: Option<&str>,
) -> Run {
    let now = shared.now();
    Run {
        settings: deployed.settings_payload(),
        // It is put in motion as soon as it is durable.
        status: Status::Running,
        trigger: Payload::from_json(trigger),
        key: key.map(Into::into),
        priority: deployed.priority,
        started_at: Some(now),
        owner: Some(Arc::clone(&shared.options.node)),
        epoch: 1,
        sla: deployed.terms.sla_of_run(now),
        ..Run::accepted(id, Arc::clone(&deployed.name), deployed.version().clone(), input, now)
    }
}

fn started_run(change: &Change) -> Option<RunId> {
    match change {
        Change::Start { run, .. } => Some(run.id),
        _ => None,
    }
}

fn is_accepted(applied: &Applied) -> bool {
    matches!(applied, Applied::Started | Applied::Queued { .. })
}
