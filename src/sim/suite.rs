//! All tests of a scripts folder, in parallel: each by itself, with a store and a clock of its own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rhai::Engine;

use super::broken::{Broken, MISUSE};
use super::coverage::{self, FileCoverage, Gone};
use super::functions;
use super::site::{Folder, Site};
use super::stage::{Slot, Stage, Take};
use crate::diag::{Diagnostic, Place};
use crate::engine::{Tools, script_engine};
use crate::host::catalog;
use crate::script::catalog::Catalog;
use crate::script::guard::Limits;
use crate::script::lex;
use crate::script::sandbox::seen;
use crate::script::source::Source;

/// Stack of a thread that evaluates tests. A test calls workflows that call mocks: 64 MiB of address space, used when touched.
pub(super) const STACK: usize = 64 << 20;

/// Lines that are shown of the logs of a failed test's runs.
const MOST_LOGGED: usize = 200;

/// Which tests, and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Test files, by their paths below the folder.
    pub files: Vec<String>,
    /// Only tests whose name or file has this text.
    pub filter: Option<String>,
    /// Tell which steps and branches they go through.
    pub coverage: bool,
    /// What a test may use, between two calls of the test object.
    pub limits: Limits,
    /// Threads; as many as there are cores where it is 0.
    pub threads: usize,
}

/// How one test went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its file.
    pub file: String,
    /// The name of its function.
    pub test: String,
    /// The line of that.
    pub line: usize,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub failure: Option<Diagnostic>,
    /// Where it failed: what its file printed, then the lines of the logs of its runs, `print` among them.
    pub printed: Vec<String>,
}

/// How all of them went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By file and line.
    pub outcomes: Vec<Outcome>,
    /// What is wrong with files that do not compile.
    pub broken: Vec<Diagnostic>,
    /// What the tests went through, where that was asked for.
    pub coverage: Vec<FileCoverage>,
}

impl Report {
    /// How many passed, and how many did not.
    pub fn counts(&self) -> (usize, usize) {
        let failed = self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        (self.outcomes.len() - failed, failed)
    }
}

/// A test that is there.
struct Found {
    file: String,
    test: String,
    line: usize,
}

/// Runs the tests that are selected.
pub fn run(folder: &Arc<Folder>, selection: &Selection) -> Report {
    let (tests, mut broken) = found(folder, selection);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(tests.len()));
    let faults = Mutex::new(Vec::new());
    let gone = Mutex::new(Gone::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if selection.threads == 0 { cores } else { selection.threads }.clamp(1, tests.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let work = || {
                let mut desk = Desk::new(Arc::clone(folder), selection);
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match desk.test(test) {
                        Ok(outcome) => outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome),
                        Err(more) => faults.lock().unwrap_or_else(PoisonError::into_inner).extend(more),
                    }
                }
                let mut gone = gone.lock().unwrap_or_else(PoisonError::into_inner);
                gone.places.extend(seen::take());
                gone.steps.append(&mut desk.site.begun.borrow_mut());
            };
            let thread = std::thread::Builder::new().name("test".into()).stack_size(STACK);
            thread.spawn_scoped(scope, work).expect("the system gives a thread");
        }
    });
    broken.extend(faults.into_inner().unwrap_or_else(PoisonError::into_inner));
    crate::diag::sort(&mut broken);
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by(|a: &Outcome, b: &Outcome| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
    let coverage = if selection.coverage { covered(folder, &gone) } else { Vec::new() };
    Report { outcomes, broken, coverage }
}

fn covered(folder: &Arc<Folder>, gone: &Gone) -> Vec<FileCoverage> {
    let tools = Tools::new();
    coverage::of(&Site::new(Arc::clone(folder), tools), &script_engine(), gone)
}

