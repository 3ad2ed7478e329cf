//! What strands wait for, and what they are answered.

use std::rc::Rc;
use std::sync::Arc;

use rhai::Dynamic;

use super::strand::{StrandId, WaitId};
use crate::effect;
use crate::id::RunId;
use crate::payload::Payload;
use crate::task::Task;
use crate::time::Timestamp;

/// What a strand waits for.
#[derive(Clone, Debug)]
pub enum What {
    /// An effect outside.
    Effect {
        /// What to perform.
        request: Rc<effect::Request>,
        /// From 1.
        attempt: u32,
        /// The place of its entry; none inside of `wait_until`, which records no calls.
        position: Option<crate::journal::Position>,
        /// The same on every attempt and replay.
        key: String,
        /// What the recorded intent holds for undoing a half-done one.
        undo: Option<String>,
        /// An intent of an earlier activation exists: it may have happened.
        again: bool,
        /// The call behind it, where the surroundings watch calls.
        called: Option<Rc<Called>>,
    },
    /// What stands in place of a function of the script's own, in tests.
    Stand {
        /// The call behind it.
        called: Rc<Called>,
    },
    /// A point in time.
    Until {
        /// When.
        due: Timestamp,
        /// The pause before an attempt, after this error; else a sleep or a poll.
        retry_of: Option<Arc<str>>,
    },
    /// An event.
    Event {
        /// Name.
        name: Arc<str>,
        /// Only with this key.
        key: Option<Arc<str>>,
        /// Accepted at or after.
        since: Timestamp,
        /// Later in the order of events than this.
        after: u64,
        /// Until when.
        due: Option<Timestamp>,
    },
    /// The end of another run.
    Child {
        /// Which.
        run: RunId,
        /// Its workflow.
        workflow: Arc<str>,
    },
    /// A slot of what only so many may hold at a time.
    Lock {
        /// Of what, as the store names it.
        name: Arc<str>,
        /// The same on every replay.
        ticket: Arc<str>,
        /// So many at a time.
        limit: u32,
        /// Until when.
        due: Option<Timestamp>,
    },
    /// The answer of a person.
    Task {
        /// The task, as it opened.
        task: Box<Task>,
    },
    /// The answer to a start that may be refused or repeated.
    Start {
        /// What to start.
        start: Box<ChildStart>,
    },
}

impl What {
    /// Whether it may change the outside.
    pub fn is_mutating(&self) -> bool {
        match self {
            Self::Effect { request, .. } => request.kind() == effect::Kind::Mutating,
            Self::Stand { .. } => true,
            _ => false,
        }
    }
}

/// A call as the script made it.
#[derive(Clone, Debug)]
pub struct Called {
    /// The function, as the script names it.
    pub function: Arc<str>,
    /// The file of the call.
    pub file: Arc<str>,
    /// Its line.
    pub line: u32,
    /// Its column, from 1; 0 where that is not known.
    pub column: u32,
    /// The place of its entry; none inside of `wait_until`, which records no calls.
    pub position: Option<crate::journal::Position>,
    /// From 1.
    pub attempt: u32,
    /// What it was given.
    pub arguments: Vec<Dynamic>,
    /// Whether it only looks: then it does no harm to do it once more.
    pub is_reading: bool,
}

/// A request of a strand to the engine.
#[derive(Clone, Debug)]
pub struct Ask {
    /// To be named in the answer.
    pub wait: WaitId,
    /// Who waits.
    pub strand: StrandId,
    /// For what.
    pub what: What,
    /// Line of the call.
    pub line: u32,
    /// The step around it, if any.
    pub step: Option<Arc<str>>,
    /// Since when it waits.
    pub since: Timestamp,
}

/// An event that a wait may take.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSeen {
    /// Place in the order of events.
    pub seq: u64,
    /// Identity.
    pub id: Arc<str>,
    /// Correlation key.
    pub key: Option<Arc<str>>,
    /// What it says.
    pub payload: Payload,
    /// When it was accepted.
    pub at: Timestamp,
}

/// What the engine answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The outcome of an effect.
    Effect(effect::Outcome),
    /// What stands for an effect or a function gave: a value as the function returns it, or an error map.
    Given(Result<Payload, Payload>),
    /// The time has come.
    Due,
    /// An event; `None`: the wait's time is over.
    Event(Option<EventSeen>),
    /// How the child ended: its output, or an error map.
    Child(Result<Payload, Payload>),
    /// Whether it holds the slot; false: the wait's time is over.
    Lock(bool),
    /// What the person said: `#{ choice, data, by, at }`; `None`: the task's time is over.
    Task(Option<Payload>),
    /// The run that the key stands for; an error map where the start was refused.
    Started(Result<RunId, Payload>),
    /// The recorded outcome that it waited for is next.
    Recorded,
    /// All branches have ended.
    Joined,
}

/// A run that a script starts.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildStart {
    /// The new run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: Arc<str>,
    /// Its input.
    pub input: Payload,
    /// A repeat of the key is answered with the first run.
    pub key: Option<Arc<str>>,
    /// How long the key counts; `None`: as long as the run is kept.
    pub within: Option<std::time::Duration>,
    /// Larger goes first; `None`: as the workflow declares.
    pub priority: Option<i32>,
    /// Not before.
    pub at: Option<Timestamp>,
    /// The starting run waits for it, and it ends with it.
    pub attached: bool,
}
