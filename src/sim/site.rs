//! What the tests of a scripts folder share: its workflows, compiled.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::named::Names;
use crate::diag::Diagnostic;
use crate::engine::{self, Deployed, Settings, Tools};
use crate::payload::Payload;
use crate::script::bundle::{Bundle, Kind, Sources, Stdlib, classify};

/// A scripts folder.
pub struct Folder {
    /// Its files.
    pub sources: Box<dyn Sources + Send + Sync>,
    /// Built-in modules.
    pub stdlib: Stdlib,
}

/// The workflows of a folder under some settings; those that do not compile with what is wrong.
pub(super) struct Workflows {
    pub(super) good: Vec<Deployed>,
    pub(super) broken: BTreeMap<String, Vec<Diagnostic>>,
}

/// The folder on one thread, with what evaluates there.
pub(super) struct Site {
    folder: Arc<Folder>,
    pub(super) tools: Tools,
    compiled: RefCell<BTreeMap<String, Rc<Workflows>>>,
    names: OnceCell<Names>,
    /// Steps that the tests came to.
    pub(super) begun: RefCell<BTreeSet<(String, String)>>,
}

impl Site {
    pub(super) fn new(folder: Arc<Folder>, tools: Tools) -> Self {
        Self { folder, tools, compiled: RefCell::default(), names: OnceCell::new(), begun: RefCell::default() }
    }

    /// The sources of a file, with all that it imports.
    pub(super) fn bundle(&self, path: &str) -> Result<Bundle, Vec<Diagnostic>> {
        Bundle::load(path, &*self.folder.sources, self.folder.stdlib)
    }

    /// The names that tests can use.
    pub(super) fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::of(&self.folder.sources.list(), |path| self.bundle(path).ok()))
    }

    /// All workflows, their declarations evaluated with these settings.
    pub(super) fn workflows(&self, settings: &BTreeMap<String, Payload>) -> Rc<Workflows> {
        let lines = settings.iter().map(|(name, value)| format!("{name}={}", value.text()));
        let key = lines.collect::<Vec<_>>().join("\n");
        if let Some(known) = self.compiled.borrow().get(&key) {
            return Rc::clone(known);
        }
        let settings: Arc<dyn Settings> = Arc::new(settings.clone());
        let mut workflows = Workflows { good: Vec::new(), broken: BTreeMap::new() };
        for path in self.folder.sources.list() {
            let Kind::Workflow(name) = classify(&path) else { continue };
            match self.bundle(&path).and_then(|bundle| engine::compile(bundle, &settings)) {
                Ok(deployed) => workflows.good.push(deployed),
                Err(faults) => drop(workflows.broken.insert(name, faults)),
            }
        }
        let workflows = Rc::new(workflows);
        self.compiled.borrow_mut().insert(key, Rc::clone(&workflows));
        workflows
    }
}
