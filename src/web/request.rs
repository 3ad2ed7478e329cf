//! Reading requests, within bounds, and waiting for what they asked for.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;
use tokio_stream::StreamExt as _;

use super::flood::{Flood, Held};
use super::{Problem, Shared};
use crate::engine::{self, Handle, Notice};
use crate::id::RunId;
use crate::store::Run;

/// Bytes of a body: larger data belongs into a file or a service, and a hundred senders at once must fit into memory.
pub(super) const BODY_MAX: usize = 1 << 20;
/// Characters of a key: it is an id, not data.
const KEY_MAX: usize = 255;
/// A body of that size takes no longer on any line that is of use.
const BODY_TIME: Duration = Duration::from_secs(30);
/// A commit that takes longer is not slow, it waits for space.
const PATIENCE: Duration = Duration::from_secs(2);

/// The whole body, of at most [`BODY_MAX`] bytes.
pub(super) async fn body(flood: &Flood, headers: &HeaderMap, body: Body) -> Result<Held, Problem> {
    body_within(flood, headers, body, BODY_MAX as u64).await
}

pub(super) fn too_large(most: u64) -> Problem {
    let detail = format!("the body is larger than {most} bytes; hint: send a reference to the data instead");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// The length that is announced, where it is; refused where it is too large.
pub(super) fn announced(headers: &HeaderMap, most: u64) -> Result<Option<u64>, Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) { Err(too_large(most)) } else { Ok(length) }
}

/// The whole body; refused by its announced length before anything is kept, and while it comes, also where all that come at once
/// take too much room.
pub(super) async fn body_within(flood: &Flood, headers: &HeaderMap, body: Body, most: u64) -> Result<Held, Problem> {
    announced(headers, most)?;
    let collect = async {
        let (mut chunks, mut coming) = (body.into_data_stream(), flood.body());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::bad("the body ended before it was complete"))?;
            if (coming.len() + chunk.len()) as u64 > most {
                return Err(too_large(most));
            }
            coming.push(&chunk)?;
        }
        Ok(coming.whole())
    };
    tokio::time::timeout(BODY_TIME, collect).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body took longer than {} s", BODY_TIME.as_secs())))
    })
}

/// A body that is a JSON object; an empty one is the default.
pub(super) fn json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    // Fields could be written as a list, too, by their order, which nobody means.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad("the body is not a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body is not as expected: {error}")))
}

/// The parameters after the question mark.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(found)| found).map_err(|error| Problem::bad(explained(&error.body_text())))
}

/// What is wrong with a parameter, from the words of the reader: `…: limit: invalid digit found in string`.
fn explained(said: &str) -> String {
    let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(said);
    let number = ["invalid digit", "cannot parse integer", "number too"];
    if let Some(rest) = said.rsplit_once("unknown field `").map(|(_, rest)| rest) {
        let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let hint = crate::diag::suggest::did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("known: {}", known.join(", ")));
        return format!("there is no parameter `{name}`; hint: {hint}");
    }
    match said.split_once(": ") {
        Some((name, why)) if number.iter().any(|words| why.contains(words)) => {
            format!("`{name}` is not a whole number; hint: write `{name}=50`, or leave it out")
        }
        Some((name, why)) => format!("`{name}`: {why}"),
        None => said.to_owned(),
    }
}

/// What a `cursor` says that `next` of a page gave.
pub(super) fn cursor<T>(given: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let Some(given) = given else { return Ok(None) };
    if given.is_empty() {
        return Err(Problem::bad(
            "`cursor` is empty; hint: leave it out for the first page, then give what `next` said",
        ));
    }
    let hint = "hint: give it as it is, with the same other parameters, or leave it out for the first page";
    read(given).map(Some).ok_or_else(|| Problem::bad(format!("`cursor` is not what `next` of a page said; {hint}")))
}

/// The key that makes a start or an event happen once.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= KEY_MAX);
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        Problem::bad(format!("`Idempotency-Key` is empty, not plain text, or longer than {KEY_MAX} characters"))
    })
}

/// A header as text; `None` where it is absent, or no text.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The run that a path names.
pub(super) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no run `{text}`; hint: the id of a run is a UUID"))
    })
}

/// Reads from the engine without holding up other requests.
pub(super) async fn read<T: Send + 'static>(
    shared: &Shared,
    act: impl FnOnce(&Handle) -> Result<T, engine::Error> + Send + 'static,
) -> Result<T, Problem> {
    let handle = shared.app.handle.clone();
    match tokio::task::spawn_blocking(move || act(&handle)).await {
        Ok(found) => found.map_err(Problem::from),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "reading failed; hint: see the daemon's log")),
    }
}

/// Waits for a durable write, but not for somebody to free space on the disk.
pub(super) async fn durable<T>(
    handle: &Handle,
    act: impl Future<Output = Result<T, engine::Error>>,
) -> Result<T, Problem> {
    let mut act = pin!(act);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut act).await {
        return done.map_err(Problem::from);
    }
    let mut notices = handle.watch();
    loop {
        tokio::select! {
            biased;
            done = &mut act => return done.map_err(Problem::from),
            notice = notices.next() => {
                if let Some(Notice::Trouble(said)) = notice && handle.trouble().is_none() {
                    let detail = format!("{said}; it may still be done then: ask again with the same key or id");
                    return Err(Problem::full(detail));
                }
            }
        }
    }
}

/// Does something to its end, whether the client waits for it or not; see [`durable`] for how long this waits.
pub(super) async fn in_any_case<T, F>(handle: &Handle, act: impl FnOnce(Handle) -> F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<T, engine::Error>> + Send + 'static,
{
    let work = tokio::spawn(act(handle.clone()));
    let done = async { work.await.unwrap_or_else(|error| Err(engine::Error::Stopped(error.to_string()))) };
    durable(handle, done).await
}

/// The run once it has ended; `None` when it has not in that time, or the server is to stop.
pub(super) async fn ended(shared: &Shared, run: RunId, within: Duration) -> Result<Option<Run>, Problem> {
    let mut closing = shared.closing.clone();
    tokio::select! {
        row = shared.app.handle.ended(run) => row.map(Some).map_err(Problem::from),
        () = tokio::time::sleep(within) => Ok(None),
        () = closed(&mut closing) => Ok(None),
    }
}

/// Waits until the server is to stop.
pub(super) async fn closed(closing: &mut tokio::sync::watch::Receiver<bool>) {
    if closing.wait_for(|closing| *closing).await.is_err() {
        // Whoever could stop the server is gone: it never stops.
        std::future::pending::<()>().await;
    }
}
