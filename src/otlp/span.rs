//! Entries and runs as spans, in the JSON of OTLP.

use serde_json::{Value, json};

use crate::journal::{Entry, Kind, Phase, Position, Sub};
use crate::payload::Payload;
use crate::placeholder::mask;
use crate::store::{Run, Status};
use crate::time::Timestamp;
use crate::trace::{SpanId, Trace};

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_CLIENT`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
/// `STATUS_CODE_OK`, `STATUS_CODE_ERROR`.
const OK: u8 = 1;
const ERROR: u8 = 2;

/// A text that belongs to a span.
pub(super) fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": mask(value) } })
}

fn number(key: &str, value: u32) -> Value {
    // Numbers of 64 bits are texts in the JSON of protocol buffers.
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn nanoseconds(at: Timestamp) -> String {
    (i128::from(at.0) * 1_000_000).to_string()
}

fn status(error: Option<&Payload>) -> Value {
    match error {
        None => json!({ "code": OK }),
        Some(error) => json!({ "code": ERROR, "message": error.to_json()["message"].as_str().unwrap_or_default() }),
    }
}

/// The span of a run that has ended, or is held.
pub(super) fn of_run(row: &Run) -> Value {
    let trace = Trace::of(row.id, &row.trigger);
    let ended = row.ended_at.unwrap_or(row.created_at);
    let mut attributes = vec![
        attribute("panta.run", &row.id.to_string()),
        attribute("panta.workflow", &row.workflow),
        attribute("panta.version", &row.version.0),
        attribute("panta.status", row.status.name()),
    ];
    attributes.extend(row.trigger.to_json()["kind"].as_str().map(|kind| attribute("panta.trigger", kind)));
    json!({
        "traceId": trace.id.to_string(), "spanId": SpanId::of_run(row.id).to_string(),
        "parentSpanId": trace.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        "traceState": trace.state.unwrap_or_default(),
        "name": &*row.workflow, "kind": INTERNAL, "attributes": attributes,
        "startTimeUnixNano": nanoseconds(row.created_at), "endTimeUnixNano": nanoseconds(ended),
        "status": status(row.error.as_ref().filter(|_| row.status != Status::Completed)),
    })
}

/// The span of what has ended at a position; `None` for what is no span.
pub(super) fn of_entry(row: &Run, entry: &Entry) -> Option<Value> {
    let (attempt, error) = ended(entry)?;
    let place = entry.position.to_string();
    let trace = Trace::of(row.id, &row.trigger);
    let (kind, effect) = (entry.kind.name(), entry.kind == Kind::Effect);
    let attributes = [
        attribute("panta.run", &row.id.to_string()),
        attribute("panta.workflow", &row.workflow),
        attribute("panta.kind", kind),
        attribute("panta.position", &place),
        number("panta.line", entry.line),
        number("panta.attempt", attempt),
    ];
    Some(json!({
        "traceId": trace.id.to_string(), "spanId": SpanId::of_attempt(row.id, &place, attempt).to_string(),
        "parentSpanId": around(row, &entry.position).to_string(), "traceState": trace.state.unwrap_or_default(),
        "name": mask(&entry.name), "kind": if effect { CLIENT } else { INTERNAL }, "attributes": attributes,
        "startTimeUnixNano": nanoseconds(began(entry)), "endTimeUnixNano": nanoseconds(entry.ended_at),
        "status": status(error.as_ref()),
    }))
}

/// Which attempt an entry tells the end of, and its error.
fn ended(entry: &Entry) -> Option<(u32, Option<Payload>)> {
    let is_span = match entry.kind {
        Kind::Step
        | Kind::Wait
        | Kind::Timer
        | Kind::Event
        | Kind::Task
        | Kind::Child
        | Kind::Rollback
        | Kind::Exit => true,
        // Clock, chance and settings are no work.
        Kind::Effect => entry.name.contains("::") && !entry.name.starts_with("time::"),
        _ => false,
    };
    match (entry.phase, &entry.outcome) {
        _ if !is_span => None,
        (Phase::Closed, Some(outcome)) => Some((entry.attempt, outcome.clone().err())),
        // An attempt has failed, and the next one has a time.
        (Phase::Opened, _) if entry.kind == Kind::Effect && entry.due.is_some() && entry.attempt > 1 => {
            Some((entry.attempt - 1, entry.detail.clone()))
        }
        _ => None,
    }
}

/// When the attempt began that an entry tells of.
fn began(entry: &Entry) -> Timestamp {
    match (entry.kind, entry.phase, entry.due) {
        (Kind::Effect, Phase::Closed, Some(last)) => last,
        _ => entry.started_at,
    }
}

/// The span around a position: the attempt at the innermost step, or the run.
fn around(row: &Run, position: &Position) -> SpanId {
    let innermost = position.scope.iter().enumerate().rev().find_map(|(depth, segment)| match segment.sub {
        Sub::Attempt(attempt) => {
            let step = Position { scope: position.scope[..depth].to_vec(), ordinal: segment.ordinal };
            Some(SpanId::of_attempt(row.id, &step.to_string(), attempt))
        }
        // A branch is no span of its own.
        Sub::Branch(_) => None,
    });
    innermost.unwrap_or_else(|| SpanId::of_run(row.id))
}
