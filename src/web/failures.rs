//! How often somebody may fail to show a token.
//!
//! A token cannot be guessed; this keeps those who try from filling the log and the processor. Who shows a right one is let in
//! whatever others at the same address do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::Timestamp;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Failures in a window, before further ones are turned away unseen: a person mistypes a few times.
const MOST: u32 = 10;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that are remembered, at most: some hundred kilobytes.
const ADDRESSES: usize = 10_000;

/// Failures by address.
#[derive(Debug, Default)]
pub(super) struct Failures {
    by_address: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Timestamp,
    failures: u32,
}

impl Failures {
    /// Whether this address has failed so often that it must wait.
    pub(super) fn is_over(&self, peer: Peer, now: Timestamp) -> bool {
        let counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&group(peer.0)).is_some_and(|count| count.failures >= MOST && now < count.since.plus(WINDOW))
    }

    /// Another failure.
    pub(super) fn count(&self, peer: Peer, now: Timestamp) {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES {
            counts.retain(|_, count| now < count.since.plus(WINDOW));
        }
        if counts.len() >= ADDRESSES {
            counts.clear();
        }
        let count = counts.entry(group(peer.0)).or_insert(Count { since: now, failures: 0 });
        if now >= count.since.plus(WINDOW) {
            *count = Count { since: now, failures: 0 };
        }
        count.failures = count.failures.saturating_add(1);
    }
}

/// One customer has a whole /64 of IPv6.
pub(super) fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut parts = v6.segments();
            parts[4..].fill(0);
            Ipv6Addr::from(parts).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(text.parse().expect("an address"))
    }

    #[test]
    fn ten_failures_a_minute_by_address() {
        let failures = Failures::default();
        let at = |second: i64| Timestamp(second * 1000);
        (0..10).for_each(|_| failures.count(peer("2001:db8::1"), at(1)));
        assert!(failures.is_over(peer("2001:db8::2"), at(60)) && !failures.is_over(peer("2001:db8:0:1::1"), at(60)));
        assert!(!failures.is_over(peer("2001:db8::1"), at(61)));
        failures.count(peer("2001:db8::1"), at(61));
        assert!(!failures.is_over(peer("2001:db8::1"), at(62)), "they are counted anew");
    }
}
