//! What the engine counts: plain atomics, written where things happen, read by `/metrics`.
//!
//! A counter costs one relaxed addition. Families with a label are small maps behind a lock that is written once a new label
//! comes; they are used on the log's thread and for requests, never while a script is evaluated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::handle::Handle;
use crate::journal::{Entry, Kind, Phase};
use crate::store::Status;

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a value was in which range.
#[derive(Debug)]
pub struct Histogram {
    /// Upper ends of the ranges, in ascending order; one more is without an end.
    bounds: &'static [u64],
    counts: Vec<Counter>,
    sum: Counter,
    /// How much of what is measured is one of the unit that is shown: a million where microseconds are shown as seconds. A
    /// divisor, since a product with 1e-6 is no round number.
    unit: f64,
}

impl Histogram {
    fn new(bounds: &'static [u64], unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, counts, sum: Counter::default(), unit }
    }

    fn of_time(bounds_us: &'static [u64]) -> Self {
        Self::new(bounds_us, 1e6)
    }

    /// One more value.
    pub fn value(&self, value: u64) {
        let range = self.bounds.partition_point(|bound| *bound < value);
        self.counts[range].one();
        self.sum.add(value);
    }

    /// One more length of time.
    pub fn time(&self, took: Duration) {
        self.value(u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> 16));
    }

    /// Each upper end with how many values were not larger, without the last, which is all of them.
    pub fn ranges(&self) -> Vec<(f64, u64)> {
        let mut below = 0;
        let range = |(bound, count): (&u64, &Counter)| {
            below += count.get();
            (*bound as f64 / self.unit, below)
        };
        self.bounds.iter().zip(&self.counts).map(range).collect()
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(Counter::get).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum.get() as f64 / self.unit
    }
}

/// Counters told apart by a label. Whoever asks for one must know that there are few.
#[derive(Debug)]
pub struct Family<L>(RwLock<BTreeMap<L, Arc<Counter>>>);

impl<L> Default for Family<L> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<L: Ord + Clone> Family<L> {
    /// One more of these.
    pub fn one(&self, label: &L) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(label).cloned();
        let counter = known.unwrap_or_else(|| {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(label.clone()).or_default())
        });
        counter.one();
    }

    /// All, by label.
    pub fn all(&self) -> Vec<(L, u64)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(label, counter)| (label.clone(), counter.get())).collect()
    }
}

/// From 100 µs, a quiet disk, to 10 s, a disk that stands still.
const COMMIT_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// From one change to the largest group.
const COMMIT_CHANGES: &[u64] = &[1, 4, 16, 64, 256, 1_024, 4_096];
/// From what a timer cannot better to what a person notices.
const LAG_US: &[u64] =
    &[1_000, 5_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000, 60_000_000];

/// What kinds of effects are told apart: the modules whose functions touch the outside.
const EFFECTS: [&str; 8] = ["http", "file", "mail", "message", "shell", "sql", "ai", "other"];

/// All that is counted since the engine started.
#[derive(Debug)]
pub struct Metrics {
    /// Runs that were accepted, by workflow.
    pub runs_started: Family<Arc<str>>,
    /// Runs that ended or were held for a person, by workflow and status.
    pub runs_ended: Family<(Arc<str>, Status)>,
    /// Steps that ended.
    pub steps: Counter,
    /// Effects that ended, by kind, well or not.
    effects: [[Counter; 2]; EFFECTS.len()],
    /// How long commits took.
    pub commit_seconds: Histogram,
    /// Changes in a commit.
    pub commit_changes: Histogram,
    /// How late schedules and timers were.
    pub schedule_lag: Histogram,
    /// Waiting runs that left memory.
    pub evictions: Counter,
    /// Activations that had a journal to replay.
    pub replays: Counter,
    /// The entries of these journals.
    pub replayed_entries: Counter,
    /// Requests to the server, by route and status.
    pub requests: Family<(Arc<str>, u16)>,
    /// What came of saves, by status.
    pub reloads: Family<&'static str>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            runs_started: Family::default(),
            runs_ended: Family::default(),
            steps: Counter::default(),
            effects: Default::default(),
            commit_seconds: Histogram::of_time(COMMIT_US),
            commit_changes: Histogram::new(COMMIT_CHANGES, 1.0),
            schedule_lag: Histogram::of_time(LAG_US),
            evictions: Counter::default(),
            replays: Counter::default(),
            replayed_entries: Counter::default(),
            requests: Family::default(),
            reloads: Family::default(),
        }
    }
}

