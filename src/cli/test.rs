//! `panta test`: the tests of a scripts folder, in virtual time.

mod junit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::Common;
use super::output::{Exit, Fault, Paint, Stream, diagnostic, json, lasted, line, note};
use super::table::table;
use crate::reload::{self, STDLIB};
use crate::script::bundle::{self, Kind, Sources, classify};
use crate::sim::{FileCoverage, Folder, Selection, TestOutcome, TestReport, Way, run_tests};

/// Runs the tests of scripts, in virtual time and without touching anything
#[derive(Args, Debug)]
pub(super) struct Test {
    /// Test files, scripts and folders of them; `scripts` or this folder where none is given
    paths: Vec<PathBuf>,
    /// Only tests whose name or file has this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run them again whenever a script changes
    #[arg(long)]
    watch: bool,
    /// Tell which steps and branches of the workflows the tests went through
    #[arg(long)]
    coverage: bool,
    /// Write the results as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Test {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let default = super::default_scripts();
        let paths = if self.paths.is_empty() { std::slice::from_ref(&default) } else { &self.paths[..] };
        let places = paths.iter().map(|path| place(path, &default)).collect::<Result<Vec<_>, _>>()?;
        if self.watch {
            return self.again_and_again(&places, common);
        }
        self.once(&places, common)
    }

    fn once(&self, places: &[Place], common: &Common) -> Result<Exit, Fault> {
        let began = crate::time::elapsed();
        let mut whole = TestReport::default();
        for place in places {
            let sources = Box::new(bundle::Folder::new(&place.root));
            let files = place.files(&*sources);
            let folder = Arc::new(Folder { sources, stdlib: STDLIB });
            let selection =
                Selection { files, filter: self.filter.clone(), coverage: self.coverage, ..Selection::default() };
            let report = run_tests(&folder, &selection);
            whole.outcomes.extend(report.outcomes);
            whole.broken.extend(report.broken);
            whole.coverage.extend(report.coverage);
        }
        if let Some(file) = &self.junit {
            std::fs::write(file, junit::report(&whole))
                .map_err(|error| Fault::usage(format!("`{}` cannot be written: {error}", file.display())))?;
        }
        let took = crate::time::elapsed().saturating_sub(began);
        Ok(show(&whole, took, common.json))
    }

    fn again_and_again(&self, places: &[Place], common: &Common) -> Result<Exit, Fault> {
        let cannot = |error: reload::Error| Fault::usage(format!("the scripts cannot be watched: {error}"));
        let (sender, changes) = std::sync::mpsc::channel();
        let mut watches = Vec::new();
        for place in places {
            let (watch, events) = reload::Watch::start(&place.root, reload::Options::default()).map_err(cannot)?;
            watches.push(watch);
            let sender = sender.clone();
            std::thread::spawn(move || events.into_iter().try_for_each(|event| sender.send(event)));
        }
        loop {
            self.once(places, common)?;
            // A whole scan every so often is no change of anything.
            while !matches!(changes.recv(), Ok(reload::Event::Changed { .. }) | Err(_)) {}
            while changes.try_recv().is_ok() {}
        }
    }
}

/// A scripts folder, and what of it is tested.
struct Place {
    root: PathBuf,
    /// One file; all where there is none.
    file: Option<String>,
}

impl Place {
    fn files(&self, folder: &dyn Sources) -> Vec<String> {
        match &self.file {
            Some(file) => vec![file.clone()],
            None => folder.list().into_iter().filter(|file| classify(file) == Kind::Test).collect(),
        }
    }
}

