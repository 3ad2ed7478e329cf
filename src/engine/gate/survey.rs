//! The recorded runs of a workflow, tried on a version one after another, within bounds.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Changed, Report, State};
use super::{Candidate, Parting, Verdict, recorder};
use crate::engine::semantics::Semantics;
use crate::engine::surroundings::Settings;
use crate::id::Version;
use crate::journal::{Entry, History, Outcome};
use crate::payload::Payload;
use crate::replay::Divergence;
use crate::script::bundle::Bundle;
use crate::script::rewrite;
use crate::store::{Run, RunFilter, Status, Store};
use crate::time::elapsed;

/// Rows read at once.
const PAGE: usize = 256;
/// Characters of an output that are shown.
const SHOWN: usize = 300;
/// Bytes of a journal that is tried: what is larger would hold up all others.
const JOURNAL: usize = 64 << 20;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Open runs, the newest first.
    pub open: usize,
    /// Finished runs, the newest first.
    pub finished: usize,
    /// For all of it. What is not tried by then is counted as such.
    pub time: Duration,
    /// For one run: a version that computes without end must not use up the time of all.
    pub patience: Duration,
}

impl Default for Scope {
    /// 10,000 open runs and 100 finished ones, within a minute, two seconds for each.
    fn default() -> Self {
        Self { open: 10_000, finished: 100, time: Duration::from_mins(1), patience: Duration::from_secs(2) }
    }
}

/// Tries the runs of the bundle's workflow on it. `go_on` is asked after each run, with the counts so far; `false` ends it.
/// No fiber may be running on this thread.
pub fn survey(
    store: &dyn Store,
    bundle: &Bundle,
    settings: &Arc<dyn Settings>,
    semantics: &Semantics,
    scope: Scope,
    go_on: &mut dyn FnMut(&Report) -> bool,
) -> Report {
    let compile = || Candidate::compile(Rc::new(semantics.engine()), bundle, settings, rewrite::rewrite);
    survey_on(store, bundle, semantics, &compile, scope, go_on)
}

/// The same on a version that must not be evaluated: there is no telling of any run, for this reason.
pub(in crate::engine) fn untried(
    store: &dyn Store,
    bundle: &Bundle,
    problem: &str,
    scope: Scope,
    go_on: &mut dyn FnMut(&Report) -> bool,
) -> Report {
    // Nothing is evaluated, whatever that would mean.
    survey_on(store, bundle, &Semantics::current(), &|| Err(problem.to_owned()), scope, go_on)
}

fn survey_on(
    store: &dyn Store,
    bundle: &Bundle,
    semantics: &Semantics,
    compile: &dyn Fn() -> Result<Candidate, String>,
    scope: Scope,
    go_on: &mut dyn FnMut(&Report) -> bool,
) -> Report {
    let mut report = Report::new(&bundle.workflow, &bundle.version);
    report.state = State::Running;
    let began = elapsed();
    let (compiled, known) = (compile(), HashMap::new());
    let mut trial = Trial { store, bundle, semantics, compiled, scope, known, report, began, go_on };
    let state = match trial.open().and_then(|()| trial.finished()) {
        Err(Stop::Told) => State::Superseded,
        Ok(()) | Err(Stop::Time) => State::Done,
    };
    let mut report = trial.report;
    report.took_ms = elapsed().saturating_sub(began).as_millis() as u64;
    report.conclude(state);
    report
}

/// Why it ends early.
enum Stop {
    Told,
    Time,
}

struct Trial<'a> {
    store: &'a dyn Store,
    bundle: &'a Bundle,
    semantics: &'a Semantics,
    compiled: Result<Candidate, String>,
    scope: Scope,
    /// Sources of the versions that runs are on.
    known: HashMap<Version, Option<Bundle>>,
    report: Report,
    began: Duration,
    go_on: &'a mut dyn FnMut(&Report) -> bool,
}

