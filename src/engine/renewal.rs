//! Open runs that move to a new version of their workflow, where it declares `upgrade: "when_compatible"`.
//!
//! A run moves when it is put in motion: its worker has claimed it, nothing of it is evaluated yet, and the change stands in
//! the log before all that the new version writes. So a crash leaves it on one version or on the other, with a journal that
//! fits. When there is a new version, the timekeeper puts the runs in motion that wait outside of memory; the others follow
//! when they leave it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::deploy::Deployed;
use super::gate::{self, Verdict};
use super::log::Item;
use super::shared::{Shared, held};
use crate::id::{RunId, Version};
use crate::journal::Entry;
use crate::store::{Change, Run, RunFilter, Status};
use crate::trace::Trace;

/// Runs looked at in one go: a few milliseconds of reading.
const PAGE: usize = 256;
/// No more runs are put in motion for it while so many are: the work goes on beside it.
const CROWD: usize = 1_000;
/// Runs that are remembered as tried: they are tried once more when it is full.
const REMEMBERED: usize = 100_000;

/// What is still to be looked at, and what was tried in vain.
#[derive(Default)]
pub(super) struct Renewals {
    /// Workflows, and the run from which on (downwards) theirs are to be looked at.
    queue: Mutex<VecDeque<(Arc<str>, Option<RunId>)>>,
    tried: Mutex<HashMap<RunId, Version>>,
}

impl Renewals {
    /// There is a new version.
    pub(super) fn add(&self, workflow: &Arc<str>) {
        let mut queue = held(&self.queue);
        queue.retain(|(other, _)| other != workflow);
        queue.push_back((Arc::clone(workflow), None));
    }

    fn was_tried(&self, run: RunId, version: &Version) -> bool {
        held(&self.tried).get(&run) == Some(version)
    }

    fn note(&self, run: RunId, version: &Version) {
        let mut tried = held(&self.tried);
        if tried.len() >= REMEMBERED {
            tried.clear();
        }
        tried.insert(run, version.clone());
    }
}

/// The version to which a run on that version may move, and on which it was not tried yet.
pub(super) fn target(shared: &Shared, workflow: &str, run: RunId, version: &Version) -> Option<Arc<Deployed>> {
    let deployed = shared.deployed(workflow).filter(|deployed| deployed.terms.upgrades)?;
    let is_new = deployed.version() != version && !shared.renewals.was_tried(run, deployed.version());
    is_new.then_some(deployed)
}

/// Moves a run that was just claimed, where there is a version that fits its journal. Answers its row from then on.
pub(super) fn renew(shared: &Shared, row: &Run, journal: &[Entry]) -> Option<Run> {
    let deployed = target(shared, &row.workflow, row.id, &row.version)?;
    let version = deployed.version().clone();
    let options = &shared.options;
    let verdict = gate::try_with(row, journal.to_vec(), &deployed.bundle, &options.settings, &options.semantics);
    let why = match verdict {
        Verdict::Compatible { .. } => {
            let settings = deployed.settings_payload();
            let moved =
                Change::Upgrade { run: row.id, epoch: row.epoch, version: version.clone(), settings: settings.clone() };
            shared.log.send(Item { changes: vec![moved], done: None });
            let trace = Trace::of(row.id, &row.trigger).id;
            tracing::info!(run = %row.id, workflow = %row.workflow, %trace, "the run goes on with version {version}");
            return Some(Run { version, settings, ..row.clone() });
        }
        Verdict::Diverges(divergence) => divergence.to_string(),
        Verdict::Unknown(problem) => problem,
    };
    shared.renewals.note(row.id, &version);
    let trace = Trace::of(row.id, &row.trigger).id;
    tracing::info!(run = %row.id, workflow = %row.workflow, %trace, "the run stays on version {}: {why}", row.version);
    None
}

/// Puts some runs in motion that may move. True: there is more to do.
pub(super) fn round(shared: &Shared) -> bool {
    if shared.settling.progress().is_some() {
        // They cannot be claimed yet.
        return !held(&shared.renewals.queue).is_empty();
    }
    if held(&shared.routes).len() > CROWD {
        return !held(&shared.renewals.queue).is_empty();
    }
    let Some((workflow, before)) = held(&shared.renewals.queue).pop_front() else { return false };
    let statuses = vec![Status::Waiting];
    let filter =
        RunFilter { workflow: Some(workflow.to_string()), statuses, before, limit: PAGE, ..RunFilter::default() };
    let runs = shared.store.runs(&filter).unwrap_or_else(|error| {
        tracing::warn!("open runs of `{workflow}` cannot be read: {error}");
        Vec::new()
    });
    if runs.len() == PAGE {
        held(&shared.renewals.queue).push_back((Arc::clone(&workflow), runs.last().map(|run| run.id)));
    }
    // Those in motion move when they leave it and are taken up again.
    let rests = |run: &&Run| !held(&shared.routes).contains_key(&run.id);
    let may_move = |run: &&Run| target(shared, &workflow, run.id, &run.version).is_some();
    let runs: Vec<_> = runs.iter().filter(rests).filter(may_move).map(|run| run.id).collect();
    shared.claim(runs);
    !held(&shared.renewals.queue).is_empty()
}
