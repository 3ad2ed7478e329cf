//! Up to which entry of its journal a run is evaluated again: entries as people name them.

use std::collections::BTreeSet;

use super::Error;
use crate::diag::suggest;
use crate::journal::{Entry, Kind, Phase};

/// How many names an error lists.
const LISTED: usize = 20;

/// The number of the entry that `text` names, where its outcome is recorded; `None`: it has begun and not ended, so the run
/// stands there at its end. A step is named by its name, `import#3` for its third occurrence, or its entry's number.
pub(super) fn resolve(text: &str, journal: &[Entry]) -> Result<Option<usize>, Error> {
    entry(text, journal).map(|n| outcome_of(n, journal))
}

/// The number of the first entry of the command that `text` names, or of the entry whose number it is.
pub(in crate::engine) fn entry(text: &str, journal: &[Entry]) -> Result<usize, Error> {
    if let Ok(n) = text.parse::<usize>() {
        return if n < journal.len() { Ok(n) } else { Err(Error::UnknownStep(no_entry(n, journal))) };
    }
    let places = occurrences(text, journal);
    if let Some(first) = places.first() {
        return Ok(*first);
    }
    let (name, number) = match text.rsplit_once('#').map(|(name, number)| (name, number.parse::<usize>())) {
        Some((name, Ok(number))) => (name, number),
        _ => (text, 1),
    };
    let places = occurrences(name, journal);
    match number.checked_sub(1).and_then(|index| places.get(index)) {
        Some(place) => Ok(*place),
        None if places.is_empty() => Err(Error::UnknownStep(no_name(name, journal))),
        None => Err(Error::UnknownStep(format!(
            "`{name}` occurs {} times in the journal, so there is no `{text}`; hint: they are counted from 1",
            places.len()
        ))),
    }
}

/// What can be named: all but the frame of a run and its log.
pub(in crate::engine) fn is_step(entry: &Entry) -> bool {
    !matches!(entry.kind, Kind::Start | Kind::End | Kind::Log | Kind::Cancel | Kind::Repair)
}

/// The first entry of each command with this name.
fn occurrences(name: &str, journal: &[Entry]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let named = journal.iter().enumerate().filter(|(_, entry)| is_step(entry) && *entry.name == *name);
    named.filter(|(_, entry)| seen.insert(&entry.position)).map(|(n, _)| n).collect()
}

/// Where the outcome of the command of an entry is recorded. The frame of a run and its log stand for themselves.
fn outcome_of(n: usize, journal: &[Entry]) -> Option<usize> {
    let entry = &journal[n];
    if entry.kind == Kind::End {
        return None;
    }
    if !is_step(entry) || entry.phase == Phase::Closed {
        return Some(n);
    }
    let ends = |other: &Entry| is_step(other) && other.phase == Phase::Closed && other.position == entry.position;
    journal.iter().skip(n).position(ends).map(|index| n + index)
}

fn no_entry(n: usize, journal: &[Entry]) -> String {
    match journal.len() {
        0 => "the journal is empty".to_owned(),
        length => format!("the journal has no entry {n}; hint: its entries are 0 to {}", length - 1),
    }
}

fn no_name(name: &str, journal: &[Entry]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for entry in journal.iter().filter(|entry| is_step(entry)) {
        if !names.contains(&&*entry.name) {
            names.push(&entry.name);
        }
    }
    let shown: Vec<_> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > LISTED { " and more" } else { "" };
    let known =
        if shown.is_empty() { "it has no steps yet".to_owned() } else { format!("it has {}{more}", shown.join(", ")) };
    let near = suggest::did_you_mean(name, names.iter().copied()).map(|near| format!("{near} ")).unwrap_or_default();
    format!("the journal has no step `{name}`; hint: {near}{known}")
}
