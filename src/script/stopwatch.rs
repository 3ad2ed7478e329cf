//! How long a script has computed since its last host call, also where its thread had to wait for a core.
//!
//! The clock is read often, and what a thread used of a core is dear to read; so the clock alone counts up to half of the
//! limit, and from there what was used counts as well. On a machine with cores to spare both say the same.

use std::cell::Cell;
use std::time::Duration;

/// Counts while the script runs. Both clocks are handed in.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    /// By the clock, since the last host call.
    wall: Cell<Duration>,
    since: Cell<Duration>,
    /// Of a core, since `wall` was half of the limit.
    used: Cell<Duration>,
    /// What the thread had used when it was looked at last.
    from: Cell<Option<Duration>>,
}

impl Stopwatch {
    /// The script goes on now.
    pub(super) fn go(&self, now: Duration) {
        self.since.set(now);
        self.from.set(None);
    }

    /// Counts from nothing.
    pub(super) fn reset(&self, now: Duration) {
        self.wall.set(Duration::ZERO);
        self.used.set(Duration::ZERO);
        self.go(now);
    }

    /// Counts what has passed. `busy` says what the thread has used of a core; it is asked only where the limit is near.
    pub(super) fn count(&self, now: Duration, limit: Duration, busy: impl Fn() -> Duration) {
        self.wall.set(self.wall.get() + now.saturating_sub(self.since.replace(now)));
        if self.wall.get() > limit / 2 {
            let busy = busy();
            let from = self.from.replace(Some(busy)).unwrap_or(busy);
            self.used.set(self.used.get() + busy.saturating_sub(from));
        }
    }

    /// By the clock.
    pub(super) fn wall(&self) -> Duration {
        self.wall.get()
    }

    /// The script had the limit, and a core for at least half of it.
    pub(super) fn is_over(&self, limit: Duration) -> bool {
        self.wall.get() > limit && self.used.get() > limit / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is over after looks at these moments: the clock, what the thread has used, both in milliseconds.
    fn over(looks: &[(u64, u64)]) -> bool {
        let (watch, limit) = (Stopwatch::default(), Duration::from_secs(1));
        watch.reset(Duration::ZERO);
        for (now, busy) in looks {
            watch.count(Duration::from_millis(*now), limit, || Duration::from_millis(*busy));
        }
        watch.is_over(limit)
    }

    #[test]
    fn a_script_that_has_a_core_ends_at_its_limit() {
        let looks: Vec<_> = (0..=100).map(|n| (n * 10, n * 10)).collect();
        assert!(!over(&looks), "the limit itself is allowed");
        assert!(over(&(0..=103).map(|n| (n * 10, n * 10)).collect::<Vec<_>>()));
    }

    #[test]
    fn a_script_that_waits_for_a_core_has_more_time() {
        assert!(!over(&[(400, 40), (600, 60), (5_000, 500)]));
        assert!(over(&[(400, 40), (600, 60), (10_000, 1_000)]));
    }

    #[test]
    fn what_others_use_in_between_does_not_count() {
        let (watch, limit) = (Stopwatch::default(), Duration::from_secs(1));
        let ms = Duration::from_millis;
        watch.reset(ms(0));
        watch.count(ms(900), limit, || ms(900));
        watch.go(ms(5_000));
        watch.count(ms(5_200), limit, || ms(5_200));
        assert!(!watch.is_over(limit), "the thread did something else for four seconds");
        watch.reset(ms(5_200));
        assert_eq!(watch.wall(), ms(0));
    }
}
