//! What the tests of a scripts folder share: its workflows, compiled.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

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
    /// Steps that the tests came to.
    pub(super) begun: RefCell<BTreeSet<(String, String)>>,
}

impl Site {
    pub(super) fn new(folder: Arc<Folder>, tools: Tools) -> Self {
        Self { folder, tools, compiled: RefCell::default(), begun: RefCell::default() }
    }

    /// The sources of a file, with all that it imports.
    pub(super) fn bundle(&self, path: &str) -> Result<Bundle, Vec<Diagnostic>> {
        Bundle::load(path, &*self.folder.sources, self.folder.stdlib)
    }

    /// All workflows, their declarations evaluated with these settings.
    pub(super) fn workflows(&self, settings: &BTreeMap<String, Payload>) -> Rc<Workflows> {
        let key = settings.iter().map(|(name, value)| format!("{name}={}\n", value.text())).collect::<String>();
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
