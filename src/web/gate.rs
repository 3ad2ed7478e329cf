//! Recorded runs and other versions: trying a version, and moving a run to the live one.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Problem, Shared, request};
use crate::audit::Actor;
use crate::diag::Diagnostic;
use crate::engine::{Mode, Upgraded, compile};
use crate::script::bundle::Bundle;

/// One trial at a time: each takes a core.
static ONE: Semaphore = Semaphore::const_new(1);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
}

/// `POST /api/v1/runs/{id}/upgrade` `{"dry_run","force"}`: 200 and what came of it; 409 with both lines where the run does
/// not fit and is not forced.
pub(super) async fn upgrade(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let id = request::run_id(&id)?;
    let Wanted { dry_run, force } = request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let mode = match (dry_run, force) {
        (true, _) => Mode::DryRun,
        (false, true) => Mode::Force,
        (false, false) => Mode::Careful,
    };
    let handle = &shared.app.handle;
    let upgraded = request::durable(handle, handle.upgrade(id, mode, &by)).await?;
    match upgraded.refusal() {
        Some(why) if mode == Mode::Careful => Err(refused(&upgraded, &why)),
        _ => Ok(Json(json!(upgraded))),
    }
}

fn refused(upgraded: &Upgraded, why: &str) -> Problem {
    let Upgraded { run, from, to, divergence, .. } = upgraded;
    let hint = "`panta upgrade --force` moves it all the same, and it stops as `diverged`";
    Problem::new(StatusCode::CONFLICT, format!("run {run} does not fit the live version: {why}; hint: {hint}"))
        .with("run", json!(run))
        .with("from", json!(from))
        .with("to", json!(to))
        .with("divergence", json!(divergence))
}

/// `POST /api/v1/workflows/{name}/gate` `{"main","sources"}`: what recorded runs of that workflow make of these sources. 422
/// with diagnostics where they do not compile.
pub(super) async fn attempt(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let body = request::body(&shared.flood, &parts.headers, body).await?;
    let bundle = Bundle::from_stored(&body).map_err(|faults| broken(&faults))?.named(name);
    let closing = shared.closing.clone();
    let read = move |handle: &crate::engine::Handle| {
        if let Err(faults) = compile(bundle.clone(), handle.settings()) {
            return Ok(Err(faults));
        }
        let report = handle.gate(&bundle, &mut |_| !*closing.borrow());
        Ok(Ok(report))
    };
    let _permit = ONE.acquire().await;
    match request::read(&shared, read).await? {
        Ok(report) => Ok(Json(json!(report))),
        Err(faults) => Err(broken(&faults)),
    }
}

fn broken(faults: &[Diagnostic]) -> Problem {
    let detail = "the sources do not compile; hint: see `diagnostics`, or run `panta check`";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with("diagnostics", json!(faults))
}
