//! What a run in motion asks of this engine at once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::announce::announcements;
use super::causes;
use super::hands::Mocks;
use super::links::EventLink;
use super::log::Item;
use super::notification::{About, Notification};
use super::secrets;
use super::shared::{Begun, Notice, Shared, held};
use crate::effect::{self, Allow, Performer};
use crate::host::session::{Act, Batch, ChildStart, Reservation, Reserved, World};
use crate::id::RunId;
use crate::journal::{Position, encode_segment};
use crate::payload::Payload;
use crate::script::memory;
use crate::script::secret::{Marks, SecretRef};
use crate::store::{Change, Dedupe, Event, PROGRESS, Run, Status};
use crate::time::Timestamp;
use crate::trace::{SpanId, Trace};

/// Repeats of an event's id are dropped that long.
pub(super) const EVENT_REPEATS: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// The surroundings of one run in motion.
pub(super) struct RunWorld {
    pub(super) shared: Arc<Shared>,
    pub(super) run: RunId,
    pub(super) workflow: Arc<str>,
    /// Whose events it sees: its own, or those of its chain.
    pub(super) mailbox: RunId,
    pub(super) epoch: u64,
    pub(super) performer: Performer,
    pub(super) allow: Rc<Allow>,
    /// How many runs started each other until this one, and when it was accepted.
    pub(super) depth: (u32, Timestamp),
    /// The trace to which it belongs.
    pub(super) trace: Trace,
    /// What answers in place of the outside, in tests.
    pub(super) mocks: Option<Rc<dyn Mocks>>,
    /// The number of the last item that this run has in the log.
    pub(super) written: Cell<u64>,
    /// Nothing new is begun.
    pub(super) halted: Cell<bool>,
}

impl Marks for RunWorld {
    fn mark(&self, secret: &SecretRef) -> String {
        secrets::mark_in(&self.shared.options.secrets, self.run, secret)
    }
}

impl World for RunWorld {
    fn prepare(&self, request: &effect::Request) -> Result<Option<String>, effect::Failure> {
        let stands_in = |mocks: &Rc<dyn Mocks>| !mocks.performs_some() || mocks.is_prepared(&self.workflow, request);
        if self.mocks.as_ref().is_some_and(stands_in) {
            return Ok(None);
        }
        self.performer.prepare(request, &self.allow)
    }

    fn config(&self, name: &str) -> Option<Payload> {
        self.shared.options.settings.get(name)
    }

    fn state(&self, key: &str) -> Result<(Option<Payload>, u64), String> {
        if let Some(mocks) = &self.mocks {
            memory::uncounted(|| mocks.looks_at(&self.workflow, key));
        }
        self.shared.state(&self.workflow, key)
    }

    fn set_state(&self, key: &str, expected: Option<u64>, value: Option<Payload>, flush: &mut dyn FnMut()) -> bool {
        self.shared.set_state(&self.workflow, key, expected, value, flush)
    }

    fn reserve(&self, wanted: &Reservation<'_>, record: &mut Reserved<'_>) -> Result<(), String> {
        self.shared.reserve(wanted, record)
    }

    fn may_skip(&self, workflow: &str) -> bool {
        self.shared.deployed(workflow).is_some_and(|deployed| deployed.gate.may_skip())
    }

    fn append(&self, batch: Batch) {
        // The bytes leave the run: they are freed by the log.
        let number = memory::uncounted(|| {
            let done = self.shown(&batch);
            let changes = self.changes(&batch);
            self.shared.log.send(Item { changes, done })
        });
        self.written.set(number);
    }

