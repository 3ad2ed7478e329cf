//! `log::*` and `print`: lines of a run's log. They are entries of its journal, and are not repeated on replay.

use std::rc::Rc;

use rhai::{Dynamic, Engine};

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::session::{self, Mode, Session, Strand, encode};
use crate::journal::{Entry, Kind, Phase, Position};
use crate::payload::Payload;
use crate::script::secret;

macro_rules! level {
    ($name:literal, $example:literal) => {
        Function {
            name: concat!("log::", $name),
            params: &["message: any", "fields: map?"],
            returns: "()",
            nature: Nature::Internal,
            doc: "Writes a line to the run's log.",
            example: $example,
            call: |call| log(call, $name),
            ..Function::BASE
        }
    };
}

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    level!("trace", "log::trace(\"here\")"),
    level!("info", "log::info(\"imported\", #{ rows: 12 })"),
    level!("warn", "log::warn(\"slow answer\")"),
    level!("error", "log::error(\"gave up\")"),
];

/// A line is cut after this many bytes: a log is for people.
const LONGEST: usize = 16 * 1024;
/// Lines of one run: more are counted, not kept.
const MOST: usize = 10_000;

fn log(call: &mut Call<'_>, level: &str) -> Result<Dynamic, Fail> {
    let message = call.args[0].to_string();
    let fields = match call.arg(1) {
        Some(fields) if fields.is_map() => Some(encode(call.function.name, fields)?),
        None => None,
        Some(other) => {
            return Err(call.invalid(format!("`fields` must be a map, not {}", super::function::type_of(other))));
        }
    };
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    line(&session, &strand, level, &message, fields, call.line());
    Ok(Dynamic::UNIT)
}

/// Adds a line.
pub(super) fn line(
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    level: &str,
    message: &str,
    fields: Option<Payload>,
    line: u32,
) {
    if strand.mode.get() != Mode::Recorded {
        return;
    }
    let mut replay = session.replay.borrow_mut();
    let scope = strand.scope.get();
    if !replay.log(scope) {
        return;
    }
    let count = session.logged.get();
    session.logged.set(count + 1);
    if count > MOST {
        return;
    }
    let message = if count == MOST { "the log is full: further lines are left out" } else { message };
    let mut cut = secret::mask(message).into_owned();
    if cut.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| cut.is_char_boundary(*at)).unwrap_or(0);
        cut.truncate(end);
        cut.push_str(" … (cut)");
    }
    let position = Position { scope: replay.scopes.path(scope).to_vec(), ordinal: 0 };
    let entry = Entry { line, detail: fields, ..Entry::opened(Kind::Log, position, level.into(), session.now.get()) };
    let text = Payload::from_json(&serde_json::Value::from(cut));
    replay.append(Entry { phase: Phase::Closed, outcome: Some(Ok(text)), ..entry });
    session.steps.borrow_mut().push(strand.step.borrow().clone());
}

/// `print` and `debug` go to the log.
pub(super) fn register(engine: &mut Engine) {
    let write = |level: &'static str, text: &str, position: rhai::Position| {
        if let Some((session, strand)) = session::current() {
            let at = position.line().map_or(0, |line| line as u32);
            line(&session, &strand, level, text, None, at);
        }
    };
    engine.on_print(move |text| write("info", text, rhai::Position::NONE));
    engine.on_debug(move |text, _, position| write("debug", text, position));
}
