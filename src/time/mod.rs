//! Points in time and lengths of time, and the only user of the system clock.
//!
//! Everything else takes its time from a [`Clock`], so that tests and simulations can use a virtual one.
//! What people write as a duration, a time or a zone is read here, and nowhere else.

mod calendar;
mod duration;
mod error;
mod moment;
mod parse;
mod rate;
mod spoken;
mod zones;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, CalendarText};
pub use duration::{MAX_DURATION, format_duration, parse_duration};
pub use error::Error;
pub use moment::{Moment, UNITS, names_a_zone, parse_written};
pub use parse::{parse_time, start_of_date, zone};
pub use rate::Rate;
pub use spoken::{clock_time, dated, spoken};
pub use zones::zone_changes;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The latest time that is representable: near the end of the year 9999, where it still is that year in every zone.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// This time plus `duration`, at most [`Timestamp::MAX`]. Parts of a millisecond are rounded up: nothing is early.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms).min(Self::MAX.0))
    }

    /// The time that such a text means, as [`Timestamp`] is shown.
    pub fn from_text(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }

    /// So much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to this time; zero when it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_millisecond())).map_err(serde::de::Error::custom)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time that has passed since some fixed moment; never goes back, whatever the wall clock does.
    fn elapsed(&self) -> Duration;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        let now = jiff::Timestamp::now();
        Timestamp(now.as_millisecond())
    }

    fn elapsed(&self) -> Duration {
        elapsed()
    }
}

/// Time since the process first asked, by the monotonic clock: for measuring, never for what a script sees.
pub fn elapsed() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// The system's monotonic clock, whose zero is the same for all processes: for telling others when something was.
pub fn monotonic() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(target_os = "linux"))]
    {
        elapsed()
    }
}

/// What the calling thread has used of a core since it began, where the system tells; elsewhere what has passed.
pub fn thread_busy() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(target_os = "linux"))]
    {
        elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_is_shown_as_a_time() {
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp(5).plus(Duration::from_micros(1_001)), Timestamp(7));
    }
}
