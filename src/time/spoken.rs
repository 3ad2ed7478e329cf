//! Times as people say them: `3 min ago`, `in 2 h`, and a day further away than that.

use jiff::tz::TimeZone;

use super::{Moment, Timestamp};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Within this, an hour and a day of the month are enough to tell a day.
const NEAR: i64 = 300 * DAY;

/// How a time is said now, in a few words; days are those of the zone.
pub fn spoken(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let away = at.0.saturating_sub(now.0);
    let (ms, is_past) = (away.abs(), away <= 0);
    let told = match ms {
        0..1_000 => return "now".to_owned(),
        1_000..MINUTE => format!("{} s", ms / 1_000),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..DAY => format!("{} h", ms / HOUR),
        _ => return day(at, now, zone),
    };
    if is_past { format!("{told} ago") } else { format!("in {told}") }
}

fn day(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let format = if at.0.abs_diff(now.0) < NEAR.cast_unsigned() { "%b %-d %H:%M" } else { "%Y-%m-%d" };
    Moment::at(at, zone.clone()).format(format).unwrap_or_else(|_| at.to_string())
}

/// A time within a sentence, after `until` or `since`: the hour today, else the day.
pub fn dated(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (moment, today) = (Moment::at(at, zone.clone()), Moment::at(now, zone.clone()));
    if moment.start_of("day") == today.start_of("day") { clock_time(at, now, zone) } else { day(at, now, zone) }
}

/// The hour of the day in a zone, to the second; with the day where it is another one than now.
pub fn clock_time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (moment, today) = (Moment::at(at, zone.clone()), Moment::at(now, zone.clone()));
    let format = if moment.start_of("day") == today.start_of("day") { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    moment.format(format).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_times_are_counted_and_far_ones_are_days() {
        let now = Timestamp(1_795_000_000_000);
        for (ms, said) in [
            (0, "now"),
            (-59_999, "59 s ago"),
            (-3 * MINUTE, "3 min ago"),
            (2 * HOUR + 1, "in 2 h"),
            (-DAY, "Nov 17 11:06"),
            (-400 * DAY, "2025-10-14"),
        ] {
            assert_eq!(spoken(Timestamp(now.0 + ms), now, &TimeZone::UTC), said);
        }
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let (now, zone) = (Timestamp(1_795_000_000_000), TimeZone::fixed(jiff::tz::offset(9)));
        assert_eq!((clock_time(now, now, &zone), dated(now, now, &zone)), ("20:06:40".into(), "20:06:40".into()));
        assert_eq!(dated(Timestamp(now.0 - DAY), now, &zone), "Nov 17 20:06");
        assert_eq!(clock_time(Timestamp(now.0 - DAY), now, &zone), "2026-11-17 20:06:40");
    }
}
