//! Lengths of time as people write and read them.

use std::time::Duration;

use super::error::{Error, distance};

/// The longest duration: 1,000 years of 365.25 days. More is a slip of the pen, and would leave the range of [`super::Timestamp`].
pub const MAX_DURATION: Duration = Duration::from_secs(365_250 * DAY);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// Units from large to small with every spelling; nanoseconds each.
const UNITS: [(u64, &[&str]); 6] = [
    (WEEK * 1_000_000_000, &["w", "wk", "wks", "week", "weeks"]),
    (DAY * 1_000_000_000, &["d", "day", "days"]),
    (HOUR * 1_000_000_000, &["h", "hr", "hrs", "hour", "hours"]),
    (MINUTE * 1_000_000_000, &["m", "min", "mins", "minute", "minutes"]),
    (1_000_000_000, &["s", "sec", "secs", "second", "seconds"]),
    (1_000_000, &["ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"]),
];

/// Units without a fixed length, and what to say instead.
const CALENDAR: [(&[&str], &str, &str); 2] = [
    (&["mo", "mon", "mth", "month", "months"], "month", "30d"),
    (&["y", "yr", "yrs", "year", "years"], "year", "365d"),
];

/// Digits of one number behind the point; more do not matter.
const MAX_DIGITS: usize = 12;

/// Digits of one number before the point: the longest duration has fourteen in milliseconds.
const MAX_WHOLE: usize = 15;

/// Reads a duration: `90s`, `1h 30m`, `3d`, `2 weeks`, `500ms`, `1.5h`, or ISO 8601 (`PT5M`, `P2W`).
///
/// A day is 24 hours and a week 7 days; months and years have no fixed length and are refused. The result is more than
/// nothing and at most [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let trimmed = text.trim();
    let nanos = match trimmed.trim_start_matches(['+', '-']).chars().next() {
        None => return Err(fault(text, 1, "it is empty", "write a number and a unit: `90s`, `1h 30m`, `3d`")),
        Some('P' | 'p') => iso(text, trimmed)?,
        Some(_) => friendly(text)?,
    };
    if nanos == 0 {
        return Err(fault(text, 1, "it is zero", "a duration is positive: the shortest is `1ms`"));
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let duration = Duration::new(seconds, (nanos % 1_000_000_000) as u32);
    if duration > MAX_DURATION {
        return Err(fault(text, 1, "it is longer than 1,000 years", "write at most `365250d`"));
    }
    Ok(duration)
}

fn fault(text: &str, column: usize, reason: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Duration { text: text.to_owned(), reason: reason.into(), column, hint: hint.into() }
}

fn iso(text: &str, trimmed: &str) -> Result<u128, Error> {
    let column = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
    if trimmed.starts_with(['-', '+']) {
        return Err(fault(text, column, "it has a sign", "a duration is positive: leave the sign out"));
    }
    let span: jiff::Span = trimmed.parse().map_err(|_| {
        fault(text, column, "it is not ISO 8601", "write `PT5M`, `PT1H30M`, `P3D`, `P2W`; or `5m`, `1h 30m`")
    })?;
    if span.get_years() != 0 || span.get_months() != 0 {
        let (unit, instead) = if span.get_years() == 0 { ("month", "P30D") } else { ("year", "P365D") };
        return Err(calendar(text, column, unit, instead));
    }
    let duration = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| fault(text, column, "it is longer than 1,000 years", "write at most `P365250D`"))?;
    Ok(duration.as_nanos().unsigned_abs())
}

fn calendar(text: &str, column: usize, unit: &str, instead: &str) -> Error {
    let hint = format!("write days (`{instead}`), or give a time such as `2027-01-31T08:00[Europe/Berlin]`");
    fault(text, column, format!("a {unit} has no fixed length"), hint)
}

/// The rest of a text that is being read, with the column of what comes next.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn column(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn done(&self) -> bool {
        self.at == self.text.len()
    }
}

fn friendly(text: &str) -> Result<u128, Error> {
    let mut rest = Rest { text, at: 0 };
    let mut total = 0_u128;
    let mut previous = None;
    rest.take(char::is_whitespace);
    while !rest.done() {
        let start = rest.column();
        let number = rest.take(|c| c.is_ascii_digit() || c == '.');
        let (whole, fraction) = digits(text, start, number)?;
        rest.take(char::is_whitespace);
        let column = rest.column();
        let word = rest.take(|c| c.is_alphabetic() || c == 'µ');
        let index = unit(text, number, column, word)?;
        if previous.is_some_and(|previous| index <= previous) {
            let reason = format!("`{word}` comes after a unit that is as small or smaller");
            return Err(fault(text, column, reason, "write each unit once, from large to small: `1h 30m`"));
        }
        previous = Some(index);
        let nanos = u128::from(UNITS[index].0);
        total += whole * nanos + fraction * nanos / 10_u128.pow(MAX_DIGITS as u32);
        rest.take(char::is_whitespace);
    }
    Ok(total)
}

