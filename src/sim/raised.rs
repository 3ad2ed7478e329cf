//! Errors that mocks give: as those of the function that they stand for.

use std::time::Duration;

use rhai::{Dynamic, EvalAltResult, Map};

use super::broken::{Broken, NO_MOCK};
use crate::effect::{Failure, Field, Request, Sent};
use crate::host::fail::error_map;
use crate::host::session::{Answer, encode_error};
use crate::script::value;

/// What `test::error` makes: a mock that returns it throws it.
#[derive(Clone, Debug)]
pub(super) struct Raised(pub(super) Map);

/// Kinds that functions throw by themselves, and that their retries look at.
const KINDS: &[&str] = &[
    "http",
    "network",
    "timeout",
    "shell",
    "sql",
    "mail",
    "message",
    "file",
    "denied",
    "invalid",
    "limit",
    "not_found",
];

/// `test::error(kind, fields)`.
pub(super) fn error(kind: &str, fields: Map) -> Raised {
    let mut map = Map::new();
    let status = fields.get("status").and_then(|status| status.as_int().ok());
    let retryable = match status {
        Some(status) => is_retryable(status),
        None => matches!(kind, "network" | "timeout"),
    };
    map.insert("kind".into(), kind.into());
    map.insert("message".into(), format!("a test says: {kind}").into());
    map.insert("retryable".into(), retryable.into());
    map.extend(fields);
    Raised(map)
}

/// A closure threw: what the function throws, unless the closure itself is wrong.
pub(super) fn thrown(error: &EvalAltResult, function: &str) -> Result<Dynamic, Broken> {
    if let Some(broken) = Broken::find(error) {
        return Err(broken);
    }
    match unwrapped(error) {
        EvalAltResult::ErrorRuntime(value, _) if value.is::<Raised>() => Ok(value.clone()),
        EvalAltResult::ErrorRuntime(..) => Ok(Dynamic::from(Raised(without_place(error_map(error))))),
        inner => Err(Broken::new(NO_MOCK, format!("the mock of `{function}` is wrong: {inner}"))),
    }
}

/// Where the test threw is not where the workflow failed.
fn without_place(mut error: Map) -> Map {
    for key in ["line", "column", "file"] {
        error.remove(key);
    }
    error
}

fn unwrapped(error: &EvalAltResult) -> &EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            unwrapped(inner)
        }
        error => error,
    }
}

/// A response that the request does not accept is an error, as it is from a real service.
pub(super) fn refused(given: &Dynamic, function: &str, request: Option<&Request>) -> Option<Map> {
    let request = match request {
        Some(Request::Http(request)) => request,
        Some(Request::Shell(request)) => return ended_badly(given, &request.program, &request.accept),
        _ => return None,
    };
    let response = given.read_lock::<Map>()?;
    let status = response.get("status")?.as_int().ok()?;
    if status < 400 || request.accept.iter().any(|accepted| i64::from(*accepted) == status) {
        return None;
    }
    let mut error = Map::new();
    error.insert("kind".into(), "http".into());
    let message = format!("{} `{}` answered {status}", request.method.to_uppercase(), request.url);
    error.insert("message".into(), message.into());
    error.insert("retryable".into(), is_retryable(status).into());
    error.insert("url".into(), request.url.clone().into());
    for key in ["status", "body", "headers"] {
        error.insert(key.into(), response.get(key).cloned().unwrap_or_default());
    }
    debug_assert!(function.starts_with("http::"), "only `http` makes requests");
    Some(error)
}

/// A code that the request does not accept is an error, as it is of a real program.
fn ended_badly(given: &Dynamic, program: &str, accept: &[i32]) -> Option<Map> {
    let ended = given.read_lock::<Map>()?;
    let code = ended.get("code")?.as_int().ok()?;
    if code == 0 || accept.iter().any(|accepted| i64::from(*accepted) == code) {
        return None;
    }
    let mut error = Map::new();
    error.insert("kind".into(), "shell".into());
    error.insert("message".into(), format!("`{program}` ended with code {code}").into());
    error.insert("retryable".into(), false.into());
    error.insert("program".into(), program.to_owned().into());
    for key in ["code", "stdout", "stderr"] {
        error.insert(key.into(), ended.get(key).cloned().unwrap_or_default());
    }
    Some(error)
}

fn is_retryable(status: i64) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

/// The error as an answer. Kinds that functions know go through their own retries.
pub(super) fn answer(error: &Map, request: Option<&Request>) -> Answer {
    let kind = error.get("kind").map(ToString::to_string).unwrap_or_default();
    match KINDS.iter().find(|known| **known == kind) {
        Some(kind) if request.is_some() => Answer::Effect(Err(failure(kind, error))),
        _ => Answer::Given(Err(encode_error(error))),
    }
}

fn failure(kind: &'static str, error: &Map) -> Failure {
    let text = |key: &str| error.get(key).map(ToString::to_string).unwrap_or_default();
    let flag = |key: &str| error.get(key).and_then(|value| value.as_bool().ok()).unwrap_or(false);
    let mut failure = Failure::new(kind, text("message"));
    failure.retryable = flag("retryable");
    failure.sent = if kind == "network" && !flag("sent") { Sent::No } else { Sent::Maybe };
    let header = error.get("headers").and_then(|headers| headers.read_lock::<Map>()?.get("retry-after").cloned());
    let after = error.get("retry_after").cloned().or(header).and_then(|after| after.to_string().parse::<f64>().ok());
    failure.retry_after = after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    for (key, value) in error {
        if !matches!(key.as_str(), "kind" | "message" | "retryable" | "sent" | "retry_after") {
            let json = value::to_json_text(value, false).unwrap_or_else(|_| "null".to_owned());
            failure.fields.push((key.to_string(), Field::Json(json)));
        }
    }
    failure
}
