//! The scripts of a folder as workflows that can be started.

use std::path::Path;
use std::sync::Arc;

use super::output::{Fault, note};
use crate::diag::Diagnostic;
use crate::engine::{self, Deployed, Handle, Settings};
use crate::script::bundle::{Bundle, Folder, Kind, Sources, classify};

/// Compiles one file below a folder.
pub(super) fn compile(folder: &Folder, path: &str, settings: &Arc<dyn Settings>) -> Result<Deployed, Vec<Diagnostic>> {
    engine::compile(Bundle::load(path, folder, crate::reload::STDLIB)?, settings)
}

/// The folder that a file lies in, and its path there.
pub(super) fn located(file: &Path) -> Result<(Folder, String), Fault> {
    let shown = file.display();
    if !file.is_file() {
        return Err(Fault::usage(format!("there is no file `{shown}`")));
    }
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if !matches!(classify(&name), Kind::Workflow(_)) {
        return Err(Fault::usage(format!(
            "`{shown}` is no workflow; hint: its name ends in `.rhai`, not in `.test.rhai`"
        )));
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((Folder::new(parent), name))
}

/// Makes the other scripts of the folder known, so that the one that is run can start them; a broken one is left out.
pub(super) fn deploy_beside(handle: &Handle, folder: &Folder, main: &str) {
    beside(folder, main, handle.settings()).into_iter().for_each(|deployed| handle.deploy(deployed));
}

/// The other workflows of the folder; a broken one is left out, and said so.
pub(super) fn beside(folder: &Folder, main: &str, settings: &Arc<dyn Settings>) -> Vec<Deployed> {
    let others = folder.list().into_iter().filter(|path| path != main && matches!(classify(path), Kind::Workflow(_)));
    let compiled = others.filter_map(|path| match compile(folder, &path, settings) {
        Ok(deployed) => Some(deployed),
        Err(faults) => {
            let why = faults.first().map(ToString::to_string).unwrap_or_default();
            note(&format!("warning: `{path}` is left out: {why}"));
            None
        }
    });
    compiled.collect()
}
