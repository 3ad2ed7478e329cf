//! The fields of a cron line as sets of numbers, and what is said of a bad one.

use super::Error;

/// A field of a line, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) line: &'a str,
    pub(super) text: &'a str,
    /// Counted in characters from 1.
    pub(super) column: usize,
}

impl<'a> Token<'a> {
    pub(super) fn whole(line: &'a str) -> Self {
        let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
        Self { line, text: line.trim(), column }
    }

    pub(super) fn split(line: &'a str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
            let end = rest[start..].find(char::is_whitespace).map_or(rest.len(), |len| start + len);
            let before = line.len() - rest.len() + start;
            found.push(Self { line, text: &rest[start..end], column: line[..before].chars().count() + 1 });
            rest = &rest[end..];
        }
        found
    }

    /// The parts of a list.
    fn parts(self) -> impl Iterator<Item = Self> {
        let mut column = self.column;
        self.text.split(',').map(move |text| {
            let part = Self { text, column, ..self };
            column += text.chars().count() + 1;
            part
        })
    }

    pub(super) fn fault(self, reason: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Cron {
            line: self.line.trim_end().to_owned(),
            reason: reason.into(),
            column: self.column,
            width: self.text.chars().count().max(1),
            hint: hint.into(),
        }
    }
}

/// Which field it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

/// Names of months, from 1.
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// Names of weekdays, from 0.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day of the month",
            Self::Month => "month",
            Self::Weekday => "day of the week",
        }
    }

    fn range(self) -> (u8, u8) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 7),
        }
    }

    fn named(self, text: &str) -> Option<u8> {
        let (names, first): (&[&str], u8) = match self {
            Self::Month => (&MONTHS, 1),
            Self::Weekday => (&WEEKDAYS, 0),
            _ => return None,
        };
        names.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|index| index as u8 + first)
    }

    fn values_hint(self) -> String {
        let (low, high) = self.range();
        match self {
            Self::Hour => format!("an hour is {low} to {high}; midnight is `0`"),
            Self::Month => "a month is 1 to 12 or `JAN` to `DEC`".to_owned(),
            Self::Weekday => "a day of the week is 0 (Sunday) to 7 (Sunday too) or `MON` to `SUN`".to_owned(),
            _ => format!("a {} is {low} to {high}", self.name()),
        }
    }

    fn value(self, part: Token<'_>, text: &str) -> Result<u8, Error> {
        if let Some(value) = self.named(text) {
            return Ok(value);
        }
        let (low, high) = self.range();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            let hint = match text {
                "H" | "h" => {
                    "there is no hash value: write a number, and spread starts with the option `jitter`".to_owned()
                }
                _ => self.values_hint(),
            };
            let what = if text.is_empty() {
                "a value is missing".to_owned()
            } else {
                format!("`{text}` is no {}", self.name())
            };
            return Err(part.fault(what, hint));
        }
        text.parse()
            .ok()
            .filter(|value| (low..=high).contains(value))
            .ok_or_else(|| part.fault(format!("{} `{text}` does not exist", self.name()), self.values_hint()))
    }

    /// The bits of a part of a list: `*`, `5`, `1-5`, each with `/step`.
    fn bits(self, part: Token<'_>) -> Result<u64, Error> {
        let (values, step) = match part.text.split_once('/') {
            Some((values, step)) => (values, Some(step)),
            None => (part.text, None),
        };
        let (low, high) = self.range();
        let (from, to) = if values == "*" || values == "?" && matches!(self, Self::Day | Self::Weekday) {
            (low, if self == Self::Weekday { 6 } else { high })
        } else if let Some((from, to)) = values.split_once('-') {
            self.span(part, from, to)?
        } else if let Some(step) = step {
            let hint = format!("write `*/{step}`, or `{values}-{high}/{step}`");
            return Err(part.fault("a step needs a range", hint));
        } else {
            let value = self.value(part, values)?;
            (value, value)
        };
        let step = step.map_or(Ok(1), |step| self.step(part, step))?;
        Ok((from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    fn span(self, part: Token<'_>, from: &str, to: &str) -> Result<(u8, u8), Error> {
        let (first, last) = (self.value(part, from)?, self.value(part, to)?);
        // A week may also end with its Sunday.
        let last = if self == Self::Weekday && last == 0 && first > 0 { 7 } else { last };
        if first <= last {
            return Ok((first, last));
        }
        let (low, high) = self.range();
        let high = if self == Self::Weekday { 6 } else { high };
        let run = |from: u8, to: u8| if from == to { from.to_string() } else { format!("{from}-{to}") };
        let hint = format!("write `{},{}`", run(first, high), run(low, last));
        Err(part.fault(format!("`{from}-{to}` goes backwards"), hint))
    }

    fn step(self, part: Token<'_>, step: &str) -> Result<usize, Error> {
        let (low, high) = self.range();
        let most = high - low;
        step.parse().ok().filter(|step| (1..=usize::from(most)).contains(step)).ok_or_else(|| {
            part.fault(format!("`{step}` is no step"), format!("a step of this field is 1 to {most}, such as `*/5`"))
        })
    }
}

/// A field without special forms: bit `n` is set when value `n` matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) bits: u64,
    /// Whether the field begins with `*`.
    pub(super) star: bool,
}

impl Field {
    pub(super) fn parse(kind: Kind, token: Token<'_>) -> Result<Self, Error> {
        let mut bits = 0;
        for part in token.parts() {
            bits |= kind.bits(part)?;
        }
        Ok(Self { bits, star: token.text.starts_with('*') })
    }

    /// The first value at or after `from` that matches.
    pub(super) fn next(&self, from: u8) -> Option<u8> {
        let rest = if from < 64 { self.bits >> from << from } else { 0 };
        (rest != 0).then(|| rest.trailing_zeros() as u8)
    }

    pub(super) fn has(&self, value: u8) -> bool {
        self.bits >> value & 1 == 1
    }
}

/// The days of the month.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    pub(super) plain: Field,
    /// `L`.
    pub(super) last: bool,
    /// `LW`.
    pub(super) last_weekday: bool,
    /// Bit `n` is set for `nW`.
    pub(super) nearest: u64,
}

