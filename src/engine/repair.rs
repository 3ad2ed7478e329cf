//! What a repair cuts from a journal: a pure plan, made from the run as it stands.
//!
//! Everything from the first entry of what is redone leaves the order. What had come out before the step that is redone
//! failed, and is not redone itself, is *given* again: its command gets that outcome when it is asked for anew. So a prefix
//! of the journal stays, which always replays, and nothing that was done before is done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::retrace::until;
use crate::id::RunId;
use crate::journal::{Cut, Entry, History, Kind, Phase, Position, Repair};
use crate::payload::Payload;
use crate::store::Run;
use crate::time::Timestamp;

/// Where a run is taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Before this command, which is done anew.
    Command(Position),
    /// Before this entry, by its number: nothing that was recorded before it is redone.
    Entry(usize),
}

/// What is known of a run beside its journal.
#[derive(Default)]
pub(super) struct Known {
    /// Compensations that ran, and the commands that they undid.
    pub(super) undone: Vec<(Position, Position)>,
    /// Beginnings that do not count any more although nothing ended them: closed tasks, children that ended badly.
    pub(super) lost: BTreeSet<Position>,
    /// The child that failed here goes on, or has completed meanwhile: its beginning stands.
    pub(super) child_stands: bool,
}

/// A plan.
pub(super) struct Plan {
    pub(super) cut: Cut,
    /// The journal as it counts then, without the entry of the repair itself.
    pub(super) kept: Vec<Entry>,
    /// Steps that are done again because they were undone, by position.
    pub(super) undone: Vec<Position>,
}

/// Whether a position is that of a command, or inside of it.
pub(super) fn is_within(position: &Position, command: &Position) -> bool {
    let depth = command.scope.len();
    if position.scope.len() == depth {
        return position == command;
    }
    position.scope.len() > depth
        && position.scope[..depth] == command.scope[..]
        && position.scope[depth].ordinal == command.ordinal
}

/// Locks are never given: they have to be taken.
fn is_lock(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Wait | Kind::State)
        && (entry.name.starts_with("lock:") || entry.name.starts_with("unlock:"))
}

/// What leaves the order without a trace: it belongs to the frame of the run.
fn is_frame(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Start | Kind::End | Kind::Cancel | Kind::Log)
}

/// Makes the plan.
pub(super) fn plan(history: &History, from: &From, known: &Known) -> Plan {
    let entries = &history.entries;
    let until = match from {
        From::Entry(n) => *n,
        From::Command(position) => closing(entries, position).unwrap_or_else(|| over(entries)),
    };
    // What was undone after that point has to be done again.
    let was_undone = |rollback: &Position| {
        entries.iter().enumerate().any(|(n, entry)| n >= until && is_within(&entry.position, rollback))
    };
    let undone: BTreeSet<_> =
        known.undone.iter().filter(|(rollback, _)| was_undone(rollback)).map(|(_, step)| step.clone()).collect();
    let mut redo = undone.clone();
    if let From::Command(position) = from {
        redo.insert(position.clone());
    }
    let is_redone = |entry: &Entry| redo.iter().any(|command| is_within(&entry.position, command));
    let counts = |entry: &Entry| entry.kind != Kind::Repair && !is_frame(entry);
    let first =
        entries.iter().position(|e| counts(e) && e.phase != Phase::Given && is_redone(e)).unwrap_or(until).min(until);
    let mut making = Making { first, until, from, known, places: [Vec::new(), Vec::new(), Vec::new()] };
    let mut cut = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        if entry.kind == Kind::Repair {
            if entry.outcome.is_some() && is_redone(entry) {
                making.places[DROPPED].push(history.places[n]);
            }
        } else if making.leaves(entries, n, is_redone(entry) && counts(entry), history.places[n]) {
            cut.push(entry);
        }
    }
    let [given, kept, dropped] = making.places.map(Cut::ranges);
    let from = history.places.get(first).copied().unwrap_or(history.written);
    let cut = Cut { from, given, kept, dropped, redone: redone(entries, &cut) };
    Plan { kept: after(history, &cut), cut, undone: undone.into_iter().collect() }
}

