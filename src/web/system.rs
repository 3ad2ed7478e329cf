//! Health, and what can be asked for.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, Shared, request, runs};
use crate::engine::Trials;

const OPENAPI: &str = include_str!("openapi.json");

const ROOT: &str = "panta runs durable workflows.

  panta workflows              what can be started      GET  /api/v1/workflows
  panta start NAME --wait      start one                POST /api/v1/workflows/NAME/runs
  panta runs                   what runs and ran        GET  /api/v1/runs
  panta show RUN               one run, step by step    GET  /api/v1/runs/RUN/journal
  panta check                  what is wrong            GET  /api/v1/reloads

The whole API is described at /openapi.json.
";

/// `GET /`
pub(super) async fn root() -> &'static str {
    ROOT
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/v1/reloads`: newest first.
pub(super) async fn reloads(State(shared): State<Shared>, uri: Uri) -> Result<Json<Value>, Problem> {
    let Page { limit, cursor } = request::query(&uri)?;
    let limit = limit.map(|limit| runs::limit(Some(limit))).transpose()?.unwrap_or(usize::MAX);
    let before = request::cursor(cursor.as_deref(), reload_place)?;
    let mut all = shared.app.reloads.reloads();
    let mut list = all["reloads"].as_array_mut().map(std::mem::take).unwrap_or_default();
    list.sort_by_cached_key(|reload| std::cmp::Reverse(place_of(reload)));
    let mut rest = list.into_iter().filter(|reload| before.as_ref().is_none_or(|before| place_of(reload) < *before));
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(page.last()).map(place_of).map(|(at, file)| format!("{at}~{file}"));
    Ok(Json(json!({ "reloads": page, "next": next })))
}

/// Where a save stands in the order of all: when it was, then its file.
fn place_of(reload: &Value) -> (String, String) {
    let text = |field: &str| reload[field].as_str().unwrap_or_default().to_owned();
    (text("at"), text("file"))
}

fn reload_place(cursor: &str) -> Option<(String, String)> {
    let (at, file) = cursor.split_once('~')?;
    crate::time::Timestamp::from_text(at)?;
    Some((at.to_owned(), file.to_owned()))
}

/// `GET /healthz`: the engine works.
pub(super) async fn healthz(State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    if shared.app.handle.trouble().is_none() {
        return Ok(Json(json!({ "status": "ok" })));
    }
    // Anybody may ask: why is said in the log.
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the engine has stopped; hint: see the daemon's log"))
}

/// `GET /readyz`: starts are taken, the store answers and has space, and open runs go on.
pub(super) async fn readyz(State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    if *shared.closing.borrow() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is being stopped"));
    }
    if shared.app.handle.is_full() {
        return Err(Problem::full("the store has no space left"));
    }
    request::read(&shared, |handle| handle.run(crate::id::RunId::new()).map(drop).or_else(absent)).await?;
    if let Some(Trials { tried, total }) = shared.app.handle.settling() {
        let detail = format!(
            "this release evaluates scripts otherwise than the one before: open runs are tried before they go on, {tried} of {total} so far; new runs start"
        );
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with("settling", json!({ "tried": tried, "total": total })));
    }
    healthz(State(shared)).await
}

/// That a run which cannot be there is not there: the store answered.
fn absent(error: crate::engine::Error) -> Result<(), crate::engine::Error> {
    if matches!(error, crate::engine::Error::UnknownRun(_)) { Ok(()) } else { Err(error) }
}

/// No such address.
pub(super) async fn nothing_here(uri: Uri) -> Problem {
    let detail = format!("there is nothing at `{}`; hint: addresses are listed at `/openapi.json`", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// The address is there, for other methods.
pub(super) async fn not_this_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{}` does not take {method}; hint: see `/openapi.json`", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
