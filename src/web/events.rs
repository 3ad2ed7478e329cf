//! Events: emitting them, plain or as `CloudEvents` 1.0, and looking at them.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{self, header};
use super::{Problem, Shared, content, flood, listing, runs, trace};
use crate::engine::Error;
use crate::id::RunId;
use crate::pattern::validate_name;
use crate::payload::Payload;
use crate::store;
use crate::trace::Trace;

/// Characters of an id or a key: they are stored and compared, not data.
const TEXT_MAX: usize = 500;

/// An event as it was sent, in any form.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Sent {
    #[serde(default)]
    name: String,
    key: Option<String>,
    #[serde(default)]
    payload: Value,
    id: Option<String>,
    /// Of a `CloudEvent`: the trace that its extensions name.
    #[serde(skip)]
    trace: Option<Trace>,
}

/// `POST /api/v1/events`
pub(super) async fn emit(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = request::body(&shared.flood, &parts.headers, body).await?;
    let sent = read(&parts.headers, &body)?;
    // What the event itself says is where it was made; the request may be a broker's.
    let trace = sent.trace.clone().or_else(|| trace::of_request(&parts.headers));
    accept(&shared, &parts.headers, Sent { trace, ..sent }, None).await
}

/// `POST /api/v1/runs/{id}/events`: for this run alone.
pub(super) async fn emit_to(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let run = request::run_id(&id)?;
    let sent = read(&parts.headers, &request::body(&shared.flood, &parts.headers, body).await?)?;
    let row = request::read(&shared, move |handle| handle.newest(run)).await?;
    if row.status.is_final() {
        return Err(Error::Ended(row.id, row.status).into());
    }
    accept(&shared, &parts.headers, sent, Some(run)).await
}

async fn accept(shared: &Shared, headers: &HeaderMap, sent: Sent, run: Option<RunId>) -> Result<Response, Problem> {
    let key = request::idempotency_key(headers)?;
    validate_name(&sent.name).map_err(|e| Problem::bad(format!("`name`: {e}; hint: {}", e.hint)))?;
    for (what, text) in [("key", &sent.key), ("id", &sent.id)] {
        if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > TEXT_MAX) {
            return Err(Problem::bad(format!("`{what}` is empty or longer than {TEXT_MAX} bytes")));
        }
    }
    let handle = &shared.app.handle;
    if run.is_none() {
        flood::calm(handle)?;
    }
    let id = sent.id.or(key.clone()).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let event = store::Event {
        seq: 0,
        id: id.as_str().into(),
        name: sent.name.into(),
        key: sent.key.map(Into::into),
        payload: Payload::from_json(&sent.payload),
        run,
        at: handle.clock().now(),
    };
    let emitted = request::durable(handle, handle.emit_traced(event.clone(), sent.trace)).await?;
    if let Some(key) = key.filter(|_| !emitted.fresh) {
        same_as_first(shared, &key, emitted.seq, event).await?;
    }
    let mut answer = json!({ "event": id, "started": emitted.started, "delivered_to": emitted.woken });
    if !emitted.fresh {
        answer["repeated"] = true.into();
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// A repeat of a key is one of the same request. Of an event that is not kept any more nothing can be said.
async fn same_as_first(shared: &Shared, key: &str, seq: u64, event: store::Event) -> Result<(), Problem> {
    let id = event.id.to_string();
    if request::read(shared, move |handle| handle.is_repeat(seq, event)).await? {
        return Ok(());
    }
    let detail = format!("the key `{key}` sent another event before; hint: use another key, or send the same event");
    Err(Problem::new(StatusCode::CONFLICT, detail).with("event", id))
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Sent, Problem> {
    match content::kind(headers).as_str() {
        "application/cloudevents+json" => structured(body),
        kind if kind.starts_with("application/cloudevents") => {
            let detail = format!("`{kind}` is not taken; hint: send one event as `application/cloudevents+json`");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
        kind if headers.contains_key("ce-specversion") => binary(headers, kind, body),
        _ => request::json(body),
    }
}

/// The attributes of a `CloudEvent` that matter here. Its type is the name, its subject the key; source and id make it one.
fn cloud_event(attribute: impl Fn(&str) -> Option<String>, payload: Value) -> Result<Sent, Problem> {
    let required = |name: &str| {
        let found = attribute(name).filter(|text| !text.is_empty());
        found.ok_or_else(|| Problem::bad(format!("the CloudEvent has no `{name}`")))
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(Problem::bad(format!("CloudEvents `{version}` is not known; hint: send version `1.0`")));
    }
    let id = format!("{} {}", required("source")?, required("id")?);
    let key = attribute("subject").filter(|subject| !subject.is_empty());
    let trace = trace::of_event(&attribute);
    Ok(Sent { name: required("type")?, key, payload, id: Some(id), trace })
}

fn structured(body: &[u8]) -> Result<Sent, Problem> {
    let event: serde_json::Map<String, Value> = request::json(body)?;
    let payload = match (event.get("data"), event.get("data_base64").and_then(Value::as_str)) {
        (Some(data), _) => data.clone(),
        (None, Some(written)) => {
            let bytes = STANDARD.decode(written).map_err(|_| Problem::bad("`data_base64` is not base64"))?;
            let kind = event.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/octet-stream");
            content::value(kind, &bytes)?
        }
        (None, None) => Value::Null,
    };
    cloud_event(|name| event.get(name)?.as_str().map(str::to_owned), payload)
}

fn binary(headers: &HeaderMap, kind: &str, body: &[u8]) -> Result<Sent, Problem> {
    let payload = content::value(kind, body)?;
    cloud_event(|name| header(headers, &format!("ce-{name}")).map(content::unescape), payload)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    after: Option<u64>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/events`: in the order in which they came.
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let Parameters { after, cursor, limit } = request::query(&uri)?;
    let limit = runs::limit(limit)?;
    let cursor = request::cursor(cursor.as_deref(), |cursor| cursor.parse().ok())?;
    let after = cursor.or(after).unwrap_or(0);
    let page = move |handle: &crate::engine::Handle| {
        let read = |last: Option<&store::Event>, limit| {
            Ok(handle.store().events(last.map_or(after, |event| event.seq), limit)?)
        };
        listing::gather(limit, read, |event| Ok(show(event)))
    };
    listing::answer(&shared, "events", page, |last| last.seq.to_string()).await
}

fn show(event: &store::Event) -> Value {
    json!({
        "event": &*event.id, "seq": event.seq, "name": &*event.name, "key": event.key.as_deref(),
        "payload": event.payload.to_json(), "received_at": event.at, "run": event.run,
    })
}
