//! What happens, in one order, for those who watch all of it: which runs and tasks have changed, and what came of saves.
//!
//! The newest news of each run and task are kept, a bounded number of them; a client holds nothing but the place that it has
//! come to. One that was away, or is slow, gets what it missed in one piece; where that is no longer known, it is told to
//! read everything anew. Nothing is gathered while nobody watches.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, watch};

use super::App;
use super::request::closed;
use crate::engine::{Notice, Watch};
use crate::id::{RunId, TaskId};

/// Runs, tasks and saves whose last change is kept: a client that was away for a moment resumes on a busy server, too.
const KEPT: usize = 4_096;
/// Nobody has watched for so long: a browser or a command that lost its connection is back by then.
const IDLE: Duration = Duration::from_mins(1);

/// What has changed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum News {
    /// This run.
    Run(RunId),
    /// This task.
    Task(TaskId),
    /// This came of a save.
    Reload(Arc<str>),
}

/// A place in the news. Of another era, or behind what is kept, it cannot be gone on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    era: u64,
    seq: u64,
}

impl Place {
    /// The place that an event's id names.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (era, seq) = text.trim().split_once('-')?;
        Some(Self { era: u64::from_str_radix(era, 16).ok()?, seq: seq.parse().ok()? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{}", self.era, self.seq)
    }
}

/// The news of one server.
pub(super) struct Feed {
    state: Mutex<State>,
    /// The newest place.
    grown: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    era: u64,
    /// The newest.
    last: u64,
    /// The newest that was dropped.
    dropped: u64,
    items: BTreeMap<u64, News>,
    places: HashMap<News, u64>,
    watchers: usize,
    is_gathering: bool,
}

impl State {
    fn add(&mut self, news: News) {
        self.last += 1;
        if let Some(before) = self.places.insert(news.clone(), self.last) {
            self.items.remove(&before);
        }
        self.items.insert(self.last, news);
        if self.items.len() > KEPT
            && let Some((seq, news)) = self.items.pop_first()
        {
            self.dropped = seq;
            self.places.remove(&news);
        }
    }

    /// What was kept cannot be gone on from.
    fn begin(&mut self) {
        let new = uuid::Uuid::now_v7().as_u128() as u64;
        *self = Self { era: new, watchers: self.watchers, is_gathering: self.is_gathering, ..Self::default() };
    }
}

/// Somebody who watches; nothing is gathered a while after the last of them has gone.
pub(super) struct Watcher(Arc<Feed>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.state().watchers -= 1;
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self { state: Mutex::default(), grown: watch::channel(0).0 }
    }
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches: from then on news are gathered.
    pub(super) fn watch(self: &Arc<Self>, app: &App, closing: &watch::Receiver<bool>) -> Watcher {
        let mut state = self.state();
        state.watchers += 1;
        if !state.is_gathering {
            state.is_gathering = true;
            state.begin();
            // Watching begins before anybody reads.
            let (notices, reloads) = (app.handle.watch(), app.reloads.follow());
            tokio::spawn(gather(Arc::clone(self), notices, reloads, closing.clone()));
        }
        Watcher(Arc::clone(self))
    }

    /// Where the news end now.
    pub(super) fn end(&self) -> Place {
        let state = self.state();
        Place { era: state.era, seq: state.last }
    }

    /// The news behind a place, oldest first, so many at most; `None`: it cannot be gone on from there.
    pub(super) fn since(&self, place: Place, most: usize) -> Option<Vec<(Place, News)>> {
        let state = self.state();
        let is_known = place.era == state.era && place.seq >= state.dropped && place.seq <= state.last;
        let behind = state.items.range(place.seq.saturating_add(1)..).take(most);
        let placed = |(seq, news): (&u64, &News)| (Place { era: state.era, seq: *seq }, news.clone());
        is_known.then(|| behind.map(placed).collect())
    }

    /// Hears of growth from now on.
    pub(super) fn growth(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    fn add(&self, news: News) {
        self.state().add(news);
        self.grown.send_modify(|grown| *grown = grown.wrapping_add(1));
    }

    fn lose(&self) {
        self.state().begin();
        self.grown.send_modify(|grown| *grown = grown.wrapping_add(1));
    }

    /// Whether nobody watches; then nothing is gathered any more.
    fn rest(&self) -> bool {
        let mut state = self.state();
        state.is_gathering = state.watchers > 0;
        !state.is_gathering
    }
}

/// Gathers until nobody has watched for a while, or the server is to stop.
async fn gather(
    feed: Arc<Feed>,
    mut notices: Watch,
    mut reloads: Option<broadcast::Receiver<Value>>,
    mut closing: watch::Receiver<bool>,
) {
    let mut idle = tokio::time::interval(IDLE);
    idle.tick().await;
    loop {
        tokio::select! {
            notice = notices.next() => match notice {
                Some(Notice::Changed(run) | Notice::Ended(run, _)) => feed.add(News::Run(run)),
                Some(Notice::Task(task)) => feed.add(News::Task(task)),
                Some(_) => {}
                None => feed.lose(),
            },
            reload = told(&mut reloads) => match reload {
                Some(reload) => feed.add(News::Reload(reload.to_string().into())),
                None => feed.lose(),
            },
            _ = idle.tick() => if feed.rest() {
                return;
            },
            () = closed(&mut closing) => {
                feed.state().is_gathering = false;
                return;
            }
        }
    }
}

/// What came of a save; `None`: some were missed.
async fn told(reloads: &mut Option<broadcast::Receiver<Value>>) -> Option<Value> {
    let Some(receiver) = reloads else { return std::future::pending().await };
    match receiver.recv().await {
        Ok(reload) => Some(reload),
        Err(broadcast::error::RecvError::Lagged(_)) => None,
        Err(broadcast::error::RecvError::Closed) => {
            *reloads = None;
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(feed: &Feed, runs: &[RunId]) -> Place {
        runs.iter().for_each(|run| feed.add(News::Run(*run)));
        feed.end()
    }

    #[test]
    fn only_the_newest_news_of_a_run_are_kept_in_their_order() {
        let (feed, a, b) = (Feed::default(), RunId::new(), RunId::new());
        let start = feed.end();
        added(&feed, &[a, b, a]);
        let news: Vec<_> = feed.since(start, 9).expect("is known").into_iter().map(|(_, news)| news).collect();
        assert_eq!(news, [News::Run(b), News::Run(a)]);
    }

    #[test]
    fn a_place_is_gone_on_from_until_what_follows_it_was_dropped() {
        let feed = Feed::default();
        let start = feed.end();
        let middle = added(&feed, &[RunId::new()]);
        (0..KEPT).for_each(|_| feed.add(News::Run(RunId::new())));
        assert!(feed.since(start, 1).is_none() && feed.since(middle, KEPT).is_some_and(|news| news.len() == KEPT));
    }

    #[test]
    fn a_place_of_before_a_loss_or_of_the_future_is_none() {
        let feed = Feed::default();
        let before = added(&feed, &[RunId::new()]);
        assert!(feed.since(Place { seq: before.seq + 1, ..before }, 1).is_none());
        feed.lose();
        assert!(feed.since(before, 1).is_none());
        assert_eq!(Place::from_text(&before.to_string()), Some(before));
    }
}