impl Trial<'_> {
    fn open(&mut self) -> Result<(), Stop> {
        let open = |status: &Status| !status.is_final();
        let counts = self.store.counts().unwrap_or_default();
        let of_this = counts.iter().filter(|(name, status, _)| **name == *self.bundle.workflow && open(status));
        self.report.open.total = of_this.map(|(_, _, count)| *count as usize).sum();
        let statuses: Vec<_> = Status::ALL.into_iter().filter(open).collect();
        self.each(&statuses, self.scope.open, Self::try_open)
    }

    fn finished(&mut self) -> Result<(), Stop> {
        let statuses: Vec<_> = Status::ALL.into_iter().filter(|status| status.is_final()).collect();
        self.each(&statuses, self.scope.finished, Self::try_finished)
    }

    fn each(&mut self, statuses: &[Status], most: usize, act: fn(&mut Self, &Run)) -> Result<(), Stop> {
        let (mut left, mut before) = (most, None);
        while left > 0 {
            let filter = RunFilter {
                workflow: Some(self.bundle.workflow.clone()),
                statuses: statuses.to_vec(),
                limit: PAGE.min(left),
                before,
                ..RunFilter::default()
            };
            let page = self.store.runs(&filter).unwrap_or_else(|error| {
                tracing::warn!("runs of `{}` cannot be read: {error}", self.bundle.workflow);
                Vec::new()
            });
            for run in &page {
                act(self, run);
                if !(self.go_on)(&self.report) {
                    return Err(Stop::Told);
                }
                if elapsed().saturating_sub(self.began) >= self.scope.time {
                    return Err(Stop::Time);
                }
            }
            left -= page.len();
            before = page.last().map(|run| run.id);
            if page.len() < filter.limit {
                return Ok(());
            }
        }
        Ok(())
    }

    fn try_open(&mut self, run: &Run) {
        if run.version == self.bundle.version && run.status != Status::Diverged {
            self.report.open.total = self.report.open.total.saturating_sub(1);
            return;
        }
        self.report.open.tried += 1;
        match self.judge(run) {
            Verdict::Compatible { .. } => self.report.open.compatible += 1,
            Verdict::Unknown(reason) => self.report.no_verdict(run.id, reason),
            Verdict::Diverges(divergence) => {
                let parting = self.parting(run, &divergence);
                self.report.diverges(run.id, parting);
            }
        }
    }

    fn try_finished(&mut self, run: &Run) {
        self.report.finished.tried += 1;
        match self.judge(run) {
            Verdict::Compatible { otherwise: None } => self.report.finished.same += 1,
            Verdict::Compatible { otherwise: Some(after) } => {
                let before = run.output.clone().map(Ok).or(run.error.clone().map(Err)).unwrap_or(Ok(Payload::unit()));
                self.report.changed(Changed { run: run.id, before: shown(&before), after: shown(&after) });
            }
            Verdict::Diverges(_) => self.report.finished.diverging += 1,
            Verdict::Unknown(_) => self.report.finished.unknown += 1,
        }
    }

    fn judge(&self, run: &Run) -> Verdict {
        let candidate = match &self.compiled {
            Ok(candidate) => candidate,
            Err(problem) => return Verdict::Unknown(problem.clone()),
        };
        try_stored(self.store, candidate, run, self.scope.patience)
    }

    fn parting(&mut self, run: &Run, divergence: &Divergence) -> Parting {
        let (store, semantics, after, patience) = (self.store, self.semantics, self.bundle, self.scope.patience);
        let before = self.sources(&run.version);
        let recorder = before.and_then(|before| {
            let journal = entries(store, run).ok()?;
            recorder(run, journal, before, divergence, semantics, patience)
        });
        Parting::new(divergence, before, recorder.as_ref(), after)
    }

    fn sources(&mut self, version: &Version) -> Option<&Bundle> {
        let store = self.store;
        let load = || Bundle::from_stored(&store.bundle(version).ok()??).ok();
        self.known.entry(version.clone()).or_insert_with(load).as_ref()
    }
}

/// Tries one run, whatever becomes of it.
fn try_stored(store: &dyn Store, candidate: &Candidate, run: &Run, patience: Duration) -> Verdict {
    if run.status == Status::Quarantined || run.charged > 0 {
        return Verdict::Unknown("its interpreter died before, so it is not evaluated beside others".to_owned());
    }
    let journal = match entries(store, run) {
        Ok(journal) => journal,
        Err(problem) => return Verdict::Unknown(problem),
    };
    // A panic in here is a fault of ours: it costs the verdict, not the thread.
    let play = std::panic::AssertUnwindSafe(|| candidate.play(run, journal, patience));
    std::panic::catch_unwind(play).unwrap_or_else(|_| Verdict::Unknown("internal error; hint: see the log".to_owned()))
}

/// The journal of a run, as far as it can be tried.
pub(in crate::engine) fn entries(store: &dyn Store, run: &Run) -> Result<Vec<Entry>, String> {
    let segments = store.journal(run.id).map_err(|error| error.to_string())?;
    if segments.iter().map(Vec::len).sum::<usize>() > JOURNAL {
        return Err("its journal is too large to be tried".to_owned());
    }
    History::read(segments).map(History::into_entries).map_err(|error| error.to_string())
}

fn shown(outcome: &Outcome) -> String {
    let text = match outcome {
        Ok(value) => value.to_json().to_string(),
        Err(error) => {
            let error = error.to_json();
            format!("error: {}", error["message"].as_str().unwrap_or("no message"))
        }
    };
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