const GIVEN: usize = 0;
const KEPT: usize = 1;
const DROPPED: usize = 2;

struct Making<'a> {
    first: usize,
    until: usize,
    from: &'a From,
    known: &'a Known,
    /// Given, kept, dropped.
    places: [Vec<usize>; 3],
}

impl Making<'_> {
    /// Notes what becomes of an entry. True: it counts no longer, and is not given.
    fn leaves(&mut self, entries: &[Entry], n: usize, is_redone: bool, place: usize) -> bool {
        let entry = &entries[n];
        let is_behind = n >= self.first;
        let stands = self.known.child_stands && entry.kind == Kind::Child && entry.phase == Phase::Opened;
        if is_redone && stands && matches!(self.from, From::Command(position) if *position == entry.position) {
            self.keep(is_behind, place);
            return false;
        }
        let is_lost = entry.phase == Phase::Opened && self.known.lost.contains(&entry.position);
        if is_redone || is_lost {
            // In front of the cut only what was given, or is lost, can still be redone.
            if !is_behind {
                self.places[DROPPED].push(place);
            }
            return true;
        }
        if !is_behind {
            return false;
        }
        let is_before = n < self.until && !is_lock(entry) && !is_frame(entry);
        match entry.phase {
            Phase::Closed | Phase::Given if is_before => self.places[GIVEN].push(place),
            Phase::Opened if is_before && closing(&entries[..self.until], &entry.position).is_none() => {
                self.keep(true, place);
            }
            _ => return true,
        }
        false
    }

    fn keep(&mut self, is_behind: bool, place: usize) {
        if is_behind {
            self.places[KEPT].push(place);
        }
    }
}

/// Where the outcome of a command is.
pub(super) fn closing(entries: &[Entry], position: &Position) -> Option<usize> {
    let closes = |entry: &Entry| entry.phase == Phase::Closed && until::is_step(entry) && entry.position == *position;
    entries.iter().position(closes)
}

/// How often each place was redone, with this cut.
fn redone(entries: &[Entry], cut: &[&Entry]) -> BTreeMap<String, u32> {
    let before = entries.iter().rev().filter_map(Repair::from_entry).find_map(|repair| repair.cut);
    let mut counts = before.map(|cut| cut.redone).unwrap_or_default();
    let again = cut.iter().filter(|entry| matches!(entry.kind, Kind::Effect | Kind::Task));
    for position in again.map(|entry| &entry.position).collect::<BTreeSet<_>>() {
        *counts.entry(position.without_attempts()).or_insert(0) += 1;
    }
    counts
}

/// The journal with a cut.
fn after(history: &History, cut: &Cut) -> Vec<Entry> {
    let mut history = history.clone();
    history.cut(cut);
    history.entries
}

/// What made the run fail, or where its unwinding begins. One that is held stands where it stands.
pub(super) fn failure(entries: &[Entry]) -> From {
    let Some(end) = entries.iter().position(|entry| entry.kind == Kind::End) else { return From::Entry(entries.len()) };
    if let Some(cancelled) = entries.iter().position(|entry| entry.kind == Kind::Cancel) {
        return From::Entry(cancelled);
    }
    let unwinding = unwinding(&entries[..end]);
    let failed = match &entries[end].outcome {
        Some(Err(error)) => failed(&entries[..unwinding], error),
        _ => None,
    };
    failed.map_or(From::Entry(unwinding), From::Command)
}

/// Where nothing but the end of the run was to come.
fn over(entries: &[Entry]) -> usize {
    let Some(end) = entries.iter().position(|entry| entry.kind == Kind::End) else { return entries.len() };
    let cancelled = entries.iter().position(|entry| entry.kind == Kind::Cancel);
    cancelled.unwrap_or_else(|| unwinding(&entries[..end]))
}

