//! Tasks: whose they are, and answering them.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

use super::viewer::Viewer;
use super::{Problem, Shared, listing, request, runs};
use crate::audit::Actor;
use crate::engine::people::Given;
use crate::host::schema::Texts;
use crate::id::TaskId;
use crate::store::TaskFilter;
use crate::task::{Status, Task};
use crate::time::Timestamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    to: Option<String>,
    status: Option<String>,
    workflow: Option<String>,
    run: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /api/v1/tasks`
pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let given: Parameters = request::query(&uri)?;
    let filter = TaskFilter {
        status: given.status.as_deref().map(status).transpose()?,
        // A person's tasks are those of the groups, too, and of whom the person stands in for.
        to: given.to.map(|who| shared.app.handle.people().inbox(&who)).unwrap_or_default(),
        workflow: given.workflow,
        run: given.run.as_deref().map(request::run_id).transpose()?,
        limit: runs::limit(given.limit)?,
        before: request::cursor(given.cursor.as_deref(), before)?,
    };
    let page = move |handle: &crate::engine::Handle| {
        let read = |last: Option<&Task>, limit| {
            let before = last.map(|task| (task.opened_at, task.id)).or(filter.before);
            handle.tasks(&TaskFilter { limit, before, ..filter.clone() })
        };
        listing::gather(filter.limit, read, |task| Ok(handle.task_json(task, viewer.entitled())))
    };
    listing::answer(&shared, "tasks", page, cursor).await
}

fn cursor(task: &Task) -> String {
    format!("{}-{}", task.opened_at.0, task.id)
}

fn before(cursor: &str) -> Option<(Timestamp, TaskId)> {
    let (at, id) = cursor.split_once('-')?;
    Some((Timestamp(at.parse().ok()?), id.parse().ok()?))
}

fn status(name: &str) -> Result<Status, Problem> {
    Status::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| format!("`{}`", status.name())).collect();
        Problem::bad(format!("`{name}` is no status of a task; hint: one of {}", known.join(", ")))
    })
}

/// The task that a path names.
fn id(text: &str) -> Result<TaskId, Problem> {
    text.parse().map_err(|_| {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no task `{text}`; hint: the id of a task is a UUID"))
    })
}

/// `GET /api/v1/tasks/{id}`
pub(super) async fn one(
    State(shared): State<Shared>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = id(&text)?;
    let read = move |handle: &crate::engine::Handle| Ok(handle.task_json(&handle.task(id)?, viewer.entitled()));
    Ok(Json(request::read(&shared, read).await?))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Answer {
    choice: Option<String>,
    #[serde(default)]
    data: Value,
    by: Option<String>,
    note: Option<String>,
}

/// `POST /api/v1/tasks/{id}/answer`: the task as it is then, once that is durable.
pub(super) async fn answer(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let id = id(&text)?;
    let Answer { choice, data, by: said, note } =
        request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let by_person = by.person().map(str::to_owned).or(said);
    let given = Given { choice, data, by: by_person, note, texts: Texts::Strict };
    let handle = &shared.app.handle;
    let task = request::durable(handle, handle.answer(id, &given, &by)).await?;
    Ok(Json(handle.task_json(&task, viewer.entitled())))
}