/// The folder that names of workflows start at: `scripts` where the path lies in it, else the folder that is given, or
/// that the file lies in.
fn place(path: &Path, scripts: &Path) -> Result<Place, Fault> {
    let shown = path.display();
    if path.is_dir() {
        return Ok(Place { root: path.to_owned(), file: None });
    }
    let script =
        path.to_str().filter(|text| matches!(classify(text.trim_start_matches(['.', '/'])), Kind::Workflow(_)));
    let path = match script.and_then(|script| script.strip_suffix(".rhai")) {
        Some(name) => PathBuf::from(format!("{name}.test.rhai")),
        None => path.to_owned(),
    };
    if !path.is_file() {
        let hint = "a test file is named after its script: `invoice.test.rhai` beside `invoice.rhai`";
        return Err(Fault::usage(format!("there are no tests `{}`; hint: {hint}", path.display())));
    }
    let inside = path.strip_prefix(scripts).ok().filter(|_| scripts != Path::new("."));
    let root = match inside {
        Some(_) => scripts.to_owned(),
        None => path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(),
    };
    // What is named without a folder lies in this one.
    let within = path.strip_prefix(&root).unwrap_or(&path);
    let file = bundle::relative(Path::new(""), within).filter(|file| classify(file) == Kind::Test);
    let file = file
        .ok_or_else(|| Fault::usage(format!("`{shown}` is no file of tests; hint: its name ends in `.test.rhai`")))?;
    Ok(Place { root, file: Some(file) })
}

fn show(report: &TestReport, took: std::time::Duration, as_json: bool) -> Exit {
    let (passed, failed) = report.counts();
    if as_json {
        let tests: Vec<_> = report.outcomes.iter().map(test_json).collect();
        let coverage: Vec<_> = report.coverage.iter().map(FileCoverage::to_json).collect();
        let mut all = json!({ "passed": passed, "failed": failed, "tests": tests, "diagnostics": report.broken });
        if !coverage.is_empty() {
            all["coverage"] = coverage.into();
        }
        json(&all);
    } else {
        for outcome in &report.outcomes {
            let (word, status) = if outcome.failure.is_some() { ("failed", "failed") } else { ("ok", "completed") };
            let word = Paint::of_status(status).on(Stream::Out, word);
            line(&format!("{word} {} {} ({})", outcome.file, outcome.test, lasted(outcome.took)));
        }
        report.outcomes.iter().for_each(show_failure);
        if !report.coverage.is_empty() {
            show_coverage(&report.coverage);
        }
    }
    report.broken.iter().for_each(diagnostic);
    let summary = format!("{passed} passed, {failed} failed");
    if as_json {
        note(&summary);
    } else {
        note(&format!("in {}", lasted(took)));
        line(&summary);
    }
    match (report.broken.is_empty(), failed) {
        (false, _) => Exit::Usage,
        (true, 0) => Exit::Done,
        (true, _) => Exit::Failed,
    }
}

fn show_failure(outcome: &TestOutcome) {
    outcome.failure.iter().for_each(diagnostic);
    if !outcome.printed.is_empty() {
        note(&format!("printed in `{}`:\n  {}\n", outcome.test, outcome.printed.join("\n").replace('\n', "\n  ")));
    }
}

fn show_coverage(files: &[FileCoverage]) {
    let share = |ways: &[Way]| format!("{}/{}", ways.iter().filter(|way| way.taken).count(), ways.len());
    let missing = |file: &FileCoverage| {
        let steps = file.steps.iter().filter(|way| !way.taken).map(|way| format!("{} step `{}`", way.line, way.what));
        let branches = file.branches.iter().filter(|way| !way.taken).map(|way| format!("{} {}", way.line, way.what));
        steps.chain(branches).collect::<Vec<_>>().join(", ")
    };
    let row = |file: &FileCoverage| vec![file.file.clone(), share(&file.steps), share(&file.branches), missing(file)];
    table(&["file", "steps", "branches", "lines not reached"], &files.iter().map(row).collect::<Vec<_>>());
}

fn test_json(outcome: &TestOutcome) -> serde_json::Value {
    json!({
        "file": outcome.file, "test": outcome.test, "line": outcome.line, "ok": outcome.failure.is_none(),
        "ms": outcome.took.as_secs_f64() * 1000.0, "failure": outcome.failure, "printed": outcome.printed,
    })
}
