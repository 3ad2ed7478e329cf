//! All runs, tasks and saves as they change, as server-sent events.
//!
//! First comes `reset`: whatever is shown is to be read anew, and what follows is news. `run` and `task` bear the row as it is
//! when it is sent, so that many changes of one are one event; `reload` bears what came of a save. Each event's id is a place
//! in the news: a client that comes back with `Last-Event-ID` gets what followed, or `reset` where that is no longer known.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::sync::watch;

use super::feed::{News, Place, Watcher};
use super::request::{self, closed, header};
use super::stream::{ALIVE, Next, Unfold};
use super::viewer::Viewer;
use super::{Problem, Shared, listing};
use crate::engine::{Error, Handle};

/// Between two looks: as fast as one can read, and what changes more often in between is one event.
const PACE: Duration = Duration::from_millis(100);
/// News read at once.
const BATCH: usize = 200;
/// Bytes that are read at once and wait for the client: rows bear inputs and outputs.
const BATCH_BYTES: usize = 256 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    workflow: Option<String>,
}

/// `GET /api/v1/stream`
pub(super) async fn stream(
    State(shared): State<Shared>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Parameters { workflow } = request::query(&uri)?;
    let place = header(&headers, "last-event-id").map(|last| {
        let hint = "hint: give the id of an event of this stream, or leave it out";
        Place::from_text(last).ok_or_else(|| Problem::bad(format!("`Last-Event-ID: {last}` is no place here; {hint}")))
    });
    let place = place.transpose()?;
    let watcher = shared.feed.watch(&shared.app, &shared.closing);
    let growth = shared.feed.growth();
    let client = Client { shared, viewer, workflow, place, growth, _watcher: watcher };
    let stream = Unfold::new(client.next());
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// Who watches, and the place that they have come to.
struct Client {
    shared: Shared,
    viewer: Viewer,
    workflow: Option<String>,
    /// `None`: they know nothing yet.
    place: Option<Place>,
    growth: watch::Receiver<u64>,
    _watcher: Watcher,
}

impl Client {
    fn next(self) -> Next {
        Next::new(async move {
            let mut client = self;
            let mut closing = client.shared.closing.clone();
            tokio::select! {
                events = client.events() => match events {
                    Ok(events) => (events, Some(client.next())),
                    // The client comes back and is told what is wrong.
                    Err(_) => (Vec::new(), None),
                },
                () = closed(&mut closing) => (Vec::new(), None),
            }
        })
    }

    async fn events(&mut self) -> Result<Vec<Event>, Problem> {
        loop {
            self.growth.mark_unchanged();
            let known = self.place.and_then(|place| self.shared.feed.since(place, BATCH));
            let Some(news) = known else {
                let end = self.shared.feed.end();
                self.place = Some(end);
                return Ok(vec![Event::default().event("reset").id(end.to_string()).data("{}")]);
            };
            if !news.is_empty() {
                let events = self.read(news).await?;
                tokio::time::sleep(PACE).await;
                if !events.is_empty() {
                    return Ok(events);
                }
                continue;
            }
            if self.growth.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The news as events, as far as they may wait for the client.
    async fn read(&mut self, news: Vec<(Place, News)>) -> Result<Vec<Event>, Problem> {
        let (workflow, viewer) = (self.workflow.clone(), self.viewer.clone());
        let read = move |handle: &Handle| {
            let (mut events, mut bytes, mut reached) = (Vec::new(), 0, None);
            for (place, news) in news {
                if bytes > BATCH_BYTES {
                    break;
                }
                if let Some((name, data)) = shown(handle, &news, workflow.as_deref(), &viewer)? {
                    bytes += data.len();
                    events.push(Event::default().event(name).id(place.to_string()).data(data));
                }
                reached = Some(place);
            }
            Ok((events, reached))
        };
        let (events, reached) = request::read(&self.shared, read).await?;
        self.place = reached.or(self.place);
        Ok(events)
    }
}

/// The name of an event and what it bears; nothing of what is gone, or of another workflow.
fn shown(
    handle: &Handle,
    news: &News,
    workflow: Option<&str>,
    viewer: &Viewer,
) -> Result<Option<(&'static str, String)>, Error> {
    let is_meant = |name: &str| workflow.is_none_or(|workflow| workflow == name);
    match news {
        News::Run(run) => match handle.run(*run) {
            Ok(row) if is_meant(&row.workflow) => Ok(Some(("run", listing::run(handle, &row)?.to_string()))),
            Ok(_) | Err(Error::UnknownRun(_)) => Ok(None),
            Err(error) => Err(error),
        },
        News::Task(task) => match handle.task(*task) {
            Ok(row) if is_meant(&row.workflow) => {
                Ok(Some(("task", handle.task_json(&row, viewer.entitled()).to_string())))
            }
            Ok(_) | Err(Error::UnknownTask(_)) => Ok(None),
            Err(error) => Err(error),
        },
        News::Reload(reload) => Ok(Some(("reload", reload.to_string()))),
    }
}
