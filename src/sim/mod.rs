//! One run over virtual time: the production code of scripts, host functions and replay, with other surroundings.
//!
//! Nothing outside is touched: effects are answered by a closure, time jumps to the next moment at which something
//! happens, and durable is what was appended. A simulation can begin with any prefix of an earlier journal, which is
//! what a crash leaves.

mod book;
mod broken;
mod case;
mod coverage;
mod crash;
pub mod dry;
mod fire;
mod functions;
mod named;
mod people;
mod raised;
mod record;
mod same;
mod site;
mod slots;
mod stage;
mod suite;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::effect::{Allow, Outcome, Request};
use crate::engine::activation::{Activation, Explain, Input, Progress};
use crate::engine::{NoSettings, Settings, declare, script_engine};
use crate::host::mailbox::Mailbox;
use crate::host::rules::Rules;
use crate::host::session::{Answer, Ask, EventSeen, Facts, Session, WaitId, What};
use crate::id::{RunId, Version};
use crate::journal::Entry;
use crate::payload::Payload;
use crate::replay::Divergence;
use crate::script::bundle::Bundle;
use crate::script::fiber::StackPool;
use crate::script::guard::{Guard, Limits};
use crate::script::program::Prepared;
use crate::store::End;
use crate::task::{Event, Task};
use crate::time::Timestamp;

pub use coverage::{FileCoverage, Way};
pub use record::{Error as RecordError, record};
pub use site::Folder;
pub use suite::{Outcome as TestOutcome, Report as TestReport, Selection, run as run_tests};
use world::SimWorld;
pub use world::Written;

/// When a simulated run is accepted.
pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// An effect that was performed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Performed {
    /// Its idempotency key.
    pub key: String,
    /// Its arguments.
    pub arguments: String,
    /// From 1.
    pub attempt: u32,
    /// Whether it changes anything.
    pub mutating: bool,
}

/// An event of the surroundings.
#[derive(Clone, Debug)]
pub struct SimEvent {
    /// When it is accepted, after [`START`].
    pub after: Duration,
    /// Name.
    pub name: String,
    /// Correlation key.
    pub key: Option<String>,
    /// What it says.
    pub payload: Payload,
}

/// A person of the surroundings, who answers a task.
#[derive(Clone, Debug)]
pub struct SimAnswer {
    /// When, after [`START`]; a task that opens later is answered at once.
    pub after: Duration,
    /// The task's title.
    pub title: String,
    /// `#{ choice, data, by, at }`.
    pub answer: Payload,
}

/// How a simulation ended.
#[derive(Debug)]
pub enum Finish {
    /// The run ended.
    Ended(End),
    /// The journal no longer fits.
    Diverged(Divergence),
    /// It waits for something that never happens.
    Stuck,
}

/// What came of a simulation.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub finish: Finish,
    /// Everything that is durable, what it began with included.
    pub written: Written,
    /// Effects performed, in order.
    pub performed: Vec<Performed>,
    /// Commands that were handed to the outside, effects and waits.
    pub asked: usize,
}

impl Report {
    /// The output of a completed run, plain.
    pub fn output(&self) -> Option<serde_json::Value> {
        match &self.finish {
            Finish::Ended(end) => end.output.as_ref().map(Payload::to_json),
            _ => None,
        }
    }
}

/// What answers a request, whose attempt has this number.
type Effects = dyn Fn(&Request, u32) -> Outcome;

/// A script and its surroundings.
pub struct Sim {
    engine: Rc<rhai::Engine>,
    pool: Rc<StackPool>,
    program: Prepared,
    explain: Explain,
    allow: Rc<Allow>,
    facts: Facts,
    input: Payload,
    effects: Box<Effects>,
    /// When the answer to an effect arrives: the same in each run of the simulation, as far as it has not passed.
    arrivals: RefCell<BTreeMap<(String, u32), Timestamp>>,
    /// What happens outside.
    pub events: Vec<SimEvent>,
    /// What people say.
    pub answers: Vec<SimAnswer>,
    /// How long after its last entry a run is taken up again.
    pub late: Duration,
    /// Drop the run and replay it each time it waits.
    pub evict_always: bool,
    /// How long a strand computes until the time is looked at; by the real clock.
    pub slice: Duration,
}

impl Sim {
    /// A script with this input. Effects are answered by the closure, which gets the number of the attempt, too.
    pub fn new(
        bundle: &Bundle,
        input: Payload,
        effects: impl Fn(&Request, u32) -> Outcome + 'static,
    ) -> Result<Self, Vec<crate::diag::Diagnostic>> {
        Self::with(Rc::new(script_engine()), Rc::new(StackPool::new()), bundle, input, effects)
    }

