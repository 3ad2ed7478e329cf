//! When `trigger::cron` and `trigger::every` are due, and what of it was missed while nobody was there.
//!
//! Owns no state: the last time is handed in, and kept by whoever starts the runs.

use std::time::Duration;

use super::Error;
use super::cron::Cron;
use crate::time::{self, Timestamp, format_duration, parse_duration};

/// How many missed times are made up for at once: a day of minutes several times over. The rest comes when asked again
/// from the last one.
pub const MISSED_MAX: usize = 10_000;

/// How many missed times are made up for in all: a month of minutes. A clock that was wrong by years must not start years.
pub const MADE_UP_MOST: usize = 50_000;

/// When a trigger is due.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// By the clock on the wall.
    Cron(Cron),
    /// After an interval of at least a millisecond since the last start.
    Every(Duration),
}

/// What is done about times that passed while the daemon was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// One start, for the latest.
    #[default]
    Last,
    /// No start.
    None,
    /// A start for each.
    All,
}

/// Times that passed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missed {
    /// What is to be started now, oldest first; at most [`MISSED_MAX`].
    pub due: Vec<Timestamp>,
    /// Whether there are more after the last of `due`.
    pub more: bool,
}

impl Schedule {
    /// Reads the interval of `trigger::every`.
    pub fn every(interval: &str) -> Result<Self, Error> {
        let shortest = Duration::from_millis(1);
        Ok(Self::Every(parse_duration(interval)?.max(shortest)))
    }

    /// When it is due next, if it was so last at `last`; nothing only at the end of the calendar.
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(last),
            Self::Every(interval) => (last < Timestamp::MAX).then(|| last.plus(*interval)),
        }
    }

    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Self::Cron(cron) => cron.describe(),
            Self::Every(interval) => format!("every {}", format_duration(*interval)),
        }
    }

    /// The beginning of the latest stretch until `now` that has at most `most` times (and not many fewer), if `(last, now]`
    /// has more; else `last`.
    pub fn latest_from(&self, last: Timestamp, now: Timestamp, most: usize) -> Timestamp {
        let has_more = |from: i64| {
            let next = |at: Timestamp| self.next_after(at).filter(|at| *at <= now);
            std::iter::successors(next(Timestamp(from)), |at| next(*at)).nth(most).is_some()
        };
        if !has_more(last.0) {
            return last;
        }
        // More after `low`, not more after `high`.
        let (mut low, mut high) = (last.0, now.0);
        while high - low > (now.0 - low) / 1000 + 1 {
            let middle = low + (high - low) / 2;
            if has_more(middle) { low = middle } else { high = middle }
        }
        Timestamp(high)
    }

    /// The latest time in `(last, now]`.
    fn latest(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => latest_of_cron(cron, last, now),
            Self::Every(interval) => {
                let ms = i64::try_from(interval.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
                let count = now.0.saturating_sub(last.0) / ms;
                (count > 0).then(|| Timestamp(last.0 + count * ms))
            }
        }
    }
}

/// The next times after `from` at which a cron line fires in a zone (an IANA name; UTC when there is none), as people
/// there read them: `Mon 2026-12-28 08:00:00 +01:00`. Fewer than `count` only at the end of the calendar.
pub fn next_fires(line: &str, tz: Option<&str>, from: Timestamp, count: usize) -> Result<Vec<String>, Error> {
    let cron = Cron::parse(line, tz)?;
    let zone = tz.map_or(Ok(jiff::tz::TimeZone::UTC), time::zone)?;
    let text = |at: &Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string())
    };
    let fires = std::iter::successors(cron.next_after(from), |at| cron.next_after(*at));
    Ok(fires.take(count).filter_map(|at| text(&at)).collect())
}

/// By halving the time in question: the clock may have jumped by years.
fn latest_of_cron(cron: &Cron, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let due_after = |ms: i64| cron.next_after(Timestamp(ms)).filter(|at| *at <= now);
    let mut found = due_after(last.0)?;
    // The latest is `found`, or later than it and not later than `high`.
    let mut high = now.0;
    while found.0 < high {
        let middle = found.0 + (high - found.0) / 2;
        match due_after(middle) {
            Some(at) => found = at,
            None => high = middle,
        }
    }
    Some(found)
}

