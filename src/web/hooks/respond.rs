//! A run's output as the answer to the request that started it.

use axum::body::Body;
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, SET_COOKIE, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::login::COOKIE_NAME;
use super::Problem;
use crate::payload::Payload;
use crate::store::{Run, Status};
use crate::web::problem::AsMade;

/// Headers by which an answer would act on the pages of this server, and on other workflows.
const FOR_ALL: [&str; 3] = ["clear-site-data", "service-worker-allowed", "strict-transport-security"];

/// The output: `#{ status, headers, body }` is taken as the response, anything else is its body.
pub(super) fn with_output(run: &Run) -> Result<Response, Problem> {
    if run.status != Status::Completed {
        let detail = format!("the run that the request started is {}", run.status.name());
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).with("run", json!(run.id)));
    }
    let output = run.output.clone().unwrap_or_default();
    let shown = output.to_json();
    let response = match shown.as_object().filter(|map| is_response(map)) {
        Some(map) => response(map, blob(&output)).map_err(|fault| {
            let detail = format!("the workflow's output cannot be a response: {fault}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).with("run", json!(run.id))
        })?,
        None => axum::Json(shown).into_response(),
    };
    Ok(sandboxed(response))
}

/// A page that a workflow made must not act in the name of this server's own pages; else it is as it was made, errors too.
fn sandboxed(mut response: Response) -> Response {
    response.extensions_mut().insert(AsMade);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    response
}

fn is_response(map: &Map<String, Value>) -> bool {
    map.get("status").is_some_and(Value::is_i64)
        && map.keys().all(|key| ["status", "headers", "body"].contains(&key.as_str()))
}

/// The bytes of a body that is a blob.
fn blob(output: &Payload) -> Option<Vec<u8>> {
    let typed: Value = serde_json::from_str(output.text()).ok()?;
    STANDARD.decode(typed["body"]["$blob"].as_str()?).ok()
}

fn response(map: &Map<String, Value>, blob: Option<Vec<u8>>) -> Result<Response, String> {
    let status =
        map["status"].as_u64().and_then(|status| u16::try_from(status).ok()).filter(|s| (200..600).contains(s));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or("`status` is from 200 to 599")?;
    let (kind, body) = match (blob, map.get("body")) {
        (Some(bytes), _) => (Some("application/octet-stream"), Body::from(bytes)),
        (None, None | Some(Value::Null)) => (None, Body::empty()),
        (None, Some(Value::String(text))) => (Some("text/plain; charset=utf-8"), Body::from(text.clone())),
        (None, Some(other)) => (Some("application/json"), Body::from(other.to_string())),
    };
    let mut headers = headers(map.get("headers"))?;
    if let Some(kind) = kind {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    }
    Ok((status, headers, body).into_response())
}

fn headers(given: Option<&Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let empty = Map::new();
    let given = match given {
        None | Some(Value::Null) => &empty,
        Some(given) => given.as_object().ok_or("`headers` must be a map")?,
    };
    for (name, value) in given {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let bad = || format!("the header `{name}` cannot be sent");
        let name: HeaderName = name.parse().map_err(|_| bad())?;
        if FOR_ALL.contains(&name.as_str()) {
            return Err(format!("the header `{name}` acts on the whole server, and a workflow is not that"));
        }
        // The length and the framing are the server's, and so is who is signed in.
        let is_session = name == SET_COOKIE && text.contains(COOKIE_NAME);
        if name == CONTENT_LENGTH || name == TRANSFER_ENCODING || is_session {
            continue;
        }
        headers.insert(name.clone(), HeaderValue::from_str(&text).map_err(|_| bad())?);
    }
    Ok(headers)
}
