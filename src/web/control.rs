//! Acting on runs: one, or many by what they have in common; and holding workflows or everything.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::viewer::Viewer;
use super::{Problem, Shared, request, runs};
use crate::audit::Actor;
use crate::engine::tokens::Role;
use crate::engine::{Action, Chosen, Deed, Retry};

/// What every act may say.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Said {
    reason: Option<String>,
}

async fn body<T: DeserializeOwned + Default>(shared: &Shared, request: Request) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    request::json(&request::body(&shared.flood, &parts.headers, body).await?)
}

impl Said {
    fn deed(self, by: Actor) -> Deed {
        Deed { by, reason: self.reason }
    }
}

async fn carry_out(shared: &Shared, id: &str, action: &Action, deed: &Deed) -> Result<Value, Problem> {
    let id = request::run_id(id)?;
    let handle = &shared.app.handle;
    request::durable(handle, handle.carry_out(id, action, deed)).await
}

/// `POST /api/v1/runs/{id}/cancel`: 202, since compensations and clean-ups run first.
pub(super) async fn cancel(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let mut deed = body::<Said>(&shared, request).await?.deed(by);
    deed.reason.get_or_insert_with(|| "cancelled through the API".to_owned());
    let answer = carry_out(&shared, &id, &Action::Cancel, &deed).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// `POST /api/v1/runs/{id}/pause`
pub(super) async fn pause(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(&shared, request).await?.deed(by);
    carry_out(&shared, &id, &Action::Pause, &deed).await.map(Json)
}

/// `POST /api/v1/runs/{id}/resume`
pub(super) async fn resume(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(&shared, request).await?.deed(by);
    carry_out(&shared, &id, &Action::Resume, &deed).await.map(Json)
}

/// How a run is tried again.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Again {
    from: Option<String>,
    #[serde(default)]
    upgrade: bool,
    #[serde(default)]
    confirm: bool,
    reason: Option<String>,
}

/// `POST /api/v1/runs/{id}/retry`: 409 with `confirm`, where steps would be done again that were undone.
pub(super) async fn retry(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Again { from, upgrade, confirm, reason } = body(&shared, request).await?;
    let action = Action::Retry(Retry { from, upgrade, confirmed: confirm });
    carry_out(&shared, &id, &action, &Deed { by, reason }).await.map(Json)
}

/// A step, and what is given in its place.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Given {
    step: Option<String>,
    #[serde(default, deserialize_with = "there")]
    value: Option<Value>,
    reason: Option<String>,
}

/// A `null` that is written is a value.
fn there<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(given).map(Some)
}

fn step(given: Option<String>) -> Result<String, Problem> {
    given.ok_or_else(|| {
        Problem::bad(
            "which step? hint: give `step`: its name, `import#3` for its third occurrence, or the number of its entry",
        )
    })
}

/// `POST /api/v1/runs/{id}/skip`
pub(super) async fn skip(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let given: Given = body(&shared, request).await?;
    if given.value.is_some() {
        return Err(Problem::bad("a step that is skipped has no value; hint: `set-result` gives it one"));
    }
    let action = Action::Skip { step: step(given.step)? };
    carry_out(&shared, &id, &action, &Deed { by, reason: given.reason }).await.map(Json)
}