/// From where on there are only compensations and clean-ups, and what belongs to them.
fn unwinding(entries: &[Entry]) -> usize {
    let unwinds: Vec<_> = entries.iter().filter(|entry| matches!(entry.kind, Kind::Rollback | Kind::Exit)).collect();
    let belongs = |entry: &Entry| {
        entry.kind == Kind::Log
            || entry.kind == Kind::Repair
            || entry.name.starts_with("unlock:")
            || unwinds.iter().any(|one| is_within(&entry.position, &one.position))
    };
    let last = entries.iter().rposition(|entry| !belongs(entry)).map_or(0, |n| n + 1);
    // Lines and repairs in front of the unwinding stay.
    (last..entries.len()).find(|n| !matches!(entries[*n].kind, Kind::Log | Kind::Repair)).unwrap_or(entries.len())
}

/// The command whose error ended the run: the innermost step, where it was one.
fn failed(entries: &[Entry], error: &Payload) -> Option<Position> {
    let error = error.to_json();
    let is_it = |entry: &&Entry| {
        let Some(Err(own)) = &entry.outcome else { return false };
        let own = own.to_json();
        let is_same = own["kind"] == error["kind"] && own["message"] == error["message"];
        let is_step = entry.kind == Kind::Step && error["step"].as_str() == Some(&*entry.name);
        entry.phase == Phase::Closed && (is_same || is_step)
    };
    let last = entries.iter().rev().filter(|entry| !matches!(entry.kind, Kind::Rollback | Kind::Exit)).find(is_it)?;
    if last.kind != Kind::Step {
        return Some(last.position.clone());
    }
    let inside = entries.iter().filter(|entry| entry.kind == Kind::Step && is_within(&entry.position, &last.position));
    let deepest = inside.filter(is_it).max_by_key(|entry| (entry.position.scope.len(), entry.position.clone()));
    deepest.map(|entry| entry.position.clone())
}

/// The command that a text names, among those that are recorded and the steps that have begun.
pub(super) fn named(
    text: &str,
    entries: &[Entry],
    open: &[(Position, Arc<str>)],
) -> Result<(Position, Arc<str>), super::retrace::Error> {
    let mut all = entries.to_vec();
    let begun = |(position, name): &(Position, Arc<str>)| {
        Entry::opened(Kind::Step, position.clone(), Arc::clone(name), Timestamp::default())
    };
    all.extend(open.iter().map(begun));
    let entry = &all[until::entry(text, &all)?];
    if !until::is_step(entry) || is_lock(entry) {
        let what = format!(
            "entry {text} is no step of the run, but its `{}`; hint: `panta show` lists them",
            entry.kind.name()
        );
        return Err(super::retrace::Error::UnknownStep(what));
    }
    Ok((entry.position.clone(), Arc::clone(&entry.name)))
}

/// Names and limits of locks that are held: their tickets are where they were taken.
pub(super) fn held(entries: &[Entry], locks: &[(Arc<str>, Arc<str>)]) -> Vec<(Arc<str>, Arc<str>, u32)> {
    let mut found = Vec::new();
    for (name, ticket) in locks {
        let taken = entries.iter().find(|entry| {
            entry.phase == Phase::Closed
                && entry.kind == Kind::Wait
                && entry.name == *name
                && entry.position.to_string() == **ticket
                && matches!(entry.outcome, Some(Ok(_)))
        });
        let limit = taken.and_then(|entry| entry.detail.as_ref()?.to_json()["limit"].as_u64());
        if let Some(limit) = limit {
            found.push((Arc::clone(name), Arc::clone(ticket), u32::try_from(limit).unwrap_or(u32::MAX)));
        }
    }
    found
}

