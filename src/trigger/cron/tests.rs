//! Lines read, refused and searched; the search is compared with a walk over every minute.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::time::{Timestamp, parse_time};

fn at(text: &str) -> Timestamp {
    parse_time(text).unwrap()
}

/// The next times on the clock of the zone, with offset.
fn next(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(line, Some(zone)).unwrap();
    cron.between(at(after), Timestamp::MAX, count)
        .map(|at| {
            let zoned = jiff::Timestamp::from_millisecond(at.0).unwrap().to_zoned(cron.zone.clone());
            zoned.strftime("%m-%dT%H:%M:%S%:z").to_string()
        })
        .collect()
}

fn refused(line: &str) -> (String, usize, String) {
    let error = Cron::parse(line, None).unwrap_err();
    (error.to_string(), error.column(), error.hint().to_owned())
}

#[test]
fn lines_of_five_six_and_no_fields_are_due() {
    let after = "2026-01-01T00:00Z";
    assert_eq!(next("0 8 * * MON-FRI", "UTC", after, 2), ["01-01T08:00:00+00:00", "01-02T08:00:00+00:00"]);
    assert_eq!(next("30 0 8 * * *", "UTC", after, 1), ["01-01T08:00:30+00:00"]);
    assert_eq!(next("@weekly", "UTC", after, 1), ["01-04T00:00:00+00:00"]);
    assert_eq!(next("@midnight", "UTC", after, 1), next("@daily", "UTC", after, 1));
    assert_eq!(next("0 0 29 2 *", "UTC", after, 1), ["02-29T00:00:00+00:00"]);
    assert_eq!(next("0 0 1 * MON", "UTC", after, 2), ["01-05T00:00:00+00:00", "01-12T00:00:00+00:00"]);
}

#[test]
fn days_can_be_the_last_the_nearest_and_the_nth() {
    let after = "2026-01-01T00:00Z";
    assert_eq!(next("0 0 L * *", "UTC", after, 2), ["01-31T00:00:00+00:00", "02-28T00:00:00+00:00"]);
    assert_eq!(next("0 0 LW * *", "UTC", after, 1), ["01-30T00:00:00+00:00"]);
    assert_eq!(next("0 0 1W 2,8 *", "UTC", after, 2), ["02-02T00:00:00+00:00", "08-03T00:00:00+00:00"]);
    assert_eq!(next("0 0 * * fri#2", "UTC", after, 1), ["01-09T00:00:00+00:00"]);
    assert_eq!(next("0 0 * * FRIL", "UTC", after, 1), ["01-30T00:00:00+00:00"]);
    assert_eq!(next("0 0 * * FRI-SUN", "UTC", after, 3).len(), 3);
    assert_eq!(next("0 0 * * 7", "UTC", after, 1), next("0 0 * * 0", "UTC", after, 1));
}

#[test]
fn a_fixed_time_that_is_skipped_runs_right_after_the_gap_and_a_repeated_one_once() {
    let spring = next("30 2 * * *", "Europe/Prague", "2026-03-28T12:00Z", 2);
    assert_eq!(spring, ["03-29T03:00:00+02:00", "03-30T02:30:00+02:00"]);
    let autumn = next("30 2 * * *", "Europe/Prague", "2026-10-24T12:00Z", 2);
    assert_eq!(autumn, ["10-25T02:30:00+02:00", "10-26T02:30:00+01:00"]);
    assert_eq!(next("30 2 * * *", "Europe/Prague", "2026-10-25T01:15Z", 1), ["10-26T02:30:00+01:00"]);
    assert_eq!(next("30 2 * * *", "Europe/Prague", "2026-03-29T00:59:59.999Z", 1), ["03-29T03:00:00+02:00"]);
    assert_eq!(next("30 2 * * *", "Europe/Prague", "2026-03-29T01:00Z", 1), ["03-30T02:30:00+02:00"]);
}

#[test]
fn an_interval_keeps_pace_when_clocks_change() {
    let spring = next("*/30 * * * *", "Europe/Prague", "2026-03-29T00:15Z", 3);
    assert_eq!(spring, ["03-29T01:30:00+01:00", "03-29T03:00:00+02:00", "03-29T03:30:00+02:00"]);
    let autumn = next("0 * * * *", "Europe/Prague", "2026-10-24T23:15Z", 3);
    assert_eq!(autumn, ["10-25T02:00:00+02:00", "10-25T02:00:00+01:00", "10-25T03:00:00+01:00"]);
}

