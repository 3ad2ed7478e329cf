//! The first start of a binary under which scripts mean something else: open runs are tried before any is claimed.
//!
//! Those that would diverge are held as `diverged`, with both lines, before anything of them is performed; they go on with a
//! binary that means what they were recorded with, or by an upgrade to a version that fits. Runs that were held so, and fit
//! now, go on.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::engine::after::Ending;
use crate::engine::gate::{self, Candidate, Parting, Verdict};
use crate::engine::log::Item;
use crate::engine::options::Reach;
use crate::engine::programs;
use crate::engine::shared::Shared;
use crate::id::{RunId, Version};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::script::rewrite;
use crate::store::{Applied, Change, End, Rollback, Run, RunFilter, Status};
use crate::trace::Trace;

/// Where the store notes under which semantics its open runs are known to fit: one version, or several behind commas, where
/// runs of different ones may be open.
const SCOPE: &str = "$semantics";
const KEY: &str = "version";
/// Rows read at once.
const PAGE: usize = 256;
/// A run that computes for longer goes on: its replay stops where it diverges, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// Compiled versions that are kept meanwhile.
const KEPT: usize = 64;

/// Brings the store to this engine's semantics, before anything is claimed. Takes as long as replaying all open runs, where
/// the semantics are others; otherwise a moment.
pub(in crate::engine) fn settle(shared: &Arc<Shared>) {
    let now = shared.options.semantics.version();
    let noted = match shared.store.state(SCOPE, KEY) {
        Ok(noted) => noted.and_then(|noted| noted.to_json().as_str().map(str::to_owned)),
        Err(error) => return tracing::warn!("the semantics of open runs cannot be read: {error}"),
    };
    if noted.as_deref() == Some(now) {
        return;
    }
    if shared.options.reach == Reach::Own {
        // Others' runs are left alone. Those that it leaves open are of these semantics.
        return note(shared, &noted.map_or_else(|| now.to_owned(), |noted| format!("{noted},{now}")));
    }
    let mut settlement = Settlement::new(shared);
    match settlement.all() {
        Ok(()) => note_durably(shared, now),
        // It is tried again with the next start. Replays stop where they diverge in any case.
        Err(error) => tracing::warn!("open runs cannot be tried under the semantics of this release: {error}"),
    }
    if settlement.tried > 0 {
        let Settlement { tried, diverged, revived, .. } = settlement;
        tracing::warn!(
            "this release evaluates scripts otherwise than the one before ({now}): of {tried} open runs {diverged} would \
             diverge and are held, {revived} that were held go on; hint: `panta runs --status diverged`"
        );
    }
}

/// The same for runs that an engine with [`Reach::Own`] takes up.
pub(in crate::engine) fn settle_family(shared: &Arc<Shared>, runs: &[RunId]) -> crate::store::Result<()> {
    let noted = shared.store.state(SCOPE, KEY)?;
    if noted.is_some_and(|noted| noted.to_json() == json!(shared.options.semantics.version())) {
        return Ok(());
    }
    let mut settlement = Settlement::new(shared);
    for run in runs {
        if let Some(row) = shared.store.run(*run)?.filter(|row| concerns(row.status)) {
            settlement.one(&row);
        }
    }
    Ok(())
}

fn note(shared: &Arc<Shared>, version: &str) {
    shared.log.send(Item { changes: vec![noting(version)], done: None });
}

/// With all that stands before it in the log: what follows reads the store.
fn note_durably(shared: &Arc<Shared>, version: &str) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = move |_: &[Applied]| {
        let _ = sender.send(());
    };
    shared.log.send(Item { changes: vec![noting(version)], done: Some(Box::new(done)) });
    // An error says that the store failed; the engine says so itself.
    let _ = receiver.recv();
}

fn noting(version: &str) -> Change {
    Change::SetState { scope: SCOPE.into(), key: KEY.into(), value: Some(Payload::from_json(&json!(version))) }
}

/// Quarantined runs go on by nothing but a person's act, and evaluating one may end the process.
fn concerns(status: Status) -> bool {
    !status.is_final() && status != Status::Quarantined
}

struct Settlement<'a> {
    shared: &'a Arc<Shared>,
    engine: Rc<rhai::Engine>,
    candidates: HashMap<(Version, Payload), Tried>,
    tried: usize,
    diverged: usize,
    revived: usize,
}

