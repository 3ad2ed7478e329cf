//! What a person does to a run, as its strands meet it: outcomes that are given, and the halt of a run that is held.

use super::{Session, Strand};
use crate::journal::{Entry, Kind, Outcome, Position};
use crate::replay::Command;
use crate::script::fiber::{self, Pause};

impl Session {
    /// The outcome that a repair gives a command which nothing is recorded of. It is recorded from then on.
    pub fn give(&self, position: &Position, command: &Command) -> Option<Entry> {
        let given = self.replay.borrow_mut().take_given(position, command)?;
        let outcome: Outcome = given.outcome.clone().expect("what is given is an outcome");
        // It took no time now: what counts the time of effects looks at both.
        let due = given.due.filter(|_| given.kind != Kind::Effect);
        let mut entry = Entry { line: command.line, started_at: self.now.get(), due, ..given };
        // Whether it is an error is the caller's matter, as of any recorded outcome.
        let _ = self.close(entry.clone(), outcome);
        entry.phase = crate::journal::Phase::Closed;
        Some(entry)
    }

    /// A strand is about to begin something new: while the run is held, it does not.
    pub fn halt(&self, strand: &Strand) {
        while self.world.is_halted() && self.replay.borrow().is_live() {
            self.halted.borrow_mut().push(strand.id);
            fiber::suspend(Pause::Waiting);
        }
    }
}
