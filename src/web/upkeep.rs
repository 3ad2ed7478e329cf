//! Upkeep: a backup of the store while it is written to, and removing what is old.

use std::io::Read as _;
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio_stream::wrappers::ReceiverStream;

use super::{Problem, Shared, request};
use crate::audit::Actor;
use crate::engine::Handle;
use crate::time::parse_duration;

/// What is read of a backup at once.
const CHUNK: usize = 64 << 10;
/// Chunks on their way to a client that is slower than the disk.
const AHEAD: usize = 4;

/// How folders begin in which a backup lies while it is sent.
const SENDING: &str = ".panta-sending-";

/// Removes backups that an earlier process was sending when it died. The data folder is this process's alone.
pub(super) fn sweep(handle: &Handle) {
    let Some(data) = handle.workspace().parent() else { return };
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    for left in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(SENDING)) {
        if let Err(error) = std::fs::remove_dir_all(left.path()) {
            tracing::warn!("the unfinished backup `{}` cannot be removed: {error}", left.path().display());
        }
    }
}

/// `POST /api/v1/backup`: the store as of now, as one file.
pub(super) async fn backup(State(shared): State<Shared>, Extension(by): Extension<Actor>) -> Result<Response, Problem> {
    let handle = shared.app.handle.clone();
    request::durable(&shared.app.handle, handle.note_act(&by, "store.backup", "store", &Value::Null)).await?;
    let (folder, file, length) = request::read(&shared, |handle| {
        let failed = |error: std::io::Error| crate::store::Error::Failed(format!("a backup cannot be made: {error}"));
        // On the disk of the data folder, which is the one that is meant to be large.
        let data = handle.workspace().parent().map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new().prefix(SENDING).tempdir_in(data).map_err(failed)?;
        let path = folder.path().join("panta.db");
        handle.store().backup(&path)?;
        let file = std::fs::File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok((folder, file, length))
    })
    .await?;
    let (sender, chunks) = tokio::sync::mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        send(file, &sender);
        drop(folder);
    });
    let headers = [
        (CONTENT_TYPE, "application/vnd.sqlite3".to_owned()),
        (CONTENT_DISPOSITION, "attachment; filename=\"panta.backup.db\"".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(chunks))).into_response())
}

/// Until all is sent, or nobody takes it any more.
fn send(mut file: std::fs::File, sender: &Sender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk);
        let is_last = !matches!(read, Ok(1..));
        let chunk = read.map(|length| {
            chunk.truncate(length);
            chunk
        });
        if sender.blocking_send(chunk).is_err() || is_last {
            return;
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Prune {
    keep: Option<String>,
}

/// `POST /api/v1/prune`: removes finished runs that have expired, and those that ended longer ago than `keep`.
pub(super) async fn prune(
    State(shared): State<Shared>,
    Extension(by): Extension<Actor>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    let Prune { keep } = request::json(&request::body(&shared.flood, &parts.headers, body).await?)?;
    let keep = keep.as_deref().map(parse_duration).transpose().map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`keep`: {error}; hint: {}", error.hint()))
    })?;
    // Goes on when the client is gone. Noted first: what is gone by then is told even if this process dies on the way.
    let removed = request::in_any_case(&shared.app.handle, move |handle| async move {
        let mut details = json!({ "keep": keep.map(crate::time::format_duration) });
        handle.note_act(&by, "store.prune", "store", &details).await?;
        let pruning = handle.clone();
        let removed = tokio::task::spawn_blocking(move || pruning.prune(keep)).await;
        let removed = removed.map_err(|error| crate::engine::Error::Stopped(error.to_string()))?;
        details["removed"] = removed.into();
        handle.note_act(&by, "store.pruned", "store", &details).await?;
        Ok(removed)
    })
    .await?;
    Ok(Json(json!({ "removed": removed })))
}
