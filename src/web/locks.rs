//! Locks and slots: who holds them, who waits, and freeing them.

use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, Shared, list, request};
use crate::audit::Actor;
use crate::engine::line_to_json;
use crate::store::Slot;

/// Of a line in which a run waits, so many are shown, beside the run itself: those who hold it are the first.
const AHEAD: usize = 100;

/// `GET /api/v1/locks/{name}`: those who hold it, then those who wait, in their order.
pub(super) async fn one(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let asked = name.clone();
    let line = request::read(&shared, move |handle| handle.slots(&asked)).await?;
    let page = list::by_place(&uri, shown(&line))?;
    Ok(Json(json!({ "name": name, "slots": page.items, "next": page.next })))
}

/// `GET /api/v1/runs/{id}/locks`: the lines in which a run holds or waits, each with its head and the run.
pub(super) async fn of_run(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let run = request::run_id(&id)?;
    let lines = request::read(&shared, move |handle| {
        handle.run(run)?;
        handle.lines_of(run)
    });
    let shown = lines.await?.into_iter().map(|(own, line)| {
        let of_run = line.iter().map(|slot| slot.run == own.run && slot.ticket == own.ticket);
        let meant = shown(&line).into_iter().zip(of_run).enumerate();
        let slots: Vec<_> = meant.filter(|(n, (_, is_own))| *n < AHEAD || *is_own).map(|(_, (slot, _))| slot).collect();
        json!({ "name": &*own.name, "ticket": &*own.ticket, "slots": slots, "length": line.len() })
    });
    Ok(Json(json!({ "locks": shown.collect::<Vec<_>>() })))
}

fn shown(line: &[Slot]) -> Vec<Value> {
    line_to_json(line).as_array_mut().map(std::mem::take).unwrap_or_default()
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
