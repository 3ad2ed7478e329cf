//! A service that fails again and again is left alone for a while: whoever calls it meanwhile is told at once, in place of
//! waiting for another failure. One call is let through when the while is over, and decides.
//!
//! It is no part of what a run sees but as the failure of an effect, which is recorded like any other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::effect::{Failure, Field};
use crate::time::monotonic;

/// Failures in a row after which a host is left alone. 10: three calls with their usual three attempts fail without it.
const FAILURES: u32 = 10;
/// How long it is left alone. 30 s: a service that starts anew is back in that time.
const PAUSE: Duration = Duration::from_secs(30);
/// Hosts that fail at once and are known. 10,000: some 1 MB; more are a scan, not services.
const MOST: usize = 10_000;

/// How the hosts that were called stand. Shared by all workers.
#[derive(Debug, Default)]
pub struct Breakers {
    /// Those whose last call failed.
    failing: Mutex<BTreeMap<String, Failing>>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Failing {
    failures: u32,
    /// When it is tried again, where it is left alone.
    again_at: Option<Duration>,
    /// Somebody tries it.
    is_tried: bool,
}

/// A call that was let through: it must say what came of it.
pub(super) struct Passage<'a> {
    breakers: &'a Breakers,
    host: String,
    is_trial: bool,
    came: Came,
}

impl Breakers {
    /// Lets a call to `host` (with its port) through, or says why not.
    pub(super) fn admit(&self, host: &str) -> Result<Passage<'_>, Failure> {
        self.admit_at(host, monotonic())
    }

    fn admit_at(&self, host: &str, now: Duration) -> Result<Passage<'_>, Failure> {
        let mut all = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let passage = |is_trial| Passage { breakers: self, host: host.to_owned(), is_trial, came: Came::Unknown };
        let Some(failing) = all.get_mut(host) else { return Ok(passage(false)) };
        let Some(again_at) = failing.again_at else { return Ok(passage(false)) };
        if now >= again_at && !failing.is_tried {
            failing.is_tried = true;
            return Ok(passage(true));
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(left_alone(host, failing.failures, again_at.saturating_sub(now).max(Duration::from_secs(1))))
    }

    fn ended(&self, host: &str, is_trial: bool, came: Came, now: Duration) {
        let mut all = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match came {
            Came::Well => {
                all.remove(host);
            }
            Came::Ill if all.len() < MOST || all.contains_key(host) => {
                let failing = all.entry(host.to_owned()).or_default();
                failing.failures = failing.failures.saturating_add(1);
                failing.is_tried &= !is_trial;
                if failing.failures >= FAILURES {
                    failing.again_at = Some(now + PAUSE);
                }
            }
            Came::Ill => {}
            Came::Unknown => {
                if let Some(failing) = all.get_mut(host).filter(|_| is_trial) {
                    failing.is_tried = false;
                }
            }
        }
    }

    /// Hosts that are left alone now, and calls that were refused since the start.
    pub fn figures(&self) -> (u64, u64) {
        let all = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.values().filter(|failing| failing.again_at.is_some()).count() as u64;
        (open, self.refused.load(Ordering::Relaxed))
    }
}

/// What came of a call.
#[derive(Clone, Copy)]
enum Came {
    Well,
    Ill,
    /// Given up before anybody knew.
    Unknown,
}

impl Passage<'_> {
    /// It answered.
    pub(super) fn succeeded(mut self) {
        self.came = Came::Well;
    }

    /// It could not be reached, or failed.
    pub(super) fn failed(mut self) {
        self.came = Came::Ill;
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.breakers.ended(&self.host, self.is_trial, self.came, monotonic());
    }
}

fn left_alone(host: &str, failures: u32, left: Duration) -> Failure {
    let seconds = left.as_secs().max(1);
    let message = format!(
        "`{host}` has failed {failures} times in a row, and is not called for {seconds} s; hint: check that the service is up"
    );
    let failure = Failure::new("network", message).with("circuit", Field::Text("open".to_owned()));
    Failure { retry_after: Some(left), ..failure.retryable() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breakers: &Breakers, times: u32, at: Duration) {
        for _ in 0..times {
            let passage = breakers.admit_at("a:1", at).expect("let through");
            breakers.ended("a:1", passage.is_trial, Came::Ill, at);
            drop(passage);
        }
    }

    #[test]
    fn who_fails_ten_times_is_left_alone_and_then_tried_once() {
        let (breakers, start) = (Breakers::default(), Duration::from_secs(100));
        fail(&breakers, 10, start);
        let refused = breakers.admit_at("a:1", start + Duration::from_secs(10)).err().expect("refused");
        assert_eq!(
            (refused.kind, refused.retryable, refused.retry_after),
            ("network", true, Some(Duration::from_secs(20)))
        );
        assert!(breakers.admit_at("b:1", start).is_ok(), "another host");
        let trial = breakers.admit_at("a:1", start + PAUSE).expect("tried");
        assert!(breakers.admit_at("a:1", start + PAUSE).is_err(), "one alone");
        drop(trial);
        fail(&breakers, 1, start + PAUSE);
        assert!(breakers.admit_at("a:1", start + PAUSE + Duration::from_secs(1)).is_err());
        breakers.admit_at("a:1", start + 3 * PAUSE).expect("tried").succeeded();
        assert!(breakers.admit_at("a:1", start + 3 * PAUSE).is_ok());
        assert_eq!(breakers.figures(), (0, 3));
    }

    #[test]
    fn an_answer_in_between_begins_anew() {
        let (breakers, start) = (Breakers::default(), Duration::from_secs(100));
        fail(&breakers, 9, start);
        breakers.admit_at("a:1", start).expect("let through").succeeded();
        fail(&breakers, 9, start);
        assert!(breakers.admit_at("a:1", start).is_ok());
    }
}
