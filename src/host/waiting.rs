//! `sleep`, `sleep_until`, `wait_for`, `wait_until`: durable waits.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, FnPtr, Map};

use super::fail::{Fail, is_worth_a_retry};
use super::function::{Call, Choice, Function, Nature};
use super::mailbox::Letter;
use super::session::{self, Answer, EventSeen, Mode, Session, Strand, What, encode, encode_error, hash_arguments};
use crate::journal::{Entry, Kind, Position};
use crate::payload::Payload;
use crate::replay::{Command, Issued};
use crate::time::Timestamp;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "sleep",
        params: &["duration: duration or time"],
        returns: "()",
        nature: Nature::Internal,
        doc: "Waits that long, durably; never ends early.",
        example: "sleep(\"90s\")",
        call: sleep,
        ..Function::BASE
    },
    Function {
        name: "sleep_until",
        params: &["time: duration or time"],
        returns: "()",
        nature: Nature::Internal,
        doc: "Waits until a time, durably; returns at once when it is past. A plain date, such as an input of the type `date`, is its first moment in UTC; \
              for another zone write `` `${day}T00:00[Europe/Berlin]` ``.",
        example: "sleep_until(\"2026-12-24T08:00[Europe/Berlin]\")",
        call: sleep,
        ..Function::BASE
    },
    Function {
        name: "wait_for",
        params: &["event: string", "options: map?"],
        options: &[
            Choice::new("key", "string or int", "only an event with this correlation key"),
            Choice::new("timeout", "duration or time", "when the wait is over"),
            Choice::new("when", "closure", "pure: gets the payload, and says whether it is the one"),
            Choice::new("since", "duration", "looks further back than the start of the run"),
        ],
        returns: "any or ()",
        nature: Nature::Internal,
        doc: "Waits for an event by name and key; returns its payload (`#{}` where it has none), or `()` when `timeout` is over.",
        example: "wait_for(\"payment.received\", #{ key: \"A1\", timeout: \"30d\" })",
        call: wait_for,
        ..Function::BASE
    },
    Function {
        name: "wait_until",
        params: &["options: map", "condition: closure"],
        options: &[
            Choice::new("every", "duration", "the pause between two polls"),
            Choice::new("timeout", "duration or time", "when the wait is over"),
        ],
        returns: "any or ()",
        nature: Nature::Internal,
        doc: "Polls until the closure returns something other than `false` and `()`; returns that, or `()` when `timeout` is over. One entry in the journal, however many polls.",
        example: "wait_until(#{ every: \"10s\", timeout: \"1h\" }, || true)",
        call: wait_until,
        ..Function::BASE
    },
];

fn sleep(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    let given = call.args[0].clone();
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    let due = call.due(&given, session.time_of_next(&strand))?;
    super::no_pure(call, &strand)?;
    if strand.mode.get() == Mode::Polling {
        return Err(call.invalid("cannot be used inside of `wait_until`; hint: `every` is the pause between polls"));
    }
    let command = Command {
        arguments: hash_arguments(&given.to_string()),
        ..session::command(Kind::Timer, call.function.name, call.line())
    };
    timer(&session, &strand, &command, due, None)
}

/// The durable pause before another attempt. Its entry keeps the error of the attempt that failed.
pub(super) fn pause(
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    line: u32,
    due: Timestamp,
    error: &Map,
) -> Result<(), Fail> {
    let command = session::command(Kind::Timer, "retry", line);
    timer(session, strand, &command, due, Some(encode_error(error))).map(drop)
}

/// The durable limit of a `timeout`.
pub(super) fn limit(
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    command: &Command,
    due: Timestamp,
) -> Result<Dynamic, Fail> {
    timer(session, strand, command, due, None)
}

fn timer(
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    command: &Command,
    due: Timestamp,
    error: Option<Payload>,
) -> Result<Dynamic, Fail> {
    let (position, opened) = match issue(session, strand, command)? {
        Begun::Closed(entry) => return recorded_value(&entry),
        Begun::Open { position, opened } => (position, opened),
    };
    let entry = session.entry(command, position);
    let entry = if let Some(opened) = opened {
        opened
    } else {
        let opened = Entry { due: Some(due), detail: error, ..entry };
        session.replay.borrow_mut().append(opened.clone());
        opened
    };
    let due = entry.due.unwrap_or(due);
    strand.due.set(Some(due));
    let retry_of =
        entry.detail.as_ref().map(|error| Arc::from(error.to_json()["message"].as_str().unwrap_or_default()));
    while session.now.get() < due || strand.must_wait.get() {
        session.wait(strand, command.line, What::Until { due, retry_of: retry_of.clone() });
    }
    strand.due.set(None);
    let detail = strand.interrupted.take().map(|interruption| interruption.to_detail());
    session.close(Entry { detail, due: Some(due), ..entry }, Ok(Payload::unit()))
}

