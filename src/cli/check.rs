//! `panta check` and `panta explain`: mistakes without running, and what a code means.

mod mend;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::Common;
use super::output::{Exit, Fault, diagnostic, json, line, note};
use crate::diag::{Diagnostic, Severity, codes, suggest};
use crate::engine::channels::Channels;
use crate::engine::people::Directory;
use crate::engine::{self, Deployed, Settings};
use crate::reload::{self, STDLIB};
use crate::script::bundle::{Bundle, Folder, Kind, Sources, classify};
use crate::script::source::Source;
use crate::trigger::{cycles, verify};

/// Finds mistakes in scripts without running them
#[derive(Args, Debug)]
pub(super) struct Check {
    /// Scripts and folders of scripts; `scripts` or this folder where none is given
    paths: Vec<PathBuf>,
    /// Mends what needs no thought, and says what was changed
    #[arg(long)]
    fix: bool,
    /// Shows what each workflow starts on and touches; with `--json` it always does
    #[arg(long)]
    report: bool,
    /// Fails on warnings too
    #[arg(long)]
    strict: bool,
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
        let mut all = Checked::default();
        for path in paths {
            let (folder, files) = files(path)?;
            let config = common.config(folder.root())?;
            let settings = Arc::clone(&config.settings) as Arc<dyn Settings>;
            // Without a config nothing is known of channels: the scripts may be those of another place.
            let channels = config.file.is_some().then(|| (config.outlets.names(), Arc::clone(&config.people)));
            let above =
                if path.is_file() && path.starts_with(&default) { names(&Folder::new(&default)) } else { Vec::new() };
            let told = channels.clone();
            let mailboxes = config.file.is_some().then(|| config.mailboxes.keys().cloned().collect());
            let mut scripts = Scripts { folder, files, above, settings, channels, mailboxes, edited: BTreeMap::new() };
            if self.fix {
                mend::mend(&mut scripts, common.json)?;
            }
            let checked = scripts.check();
            // Of all workflows once: it is the config that has no channels.
            let unheard = told.and_then(|(channels, people)| {
                checked.workflows.iter().find_map(|it| channels.to_nobody(&it.deployed, &people))
            });
            if let Some(problem) = unheard {
                note(&format!("warning: {problem}"));
            }
            all.add(checked);
        }
        // A module's fault is found once for each workflow that imports it.
        crate::diag::sort(&mut all.findings);
        Ok(self.tell(&all, common.json))
    }

    fn tell(&self, all: &Checked, as_json: bool) -> Exit {
        for finding in &all.findings {
            if as_json {
                json(&serde_json::to_value(finding).unwrap_or_default());
            } else {
                diagnostic(finding);
            }
        }
        for workflow in all.workflows.iter().filter(|_| as_json || self.report) {
            if as_json { json(&report::json(workflow)) } else { line(&report::text(workflow)) }
        }
        let errors = all.findings.iter().filter(|finding| finding.is_error()).count();
        let warnings = all.findings.len() - errors;
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let summary =
            format!("{}, {}, {}", count(all.scripts, "script"), count(errors, "error"), count(warnings, "warning"));
        if as_json {
            note(&summary);
        } else {
            line(&summary);
        }
        let mendable = all.findings.iter().filter(|finding| finding.fix.is_some()).count();
        if mendable > 0 && !self.fix {
            note(&format!("{} can be mended: `{} check --fix`", count(mendable, "finding"), super::output::program()));
        }
        if errors > 0 || (self.strict && warnings > 0) { Exit::Failed } else { Exit::Done }
    }
}

/// How many workflows a folder has, and how many errors are in them.
pub(super) fn count(path: &Path, settings: Arc<dyn Settings>) -> Result<(usize, usize), Fault> {
    let (folder, files) = files(path)?;
    let scripts = Scripts {
        folder,
        files,
        above: Vec::new(),
        settings,
        channels: None,
        mailboxes: None,
        edited: BTreeMap::new(),
    };
    let checked = scripts.check();
    Ok((checked.scripts, checked.findings.iter().filter(|finding| finding.is_error()).count()))
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

/// Names of the workflows of a folder.
fn names(folder: &Folder) -> Vec<String> {
    let name = |path: String| match classify(&path) {
        Kind::Workflow(name) => Some(name),
        _ => None,
    };
    folder.list().into_iter().filter_map(name).collect()
}

/// A workflow without errors.
struct Workflow {
    deployed: Deployed,
    touches: engine::Touches,
}

/// What came of checking.
#[derive(Default)]
struct Checked {
    scripts: usize,
    findings: Vec<Diagnostic>,
    workflows: Vec<Workflow>,
}

impl Checked {
    fn add(&mut self, other: Self) {
        self.scripts += other.scripts;
        self.findings.extend(other.findings);
        self.workflows.extend(other.workflows);
    }
}

/// The scripts of one folder, with texts that are not written yet.
struct Scripts {
    folder: Folder,
    files: Vec<String>,
    /// Names of workflows beside those of the folder: of the scripts folder that a single file lies in.
    above: Vec<String>,
    settings: Arc<dyn Settings>,
    /// Whom workflows may tell, where a config says it.
    channels: Option<(Channels, Arc<Directory>)>,
    /// Mailboxes that triggers may follow, where a config says it.
    mailboxes: Option<Vec<String>>,
    /// Texts that take the place of those on disk, by path.
    edited: BTreeMap<String, String>,
}

impl Sources for Scripts {
    fn read(&self, path: &str) -> Result<Source, Diagnostic> {
        match self.edited.get(path) {
            Some(text) => Source::from_text(path, text),
            None => self.folder.read(path),
        }
    }

    fn list(&self) -> Vec<String> {
        self.folder.list()
    }
}

impl Scripts {
    /// All findings, each once.
    fn check(&self) -> Checked {
        let mut checked = Checked { scripts: self.files.len(), ..Checked::default() };
        let names = names(&self.folder);
        let names: Vec<&str> = names.iter().chain(&self.above).map(String::as_str).collect();
        for file in &self.files {
            self.check_file(file, &names, &mut checked);
        }
        let graph: Vec<_> = checked.workflows.iter().map(|it| (&it.deployed, &it.touches)).collect();
        let circles = cycles::diagnose(&graph);
        checked.findings.extend(circles);
        crate::diag::sort(&mut checked.findings);
        checked
    }

    /// One workflow; `names` are those of all in the folder.
    fn check_file(&self, file: &str, names: &[&str], checked: &mut Checked) {
        match Bundle::load(file, self, STDLIB) {
            Ok(bundle) => {
                checked.findings.extend(engine::unknown_workflows(&bundle, names));
                let touches = engine::touches(&bundle);
                let (deployed, mut findings) = reload::surveyed(bundle, &self.settings);
                if let (Some((channels, people)), Some(deployed)) = (&self.channels, &deployed) {
                    findings.extend(channels.diagnose(deployed, people));
                }
                if let (Some(mailboxes), Some(deployed)) = (&self.mailboxes, &deployed) {
                    let known: Vec<_> = mailboxes.iter().map(String::as_str).collect();
                    findings.extend(verify::unknown_mailboxes(deployed, &known, Severity::Error));
                }
                let is_fine = !findings.iter().any(Diagnostic::is_error);
                checked.workflows.extend(deployed.filter(|_| is_fine).map(|deployed| Workflow { deployed, touches }));
                checked.findings.append(&mut findings);
            }
            Err(faults) => {
                checked.findings.extend(faults);
                checked.findings.extend(self.read(file).map(|source| engine::syntax(&source)).unwrap_or_default());
            }
        }
    }
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
