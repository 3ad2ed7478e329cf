//! A cron line in words.

use super::Cron;
use super::field::Field;

/// How many times of day are listed one by one.
const LISTED_TIMES: usize = 4;

const WEEKDAY_NAMES: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
#[rustfmt::skip]
const MONTH_NAMES: [&str; 12] = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
];

impl Cron {
    /// The line in words: `at 08:00, on Monday to Friday (Europe/Berlin)`.
    pub fn describe(&self) -> String {
        let parts = [Some(self.time()), self.day(), self.month()];
        let text: Vec<_> = parts.into_iter().flatten().collect();
        format!("{} ({})", text.join(", "), self.zone())
    }

    fn time(&self) -> String {
        let (seconds, minutes, hours) = (values(&self.seconds), values(&self.minutes), values(&self.hours));
        if self.is_fixed() && seconds.len() * minutes.len() * hours.len() <= LISTED_TIMES {
            let mut times = Vec::new();
            for hour in &hours {
                for minute in &minutes {
                    times.extend(seconds.iter().map(|second| clock(*hour, *minute, *second)));
                }
            }
            return format!("at {}", and(&times));
        }
        let mut parts = Vec::new();
        if seconds != [0] {
            parts.push(unit(&self.seconds, 60, "second"));
        }
        if seconds == [0] || minutes.len() < 60 {
            parts.push(unit(&self.minutes, 60, "minute"));
        }
        if hours.len() < 24 {
            parts.push(unit(&self.hours, 24, "hour"));
        } else if minutes.len() == 1 {
            parts.push("of every hour".to_owned());
        }
        parts.join(" ")
    }

    fn day(&self) -> Option<String> {
        let (days, weekdays) = (self.month_days(), self.week_days());
        let word = if self.days.plain.star || self.weekdays.plain.star { "and" } else { "or" };
        match (days.is_empty(), weekdays.is_empty()) {
            (true, true) => None,
            (false, true) => Some(format!("on {}", and(&days))),
            (true, false) => Some(format!("on {}", and(&weekdays))),
            (false, false) => Some(format!("on {} {word} on {}", and(&days), and(&weekdays))),
        }
    }

    fn month_days(&self) -> Vec<String> {
        let plain = values(&self.days.plain);
        if plain.len() == 31 {
            return Vec::new();
        }
        let mut parts: Vec<_> =
            ranges(&plain, |day| day.to_string()).iter().map(|days| format!("day {days}")).collect();
        let nearest = Field { bits: self.days.nearest, star: false };
        parts.extend(values(&nearest).iter().map(|day| format!("the weekday nearest to day {day}")));
        parts.extend(self.days.last.then(|| "the last day of the month".to_owned()));
        parts.extend(self.days.last_weekday.then(|| "the last weekday of the month".to_owned()));
        parts
    }

    fn week_days(&self) -> Vec<String> {
        let plain = values(&self.weekdays.plain);
        if plain.len() == 7 {
            return Vec::new();
        }
        let mut parts = ranges(&plain, |day| weekday(day).to_owned());
        for (index, bits) in self.weekdays.nth.iter().enumerate() {
            let ordinal = ["first", "second", "third", "fourth", "fifth"][index];
            let days = values(&Field { bits: *bits, star: false });
            parts.extend(days.iter().map(|day| format!("the {ordinal} {}", weekday(*day))));
        }
        let last = values(&Field { bits: self.weekdays.last, star: false });
        parts.extend(last.iter().map(|day| format!("the last {}", weekday(*day))));
        parts
    }

    fn month(&self) -> Option<String> {
        let months = values(&self.months);
        (months.len() < 12)
            .then(|| format!("in {}", and(&ranges(&months, |month| MONTH_NAMES[usize::from(month) - 1].to_owned()))))
    }
}

fn weekday(day: u8) -> &'static str {
    WEEKDAY_NAMES[usize::from(day)]
}

fn values(field: &Field) -> Vec<u8> {
    (0..64).filter(|value| field.has(*value)).collect()
}

fn clock(hour: u8, minute: u8, second: u8) -> String {
    if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") }
}

/// `every 15 minutes`, `every minute`, `at minute 5 and 10`.
fn unit(field: &Field, range: u8, name: &str) -> String {
    let found = values(field);
    if found.len() == usize::from(range) {
        return format!("every {name}");
    }
    let step = range / found.len() as u8;
    let even = found.iter().enumerate().all(|(index, value)| *value == index as u8 * step);
    if found.len() > 1 && range.is_multiple_of(found.len() as u8) && even {
        return format!("every {step} {name}s");
    }
    format!("{} {name} {}", if name == "hour" { "in" } else { "at" }, and(&ranges(&found, |value| value.to_string())))
}

/// Three and more in a row are a range.
fn ranges(values: &[u8], show: impl Fn(u8) -> String) -> Vec<String> {
    let mut parts = Vec::new();
    for run in values.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [first, _, .., last] => parts.push(format!("{} to {}", show(*first), show(*last))),
            _ => parts.extend(run.iter().map(|value| show(*value))),
        }
    }
    parts
}

fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
