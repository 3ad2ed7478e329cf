//! Which workflows the folder makes: what of each is live, what is wrong with it, and what a round of saves changes.
//!
//! Owns that state and decides; deploying, recalling and the clock are the caller's.

use std::collections::{BTreeMap, BTreeSet};
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
pub(super) type Load<'a> = &'a dyn Fn(&str) -> Result<Loaded, Vec<Diagnostic>>;
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
        let paths: BTreeSet<&str> = changes.iter().map(Change::path).collect();
        for (name, entry) in &mut self.0 {
            if saved.contains(name) || entry.is_concerned(&paths) {
                entry.load(name, load, recall);
            }
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

impl Entry {
    /// Whether a change at one of these paths may change it. What a broken file would import is not known.
    fn is_concerned(&self, paths: &BTreeSet<&str>) -> bool {
        let is_of = |path: &String| paths.contains(path.as_str()) || paths.contains(format!("lib/{path}").as_str());
        let imports = |loaded: &Loaded| loaded.deployed.bundle.sources.keys().any(is_of);
        !self.own.is_empty() || self.candidate.as_ref().is_some_and(imports)
    }

    fn load(&mut self, name: &str, load: Load<'_>, recall: Recall<'_>) {
        match load(&self.file) {
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
