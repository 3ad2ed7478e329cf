//! How much of a run's `timeout` is used up: the time that it spent running.
//!
//! What counts: each attempt of an effect (a request, an act on a file) from its begin to its end, the wait for the disk in
//! front of it included; attempts that overlap count once. And, as long as the run stays in memory, what the script
//! computes between them. What does not: timers, events, tasks, other runs, the pause before another attempt, all of
//! `wait_until`, and time in which no process runs it. Of a run that is taken up again, the journal says what was used;
//! an attempt that a crash cut off counts from its next begin, and what was only computed before is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::session::WaitId;
use crate::journal::{Entry, Kind, Phase, Position};
use crate::payload::Payload;
use crate::time::{Timestamp, format_duration};

/// The timer of a run's timeout among those of its waits, which are numbered from 1.
pub(super) const TIMEOUT: WaitId = WaitId(u64::MAX);

/// The time that effects were on their way, by the journal.
pub(super) fn by_journal(journal: &[Entry]) -> Duration {
    let mut began: BTreeMap<&Position, Timestamp> = BTreeMap::new();
    let mut ran = Vec::new();
    for entry in journal.iter().filter(|entry| entry.kind == Kind::Effect) {
        let since = began.get(&entry.position).copied().unwrap_or(entry.started_at);
        match (entry.phase, entry.due) {
            // An attempt begins.
            (Phase::Opened, None) => {
                began.insert(&entry.position, entry.ended_at);
            }
            // An attempt has failed, and the next one is due.
            (Phase::Opened, Some(next)) => {
                ran.push((since, entry.ended_at));
                began.insert(&entry.position, next);
            }
            (Phase::Closed, last) => ran.push((last.unwrap_or(since), entry.ended_at)),
            (Phase::Given, _) => {}
        }
    }
    union(ran)
}

/// The length of all intervals, what they have in common counted once.
fn union(mut intervals: Vec<(Timestamp, Timestamp)>) -> Duration {
    intervals.sort_unstable();
    let mut until = Timestamp(i64::MIN);
    let mut sum = Duration::ZERO;
    for (from, to) in intervals {
        sum += to.since(from.max(until));
        until = until.max(to);
    }
    sum
}

/// Measures a run in motion.
#[derive(Debug)]
pub(super) struct Meter {
    limit: Option<Duration>,
    used: Duration,
    /// By the monotonic clock.
    running_since: Option<Duration>,
}

impl Meter {
    /// A run that has used so much before.
    pub(super) fn new(limit: Option<Duration>, journal: &[Entry]) -> Self {
        let used = limit.map_or(Duration::ZERO, |_| by_journal(journal));
        Self { limit, used, running_since: None }
    }

    /// The run goes on, or waits. Answers when it will have used all of its time, if it is going on from now.
    pub(super) fn set_running(&mut self, is_running: bool, now: Duration) -> Option<Duration> {
        let limit = self.limit?;
        match (self.running_since, is_running) {
            (None, true) => {
                self.running_since = Some(now);
                Some(now + limit.saturating_sub(self.used))
            }
            (Some(since), false) => {
                self.used += now.saturating_sub(since);
                self.running_since = None;
                None
            }
            _ => None,
        }
    }

    /// All is used up: why the run ends.
    pub(super) fn over(&self, now: Duration) -> Option<Payload> {
        let limit = self.limit?;
        let running = self.running_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let message = || format!("the run has spent more than {} running, its `timeout`", format_duration(limit));
        (self.used + running >= limit).then(|| {
            Payload::from_json(&serde_json::json!({ "kind": "timeout", "message": message(), "retryable": false }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `position phase from to due`: `o` opened, `c` closed.
    fn journal(lines: &[(&str, char, i64, i64, Option<i64>)]) -> Vec<Entry> {
        let entry = |(position, phase, from, to, due): &(&str, char, i64, i64, Option<i64>)| Entry {
            phase: if *phase == 'o' { Phase::Opened } else { Phase::Closed },
            ended_at: Timestamp(*to),
            due: due.map(Timestamp),
            ..Entry::opened(Kind::Effect, position.parse().expect("a position"), "http::get".into(), Timestamp(*from))
        };
        lines.iter().map(entry).collect()
    }

    fn used(lines: &[(&str, char, i64, i64, Option<i64>)]) -> u128 {
        by_journal(&journal(lines)).as_millis()
    }

    #[test]
    fn what_overlaps_counts_once() {
        assert_eq!(used(&[("0", 'c', 0, 10, None), ("1", 'c', 5, 12, None), ("2", 'c', 100, 101, None)]), 13);
    }

    #[test]
    fn the_pause_between_attempts_does_not_count() {
        let tried = [("0", 'o', 0, 1, None), ("0", 'o', 0, 5, Some(1_000)), ("0", 'o', 0, 1_000, None)];
        assert_eq!(used(&tried), 4);
        assert_eq!(used(&[&tried[..], &[("0", 'c', 0, 1_007, Some(1_001))]].concat()), 10);
    }

    #[test]
    fn an_attempt_that_was_cut_off_counts_from_its_next_begin() {
        assert_eq!(used(&[("0", 'o', 0, 0, None), ("0", 'c', 0, 9_005, Some(9_000))]), 5);
    }

    #[test]
    fn a_meter_counts_what_runs() {
        let ms = Duration::from_millis;
        let mut meter = Meter::new(Some(ms(100)), &journal(&[("0", 'c', 0, 30, None)]));
        assert_eq!(meter.set_running(true, ms(5)), Some(ms(75)));
        assert_eq!(meter.set_running(false, ms(25)), None);
        assert_eq!(meter.set_running(true, ms(1_000)), Some(ms(1_050)));
        assert!(meter.over(ms(1_049)).is_none() && meter.over(ms(1_050)).is_some());
        assert!(Meter::new(None, &[]).over(ms(9_999)).is_none());
    }
}
