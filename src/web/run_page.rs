//! `/runs/{id}`: a run in plain words, for whoever follows a link of a notification: how it stands, why, and what went wrong.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::html::{escaped, page};
use super::{Problem, Shared, request};
use crate::engine::Error;
use crate::script::secret::mask;

/// Characters of an error or an output that are shown: the whole is in the run.
const SHOWN: usize = 4_000;

/// `GET /runs/{id}`
pub(super) async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    let Ok(run) = request::run_id(&id) else { return Ok(unknown()) };
    let read = move |handle: &crate::engine::Handle| match handle.run(run) {
        Ok(row) => handle.run_json(&row).map(Some),
        Err(Error::UnknownRun(_)) => Ok(None),
        Err(error) => Err(error),
    };
    Ok(request::read(&shared, read).await?.map_or_else(unknown, |run| told(&run)))
}

fn unknown() -> Response {
    let body =
        "<p>There is no such run here. It may have been removed since: finished runs are kept for a while only.</p>\n";
    page(StatusCode::NOT_FOUND, "No such run", body)
}

fn told(run: &Value) -> Response {
    let text = |field: &str| run[field].as_str().unwrap_or_default();
    let title = format!("{}: {}", text("workflow"), text("status").replace('_', " "));
    let mut body = String::new();
    let mut add = |label: &str, value: &str| {
        if !value.is_empty() {
            let value: String = mask(value).chars().take(SHOWN).collect();
            body.push_str(&format!("<p class=\"text\"><span class=\"small\">{label}</span> {}</p>\n", escaped(&value)));
        }
    };
    let error = &run["error"];
    let of_error = |field: &str| error[field].as_str().unwrap_or_default();
    add("error", of_error("message"));
    add("hint", of_error("hint"));
    let line = error["line"].as_u64().map(|line| format!("{}:{line}", of_error("file"))).unwrap_or_default();
    add("at", &line);
    add("step", of_error("step"));
    add("waits for", text("waiting_for"));
    add("until", text("wake_at"));
    add("paused by", run["paused"]["by"].as_str().unwrap_or_default());
    add("reason", run["paused"]["reason"].as_str().unwrap_or_default());
    add("undone", text("rollback"));
    for field in ["created", "started", "ended"] {
        add(field, text(&format!("{field}_at")));
    }
    let id = escaped(text("run"));
    body.push_str(&format!(
        "<p class=\"small\">run {id}</p>\n<p class=\"small\">More is told by <code>panta why {id}</code> and \
         <code>panta show {id}</code>.</p>\n"
    ));
    page(StatusCode::OK, &title, &body)
}
