//! One open run, tried under the semantics of this release.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::after::Ending;
use crate::engine::gate::{Candidate, Parting, Verdict};
use crate::engine::log::Item;
use crate::engine::programs;
use crate::engine::shared::Shared;
use crate::engine::witness::Standing;
use crate::id::{RunId, Version};
use crate::journal::{Entry, History};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::script::rewrite;
use crate::store::{Change, End, Rollback, Run, Status};
use crate::trace::Trace;

/// A run that computes for longer goes on: its replay stops where it diverges, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a run that was there when a process died: all else rests while it is tried.
const SUSPECT_PATIENCE: Duration = Duration::from_secs(1);
/// Compiled versions that are kept meanwhile.
const KEPT: usize = 64;

/// What came of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// It goes on, as far as can be told.
    Fits,
    /// It is held.
    Diverges,
    /// It was held, and goes on.
    Revived,
}

/// What the trials of one thread have in common.
pub(super) struct Bench<'a> {
    shared: &'a Arc<Shared>,
    engine: Rc<rhai::Engine>,
    candidates: HashMap<(Version, Payload), Tried>,
}

/// A version under these semantics.
#[derive(Clone)]
struct Tried {
    bundle: Option<Arc<Bundle>>,
    candidate: Result<Rc<Candidate>, String>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        let engine = Rc::new(shared.options.semantics.engine());
        Self { shared, engine, candidates: HashMap::new() }
    }

    /// Tries a run, and holds it or lets it go on. What follows is in the log, before any claim.
    pub(super) fn settle(&mut self, run: &Run) -> Came {
        let error = {
            // Compiling it, and dropping what it made, may be what kills.
            let _watched = self.shared.watched_beside(run.id.into(), Standing::of(run.charged));
            // A panic in here is a fault of ours: it costs the verdict, not the thread.
            catch_unwind(AssertUnwindSafe(|| self.attempt(run)))
        };
        match error {
            Ok(Ok(())) if run.status == Status::Diverged => self.revive(run),
            Ok(Ok(())) => Came::Fits,
            Ok(Err(Fault::Diverges(error))) => self.hold(run, &error),
            Ok(Err(Fault::Unknown(problem))) => Self::pass(run, &problem),
            Err(_) => Self::pass(run, "internal error; hint: see the log"),
        }
    }

    fn attempt(&mut self, run: &Run) -> Result<(), Fault> {
        let Tried { bundle, candidate } = self.candidate(run);
        let candidate = candidate.map_err(|problem| {
            let id = run.id;
            let message = format!(
                "its version cannot be evaluated by this release: {problem}; hint: finish it with the release before, or `panta upgrade {id}`"
            );
            Fault::Diverges(json!({ "kind": "script", "retryable": false, "message": message }))
        })?;
        let journal = journal(self.shared, run.id).map_err(Fault::Unknown)?;
        let patience = if run.charged == 0 { PATIENCE } else { SUSPECT_PATIENCE };
        match candidate.play(run, journal, patience) {
            Verdict::Compatible { .. } => Ok(()),
            Verdict::Unknown(problem) => Err(Fault::Unknown(problem)),
            Verdict::Diverges(divergence) => {
                let bundle = bundle.ok_or_else(|| Fault::Unknown("its sources are not there".to_owned()))?;
                let hint = format!(
                    "this release evaluates its version otherwise; finish it with the release before, or `panta upgrade {}`",
                    run.id
                );
                Err(Fault::Diverges(Parting::new(&divergence, Some(&bundle), None, &bundle).to_error(&hint)))
            }
        }
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
                let limits = self.shared.options.script_limits();
                let candidate = Candidate::compile(engine, &bundle, &settings, rewrite::rewrite)
                    .map(|candidate| Rc::new(candidate.within(limits)));
                Tried { bundle: Some(bundle), candidate }
            }
        };
        if self.candidates.len() >= KEPT {
            self.candidates.clear();
        }
        self.candidates.insert(key, tried.clone());
        tried
    }

    fn pass(run: &Run, problem: &str) -> Came {
        tracing::warn!(
            run = %run.id, workflow = &*run.workflow,
            "the run is not tried under the semantics of this release, and goes on as far as it fits: {problem}"
        );
        Came::Fits
    }

    fn hold(&self, run: &Run, error: &Value) -> Came {
        if run.status != Status::Diverged {
            let change = held_change(run, error, self.shared.now());
            self.send(telling_of(self.shared, run, change));
        }
        Came::Diverges
    }

    fn revive(&self, run: &Run) -> Came {
        let (version, settings) = (run.version.clone(), run.settings.clone());
        self.send(Change::Upgrade { run: run.id, epoch: run.epoch, version, settings });
        Came::Revived
    }

    fn send(&self, change: Change) {
        self.shared.log.send(Item { changes: vec![change], done: None });
    }
}

/// Why a run does not simply go on.
enum Fault {
    /// Its error as a held run shows it.
    Diverges(Value),
    /// There is no telling.
    Unknown(String),
}

/// All of it, however long: it is to be replayed in any case.
fn journal(shared: &Shared, run: RunId) -> Result<Vec<Entry>, String> {
    let segments = shared.store.journal(run).map_err(|error| error.to_string())?;
    History::read(segments).map(History::into_entries).map_err(|error| error.to_string())
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
pub(in crate::engine) fn held_change(run: &Run, error: &Value, at: crate::time::Timestamp) -> Change {
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
