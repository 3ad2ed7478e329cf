//! Runs: looking at them.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, Shared, listing, request};
use crate::engine::pages::{Page, Wanted};
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::store::{Run, RunFilter, Status};
use crate::time::{Timestamp, parse_duration, parse_time};

/// Items of a page unless asked for, and at most.
pub(super) const PAGE: usize = 50;
/// Fewer where they are large.
pub(super) const PAGE_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    workflow: Option<String>,
    status: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/v1/runs`
pub(super) async fn list(State(shared): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let filter = filter(request::query(&uri)?, shared.app.handle.clock().now())?;
    let page = move |handle: &crate::engine::Handle| {
        let read = |last: Option<&Run>, limit| {
            let before = last.map(|run| run.id).or(filter.before);
            handle.runs(&RunFilter { limit, before, ..filter.clone() })
        };
        listing::gather(filter.limit, read, |run| listing::run(handle, run))
    };
    listing::answer(&shared, "runs", page, |last| last.id.to_string()).await
}

fn filter(given: Parameters, now: Timestamp) -> Result<RunFilter, Problem> {
    let statuses = statuses(given.status.as_deref())?;
    Ok(RunFilter {
        workflow: given.workflow,
        statuses,
        since: given.since.map(|since| earlier(&since, now)).transpose()?,
        limit: limit(given.limit)?,
        before: request::cursor(given.cursor.as_deref(), |cursor| cursor.parse().ok())?,
    })
}

/// How many items a page has.
pub(super) fn limit(given: Option<usize>) -> Result<usize, Problem> {
    match given.unwrap_or(PAGE) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        _ => Err(Problem::bad(format!("`limit` is from 1 to {PAGE_MAX}"))),
    }
}

/// Statuses with commas between them.
pub(super) fn statuses(given: Option<&str>) -> Result<Vec<Status>, Problem> {
    given.into_iter().flat_map(|list| list.split(',')).map(status).collect()
}

fn status(name: &str) -> Result<Status, Problem> {
    Status::from_name(name.trim()).ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| format!("`{}`", status.name())).collect();
        Problem::bad(format!("`{name}` is no status; hint: one of {}", known.join(", ")))
    })
}

/// A time, or how long ago.
pub(super) fn earlier(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    if let Ok(time) = parse_time(text) {
        return Ok(time);
    }
    let ago: Duration = parse_duration(text).map_err(|_| {
        let hint = "write `1h` for the last hour, or a time such as `2026-12-24T08:00:00Z`";
        Problem::bad(format!("`since`: `{text}` is neither a duration nor a time; hint: {hint}"))
    })?;
    Ok(Timestamp(now.0.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)).max(0)))
}

/// `GET /api/v1/runs/{id}`
pub(super) async fn one(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = request::run_id(&id)?;
    let read = move |handle: &crate::engine::Handle| {
        let run = handle.run(id)?;
        let mut shown = handle.run_json(&run)?;
        if !run.status.is_final() {
            shown["under_way"] = handle.under_way(id);
        }
        Ok(shown)
    };
    Ok(Json(request::read(&shared, read).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    kind: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/v1/runs/{id}/journal`: a page, also where no limit is given. A cursor is the number of an entry; that behind the
/// last one gives what has come since.
pub(super) async fn journal(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let page = page(&shared, &id, request::query(&uri)?).await?;
    let shown: Vec<_> = page.entries.iter().map(|(n, entry)| entry.to_json(*n)).collect();
    Ok(Json(json!({ "entries": shown, "read": page.read, "next": next(&page) })))
}

/// `GET /api/v1/runs/{id}/sources`: the version that the run is pinned to, as `{"main":…,"sources":{path: text}}`.
pub(super) async fn sources(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = request::run_id(&id)?;
    let bundle = request::read(&shared, move |handle| handle.sources(&handle.run(id)?)).await?;
    Ok(Json(serde_json::from_slice(&bundle.to_stored()).unwrap_or_default()))
}

/// `GET /api/v1/runs/{id}/logs`
pub(super) async fn logs(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let LogPart { limit, cursor } = request::query(&uri)?;
    let part = Part { kind: Some("log".to_owned()), limit, cursor };
    let page = page(&shared, &id, part).await?;
    let shown: Vec<_> = page.entries.iter().map(|(n, entry)| log_line(*n, entry)).collect();
    Ok(Json(json!({ "logs": shown, "read": page.read, "next": next(&page) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogPart {
    limit: Option<usize>,
    cursor: Option<String>,
}

fn log_line(n: usize, entry: &Entry) -> Value {
    let message = entry.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).map(Payload::to_json);
    json!({
        "n": n, "at": entry.started_at, "level": &*entry.name, "message": message,
        "fields": entry.detail.as_ref().map(Payload::to_json), "line": entry.line,
    })
}

async fn page(shared: &Shared, id: &str, part: Part) -> Result<Page, Problem> {
    let id = request::run_id(id)?;
    let wanted = Wanted {
        from: request::cursor(part.cursor.as_deref(), |cursor| cursor.parse().ok())?.unwrap_or(0),
        kind: part.kind.map(|name| kind(&name)).transpose()?,
        limit: limit(Some(part.limit.unwrap_or(PAGE_MAX)))?,
    };
    let read = move |handle: &crate::engine::Handle| {
        handle.run(id)?;
        handle.page(id, &wanted)
    };
    request::read(shared, read).await
}

/// The cursor of the next page.
fn next(page: &Page) -> Option<String> {
    page.has_more.then(|| page.read.to_string())
}

fn kind(name: &str) -> Result<Kind, Problem> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| Problem::bad(format!("`{name}` is no kind of entry; hint: `log`, for example")))
}
