//! Workflows: looking at them, and starting their runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Problem, Shared, flood, request, runs, trace};
use crate::audit::Actor;
use crate::engine::{Deployed, Error, SAID_NO, Start, Started, Waiting};
use crate::script::flow::edges;
use crate::time::parse_duration;
use crate::trigger::service::outlook::outlook;

/// The longest `wait`: proxies and clients give up on an answer that takes longer.
const WAIT_MAX: Duration = Duration::from_mins(5);

type Held = BTreeMap<String, Value>;
type Counts = BTreeMap<String, Map<String, Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/v1/workflows`: by name.
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let Page { limit, cursor } = request::query(&uri)?;
    let limit = limit.map(|limit| runs::limit(Some(limit))).transpose()?.unwrap_or(usize::MAX);
    let after = request::cursor(cursor.as_deref(), |cursor| cursor.strip_prefix('~').map(str::to_owned))?;
    let counts = counts(&shared).await?;
    let held = held(&shared).await?;
    let shown = |workflow: &Deployed| {
        let mut shown = summary(workflow, &counts, &held);
        shown["gate"] = shared.app.reloads.gate(&workflow.name).unwrap_or_default();
        shown["stopped"] = stopped(&shared, workflow);
        shown["refused"] = refused(&shared, workflow);
        shown
    };
    let all = shared.app.handle.workflows();
    let mut rest = all.iter().filter(|workflow| after.as_deref().is_none_or(|after| *workflow.name > *after));
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(page.last()).map(|workflow| format!("~{}", workflow.name));
    let shown: Vec<_> = page.into_iter().map(|workflow| shown(workflow)).collect();
    Ok(Json(json!({ "workflows": shown, "next": next })))
}

/// `GET /api/v1/workflows/{name}`
pub(super) async fn one(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let workflow = shared.app.handle.workflow(&name).map_err(|error| absent(&shared, error))?;
    let mut shown = summary(&workflow, &counts(&shared).await?, &held(&shared).await?);
    let (handle, looked_at) = (shared.app.handle.clone(), Arc::clone(&workflow));
    shown["triggers"] = request::read(&shared, move |_| outlook(&handle, &looked_at)).await?;
    shown["declaration"] = workflow.declared.clone();
    shown["stopped"] = stopped(&shared, &workflow);
    let gathered = shared.app.handle.gathered(&workflow);
    shown["gathered"] = gathered.iter().map(gathering).collect();
    shown["graph"] = crate::engine::flow(&workflow.bundle).map_or(Value::Null, |graph| edges::json(&graph));
    shown["gate"] = shared.app.reloads.gate(&name).unwrap_or_default();
    shown["broken"] = shared.app.reloads.broken(&name).unwrap_or_default();
    Ok(Json(shown))
}

async fn counts(shared: &Shared) -> Result<Counts, Problem> {
    let mut counts = Counts::new();
    for (workflow, status, count) in request::read(shared, crate::engine::Handle::counts).await? {
        counts.entry(workflow.to_string()).or_default().insert(status.name().to_owned(), count.into());
    }
    Ok(counts)
}

/// What is held: workflows by their names, everything by the empty one.
async fn held(shared: &Shared) -> Result<Held, Problem> {
    let shown = |(key, value): (std::sync::Arc<str>, crate::payload::Payload)| {
        let mut shown = value.to_json();
        shown["scope"] = if key.is_empty() { "all" } else { "workflow" }.into();
        (key.to_string(), shown)
    };
    Ok(request::read(shared, crate::engine::Handle::holds).await?.into_iter().map(shown).collect())
}

fn summary(workflow: &Deployed, counts: &Counts, held: &Held) -> Value {
    json!({
        "name": &*workflow.name, "version": workflow.version(), "title": workflow.declared["title"],
        "tags": workflow.declared["tags"], "doc": workflow.doc, "triggers": workflow.declared["triggers"],
        "counts": counts.get(&*workflow.name).cloned().unwrap_or_default(),
        "paused": held.get("").or_else(|| held.get(&*workflow.name)),
    })
}

/// What its triggers could not start since the daemon did, the last of each. That `when` says no is no fault.
fn refused(shared: &Shared, workflow: &Deployed) -> Value {
    let last = |id: &str| shared.app.handle.refusal(&workflow.name, id).filter(|refusal| refusal.reason != SAID_NO);
    let told = workflow.triggers.iter().filter_map(|spec| {
        let refusal = last(&spec.id)?;
        Some(json!({ "trigger": spec.id, "at": refusal.at, "reason": refusal.reason, "count": refusal.count }))
    });
    told.collect()
}

/// What of its declaration is not called any more, since the process died of it.
fn stopped(shared: &Shared, workflow: &Deployed) -> Value {
    let shown = |(trigger, option, why)| json!({ "trigger": trigger, "option": option, "reason": why });
    shared.app.handle.paused_closures(workflow).into_iter().map(shown).collect()
}

fn gathering(waiting: &Waiting) -> Value {
    json!({
        "trigger": waiting.trigger, "key": waiting.key, "events": waiting.events, "since": waiting.since, "due": waiting.due,
    })
}

/// A workflow that is not there may be one whose file never compiled.
pub(super) fn absent(shared: &Shared, error: Error) -> Problem {
    if let Error::UnknownWorkflow { name, .. } = &error
        && let Some(diagnostics) = shared.app.reloads.broken(name)
    {
        let first = &diagnostics[0];
        let what = first["title"].as_str().map(|title| format!(": {title}")).unwrap_or_default();
        let detail = format!("the file of `{name}` does not compile{what}; hint: `panta check` shows where");
        return Problem::new(StatusCode::CONFLICT, detail).with("diagnostics", diagnostics);
    }
    error.into()
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    input: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    wait: Option<String>,
}

/// `POST /api/v1/workflows/{name}/runs`
pub(super) async fn start(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let (wait, key) = (wait(&parts.uri)?, request::idempotency_key(&parts.headers)?);
    let Body { input } = request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let handle = &shared.app.handle;
    handle.workflow(&name).map_err(|error| absent(&shared, error))?;
    flood::calm(handle)?;
    let start = Start { input, key, trigger: trace::by_hand(&parts.headers), by: Some(by), ..Start::default() };
    let started = request::durable(handle, handle.start(&name, start)).await?;
    let answer = match wait {
        Some(wait) => request::ended(&shared, started.run, wait).await?,
        None => None,
    };
    let answer = match answer {
        // What a finished run is shown with is a row or two: to hand that to another thread takes longer.
        Some(run) if run.status.is_final() => Json(handle.run_json(&run)?).into_response(),
        Some(run) => Json(request::read(&shared, move |handle| handle.run_json(&run)).await?).into_response(),
        None => accepted(started),
    };
    trace::answered(&shared, &parts.headers, started, answer).await
}

/// 202 with the run that was started, now or by the first request with the same key.
pub(super) fn accepted(started: Started) -> Response {
    let Started { run, fresh } = started;
    let body = if fresh { json!({ "run": run }) } else { json!({ "run": run, "repeated": true }) };
    (StatusCode::ACCEPTED, [(LOCATION, format!("/api/v1/runs/{run}"))], Json(body)).into_response()
}

fn wait(uri: &Uri) -> Result<Option<Duration>, Problem> {
    let Some(wait) = request::query::<Parameters>(uri)?.wait else { return Ok(None) };
    let wait = parse_duration(&wait).map_err(|e| Problem::bad(format!("`wait`: {e}; hint: {}", e.hint())))?;
    Ok(Some(wait.min(WAIT_MAX)))
}
