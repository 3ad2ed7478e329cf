//! What host functions ask of their surroundings at once, and what becomes durable with it.

use std::sync::Arc;

use super::asks::ChildStart;
use crate::effect;
use crate::id::{RunId, TaskId};
use crate::journal::Entry;
use crate::payload::Payload;
use crate::script::secret::Marks;
use crate::task::Task;
use crate::time::Timestamp;

/// An act inside the engine that becomes durable together with the entries around it.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Starts a run.
    Start(Box<ChildStart>),
    /// Asks a run to end.
    Cancel {
        /// Which.
        run: RunId,
        /// Why: `#{ kind, message }`.
        reason: Payload,
    },
    /// Emits an event.
    Emit {
        /// Identity; a repeat is dropped.
        id: Arc<str>,
        /// Name.
        name: Arc<str>,
        /// Correlation key.
        key: Option<Arc<str>>,
        /// What it says.
        payload: Payload,
    },
    /// Gives a slot up, or its place in line.
    Unlock {
        /// As it was asked for.
        ticket: Arc<str>,
    },
    /// Keeps the next free moment of a rate.
    Rate {
        /// Of what.
        name: Arc<str>,
        /// `#{ next, at, by }`.
        value: Payload,
    },
    /// Opens a task.
    OpenTask(Box<Task>),
    /// Nobody waits for a task any more.
    CloseTask {
        /// Which.
        task: TaskId,
    },
    /// Tells people something.
    Notify {
        /// The same on every replay.
        id: Arc<str>,
        /// Whom.
        channel: Arc<str>,
        /// One line.
        title: String,
        /// Some lines; may be empty.
        text: String,
    },
    /// How far the run has come: `#{ value, text }`.
    Progress(Payload),
    /// Sets or removes a durable value of the workflow.
    SetState {
        /// Which.
        key: Arc<str>,
        /// `None` removes.
        value: Option<Payload>,
    },
}

/// What became durable together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Number of the first entry.
    pub first: usize,
    /// New entries.
    pub entries: Vec<Entry>,
    /// Acts that belong to them.
    pub acts: Vec<Act>,
    /// The step around each line of the log among the entries, in order.
    pub steps: Vec<Option<Arc<str>>>,
}

/// A moment of a rate that a run asks for.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// Of what.
    pub name: &'a str,
    /// Microseconds between two moments.
    pub interval_us: u64,
    /// Run and position.
    pub ticket: &'a str,
    /// The time of the turn.
    pub now: Timestamp,
}

/// Takes the moment that was reserved, `None` where it has come, and the act that keeps it.
pub type Reserved<'a> = dyn FnMut(Option<Timestamp>, Act) + 'a;

/// What host functions ask of their surroundings, at once. The engine and the simulation implement it.
pub trait World: Marks {
    /// What redoing a half-done effect will need, to be recorded with its intent.
    fn prepare(&self, request: &effect::Request) -> Result<Option<String>, effect::Failure>;
    /// A plain setting of the config.
    fn config(&self, name: &str) -> Option<Payload>;
    /// A durable value of the workflow, with a number that changes when the value does.
    fn state(&self, key: &str) -> Result<(Option<Payload>, u64), String>;
    /// Sets a durable value, unless its number is no longer `expected`. `flush` hands this run's entries to the log,
    /// while no other run can set a value.
    fn set_state(&self, key: &str, expected: Option<u64>, value: Option<Payload>, flush: &mut dyn FnMut()) -> bool;
    /// Takes the next free moment of a rate, over all runs; the same ticket gets the same one again, as long as no other has
    /// come in between. `record` gets the moment (`None`: at once) and what is to be kept, while no other run can take one.
    fn reserve(&self, wanted: &Reservation<'_>, record: &mut Reserved<'_>) -> Result<(), String>;
    /// Takes new entries and acts, in order, for the log.
    fn append(&self, batch: Batch);
    /// Whether this workflow exists and takes this input; else an error map.
    fn accepts(&self, workflow: &str, input: &Payload) -> Result<(), Payload>;
    /// Whether a start of this workflow may be dropped because others of it run.
    fn may_skip(&self, workflow: &str) -> bool;
    /// Whether this run may start another one at that time (`None`: now), as deep as its chain is; else an error map.
    fn may_start(&self, _at: Option<Timestamp>) -> Result<(), Payload> {
        Ok(())
    }
    /// Whether this run may emit an event of this name; else an error map.
    fn may_emit(&self, _name: &str) -> Result<(), Payload> {
        Ok(())
    }
    /// Whether all these people and groups are known, where any are; else what is wrong, with a hint.
    fn known_people(&self, names: &[Arc<str>]) -> Result<(), String>;
    /// Whether a channel, a person or a group of this name can be told something; else what is wrong, with a hint.
    fn known_channel(&self, _name: &str) -> Result<(), String> {
        Ok(())
    }
    /// A signed address that emits an event, until then where given; or why there is none.
    fn event_url(&self, name: &str, key: Option<&str>, expires: Option<Timestamp>) -> Result<String, String>;
    /// The status of a run.
    fn status(&self, run: RunId) -> Result<Option<&'static str>, String>;
    /// A step begins, live: for those who watch.
    fn begun(&self, name: &str, position: &crate::journal::Position, line: u32);
    /// A new identity.
    fn new_run(&self) -> RunId;
    /// Nothing new is to be recorded: what follows the journal is not evaluated.
    fn is_frozen(&self) -> bool {
        false
    }
    /// Nothing new is to be begun: what has begun goes on to its outcome.
    fn is_halted(&self) -> bool {
        false
    }
    /// Whether effects are told by which call they came: the surroundings answer calls, not requests.
    fn watches_calls(&self) -> bool {
        false
    }
    /// Whether something stands in place of the body of steps with this name.
    fn stands_for_step(&self, _: &str) -> bool {
        false
    }
}
