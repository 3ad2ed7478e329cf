//! What happened in a dry run, in order: read from the journals, with the calls that were answered.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::book;
use crate::host::session::{Ask, Called, What};
use crate::id::RunId;
use crate::journal::{Entry, Kind, Phase, Position, Sub};
use crate::payload::Payload;
use crate::script::secret;
use crate::time::Timestamp;

/// Where an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum By {
    /// From the answers that were given.
    Given,
    /// Made up by the kind of the effect.
    MadeUp,
    /// Done by the engine itself, or in the private folder of the dry run.
    #[default]
    Itself,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Happening {
    /// When, in virtual time.
    pub at: Timestamp,
    /// In which run.
    pub run: RunId,
    /// Of which workflow.
    pub workflow: Arc<str>,
    /// The line of the call; 0 where there is none.
    pub line: u32,
    /// The step around it.
    pub step: Option<String>,
    /// `effect`, `timer`, `event`, …: as in a journal.
    pub kind: &'static str,
    /// The function, event, task or workflow.
    pub name: String,
    /// From 1.
    pub attempt: u32,
    /// What it was called with, where that is known.
    pub arguments: Vec<Value>,
    /// How long it was waited for, in milliseconds.
    pub waited_ms: i64,
    /// What it gave, or the error.
    pub outcome: Result<Value, Value>,
    /// Where that came from.
    pub by: By,
}

impl Happening {
    /// As one object; times are RFC 3339, `after_ms` is since the start.
    pub fn to_json(&self, start: Timestamp) -> Value {
        let by = match self.by {
            By::Given => "given",
            By::MadeUp => "made up",
            By::Itself => "itself",
        };
        let mut shown = json!({
            "at": self.at, "after_ms": self.at.0 - start.0, "run": self.run, "workflow": &*self.workflow, "line": self.line,
            "step": self.step, "kind": self.kind, "name": self.name, "attempt": self.attempt, "arguments": self.arguments,
            "waited_ms": self.waited_ms, "ok": self.outcome.is_ok(), "by": by,
        });
        match &self.outcome {
            Ok(value) => shown["value"] = value.clone(),
            Err(error) => shown["error"] = error.clone(),
        }
        shown
    }
}

/// A call that was answered.
pub(super) struct Answered {
    pub(super) run: RunId,
    pub(super) workflow: Arc<str>,
    pub(super) called: Rc<Called>,
    pub(super) step: Option<String>,
    pub(super) at: Timestamp,
    pub(super) by: By,
    /// Of a poll, whose outcome is in no journal.
    pub(super) outcome: Option<Result<Value, Value>>,
}

/// What is known of a wait beside its entry.
#[derive(Clone, Default)]
struct Begun {
    step: Option<String>,
    key: Option<Arc<str>>,
    by: By,
}

/// The timeline so far.
#[derive(Default)]
pub(super) struct Timeline {
    pub(super) happened: Vec<Happening>,
    /// Entries of each journal that are in it.
    read: BTreeMap<RunId, usize>,
    /// Calls whose outcome is not in a journal yet, by place and attempt.
    calls: BTreeMap<(RunId, String, u32), Answered>,
    /// Waits, by run and line.
    begun: BTreeMap<(RunId, u32), Begun>,
}

impl Timeline {
    /// Notes a call; that of a poll happened at once.
    pub(super) fn called(&mut self, answered: Answered) {
        match (&answered.called.position, &answered.outcome) {
            (Some(position), _) => {
                let place = (answered.run, position.to_string(), answered.called.attempt);
                self.calls.insert(place, answered);
            }
            (None, Some(outcome)) => {
                let outcome = outcome.clone();
                self.happened.push(of_call(answered, outcome));
            }
            (None, None) => {}
        }
    }

    /// Notes what a run waits for, and whether its end was given.
    pub(super) fn waits(&mut self, run: RunId, ask: &Ask, by: By) {
        let key = match &ask.what {
            What::Event { key, .. } => key.clone(),
            _ => None,
        };
        self.begun.insert((run, ask.line), Begun { step: ask.step.as_ref().map(ToString::to_string), key, by });
    }

