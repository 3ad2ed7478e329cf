//! A whole engine in virtual time whose runs people repair, and whose process dies at a given write.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::service::{Made, Service};
use crate::audit::Actor;
use crate::engine::people::Given;
use crate::engine::recording::Recorded;
use crate::engine::{
    Action, Chosen, Deed, Deployed, Error, Inline, Mocks, NoSettings, Options, Settings, Start, Tools, VirtualClock,
    compile, verify_audit,
};
use crate::host::schema::Texts;
use crate::id::RunId;
use crate::journal::{Entry, History, Kind, Repair};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::sim::START;
use crate::sim::case::run_of;
use crate::sim::generated::listed;
use crate::store::memory::{Fault, Memory};
use crate::store::{Event, Run, RunFilter, Status, Store, TaskFilter};
use crate::task;
use crate::time::{Clock, Timestamp};

/// Workflows, compiled once for all that happens to them.
pub(super) struct Scripts {
    all: Vec<Deployed>,
    tools: Tools,
}

impl Scripts {
    pub(super) fn new(scripts: &[(&str, &str)]) -> Self {
        Self::with(Tools::new(), scripts).unwrap_or_else(|problem| panic!("{problem}"))
    }

    pub(super) fn with(tools: Tools, scripts: &[(&str, &str)]) -> Result<Self, String> {
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let compiled = |(name, text): &(&str, &str)| {
            let bundle = Bundle::of_text(&format!("{name}.rhai"), text).map_err(|problem| format!("{problem:?}"))?;
            compile(bundle, &settings).map_err(|faults| faults[0].render(crate::diag::Color::Plain))
        };
        Ok(Self { all: scripts.iter().map(compiled).collect::<Result<_, String>>()?, tools })
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// The process dies at this write, from 1 on.
    pub(super) crash: Option<(u64, Fault)>,
    /// Every run leaves memory each time it waits.
    pub(super) evict: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.crash {
            Some((n, Fault::Kept)) => write!(f, "the process dies after write {n}"),
            Some((n, _)) => write!(f, "the process dies before write {n}"),
            None if self.evict => f.write_str("every run leaves memory when it waits"),
            None => f.write_str("nothing goes wrong"),
        }
    }
}

/// What must be the same wherever the process dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Of each run: workflow, status, output, error.
    pub(super) runs: Vec<[String; 4]>,
    pub(super) made: BTreeSet<Made>,
    values: Vec<String>,
    tasks: Vec<String>,
    pub(super) acts: Vec<String>,
    repairs: Vec<Vec<String>>,
}

impl Outcome {
    /// All runs have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.runs.iter().all(|run| Status::from_name(&run[1]).is_some_and(Status::is_final))
    }
}

pub(super) struct Lab<'a> {
    scripts: &'a Scripts,
    plan: Plan,
    pub(super) store: Arc<Memory>,
    clock: Arc<VirtualClock>,
    pub(super) service: Rc<Service>,
    engine: Inline,
    next_run: Arc<AtomicU64>,
    given: u64,
    acts: u64,
    before: u64,
    pub(super) wrong: Vec<String>,
}

impl<'a> Lab<'a> {
    pub(super) fn new(scripts: &'a Scripts, plan: Plan) -> Self {
        let store: Arc<Memory> = Arc::default();
        let clock = Arc::new(VirtualClock::new(START));
        let service = Rc::new(Service::new(&store));
        let next_run = Arc::new(AtomicU64::new(1));
        let engine = open(scripts, plan, &store, &clock, &service, &next_run);
        let mut lab = Self {
            scripts,
            plan,
            store,
            clock,
            service,
            engine,
            next_run,
            given: 0,
            acts: 0,
            before: 0,
            wrong: Vec::new(),
        };
        lab.engine.settle();
        lab.before = lab.store.commits();
        if let Some((n, fault)) = plan.crash {
            lab.store.fail_at(n, fault);
        }
        lab
    }

