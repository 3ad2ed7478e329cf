//! Locks and slots: who holds them, who waits, and freeing them.

use axum::extract::{Path, Request, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, Shared, request};
use crate::audit::Actor;
use crate::engine::line_to_json;

/// `GET /api/v1/locks/{name}`
pub(super) async fn one(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let asked = name.clone();
    let line = request::read(&shared, move |handle| handle.slots(&asked)).await?;
    Ok(Json(json!({ "name": name, "slots": line_to_json(&line) })))
}

/// `GET /api/v1/runs/{id}/locks`: the lines in which a run holds or waits.
pub(super) async fn of_run(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let run = request::run_id(&id)?;
    let lines = request::read(&shared, move |handle| {
        handle.run(run)?;
        handle.lines_of(run)
    });
    let shown = lines
        .await?
        .into_iter()
        .map(|(slot, line)| json!({ "name": &*slot.name, "ticket": &*slot.ticket, "slots": line_to_json(&line) }));
    Ok(Json(json!({ "locks": shown.collect::<Vec<_>>() })))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    force: bool,
}

/// `POST /api/v1/locks/{name}/unlock`
pub(super) async fn unlock(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let Body { force } = request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let handle = &shared.app.handle;
    let unlocked = request::durable(handle, handle.unlock(&name, force, &by)).await?;
    Ok(Json(json!({ "name": name, "taken_from": unlocked.holders, "given_to": unlocked.next })))
}
