//! Connections that rest: the one that was used last is used next, and none rests for long.

use std::collections::VecDeque;
use std::time::Duration;

/// What rests, each with the time since when.
pub(super) struct Idle<T>(VecDeque<(Duration, T)>);

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Idle<T> {
    /// It rests from now on.
    pub(super) fn put(&mut self, now: Duration, one: T) {
        self.0.push_back((now, one));
    }

    /// The one that was used last.
    pub(super) fn take(&mut self) -> Option<T> {
        self.0.pop_back().map(|(_, one)| one)
    }

    /// Lets go of those that have rested for so long.
    pub(super) fn expire(&mut self, now: Duration, most: Duration) {
        self.0.retain(|(since, _)| now.saturating_sub(*since) < most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_again_and_again_stays_and_what_rests_goes() {
        let (mut idle, most) = (Idle::default(), Duration::from_secs(30));
        let at = Duration::from_secs;
        idle.put(at(0), "rests");
        idle.put(at(0), "used");
        for second in 1..60 {
            let used = idle.take();
            assert_eq!(used, Some("used"), "after {second} s");
            idle.put(at(second), used.expect("it is there"));
            idle.expire(at(second), most);
        }
        assert_eq!((idle.take(), idle.take()), (Some("used"), None));
    }
}