impl Days {
    pub(super) fn parse(token: Token<'_>) -> Result<Self, Error> {
        let star = token.text.starts_with(['*', '?']);
        let mut days = Self { plain: Field { bits: 0, star }, last: false, last_weekday: false, nearest: 0 };
        for part in token.parts() {
            match part.text.to_ascii_uppercase().as_str() {
                "L" => days.last = true,
                "LW" => days.last_weekday = true,
                text => match text.strip_suffix('W') {
                    Some(day) => days.nearest |= 1 << Kind::Day.value(part, day)?,
                    None => days.plain.bits |= Kind::Day.bits(part)?,
                },
            }
        }
        Ok(days)
    }
}

/// The days of the week, as bits from Sunday.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weekdays {
    pub(super) plain: Field,
    /// `FRIL`.
    pub(super) last: u64,
    /// `FRI#n` at `n - 1`.
    pub(super) nth: [u64; 5],
}

impl Weekdays {
    pub(super) fn parse(token: Token<'_>) -> Result<Self, Error> {
        let star = token.text.starts_with(['*', '?']);
        let mut days = Self { plain: Field { bits: 0, star }, last: 0, nth: [0; 5] };
        for part in token.parts() {
            if let Some((day, nth)) = part.text.split_once('#') {
                days.numbered(part, day, nth)?;
            } else if let Some(day) = part.text.strip_suffix(['L', 'l']).filter(|day| !day.is_empty()) {
                days.last |= 1 << (Kind::Weekday.value(part, day)? % 7);
            } else {
                days.plain.bits |= sunday_is_zero(Kind::Weekday.bits(part)?);
            }
        }
        Ok(days)
    }

    fn numbered(&mut self, part: Token<'_>, day: &str, nth: &str) -> Result<(), Error> {
        let bit = 1 << (Kind::Weekday.value(part, day)? % 7);
        if nth.eq_ignore_ascii_case("L") {
            self.last |= bit;
            return Ok(());
        }
        match nth.parse::<usize>() {
            Ok(n @ 1..=5) => self.nth[n - 1] |= bit,
            _ => {
                return Err(
                    part.fault(format!("`#{nth}` is no week of a month"), "write `#1` to `#5`, or `L` for the last")
                );
            }
        }
        Ok(())
    }
}

fn sunday_is_zero(bits: u64) -> u64 {
    bits & 0x7f | bits >> 7 & 1
}