#[test]
fn a_day_that_does_not_exist_is_a_gap_too() {
    let noon = next("0 12 * * *", "Pacific/Apia", "2011-12-29T20:00[Pacific/Apia]", 2);
    assert_eq!(noon, ["12-31T00:00:00+14:00", "12-31T12:00:00+14:00"]);
    let hourly = next("0 * * * *", "Pacific/Apia", "2011-12-29T22:30[Pacific/Apia]", 2);
    assert_eq!(hourly, ["12-29T23:00:00-10:00", "12-31T00:00:00+14:00"]);
}

#[test]
fn a_bad_field_is_named_with_its_column_and_a_way_out() {
    let cases = [
        ("60 * * * *", 1, "minute `60` does not exist", "a minute is 0 to 59"),
        ("0  24 * * *", 4, "hour `24` does not exist", "an hour is 0 to 23; midnight is `0`"),
        ("0 22-2 * * *", 3, "`22-2` goes backwards", "write `22-23,0-2`"),
        ("0 1,5,99 * * *", 7, "hour `99` does not exist", "an hour is 0 to 23; midnight is `0`"),
        ("0/15 * * * *", 1, "a step needs a range", "write `*/15`, or `0-59/15`"),
        ("H * * * *", 1, "`H` is no minute", "there is no hash value"),
        ("* * * JANUARY *", 7, "`JANUARY` is no month", "a month is 1 to 12 or `JAN` to `DEC`"),
        ("0 0 * * SAT-MON", 9, "`SAT-MON` goes backwards", "write `6,0-1`"),
        ("0 0 30 2 *", 5, "no date ever matches", "a month that it names has no such day"),
        ("@every 5m", 1, "an interval is no cron line", "use `trigger::every(\"5m\")`"),
        ("@reboot", 1, "a start of the daemon is no time", "use `trigger::startup()`"),
        ("TZ=UTC 0 0 * * *", 1, "a zone is not part of the line", "give it as an option"),
        ("0 8 * *", 1, "it has 4 fields, not five or six", "write `minute hour"),
    ];
    for (line, place, reason, way_out) in cases {
        let (message, column, hint) = refused(line);
        assert!(message.ends_with(reason) && column == place && hint.starts_with(way_out), "{message} {column} {hint}");
    }
}

#[test]
fn nonsense_is_refused_and_never_panics() {
    let lines = [
        "",
        " ",
        "@",
        "@dayly",
        "* * * * * * *",
        "*/0 * * * *",
        "*/ * * * *",
        "1,,2 * * * *",
        ", * * * *",
        "- * * * *",
        "1- * * * *",
        "-1 * * * *",
        "1-2-3 * * * *",
        "*/99 * * * *",
        "0 0 W * *",
        "0 0 32W * *",
        "0 0 * * #2",
        "0 0 * * 5#6",
        "0 0 * * 8",
        "0 0 * * L",
        "0 0 31 4,6 *",
        "? * * * *",
        "ä ö ü ß €",
        "+1 * * * *",
        "99999999999999999999 * * * *",
        "0 0 31W 2 *",
        "MON * * * *",
    ];
    for line in lines {
        refused(line);
    }
    assert!(Cron::parse("0 0 * * *", Some("Europe/Berln")).unwrap_err().hint().contains("Europe/Berlin"));
}

#[test]
fn the_calendar_ends_quietly() {
    assert_eq!(Cron::parse("0 0 1 1 *", None).unwrap().next_after(Timestamp::MAX), None);
    assert_eq!(next("0 0 29 2 1", "UTC", "9998-03-01T00:00Z", 1).len(), 0);
}

#[test]
fn a_line_is_described_in_words() {
    let cases = [
        ("0 8 * * MON-FRI", "at 08:00, on Monday to Friday (UTC)"),
        ("*/15 * * * *", "every 15 minutes (UTC)"),
        ("* * * * *", "every minute (UTC)"),
        ("* * * * * *", "every second (UTC)"),
        ("30 * * * *", "at minute 30 of every hour (UTC)"),
        ("0 8,20 1,L * *", "at 08:00 and 20:00, on day 1 and the last day of the month (UTC)"),
        ("*/20 9-17 * 1 FRI#2", "every 20 minutes in hour 9 to 17, on the second Friday, in January (UTC)"),
        ("15 10 0 13 * FRI", "at 00:10:15, on day 13 or on Friday (UTC)"),
        ("*/45 * * * *", "at minute 0 and 45 (UTC)"),
    ];
    for (line, words) in cases {
        assert_eq!(Cron::parse(line, None).unwrap().describe(), words, "{line}");
    }
}