    fn accepts(&self, workflow: &str, input: &Payload) -> Result<(), Payload> {
        let Some(deployed) = self.shared.deployed(workflow) else {
            let registry = self.shared.registry.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            let hint = crate::diag::suggest::nearest(workflow, registry.keys().map(|name| &**name))
                .map(|near| format!("; hint: did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(error("not_found", &format!("there is no workflow `{workflow}`{hint}"), &json!(null)));
        };
        let accepted = deployed.accept(&input.to_data()).map_err(|faults| {
            let listed: Vec<_> =
                faults.iter().map(|fault| json!({ "path": fault.path, "message": fault.message })).collect();
            let first = faults.first().map(|f| format!("{}: {}", f.path, f.message)).unwrap_or_default();
            error("invalid", &format!("the input does not fit workflow `{workflow}`: {first}"), &json!(listed))
        })?;
        let gate = deployed.gate.of(&deployed, &accepted);
        gate.map(drop).map_err(|problem| error("invalid", &problem, &json!(null)))
    }

    fn may_start(&self, at: Option<Timestamp>) -> Result<(), Payload> {
        let problem = causes::too_deep(self.deeper(at.unwrap_or_else(|| self.shared.now())), "the start");
        problem.map_or(Ok(()), |problem| Err(self.refused(&problem)))
    }

    fn may_emit(&self, name: &str) -> Result<(), Payload> {
        let problem = causes::too_deep(self.deeper(self.shared.now()), &format!("the event `{name}`"));
        match problem.filter(|_| causes::starts_something(&self.shared, name)) {
            Some(problem) => Err(self.refused(&problem)),
            None => Ok(()),
        }
    }

    fn known_people(&self, names: &[Arc<str>]) -> Result<(), String> {
        self.shared.options.people.known(names)
    }

    fn known_channel(&self, name: &str) -> Result<(), String> {
        self.shared.options.channels.known(name, &self.shared.options.people)
    }

    fn event_url(&self, name: &str, key: Option<&str>, expires: Option<Timestamp>) -> Result<String, String> {
        let link = EventLink { name: name.to_owned(), key: key.map(str::to_owned), expires };
        self.shared.options.links.event(&link)
    }

    fn status(&self, run: RunId) -> Result<Option<&'static str>, String> {
        // Asked first: a start that becomes durable in between is in the store then.
        let starting = held(&self.shared.starting).contains_key(&run);
        let row = self.shared.store.newest(run).map_err(|e| e.to_string())?;
        Ok(row.map(|run| run.status.name()).or(starting.then_some(Status::Queued.name())))
    }

    fn begun(&self, name: &str, position: &crate::journal::Position, line: u32) {
        if let Some(mocks) = &self.mocks {
            memory::uncounted(|| mocks.begun(&self.workflow, name));
        }
        if self.shared.watching.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            let begun = Begun { run: self.run, name: name.into(), position: position.clone(), line };
            self.shared.notify(Notice::Begun(begun));
        }
    }

    fn new_run(&self) -> RunId {
        (self.shared.options.new_run)()
    }

    fn is_halted(&self) -> bool {
        self.halted.get()
    }

    fn watches_calls(&self) -> bool {
        self.mocks.is_some()
    }

    fn stands_for_step(&self, name: &str) -> bool {
        self.mocks.as_ref().is_some_and(|mocks| mocks.stands_for_step(name))
    }
}

fn error(kind: &str, message: &str, faults: &serde_json::Value) -> Payload {
    Payload::from_json(&json!({ "kind": kind, "message": message, "retryable": false, "faults": faults }))
}

impl RunWorld {
    /// The depth of what this run starts at that time.
    pub(super) fn deeper(&self, at: Timestamp) -> u32 {
        causes::deeper(self.depth.0, self.depth.1, at)
    }

    /// The trace of what this run starts.
    pub(super) fn inherited(&self) -> Trace {
        self.trace.under(SpanId::of_run(self.run))
    }

    /// What requests of this run bear: the same on every replay.
    pub(super) fn trace_headers(&self, position: Option<&Position>, attempt: u32) -> effect::TraceHeaders {
        let span = match position {
            Some(position) => SpanId::of_attempt(self.run, &position.to_string(), attempt),
            None => SpanId::of_run(self.run),
        };
        effect::TraceHeaders { parent: self.trace.header(span), state: self.trace.state.clone() }
    }

    /// Says something in the daemon's log.
    pub(super) fn warn(&self, what: &str) {
        tracing::warn!(run = %self.run, workflow = %self.workflow, trace = %self.trace.id, "{what}");
    }

    /// The error of a start that would make the chain too long; said in the log, too.
    fn refused(&self, problem: &str) -> Payload {
        tracing::error!(run = %self.run, workflow = %self.workflow, trace = %self.trace.id, "{problem}");
        error("limit", problem, &json!(null))
    }

    /// What a batch of this run writes.
    pub(super) fn changes(&self, batch: &Batch) -> Vec<Change> {
        self.shared.metrics.appended(&batch.entries);
        let mut changes = Vec::with_capacity(1 + batch.acts.len());
        if !batch.entries.is_empty() {
            let segment = encode_segment(batch.first, &batch.entries);
            changes.push(Change::Append { run: self.run, epoch: self.epoch, segment });
        }
        let mut told = Vec::new();
        for act in batch.acts.iter().cloned() {
            match act {
                Act::Notify { id, channel, title, text } => told.push(self.message(id, channel, title, text)),
                act => self.add(act, &mut changes),
            }
        }
        // What a script tells is kept with the entries of its calls, which come first.
        debug_assert!(told.is_empty() || !batch.entries.is_empty(), "an act comes with its entry");
        if !told.is_empty() {
            let entries = self.shared.telling(changes.remove(0), told);
            changes.insert(0, entries);
        }
        changes
    }

