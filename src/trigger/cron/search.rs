//! When a cron line is due: a search over the clock on the wall, stretch by stretch between the zone's changes.
//!
//! Local time is counted in seconds as if the zone were UTC, so that a stretch is plain arithmetic.

use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;

use super::Cron;
use crate::time::Timestamp;

const DAY: i64 = 86_400;
/// How far back a change can have repeated what is on the clock now: no zone has set its clock back by more than a day.
const LONGEST_FOLD: i64 = 2 * DAY;
/// The last year that is searched; the one after it ends beyond [`Timestamp::MAX`] in some zones.
const LAST_YEAR: i16 = 9998;
/// The calendar repeats itself after so many years, weekdays included: a line without a match in them has none.
const CYCLE_YEARS: i16 = 400;

impl Cron {
    /// The first time after `after` at which the line is due; nothing only at the end of the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut instant = after.0.div_euclid(1000);
        let mut offset = self.offset(instant)?;
        let mut due = self.next_local((instant + offset + 1).max(self.already_shown(instant)?))?;
        loop {
            let Some((change, new)) = self.next_change(instant).filter(|(change, _)| due - offset >= *change) else {
                return timestamp(due - offset);
            };
            if !self.is_fixed() {
                due = self.next_local(change + new)?;
            } else if due < change + new {
                // The clock jumps over it.
                return timestamp(change);
            }
            (instant, offset) = (change, new);
        }
    }

    /// The times in `(after, until]`, at most `max`.
    pub fn between(&self, after: Timestamp, until: Timestamp, max: usize) -> impl Iterator<Item = Timestamp> + '_ {
        let next = move |at: Timestamp| self.next_after(at).filter(|at| *at <= until);
        std::iter::successors(next(after), move |at| next(*at)).take(max)
    }

    fn offset(&self, instant: i64) -> Option<i64> {
        let instant = jiff::Timestamp::from_second(instant).ok()?;
        Some(i64::from(self.zone.to_offset(instant).seconds()))
    }

    fn next_change(&self, instant: i64) -> Option<(i64, i64)> {
        let instant = jiff::Timestamp::from_second(instant).ok()?;
        let change = self.zone.following(instant).next()?;
        Some((change.timestamp().as_second(), i64::from(change.offset().seconds())))
    }

    /// Up to where the clock had already come before `instant`, when it was set back since: a fixed time before that is past.
    fn already_shown(&self, instant: i64) -> Option<i64> {
        if !self.is_fixed() {
            return Some(i64::MIN);
        }
        // One later than `instant`, for a change at `instant` itself has happened too.
        let start = jiff::Timestamp::from_second(instant + 1).ok()?;
        let changes = self.zone.preceding(start).map(|change| change.timestamp().as_second());
        let recent = changes.take_while(|change| instant - change < LONGEST_FOLD);
        Some(recent.filter_map(|change| Some(change + self.offset(change - 1)?)).max().unwrap_or(i64::MIN))
    }

    /// The first time on the clock, at or after `from`, that matches.
    fn next_local(&self, from: i64) -> Option<i64> {
        let start = jiff::Timestamp::from_second(from).ok()?;
        let mut date = Offset::UTC.to_datetime(start).date();
        if let Some(time) = self.has_date(date).then(|| self.next_time(from.rem_euclid(DAY))).flatten() {
            return Some(from - from.rem_euclid(DAY) + time);
        }
        date = self.next_date(date.tomorrow().ok()?, LAST_YEAR)?;
        let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_second();
        self.next_time(0).map(|time| midnight + time)
    }

    /// The first time of day, at or after `from`, that matches; in seconds.
    fn next_time(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = ((from / 3600) as u8, (from / 60 % 60) as u8, (from % 60) as u8);
        let at = |h: u8, m: u8, s: u8| i64::from(h) * 3600 + i64::from(m) * 60 + i64::from(s);
        let (first_minute, first_second) = (self.minutes.next(0)?, self.seconds.next(0)?);
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.next(second)
            {
                return Some(at(hour, minute, second));
            }
            if let Some(minute) = self.minutes.next(minute + 1) {
                return Some(at(hour, minute, first_second));
            }
        }
        self.hours.next(hour + 1).map(|hour| at(hour, first_minute, first_second))
    }

    /// Whether any date can match.
    pub(super) fn is_possible(&self) -> bool {
        let start = jiff::civil::date(2000, 1, 1);
        self.next_date(start, start.year() + CYCLE_YEARS).is_some()
    }

    fn next_date(&self, from: Date, last_year: i16) -> Option<Date> {
        let mut date = from;
        while date.year() <= last_year {
            if !self.months.has(date.month() as u8) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if self.has_date(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    fn has_date(&self, date: Date) -> bool {
        if !self.months.has(date.month() as u8) {
            return false;
        }
        let (by_day, by_weekday) = (self.has_day(date), self.has_weekday(date));
        if self.days.plain.star || self.weekdays.plain.star { by_day && by_weekday } else { by_day || by_weekday }
    }

    fn has_day(&self, date: Date) -> bool {
        let (day, length) = (date.day(), date.days_in_month());
        let is_last_weekday = || nearest_weekday(date, length) == day;
        let is_nearest = || (1..=length).any(|n| self.days.nearest >> n & 1 == 1 && nearest_weekday(date, n) == day);
        self.days.plain.has(day as u8)
            || self.days.last && day == length
            || self.days.last_weekday && is_last_weekday()
            || self.days.nearest != 0 && is_nearest()
    }

    fn has_weekday(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset() as u8;
        let nth = self.weekdays.nth[(date.day() as usize - 1) / 7];
        self.weekdays.plain.has(weekday)
            || nth >> weekday & 1 == 1
            || self.weekdays.last >> weekday & 1 == 1 && date.day() + 7 > date.days_in_month()
    }
}

/// The day of the month, Monday to Friday, that is nearest to day `n` of the month of `date`.
fn nearest_weekday(date: Date, n: i8) -> i8 {
    let wanted = jiff::civil::date(date.year(), date.month(), n);
    match wanted.weekday() {
        Weekday::Saturday if n == 1 => n + 2,
        Weekday::Saturday => n - 1,
        Weekday::Sunday if n == date.days_in_month() => n - 2,
        Weekday::Sunday => n + 1,
        _ => n,
    }
}

fn timestamp(second: i64) -> Option<Timestamp> {
    let at = Timestamp(second.checked_mul(1000)?);
    (at <= Timestamp::MAX).then_some(at)
}
