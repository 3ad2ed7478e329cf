//! Working time: the days and hours of a place, without its holidays.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _, Zoned};

use super::moment::Moment;
use super::{parse_duration, zone};

/// When work is done.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    /// Minutes of the day; the end is not included.
    hours: (i64, i64),
    /// From Monday.
    days: [bool; 7],
    holidays: BTreeSet<Date>,
}

/// What a calendar is made of, as it is written; `None`: not said.
#[derive(Clone, Debug, Default)]
pub struct CalendarText {
    /// An IANA name; UTC unless said.
    pub zone: Option<String>,
    /// `09:00-17:00`; the whole day unless said.
    pub hours: Option<String>,
    /// `MON-FRI`, or names of days; Monday to Friday unless said.
    pub days: Option<Vec<String>>,
    /// Dates.
    pub holidays: Vec<String>,
}

/// Days of a duration; more working days are a slip.
const MOST_DAYS: i64 = 20_000;
/// Days in a row without work; more are a calendar without any.
const LONGEST_PAUSE: usize = 1_000;

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Calendar {
    /// Reads a calendar; the error says what is wrong, and how to write it.
    pub fn read(text: &CalendarText) -> Result<Self, String> {
        let zone =
            zone(text.zone.as_deref().unwrap_or("UTC")).map_err(|error| format!("{error}; hint: {}", error.hint()))?;
        let hours = text.hours.as_deref().map_or(Ok((0, 24 * 60)), hours)?;
        let days = match &text.days {
            None => days("mon-fri")?,
            Some(names) => names.iter().try_fold([false; 7], |mut all, name| {
                days(name)?.iter().zip(&mut all).for_each(|(day, all)| *all |= *day);
                Ok::<_, String>(all)
            })?,
        };
        if !days.contains(&true) {
            return Err("`days` has no day".to_owned());
        }
        let date = |text: &String| {
            text.trim().parse().map_err(|_| format!("the holiday `{text}` is no date; hint: write `2026-12-25`"))
        };
        Ok(Self { zone, hours, days, holidays: text.holidays.iter().map(date).collect::<Result<_, _>>()? })
    }

    /// So much working time later: days and weeks count working days, hours and minutes the time of work. A moment out of
    /// work counts as the beginning of the next working day. The result is in the calendar's zone.
    pub fn add(&self, moment: &Moment, duration: &str) -> Result<Moment, String> {
        let (weeks, days, mut left) = parts(duration)?;
        let per_week = self.days.iter().filter(|day| **day).count() as i64;
        let days = weeks.saturating_mul(per_week).saturating_add(days);
        if days > MOST_DAYS {
            return Err(format!("{days} working days are more than {MOST_DAYS}"));
        }
        let out = || "the result is beyond the year 9999".to_owned();
        let mut now = self.at_work(moment.in_zone(self.zone.clone()).zoned()).ok_or_else(out)?;
        for _ in 0..days {
            let date = self.next_day(now.date()).ok_or_else(out)?;
            now = date.to_datetime(now.time()).to_zoned(self.zone.clone()).map_err(|_| out())?;
        }
        for _ in 0..=MOST_DAYS {
            let end = self.instant(now.date(), self.hours.1).ok_or_else(out)?;
            let room = Duration::try_from(end.timestamp().duration_since(now.timestamp())).unwrap_or_default();
            if left <= room {
                return Ok(Moment::from_zoned(now).plus(left));
            }
            left -= room;
            let date = self.next_day(now.date()).ok_or_else(out)?;
            now = self.instant(date, self.hours.0).ok_or_else(out)?;
        }
        Err(format!("this takes more than {MOST_DAYS} working days"))
    }

    fn is_work(&self, date: Date) -> bool {
        let weekday = date.weekday().to_monday_zero_offset();
        self.days[usize::try_from(weekday).unwrap_or(0)] && !self.holidays.contains(&date)
    }

    fn next_day(&self, date: Date) -> Option<Date> {
        let mut date = date;
        for _ in 0..LONGEST_PAUSE {
            date = date.tomorrow().ok()?;
            if self.is_work(date) {
                return Some(date);
            }
        }
        None
    }

    fn instant(&self, date: Date, minute: i64) -> Option<Zoned> {
        let midnight = date.at(0, 0, 0, 0);
        midnight.checked_add(minute.minutes()).ok()?.to_zoned(self.zone.clone()).ok()
    }

    /// The moment itself where work is done then, else the next beginning.
    fn at_work(&self, now: &Zoned) -> Option<Zoned> {
        let (begin, end) = (self.instant(now.date(), self.hours.0)?, self.instant(now.date(), self.hours.1)?);
        if self.is_work(now.date()) && *now < end {
            return Some(if *now < begin { begin } else { now.clone() });
        }
        self.instant(self.next_day(now.date())?, self.hours.0)
    }
}

