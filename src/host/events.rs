//! `event::*`: telling other runs and workflows.

use std::sync::Arc;

use rhai::Dynamic;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::session::{self, Act, encode, hash_arguments};
use super::{state, waiting};
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::replay::Command;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[EMIT, URL];

const EMIT: Function = Function {
    name: "event::emit",
    params: &["name: string", "payload: any?", "options: map?"],
    options: &[
        Choice::new("key", "string or int", "correlation key"),
        Choice::new("id", "string", "an event with an id that was there within 7 days is dropped"),
    ],
    returns: "string",
    nature: Nature::Internal,
    doc: "Starts what is triggered by the event and wakes what waits for it, exactly once. `id` dedupes; returns it.",
    example: "event::emit(\"site.down\", #{ url: \"https://example.com\" }, #{ key: \"example.com\" })",
    call: emit,
    ..Function::BASE
};

const URL: Function = Function {
    name: "event::url",
    params: &["name: string", "options: map?"],
    options: &[
        Choice { name: "key", kind: "string or int?", doc: "the correlation key of the event" },
        Choice { name: "expires", kind: "duration or time?", doc: "until when the address works; for ever without it" },
    ],
    returns: "string",
    nature: Nature::Internal,
    errors: &["file"],
    doc: "A signed address: a POST to it emits the event with the body as payload, for systems that call back. A header \
          `Idempotency-Key` makes repeats one event.",
    example: "event::url(\"parcel.delivered\", #{ key: \"A1\", expires: \"30d\" })",
    call: url,
    ..Function::BASE
};

fn event_name(call: &Call<'_>) -> Result<String, Fail> {
    let name = call.text(0)?;
    if name.is_empty() || name.contains('*') || name.chars().any(char::is_whitespace) {
        return Err(call.invalid(format!("`{name}` is no event name; hint: names look like `payment.received`")));
    }
    Ok(name)
}

fn url(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(1)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let name = event_name(call)?;
    let key = waiting::key(call, options.get("key"))?;
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    let expires = options.due("expires", session.time_of_next(&strand))?;
    let arguments = hash_arguments(&format!("{name}\n{}", key.as_deref().unwrap_or_default()));
    let command = Command { arguments, ..session::command(Kind::Event, call.function.name, call.line()) };
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    let detail = serde_json::json!({ "event": name, "key": key.as_deref(), "expires": expires });
    let entry = Entry { detail: Some(Payload::from_json(&detail)), ..session.entry(&command, position) };
    let outcome = session.world.event_url(&name, key.as_deref(), expires);
    let outcome = outcome.map(|url| Payload::from_json(&url.into())).map_err(|problem| {
        let fail = Fail::error("file", format!("`{}`: {problem}", call.function.name));
        session::encode_error(&fail.into_map())
    });
    session.close(entry, outcome)
}

fn emit(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(2)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let name = event_name(call)?;
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    let id = options.text("id")?;
    let payload = encode(call.function.name, &call.arg(1).cloned().unwrap_or_default())?;
    let key = waiting::key(call, options.get("key"))?;
    let arguments = hash_arguments(&format!("{name}\n{}\n{}", key.as_deref().unwrap_or_default(), payload.text()));
    let command = Command { arguments, ..session::command(Kind::Event, call.function.name, call.line()) };
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    if let Err(error) = session.world.may_emit(&name) {
        return session.close(session.entry(&command, position), Err(error));
    }
    let id: Arc<str> = match id {
        Some(id) => id.into(),
        None => format!("{}-{position}", session.facts.run).into(),
    };
    let detail = serde_json::json!({ "event": name, "key": key.as_deref() });
    session.acts.borrow_mut().push(Act::Emit { id: id.clone(), name: name.into(), key, payload });
    let mut entry = session.entry(&command, position);
    entry.detail = Some(Payload::from_json(&detail));
    session.close(entry, Ok(Payload::from_json(&serde_json::Value::from(&*id))))
}
