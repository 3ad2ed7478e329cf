//! What the closures of a trigger make of what it received: whether a run starts, with which input, under which key.

use rhai::Dynamic;
use serde_json::Value;

use super::closures::{self, Which};
use super::deploy::{Deployed, TriggerSpec};
use crate::host::function::type_of;
use crate::payload::Payload;
use crate::script::value;

/// What becomes of what a trigger received.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// A run starts.
    Start {
        /// Its input: what `input` gave, else the payload.
        input: Value,
        /// What `dedupe` gave, where it is a closure.
        key: Option<String>,
    },
    /// `when` gave `false`.
    Skip,
}

/// What a trigger received.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Received {
    /// What its closures see: the payload; of a webhook the request `#{ method, path, query, headers, body }`, of a schedule
    /// and a start of the daemon its time `#{ scheduled_at }` or `#{ at }`.
    pub seen: Value,
    /// What the workflow gets without `input`.
    pub payload: Value,
}

impl Received {
    /// A payload that the closures see as it is.
    pub fn of(payload: Value) -> Self {
        Self { seen: payload.clone(), payload }
    }
}

/// Asks `when`, `dedupe` and `input`, in this order, as far as they are closures. Takes a second each at most. The error is
/// a sentence that names the option and the place: then no run may start.
pub fn decide(deployed: &Deployed, spec: &TriggerSpec, received: Received) -> Result<Decision, String> {
    if !wants(deployed, spec, &received.seen)? {
        return Ok(Decision::Skip);
    }
    let key = match ask(deployed, spec, "dedupe", &received.seen)? {
        None => None,
        Some(key) if key.is_unit() => None,
        Some(key) if key.is_string() || key.is_int() => Some(key.to_string()),
        Some(other) => return Err(wrong(spec, "dedupe", "a text, an integer or `()`", &other)),
    };
    let input = match ask(deployed, spec, "input", &received.seen)? {
        None => received.payload,
        Some(input) => value::encode(&input)
            .map_err(|problem| format!("`input` of {} gave what is no data: {}", spec.id, problem.within("input")))?
            .to_json(),
    };
    Ok(Decision::Start { input, key })
}

/// What `when` says; `true` where there is none.
pub(super) fn wants(deployed: &Deployed, spec: &TriggerSpec, seen: &Value) -> Result<bool, String> {
    let Some(answer) = ask(deployed, spec, "when", seen)? else { return Ok(true) };
    answer.as_bool().map_err(|_| wrong(spec, "when", "`true` or `false`", &answer))
}

/// What a closure answers; `None` where the option is no closure.
fn ask(deployed: &Deployed, spec: &TriggerSpec, option: &'static str, seen: &Value) -> Result<Option<Dynamic>, String> {
    if !spec.closures.iter().any(|name| name == option) {
        return Ok(None);
    }
    let which = Which::Trigger { id: spec.id.clone(), option };
    let args = vec![value::decode(&Payload::from_json(seen))];
    closures::call(deployed, which, args)
        .map(Some)
        .map_err(|problem| format!("`{option}` of {} failed: {problem}", spec.id))
}

/// Why a trigger started nothing whose `when` gave `false`.
pub const SAID_NO: &str = "its `when` gave `false`";

fn wrong(spec: &TriggerSpec, option: &str, expected: &str, found: &Dynamic) -> String {
    format!("`{option}` of {} (line {}) must give {expected}, not {}", spec.id, spec.line, type_of(found))
}
