//! W3C trace context of requests, and of the answers to those that started a run.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Problem, Shared, request};
use crate::engine::Started;
use crate::payload::Payload;
use crate::trace::{PARENT, STATE, SpanId, Trace};

/// The trace that a request belongs to. A header that comes twice, or is none, counts as absent.
pub(super) fn of_request(headers: &HeaderMap) -> Option<Trace> {
    let mut parents = headers.get_all(PARENT).iter();
    let parent = parents.next().filter(|_| parents.next().is_none())?.to_str().ok()?;
    let states: Vec<_> = headers.get_all(STATE).iter().filter_map(|state| state.to_str().ok()).collect();
    Trace::from_headers(parent, Some(states.join(",").as_str()).filter(|state| !state.is_empty()))
}

/// What the trigger of a run tells that somebody starts by hand.
pub(super) fn by_hand(headers: &HeaderMap) -> Value {
    let mut trigger = json!({ "kind": "hand" });
    if let Some(trace) = of_request(headers) {
        trace.keep_in(&mut trigger);
    }
    trigger
}

/// The attributes by which an event names a trace: extensions of `CloudEvents`.
pub(super) fn of_event(attribute: impl Fn(&str) -> Option<String>) -> Option<Trace> {
    Trace::from_headers(&attribute(PARENT)?, attribute(STATE).as_deref())
}

/// The answer to a request, with the trace of the run that it tells of.
pub(super) async fn answered(
    shared: &Shared,
    headers: &HeaderMap,
    started: Started,
    mut response: Response,
) -> Result<Response, Problem> {
    let run = started.run;
    let trace = if started.fresh && !headers.contains_key(PARENT) {
        Trace::of(run, &Payload::unit())
    } else {
        Trace::of(run, &request::read(shared, move |handle| handle.run(run)).await?.trigger)
    };
    let parent = trace.header(SpanId::of_run(run));
    if let Ok(value) = HeaderValue::from_str(&parent) {
        response.headers_mut().insert(PARENT, value);
    }
    Ok(response)
}
