//! A run as it goes on, as server-sent events.
//!
//! Every journal entry is one event, once it is durable; `progress` says how far the run has come, when that has changed; `end`
//! comes last, with the run. The id of an event is the entry's place among all that were ever written: its number, until a
//! repair cuts some, for numbers are given again then, and places are not. A client that comes back with `Last-Event-ID` gets what
//! followed; one that had seen the end is told to stay away (204).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio_stream::Stream;

use super::request::{self, closed, header};
use super::{Problem, Shared};
use crate::engine::{Growth, Handle, Notice, Reached, Watch};
use crate::id::RunId;
use crate::store::{Run, Status};
use crate::time::elapsed;

/// Reading a journal again costs its length: readers take at most this share of the time.
const READ_SHARE: u32 = 5;
/// A stream is behind no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Proxies close connections that are silent for a minute.
pub(super) const ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    kind: Option<String>,
}

/// `GET /api/v1/runs/{id}/stream`
pub(super) async fn stream(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = request::run_id(&id)?;
    let Parameters { kind } = request::query(&uri)?;
    let from = match header(&headers, "last-event-id") {
        None => 0,
        Some(last) => last
            .trim()
            .parse::<usize>()
            .ok()
            .and_then(|last| last.checked_add(1))
            .ok_or_else(|| Problem::bad(format!("`Last-Event-ID: {last}` is not the number of an entry")))?,
    };
    // Watching begins before reading: nothing falls in between.
    let notices = shared.app.handle.watch();
    let seen = move |handle: &Handle| {
        let row = handle.run(run)?;
        if from > 0 && has_ended(&row) && from > handle.written(run)? {
            return Ok(None);
        }
        handle.reached_before(run, from).map(Some)
    };
    let Some(reached) = request::read(&shared, seen).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let follower = Follower { shared, run, kind, from, reached, notices, progress: Value::Null, pause: None };
    let stream = Unfold::new(follower.next());
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

fn has_ended(run: &Run) -> bool {
    !run.status.is_live() && run.status != Status::Paused
}

/// Who watches a run, and how far it has come.
struct Follower {
    shared: Shared,
    run: RunId,
    /// Only entries of this kind.
    kind: Option<String>,
    /// The place of the next entry that they have not seen.
    from: usize,
    /// How far the journal is read.
    reached: Reached,
    notices: Watch,
    /// What was last said of how far it has come.
    progress: Value,
    /// How long the last reading is to be made up for; `None` before the first, and where more is there to be read.
    pause: Option<Duration>,
}

impl Follower {
    fn next(self) -> Next {
        Next::new(async move {
            let mut follower = self;
            let mut closing = follower.shared.closing.clone();
            tokio::select! {
                batch = follower.batch() => match batch {
                    Ok((events, true)) => (events, None),
                    Ok((events, false)) => (events, Some(follower.next())),
                    // The client comes back and is told what is wrong.
                    Err(_) => (Vec::new(), None),
                },
                () = closed(&mut closing) => (Vec::new(), None),
            }
        })
    }

    /// New entries, and whether the run has ended.
    async fn batch(&mut self) -> Result<(Vec<Event>, bool), Problem> {
        loop {
            if let Some(pause) = self.pause {
                self.changed().await;
                tokio::time::sleep(pause).await;
            }
            let began = elapsed();
            let (run, reached) = (self.run, self.reached);
            // The row first: if it has ended, all entries are there.
            let read = move |handle: &Handle| {
                let row = handle.run(run)?;
                Ok((handle.run_json(&row)?, row, handle.growth(run, reached)?))
            };
            let (shown, row, growth) = request::read(&self.shared, read).await?;
            // What follows is there already.
            let is_last = growth.is_last;
            self.pause = is_last.then(|| (elapsed().saturating_sub(began) * READ_SHARE).min(PAUSE_MAX));
            let mut events = self.entries(&growth);
            self.from = self.from.max(growth.written);
            self.reached = growth.reached;
            if shown["progress"] != self.progress {
                self.progress = shown["progress"].clone();
                // Without an id: it is no entry, and only the newest counts.
                events.push(Event::default().event("progress").data(self.progress.to_string()));
            }
            if has_ended(&row) && is_last {
                let end = Event::default().event("end").id(growth.written.to_string()).data(shown.to_string());
                events.push(end);
                return Ok((events, true));
            }
            if !events.is_empty() {
                return Ok((events, false));
            }
        }
    }

    /// What is new to who watches, as events.
    fn entries(&self, growth: &Growth) -> Vec<Event> {
        let placed = growth.places.iter().zip(growth.entries.iter().zip(growth.first..));
        let new = placed.filter(|(place, _)| **place >= self.from);
        let shown = new.map(|(place, (entry, n))| (place, entry.to_json(n)));
        let meant = shown.filter(|(_, shown)| self.kind.as_deref().is_none_or(|kind| shown["kind"] == kind));
        meant.map(|(place, shown)| Event::default().id(place.to_string()).data(shown.to_string())).collect()
    }

    /// Waits until there may be something new.
    async fn changed(&mut self) {
        loop {
            match self.notices.next().await {
                Some(Notice::Changed(run) | Notice::Ended(run, _)) if run == self.run => return,
                None | Some(Notice::Trouble(_)) => return,
                Some(_) => {}
            }
        }
    }
}

/// Events that came, and who goes on.
type Batch = (Vec<Event>, Option<Next>);

/// Who brings the next events. The stream that it makes holds these alone: a client that does not read holds up nobody.
pub(super) struct Next(Pin<Box<dyn Future<Output = Batch> + Send>>);

impl Next {
    /// What this future brings.
    pub(super) fn new(future: impl Future<Output = Batch> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

/// A stream of what one future after the other brings.
pub(super) struct Unfold {
    next: Option<Next>,
    ready: std::vec::IntoIter<Event>,
}

impl Unfold {
    /// Begins with this one.
    pub(super) fn new(next: Next) -> Self {
        Self { next: Some(next), ready: Vec::new().into_iter() }
    }
}

impl Stream for Unfold {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.next() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(next) = &mut self.next else { return Poll::Ready(None) };
            let Poll::Ready((events, next)) = next.0.as_mut().poll(context) else { return Poll::Pending };
            self.ready = events.into_iter();
            self.next = next;
        }
    }
}
