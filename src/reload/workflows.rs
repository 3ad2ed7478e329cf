//! Which workflows the folder makes: what of each is live, what is wrong with it, and what a round of saves changes.
//!
//! Owns that state and decides; deploying, recalling and the clock are the caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;

use super::load::Loaded;
use super::record::Status;
use super::snapshot::Change;
use crate::diag::Diagnostic;
use crate::engine::{Deployed, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::script::bundle::{Kind, classify};
use crate::trigger::verify;

/// Makes a workflow of the file at a path.
pub(super) type Load<'a> = &'a (dyn Fn(&str) -> Result<Loaded, Vec<Diagnostic>> + Sync);
/// The last good version of a workflow that an earlier process had live.
pub(super) type Recall<'a> = &'a dyn Fn(&str) -> Option<Deployed>;

/// One workflow's file.
#[derive(Default)]
struct Entry {
    file: String,
    /// What the file holds, where it is good by itself.
    candidate: Option<Loaded>,
    /// What new runs get.
    live: Option<Arc<Deployed>>,
    /// All that keeps the file from being live, as it was told last.
    faults: Vec<Diagnostic>,
    /// What is wrong with the file by itself.
    own: Vec<Diagnostic>,
    is_told: bool,
}

/// What is to be done and told about one workflow.
pub(super) struct Outcome {
    pub(super) workflow: String,
    pub(super) file: String,
    pub(super) status: Status,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// To be deployed now.
    pub(super) deploy: Option<Arc<Deployed>>,
    /// What new runs get from now on.
    pub(super) live: Option<Arc<Deployed>>,
}

/// All workflows of the folder, by name.
#[derive(Default)]
pub(super) struct Workflows(BTreeMap<String, Entry>);

impl Workflows {
    /// Takes in what has settled.
    pub(super) fn round(&mut self, changes: &[Change], load: Load<'_>, recall: Recall<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut saved = BTreeSet::new();
        for change in changes {
            let Kind::Workflow(name) = classify(change.path()) else { continue };
            if let Change::Removed { path } = change {
                self.0.remove(&name);
                outcomes.push(Outcome::removed(name, path.clone()));
            } else {
                let entry = self.0.entry(name.clone()).or_default();
                change.path().clone_into(&mut entry.file);
                saved.insert(name);
            }
        }
        // A module of `lib/` is imported without that, too.
        let whole = changes.iter().map(Change::path);
        let paths: BTreeSet<&str> = whole.clone().chain(whole.filter_map(|path| path.strip_prefix("lib/"))).collect();
        let is_concerned = |name: &str, entry: &Entry| saved.contains(name) || entry.is_concerned(&paths);
        let mut concerned: Vec<_> = self.0.iter_mut().filter(|(name, entry)| is_concerned(name, entry)).collect();
        let files: Vec<&str> = concerned.iter().map(|(_, entry)| entry.file.as_str()).collect();
        let loaded = load_all(&files, load);
        for ((name, entry), loaded) in concerned.iter_mut().zip(loaded) {
            entry.take(name, loaded, recall);
        }
        let clashes = self.clashes();
        for (name, entry) in &mut self.0 {
            let clash = clashes.get(name).cloned().unwrap_or_default();
            outcomes.extend(entry.settle(name, clash, saved.contains(name)));
        }
        outcomes
    }

    /// Webhooks that a workflow with an earlier name claims too.
    fn clashes(&self) -> BTreeMap<String, Vec<Diagnostic>> {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut clashes: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
        for (name, entry) in &self.0 {
            let Some(deployed) = entry.claimant() else { continue };
            for spec in deployed.triggers.iter().filter(|spec| spec.kind == TriggerKind::Webhook) {
                let owner = owners.entry(&spec.subject).or_insert(name);
                if *owner != name {
                    clashes.entry(name.clone()).or_default().push(clash(deployed, spec, owner));
                }
            }
        }
        clashes
    }
}

fn clash(deployed: &Deployed, spec: &TriggerSpec, owner: &str) -> Diagnostic {
    let problem = format!("webhook path `{}` belongs to workflow `{owner}` already", spec.subject);
    let hint = "give each workflow a path of its own".to_owned();
    verify::Fault::error(problem, hint, &spec.subject).at(deployed, spec)
}

/// Few files are loaded sooner than another thread is ready to.
const FEW: usize = 16;

/// Loads files, many of them with all cores; the answers are in the order of the files.
fn load_all(files: &[&str], load: Load<'_>) -> Vec<Result<Loaded, Vec<Diagnostic>>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len() / FEW);
    if threads < 2 {
        return files.iter().map(|file| load(file)).collect();
    }
    std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(threads));
        let parts: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().map(|file| load(file)).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

impl Entry {
    /// Whether a change at one of these paths may change it. What a broken file would import is not known.
    fn is_concerned(&self, paths: &BTreeSet<&str>) -> bool {
        let is_of = |path: &String| paths.contains(path.as_str());
        let imports = |loaded: &Loaded| loaded.deployed.bundle.sources.keys().any(is_of);
        !self.own.is_empty() || self.candidate.as_ref().is_some_and(imports)
    }

    fn take(&mut self, name: &str, loaded: Result<Loaded, Vec<Diagnostic>>, recall: Recall<'_>) {
        match loaded {
            Ok(loaded) => {
                self.candidate = Some(loaded);
                self.own.clear();
            }
            Err(faults) => {
                self.candidate = None;
                self.own = faults;
                if !self.is_told && self.live.is_none() {
                    self.live = recall(name).map(Arc::new);
                }
            }
        }
    }

    /// What it answers for: what is in the file where that is good, else what runs.
    fn claimant(&self) -> Option<&Deployed> {
        self.candidate.as_ref().map(|loaded| &loaded.deployed).or(self.live.as_deref())
    }

    fn settle(&mut self, name: &str, clash: Vec<Diagnostic>, is_saved: bool) -> Option<Outcome> {
        let faults = if self.own.is_empty() { clash } else { self.own.clone() };
        let is_first = !std::mem::replace(&mut self.is_told, true);
        let was_broken = !self.faults.is_empty();
        let is_news = is_saved || is_first || faults != self.faults;
        self.faults.clone_from(&faults);
        let Some(good) = self.candidate.as_ref().filter(|_| faults.is_empty()) else {
            // What was recalled is made known with the first word about the file.
            let deploy = self.live.clone().filter(|_| is_first);
            return is_news.then(|| self.outcome(name, Status::Broken, faults, deploy));
        };
        let warnings = good.warnings.clone();
        if self.live.as_ref().is_none_or(|live| live.version() != good.deployed.version()) {
            let deployed = Arc::new(good.deployed.clone());
            self.live = Some(Arc::clone(&deployed));
            return Some(self.outcome(name, Status::Live, warnings, Some(deployed)));
        }
        let status = if was_broken { Status::Live } else { Status::Unchanged };
        is_news.then(|| self.outcome(name, status, warnings, None))
    }

    fn outcome(
        &self,
        name: &str,
        status: Status,
        diagnostics: Vec<Diagnostic>,
        deploy: Option<Arc<Deployed>>,
    ) -> Outcome {
        let (workflow, file) = (name.to_owned(), self.file.clone());
        Outcome { workflow, file, status, diagnostics, deploy, live: self.live.clone() }
    }
}

impl Outcome {
    fn removed(workflow: String, file: String) -> Self {
        Self { workflow, file, status: Status::Removed, diagnostics: Vec::new(), deploy: None, live: None }
    }
}
