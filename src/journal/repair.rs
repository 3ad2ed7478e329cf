//! What a person did to a run, as an entry of its journal.
//!
//! Outcomes never change: a repair is appended behind them, and says which of them count no longer. [`super::History`]
//! applies it when the journal is read.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value, json};

use super::{Entry, Kind, Phase, Position};
use crate::payload::Payload;
use crate::time::Timestamp;

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repaired {
    /// Nothing new of it is begun.
    Pause,
    /// It goes on.
    Resume,
    /// It goes on from a step.
    Retry,
    /// A step is left out: its outcome is `()`.
    Skip,
    /// A step is left out: its outcome was given.
    SetResult,
    /// It is a copy of another run up to a step.
    Fork,
}

impl Repaired {
    const ALL: [Self; 6] = [Self::Pause, Self::Resume, Self::Retry, Self::Skip, Self::SetResult, Self::Fork];

    /// The name of the entry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::SetResult => "set-result",
            Self::Fork => "fork",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.name() == name)
    }
}

/// Which entries count no longer. Entries are named by their places: all that were ever written count, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// What was written from here on does not count, but for what `given` and `kept` name.
    pub from: usize,
    /// Outcomes that leave the order: their commands get them when they are asked for again.
    pub given: Vec<Range<usize>>,
    /// Beginnings that stand.
    pub kept: Vec<Range<usize>>,
    /// What does not count any more although it was written before: outcomes given, results set.
    pub dropped: Vec<Range<usize>>,
    /// How often the command at each place (without its attempts) was redone by hand: its idempotency key depends on it.
    pub redone: BTreeMap<String, u32>,
}

impl Cut {
    fn to_json(&self) -> Value {
        let ranges = |all: &[Range<usize>]| all.iter().map(|range| json!([range.start, range.end])).collect::<Value>();
        json!({
            "from": self.from, "given": ranges(&self.given), "kept": ranges(&self.kept),
            "dropped": ranges(&self.dropped), "redone": self.redone,
        })
    }

    fn from_json(stored: &Value) -> Option<Self> {
        let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let ranges = |field: &str| -> Option<Vec<Range<usize>>> {
            stored[field].as_array()?.iter().map(|range| Some(number(&range[0])?..number(&range[1])?)).collect()
        };
        let redone = stored["redone"].as_object()?.iter();
        let redone = redone.map(|(place, n)| Some((place.clone(), u32::try_from(n.as_u64()?).ok()?)));
        Some(Self {
            from: number(&stored["from"])?,
            given: ranges("given")?,
            kept: ranges("kept")?,
            dropped: ranges("dropped")?,
            redone: redone.collect::<Option<_>>()?,
        })
    }
}

/// Whether one of the ranges holds a place.
pub(super) fn is_in(ranges: &[Range<usize>], place: usize) -> bool {
    ranges.iter().any(|range| range.contains(&place))
}

impl Cut {
    /// Ranges of these places, which must rise.
    pub fn ranges(places: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
        let mut all: Vec<Range<usize>> = Vec::new();
        for place in places {
            match all.last_mut() {
                Some(last) if last.end == place => last.end += 1,
                _ => all.push(place..place + 1),
            }
        }
        all
    }
}

/// One repair.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// What was done.
    pub done: Repaired,
    /// When.
    pub at: Timestamp,
    /// Who did it, where that is known.
    pub by: Option<String>,
    /// Why, as it was said.
    pub reason: Option<String>,
    /// What counts no longer.
    pub cut: Option<Cut>,
    /// The step whose outcome was given, and the outcome.
    pub result: Option<(Position, Payload)>,
}

impl Repair {
    /// One without consequences for the journal.
    pub fn new(done: Repaired, at: Timestamp) -> Self {
        Self { done, at, by: None, reason: None, cut: None, result: None }
    }

    /// As an entry.
    pub fn to_entry(&self) -> Entry {
        let mut detail = json!({});
        for (field, said) in [("by", &self.by), ("reason", &self.reason)] {
            if let Some(said) = said {
                detail[field] = said.as_str().into();
            }
        }
        if let Some(cut) = &self.cut {
            detail["cut"] = cut.to_json();
        }
        let (position, outcome) = self.result.clone().unzip();
        let opened = Entry::opened(Kind::Repair, position.unwrap_or_default(), self.done.name().into(), self.at);
        Entry { phase: Phase::Closed, detail: Some(Payload::from_json(&detail)), outcome: outcome.map(Ok), ..opened }
    }

    /// From an entry; `None`: it is another kind of entry.
    pub fn from_entry(entry: &Entry) -> Option<Self> {
        let done = Repaired::from_name(&entry.name).filter(|_| entry.kind == Kind::Repair)?;
        let detail = entry.detail.as_ref().map(Payload::to_json).unwrap_or_default();
        let said = |field: &str| detail[field].as_str().map(str::to_owned);
        let result = entry.outcome.clone().and_then(Result::ok).map(|value| (entry.position.clone(), value));
        let cut = Cut::from_json(&detail["cut"]);
        Some(Self { done, at: entry.started_at, by: said("by"), reason: said("reason"), cut, result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_and_back() {
        let cut = Cut {
            from: 3,
            given: Cut::ranges([4, 5, 6, 9]),
            kept: Cut::ranges([7]),
            dropped: Vec::new(),
            redone: BTreeMap::from([("4.1.0".to_owned(), 2)]),
        };
        assert_eq!(cut.given, [4..7, 9..10]);
        let result = Some(("3#2.0".parse().expect("a position"), Payload::from_text("7")));
        let repair = Repair {
            by: Some("ann".into()),
            reason: Some("the service is back".into()),
            cut: Some(cut),
            result,
            ..Repair::new(Repaired::SetResult, Timestamp(5))
        };
        assert_eq!(Repair::from_entry(&repair.to_entry()), Some(repair));
    }
}
