//! What the gate found, as data: the API shows it as it is, terminals by [`Report::lines`].

use serde::{Deserialize, Serialize};

use super::Parting;
use crate::diag::Diagnostic;
use crate::id::{RunId, Version};

/// Groups that are kept, and runs, changes and reasons that each list names at most: a report is read, not searched.
const GROUPS: usize = 20;
const NAMED: usize = 10;

/// How far a trial is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Another version is tried first.
    #[default]
    Waiting,
    /// Runs are being tried; the counts are those so far.
    Running,
    /// All that is to be tried has been.
    Done,
    /// A later save took its place, or the daemon ended: the counts are of what was tried until then.
    Superseded,
}

/// What recorded runs of a workflow make of a version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How far it is.
    pub state: State,
    /// The workflow.
    pub workflow: String,
    /// The version that was tried.
    pub version: Version,
    /// Open runs.
    pub open: Open,
    /// Where open runs would diverge, the most frequent place first.
    pub divergences: Vec<Group>,
    /// Open runs of which there is no telling, by reason.
    pub no_verdict: Vec<NoVerdict>,
    /// A sample of those that have ended, the newest first.
    pub finished: Finished,
    /// Finished runs that would end otherwise.
    pub changes: Vec<Changed>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Counts of open runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Open {
    /// Those that there are, those on this very version left out.
    pub total: usize,
    /// Those that were tried. The others were too many for the time.
    pub tried: usize,
    /// Those that could go on with this version.
    pub compatible: usize,
    /// Those that could not.
    pub diverging: usize,
    /// Those of which there is no telling.
    pub unknown: usize,
}

/// Counts of finished runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Finished {
    /// Those that were tried.
    pub tried: usize,
    /// Those that would end as they did.
    pub same: usize,
    /// Those that do all that is recorded, and would end otherwise.
    pub changed: usize,
    /// Those that would do something else on their way.
    pub diverging: usize,
    /// Those of which there is no telling.
    pub unknown: usize,
}

/// Open runs that diverge at the same place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub count: usize,
    /// Some of them.
    pub runs: Vec<RunId>,
    /// Where, of the first of them.
    #[serde(flatten)]
    pub parting: Parting,
}

/// Open runs that could not be judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NoVerdict {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// Some of them.
    pub runs: Vec<RunId>,
}

/// A finished run that would end otherwise. Both as JSON text, shortened; an error as `error: message`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Which.
    pub run: RunId,
    /// How it ended.
    pub before: String,
    /// How it would end now.
    pub after: String,
}

impl Report {
    /// Nothing is tried yet.
    pub fn new(workflow: &str, version: &Version) -> Self {
        Self {
            state: State::Waiting,
            workflow: workflow.to_owned(),
            version: version.clone(),
            open: Open::default(),
            divergences: Vec::new(),
            no_verdict: Vec::new(),
            finished: Finished::default(),
            changes: Vec::new(),
            took_ms: 0,
        }
    }

    /// No open run would diverge, as far as was tried.
    pub fn is_passed(&self) -> bool {
        self.open.diverging == 0
    }

    /// There was nothing to try.
    pub fn is_empty(&self) -> bool {
        self.open.total == 0 && self.finished.tried == 0
    }

    pub(super) fn diverges(&mut self, run: RunId, parting: Parting) {
        self.open.diverging += 1;
        if let Some(group) = self.divergences.iter_mut().find(|group| group.parting.is_like(&parting)) {
            group.count += 1;
            named(&mut group.runs, run);
        } else if self.divergences.len() < GROUPS {
            self.divergences.push(Group { count: 1, runs: vec![run], parting });
        }
    }

    pub(super) fn no_verdict(&mut self, run: RunId, reason: String) {
        self.open.unknown += 1;
        if let Some(group) = self.no_verdict.iter_mut().find(|group| group.reason == reason) {
            group.count += 1;
            named(&mut group.runs, run);
        } else if self.no_verdict.len() < GROUPS {
            self.no_verdict.push(NoVerdict { reason, count: 1, runs: vec![run] });
        }
    }

    pub(super) fn changed(&mut self, changed: Changed) {
        self.finished.changed += 1;
        if self.changes.len() < NAMED {
            self.changes.push(changed);
        }
    }

    pub(super) fn conclude(&mut self, state: State) {
        self.state = state;
        self.divergences.sort_by_key(|group| std::cmp::Reverse(group.count));
    }

    /// A few lines for people: how many fit, and how the others do not. Places with their source are
    /// [`Parting::diagnostic`]'s.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let Open { total, tried, compatible, diverging, unknown } = self.open;
        if total > 0 {
            let mut line = format!("{}: {compatible} compatible", counted(total, "open run"));
            if diverging > 0 {
                line.push_str(&format!(", {diverging} would diverge"));
            }
            if unknown > 0 {
                line.push_str(&format!(", {unknown} unknown"));
            }
            if tried < total {
                line.push_str(&format!(", {} not tried", total - tried));
            }
            lines.push(line);
        }
        lines.extend(
            self.no_verdict
                .iter()
                .map(|group| format!("  no telling of {}: {}", counted(group.count, "run"), group.reason)),
        );
        let Finished { tried, same, changed, diverging, unknown } = self.finished;
        if tried > 0 {
            let mut line = format!("{}: {same} would end as before", counted(tried, "finished run"));
            for (count, what) in
                [(changed, "would end otherwise"), (diverging, "would take another course"), (unknown, "unknown")]
            {
                if count > 0 {
                    line.push_str(&format!(", {count} {what}"));
                }
            }
            lines.push(line);
        }
        let changes = self.changes.iter();
        lines.extend(changes.map(|c| format!("  {}: {} before, {} now", c.run, c.before, c.after)));
        lines
    }
}

impl Group {
    /// How many would diverge, with a caret at the line of the new version.
    pub fn diagnostic(&self) -> Diagnostic {
        let some = self.runs.first().map(|run| format!(", such as {run}")).unwrap_or_default();
        let title = format!("{} would diverge here{some}", counted(self.count, "open run"));
        let hint = "they stay on the version that they are on; `panta upgrade --dry-run RUN` tells of one";
        self.parting.diagnostic(&title).hint(hint)
    }
}

/// `1 run`, `2 runs`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn named(runs: &mut Vec<RunId>, run: RunId) {
    if runs.len() < NAMED {
        runs.push(run);
    }
}