/// The run of which a run is a copy, and how many outcomes it got from there.
pub(super) fn forked(run: &Run) -> Option<(RunId, usize)> {
    if !run.trigger.text().contains("\"forked\"") {
        return None;
    }
    let trigger = run.trigger.to_json();
    let forked = &trigger["forked"];
    Some((forked["run"].as_str()?.parse().ok()?, usize::try_from(forked["inherited"].as_u64()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::encode_segment;

    /// `position kind phase name outcome`: kinds by their first letters, `o` opened, `c` closed, `!` an error.
    fn history(lines: &[&str]) -> History {
        let entries: Vec<_> = lines.iter().map(|line| entry(line)).collect();
        History::read([encode_segment(0, &entries)]).expect("reads")
    }

    fn entry(line: &str) -> Entry {
        let mut parts = line.split(' ');
        let position = parts.next().and_then(|text| text.parse().ok()).expect("a position");
        let kind = match parts.next().expect("a kind") {
            "step" => Kind::Step,
            "rollback" => Kind::Rollback,
            "timer" => Kind::Timer,
            "task" => Kind::Task,
            "end" => Kind::End,
            "cancel" => Kind::Cancel,
            _ => Kind::Effect,
        };
        let phase = parts.next().expect("a phase");
        let name = parts.next().expect("a name");
        let outcome = match phase {
            "o" => None,
            "c" => Some(Ok(Payload::unit())),
            _ => Some(Err(Payload::from_text(r#"{"kind":"http","message":"no"}"#))),
        };
        let opened = Entry::opened(kind, position, name.into(), Timestamp(1));
        Entry { phase: if phase == "o" { Phase::Opened } else { Phase::Closed }, outcome, ..opened }
    }

    fn numbers(ranges: &[std::ops::Range<usize>]) -> Vec<usize> {
        ranges.iter().cloned().flatten().collect()
    }

    /// What is cut, given and kept, by place.
    fn cut(lines: &[&str], known: &Known) -> (usize, Vec<usize>, Vec<usize>) {
        let history = history(lines);
        let plan = plan(&history, &failure(&history.entries), known);
        (plan.cut.from, numbers(&plan.cut.given), numbers(&plan.cut.kept))
    }

    #[test]
    fn a_failed_step_is_cut_with_all_in_it_and_what_came_before_stays() {
        let lines = ["0 step c a", "1#1.0 effect o pay", "1#1.0 effect ! pay", "1 step ! b", "0 end ! failed"];
        assert_eq!(cut(&lines, &Known::default()), (1, vec![], vec![]));
    }

    #[test]
    fn what_another_branch_had_is_given_again_and_what_it_had_begun_is_kept() {
        let lines = [
            "0.0.0 effect o pay",
            "0.1.0 effect c ask",
            "0.1.1 timer o sleep",
            "0.0.0 effect ! pay",
            "0.1.2 effect c late",
            "0 end ! failed",
        ];
        assert_eq!(cut(&lines, &Known::default()), (0, vec![1], vec![2]));
    }

    #[test]
    fn a_step_that_was_undone_is_cut_and_others_between_are_given() {
        let lines = ["0 step c a", "1 step c b", "2 effect ! pay", "3 rollback c a", "0 end ! failed"];
        let position = |text: &str| text.parse::<Position>().expect("a position");
        let known = Known { undone: vec![(position("3"), position("0"))], ..Known::default() };
        assert_eq!(cut(&lines, &known), (0, vec![1], vec![]));
    }

    #[test]
    fn of_a_run_that_failed_by_itself_only_the_unwinding_is_cut() {
        let lines = ["0 effect c ask", "1 rollback c a", "0 end ! failed"];
        assert_eq!(cut(&lines, &Known::default()), (1, vec![], vec![]));
        let lines = ["0 effect c ask", "1 timer o sleep", "0 cancel c cancel", "2 rollback c a", "0 end ! cancelled"];
        assert_eq!(cut(&lines, &Known::default()), (2, vec![], vec![]));
    }

    #[test]
    fn the_innermost_step_is_what_failed_and_what_is_redone_is_counted() {
        let lines = ["0#1.0#1.0 effect ! pay", "0#1.0 step ! inner", "0 step ! outer", "0 end ! failed"];
        let history = history(&lines);
        let inner = "0#1.0".parse().expect("a position");
        assert_eq!(failure(&history.entries), From::Command(inner));
        let plan = plan(&history, &failure(&history.entries), &Known::default());
        assert_eq!(plan.cut.redone, BTreeMap::from([("0.0.0".to_owned(), 1)]));
        assert!(plan.kept.is_empty());
    }
}
