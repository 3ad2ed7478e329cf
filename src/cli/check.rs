//! `panta check` and `panta explain`: mistakes without running, and what a code means.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::Common;
use super::output::{Exit, Fault, diagnostic, json, line, note};
use crate::diag::{Diagnostic, codes, suggest};
use crate::engine::{self, Settings};
use crate::reload::STDLIB;
use crate::script::bundle::{Bundle, Folder, Kind, Sources, classify};
use crate::trigger::verify;

/// Finds mistakes in scripts without running them
#[derive(Args, Debug)]
pub(super) struct Check {
    /// Scripts and folders of scripts; `scripts` or this folder where none is given
    paths: Vec<PathBuf>,
}

/// Explains an error code
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// Such as `E0301`
    code: String,
}

impl Check {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let default = super::default_scripts();
        let paths = if self.paths.is_empty() { std::slice::from_ref(&default) } else { &self.paths[..] };
        let (mut scripts, mut findings) = (0, Vec::new());
        for path in paths {
            let (folder, files) = files(path)?;
            let settings = Arc::clone(&common.config(folder.root())?.settings) as Arc<dyn Settings>;
            for file in files {
                scripts += 1;
                findings.extend(findings_of(&folder, &file, &settings));
            }
        }
        // A module's fault is found once for each workflow that imports it.
        crate::diag::sort(&mut findings);
        Ok(report(scripts, &findings, common.json))
    }
}

/// The folder that paths of imports start at, and the workflows to look at.
fn files(path: &Path) -> Result<(Folder, Vec<String>), Fault> {
    if path.is_dir() {
        let folder = Folder::new(path);
        let files = folder.list().into_iter().filter(|file| matches!(classify(file), Kind::Workflow(_))).collect();
        return Ok((folder, files));
    }
    super::scripts::located(path).map(|(folder, file)| (folder, vec![file]))
}

fn findings_of(folder: &Folder, file: &str, settings: &Arc<dyn Settings>) -> Vec<Diagnostic> {
    match Bundle::load(file, folder, STDLIB) {
        Ok(bundle) => {
            let (deployed, mut findings) = engine::examine(bundle, settings);
            findings.extend(deployed.iter().flat_map(verify::diagnose));
            findings
        }
        Err(faults) => faults,
    }
}

fn report(scripts: usize, findings: &[Diagnostic], as_json: bool) -> Exit {
    for finding in findings {
        if as_json {
            json(&serde_json::to_value(finding).unwrap_or_default());
        } else {
            diagnostic(finding);
        }
    }
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (all, wrong, odd) =
        (count(scripts, "script"), count(errors, "error"), count(findings.len() - errors, "warning"));
    let summary = format!("{all}, {wrong}, {odd}");
    if as_json {
        note(&summary);
    } else {
        line(&summary);
    }
    if errors > 0 { Exit::Failed } else { Exit::Done }
}

impl Explain {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let Some(code) = codes::find(&self.code) else {
            let near = suggest::did_you_mean(&self.code.to_uppercase(), codes::CODES.iter().map(|row| row.code));
            let hint = near.unwrap_or_else(|| "codes look like `E0301`".to_owned());
            return Err(Fault::usage(format!("there is no code `{}`; hint: {hint}", self.code)));
        };
        if common.json {
            json(&serde_json::json!({
                "code": code.code, "title": code.title, "text": code.explanation, "example": code.example,
            }));
        } else {
            line(code.page().trim_end());
        }
        Ok(Exit::Done)
    }
}
