//! The steps of one run as they come, for the screen.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::output::{between, lasted, text};
use crate::cli::table::{plain, when};
use crate::journal::Position;

/// Entries that are kept: of a longer journal, the newest.
const KEPT: usize = 5_000;

/// How a step stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Open,
    Done,
    Failed,
}

/// A line of the page.
pub(super) struct Step {
    pub(super) depth: usize,
    pub(super) state: State,
    pub(super) name: String,
    pub(super) took: String,
    pub(super) about: String,
}

/// The steps of a run, in the order in which they began.
pub(super) struct Steps {
    pub(super) run: String,
    /// By the number of the entry that began it.
    lines: BTreeMap<u64, Step>,
    /// Where the newest step at a position began.
    places: BTreeMap<String, u64>,
    /// How many lines up from the end somebody looks; 0 follows the end.
    pub(super) up: usize,
}

impl Steps {
    pub(super) fn of(run: &str) -> Self {
        Self { run: run.to_owned(), lines: BTreeMap::new(), places: BTreeMap::new(), up: 0 }
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &Step> + ExactSizeIterator {
        self.lines.values()
    }

    /// Up is back in time.
    pub(super) fn go(&mut self, by: isize) {
        let most = self.lines.len().saturating_sub(1);
        self.up = match by {
            isize::MIN => most,
            isize::MAX => 0,
            by => self.up.saturating_add_signed(by.saturating_neg()).min(most),
        };
    }

    /// Takes an entry of the journal.
    pub(super) fn entry(&mut self, entry: &Value) {
        let n = entry["n"].as_u64().unwrap_or_default();
        if matches!(text(entry, "kind"), "cancel") {
            return;
        }
        let position = text(entry, "position");
        let begun = self.places.get(position).copied();
        let is_closed = !entry["ok"].is_null();
        // Its end stands where it began.
        let at = begun.filter(|at| is_closed && self.lines.get(at).is_some_and(|step| step.state == State::Open));
        let at = at.unwrap_or(n);
        if text(entry, "kind") != "log" {
            self.places.insert(position.to_owned(), at);
        }
        self.lines.insert(at, step(entry));
        if self.lines.len() > KEPT {
            self.lines.pop_first();
        }
    }
}

fn step(entry: &Value) -> Step {
    let kind = text(entry, "kind");
    let depth = text(entry, "position").parse::<Position>().map_or(0, |position| position.scope.len());
    let name = match (kind, text(entry, "name")) {
        ("log", level) => format!("log {level}"),
        (kind, "") => kind.to_owned(),
        (_, name) => name.to_owned(),
    };
    let (state, about) = match entry["ok"].as_bool() {
        Some(true) => (State::Done, plain(&entry["value"])),
        Some(false) => (State::Failed, text(&entry["error"], "message").to_owned()),
        None => (State::Open, entry["due"].as_str().map(|due| format!("until {}", when(due))).unwrap_or_default()),
    };
    let took = between(entry, "started_at", "ended_at").filter(|took| state != State::Open && took.as_millis() > 0);
    Step { depth, state, name, took: took.map(lasted).unwrap_or_default(), about }
}
