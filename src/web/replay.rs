//! A run, evaluated again from its journal.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::{Problem, Shared, request};
use crate::engine;
use crate::engine::recording::{Recorded, Recording};
use crate::engine::retrace::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    until: Option<String>,
}

/// `GET /api/v1/runs/{id}/recording`: the run and those that it started, with exact values and whole journals.
pub(super) async fn recording(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = request::run_id(&id)?;
    let read = move |handle: &crate::engine::Handle| {
        let load = |run| match handle.run(run) {
            Ok(row) => {
                let bundle = (*handle.sources(&row)?).clone();
                Ok(Some(Recorded::new(row, handle.journal(run)?, bundle)))
            }
            // One that was started may have been pruned.
            Err(engine::Error::UnknownRun(_)) if run != id => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Recording::gather(id, load)?.map(|recording| recording.to_json()))
    };
    Ok(Json(request::read(&shared, read).await?.unwrap_or_default()))
}

/// `GET /api/v1/runs/{id}/replay?until=STEP`: see [`crate::engine::Handle::retrace`]. 404 where the journal has no such step, 409 where the version
/// cannot be evaluated any more.
pub(super) async fn replay(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let id = request::run_id(&id)?;
    let given: Parameters = request::query(&uri)?;
    let read = move |handle: &crate::engine::Handle| handle.retrace(id, given.until.as_deref());
    request::read(&shared, read).await?.map(Json).map_err(|error| {
        let status = match error {
            Error::UnknownStep(_) => StatusCode::NOT_FOUND,
            Error::Broken(_) => StatusCode::CONFLICT,
        };
        Problem::new(status, error.to_string())
    })
}