/// A version under these semantics.
#[derive(Clone)]
struct Tried {
    bundle: Option<Arc<Bundle>>,
    candidate: Result<Rc<Candidate>, String>,
}

impl<'a> Settlement<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        let engine = Rc::new(shared.options.semantics.engine());
        Self { shared, engine, candidates: HashMap::new(), tried: 0, diverged: 0, revived: 0 }
    }

    fn all(&mut self) -> crate::store::Result<()> {
        let statuses: Vec<_> = Status::ALL.into_iter().filter(|status| concerns(*status)).collect();
        let mut before = None;
        loop {
            let filter = RunFilter { statuses: statuses.clone(), limit: PAGE, before, ..RunFilter::default() };
            let page = self.shared.store.runs(&filter)?;
            page.iter().for_each(|run| self.one(run));
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
            before = Some(last.id);
        }
    }

    fn one(&mut self, run: &Run) {
        let Tried { bundle, candidate } = self.candidate(run);
        self.tried += 1;
        let error = match candidate {
            Err(problem) => json!({ "kind": "script", "retryable": false, "message": format!(
                "its version cannot be evaluated by this release: {problem}; hint: finish it with the release before, or `panta upgrade {}`", run.id
            ) }),
            Ok(candidate) => match gate::try_stored(&*self.shared.store, &candidate, run, PATIENCE) {
                Verdict::Compatible { .. } => return self.revive(run),
                Verdict::Unknown(problem) => {
                    return tracing::warn!(
                        "run {} is not tried under the semantics of this release: {problem}",
                        run.id
                    );
                }
                Verdict::Diverges(divergence) => {
                    let Some(bundle) = bundle.as_deref() else { return };
                    let hint = format!(
                        "this release evaluates its version otherwise; finish it with the release before, or `panta upgrade {}`",
                        run.id
                    );
                    Parting::new(&divergence, Some(bundle), None, bundle).to_error(&hint)
                }
            },
        };
        self.hold(run, &error);
    }

    fn candidate(&mut self, run: &Run) -> Tried {
        let key = (run.version.clone(), run.settings.clone());
        if let Some(known) = self.candidates.get(&key) {
            return known.clone();
        }
        let tried = match self.shared.bundle(&run.version) {
            Err(problem) => Tried { bundle: None, candidate: Err(problem) },
            Ok(bundle) => {
                let settings = programs::fixed(&run.settings);
                let engine = Rc::clone(&self.engine);
                let candidate = Candidate::compile(engine, &bundle, &settings, rewrite::rewrite).map(Rc::new);
                Tried { bundle: Some(bundle), candidate }
            }
        };
        if self.candidates.len() >= KEPT {
            self.candidates.clear();
        }
        self.candidates.insert(key, tried.clone());
        tried
    }

    fn hold(&mut self, run: &Run, error: &serde_json::Value) {
        self.diverged += 1;
        if run.status != Status::Diverged {
            let change = held_change(run, error, self.shared.now());
            self.send(telling_of(self.shared, run, change));
        }
    }

    fn revive(&mut self, run: &Run) {
        if run.status == Status::Diverged {
            self.revived += 1;
            let (version, settings) = (run.version.clone(), run.settings.clone());
            self.send(Change::Upgrade { run: run.id, epoch: run.epoch, version, settings });
        }
    }

    /// In the log before any claim.
    fn send(&self, change: Change) {
        self.shared.log.send(Item { changes: vec![change], done: None });
    }
}

/// The change that holds a run, with what people are told of it.
fn telling_of(shared: &Arc<Shared>, run: &Run, change: Change) -> Change {
    let Change::Finish { end, epoch, .. } = &change else { return change };
    let terms = shared.deployed(&run.workflow).map(|deployed| Arc::clone(&deployed.terms)).unwrap_or_default();
    let trace = Trace::of(run.id, &run.trigger).id;
    let told = Ending { shared, run: run.id, workflow: &run.workflow, terms: &terms, trace }.told(*epoch, end, false);
    shared.telling(change, told)
}

/// Holds a run as `diverged`, for a person to look at.
pub(in crate::engine) fn held_change(run: &Run, error: &serde_json::Value, at: crate::time::Timestamp) -> Change {
    let end = End {
        status: Status::Diverged,
        output: None,
        error: Some(Payload::from_json(error)),
        rollback: Rollback::None,
        at,
        continued_as: None,
        expires_at: None,
    };
    Change::Finish { run: run.id, epoch: run.epoch, end }
}
