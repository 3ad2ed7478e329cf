//! How often somebody may ask: one token, or one address where no token is shown.
//!
//! It keeps one client that has gone wild from taking the daemon from all others; a flood of starts is turned away by
//! [`flood`](super::flood) long before. As many as come in the time of the rate may come at once, and then they come back evenly.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;

use super::Problem;
use super::failures::{Peer, group};
use crate::time::{Rate, elapsed};

/// Unless the config says otherwise: no person and hardly a program comes near, and one process answers not much more.
pub const REQUESTS: Rate = Rate { count: 300_000, per: Duration::from_mins(1) };
/// Who is remembered, at most: about a megabyte.
const KNOWN: usize = 10_000;

/// Whose requests are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Who {
    /// Whoever shows this token, by its hash, or has a session that was begun with it.
    Token(Arc<str>),
    /// Whoever comes from there.
    Address(IpAddr),
}

impl Who {
    /// The address, or its network.
    pub(super) fn at(peer: Peer) -> Self {
        Self::Address(group(peer.0))
    }
}

/// Requests by who sends them.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Rate,
    /// Until when the requests of each are spread, if they come evenly. In the past: they owe nothing.
    spread: Mutex<HashMap<Who, Duration>>,
}

impl Rates {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, spread: Mutex::default() }
    }

    /// Counts a request, or turns it away.
    pub(super) fn admit(&self, who: Who) -> Result<(), Problem> {
        self.take(who, elapsed()).map_err(|wait| too_many(self.rate, wait))
    }

    /// Counts a request; the error is how long to wait.
    fn take(&self, who: Who, now: Duration) -> Result<(), Duration> {
        let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
        if spread.len() >= KNOWN && !spread.contains_key(&who) {
            forget(&mut spread, now);
        }
        let until = spread.entry(who).or_default();
        let next = now.max(*until) + Duration::from_micros(self.rate.interval_us());
        let over = next.saturating_sub(now + self.rate.per);
        if over.is_zero() {
            *until = next;
            return Ok(());
        }
        Err(over)
    }
}

/// Makes room: for those who owe nothing, else for the half that owes least. Who is over the rate stays so.
fn forget(spread: &mut HashMap<Who, Duration>, now: Duration) {
    spread.retain(|_, until| *until > now);
    if spread.len() >= KNOWN {
        let mut all: Vec<_> = spread.values().copied().collect();
        let (_, middle, _) = all.select_nth_unstable(KNOWN / 2);
        let middle = *middle;
        spread.retain(|_, until| *until > middle);
    }
}

fn too_many(rate: Rate, wait: Duration) -> Problem {
    let Rate { count, per } = rate;
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    let detail = format!(
        "more than {count} requests in {} s; hint: come again in {seconds} s, or raise `requests` in `[limits]` of the config",
        per.as_secs()
    );
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).header_text(RETRY_AFTER, &seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(n: u32) -> Who {
        Who::Address(IpAddr::V4(n.into()))
    }

    fn at(ms: u64) -> Duration {
        Duration::from_secs(1_000) + Duration::from_millis(ms)
    }

    #[test]
    fn so_many_come_at_once_and_then_evenly() {
        let rates = Rates::new(Rate { count: 10, per: Duration::from_secs(1) });
        assert!((0..10).all(|_| rates.take(who(1), at(0)).is_ok()));
        assert_eq!(rates.take(who(1), at(0)), Err(Duration::from_millis(100)));
        assert_eq!(rates.take(who(1), at(60)), Err(Duration::from_millis(40)));
        assert_eq!((rates.take(who(1), at(100)), rates.take(who(1), at(100)).is_err()), (Ok(()), true));
        assert_eq!((rates.take(who(2), at(100)), rates.take(who(1), at(5_000))), (Ok(()), Ok(())));
    }

    #[test]
    fn few_are_remembered_and_who_is_over_stays_over() {
        let rates = Rates::new(Rate { count: 2, per: Duration::from_hours(1) });
        let over = |now| rates.take(who(0), now).is_err();
        assert!(!over(at(0)) && !over(at(0)) && over(at(0)));
        for n in 1..3 * u32::try_from(KNOWN).expect("is small") {
            assert!(rates.take(who(n), at(n.into())).is_ok());
        }
        assert!(over(at(60_000)) && rates.spread.lock().expect("no panic").len() <= KNOWN);
    }

    #[test]
    fn the_usual_rate_is_no_bound_for_fifty_thousand_at_once() {
        assert_eq!(Rate::from_text("300000/min"), Some(REQUESTS));
        let rates = Rates::new(REQUESTS);
        assert!((0..50_000).all(|_| rates.take(who(1), at(0)).is_ok()));
    }
}
