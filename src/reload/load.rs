//! From a file to a workflow that can be started, or to all that is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::folder::{Source as Content, is_script};
use crate::diag::{self, Diagnostic, Place};
use crate::engine::{self, Deployed, Handle, Settings, Survey};
use crate::script::bundle::{Bundle, Folder, Kind, Sources, classify};
use crate::script::source::Source;
use crate::trigger::verify;

pub use crate::script::stdlib::STDLIB;
/// Most scripts that are made known beside the one that is run: more are a scripts folder, and a daemon's work.
const BESIDE_MAX: usize = 1_000;

/// A workflow that can be started.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// It.
    pub deployed: Deployed,
    /// What is likely a mistake, and does not stop it.
    pub warnings: Vec<Diagnostic>,
}

/// Loads the workflow whose file is `main`, with all that it imports, and checks it.
pub fn load(main: &str, sources: &dyn Sources, settings: &Arc<dyn Settings>) -> Result<Loaded, Vec<Diagnostic>> {
    let bundle = Bundle::load(main, sources, STDLIB)?;
    if bundle.sources[bundle.main()].text.trim().is_empty() {
        let fault = Diagnostic::new("E0108", format!("`{main}` is empty"), Place::file(main));
        return Err(vec![fault.hint("one line is a workflow: write one, or remove the file")]);
    }
    checked(bundle, settings)
}

/// Compiles a bundle and checks it. The one place that decides whether a script may go live.
pub(super) fn checked(bundle: Bundle, settings: &Arc<dyn Settings>) -> Result<Loaded, Vec<Diagnostic>> {
    let (deployed, findings) = surveyed(bundle, settings);
    let (faults, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(Diagnostic::is_error);
    match deployed {
        Some(deployed) if faults.is_empty() => Ok(Loaded { deployed, warnings }),
        _ => Err(faults),
    }
}

/// All that can be said of a bundle by itself, sorted, and what it declares as far as that is known.
pub fn surveyed(bundle: Bundle, settings: &Arc<dyn Settings>) -> (Option<Deployed>, Vec<Diagnostic>) {
    let Survey { deployed, is_whole, mut found } = engine::survey(bundle, settings);
    if let Some(deployed) = &deployed {
        found.extend(verify::diagnose(deployed, is_whole));
    }
    diag::sort(&mut found);
    (deployed, found)
}

/// The settled contents of the folder: what is being written just now is not read.
impl Sources for BTreeMap<String, Content> {
    fn read(&self, path: &str) -> Result<Source, Diagnostic> {
        match self.get(path) {
            Some(content) => Source::from_bytes(path, &content.bytes),
            None => Err(Diagnostic::new("E0107", format!("there is no file `{path}`"), Place::file(path))),
        }
    }

    fn list(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Makes one script known to the engine, and the good ones beside it, so that it can start them. Its folder is the scripts
/// folder.
pub fn one(handle: &Handle, file: &Path) -> Result<Arc<Deployed>, Vec<Diagnostic>> {
    let unreadable = |reason: String| vec![Diagnostic::new("E0106", reason, Place::file(file.display().to_string()))];
    let full = std::path::absolute(file).map_err(|error| unreadable(error.to_string()))?;
    let (Some(folder), Some(main)) = (full.parent(), full.file_name().and_then(|name| name.to_str())) else {
        return Err(unreadable(format!("`{}` is not the path of a file", file.display())));
    };
    let sources = Folder::new(folder);
    let loaded = load(main, &sources, handle.settings())?;
    for name in beside(folder).iter().filter(|name| *name != main) {
        if let Ok(other) = load(name, &sources, handle.settings()) {
            handle.deploy(other.deployed);
        }
    }
    let name = Arc::clone(&loaded.deployed.name);
    handle.deploy(loaded.deployed);
    handle.workflow(&name).map_err(|error| unreadable(error.to_string()))
}

/// Names of the workflows' files in a folder, not of those below it.
fn beside(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| is_script(name) && is_workflow(name)).take(BESIDE_MAX).collect();
    names.sort();
    names
}

fn is_workflow(path: &str) -> bool {
    matches!(classify(path), Kind::Workflow(_))
}