    fn message(&self, id: Arc<str>, channel: Arc<str>, title: String, text: String) -> Notification {
        Notification {
            id,
            channel,
            workflow: Arc::clone(&self.workflow),
            run: self.run,
            about: About::Message,
            title,
            text,
            at: self.shared.now(),
            task: None,
            count: 1,
        }
    }

    fn add(&self, act: Act, changes: &mut Vec<Change>) {
        match act {
            Act::Start(start) => {
                held(&self.shared.starting).insert(start.run, None);
                changes.extend(self.start(&start));
            }
            Act::Cancel { run, reason } => changes.push(Change::Cancel { run, reason }),
            Act::Emit { id, name, key, payload } => {
                let now = self.shared.now();
                let event = Event { seq: 0, id, name, key, payload, run: None, at: now };
                changes.extend(causes::emission(&self.shared, event, self.deeper(now), Some(&self.inherited())));
            }
            Act::Unlock { ticket } => {
                changes.push(Change::ReleaseSlot { run: self.run, epoch: self.epoch, ticket });
            }
            Act::Rate { name, value } => changes.push(super::locks::kept(name, value)),
            Act::Notify { .. } => unreachable!("what a script tells goes with the entries"),
            Act::OpenTask(task) => {
                let told = announcements(&self.shared, &task, None);
                changes.push(self.shared.telling(Change::OpenTask { epoch: self.epoch, task }, told));
            }
            Act::CloseTask { task } => changes.push(Change::CloseTask { task, at: self.shared.now() }),
            Act::Progress(value) => {
                let (scope, key) = (PROGRESS.into(), self.run.to_string().into());
                changes.push(Change::SetState { scope, key, value: Some(value) });
            }
            Act::SetState { key, value } => {
                changes.push(Change::SetState { scope: Arc::clone(&self.workflow), key, value });
            }
        }
    }

    /// What this run hands to another one.
    pub(super) fn handed(&self, to: RunId, payload: Payload) -> Payload {
        secrets::handed(&self.shared.options.secrets, (self.run, &self.workflow), to, payload)
    }

    /// The start of another run by this one.
    pub(super) fn start(&self, start: &ChildStart) -> Option<Change> {
        let deployed = self.shared.deployed(&start.workflow)?;
        let given = self.handed(start.run, start.input.clone());
        let input = deployed.accept(&given.to_data()).unwrap_or(given);
        let gate = deployed.gate.of(&deployed, &input).unwrap_or_else(|problem| {
            tracing::warn!(
                run = %start.run, workflow = %start.workflow, trace = %self.trace.id,
                "the run starts without what its workflow declares: {problem}"
            );
            None
        });
        let now = self.shared.now();
        let later = start.at.filter(|at| *at > now);
        let depth = self.deeper(later.unwrap_or(now));
        let mut trigger = json!({ "kind": "workflow", "run": self.run, "workflow": &*self.workflow });
        if depth > 0 {
            trigger["depth"] = depth.into();
        }
        self.inherited().keep_in(&mut trigger);
        let (workflow, version) = (Arc::clone(&start.workflow), deployed.version().clone());
        let run = Run {
            settings: deployed.settings_payload(),
            status: if later.is_some() { Status::Queued } else { Status::Running },
            trigger: Payload::from_json(&trigger),
            parent: start.attached.then_some(self.run),
            key: start.key.clone(),
            priority: start.priority.unwrap_or(deployed.priority),
            started_at: later.is_none().then_some(now),
            waiting_for: if later.is_some() { "its time".into() } else { "".into() },
            wake_at: later,
            ready: later.is_none(),
            owner: later.is_none().then(|| Arc::clone(&self.shared.options.node)),
            epoch: 1,
            sla: deployed.terms.sla_of_run(now),
            ..Run::accepted(start.run, workflow, version, input, now)
        };
        let dedupe = start.key.as_ref().map(|key| Dedupe {
            scope: format!("workflow:{}", start.workflow).into(),
            key: Arc::clone(key),
            input: crate::host::session::hash_text(start.input.text()),
            until: start.within.map(|within| now.plus(within)),
        });
        Some(Change::Start { run: Box::new(run), dedupe, gate })
    }
}
