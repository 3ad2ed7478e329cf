//! What waits to be sent, when each is tried next, and what was given up. Pure: time comes in, rows to be written go out.
//!
//! A channel is a lane with one message on its way at a time, so none holds up another. What fails is tried again after a
//! pause that doubles up to an hour, for a day; then it is given up, and a row says so. After a failure its lane rests for
//! a moment too (up to a minute), so that a dead channel with many messages is not called without end, and one message
//! that a channel does not like does not keep the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::group::{Groups, Taken, row};
use crate::engine::Notification;
use crate::payload::Payload;
use crate::store::Change;
use crate::store::told::MESSAGE;
use crate::time::Timestamp;

/// The beginning of the key of a channel's lost messages.
pub(super) const LOST: &str = "x/";
/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause of a message.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The longest pause of a lane.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// How long a message is tried.
const PATIENCE: Duration = Duration::from_hours(24);
/// Tries of this process before a message that is old already is given up.
const TRIES: u32 = 3;
/// Messages that wait at once. 10,000: some ten megabytes; those beyond are put together.
pub(super) const MOST: usize = 10_000;

/// One message that waits.
#[derive(Clone, Debug)]
struct Waiting {
    told: Notification,
    tries: u32,
    due: Timestamp,
    is_on_its_way: bool,
}

/// The way to one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    is_busy: bool,
    failures: u32,
    free_at: Timestamp,
}

/// Messages of a channel that were given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lost {
    /// The channel.
    pub channel: Arc<str>,
    /// How many.
    pub count: u64,
    /// When the last was given up.
    pub at: Timestamp,
    /// What it said.
    pub title: String,
    /// Why it could not be delivered.
    pub error: String,
}

/// What becomes of a message that could not be delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failed {
    /// It is tried again.
    Again {
        /// The channel.
        channel: Arc<str>,
        /// How often it was tried.
        tries: u32,
    },
    /// It is given up.
    Lost(Lost),
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Outbox {
    groups: Groups,
    /// By id.
    waiting: BTreeMap<Arc<str>, Waiting>,
    lanes: BTreeMap<Arc<str>, Lane>,
    lost: BTreeMap<Arc<str>, Lost>,
    /// Ids of what the rows held: it may be handed over once more.
    loaded: BTreeSet<Arc<str>>,
    edits: Vec<Change>,
}

impl Outbox {
    pub(super) fn new(repeat: Duration) -> Self {
        Self {
            groups: Groups::new(repeat),
            waiting: BTreeMap::new(),
            lanes: BTreeMap::new(),
            lost: BTreeMap::new(),
            loaded: BTreeSet::new(),
            edits: Vec::new(),
        }
    }

    /// Takes over what the rows hold, in the order in which it came about.
    pub(super) fn load(&mut self, rows: &[(Arc<str>, Payload)], now: Timestamp) {
        self.groups.load(rows);
        for (_, value) in rows.iter().filter(|(key, _)| key.starts_with(LOST)) {
            let lost: Option<Lost> = serde_json::from_value(value.to_json()).ok();
            self.lost.extend(lost.map(|lost| (Arc::clone(&lost.channel), lost)));
        }
        let messages = rows.iter().filter(|(key, _)| key.starts_with(MESSAGE));
        let mut messages: Vec<_> = messages.filter_map(|(_, value)| Notification::from_payload(value)).collect();
        messages.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        for told in messages {
            let id = Arc::clone(&told.id);
            self.take(told, now);
            self.loaded.insert(id);
        }
    }

    /// Takes a notification that has a row.
    pub(super) fn take(&mut self, told: Notification, now: Timestamp) {
        if self.loaded.remove(&told.id) || self.waiting.contains_key(&told.id) {
            return;
        }
        match self.groups.take(told, now) {
            Taken::Absorbed(key) => self.remove(key),
            Taken::Alone(told) => self.wait(told, now),
        }
        if self.waiting.len() > MOST {
            self.shed(now);
        }
    }

    fn wait(&mut self, told: Notification, now: Timestamp) {
        let waiting = Waiting { told, tries: 0, due: now, is_on_its_way: false };
        self.waiting.insert(Arc::clone(&waiting.told.id), waiting);
    }

    fn remove(&mut self, key: Arc<str>) {
        self.edits.push(row(key, None::<&Lost>));
    }