    /// Writes since it is ready.
    pub(super) fn writes(&self) -> u64 {
        self.store.commits() - self.before
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Another process over the same store.
    fn restart(&mut self) {
        self.service.life.set(self.service.life.get() + 1);
        let last = self.runs().iter().map(|run| number_of(run.id)).chain([self.given]).max().unwrap_or_default();
        self.next_run.store(last + 1, Ordering::Relaxed);
        self.engine = open(self.scripts, self.plan, &self.store, &self.clock, &self.service, &self.next_run);
        self.engine.recover().expect("recovers");
    }

    /// Does something, again after a crash in between, and all that follows from it.
    fn act<T>(&mut self, mut act: impl FnMut(&mut Inline, bool) -> Result<T, Error>) -> Result<T, Error> {
        let mut again = false;
        let done = loop {
            match act(&mut self.engine, again) {
                Err(_) if self.engine.trouble().is_some() => self.restart(),
                done => break done,
            }
            again = true;
        };
        self.settle();
        done
    }

    pub(super) fn settle(&mut self) {
        while !self.engine.settle() {
            self.restart();
        }
        crate::script::guard::rest();
    }

    pub(super) fn start(&mut self, workflow: &str, input: &Value) -> RunId {
        self.given = self.next_run.fetch_add(1, Ordering::Relaxed);
        let run = run_of(self.given);
        let started = self.act(|engine, _| {
            let handle = engine.handle().clone();
            let start = Start { run: Some(run), input: input.clone(), ..Start::default() };
            engine.call(async move { handle.start(workflow, start).await })
        });
        started.expect("starts").run
    }

    pub(super) fn emit(&mut self, name: &str, key: Option<&str>) {
        self.acts += 1;
        let (id, at) = (format!("event-{}", self.acts), self.now());
        let payload = Payload::from_text(self.acts.to_string());
        let key = key.map(Into::into);
        let event = Event { seq: 0, id: id.as_str().into(), name: name.into(), key, payload, run: None, at };
        let emitted = self.act(|engine, _| {
            let (handle, event) = (engine.handle().clone(), event.clone());
            engine.call(async move { handle.emit(event).await })
        });
        emitted.expect("emits");
    }

    /// Answers the oldest open task with its first choice; whether there was one.
    pub(super) fn answer(&mut self) -> bool {
        let filter = TaskFilter { status: Some(task::Status::Open), limit: usize::MAX, ..TaskFilter::default() };
        let Some(open) = self.store.tasks(&filter).expect("reads").pop() else { return false };
        let given = Given {
            choice: open.choices.first().map(ToString::to_string),
            data: Value::Null,
            by: Some("ann".into()),
            note: None,
            texts: Texts::Strict,
        };
        let answered = self.act(|engine, again| {
            let handle = engine.handle().clone();
            match engine.call(async { handle.answer(open.id, &given, &Actor::LOCAL).await }) {
                Err(Error::TaskOver(..)) if again => Ok(()),
                done => done.map(drop),
            }
        });
        answered.expect("answers");
        true
    }

    /// Lets time pass, and all happen that is due in it.
    pub(super) fn advance(&mut self, duration: Duration) {
        let until = self.now().plus(duration);
        self.settle();
        loop {
            if self.engine.advance(until).is_none() {
                self.restart();
            }
            self.settle();
            if self.now() == until && self.engine.next_wake().is_none_or(|at| at > until) {
                return;
            }
        }
    }

    /// Repairs a run. Where the process dies on the way, it is whole or not there at all; then it is asked for again.
    pub(super) fn repair(&mut self, run: RunId, action: &Action) -> Result<Value, String> {
        loop {
            let before = (self.records(), self.repairs());
            // What was on its way when a run ended may be done again after a repair, under the same key.
            self.service.life.set(self.service.life.get() + 1);
            let (handle, asked) = (self.engine.handle().clone(), action.clone());
            let deed = Deed { by: Actor::LOCAL, reason: Some("a test".into()) };
            let done = self.engine.call(async move { handle.carry_out(run, &asked, &deed).await });
            let new = (self.records() - before.0, self.repairs() - before.1);
            // A copy has the repairs of what it is a copy of, too; a cancellation is none.
            let fits = |(records, repairs): (usize, usize)| match action {
                Action::Cancel => records <= 1,
                Action::Fork { .. } => records == 0 && repairs == 0 || records == 1 && repairs > 0,
                _ => records <= 1 && repairs == records,
            };
            match &done {
                Ok(_) => self.note(fits(new), || format!("{action:?} left {new:?}")),
                Err(error) if self.engine.trouble().is_none() => {
                    self.note(new == (0, 0), || format!("{action:?} was refused ({error}) and left {new:?}"));
                }
                Err(_) => {
                    self.note(fits(new), || format!("{action:?} is half there: {new:?}"));
                    self.restart();
                    if new.0 == 0 {
                        continue;
                    }
                    self.settle();
                    return Ok(Value::Null);
                }
            }
            self.settle();
            return done.map_err(|error| error.to_string());
        }
    }

    /// Repairs all runs of a workflow that it can be done to, asking again after a crash; how many were done in all.
    pub(super) fn repair_all(&mut self, workflow: &str, action: &Action) -> usize {
        let chosen = Chosen { workflow: Some(workflow.to_owned()), ..Chosen::default() };
        let (records, repairs) = (self.records(), self.repairs());
        let done = self.act(|engine, _| {
            let handle = engine.handle().clone();
            let runs = handle.chosen(&chosen, action)?;
            let deed = Deed { by: Actor::LOCAL, reason: None };
            engine.call(async move { handle.carry_out_on(&runs, action, &deed).await })
        });
        let answer = done.expect("is done");
        self.note(answer["refused"] == json!([]), || answer.to_string());
        let new = (self.records() - records, self.repairs() - repairs);
        self.note(new.0 == new.1, || format!("{action:?} on all left {new:?}"));
        new.0
    }

    fn note(&mut self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.wrong.push(what());
        }
    }

    fn records(&self) -> usize {
        self.store.acts(0, usize::MAX).expect("reads").len()
    }

    fn repairs(&self) -> usize {
        self.runs().iter().map(|run| repairs(&self.journal(run.id)).len()).sum()
    }

