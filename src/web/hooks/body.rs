//! The body of a request to a webhook: read into memory, or streamed to a file, while its signature is computed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::StreamExt as _;

use super::{Hook, Turned};
use crate::effect::{
    Failure,
    upload::{Upload, Uploaded},
};
use crate::id::RunId;
use crate::trigger::webhook::Checking;
use crate::web::flood::{Flood, Held, Unknown};
use crate::web::{Problem, content, request};

/// The largest file unless the webhook says otherwise.
const FILE_MAX: u64 = 1 << 30;
/// Between two pieces of a file: a sender that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Written at a time.
const PIECE: usize = 256 * 1024;

/// What came.
pub(super) struct Taken {
    /// For the run: the parsed body, or `#{ path, name, size, sha256, content_type }`.
    pub(super) body: Value,
    /// The delivery's id, where the scheme has one.
    pub(super) delivery: Option<String>,
    /// The file, until something refers to it.
    pub(super) file: Option<Uploaded>,
    _room: Room,
}

/// What it takes until it is a run's.
#[expect(dead_code, reason = "held, and never looked at")]
enum Room {
    Memory(Held),
    File(OwnedSemaphorePermit),
}

/// Reads the body as the webhook wants it. `checking`: what its signature has to be, where it is verified.
pub(super) async fn take(
    hook: &Hook,
    workspace: &Path,
    flood: &Flood,
    headers: &HeaderMap,
    body: Body,
    checking: Option<Checking>,
) -> Result<Taken, Turned> {
    let most = hook.option("max_bytes").and_then(Value::as_u64);
    match hook.option("save_to").and_then(Value::as_str) {
        None => in_memory(most.unwrap_or(request::BODY_MAX as u64), flood, headers, body, checking).await,
        Some(folder) => {
            let room = flood.file()?;
            request::announced(headers, most.unwrap_or(FILE_MAX))?;
            let place = Place {
                workspace: workspace.join(&*hook.workflow.name),
                path: format!("{}/{}", folder.trim_end_matches('/'), RunId::new()),
                most: most.unwrap_or(FILE_MAX),
            };
            let (file, delivery) = saved(place, body, checking, flood.unknown()).await?;
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let body = json!({
                "path": file.path, "name": name, "size": file.size, "sha256": file.sha256,
                "content_type": content::kind(headers),
            });
            Ok(Taken { body, delivery, file: Some(file), _room: Room::File(room) })
        }
    }
}

async fn in_memory(
    most: u64,
    flood: &Flood,
    headers: &HeaderMap,
    body: Body,
    checking: Option<Checking>,
) -> Result<Taken, Turned> {
    let raw = request::body_within(flood, headers, body, most).await?;
    let delivery = checked(checking, |checking| checking.update(&raw), Some(&raw))?;
    let body = content::value(&content::kind(headers), &raw)?;
    Ok(Taken { body, delivery, file: None, _room: Room::Memory(raw) })
}

/// The delivery's id, if the signature is right.
fn checked(
    checking: Option<Checking>,
    update: impl FnOnce(&mut Checking),
    body: Option<&[u8]>,
) -> Result<Option<String>, Turned> {
    let Some(mut checking) = checking else { return Ok(None) };
    update(&mut checking);
    checking.finish(body).map(|verified| verified.delivery_id).map_err(|refused| Turned::refused(&refused, "Bearer"))
}

/// Where a file goes.
struct Place {
    workspace: PathBuf,
    path: String,
    most: u64,
}

/// Streams a body to a file. Until its signature is known to be right, the file is not there.
async fn saved(
    place: Place,
    body: Body,
    mut checking: Option<Checking>,
    mut unknown: Unknown,
) -> Result<(Uploaded, Option<String>), Turned> {
    let most = place.most;
    let mut upload = aside(move || Upload::create(&place.workspace, &place.path)).await?;
    let (mut chunks, mut size, mut gathered) = (body.into_data_stream(), 0, Vec::with_capacity(PIECE));
    while let Some(chunk) = next(&mut chunks).await? {
        size += chunk.len() as u64;
        if size > most {
            return Err(request::too_large(most).into());
        }
        if let Some(checking) = &mut checking {
            unknown.reach(size)?;
            checking.update(&chunk);
        }
        gathered.extend_from_slice(&chunk);
        if gathered.len() >= PIECE {
            (upload, gathered) = written(upload, gathered).await?;
        }
    }
    let delivery = checked(checking, |_| {}, None)?;
    let file = aside(move || {
        upload.write(&gathered)?;
        upload.finish()
    });
    Ok((file.await?, delivery))
}

async fn next(chunks: &mut axum::body::BodyDataStream) -> Result<Option<Bytes>, Problem> {
    match tokio::time::timeout(SILENCE, chunks.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(_))) => Err(Problem::bad("the body ended before it was complete")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("nothing of the body came for {} s", SILENCE.as_secs()),
        )),
    }
}

async fn written(mut upload: Upload, mut piece: Vec<u8>) -> Result<(Upload, Vec<u8>), Problem> {
    aside(move || {
        upload.write(&piece)?;
        piece.clear();
        Ok((upload, piece))
    })
    .await
}

/// Does what blocks without holding up other requests.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Problem> {
    let failed = |why: String| {
        tracing::error!("a webhook cannot save what it was sent: {why}");
        let detail = "the body cannot be saved; hint: see the daemon's log";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|failure| failed(failure.message)),
        Err(error) => Err(failed(error.to_string())),
    }
}
