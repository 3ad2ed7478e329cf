//! `lock`: a durable mutex or semaphore over all runs.
//!
//! The slot is the store's: granted in a transaction, before the body begins; given up together with the entry that says so.
//! The inside of a lock is a frame of [`super::cleanup`], so that a branch that is dropped, or a run that ends, gives up
//! what it holds and leaves the line in which it stands.

use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, FnPtr};
use serde_json::json;

use super::cleanup::{self, Leaving, Lock};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::session::{self, Act, Answer, Session, Strand, What, encode_error, hash_arguments};
use super::waiting::{self, Begun};
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::replay::Command;
use crate::script::guard;
use crate::time::Timestamp;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "lock",
    params: &["name: string", "options: map?", "body: closure"],
    options: &[
        Choice::new("limit", "int", "so many bodies at a time; 1 unless said otherwise, 10,000 at most"),
        Choice::new("timeout", "duration or time", "throws `timeout` when there is no slot until then"),
    ],
    returns: "any",
    nature: Nature::Control,
    errors: &["timeout"],
    doc: "Runs its body while no other run, and no other branch, is inside of a lock of that name; waits durably for its turn, by priority, \
          then by arrival. Returns what the body returns. Each call counts against its own `limit`: with a smaller one it waits until fewer are \
          inside. Entering it again from inside is an error; it is left when the body ends or throws, when its branch is dropped, and when the run ends.",
    example: "lock(\"till\", #{ limit: 3, timeout: \"1h\" }, || 1)",
    call: lock,
    ..Function::BASE
}];

/// What of one name may be held at a time, at most: each is a row, and they are counted at every change.
const MOST: i64 = 10_000;
/// Bytes of a name: it is a key in the store, not data.
const LONGEST: usize = 512;

/// How the store names locks: other things have slots, too.
const PREFIX: &str = "lock:";

/// What a call asks for.
struct Wanted {
    name: Arc<str>,
    limit: u32,
    due: Option<Timestamp>,
}

fn lock(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let (wanted, body) = wanted(call, &session, &strand)?;
    if cleanup::is_inside_lock(&session, &strand, &wanted.name) {
        return Err(call.invalid(format!(
            "the lock `{}` is held here already, and would wait for itself; hint: leave it first, or call the rest directly",
            shown(&wanted.name)
        )));
    }
    let scope = strand.scope.get();
    let ticket: Arc<str> = session.replay.borrow().scopes.next_position(scope).to_string().into();
    // From here on: what an earlier activation may have got is given up, whatever happens to this line of execution.
    let held = Lock { name: Arc::clone(&wanted.name), ticket: Arc::clone(&ticket) };
    let (frame, outer) = cleanup::enter_lock(&session, &strand, held);
    let result = match acquire(call, &session, &strand, &wanted, ticket) {
        Ok(()) => body.call_within_context::<Dynamic>(&call.context, ()).map_err(Fail::from),
        Err(Fail::Stopped) => return Err(Fail::Stopped),
        Err(fail) => {
            // Given up together with the error.
            session.frames.borrow_mut().close(frame);
            strand.frame.set(outer);
            return Err(fail);
        }
    };
    if guard::stopped().is_some() {
        // The engine unwinds what is open when a strand is stopped.
        return Err(Fail::Stopped);
    }
    let leaving = if result.is_ok() { Leaving::Well } else { Leaving::Failing };
    cleanup::unwind(&session, &strand, frame, leaving)?;
    session.frames.borrow_mut().close(frame);
    strand.frame.set(outer);
    result
}

fn wanted(call: &Call<'_>, session: &Session, strand: &Strand) -> Result<(Wanted, FnPtr), Fail> {
    let name = call.text(0)?;
    if name.is_empty() || name.len() > LONGEST {
        return Err(call.invalid(format!("a name has between 1 and {LONGEST} bytes")));
    }
    let last = call.args.len() - 1;
    let body = call.closure(last)?;
    let mut wanted = Wanted { name: format!("{PREFIX}{name}").into(), limit: 1, due: None };
    if last == 2 {
        let options = call.options(1)?;
        let limit = options.int("limit")?.unwrap_or(1);
        if !(1..=MOST).contains(&limit) {
            return Err(call.invalid(format!("option `limit` lies between 1 and {MOST}, not {limit}")));
        }
        wanted.limit = u32::try_from(limit).expect("it was just compared");
        wanted.due = options.due("timeout", session.time_of_next(strand))?;
    }
    Ok((wanted, body))
}

/// The name as scripts know it.
fn shown(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn acquire(
    call: &Call<'_>,
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    wanted: &Wanted,
    ticket: Arc<str>,
) -> Result<(), Fail> {
    let name = Arc::clone(&wanted.name);
    let command =
        Command { arguments: hash_arguments(&name), ..session::command(Kind::Wait, Arc::clone(&name), call.line()) };
    let (position, opened) = match waiting::issue(session, strand, &command)? {
        Begun::Closed(entry) => return waiting::recorded_value(&entry).map(drop),
        Begun::Open { position, opened } => (position, opened),
    };
    let entry = opened.unwrap_or_else(|| {
        let detail = Payload::from_json(&json!({ "lock": shown(&name), "limit": wanted.limit }));
        let entry = Entry { due: wanted.due, detail: Some(detail), ..session.entry(&command, position) };
        session.replay.borrow_mut().append(entry.clone());
        entry
    });
    let what = What::Lock { name, ticket: Arc::clone(&ticket), limit: wanted.limit, due: entry.due };
    let Answer::Lock(granted) = session.wait(strand, call.line(), what) else {
        unreachable!("waiting for a slot is answered by one, or by the end of its time")
    };
    if granted {
        return session.close(entry, Ok(Payload::unit())).map(drop);
    }
    session.acts.borrow_mut().push(Act::Unlock { ticket });
    let late = Fail::error("timeout", format!("the lock `{}` was not free in time", shown(&wanted.name)));
    session.close(entry, Err(encode_error(&late.with("retryable", true).into_map()))).map(drop)
}

/// The ticket with which a beginning stands in line, or holds a slot.
pub(crate) fn asked_by(entry: &Entry) -> Option<Arc<str>> {
    let is_lock = entry.kind == Kind::Wait && entry.name.starts_with(PREFIX);
    is_lock.then(|| entry.position.to_string().into())
}

/// Gives a slot up, or the place in line, and records it.
pub(super) fn release(session: &Rc<Session>, strand: &Rc<Strand>, lock: &Lock) -> Result<(), Fail> {
    let name = format!("un{}", lock.name);
    let command = Command { arguments: hash_arguments(&lock.ticket), ..session::command(Kind::State, name, 0) };
    let Err(position) = super::state::now(session, strand, &command)? else { return Ok(()) };
    session.acts.borrow_mut().push(Act::Unlock { ticket: Arc::clone(&lock.ticket) });
    session.close(session.entry(&command, position), Ok(Payload::unit())).map(drop)
}