impl CatchUp {
    /// Reads the option `catch_up`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "last" => Some(Self::Last),
            "none" => Some(Self::None),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

/// What is to be started at `now`, when the schedule was last looked at (or started something) at `last`.
///
/// A clock that was set back has missed nothing.
pub fn missed(schedule: &Schedule, last: Timestamp, now: Timestamp, catch_up: CatchUp) -> Missed {
    match catch_up {
        CatchUp::None => Missed::default(),
        CatchUp::Last => Missed { due: schedule.latest(last, now).into_iter().collect(), more: false },
        CatchUp::All => {
            let next = |at: Timestamp| schedule.next_after(at).filter(|at| *at <= now);
            let mut due: Vec<_> = std::iter::successors(next(last), |at| next(*at)).take(MISSED_MAX + 1).collect();
            let more = due.len() > MISSED_MAX;
            due.truncate(MISSED_MAX);
            Missed { due, more }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_time;

    fn at(text: &str) -> Timestamp {
        parse_time(text).unwrap()
    }

    fn cron(line: &str) -> Schedule {
        Schedule::Cron(Cron::parse(line, None).unwrap())
    }

    fn made_up(schedule: &Schedule, last: &str, now: &str, catch_up: CatchUp) -> Vec<String> {
        missed(schedule, at(last), at(now), catch_up).due.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_night_is_made_up_once_never_or_in_full() {
        let (hourly, last, now) = (cron("0 * * * *"), "2026-01-01T22:00Z", "2026-01-02T01:30Z");
        assert_eq!(made_up(&hourly, last, now, CatchUp::Last), ["2026-01-02T01:00:00.000Z"]);
        assert_eq!(made_up(&hourly, last, now, CatchUp::None), [""; 0]);
        assert_eq!(made_up(&hourly, last, now, CatchUp::All).len(), 3);
        assert_eq!(made_up(&hourly, last, "2026-01-02T01:00Z", CatchUp::All).len(), 3);
        assert_eq!(made_up(&hourly, last, "2026-01-01T22:59Z", CatchUp::Last), [""; 0]);
    }

    #[test]
    fn a_clock_that_jumps_years_ahead_costs_a_few_looks() {
        let seconds = cron("* * * * * *");
        assert_eq!(
            made_up(&seconds, "2020-01-01T00:00Z", "2099-01-01T00:00Z", CatchUp::Last),
            ["2099-01-01T00:00:00.000Z"]
        );
        let all = missed(&seconds, at("2020-01-01T00:00Z"), at("2099-01-01T00:00Z"), CatchUp::All);
        assert_eq!((all.due.len(), all.more), (MISSED_MAX, true));
        let cluster = cron("* * * * 1 *");
        assert_eq!(
            made_up(&cluster, "2020-01-01T00:00Z", "2026-03-01T00:00Z", CatchUp::Last),
            ["2026-01-31T23:59:59.000Z"]
        );
    }

    #[test]
    fn the_oldest_of_too_many_times_are_left_out() {
        let minutes = cron("* * * * *");
        let from = |last: &str, most| minutes.latest_from(at(last), at("2026-01-02T00:00Z"), most);
        assert_eq!(from("2026-01-01T00:00Z", 1440), at("2026-01-01T00:00Z"));
        let kept = missed(&minutes, from("1970-01-01T00:00Z", 1440), at("2026-01-02T00:00Z"), CatchUp::All).due;
        assert!((1400..=1440).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.last(), Some(&at("2026-01-02T00:00Z")));
    }

    #[test]
    fn a_clock_that_was_set_back_missed_nothing() {
        for catch_up in [CatchUp::Last, CatchUp::All] {
            assert_eq!(made_up(&cron("* * * * *"), "2026-01-10T00:00Z", "2026-01-01T00:00Z", catch_up), [""; 0]);
            assert_eq!(
                made_up(&Schedule::every("1m").unwrap(), "2026-01-10T00:00Z", "2026-01-01T00:00Z", catch_up),
                [""; 0]
            );
        }
    }

    #[test]
    fn the_next_times_are_told_as_the_zone_reads_them() {
        let fires = |line, tz| next_fires(line, tz, at("2026-10-24T12:00Z"), 2);
        assert_eq!(
            fires("0 8 * * *", Some("Europe/Berlin")).unwrap(),
            ["Sun 2026-10-25 08:00:00 +01:00", "Mon 2026-10-26 08:00:00 +01:00"]
        );
        assert_eq!(fires("@hourly", None).unwrap()[0], "Sat 2026-10-24 13:00:00 +00:00");
        assert!(fires("0 8 * * FOO", None).is_err() && fires("@daily", Some("Mars/Olympus")).is_err());
    }

    #[test]
    fn an_interval_counts_from_the_last_start() {
        let every = Schedule::every("90s").unwrap();
        assert_eq!(every.next_after(at("2026-01-01T00:00:10Z")), Some(at("2026-01-01T00:01:40Z")));
        assert_eq!(
            made_up(&every, "2026-01-01T00:00Z", "2026-01-01T00:04Z", CatchUp::Last),
            ["2026-01-01T00:03:00.000Z"]
        );
        assert_eq!(made_up(&every, "2026-01-01T00:00Z", "2026-01-01T00:04:30Z", CatchUp::All).len(), 3);
        assert_eq!(every.describe(), "every 1 min 30 s");
        assert_eq!(every.next_after(Timestamp::MAX), None);
        assert!(Schedule::every("5").is_err() && Schedule::every("0.01ms").is_ok());
    }
}