impl Metrics {
    /// New entries of a run.
    pub(super) fn appended(&self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.phase == Phase::Closed) {
            match entry.kind {
                Kind::Step => self.steps.one(),
                Kind::Effect => {
                    if let Some(kind) = kind_of(&entry.name) {
                        let failed = matches!(entry.outcome, Some(Err(_)));
                        self.effects[kind][usize::from(failed)].one();
                    }
                }
                _ => {}
            }
        }
    }

    /// A run was put in motion with so many entries.
    pub(super) fn activated(&self, entries: usize) {
        if entries > 0 {
            self.replays.one();
            self.replayed_entries.add(entries as u64);
        }
    }

    /// Effects that ended: kind, outcome (`ok`, `error`), how many.
    pub fn effects(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let of_kind = |(kind, counters): (&'static str, &[Counter; 2])| {
            [(kind, "ok", counters[0].get()), (kind, "error", counters[1].get())]
        };
        EFFECTS.into_iter().zip(&self.effects).flat_map(of_kind)
    }
}

/// Which kind of effect a function is; `None` for one that only asks the clock, chance or settings.
fn kind_of(function: &str) -> Option<usize> {
    let (module, _) = function.split_once("::")?;
    match module {
        "time" | "random" => None,
        module => Some(EFFECTS.iter().position(|known| *known == module).unwrap_or(EFFECTS.len() - 1)),
    }
}

impl Handle {
    /// What the engine counts.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Items that wait for the disk.
    pub fn queue_depth(&self) -> u64 {
        self.shared.log.last().saturating_sub(self.shared.log.durable())
    }

    /// Lines of the log that were dropped because they came too fast.
    pub fn dropped_lines(&self) -> u64 {
        self.shared.options.lines.as_ref().map_or(0, |lines| lines.dropped())
    }

    /// Spans of runs that could not be handed to a collector.
    pub fn dropped_spans(&self) -> u64 {
        self.shared.options.follower.as_ref().map_or(0, |follower| follower.dropped())
    }

    /// When the engine started.
    pub fn started_at(&self) -> crate::time::Timestamp {
        self.shared.started_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_not_larger() {
        let histogram = Histogram::of_time(&[1_000, 2_000]);
        for us in [500, 1_000, 1_500, 9_000] {
            histogram.time(Duration::from_micros(us));
        }
        assert_eq!(histogram.ranges(), [(0.001, 2), (0.002, 3)]);
        assert_eq!((histogram.count(), (histogram.sum() * 1e6).round()), (4, 12_000.0));
    }

    #[test]
    fn ends_of_ranges_are_round_numbers() {
        for bounds in [COMMIT_US, LAG_US] {
            for (end, _) in Histogram::of_time(bounds).ranges() {
                assert!(end.to_string().len() <= "0.00025".len(), "{end}");
            }
        }
    }

    #[test]
    fn effects_are_counted_by_module_and_outcome() {
        let metrics = Metrics::default();
        let entry = |name: &str, outcome| {
            let (position, at) = (crate::journal::Position::default(), crate::time::Timestamp::default());
            let opened = Entry::opened(Kind::Effect, position, name.into(), at);
            Entry { phase: Phase::Closed, outcome: Some(outcome), ..opened }
        };
        let unit = crate::payload::Payload::unit;
        metrics.appended(&[entry("http::get", Ok(unit())), entry("http::post", Err(unit())), entry("now", Ok(unit()))]);
        let counted: Vec<_> = metrics.effects().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!(counted, [("http", "ok", 1), ("http", "error", 1)]);
    }
}
