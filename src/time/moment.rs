//! A point in time together with how it was written: in UTC, with an offset, in a zone.

use std::time::Duration;

use jiff::fmt::temporal::{Pieces, TimeZoneAnnotationKind};
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Unit, Zoned, ZonedRound};

use super::error::Error;
use super::{Timestamp, parse_time, zone};

/// A point in time in its offset or zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment(Zoned);

/// What a moment can be set back to the beginning of.
pub const UNITS: [&str; 7] = ["minute", "hour", "day", "week", "month", "quarter", "year"];

/// Whether the meaning of a written time depends on what is known of zones.
pub fn names_a_zone(text: &str) -> bool {
    text.contains('[')
}

impl Moment {
    /// Reads a time as [`parse_time`] does, and keeps its offset or zone.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let time = parse_time(text)?;
        let pieces = Pieces::parse(text.trim()).ok();
        let annotated =
            pieces.as_ref().and_then(Pieces::time_zone_annotation).map(|annotation| annotation.kind().clone());
        let tz = match annotated {
            Some(TimeZoneAnnotationKind::Named(name)) => zone(name.as_str())?,
            Some(TimeZoneAnnotationKind::Offset(offset)) => TimeZone::fixed(offset),
            _ => pieces
                .and_then(|pieces| pieces.to_numeric_offset())
                .map_or(TimeZone::UTC, |offset| if offset.is_zero() { TimeZone::UTC } else { TimeZone::fixed(offset) }),
        };
        Ok(Self::at(time, tz))
    }

    /// A time in a zone.
    pub fn at(time: Timestamp, tz: TimeZone) -> Self {
        let instant = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX);
        Self(instant.to_zoned(tz))
    }

    pub(super) fn from_zoned(zoned: Zoned) -> Self {
        Self(zoned)
    }

    pub(super) fn zoned(&self) -> &Zoned {
        &self.0
    }

    /// The point in time.
    pub fn time(&self) -> Timestamp {
        Timestamp(self.0.timestamp().as_millisecond())
    }

    /// The same point in time in a zone.
    #[must_use]
    pub fn in_zone(&self, tz: TimeZone) -> Self {
        Self(self.0.with_time_zone(tz))
    }

    /// So much later, in the same zone.
    #[must_use]
    pub fn plus(&self, duration: Duration) -> Self {
        Self::at(self.time().plus(duration), self.0.time_zone().clone())
    }

    /// So much earlier, in the same zone; not before the year 0.
    pub fn minus(&self, duration: Duration) -> Option<Self> {
        let ms = i64::try_from(duration.as_millis()).ok()?;
        let earlier = Self::at(Timestamp(self.time().0.checked_sub(ms)?), self.0.time_zone().clone());
        (earlier.0.year() >= 0).then_some(earlier)
    }

    /// The beginning of its minute, hour, day, week (Monday), month, quarter or year; `None`: no such unit.
    pub fn start_of(&self, unit: &str) -> Option<Self> {
        let rounded = |unit| self.0.round(ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Floor)).ok();
        let day = || self.0.start_of_day().ok();
        Some(Self(match unit {
            "minute" => rounded(Unit::Minute)?,
            "hour" => rounded(Unit::Hour)?,
            "day" => day()?,
            "week" => {
                let back = i64::from(self.0.weekday().to_monday_zero_offset());
                day()?.checked_sub(back.days()).ok()?.start_of_day().ok()?
            }
            "month" => self.0.first_of_month().ok()?.start_of_day().ok()?,
            "quarter" => {
                let month = (self.0.month() - 1) / 3 * 3 + 1;
                self.0.with().month(month).day(1).build().ok()?.start_of_day().ok()?
            }
            "year" => self.0.first_of_year().ok()?.start_of_day().ok()?,
            _ => return None,
        }))
    }

    /// By a `strftime` format, in English whatever the system says. The error says what is wrong with the format.
    pub fn format(&self, format: &str) -> Result<String, String> {
        jiff::fmt::strtime::format(format, &self.0).map_err(|error| error.to_string())
    }

    /// As it is written: RFC 3339 with milliseconds, with the zone behind it where it has one (RFC 9557).
    pub fn text(&self) -> String {
        let tz = self.0.time_zone();
        if *tz == TimeZone::UTC {
            return self.time().to_string();
        }
        let text = self.0.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        tz.iana_name().map_or(text.clone(), |name| format!("{text}[{name}]"))
    }
}

