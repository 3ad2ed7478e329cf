//! When a failed attempt is followed by another one.

use std::time::Duration;

use rhai::{Dynamic, FnPtr, Map};

use super::declare::kept;
use super::fail::{Fail, is_worth_a_retry};
use super::function::{Call, Choice, Options};
use crate::time::Timestamp;

/// What a retry policy may say.
pub(super) const KEYS: &[Choice] = &[
    Choice::new("attempts", "int", "how often in all; 5 unless given, 0: without end"),
    Choice::new("delay", "duration", "before the second attempt; 1 s unless given"),
    Choice::new("factor", "float", "by which each further delay grows; 2 unless given"),
    Choice::new("max_delay", "duration", "no delay is longer; 5 min unless given"),
    Choice::new("jitter", "bool", "delays vary by a quarter; `true` unless given"),
    Choice::new("within", "duration", "no attempt begins later than this after the first"),
    Choice::new("when", "closure", "pure: gets the error; `false` ends it"),
];

/// A retry policy.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// How often in all; 0: without end.
    pub(super) attempts: u32,
    /// Before the second attempt.
    pub(super) delay: Duration,
    /// By which each further delay grows.
    pub(super) factor: f64,
    /// No delay is longer.
    pub(super) max_delay: Duration,
    /// Delays vary by a quarter, so that many runs do not try at the same moment.
    pub(super) jitter: bool,
    /// No attempt begins later than this after the first.
    pub(super) within: Option<Duration>,
    /// Asked with the error; `false` ends it.
    pub(super) when: Option<FnPtr>,
}

impl Policy {
    /// One second, doubling, five minutes at most, with jitter.
    pub(super) fn times(attempts: u32) -> Self {
        Self {
            attempts,
            delay: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_mins(5),
            jitter: true,
            within: None,
            when: None,
        }
    }

    /// A single attempt.
    pub(super) fn once() -> Self {
        Self::times(1)
    }

    /// More than one attempt is possible.
    pub(super) fn repeats(&self) -> bool {
        self.attempts != 1
    }

    /// From a count of attempts or a map.
    pub(super) fn parse(call: &Call<'_>, value: &Dynamic) -> Result<Self, Fail> {
        if let Ok(count) = value.as_int() {
            return Ok(Self::times(attempts(call, count)?));
        }
        let Some(map) = value.clone().try_cast::<Map>() else {
            return Err(call
                .invalid("a retry policy is a count of attempts or a map such as `#{ attempts: 5, delay: \"1s\" }`"));
        };
        Self::from_map(call, map)
    }

    fn from_map(call: &Call<'_>, map: Map) -> Result<Self, Fail> {
        let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        let (options, unknown) = Options::sifted(map, call.function.name, &known);
        unknown.into_iter().try_for_each(|fail| kept::<()>(call, Err(fail)).map(drop))?;
        let mut policy = Self::times(5);
        if let Some(count) = kept(call, options.int("attempts"))? {
            policy.attempts = kept(call, attempts(call, count).map(Some))?.unwrap_or(policy.attempts);
        }
        policy.delay = kept(call, options.duration("delay"))?.unwrap_or(policy.delay);
        if let Some(factor) = kept(call, options.number("factor"))? {
            policy.factor = kept(call, growth(call, factor).map(Some))?.unwrap_or(policy.factor);
        }
        policy.max_delay = kept(call, options.duration("max_delay"))?.unwrap_or(policy.max_delay.max(policy.delay));
        let jitter = kept(call, options.flag("jitter").map(Some))?.unwrap_or_default();
        policy.jitter = options.get("jitter").is_none() || jitter;
        policy.within = kept(call, options.duration("within"))?;
        policy.when = kept(call, options.closure("when"))?;
        Ok(policy)
    }

    /// When the next attempt is due after attempt number `attempt` failed; `None`: it was the last.
    /// `asked` is what the other side asks to wait (`Retry-After`), `random` any number.
    pub(super) fn next(
        &self,
        attempt: u32,
        first: Timestamp,
        now: Timestamp,
        asked: Option<Duration>,
        random: u64,
    ) -> Option<Timestamp> {
        if self.attempts != 0 && attempt >= self.attempts {
            return None;
        }
        let growth = self.factor.powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
        let seconds = (self.delay.as_secs_f64() * growth).min(self.max_delay.as_secs_f64());
        let jittered =
            if self.jitter { seconds * (0.75 + 0.5 * ((random >> 11) as f64 / (1_u64 << 53) as f64)) } else { seconds };
        let due = now.plus(Duration::from_secs_f64(jittered).max(asked.unwrap_or_default()));
        match self.within {
            Some(within) if due > first.plus(within) => None,
            _ => Some(due),
        }
    }

    /// Whether this error is followed by another attempt at all.
    pub(super) fn takes(&self, call: &Call<'_>, error: &Map) -> Result<bool, Fail> {
        if !is_worth_a_retry(error) {
            return Ok(false);
        }
        let Some(when) = &self.when else { return Ok(true) };
        let answer = super::pure(|| when.call_within_context::<Dynamic>(&call.context, (error.clone(),)))?;
        answer.as_bool().map_err(|_| call.invalid("the closure `when` must return true or false"))
    }
}

fn growth(call: &Call<'_>, factor: f64) -> Result<f64, Fail> {
    if (1.0..=100.0).contains(&factor) {
        return Ok(factor);
    }
    Err(call.invalid(format!("option `factor` must lie between 1 and 100, not {factor}")))
}

fn attempts(call: &Call<'_>, count: i64) -> Result<u32, Fail> {
    u32::try_from(count)
        .map_err(|_| call.invalid(format!("`attempts` lies between 0 (without end) and {}, not {count}", u32::MAX)))
}

/// What the other side asked to wait, from an error's map.
pub(super) fn retry_after(error: &Map) -> Option<Duration> {
    error
        .get("retry_after")
        .and_then(|v| v.as_float().ok())
        .filter(|s| s.is_finite() && *s >= 0.0)
        .map(Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(policy: &Policy, count: u32) -> Vec<Option<i64>> {
        (1..=count).map(|n| policy.next(n, Timestamp(0), Timestamp(0), None, 0).map(|t| t.0)).collect()
    }

    #[test]
    fn delays_grow_to_their_limit_and_end() {
        let policy = Policy { jitter: false, max_delay: Duration::from_secs(3), ..Policy::times(4) };
        assert_eq!(dues(&policy, 4), [Some(1_000), Some(2_000), Some(3_000), None]);
    }

    #[test]
    fn zero_attempts_are_without_end_and_huge_numbers_do_no_harm() {
        let policy = Policy { jitter: false, ..Policy::times(0) };
        assert_eq!(policy.next(u32::MAX, Timestamp(0), Timestamp(0), None, 0), Some(Timestamp(300_000)));
    }

    #[test]
    fn within_bounds_the_whole_and_the_other_side_may_ask_for_more() {
        let policy = Policy { jitter: false, within: Some(Duration::from_secs(10)), ..Policy::times(9) };
        let asked = Some(Duration::from_secs(9));
        assert_eq!(policy.next(1, Timestamp(0), Timestamp(500), asked, 0), Some(Timestamp(9_500)));
        assert_eq!(policy.next(1, Timestamp(0), Timestamp(1_001), asked, 0), None);
    }

    #[test]
    fn jitter_is_a_quarter_at_most() {
        for random in [0, u64::MAX / 3, u64::MAX] {
            let due = Policy::times(2).next(1, Timestamp(0), Timestamp(0), None, random).expect("another attempt");
            assert!((750..=1_250).contains(&due.0), "{due:?}");
        }
    }
}