/// `POST /api/v1/runs/{id}/set-result`
pub(super) async fn set_result(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let given: Given = body(&shared, request).await?;
    let value = given.value.ok_or_else(|| Problem::bad("which outcome? hint: give `value`, or use `skip`"))?;
    let action = Action::SetResult { step: step(given.step)?, value };
    carry_out(&shared, &id, &action, &Deed { by, reason: given.reason }).await.map(Json)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Forked {
    at: Option<String>,
    #[serde(default, deserialize_with = "there")]
    set: Option<Value>,
    reason: Option<String>,
}

/// `POST /api/v1/runs/{id}/fork`: 202 with the new run.
pub(super) async fn fork(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let given: Forked = body(&shared, request).await?;
    let at =
        given.at.ok_or_else(|| Problem::bad("at which step? hint: give `at`: its name, or the number of its entry"))?;
    if given.set.is_some() {
        // It would answer for a person, or say that something was done.
        viewer.needs(Role::Admin, "setting the outcome of a step")?;
    }
    if shared.app.handle.has_answers(request::run_id(&id)?)? {
        // The copy goes on as if they had been asked again.
        viewer.needs(Role::Approve, "copying a run in which people have answered")?;
    }
    let action = Action::Fork { at, set: given.set };
    let answer = carry_out(&shared, &id, &action, &Deed { by, reason: given.reason }).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
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
    #[serde(default)]
    confirm: bool,
    #[serde(default)]
    upgrade: bool,
    reason: Option<String>,
}

async fn many(shared: Shared, by: Actor, action: Action, given: Many) -> Result<Json<Value>, Problem> {
    let handle = &shared.app.handle;
    let chosen = Chosen {
        statuses: runs::statuses(given.status.as_deref())?,
        since: given.since.map(|since| runs::earlier(&since, handle.clock().now())).transpose()?,
        workflow: given.workflow,
    };
    if chosen.is_empty() {
        return Err(Problem::bad("which runs are meant? hint: give `workflow`, `status` or `since`"));
    }
    let chosen_by = json!({
        "workflow": chosen.workflow, "statuses": chosen.statuses.iter().map(|status| status.name()).collect::<Vec<_>>(),
        "since": chosen.since,
    });
    let wanted = action.clone();
    let found = request::read(&shared, move |handle| handle.chosen(&chosen, &wanted)).await?;
    if given.dry_run {
        return Ok(Json(json!({ "matched": found.len(), "done": [], "refused": [] })));
    }
    let deed = Deed { by, reason: given.reason };
    // Goes on when the client is gone: half of it would be neither what was asked for nor nothing.
    request::in_any_case(handle, move |handle| async move {
        handle.note_many(found.len(), &action, &chosen_by, &deed).await?;
        handle.carry_out_on(&found, &action, &deed).await
    })
    .await
    .map(Json)
}

/// `POST /api/v1/runs/cancel`
pub(super) async fn cancel_many(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let given = body(&shared, request).await?;
    many(shared, by, Action::Cancel, given).await
}

/// `POST /api/v1/runs/pause`
pub(super) async fn pause_many(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let given = body(&shared, request).await?;
    many(shared, by, Action::Pause, given).await
}

/// `POST /api/v1/runs/resume`
pub(super) async fn resume_many(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let given = body(&shared, request).await?;
    many(shared, by, Action::Resume, given).await
}

/// `POST /api/v1/runs/retry`
pub(super) async fn retry_many(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let given: Many = body(&shared, request).await?;
    let retry = Retry { from: None, upgrade: given.upgrade, confirmed: given.confirm };
    many(shared, by, Action::Retry(retry), given).await
}

async fn hold(shared: &Shared, by: Actor, workflow: Option<&str>, request: Request) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(shared, request).await?.deed(by);
    let handle = &shared.app.handle;
    let changed = request::durable(handle, handle.hold(workflow, &deed)).await?;
    Ok(Json(json!({ "workflow": workflow, "paused": true, "changed": changed })))
}

async fn let_go(shared: &Shared, by: Actor, workflow: Option<&str>, request: Request) -> Result<Json<Value>, Problem> {
    let deed = body::<Said>(shared, request).await?.deed(by);
    let handle = &shared.app.handle;
    let changed = request::durable(handle, handle.let_go(workflow, &deed)).await?;
    Ok(Json(json!({ "workflow": workflow, "paused": false, "changed": changed })))
}

/// `POST /api/v1/workflows/{name}/pause`
pub(super) async fn hold_workflow(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    hold(&shared, by, Some(&name), request).await
}

/// `POST /api/v1/workflows/{name}/resume`
pub(super) async fn let_go_workflow(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let_go(&shared, by, Some(&name), request).await
}

/// `POST /api/v1/pause`
pub(super) async fn hold_all(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    hold(&shared, by, None, request).await
}

/// `POST /api/v1/resume`
pub(super) async fn let_go_all(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let_go(&shared, by, None, request).await
}