    /// How many entries of a run are in it.
    pub(super) fn count(&self, run: RunId) -> usize {
        self.read.get(&run).copied().unwrap_or(0)
    }

    /// Takes in an entry; `emitted` is name and payload of the event that it emitted.
    pub(super) fn take(&mut self, run: RunId, workflow: &Arc<str>, entry: &Entry, emitted: Option<Vec<Value>>) {
        *self.read.entry(run).or_default() += 1;
        let taken = match (entry.kind, entry.phase) {
            (Kind::Effect | Kind::Step | Kind::Rollback | Kind::Exit, _) => self.effect(run, entry),
            (Kind::Start | Kind::Cancel | Kind::End, _) | (_, Phase::Opened) => None,
            (Kind::Timer, _) if &*entry.name == "timeout" => None,
            _ => Some(self.other(run, workflow, entry, emitted)),
        };
        self.happened.extend(taken);
    }

    /// The attempt that an entry ends.
    fn effect(&mut self, run: RunId, entry: &Entry) -> Option<Happening> {
        let (attempt, outcome) = match (&entry.outcome, &entry.detail) {
            (Some(Ok(value)), _) => (entry.attempt, Ok(value.to_json())),
            (Some(Err(error)), _) => (entry.attempt, Err(error.to_json())),
            (None, Some(error)) if entry.attempt > 1 => (entry.attempt - 1, Err(error.to_json())),
            (None, _) => return None,
        };
        let answered = self.calls.remove(&(run, entry.position.to_string(), attempt))?;
        Some(of_call(answered, outcome))
    }

    fn other(&self, run: RunId, workflow: &Arc<str>, entry: &Entry, emitted: Option<Vec<Value>>) -> Happening {
        let begun = self.begun.get(&(run, entry.line)).cloned().unwrap_or_default();
        let is_wait = matches!(entry.kind, Kind::Event | Kind::Task) && emitted.is_none();
        let key = begun.key.filter(|_| is_wait && entry.kind == Kind::Event);
        Happening {
            at: entry.ended_at,
            run,
            workflow: Arc::clone(workflow),
            line: entry.line,
            step: begun.step,
            kind: entry.kind.name(),
            name: entry.name.to_string(),
            attempt: attempt(&entry.position, entry.attempt),
            arguments: emitted.unwrap_or_else(|| key.iter().map(|key| Value::from(&**key)).collect()),
            waited_ms: entry.ended_at.0 - entry.started_at.0,
            outcome: match &entry.outcome {
                Some(Err(error)) => Err(error.to_json()),
                Some(Ok(value)) => Ok(value.to_json()),
                None => Ok(Value::Null),
            },
            by: if is_wait { begun.by } else { By::Itself },
        }
    }
}

fn of_call(answered: Answered, outcome: Result<Value, Value>) -> Happening {
    let arguments = book::arguments(&answered.called);
    let arguments = Payload::from_text(secret::mask(&arguments).into_owned()).to_json();
    let called = &answered.called;
    Happening {
        at: answered.at,
        run: answered.run,
        workflow: answered.workflow,
        line: answered.called.line,
        step: answered.step,
        kind: "effect",
        name: answered.called.function.to_string(),
        attempt: called.position.as_ref().map_or(called.attempt, |position| attempt(position, called.attempt)),
        arguments: arguments.as_array().cloned().unwrap_or_default(),
        waited_ms: 0,
        outcome,
        by: answered.by,
    }
}

/// The attempt of a call by itself, or that of the step around it.
fn attempt(position: &Position, own: u32) -> u32 {
    let around = position.scope.iter().rev().find_map(|segment| match segment.sub {
        Sub::Attempt(n) => Some(n),
        Sub::Branch(_) => None,
    });
    own.max(around.unwrap_or(1))
}