    /// The oldest first.
    pub(super) fn runs(&self) -> Vec<Run> {
        let filter = RunFilter { limit: usize::MAX, ..RunFilter::default() };
        let mut runs = self.store.runs(&filter).expect("reads");
        runs.reverse();
        runs
    }

    pub(super) fn run(&self, run: RunId) -> Run {
        self.store.run(run).expect("reads").expect("is there")
    }

    /// As it counts.
    pub(super) fn journal(&self, run: RunId) -> Vec<Entry> {
        History::read(self.store.journal(run).expect("reads")).expect("reads").into_entries()
    }

    pub(super) fn value(&self, workflow: &str, key: &str) -> Value {
        Store::state(&*self.store, workflow, key).expect("reads").map(|value| value.to_json()).unwrap_or_default()
    }

    pub(super) fn outcome(&self) -> Outcome {
        let runs = self.runs();
        // Where a repair is refused, whether a number was used up for it does not matter.
        let ids: Vec<_> = runs.iter().map(|run| run.id.to_string()).collect();
        let plain = |text: String| {
            ids.iter().enumerate().fold(text, |text, (n, id)| text.replace(id.as_str(), &format!("#{n}")))
        };
        let text = |payload: &Option<Payload>| plain(payload.as_ref().map_or("()", Payload::text).to_owned());
        let values = self.scripts.all.iter().flat_map(|one| self.store.states(&one.name, "").expect("reads"));
        let tasks = self.store.tasks(&TaskFilter { limit: usize::MAX, ..TaskFilter::default() }).expect("reads");
        let records = self.store.acts(0, usize::MAX).expect("reads");
        Outcome {
            runs: runs
                .iter()
                .map(|run| [run.workflow.to_string(), run.status.name().into(), text(&run.output), text(&run.error)])
                .collect(),
            made: self
                .service
                .made()
                .into_iter()
                .map(|(key, attempt, asked)| (plain(key), attempt, plain(asked)))
                .collect(),
            values: values.map(|(key, value)| plain(format!("{key}={}", value.text()))).collect(),
            tasks: tasks.iter().map(|task| format!("{} {}", task.title, task.status.name())).collect(),
            acts: records.iter().map(|record| plain(format!("{} {}", record.act.act, record.act.subject))).collect(),
            repairs: runs.iter().map(|run| repairs(&self.journal(run.id))).collect(),
        }
    }

    /// What is wrong, wherever the process died.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.wrong.clone();
        faults.extend(self.service.wrong());
        if let Err(broken) = verify_audit(&*self.store, None).expect("reads") {
            faults.push(format!("the audit log is broken: {broken:?}"));
        }
        for run in self.runs() {
            if matches!(run.status, Status::Diverged | Status::Quarantined) {
                faults.push(format!("{} is {:?}: {:?}", run.id, run.status, run.error));
            }
            let slots = self.store.slots_of(run.id).expect("reads");
            if run.status.is_final() && (!slots.is_empty() || run.owner.is_some()) {
                faults.push(format!("{} has ended, and still holds {slots:?}, owned by {:?}", run.id, run.owner));
            }
            let bundle = self.store.bundle(&run.version).expect("reads").expect("is there");
            let bundle = Bundle::from_stored(&bundle).expect("reads");
            let (id, journal) = (run.id, self.journal(run.id));
            let verdict = Recorded::new(run, journal, bundle).replays();
            if !matches!(verdict, crate::engine::gate::Verdict::Compatible { otherwise: None }) {
                faults.push(format!("{id} replays as {verdict:?}\n{}", listed(&self.journal(id))));
            }
        }
        faults
    }
}

fn repairs(journal: &[Entry]) -> Vec<String> {
    journal.iter().filter_map(Repair::from_entry).map(|repair| repair.done.name().to_owned()).collect()
}

fn number_of(run: RunId) -> u64 {
    run.0.as_u128().saturating_sub(run_of(0).0.as_u128()) as u64
}

fn open(
    scripts: &Scripts,
    plan: Plan,
    store: &Arc<Memory>,
    clock: &Arc<VirtualClock>,
    service: &Rc<Service>,
    next_run: &Arc<AtomicU64>,
) -> Inline {
    let next = Arc::clone(next_run);
    let options = Options {
        evict_after: if plan.evict { Duration::ZERO } else { Duration::MAX },
        new_run: Arc::new(move || run_of(next.fetch_add(1, Ordering::Relaxed))),
        ..Options::new(std::path::Path::new("/nonexistent"))
    };
    let (store, mocks) = (Arc::clone(store) as Arc<dyn Store>, Rc::clone(service) as Rc<dyn Mocks>);
    let engine = Inline::new(store, options, Arc::clone(clock), mocks, scripts.tools.clone());
    scripts.all.iter().for_each(|deployed| engine.handle().deploy(deployed.clone()));
    engine
}

/// Where a run stands in front of: steps and waits that have begun and not ended.
pub(super) fn entries(lab: &Lab<'_>, run: RunId) -> Vec<(usize, Entry)> {
    let counts = |entry: &Entry| !matches!(entry.kind, Kind::Start | Kind::Log | Kind::End | Kind::Repair);
    lab.journal(run).into_iter().enumerate().filter(|(_, entry)| counts(entry)).collect()
}