/// The whole part, and the fraction in units of `10^-MAX_DIGITS`.
fn digits(text: &str, column: usize, number: &str) -> Result<(u128, u128), Error> {
    if number.is_empty() {
        let found: String = text.chars().skip(column - 1).take(1).collect();
        let hint = if found == "-" || found == "+" {
            "a duration is positive: leave the sign out"
        } else {
            "write a number and a unit: `90s`, `1h 30m`, `3d`"
        };
        return Err(fault(text, column, format!("a number is missing before `{found}`"), hint));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(fault(text, column, format!("`{number}` is not a number"), "write `1.5h` or `90m`"));
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > MAX_WHOLE {
        return Err(fault(text, column, "it is longer than 1,000 years", "write at most `365250d`"));
    }
    let fraction = &fraction[..fraction.len().min(MAX_DIGITS)];
    let whole = if whole.is_empty() { 0 } else { whole.parse().expect("a few digits") };
    let fraction = format!("{fraction:0<MAX_DIGITS$}").parse().expect("a few digits");
    Ok((whole, fraction))
}

/// The index of a unit in [`UNITS`].
fn unit(text: &str, number: &str, column: usize, word: &str) -> Result<usize, Error> {
    if word.is_empty() {
        let hint = format!("write `{number}s` for seconds, or `{number}m`, `{number}h`, `{number}d`");
        return Err(fault(text, column, format!("`{number}` has no unit"), hint));
    }
    if let Some(index) = UNITS.iter().position(|(_, names)| names.contains(&word)) {
        return Ok(index);
    }
    let lower = word.to_lowercase();
    if let Some((_, unit, instead)) = CALENDAR.iter().find(|(names, ..)| names.contains(&lower.as_str())) {
        return Err(calendar(text, column, unit, instead));
    }
    // The plural comes last among the spellings, so looking from the end prefers it.
    let near = UNITS.iter().flat_map(|(_, names)| names.iter().rev()).min_by_key(|name| distance(&lower, name));
    let hint = match near.filter(|name| word.len() > 2 && distance(&lower, name) <= 2 || lower == **name) {
        Some(name) => format!("did you mean `{number}{}{name}`?", if name.len() > 2 { " " } else { "" }),
        None => "units are `ms`, `s`, `m`, `h`, `d`, `w`".to_owned(),
    };
    Err(fault(text, column, format!("unknown unit `{word}`"), hint))
}

/// A duration for people, in its two largest units: `2 d 3 h`, `5 min 10 s`, `1.2 s`, `340 ms`.
pub fn format_duration(duration: Duration) -> String {
    let (seconds, ms) = (duration.as_secs(), duration.as_millis());
    match seconds {
        0 if ms == 0 && !duration.is_zero() => "< 1 ms".to_owned(),
        0 => format!("{ms} ms"),
        1..MINUTE if ms % 1000 >= 100 => format!("{seconds}.{} s", ms % 1000 / 100),
        1..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => two(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        HOUR..DAY => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(cases: &[(&str, u64)]) {
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(*ms)), "{text}");
        }
    }

    fn refused(text: &str) -> (String, usize, String) {
        let error = parse_duration(text).unwrap_err();
        (error.to_string(), error.column(), error.hint().to_owned())
    }

    #[test]
    fn people_write_durations_in_many_ways() {
        reads(&[("90s", 90_000), ("1h 30m", 5_400_000), ("1h30m", 5_400_000), ("3d", 259_200_000)]);
        reads(&[("2 weeks", 1_209_600_000), ("500ms", 500), ("1.5h", 5_400_000), ("0.5 s", 500), (" 1 min ", 60_000)]);
        reads(&[
            ("PT5M", 300_000),
            ("P2W", 1_209_600_000),
            ("P1DT12H", 129_600_000),
            ("PT0.25S", 250),
            ("pt1h", 3_600_000),
        ]);
        reads(&[
            ("0h 5m", 300_000),
            ("365250d", 365_250 * 86_400_000),
            ("0.1d", 8_640_000),
            ("1795851111364ms", 1_795_851_111_364),
            ("1 day 2 hours", 93_600_000),
        ]);
    }

    #[test]
    fn a_bare_number_asks_for_its_unit() {
        let (message, column, hint) = refused("90");
        assert_eq!((message.as_str(), column), ("`90` is not a duration: `90` has no unit", 3));
        assert!(hint.starts_with("write `90s`"), "{hint}");
    }

    #[test]
    fn a_wrong_unit_is_named_with_its_place_and_a_suggestion() {
        assert_eq!(
            refused("1h 5 minuts"),
            ("`1h 5 minuts` is not a duration: unknown unit `minuts`".into(), 6, "did you mean `5 minutes`?".into())
        );
        assert_eq!(refused("5H").2, "did you mean `5h`?");
        assert_eq!(refused("5 x").2, "units are `ms`, `s`, `m`, `h`, `d`, `w`");
    }

    #[test]
    fn months_and_years_have_no_fixed_length() {
        for text in ["1 month", "2 years", "1y", "P1M", "P1Y2D", "3mo"] {
            assert!(refused(text).0.contains("has no fixed length"), "{text}");
        }
    }

    #[test]
    fn what_is_not_positive_or_too_long_is_refused() {
        for text in ["", "  ", "0s", "0.0h", "PT0S", "-5m", "-PT5M", "+5m", "-", "365251d", "99999999999999999d"] {
            refused(text);
        }
        assert_eq!(refused("P99999999999999D").1, 1);
    }

    #[test]
    fn what_is_no_duration_is_refused_and_never_panics() {
        for text in
            ["s", "1h 1h", "30m 1h", "1..5h", ".h", "5.h", "1h,", "1h ä", "äöü", "P", "PT", "P1", "1 h 5", "5µs"]
        {
            refused(text);
        }
    }

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        for (ms, text) in
            [(340, "340 ms"), (1_250, "1.2 s"), (2_000, "2 s"), (59_999, "59.9 s"), (310_000, "5 min 10 s")]
        {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
        assert_eq!(format_duration(Duration::from_secs(51 * HOUR)), "2 d 3 h");
        assert_eq!(format_duration(Duration::from_secs(HOUR)), "1 h");
        assert_eq!(format_duration(Duration::from_micros(5)), "< 1 ms");
        assert_eq!(format_duration(Duration::ZERO), "0 ms");
    }
}
