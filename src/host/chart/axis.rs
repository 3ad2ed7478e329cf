//! Where things stand: scales and the ticks on them.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, ToSpan as _};

/// What goes below a chart.
pub(super) enum Across {
    /// Names, one place each, in the order of the rows.
    Names(Vec<String>),
    /// Numbers, with the texts of the ticks.
    Numbers { values: Vec<f64>, ticks: Vec<(f64, String)> },
}

impl Across {
    /// Dates where all are, numbers where all are, else names.
    pub(super) fn of(places: Vec<String>, names: bool) -> Self {
        if names || places.is_empty() {
            return Self::Names(places);
        }
        if let Some(values) = all(&places, |text| text.parse::<f64>().ok().filter(|n| n.is_finite() && n.abs() < 1e100))
        {
            let (least, most) = bounds(values.iter().copied());
            let ticks = ticks(least, most).into_iter().filter(|tick| (least..=most).contains(tick));
            let ticks = ticks.map(|tick| (tick, number(tick))).collect();
            return Self::Numbers { values, ticks };
        }
        match all(&places, seconds) {
            Some(values) => {
                let (least, most) = bounds(values.iter().copied());
                Self::Numbers { ticks: dates(least, most), values }
            }
            None => Self::Names(places),
        }
    }
}

fn all(places: &[String], read: impl Fn(&str) -> Option<f64>) -> Option<Vec<f64>> {
    places.iter().map(|text| read(text.trim())).collect()
}

/// A date or time as seconds; what a zone means is not asked: the picture must not depend on it.
fn seconds(text: &str) -> Option<f64> {
    let text = text.split('[').next().unwrap_or_default();
    let instant = text.parse::<Timestamp>().ok();
    let civil = || {
        text.parse::<DateTime>()
            .ok()
            .or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())))
    };
    let instant = instant.or_else(|| civil()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))?;
    Some(instant.as_millisecond() as f64 / 1000.0)
}

/// The least and the largest; 0 and 1 where there are none.
pub(super) fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if least > most { (0.0, 1.0) } else { (least, most) }
}

/// Some five round numbers around a range.
pub(super) fn ticks(least: f64, most: f64) -> Vec<f64> {
    let span = if most > least { most - least } else { least.abs().max(1.0) };
    let rough = span / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    let step = factor * power;
    let first = (least / step).floor();
    // A range far from zero may be smaller than what its numbers can tell apart: the count is bounded.
    (0..12).map(|index| (first + f64::from(index)) * step).take_while(|tick| *tick < most + step).collect()
}

/// A number on an axis: short, without the noise of the last digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.2e}");
    }
    let places = if size >= 100.0 { 2 } else { 6 };
    let text = format!("{value:.places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// Ticks of a range of times, in UTC.
fn dates(least: f64, most: f64) -> Vec<(f64, String)> {
    let span = (most - least).max(1.0);
    if span > 120.0 * DAY {
        return months(least, most);
    }
    let steps = [
        1.0,
        5.0,
        15.0,
        30.0,
        60.0,
        300.0,
        900.0,
        1800.0,
        HOUR,
        3.0 * HOUR,
        6.0 * HOUR,
        12.0 * HOUR,
        DAY,
        2.0 * DAY,
        7.0 * DAY,
        14.0 * DAY,
        30.0 * DAY,
    ];
    let step = steps.into_iter().find(|step| span / step <= 7.0).unwrap_or(30.0 * DAY);
    let format = if step >= DAY {
        "%Y-%m-%d"
    } else if span > DAY {
        "%m-%d %H:%M"
    } else if step >= 60.0 {
        "%H:%M"
    } else {
        "%H:%M:%S"
    };
    let first = (least / step).ceil();
    let ticks = (0..12).map(|index| (first + f64::from(index)) * step).take_while(|tick| *tick <= most);
    ticks.filter_map(|tick| Some((tick, shown(tick, format)?))).collect()
}

fn shown(seconds: f64, format: &str) -> Option<String> {
    let time = Timestamp::from_second(seconds as i64).ok()?;
    Some(time.strftime(format).to_string())
}

fn months(least: f64, most: f64) -> Vec<(f64, String)> {
    let Ok(start) = Timestamp::from_second(least as i64) else { return Vec::new() };
    let start = start.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    let count = (most - least) / (30.4 * DAY);
    let step = [1, 2, 3, 6, 12, 24, 60, 120, 600, 1200, 12_000]
        .into_iter()
        .find(|step| count / f64::from(*step) <= 7.0)
        .unwrap_or(12_000);
    // On years where a step is one.
    let start = if step >= 12 { start.first_of_year() } else { start };
    let place = |index: i32| {
        let date = start.checked_add((index * step).months()).ok()?;
        let seconds = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() as f64;
        Some((seconds, if step >= 12 { date.strftime("%Y") } else { date.strftime("%b %Y") }.to_string()))
    };
    (0..16).filter_map(place).filter(|(seconds, _)| (least..=most).contains(seconds)).collect()
}