    /// Puts the oldest that is not on its way together with others of its kind.
    fn shed(&mut self, now: Timestamp) {
        let idle = self.waiting.values().filter(|waiting| !waiting.is_on_its_way);
        let Some(oldest) = idle.min_by_key(|waiting| waiting.told.at) else { return };
        let id = Arc::clone(&oldest.told.id);
        if let Some(waiting) = self.waiting.remove(&id) {
            let key = self.groups.fold(waiting.told, now);
            self.remove(key);
        }
    }

    /// Closes windows that have ended.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let waiting = &self.waiting;
        for message in self.groups.close(now, &|id| waiting.contains_key(id)) {
            self.edits.push(row(message.to_told().key(), Some(&message)));
            self.wait(message, now);
        }
    }

    /// What is to be written before anything more is sent.
    pub(super) fn edits(&mut self) -> Vec<Change> {
        let mut edits = std::mem::take(&mut self.edits);
        edits.extend(self.groups.edits());
        edits
    }

    /// What is to be sent now: one for each free channel, the one that is due first. They are on their way from here on.
    pub(super) fn ready(&mut self, now: Timestamp) -> Vec<Notification> {
        let mut first: BTreeMap<Arc<str>, (Timestamp, Timestamp, Arc<str>)> = BTreeMap::new();
        for (id, waiting) in self.waiting.iter().filter(|(_, one)| !one.is_on_its_way && one.due <= now) {
            let lane = self.lanes.get(&waiting.told.channel).copied().unwrap_or_default();
            if lane.is_busy || lane.free_at > now {
                continue;
            }
            let place = (waiting.due, waiting.told.at, Arc::clone(id));
            let best = first.entry(Arc::clone(&waiting.told.channel)).or_insert_with(|| place.clone());
            if place < *best {
                *best = place;
            }
        }
        let mut sending = Vec::new();
        for (channel, (_, _, id)) in first {
            self.lanes.entry(channel).or_default().is_busy = true;
            let waiting = self.waiting.get_mut(&id).expect("it was just seen");
            waiting.is_on_its_way = true;
            sending.push(waiting.told.clone());
        }
        sending
    }

    /// A message was delivered.
    pub(super) fn sent(&mut self, id: &str) {
        let Some(waiting) = self.waiting.remove(id) else { return };
        self.lanes.remove(&waiting.told.channel);
        self.remove(waiting.told.to_told().key());
    }

    /// A message could not be delivered. `None`: it is unknown.
    pub(super) fn failed(&mut self, id: &str, now: Timestamp, error: &str) -> Option<Failed> {
        let waiting = self.waiting.get_mut(id)?;
        waiting.is_on_its_way = false;
        waiting.tries += 1;
        waiting.due = now.plus(pause(waiting.tries, LONGEST_PAUSE));
        let lane = self.lanes.entry(Arc::clone(&waiting.told.channel)).or_default();
        lane.is_busy = false;
        lane.failures += 1;
        lane.free_at = now.plus(pause(lane.failures, LONGEST_REST));
        let is_old = now.since(waiting.told.at) >= PATIENCE;
        if !is_old || waiting.tries < TRIES {
            return Some(Failed::Again { channel: Arc::clone(&waiting.told.channel), tries: waiting.tries });
        }
        let told = self.waiting.remove(id)?.told;
        Some(Failed::Lost(self.lose(&told, now, error)))
    }

    fn lose(&mut self, told: &Notification, now: Timestamp, error: &str) -> Lost {
        self.remove(told.to_told().key());
        let before = self.lost.get(&told.channel).map_or(0, |lost| lost.count);
        let (channel, count) = (Arc::clone(&told.channel), before + u64::from(told.count));
        let lost = Lost { channel, count, at: now, title: told.title.clone(), error: error.to_owned() };
        self.edits.push(row(format!("{LOST}{}", told.channel).into(), Some(&lost)));
        self.lost.insert(Arc::clone(&told.channel), lost.clone());
        lost
    }

    /// When something is due next, where nothing comes from outside.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let lane = |told: &Notification| self.lanes.get(&told.channel).copied().unwrap_or_default();
        let idle = self.waiting.values().filter(|one| !one.is_on_its_way && !lane(&one.told).is_busy);
        idle.map(|one| one.due.max(lane(&one.told).free_at)).chain(self.groups.next()).min()
    }

    /// Whether something has not been tried yet, or is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.values().any(|waiting| waiting.tries == 0 || waiting.is_on_its_way)
    }
}

/// The pause after the n-th failure in a row.
fn pause(failures: u32, longest: Duration) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

#[cfg(test)]
mod tests;
