//! Acting on runs: one, or many by what they have in common; and holding workflows or everything.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Problem, Shared, request, runs};
use crate::engine::{Act, Chosen, Deed};

/// What every act may say.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Said {
    reason: Option<String>,
}

async fn body<T: DeserializeOwned + Default>(request: Request) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    request::json(&request::body(&parts.headers, body).await?)
}

impl Said {
    fn deed(self) -> Deed {
        Deed { by: None, reason: self.reason }
    }
}

async fn act(shared: &Shared, id: &str, act: &Act, deed: &Deed) -> Result<Value, Problem> {
    let id = request::run_id(id)?;
    let handle = &shared.app.handle;
    request::durable(handle, handle.act(id, act, deed)).await
}

/// `POST /api/v1/runs/{id}/cancel`: 202, since compensations and clean-ups run first.
pub(super) async fn cancel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let mut deed = body::<Said>(request).await?.deed();
    deed.reason.get_or_insert_with(|| "cancelled through the API".to_owned());
    let answer = act(&shared, &id, &Act::Cancel, &deed).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// `POST /api/v1/runs/{id}/pause`
pub(super) async fn pause(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(request).await?.deed();
    act(&shared, &id, &Act::Pause, &deed).await.map(Json)
}

/// `POST /api/v1/runs/{id}/resume`
pub(super) async fn resume(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(request).await?.deed();
    act(&shared, &id, &Act::Resume, &deed).await.map(Json)
}

/// Which runs are meant, as in the query of a list, and whether they are only to be counted.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Many {
    workflow: Option<String>,
    status: Option<String>,
    since: Option<String>,
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
}

async fn many(shared: Shared, act: Act, given: Many) -> Result<Json<Value>, Problem> {
    let handle = &shared.app.handle;
    let chosen = Chosen {
        statuses: runs::statuses(given.status.as_deref())?,
        since: given.since.map(|since| runs::earlier(&since, handle.clock().now())).transpose()?,
        workflow: given.workflow,
    };
    if chosen.is_empty() {
        return Err(Problem::bad("which runs are meant? hint: give `workflow`, `status` or `since`"));
    }
    let wanted = act.clone();
    let found = request::read(&shared, move |handle| handle.chosen(&chosen, &wanted)).await?;
    if given.dry_run {
        return Ok(Json(json!({ "matched": found.len(), "done": [], "refused": [] })));
    }
    let deed = Deed { by: None, reason: given.reason };
    request::durable(handle, handle.act_on(&found, &act, &deed)).await.map(Json)
}

/// `POST /api/v1/runs/cancel`
pub(super) async fn cancel_many(State(shared): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    many(shared, Act::Cancel, body(request).await?).await
}

/// `POST /api/v1/runs/pause`
pub(super) async fn pause_many(State(shared): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    many(shared, Act::Pause, body(request).await?).await
}

/// `POST /api/v1/runs/resume`
pub(super) async fn resume_many(State(shared): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    many(shared, Act::Resume, body(request).await?).await
}

async fn hold(shared: &Shared, workflow: Option<&str>, request: Request) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(request).await?.deed();
    let handle = &shared.app.handle;
    let changed = request::durable(handle, handle.hold(workflow, &deed)).await?;
    Ok(Json(json!({ "workflow": workflow, "paused": true, "changed": changed })))
}

async fn let_go(shared: &Shared, workflow: Option<&str>, request: Request) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(request).await?.deed();
    let handle = &shared.app.handle;
    let changed = request::durable(handle, handle.let_go(workflow, &deed)).await?;
    Ok(Json(json!({ "workflow": workflow, "paused": false, "changed": changed })))
}

/// `POST /api/v1/workflows/{name}/pause`
pub(super) async fn hold_workflow(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    hold(&shared, Some(&name), request).await
}

/// `POST /api/v1/workflows/{name}/resume`
pub(super) async fn let_go_workflow(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let_go(&shared, Some(&name), request).await
}

/// `POST /api/v1/pause`
pub(super) async fn hold_all(State(shared): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    hold(&shared, None, request).await
}

/// `POST /api/v1/resume`
pub(super) async fn let_go_all(State(shared): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    let_go(&shared, None, request).await
}
