//! Cron lines: five fields (minute, hour, day of month, month, day of week), six with seconds first, or `@daily` and the like.
//!
//! Fields take `*`, values, names (`MON`, `JAN`), ranges, steps and lists; days of the month also `L` (the last), `15W` (the
//! weekday nearest to the 15th) and `LW`; days of the week `FRI#2` (the second Friday) and `FRIL` (the last). Where neither
//! day field begins with `*`, a day matches when either does. Sunday is 0 or 7.
//!
//! When clocks change: a line whose seconds, minute and hour fields name fixed times (none begins with `*`) runs right after
//! the gap when the change skips its time, and once when the change repeats it. Any other line keeps to the clock on the wall
//! as it really goes: nothing is added for a gap, and a repeated hour counts twice.

mod describe;
mod field;
mod search;

use jiff::tz::TimeZone;

use self::field::{Days, Field, Kind, Token, Weekdays};
use super::Error;
use crate::time;

/// A cron line in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    line: String,
    zone: TimeZone,
    seconds: Field,
    minutes: Field,
    hours: Field,
    days: Days,
    months: Field,
    weekdays: Weekdays,
}

/// Short forms.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Cron {
    /// Reads a line; `zone` is an IANA name, and UTC when there is none.
    ///
    /// A line that no date can ever match (`0 0 30 2 *`) is refused.
    pub fn parse(line: &str, zone: Option<&str>) -> Result<Self, Error> {
        let zone = zone.map_or(Ok(TimeZone::UTC), time::zone)?;
        let shown = line.trim();
        let long = if shown.starts_with('@') { nickname(line, shown)? } else { line };
        let tokens = fields(long)?;
        let [second, minute, hour, day, month, weekday] = tokens;
        let cron = Self {
            line: shown.to_owned(),
            zone,
            seconds: Field::parse(Kind::Second, second)?,
            minutes: Field::parse(Kind::Minute, minute)?,
            hours: Field::parse(Kind::Hour, hour)?,
            days: Days::parse(day)?,
            months: Field::parse(Kind::Month, month)?,
            weekdays: Weekdays::parse(weekday)?,
        };
        if cron.is_possible() {
            Ok(cron)
        } else {
            Err(day.fault("no date ever matches", "a month that it names has no such day; write `L` for the last day"))
        }
    }

    /// The line as it was written.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The zone's name, such as `Europe/Berlin` or `UTC`.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// Whether the line names fixed times of day, rather than an interval.
    fn is_fixed(&self) -> bool {
        !(self.seconds.star || self.minutes.star || self.hours.star)
    }
}

/// Splits a line into its six fields; seconds are `0` when there are five.
fn fields(line: &str) -> Result<[Token<'_>; 6], Error> {
    let mut found = Token::split(line);
    let whole = Token::whole(line);
    let hint = "write `minute hour day-of-month month day-of-week`, such as `0 8 * * MON-FRI`; seconds may come first";
    if found.is_empty() {
        return Err(whole.fault("it is empty", hint));
    }
    if found[0].text.contains('=') {
        return Err(
            found[0].fault("a zone is not part of the line", "give it as an option: `#{ tz: \"Europe/Berlin\" }`")
        );
    }
    if found.len() == 7 {
        return Err(found[6].fault("it has a year", "leave the seventh field out; `when` can look at the year"));
    }
    if found.len() == 5 {
        found.insert(0, Token { line, text: "0", column: 1 });
    }
    let count = found.len();
    found.try_into().map_err(|_| whole.fault(format!("it has {count} fields, not five or six"), hint))
}

fn nickname(line: &str, shown: &str) -> Result<&'static str, Error> {
    let lower = shown.to_lowercase();
    if let Some((_, long)) = NICKNAMES.iter().find(|(name, _)| *name == lower) {
        return Ok(long);
    }
    let token = Token::whole(line);
    if let Some(interval) = lower.strip_prefix("@every") {
        let interval = if interval.trim().is_empty() { "5m" } else { interval.trim() };
        return Err(token.fault("an interval is no cron line", format!("use `trigger::every(\"{interval}\")`")));
    }
    if lower == "@reboot" {
        return Err(token.fault("a start of the daemon is no time", "use `trigger::startup()`"));
    }
    let names: Vec<_> = NICKNAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
    Err(token.fault("this short form is unknown", format!("write {} or five fields", names.join(", "))))
}

#[cfg(test)]
mod tests;