/// Reads a date, a date and time, or a time by a `strptime` format; what has neither offset nor zone is in `tz`.
pub fn parse_written(text: &str, format: Option<&str>, tz: &TimeZone) -> Result<Timestamp, String> {
    let rounded = |zoned: &Zoned| Timestamp(zoned.timestamp().as_millisecond());
    let in_tz = |civil: jiff::civil::DateTime| civil.to_zoned(tz.clone()).map(|zoned| rounded(&zoned));
    let Some(format) = format else {
        let civil = text.trim().parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0));
        let bare = !text.contains(['T', 't', ' ']);
        return match civil {
            Ok(midnight) if bare && (0..=9999).contains(&midnight.year()) => {
                in_tz(midnight).map_err(|error| error.to_string())
            }
            _ => parse_time(text).map_err(|error| format!("{error}; hint: {}", error.hint())),
        };
    };
    let parsed = jiff::fmt::strtime::parse(format, text).map_err(|error| error.to_string())?;
    if let Ok(zoned) = parsed.to_zoned() {
        return Ok(rounded(&zoned));
    }
    if let Ok(time) = parsed.to_timestamp() {
        return Ok(Timestamp(time.as_millisecond()));
    }
    let civil = parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0)));
    civil.and_then(in_tz).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::parse(text).unwrap()
    }

    #[test]
    fn a_moment_keeps_how_it_was_written() {
        for text in [
            "2026-12-24T08:00:00.000Z",
            "2026-12-24T08:00:00.250+05:30",
            "2026-07-24T08:00:00.000+02:00[Europe/Berlin]",
        ] {
            assert_eq!(moment(text).text(), text);
        }
        assert_eq!(moment("2026-12-24T08:00[Europe/Berlin]").text(), "2026-12-24T08:00:00.000+01:00[Europe/Berlin]");
    }

    #[test]
    fn beginnings_are_those_of_the_zone() {
        let time = moment("2026-08-27T15:42:10+02:00[Europe/Berlin]");
        for (unit, begin) in [
            ("minute", "08-27T15:42"),
            ("hour", "08-27T15:00"),
            ("day", "08-27T00:00"),
            ("week", "08-24T00:00"),
            ("month", "08-01T00:00"),
            ("quarter", "07-01T00:00"),
        ] {
            assert_eq!(
                time.start_of(unit).unwrap().text(),
                format!("2026-{begin}:00.000+02:00[Europe/Berlin]"),
                "{unit}"
            );
        }
        assert_eq!(time.start_of("year").unwrap().text(), "2026-01-01T00:00:00.000+01:00[Europe/Berlin]");
        assert!(time.start_of("decade").is_none());
    }

    #[test]
    fn dates_and_formats_are_read() {
        let berlin = zone("Europe/Berlin").unwrap();
        let read = |text, format, tz: &TimeZone| parse_written(text, format, tz).map(|time| time.to_string());
        assert_eq!(read("2030-01-01", None, &TimeZone::UTC).unwrap(), "2030-01-01T00:00:00.000Z");
        assert_eq!(read("2030-01-01", None, &berlin).unwrap(), "2029-12-31T23:00:00.000Z");
        assert_eq!(read("24.12.2026 08:30", Some("%d.%m.%Y %H:%M"), &berlin).unwrap(), "2026-12-24T07:30:00.000Z");
        assert_eq!(read("24.12.2026", Some("%d.%m.%Y"), &TimeZone::UTC).unwrap(), "2026-12-24T00:00:00.000Z");
        assert!(read("x", Some("%d"), &berlin).is_err() && read("2030-01-01T10:00", None, &berlin).is_err());
    }
}