    /// The same, on an engine and stacks that others use, too.
    pub fn with(
        engine: Rc<rhai::Engine>,
        pool: Rc<StackPool>,
        bundle: &Bundle,
        input: Payload,
        effects: impl Fn(&Request, u32) -> Outcome + 'static,
    ) -> Result<Self, Vec<crate::diag::Diagnostic>> {
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let (program, constants, declaration) = declare(&engine, bundle, &settings)?;
        let prepared = program.prepare(&engine, &constants).map_err(|fault| vec![fault])?;
        let run = RunId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let facts = Facts {
            run,
            workflow: bundle.workflow.as_str().into(),
            version: Version("simulated".into()),
            accepted_at: START,
            trigger: Payload::from_text(r#"{"kind":"hand"}"#),
            mailbox: Mailbox::default(),
            rules: Rc::new(Rules::of(&declaration)),
            forked: None,
        };
        let allow = Rc::new(declaration.allow);
        let explaining = Rc::clone(&engine);
        let explain: Explain =
            Rc::new(move |error| program.diagnose(&explaining, error, &crate::host::catalog::catalog()));
        Ok(Self {
            engine,
            pool,
            program: prepared,
            explain,
            allow,
            facts,
            input,
            effects: Box::new(effects),
            arrivals: RefCell::default(),
            events: Vec::new(),
            answers: Vec::new(),
            late: Duration::ZERO,
            evict_always: false,
            slice: Limits::default().slice,
        })
    }

    /// Runs from what is durable to the end.
    pub fn run(&self, from: Written) -> Report {
        let mut state = State { now: from.last_time().plus(self.late), written: from, performed: Vec::new(), asked: 0 };
        let mut seen = BTreeSet::new();
        loop {
            let before = state.written.entries.len();
            match self.activate(&mut state) {
                Some(finish) => {
                    return Report { finish, written: state.written, performed: state.performed, asked: state.asked };
                }
                // Given up to be replayed: something must have been written, or time have passed, since the last time.
                None => assert!(
                    seen.insert((before, state.now)) || before < state.written.entries.len(),
                    "a replay makes no progress"
                ),
            }
        }
    }

    fn activate(&self, state: &mut State) -> Option<Finish> {
        let world = Rc::new(SimWorld::new(std::mem::take(&mut state.written)));
        let finish = self.drive(state, &world);
        state.written = world.written.take();
        finish
    }

    fn drive(&self, state: &mut State, world: &Rc<SimWorld>) -> Option<Finish> {
        let guard = Guard::new(Limits { cpu: Duration::from_mins(1), slice: self.slice, ..Limits::default() });
        let journal = world.written.borrow().entries.clone();
        let session = Session::new(
            self.facts.clone(),
            journal,
            guard,
            Rc::clone(&self.engine),
            Rc::clone(world) as Rc<_>,
            Rc::clone(&self.allow),
        );
        let mut activation = Activation::new(
            Rc::clone(&session),
            Rc::clone(&self.pool),
            self.program.clone(),
            &self.input,
            Rc::clone(&self.explain),
        );
        let mut pending: BTreeMap<WaitId, Ask> = BTreeMap::new();
        loop {
            let progress = activation.advance(state.now);
            session.flush();
            for wait in activation.take_aborted() {
                pending.remove(&wait);
            }
            match progress {
                Progress::Sliced => {
                    // A `timeout` counts the time that its body computes; nothing else does, so that all else stays exact.
                    if activation.is_timed() {
                        state.now = state.now.plus(Limits::default().slice);
                    }
                    continue;
                }
                Progress::Ended(end) => return Some(Finish::Ended(end)),
                Progress::Diverged(divergence) => return Some(Finish::Diverged(divergence)),
                Progress::Waiting => {}
            }
            for ask in activation.take_asks() {
                state.asked += 1;
                pending.insert(ask.wait, ask);
            }
            let when = |ask: &Ask| match ask.what {
                What::Lock { .. } => slots::when(state.now, &world.written.borrow(), &pending, ask),
                _ => self.when(state, ask),
            };
            // What comes at the same time comes in an order that does not depend on this activation.
            let next = |ask: &Ask| Some((when(ask)?, activation.place(ask.strand), ask.wait));
            let Some((at, _, wait)) = pending.values().filter_map(next).min() else {
                return Some(Finish::Stuck);
            };
            if self.evict_always
                && at > state.now
                && !pending.values().any(|ask| matches!(ask.what, What::Effect { .. }))
            {
                state.now = at;
                return None;
            }
            state.now = state.now.max(at);
            let is_granted = slots::is_granted(&world.written.borrow(), &pending, &pending[&wait]);
            let ask = pending.remove(&wait).expect("it is pending");
            let answer = match ask.what {
                What::Lock { .. } => Answer::Lock(is_granted),
                _ => self.answer(state, &ask),
            };
            activation.push(Input::Answer(wait, answer));
        }
    }

    /// When something answers an ask; `None`: never.
    fn when(&self, state: &State, ask: &Ask) -> Option<Timestamp> {
        Some(match &ask.what {
            What::Until { due, .. } => *due,
            What::Event { due, .. } => match (self.event(ask), due) {
                (Some((_, event)), due) => due.map_or(event.at, |due| due.min(event.at)),
                (None, due) => (*due)?,
            },
            What::Effect { key, attempt, request, .. } => {
                let place = (key.clone(), *attempt);
                let now = state.now;
                let latency = crate::host::session::hash_text(&format!("{key}/{attempt}/{}", request.arguments())) % 97;
                *self.arrivals.borrow_mut().entry(place).or_insert_with(|| now.plus(Duration::from_millis(latency)))
            }
            What::Child { .. } | What::Start { .. } | What::Stand { .. } => state.now,
            What::Lock { .. } => unreachable!("locks are looked at by themselves"),
            What::Task { task } => match (self.said(task), expiry(task)) {
                (Some((at, _)), Some(end)) => at.min(end),
                (Some((at, _)), None) => at,
                (None, end) => end?,
            },
        })
    }

    /// When a task is answered, and how.
    fn said(&self, task: &Task) -> Option<(Timestamp, &Payload)> {
        let said = self.answers.iter().find(|said| said.title == *task.title)?;
        Some((START.plus(said.after).max(task.opened_at), &said.answer))
    }

    fn event(&self, ask: &Ask) -> Option<(usize, EventSeen)> {
        let What::Event { name, key, since, after, .. } = &ask.what else { return None };
        self.events.iter().enumerate().find_map(|(index, event)| {
            let seq = index as u64 + 1;
            let at = START.plus(event.after);
            let fits = **name == *event.name
                && key.as_deref().is_none_or(|key| event.key.as_deref() == Some(key))
                && seq > *after
                && at >= *since;
            fits.then(|| {
                (
                    index,
                    EventSeen {
                        seq,
                        id: format!("e{seq}").into(),
                        key: event.key.as_deref().map(Into::into),
                        payload: event.payload.clone(),
                        at,
                    },
                )
            })
        })
    }

    fn answer(&self, state: &mut State, ask: &Ask) -> Answer {
        match &ask.what {
            What::Until { .. } => Answer::Due,
            What::Event { due, .. } => Answer::Event(
                self.event(ask).map(|(_, event)| event).filter(|event| due.is_none_or(|due| event.at < due)),
            ),
            What::Effect { request, key, attempt, .. } => {
                let mutating = request.kind() == crate::effect::Kind::Mutating;
                state.performed.push(Performed {
                    key: key.clone(),
                    arguments: request.arguments(),
                    attempt: *attempt,
                    mutating,
                });
                Answer::Effect((self.effects)(request, *attempt))
            }
            What::Task { task } => {
                let said = self.said(task).filter(|(at, _)| expiry(task).is_none_or(|end| *at < end));
                Answer::Task(said.map(|(_, answer)| answer.clone()))
            }
            What::Child { .. } => Answer::Child(Ok(Payload::unit())),
            What::Start { start } => Answer::Started(Ok(start.run)),
            What::Stand { .. } => Answer::Given(Ok(Payload::unit())),
            What::Lock { .. } => unreachable!("locks are answered by themselves"),
        }
    }
}

/// When a task is over by itself.
fn expiry(task: &Task) -> Option<Timestamp> {
    task.moments.iter().find(|moment| moment.event == Event::Expire).map(|moment| moment.at)
}

struct State {
    now: Timestamp,
    written: Written,
    performed: Vec<Performed>,
    asked: usize,
}

/// A journal without what a resumed run cannot know: when an effect that was under way at the crash had begun.
pub fn comparable(entries: &[Entry]) -> Vec<Entry> {
    entries
        .iter()
        .map(|entry| Entry { started_at: Timestamp(0), ended_at: Timestamp(0), due: None, ..entry.clone() })
        .collect()
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod repaired;
#[cfg(test)]
mod tests;
