//! Errors as problem documents (RFC 9457).

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::engine::Error;
use crate::payload::Payload;
use crate::store;

/// Bytes of what a layer below said, of which a sentence is made.
const SAID_MAX: usize = 1 << 10;

/// Why a request was not answered as asked.
#[derive(Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    detail: String,
    fields: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// With this status and what is wrong, in a sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner { status, detail: detail.into(), fields: Map::new(), headers: Vec::new() }))
    }

    /// The request cannot be understood.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// With a field beside the standard ones.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.fields.insert(name.to_owned(), value.into());
        self
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// With a header whose value was put together; left out where it cannot be one.
    pub(super) fn header_text(mut self, name: HeaderName, value: &str) -> Self {
        self.0.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// What is wrong.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The store has no space: asking again later is right, with the same key.
    pub(super) fn full(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, detail).header(RETRY_AFTER, "30")
    }
}

/// A mark of responses that a workflow made: whatever their status, they go out as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsMade;

/// Errors that no handler of ours made (a path that is no text, an extractor that gave up) are problems, too.
pub(super) async fn ensure(response: Response) -> Response {
    let status = response.status();
    if response.extensions().get::<AsMade>().is_some() {
        return response;
    }
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().starts_with(b"application/problem+json") || kind.as_bytes().starts_with(b"text/html")
    });
    if !(status.is_client_error() || status.is_server_error()) || is_page {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, SAID_MAX).await.unwrap_or_default();
    let said = if status.is_client_error() { String::from_utf8_lossy(&said).trim().to_owned() } else { String::new() };
    let detail = if said.is_empty() { "the request cannot be answered".to_owned() } else { said };
    let mut problem = Problem::new(status, format!("{detail}; hint: see `/openapi.json`")).into_response();
    let kept = parts.headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
    problem.headers_mut().extend(kept.filter(|(name, _)| *name != CONTENT_TYPE && *name != CONTENT_LENGTH));
    problem
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Confirm { run, steps } => {
                Self::new(StatusCode::CONFLICT, detail).with("run", json!(run)).with("confirm", json!(steps))
            }
            Error::Diverges { run, divergence } => {
                Self::new(StatusCode::CONFLICT, detail).with("run", json!(run)).with("divergence", divergence)
            }
            Error::UnknownStep(_)
            | Error::UnknownWorkflow { .. }
            | Error::UnknownRun(_)
            | Error::UnknownTask(_)
            | Error::NotLocked(_)
            | Error::UnknownToken(_) => Self::new(StatusCode::NOT_FOUND, detail),
            Error::Input(faults) | Error::Answer(faults) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with("errors", json!(faults))
            }
            Error::KeyConflict { run, .. } | Error::Busy(run) => {
                Self::new(StatusCode::CONFLICT, detail).with("run", json!(run))
            }
            Error::Ended(run, status) | Error::LockInUse { run, status, .. } | Error::NotNow { run, status, .. } => {
                Self::new(StatusCode::CONFLICT, detail).with("run", json!(run)).with("run_status", status.name())
            }
            Error::Skipped { holder, .. } => {
                Self::new(StatusCode::CONFLICT, detail).with("skipped", true).with("run", json!(holder))
            }
            Error::Closure(_) | Error::BadToken(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
            Error::MayNotAnswer(_) => Self::new(StatusCode::FORBIDDEN, detail),
            Error::TaskOver(task) => Self::new(StatusCode::CONFLICT, detail)
                .with("task", json!(task.id))
                .with("task_status", task.status.name())
                .with("answer", task.answer.as_ref().map(Payload::to_json).unwrap_or_default())
                .with("ended_at", json!(task.ended_at)),
            Error::Store(store::Error::Full) => Self::full(detail),
            Error::Store(store::Error::Failed(_) | store::Error::Held { .. }) | Error::Stopped(_) => {
                // What it says of files and of the disk is for the log.
                tracing::error!("a request was not answered: {detail}");
                let detail = "the engine has stopped, or its store does not answer; hint: see the daemon's log";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).header(RETRY_AFTER, "5")
            }
            Error::Store(_) | Error::Journal(_) => {
                tracing::error!("a request was not answered: {detail}");
                let detail = "what is stored cannot be read; hint: see the daemon's log";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { status, detail, fields, headers } = *self.0;
        let title = status.canonical_reason().unwrap_or("Error");
        let mut body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        if let Some((_, hint)) = detail.split_once("; hint: ") {
            body["hint"] = hint.into();
        }
        body.as_object_mut().expect("an object was made above").extend(fields);
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(CONTENT_TYPE, kind)], body.to_string()).into_response();
        response.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}
