//! What one entry of a journal says.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Position;
use crate::payload::Payload;
use crate::time::Timestamp;

/// What a command is. The discriminants are part of the stored format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The run was accepted: `detail` is what started it.
    Start = 0,
    /// A call of the outside world, or one whose answer depends on the moment (`now`).
    Effect = 1,
    /// A named step.
    Step = 2,
    /// Polling until a condition holds.
    Wait = 3,
    /// A sleep, the pause before a retry, or the limit of a `timeout`.
    Timer = 4,
    /// Waiting for an event, or emitting one.
    Event = 5,
    /// A question to a person.
    Task = 6,
    /// Another workflow's run.
    Child = 7,
    /// Durable values of the workflow.
    State = 8,
    /// A line for the log. Not part of the order that a replay holds to.
    Log = 9,
    /// A compensation.
    Rollback = 10,
    /// A clean-up.
    Exit = 11,
    /// The run was cancelled from outside, or passed its deadline.
    Cancel = 12,
    /// The run's end.
    End = 13,
    /// What a person did to the run: held it, or repaired its journal. Not part of the order that a replay holds to.
    Repair = 14,
}

impl Kind {
    /// All kinds, for decoding.
    pub const ALL: [Self; 15] = [
        Self::Start,
        Self::Effect,
        Self::Step,
        Self::Wait,
        Self::Timer,
        Self::Event,
        Self::Task,
        Self::Child,
        Self::State,
        Self::Log,
        Self::Rollback,
        Self::Exit,
        Self::Cancel,
        Self::End,
        Self::Repair,
    ];

    /// The name that commands and the API show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Effect => "effect",
            Self::Step => "step",
            Self::Wait => "wait",
            Self::Timer => "timer",
            Self::Event => "event",
            Self::Task => "task",
            Self::Child => "child",
            Self::State => "state",
            Self::Log => "log",
            Self::Rollback => "rollback",
            Self::Exit => "exit",
            Self::Cancel => "cancel",
            Self::End => "end",
            Self::Repair => "repair",
        }
    }
}

/// Whether an entry begins a command or tells how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// What must survive for the command to go on: an intent, a due time, what is waited for.
    Opened,
    /// The outcome. Never changes.
    Closed,
    /// An outcome that a repair has taken out of the order: the command gets it again when it is asked for.
    Given,
}

/// How a command ended: its value, or the error that it throws (a map with `kind` and `message`).
pub type Outcome = Result<Payload, Payload>;

/// One entry.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// What the command is.
    pub kind: Kind,
    /// Begun or ended.
    pub phase: Phase,
    /// Where it stands.
    pub position: Position,
    /// Function, step, event or workflow.
    pub name: Arc<str>,
    /// Line of the call in the script; 0 where there is none.
    pub line: u32,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Hash of the command's arguments; 0 where they do not matter.
    pub arguments: u64,
    /// When the command began.
    pub started_at: Timestamp,
    /// When it ended; of an opened entry of an effect, when it was written: an attempt begins, or has failed.
    pub ended_at: Timestamp,
    /// When something is due: a timer, a deadline, the next attempt. Of an effect that has ended after more than one
    /// attempt, when the last one began.
    pub due: Option<Timestamp>,
    /// What going on needs: the error of a failed attempt, how to undo a half-done effect, the child's id, …
    pub detail: Option<Payload>,
    /// The outcome; `None` while opened.
    pub outcome: Option<Outcome>,
}

impl Entry {
    /// An entry that begins a command at `at`.
    pub fn opened(kind: Kind, position: Position, name: Arc<str>, at: Timestamp) -> Self {
        Self {
            kind,
            phase: Phase::Opened,
            position,
            name,
            line: 0,
            attempt: 1,
            arguments: 0,
            started_at: at,
            ended_at: at,
            due: None,
            detail: None,
            outcome: None,
        }
    }

    /// A line of the run's log that no call of the script wrote.
    pub fn line(level: &str, message: &str, at: Timestamp) -> Self {
        let text = Payload::from_json(&Value::from(message));
        let opened = Self::opened(Kind::Log, Position::default(), level.into(), at);
        Self { phase: Phase::Closed, outcome: Some(Ok(text)), ..opened }
    }

    /// The kind as shown: the intent of an effect has a name of its own.
    pub fn shown_kind(&self) -> &'static str {
        match (self.kind, self.phase) {
            (Kind::Effect, Phase::Opened) => "intent",
            (kind, _) => kind.name(),
        }
    }

    /// The entry as the API shows it; `n` is its number in the journal, from 0.
    pub fn to_json(&self, n: usize) -> Value {
        let mut shown = json!({
            "n": n, "position": self.position.to_string(), "kind": self.shown_kind(), "name": &*self.name,
            "line": self.line, "attempt": self.attempt,
            "started_at": self.started_at, "ended_at": (self.phase == Phase::Closed).then_some(self.ended_at),
        });
        let fields = shown.as_object_mut().expect("an object was made above");
        if let Some(due) = self.due {
            fields.insert("due".into(), json!(due));
        }
        if let Some(detail) = &self.detail {
            fields.insert("detail".into(), detail.to_json());
        }
        match &self.outcome {
            Some(Ok(value)) => {
                fields.insert("ok".into(), true.into());
                fields.insert("value".into(), value.to_json());
            }
            Some(Err(error)) => {
                fields.insert("ok".into(), false.into());
                fields.insert("error".into(), error.to_json());
            }
            None => {}
        }
        shown
    }
}
