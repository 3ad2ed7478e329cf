//! Signed addresses: `/t/…`, the page on which a person answers a task, and `/e/…`, which emits an event.
//!
//! The address is what entitles: there is no token beside it, and no look at `Origin`, since no other site knows it. A page is
//! only shown by GET, and nothing is decided: mail scanners and previews follow links.

mod form;
mod page;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::guard::{self, Asked};
use super::request::{self, header};
use super::{Problem, Shared, content, flood};
use crate::audit::Actor;
use crate::engine::Error;
use crate::engine::links::TaskLink;
use crate::payload::Payload;
use crate::store::Event;
use crate::task::{Status, Task};
use page::{Page, View};

/// Bytes of an `Idempotency-Key`: it is stored and compared, not data.
const KEY_MAX: usize = 500;

/// `GET /t/{token}`
pub(super) async fn show(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let Some(link) = shared.app.handle.links().read_task(&token) else { return unsigned(&shared, &parts) };
    let Some(task) = find(&shared, &link).await? else { return Ok(page::unknown()) };
    let status = if task.status == Status::Open { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(view(&shared, &task, &link).respond(status))
}

/// `POST /t/{token}`: decides. An answer is no start: it is taken however much is under way.
pub(super) async fn decide(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let Some(link) = shared.app.handle.links().read_task(&token) else { return unsigned(&shared, &parts) };
    let body = request::body(&shared.flood, &parts.headers, body).await?;
    let Some(task) = find(&shared, &link).await? else { return Ok(page::unknown()) };
    let sent = content::pairs(&String::from_utf8_lossy(&body));
    let given = form::given(&task, &sent, link.person.as_deref());
    let by = Actor::Link { person: link.person.as_deref().map(Into::into) };
    let handle = &shared.app.handle;
    // Waited for without a limit of patience: a full disk keeps the page loading, and the answer is not lost.
    match handle.answer(task.id, &given, &by).await {
        Ok(task) => Ok(page::done(&task).respond(StatusCode::OK)),
        Err(Error::TaskOver(task)) => Ok(view(&shared, &task, &link).respond(StatusCode::CONFLICT)),
        Err(Error::Answer(faults)) => {
            let page = view(&shared, &task, &link).again(&sent, &faults);
            Ok(page.respond(StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error @ Error::MayNotAnswer(_)) => {
            let page = view(&shared, &task, &link).refused(&error.to_string());
            Ok(page.respond(StatusCode::FORBIDDEN))
        }
        Err(error) => Err(error.into()),
    }
}

/// An address that this daemon did not sign. Whoever tries many is told to wait, as with wrong tokens; right ones are let in.
fn unsigned(shared: &Shared, parts: &Parts) -> Result<Response, Problem> {
    guard::wrong_link(shared, &Asked::of_parts(parts))?;
    Ok(page::unknown())
}

async fn find(shared: &Shared, link: &TaskLink) -> Result<Option<Task>, Problem> {
    let task = link.task;
    let read = move |handle: &crate::engine::Handle| match handle.task(task) {
        Ok(task) => Ok(Some(task)),
        Err(Error::UnknownTask(_)) => Ok(None),
        Err(error) => Err(error),
    };
    request::read(shared, read).await
}

fn view(shared: &Shared, task: &Task, link: &TaskLink) -> Page {
    let people = shared.app.handle.people();
    let names = !people.people.is_empty() || !task.except.is_empty();
    page::task(&View { task, person: link.person.as_deref(), for_whom: &people.sentence(&task.to), names })
}

/// `POST /e/{token}`
pub(super) async fn emit(
    State(shared): State<Shared>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let handle = &shared.app.handle;
    let Some(link) = handle.links().read_event(&token) else {
        guard::wrong_link(&shared, &Asked::of_parts(&parts))?;
        return Err(Problem::new(StatusCode::NOT_FOUND, "this address is not signed by this daemon"));
    };
    flood::calm(handle)?;
    let now = handle.clock().now();
    if let Some(ended) = link.expires.filter(|expires| *expires <= now) {
        return Err(Problem::new(StatusCode::GONE, format!("this address ended at {ended}")));
    }
    let id = event_id(&parts.headers, &token)?;
    let body = request::body(&shared.flood, &parts.headers, body).await?;
    let payload = content::value(&content::kind(&parts.headers), &body)?;
    let event = Event {
        seq: 0,
        id: id.as_str().into(),
        name: link.name.into(),
        key: link.key.map(Into::into),
        payload: Payload::from_json(&payload),
        run: None,
        at: now,
    };
    let emitted = request::durable(handle, handle.emit(event)).await?;
    let mut answer = json!({ "event": id, "started": emitted.started });
    if !emitted.fresh {
        answer["repeated"] = true.into();
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// The sender's key, for this address alone; else a new id.
fn event_id(headers: &HeaderMap, token: &str) -> Result<String, Problem> {
    let Some(key) = header(headers, "idempotency-key") else { return Ok(uuid::Uuid::now_v7().to_string()) };
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Problem::bad(format!("`Idempotency-Key` is empty or longer than {KEY_MAX} bytes")));
    }
    Ok(format!("{}:{key}", hex::encode(&Sha256::digest(token.as_bytes())[..12])))
}