/// A command that has begun, or is over already.
pub(super) enum Begun {
    /// The recorded outcome.
    Closed(Entry),
    /// Not over; what an earlier activation recorded of it.
    Open {
        /// Its place.
        position: Position,
        /// The entry that began it.
        opened: Option<Entry>,
    },
}

/// Issues a command that waits; waits for its turn when it is recorded. One that is not recorded waits until the journal is
/// used up: what the present decides (a time that has come, an answer) must not come before what is recorded, and nothing is
/// performed while the script can still diverge. Its outcome never comes before all other strands wait, on no execution.
pub(super) fn issue(session: &Rc<Session>, strand: &Rc<Strand>, command: &Command) -> Result<Begun, Fail> {
    let issued = session.replay.borrow_mut().issue(strand.scope.get(), command).map_err(|d| session.diverge(d))?;
    Ok(match issued {
        Issued::Recorded(_) => unreachable!("a command that waits is not answered at once"),
        Issued::Later(index) => Begun::Closed(session.recorded(strand, index)),
        Issued::Pending { position, opened } => {
            strand.must_wait.set(true);
            session.reach_end(strand, command.line);
            // One that leaves no mark when it begins was asked for before what did: as long as that is to come, it is not new.
            if opened.is_none() && !session.replay.borrow().has_more() {
                session.face();
            }
            if let Some(entry) = session.give(&position, command) {
                return Ok(Begun::Closed(entry));
            }
            if opened.is_none() {
                session.halt(strand);
            }
            Begun::Open { position, opened }
        }
    })
}

/// What a recorded entry returns to the script.
pub(super) fn recorded_value(entry: &Entry) -> Result<Dynamic, Fail> {
    session::outcome_value(entry.outcome.as_ref().expect("a closed entry has an outcome"))
}

fn wait_for(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(1)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let name: Arc<str> = call.text(0)?.into();
    if name.is_empty() {
        return Err(call.invalid("an event has a name"));
    }
    let now = session.time_of_next(&strand);
    let due = options.due("timeout", now)?;
    let back = options.duration("since")?;
    let key: Option<Arc<str>> = key(call, options.get("key"))?;
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    let when = options.closure("when")?;
    let command = Command {
        arguments: key.as_ref().map_or(0, |key| hash_arguments(key)),
        ..session::command(Kind::Event, name.clone(), call.line())
    };
    let (position, opened) = match issue(&session, &strand, &command)? {
        Begun::Closed(entry) => {
            let seq = entry.detail.as_ref().and_then(|d| d.to_json()["seq"].as_u64());
            if let Some(seq) = seq {
                session.mailbox.borrow_mut().take(seq, &name, key.as_ref());
            }
            return recorded_value(&entry);
        }
        Begun::Open { position, opened } => (position, opened),
    };
    let began = opened.as_ref().map_or(now, |entry| entry.started_at);
    let entry = if let Some(opened) = opened {
        opened
    } else {
        let detail = key.as_ref().map(|key| Payload::from_json(&serde_json::json!({ "key": &**key })));
        let opened = Entry { due, detail, ..session.entry(&command, position) };
        session.replay.borrow_mut().append(opened.clone());
        opened
    };
    let (first, after) = {
        let mailbox = session.mailbox.borrow();
        (mailbox.since.unwrap_or(session.facts.accepted_at), mailbox.begin(&name, key.as_ref()))
    };
    let since = back.map_or(first, |back| Timestamp(began.0 - back.as_millis() as i64).min(first));
    let subject = (Arc::clone(&name), key.clone());
    let mut waited = What::Event { name, key, since, after, due: entry.due };
    let event = match next_event(call, &session, &strand, when.as_ref(), &mut waited) {
        Err(Fail::Stopped) => return Err(Fail::Stopped),
        // What `when` threw is the outcome: a replay, which sees no event, could not throw it again.
        Err(fail) => return session.close(entry, Err(encode_error(&fail.into_map()))),
        Ok(event) => event,
    };
    match event {
        Some(event) => {
            session.mailbox.borrow_mut().take(event.seq, &subject.0, subject.1.as_ref());
            let detail = serde_json::json!({ "event": &*event.id, "seq": event.seq });
            // An event that says nothing is still something: `()` is what a timeout returns.
            let payload = if event.payload == Payload::unit() { Payload::from_text("{}") } else { event.payload };
            session.close(Entry { detail: Some(Payload::from_json(&detail)), ..entry }, Ok(payload))
        }
        None => session
            .close(Entry { detail: Some(Payload::from_text("{\"timeout\":true}")), ..entry }, Ok(Payload::unit())),
    }
}