/// The tests of the selected files: functions whose names begin with `test_`.
fn found(folder: &Folder, selection: &Selection) -> (Vec<Found>, Vec<Diagnostic>) {
    let mut tests = Vec::new();
    let mut broken = Vec::new();
    for file in &selection.files {
        let source = match folder.sources.read(file) {
            Ok(source) => source,
            Err(fault) => {
                broken.push(fault);
                continue;
            }
        };
        let wanted =
            |name: &str| selection.filter.as_deref().is_none_or(|text| name.contains(text) || file.contains(text));
        tests.extend(tests_of(&source).into_iter().filter(|(name, _)| wanted(name)).map(|(test, line)| Found {
            file: file.clone(),
            test,
            line,
        }));
    }
    (tests, broken)
}

fn tests_of(source: &Source) -> Vec<(String, usize)> {
    let tokens = lex::code(&source.text);
    let functions = tokens.windows(2).filter(|pair| pair[0].text == "fn" && pair[1].text.starts_with("test_"));
    functions.map(|pair| (pair[1].text.to_owned(), pair[1].line)).collect()
}

/// What one thread has: script engines, and the files that it has compiled.
struct Desk {
    site: Rc<Site>,
    engine: Rc<Engine>,
    slot: Rc<Slot>,
    catalog: Rc<Catalog>,
    limits: Limits,
    stages: BTreeMap<String, Result<Rc<Stage>, Vec<Diagnostic>>>,
}

impl Desk {
    fn new(folder: Arc<Folder>, selection: &Selection) -> Self {
        let slot = Rc::new(Slot::default());
        let mut engine = script_engine();
        functions::register(&mut engine, &slot);
        let tools = if selection.coverage { Tools::marking() } else { Tools::new() };
        let site = Rc::new(Site::new(folder, tools));
        Self {
            site,
            engine: Rc::new(engine),
            slot,
            catalog: catalog::catalog(),
            limits: selection.limits,
            stages: BTreeMap::new(),
        }
    }

    fn test(&mut self, test: &Found) -> Result<Outcome, Vec<Diagnostic>> {
        let stage = self.stages.entry(test.file.clone()).or_insert_with(|| {
            Stage::new(
                Rc::clone(&self.site),
                Rc::clone(&self.engine),
                Rc::clone(&self.catalog),
                &test.file,
                self.limits,
            )
        });
        let stage = stage.as_ref().map_err(Clone::clone)?;
        let began = crate::time::elapsed();
        let take = Take { test: test.test.clone(), ..Take::default() };
        let evaluated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.take(&self.slot, take)));
        let (failure, printed) = match evaluated {
            Ok((Ok(_), _)) => (None, Vec::new()),
            Ok((Err(error), taken)) => (Some(stage.diagnose(&error)), printed(taken)),
            Err(_) => (Some(panicked(test)), Vec::new()),
        };
        // An empty loop has no place of its own.
        let failure = failure.map(|mut failure| {
            if failure.place.line == 0 {
                failure.place = Place { line: test.line, column: 1, width: 1, ..Place::file(&test.file) }.into();
            }
            failure
        });
        let took = crate::time::elapsed().saturating_sub(began);
        Ok(Outcome { file: test.file.clone(), test: test.test.clone(), line: test.line, took, failure, printed })
    }
}

/// What a test printed, and what its runs logged.
fn printed(taken: Take) -> Vec<String> {
    let logged = taken.cases.iter().flat_map(|case| case.logs().unwrap_or_default());
    let text = |line: &rhai::Map, key: &str| line.get(key).map(ToString::to_string).unwrap_or_default();
    let logged = logged.map(|line| format!("{}: {}", text(&line, "level"), text(&line, "message")));
    taken.printed.into_iter().chain(logged.take(MOST_LOGGED)).collect()
}

fn panicked(test: &Found) -> Diagnostic {
    let place = Place { line: test.line, column: 1, width: 1, ..Place::file(&test.file) };
    let broken =
        Broken::new(MISUSE, "internal error while the test ran").hint("this is a bug of `panta`, please report it");
    broken.tell(Diagnostic::new(MISUSE, "", place))
}

#[cfg(test)]
mod names;
#[cfg(test)]
mod tests;
