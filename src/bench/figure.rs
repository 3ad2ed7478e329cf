//! A figure, and the bar that it is held against.

use serde::Serialize;

/// What was found, beside what it is held against.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The value.
    pub value: f64,
    /// Of what: `steps/s`, `ms`, `MB`.
    pub unit: &'static str,
    /// CPU of each step, in µs, of the process that does the work; `None` where steps are not what is counted, or the system
    /// does not tell.
    pub cpu_us: Option<f64>,
    /// Commits to the disk for each run.
    pub commits: Option<f64>,
    /// What it is held against.
    pub bars: Vec<Bar>,
}

/// A bar, and whether it was met.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Bar {
    /// The bar, with what is held against it: `≥ 50 % of hot: 43 %`.
    pub text: String,
    /// Whether it was met.
    pub met: bool,
}

impl Figure {
    /// A value that nothing is held against.
    pub(super) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, cpu_us: None, commits: None, bars: Vec::new() }
    }

    pub(super) fn cpu(self, cpu_us: Option<f64>) -> Self {
        Self { cpu_us, ..self }
    }

    /// So many commits in all, over so many runs.
    pub(super) fn commits(self, all: u64, runs: usize) -> Self {
        Self { commits: Some(all as f64 / runs.max(1) as f64), ..self }
    }

    fn bar(mut self, text: String, met: bool) -> Self {
        self.bars.push(Bar { text, met });
        self
    }

    /// The value is at most this.
    pub(super) fn at_most(self, limit: f64) -> Self {
        let (text, met) = (format!("≤ {} {}", bound(limit), self.unit), self.value <= limit);
        self.bar(text, met)
    }

    /// The CPU of a step is at most this, in µs. Nothing is said where it is not known.
    pub(super) fn cpu_at_most(self, limit: f64) -> Self {
        match self.cpu_us {
            Some(found) => self.bar(format!("≤ {} µs CPU", bound(limit)), found <= limit),
            None => self,
        }
    }

    /// The commits of a run are at most so many.
    pub(super) fn commits_at_most(self, limit: f64) -> Self {
        match self.commits {
            Some(found) => self.bar(format!("≤ {} commits", bound(limit)), found <= limit),
            None => self,
        }
    }

    /// The value is at least this share of another one, which has this name.
    pub(super) fn share_at_least(self, least: f64, other: f64, name: &str) -> Self {
        let share = self.value / other;
        self.bar(format!("≥ {:.0} % of {name}: {:.0} %", least * 100.0, share * 100.0), share >= least)
    }

    /// The value is at most so many times another one, which has this name.
    pub(super) fn times_at_most(self, most: f64, other: f64, name: &str) -> Self {
        let times = self.value / other;
        self.bar(format!("≤ {} × {name}: {times:.2} ×", bound(most)), times <= most)
    }
}

/// A count as people read it.
pub(super) fn counted(count: usize) -> String {
    grouped(&count.to_string())
}

/// A number as people read it: three digits that count.
pub fn shown(value: f64) -> String {
    let digits = match value.abs() {
        at if at >= 100.0 || value.fract() == 0.0 => 0,
        at if at >= 10.0 => 1,
        at if at >= 1.0 => 2,
        _ => 3,
    };
    grouped(&format!("{value:.digits$}"))
}

/// A bound as it was set.
fn bound(limit: f64) -> String {
    grouped(&limit.to_string())
}

/// A comma in front of each three digits of the whole part.
fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_once('.').map_or((text, String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|part| String::from_utf8_lossy(part)).collect();
    format!("{sign}{}{rest}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let all = [435_678.4, 435.67, 43.567, 4.356, 0.4356, 1000.0, 0.0, -1234.5].map(shown);
        assert_eq!(all, ["435,678", "436", "43.6", "4.36", "0.436", "1,000", "0", "-1,234"]);
    }

    #[test]
    fn a_figure_is_held_against_its_bars() {
        let figure = Figure::new("x", 40.0, "steps/s").cpu(Some(5.0)).commits(3, 2);
        let figure = figure.share_at_least(0.5, 100.0, "hot").cpu_at_most(6.0).commits_at_most(1.0).at_most(0.2);
        let bars: Vec<_> = figure.bars.iter().map(|bar| (bar.text.as_str(), bar.met)).collect();
        let share = ("≥ 50 % of hot: 40 %", false);
        assert_eq!(bars, [share, ("≤ 6 µs CPU", true), ("≤ 1 commits", false), ("≤ 0.2 steps/s", false)]);
    }

    #[test]
    fn what_is_not_known_is_held_against_nothing() {
        assert_eq!(Figure::new("x", 1.0, "ms").cpu_at_most(1.0).commits_at_most(1.0).bars, []);
    }
}