/// Zones that change in every way: by an hour, half an hour, a day, at midnight, twice a year around Ramadan.
const ZONES: [&str; 20] = [
    "Europe/Prague",
    "Europe/London",
    "Europe/Moscow",
    "Europe/Istanbul",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Caracas",
    "America/Havana",
    "America/Santiago",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Antarctica/Troll",
];

/// A line, whether it names fixed times, and when it matches: written by hand, not read from the line.
type Case = (&'static str, bool, fn(DateTime) -> bool);

const CASES: [Case; 11] = [
    ("30 2 * * *", true, |t| (t.hour(), t.minute()) == (2, 30)),
    ("0 0 * * *", true, |t| (t.hour(), t.minute()) == (0, 0)),
    ("5,35 0-3 * * *", true, |t| t.hour() <= 3 && (t.minute() == 5 || t.minute() == 35)),
    ("59 23 * * SUN", true, |t| (t.hour(), t.minute()) == (23, 59) && t.weekday() == jiff::civil::Weekday::Sunday),
    ("15 1 * 3,10 *", true, |t| (t.hour(), t.minute()) == (1, 15) && (t.month() == 3 || t.month() == 10)),
    ("0 12 30 12 *", true, |t| (t.hour(), t.minute(), t.day(), t.month()) == (12, 0, 30, 12)),
    ("*/20 * * * *", false, |t| t.minute() % 20 == 0),
    ("0 * * * *", false, |t| t.minute() == 0),
    ("*/15 2 * * *", false, |t| t.hour() == 2 && t.minute() % 15 == 0),
    ("10 */2 * * *", false, |t| t.hour() % 2 == 0 && t.minute() == 10),
    ("* 0 * * *", false, |t| t.hour() == 0),
];

const HOUR: i64 = 3600;

/// What each case should do from two hours before a change to four after: a walk over every minute that passes.
fn walk(zone: &TimeZone, change: i64) -> Vec<Vec<i64>> {
    let clock = |instant: i64| zone.to_datetime(jiff::Timestamp::from_second(instant).unwrap());
    let mut due = vec![Vec::new(); CASES.len()];
    let mut shown = clock(change - 8 * HOUR);
    for instant in (change - 8 * HOUR + 60..=change + 4 * HOUR).step_by(60) {
        let now = clock(instant);
        let skipped = std::iter::successors(Some(shown + jiff::Span::new().minutes(1)), |t| {
            Some(*t + jiff::Span::new().minutes(1))
        });
        let passed: Vec<DateTime> = skipped.take_while(|t| *t <= now).collect();
        for ((_, fixed, matches), due) in CASES.iter().zip(&mut due) {
            let is_due = if *fixed { passed.iter().any(|t| matches(*t)) } else { matches(now) };
            if is_due && instant > change - 2 * HOUR {
                due.push(instant);
            }
        }
        shown = shown.max(now);
    }
    due
}

fn check_zone(name: &str) -> usize {
    let zone = crate::time::zone(name).unwrap();
    let (first, last) = (at("1990-01-01T00:00Z").0 / 1000, at("2040-01-01T00:00Z").0 / 1000);
    let start = jiff::Timestamp::from_second(first).unwrap();
    let changes = zone.following(start).map(|c| c.timestamp().as_second()).take_while(|c| *c < last);
    // Some zone data has an entry without effect at the end of 32-bit time, which is not a whole minute.
    let changes: Vec<i64> = changes.filter(|c| c % 60 == 0).collect();
    let lines: Vec<Cron> = CASES.iter().map(|(line, ..)| Cron::parse(line, Some(name)).unwrap()).collect();
    for change in &changes {
        let (after, until) = (Timestamp((change - 2 * HOUR) * 1000), Timestamp((change + 4 * HOUR) * 1000));
        for (cron, expected) in lines.iter().zip(walk(&zone, *change)) {
            let found: Vec<i64> = cron.between(after, until, 1000).map(|at| at.0 / 1000).collect();
            assert_eq!(found, expected, "`{}` in {name} around {after}", cron.line());
        }
    }
    changes.len()
}

#[test]
fn the_search_agrees_with_a_walk_over_every_minute_of_fifty_years_of_changes() {
    let halves: Vec<_> = ZONES
        .chunks(10)
        .map(|zones| std::thread::spawn(|| zones.iter().map(|z| check_zone(z)).sum::<usize>()))
        .collect();
    let changes: usize = halves.into_iter().map(|half| half.join().unwrap()).sum();
    assert!(changes > 1000, "{changes}");
}
