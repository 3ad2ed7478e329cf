//! How long to wait before the engine is started again.

use std::time::Duration;

/// So many deaths right at the start are answered at once: each may be another run that kills.
const AT_ONCE: u32 = 2;
/// The first pause, doubled with each further death.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const MOST: Duration = Duration::from_secs(5);

/// Counts the processes in a row that died before they were ready. One that was ready and then died is answered at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    early: u32,
}

impl Backoff {
    /// A process was ready.
    pub(super) fn ready(&mut self) {
        self.early = 0;
    }

    /// A process died; how long to wait now.
    pub(super) fn died(&mut self, was_ready: bool) -> Duration {
        if was_ready {
            self.early = 0;
            return Duration::ZERO;
        }
        self.early += 1;
        match self.early.checked_sub(AT_ONCE + 1) {
            None => Duration::ZERO,
            Some(doubled) => FIRST.saturating_mul(1 << doubled.min(10)).min(MOST),
        }
    }

    /// How many have died in a row before they were ready.
    pub(super) fn early(self) -> u32 {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(lives: &[bool]) -> Vec<u128> {
        let mut backoff = Backoff::default();
        lives.iter().map(|was_ready| backoff.died(*was_ready).as_millis()).collect()
    }

    #[test]
    fn only_deaths_right_at_the_start_are_waited_for() {
        assert_eq!(pauses(&[true; 30]), [0; 30]);
        assert_eq!(pauses(&[false; 10]), [0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pauses(&[false, false, false, true, false, false, false]), [0, 0, 100, 0, 0, 0, 100]);
    }
}