/// Weeks, days, and the rest of a duration.
fn parts(text: &str) -> Result<(i64, i64, Duration), String> {
    parse_duration(text).map_err(|error| format!("{error}; hint: {}", error.hint()))?;
    let whole = || format!("`{text}` has parts of days; hint: write whole days, then hours: `2d 4h`");
    let span: Span = text.trim().parse().map_err(|_| whole())?;
    let (weeks, days) = (i64::from(span.get_weeks()), i64::from(span.get_days()));
    let rest = span.weeks(0).days(0).to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| whole())?;
    Ok((weeks, days, Duration::try_from(rest).map_err(|_| whole())?))
}

fn hours(text: &str) -> Result<(i64, i64), String> {
    let wrong = || format!("the hours `{text}` cannot be read; hint: write `09:00-17:00`");
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
        let number =
            |text: &str| text.parse::<i64>().ok().filter(|n| (0..60).contains(n) && text.len() == 2).ok_or_else(wrong);
        let minutes = number(hour)? * 60 + number(minute)?;
        if minutes > 24 * 60 { Err(wrong()) } else { Ok(minutes) }
    };
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (minute(from)?, minute(to)?);
    if from < to { Ok((from, to)) } else { Err(wrong()) }
}

/// `mon`, `Monday`, `MON-FRI`.
fn days(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        let lower = name.trim().to_lowercase();
        let fits = |known: &str| lower == known || lower.len() > 3 && full(known) == lower;
        NAMES
            .iter()
            .position(|known| fits(known))
            .ok_or_else(|| format!("`{name}` is no day; hint: write `mon`, or `mon-fri`"))
    };
    let mut found = [false; 7];
    let (from, to) = match text.split_once('-') {
        Some((from, to)) => (day(from)?, day(to)?),
        None => (day(text)?, day(text)?),
    };
    let last = if to < from { to + 7 } else { to };
    (from..=last).for_each(|index| found[index % 7] = true);
    Ok(found)
}

fn full(name: &str) -> String {
    let index = NAMES.iter().position(|known| *known == name).unwrap_or(0);
    let weekday = Weekday::from_monday_zero_offset(i8::try_from(index).unwrap_or(0)).unwrap_or(Weekday::Monday);
    format!("{weekday:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office() -> CalendarText {
        CalendarText {
            zone: Some("Europe/Berlin".into()),
            hours: Some("09:00-17:00".into()),
            days: None,
            holidays: vec!["2026-12-25".into()],
        }
    }

    fn later(from: &str, duration: &str) -> String {
        let calendar = Calendar::read(&office()).unwrap();
        let end = calendar.add(&Moment::parse(from).unwrap(), duration).unwrap().text();
        end.split('+').next().unwrap().trim_end_matches(":00.000").to_owned()
    }

    #[test]
    fn days_and_hours_of_work_are_counted() {
        // The 24th is a Thursday, the 25th a holiday.
        assert_eq!(later("2026-12-24T08:00[Europe/Berlin]", "1h"), "2026-12-24T10:00");
        assert_eq!(later("2026-12-24T16:00[Europe/Berlin]", "2h"), "2026-12-28T10:00");
        assert_eq!(later("2026-12-24T10:00[Europe/Berlin]", "1d"), "2026-12-28T10:00");
        assert_eq!(later("2026-12-24T18:00[Europe/Berlin]", "1d 30m"), "2026-12-29T09:30");
        assert_eq!(later("2026-12-26T12:00Z", "1 week"), "2027-01-04T09:00");
        assert_eq!(later("2026-12-24T09:00[Europe/Berlin]", "8h"), "2026-12-24T17:00");
        assert_eq!(later("2026-10-23T09:00[Europe/Berlin]", "9h"), "2026-10-26T10:00", "over the end of summer time");
    }

    #[test]
    fn bad_calendars_are_told() {
        let with = |change: &dyn Fn(&mut CalendarText)| {
            let mut text = office();
            change(&mut text);
            Calendar::read(&text).unwrap_err()
        };
        assert!(with(&|c| c.zone = Some("Berlin".into())).contains("did you mean `Europe/Berlin`?"));
        for hours in ["9-17", "17:00-09:00", "09:00", "09:00-25:00"] {
            assert!(with(&|c| c.hours = Some(hours.into())).contains("hint: write `09:00-17:00`"), "{hours}");
        }
        assert!(with(&|c| c.days = Some(vec!["monn".into()])).contains("`monn` is no day"));
        assert!(with(&|c| c.days = Some(Vec::new())).contains("no day"));
        assert!(with(&|c| c.holidays.push("Christmas".into())).contains("no date"));
        let calendar = Calendar::read(&office()).unwrap();
        let now = Moment::parse("2026-12-24T08:00Z").unwrap();
        assert!(calendar.add(&now, "1.5d").unwrap_err().contains("whole days"));
        assert!(calendar.add(&now, "365000d").unwrap_err().contains("more than 20000"));
    }
}