/// A correlation key: a text or a number.
pub(super) fn key(call: &Call<'_>, value: Option<&Dynamic>) -> Result<Option<Arc<str>>, Fail> {
    match value {
        None => Ok(None),
        Some(value) if value.is_string() || value.is_int() => Ok(Some(value.to_string().into())),
        Some(value) => {
            Err(call.invalid(format!("a key must be a text or an integer, not {}", super::function::type_of(value))))
        }
    }
}

fn next_event(
    call: &Call<'_>,
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    when: Option<&FnPtr>,
    waited: &mut What,
) -> Result<Option<EventSeen>, Fail> {
    loop {
        let Answer::Event(found) = session.wait(strand, call.line(), waited.clone()) else {
            unreachable!("an event wait is answered by an event")
        };
        let Some(event) = found else { return Ok(None) };
        let What::Event { after, name, .. } = waited else { unreachable!("it is an event wait") };
        *after = event.seq;
        if session.mailbox.borrow().has(Letter { seq: event.seq, name, key: event.key.as_ref() }) {
            continue;
        }
        let Some(when) = when else { return Ok(Some(event)) };
        let payload = crate::script::value::decode(&event.payload);
        let answer = super::pure(|| when.call_within_context::<Dynamic>(&call.context, (payload,)))?;
        if answer.as_bool().map_err(|_| call.invalid("the closure `when` must return true or false"))? {
            return Ok(Some(event));
        }
    }
}

fn wait_until(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(0)?;
    let condition = super::copied(&call.closure(1)?);
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let every = options
        .duration("every")?
        .ok_or_else(|| call.invalid("needs the option `every`; hint: `#{ every: \"10s\", timeout: \"1h\" }`"))?;
    let due = options.due("timeout", session.time_of_next(&strand))?;
    let command = session::command(Kind::Wait, "wait_until", call.line());
    let (position, opened) = match issue(&session, &strand, &command)? {
        Begun::Closed(entry) => return recorded_value(&entry),
        Begun::Open { position, opened } => (position, opened),
    };
    let entry = if let Some(opened) = opened {
        opened
    } else {
        let opened = Entry { due, ..session.entry(&command, position) };
        session.replay.borrow_mut().append(opened.clone());
        opened
    };
    session.reach_present(&strand, call.line());
    let outcome = poll(call, &session, &strand, &condition, every, entry.due)?;
    session.close(entry, outcome)
}

fn poll(
    call: &Call<'_>,
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    condition: &FnPtr,
    every: Duration,
    due: Option<Timestamp>,
) -> Result<Result<Payload, Payload>, Fail> {
    let retried = strand.retried.replace(true);
    let outcome = loop {
        let fresh = super::copied(condition);
        let result = strand
            .in_mode(Mode::Polling, || fresh.call_within_context::<Dynamic>(&call.context, ()).map_err(Fail::from));
        match result {
            Err(Fail::Stopped) => return Err(Fail::Stopped),
            Err(fail) => {
                let error = fail.into_map();
                if !is_worth_a_retry(&error) {
                    break Err(encode_error(&error));
                }
            }
            Ok(value) if value.is_unit() || value.as_bool() == Ok(false) => {}
            Ok(value) => break encode(call.function.name, &value).map_err(|fail| encode_error(&fail.into_map())),
        }
        if due.is_some_and(|due| session.now.get() >= due) {
            break Ok(Payload::unit());
        }
        let next = session.now.get().plus(every);
        let next = due.map_or(next, |due| next.min(due));
        while session.now.get() < next {
            session.wait(strand, call.line(), What::Until { due: next, retry_of: None });
        }
    };
    strand.retried.set(retried);
    Ok(outcome)
}
