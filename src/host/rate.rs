//! `rate_limit`: so many calls in a time, over all runs. And what a rate is: `"10/s"`.
//!
//! Moments lie apart evenly (the generic cell rate algorithm without bursts): `"10/s"` lets one call through each tenth of a
//! second, so no second sees more than ten. The next free moment is a durable value of the engine.
//!
//! A call that needs not wait is not recorded. In a replay, one that has no entry while the journal has more did not wait.

use std::rc::Rc;

use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::session::{self, Mode, Reservation, Session, Strand, What, hash_arguments};
use crate::journal::{Entry, Kind, Position};
use crate::payload::Payload;
use crate::replay::{Command, Issued};
use crate::time::{Rate, Timestamp};

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: NAME,
    params: &["name: string", "rate: string"],
    returns: "()",
    nature: Nature::Internal,
    doc: "Waits durably until the next call under that name may go on, over all runs: `\"10/s\"` lets one through each tenth of a second. \
          The units are `s`, `m` (or `min`), `h` and `d`. One entry in the journal, and only where it had to wait.",
    example: "rate_limit(\"crm\", \"100/s\")",
    call: rate_limit,
    ..Function::BASE
}];

/// Bytes of a name: it is a key in the store, not data.
const LONGEST: usize = 512;

/// The microseconds between two moments of a rate: `10/s`, `100/min`, `5/h`, `1/d`.
pub fn interval_us(rate: &str) -> Option<u64> {
    Rate::from_text(rate).map(Rate::interval_us)
}

/// What to say of a text that is no rate.
pub(super) fn no_rate(rate: &str) -> String {
    format!("\"{rate}\" is no rate; hint: write a count and a unit, such as \"10/s\" or \"100/min\"")
}

/// The name under which waits are in the journal, also those of other functions.
const NAME: &str = "rate_limit";

fn rate_limit(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (name, rate) = (call.text(0)?, call.text(1)?);
    limit(call, &name, &rate).map(|()| Dynamic::UNIT)
}

/// Waits durably until the next call under this name may go on.
pub(super) fn limit(call: &Call<'_>, name: &str, rate: &str) -> Result<(), Fail> {
    if name.is_empty() || name.len() > LONGEST {
        return Err(call.invalid(format!("a name has between 1 and {LONGEST} bytes")));
    }
    let interval_us = interval_us(rate).ok_or_else(|| call.invalid(no_rate(rate)))?;
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    let command = Command { arguments: hash_arguments(name), ..session::command(Kind::Timer, NAME, call.line()) };
    let wanted = Wanted { call, session: &session, strand: &strand, command: &command, name, interval_us };
    if strand.mode.get() == Mode::Polling {
        // Between the polls of a `wait_until` nothing is recorded, and a replay does not come here.
        let ticket = format!("{}/{}", session.facts.run, session.number());
        wanted.wait(wanted.reserve(&ticket, None)?.and_then(|entry| entry.due));
        return Ok(());
    }
    wanted.recorded().map(drop)
}

struct Wanted<'a> {
    call: &'a Call<'a>,
    session: &'a Rc<Session>,
    strand: &'a Rc<Strand>,
    command: &'a Command,
    name: &'a str,
    interval_us: u64,
}

impl Wanted<'_> {
    fn recorded(&self) -> Result<Dynamic, Fail> {
        let Self { session, strand, .. } = self;
        let issued = session.replay.borrow_mut().issue(strand.scope.get(), self.command);
        let (position, opened) = match issued.map_err(|d| session.diverge(d))? {
            Issued::Recorded(_) => unreachable!("a command that waits is not answered at once"),
            Issued::Later(index) => {
                session.recorded(strand, index);
                return Ok(Dynamic::UNIT);
            }
            Issued::Pending { position, opened } => (position, opened),
        };
        let waits = match opened {
            Some(entry) => {
                // What is recorded comes first.
                session.reach_end(strand, self.command.line);
                Some(entry)
            }
            None if session.replay.borrow().has_more() => None,
            None => {
                session.face();
                session.halt(strand);
                let ticket = format!("{}/{position}", session.facts.run);
                self.reserve(&ticket, Some(&position))?
            }
        };
        let Some(entry) = waits else { return Ok(Dynamic::UNIT) };
        // Also where its time has come meanwhile: other strands go on before its outcome, as in a replay.
        strand.must_wait.set(true);
        self.wait(entry.due);
        session.close(entry, Ok(Payload::unit()))
    }

    /// Takes the next free moment. Where it has not come, the entry that waits for it; recorded where there is a position.
    fn reserve(&self, ticket: &str, position: Option<&Position>) -> Result<Option<Entry>, Fail> {
        let (session, now) = (self.session, self.session.now.get());
        let wanted = Reservation { name: self.name, interval_us: self.interval_us, ticket, now };
        let mut waits = None;
        let reserved = session.world.reserve(&wanted, &mut |due, act| {
            session.acts.borrow_mut().push(act);
            if let Some(due) = due {
                let opened = session.entry(self.command, position.cloned().unwrap_or_default());
                let opened = Entry { due: Some(due), ..opened };
                if position.is_some() {
                    session.replay.borrow_mut().append(opened.clone());
                }
                waits = Some(opened);
            }
            session.flush();
        });
        reserved.map_err(|problem| Fail::error("network", format!("`{}`: {problem}", self.call.function.name)))?;
        Ok(waits)
    }

    fn wait(&self, due: Option<Timestamp>) {
        while due.is_some_and(|due| self.session.now.get() < due) {
            self.wait_until(due.unwrap_or_default());
        }
    }

    fn wait_until(&self, due: Timestamp) {
        self.session.wait(self.strand, self.command.line, What::Until { due, retry_of: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_count_and_a_unit() {
        let found = ["10/s", "100/min", "1/m", "5 / h", "1/d", "0/s", "x/s", "1/y", "10", "-1/s"].map(interval_us);
        let expected = [100_000, 600_000, 60_000_000, 720_000_000, 86_400_000_000].map(Some);
        assert_eq!((&found[..5], &found[5..]), (&expected[..], &[None; 5][..]));
    }

    #[test]
    fn a_rate_faster_than_the_clock_still_moves() {
        assert_eq!(interval_us("4000000000/s"), Some(1));
    }
}
