//! `state::*`: durable values of the workflow, across its runs.

use std::rc::Rc;

use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::session::{self, Act, Mode, Session, Strand, encode, hash_arguments};
use crate::journal::Kind;
use crate::payload::Payload;
use crate::replay::{Command, Issued};
use crate::script::value;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "state::get",
        params: &["key: string", "default: any?"],
        returns: "any",
        nature: Nature::Internal,
        doc: "A durable value of the workflow; the default, or `()`, where there is none.",
        example: "state::get(\"count\", 0)",
        call: get,
        ..Function::BASE
    },
    Function {
        name: "state::set",
        params: &["key: string", "value: any"],
        returns: "()",
        nature: Nature::Internal,
        doc: "Sets a durable value.",
        example: "state::set(\"last\", now())",
        call: |call| {
            let value = call.args[1].clone();
            change(call, |_, _| Ok((Some(value.clone()), Dynamic::UNIT))).map(drop)?;
            Ok(Dynamic::UNIT)
        },
        ..Function::BASE
    },
    Function {
        name: "state::add",
        params: &["key: string", "n: int"],
        returns: "int",
        nature: Nature::Internal,
        doc: "Adds to a number (0 where there is none) and returns the sum, atomically.",
        example: "state::add(\"count\", 1)",
        call: |call| change(call, add),
        ..Function::BASE
    },
    Function {
        name: "state::update",
        params: &["key: string", "change: closure"],
        returns: "any",
        nature: Nature::Internal,
        doc: "Replaces a value by what the pure closure makes of it, atomically, and returns it.",
        example: "state::update(\"seen\", |v| if v == () { [1] } else { v })",
        call: |call| {
            let closure = call.closure(1)?;
            change(call, |call, old| {
                let new = super::pure(|| closure.call_within_context::<Dynamic>(&call.context, (old,)))?;
                Ok((Some(new.clone()), new))
            })
        },
        ..Function::BASE
    },
    Function {
        name: "state::remove",
        params: &["key: string"],
        returns: "()",
        nature: Nature::Internal,
        doc: "Removes a value.",
        example: "state::remove(\"last\")",
        call: |call| change(call, |_, _| Ok((None, Dynamic::UNIT))),
        ..Function::BASE
    },
];

fn command(call: &Call<'_>, key: &str) -> Command {
    Command { arguments: hash_arguments(key), ..session::command(Kind::State, call.function.name, call.line()) }
}

fn key(call: &Call<'_>) -> Result<String, Fail> {
    let key = call.text(0)?;
    if key.is_empty() || key.len() > 512 { Err(call.invalid("a key has between 1 and 512 bytes")) } else { Ok(key) }
}

fn read(call: &Call<'_>, session: &Session, key: &str) -> Result<(Option<Payload>, u64), Fail> {
    session.world.state(key).map_err(|problem| Fail::error("network", format!("`{}`: {problem}", call.function.name)))
}

fn get(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    let key = key(call)?;
    let default = call.arg(1).cloned().unwrap_or_default();
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    encode(call.function.name, &default)?;
    super::no_pure(call, &strand)?;
    if strand.mode.get() == Mode::Polling {
        return Ok(read(call, &session, &key)?.0.map_or(default, |payload| value::decode(&payload)));
    }
    let command = command(call, &key);
    let recorded = now(&session, &strand, &command)?;
    let position = match recorded {
        Ok(value) => return value,
        Err(position) => position,
    };
    let found = read(call, &session, &key)?.0;
    let outcome = match found {
        Some(payload) => payload,
        None => encode(call.function.name, &default)?,
    };
    session.close(session.entry(&command, position), Ok(outcome))
}

type Recorded = Result<Result<Dynamic, Fail>, crate::journal::Position>;

/// A command whose outcome is there at once: the recorded one, or the place for it.
pub(super) fn now(session: &Rc<Session>, strand: &Rc<Strand>, command: &Command) -> Result<Recorded, Fail> {
    strand.must_wait.set(false);
    let issued = session.replay.borrow_mut().issue_now(strand.scope.get(), command).map_err(|d| session.diverge(d))?;
    if let Issued::Recorded(entry) = &issued {
        session.took(entry);
    }
    Ok(match issued {
        Issued::Recorded(entry) => Ok(super::waiting::recorded_value(&entry)),
        Issued::Pending { position, .. } => {
            session.face();
            if let Some(entry) = session.give(&position, command) {
                return Ok(Ok(super::waiting::recorded_value(&entry)));
            }
            session.halt(strand);
            Err(position)
        }
        Issued::Later(_) => unreachable!("what is there at once is never recorded for later"),
    })
}

type Change<'a> = &'a dyn Fn(&Call<'_>, Dynamic) -> Result<(Option<Dynamic>, Dynamic), Fail>;

fn change(
    call: &mut Call<'_>,
    change: impl Fn(&Call<'_>, Dynamic) -> Result<(Option<Dynamic>, Dynamic), Fail>,
) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let key = key(call)?;
    let command = command(call, &key);
    match now(&session, &strand, &command)? {
        Ok(value) => value,
        Err(position) => write(call, &session, &command, &position, &key, &change),
    }
}

fn write(
    call: &Call<'_>,
    session: &Rc<Session>,
    command: &Command,
    position: &crate::journal::Position,
    key: &str,
    change: Change<'_>,
) -> Result<Dynamic, Fail> {
    loop {
        let (old, number) = read(call, session, key)?;
        let old = old.map_or(Dynamic::UNIT, |payload| value::decode(&payload));
        let (new, outcome) = match changed(call, old, change) {
            Err(Fail::Stopped) => return Err(Fail::Stopped),
            // Recorded, since it depends on the value: a replay must not ask again.
            Err(fail) => {
                let error = session::encode_error(&fail.into_map());
                return session.close(session.entry(command, position.clone()), Err(error));
            }
            Ok(changed) => changed,
        };
        let mut answer = None;
        let act = Act::SetState { key: key.into(), value: new.clone() };
        let set = session.world.set_state(key, Some(number), new, &mut || {
            session.acts.borrow_mut().push(act.clone());
            answer = Some(session.close(session.entry(command, position.clone()), Ok(outcome.clone())));
            session.flush();
        });
        if set {
            return answer.expect("what is set was recorded");
        }
    }
}

/// The new value, and what the call returns.
fn changed(call: &Call<'_>, old: Dynamic, change: Change<'_>) -> Result<(Option<Payload>, Payload), Fail> {
    let (new, result) = change(call, old)?;
    let new = new.map(|value| encode(call.function.name, &value)).transpose()?;
    Ok((new, encode(call.function.name, &result)?))
}

#[expect(clippy::needless_pass_by_value, reason = "the changes take the old value")]
fn add(call: &Call<'_>, old: Dynamic) -> Result<(Option<Dynamic>, Dynamic), Fail> {
    let n = call.int(1)?;
    let old = if old.is_unit() {
        0
    } else {
        old.as_int().map_err(|kind| call.invalid(format!("the value is no integer but {kind}")))?
    };
    let sum =
        old.checked_add(n).ok_or_else(|| call.invalid(format!("{old} + {n} is larger than an integer can be")))?;
    Ok((Some(sum.into()), sum.into()))
}
