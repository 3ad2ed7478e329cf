//! A test file on one thread: it is compiled once, and each of its tests is evaluated by itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rhai::{Dynamic, Engine, EvalAltResult, FnPtr};

use super::book::{Book, Caller, Lines};
use super::broken::{Broken, LIMIT, MISUSE, Res};
use super::case::{Case, Plan};
use super::site::Site;
use crate::diag::{Diagnostic, Place};
use crate::script::bundle::Bundle;
use crate::script::catalog::Catalog;
use crate::script::guard::{Guard, Limits, Stop};
use crate::script::program::{Constants, Prepared, Program};
use crate::script::rewrite;
use crate::script::unwind;

/// The file at hand on a thread: what the functions of tests work on.
#[derive(Default)]
pub(super) struct Slot(RefCell<Option<Rc<Stage>>>);

impl Slot {
    pub(super) fn stage(&self) -> Res<Rc<Stage>> {
        let stage = self.0.borrow().clone();
        stage.ok_or_else(|| {
            Broken::new(MISUSE, "only tests can use this").hint("call it inside of `fn test_…()`").into()
        })
    }
}

/// Lines that are kept of what a test prints: as many as somebody may read.
const MOST_PRINTED: usize = 200;

/// Where the evaluation of a test stands.
#[derive(Clone, Default)]
pub(super) struct Take {
    /// The test.
    pub(super) test: String,
    /// What goes wrong with the workflow of this number, from 0.
    pub(super) plan: Option<(usize, Plan)>,
    /// The evaluation ends at this call of `crash_everywhere`, from 1.
    pub(super) until: Option<usize>,
    /// Workflows so far.
    pub(super) cases: Vec<Rc<Case>>,
    /// Calls of `crash_everywhere` so far.
    pub(super) crashes: usize,
    /// What the test's own file has printed, its mocks included.
    pub(super) printed: Vec<String>,
}

pub(super) struct Stage {
    pub(super) site: Rc<Site>,
    engine: Rc<Engine>,
    program: Program,
    prepared: Prepared,
    catalog: Rc<Catalog>,
    limits: Limits,
    pub(super) taking: RefCell<Take>,
    /// The evaluation came to where it was to end.
    pub(super) reached: Cell<bool>,
}

impl Stage {
    pub(super) fn new(
        site: Rc<Site>,
        engine: Rc<Engine>,
        catalog: Rc<Catalog>,
        path: &str,
        limits: Limits,
    ) -> Result<Rc<Self>, Vec<Diagnostic>> {
        let bundle = site.bundle(path)?;
        let program = Program::compile_with(&engine, &bundle, rewrite::rewrite)?;
        let prepared = program.prepare(&engine, &Constants::default()).map_err(|fault| vec![fault])?;
        Ok(Rc::new(Self {
            site,
            engine,
            program,
            prepared,
            catalog,
            limits,
            taking: RefCell::default(),
            reached: Cell::new(false),
        }))
    }

    /// Evaluates a test; `take` says which, and what goes wrong meanwhile. Also the workflows that the test made.
    pub(super) fn evaluate_with_cases(
        self: &Rc<Self>,
        slot: &Slot,
        take: Take,
    ) -> (Result<Dynamic, Box<EvalAltResult>>, Vec<Rc<Case>>) {
        let (result, taken) = self.take(slot, take);
        (result, taken.cases)
    }

    /// The same; with all that it came to.
    pub(super) fn take(self: &Rc<Self>, slot: &Slot, take: Take) -> (Result<Dynamic, Box<EvalAltResult>>, Take) {
        let test = match FnPtr::new(take.test.as_str()) {
            Ok(test) => test,
            Err(error) => return (Err(error), Take::default()),
        };
        let before = slot.0.replace(Some(Rc::clone(self)));
        let outer = self.taking.replace(take);
        let result = self.bounded(&test);
        let inner = self.taking.replace(outer);
        slot.0.replace(before);
        for case in &inner.cases {
            self.site.begun.borrow_mut().append(&mut case.book.begun.borrow_mut());
        }
        (result, inner)
    }

    /// The test's file prints a line. An evaluation in which something goes wrong on purpose is a repeat: it prints nothing.
    pub(super) fn print(&self, text: &str) {
        let mut take = self.taking.borrow_mut();
        if take.plan.is_none() && take.printed.len() < MOST_PRINTED {
            take.printed.push(text.to_owned());
        }
    }

    /// Calls a test within the limits that a workflow has, too.
    fn bounded(&self, test: &FnPtr) -> Result<Dynamic, Box<EvalAltResult>> {
        let guard = Guard::new(self.limits);
        let entered = guard.enter();
        let result = self.call(test, Vec::new());
        drop(entered);
        match (guard.stopped(), result) {
            (None, result) => result,
            // A test can swallow the error by which it is stopped.
            (Some(stop), Ok(_)) => Err(endless(&stop).into()),
            (Some(stop), Err(error)) => Err(told(*unwind::into_plain(error), &stop).into()),
        }
    }

    /// Calls a function or closure of the file.
    pub(super) fn call(&self, function: &FnPtr, arguments: Vec<Dynamic>) -> Result<Dynamic, Box<EvalAltResult>> {
        self.prepared.call(&self.engine, function, arguments)
    }

    /// Calls a closure with as many arguments as it takes: missing ones are `()`.
    pub(super) fn call_fitting(
        &self,
        closure: &FnPtr,
        mut arguments: Vec<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let functions = self.prepared.body().iter_functions();
        let takes = functions.filter(|known| known.name == closure.fn_name()).map(|known| known.params.len()).max();
        let takes = takes.unwrap_or(arguments.len()).saturating_sub(closure.curry().len());
        arguments.resize(takes, Dynamic::UNIT);
        self.call(closure, arguments)
    }

    /// `test::workflow`: a workflow of the folder, with nothing that has happened.
    pub(super) fn workflow(self: &Rc<Self>, name: &str) -> Rc<Case> {
        let number = self.taking.borrow().cases.len();
        let plan = self.taking.borrow().plan.filter(|(which, _)| *which == number).map(|(_, plan)| plan);
        let (calling, showing) = (Rc::downgrade(self), Rc::downgrade(self));
        let caller: Caller = Rc::new(move |closure, arguments| match calling.upgrade() {
            Some(stage) => stage.call_fitting(closure, arguments),
            None => Ok(Dynamic::UNIT),
        });
        let lines: Lines = Rc::new(move |file, line, token| match showing.upgrade() {
            Some(stage) => stage.place(file, line, token),
            None => Place::file(file),
        });
        let book = Rc::new(Book::new(caller, lines));
        let case = Rc::new(Case::new(name, Rc::clone(&self.site), book, plan.unwrap_or_default()));
        self.taking.borrow_mut().cases.push(Rc::clone(&case));
        case
    }

    /// The place of a word in a line of the folder's files.
    fn place(&self, file: &str, line: u32, token: &str) -> Place {
        let bundle = self.site.bundle(file);
        match bundle.as_ref().ok().and_then(|bundle: &Bundle| bundle.sources.get(file)) {
            Some(source) => {
                let text = source.line(line as usize).unwrap_or_default();
                let at = text.find(token).map_or(0, |at| text[..at].chars().count());
                source.place(line as usize, at + 1, token.chars().count())
            }
            None => Place { line: line as usize, column: 1, width: 1, ..Place::file(file) },
        }
    }

    /// What went wrong in a test, as it is told.
    pub(super) fn diagnose(&self, error: &EvalAltResult) -> Diagnostic {
        let mut diagnostic = self.program.diagnose(&self.engine, error, &self.catalog);
        // Without a run around it, a host function takes the test for a closure.
        if let Some(called) = diagnostic.title.strip_suffix(crate::host::IN_PURE_CLOSURE) {
            diagnostic.title = format!("{called}cannot be called in a test");
            diagnostic.hint =
                Some("host functions are for the workflow; a test drives it: `t.start()`, `t.advance(\"1d\")`".into());
            diagnostic.text = None;
        }
        match Broken::find(error) {
            Some(broken) => broken.tell(diagnostic),
            None => diagnostic,
        }
    }
}

fn endless(stop: &Stop) -> Broken {
    let message = stop.message().replacen("the script", "the test", 1).replacen("the run's", "the test's", 1);
    let message = message.replace("a host function", "the test object");
    Broken::new(LIMIT, message).hint("does a loop of the test never end?")
}

/// The error by which a test was stopped, at its place, in our words.
fn told(error: EvalAltResult, stop: &Stop) -> EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(name, source, inner, at) => {
            EvalAltResult::ErrorInFunctionCall(name, source, told(*inner, stop).into(), at)
        }
        EvalAltResult::ErrorInModule(name, inner, at) => {
            EvalAltResult::ErrorInModule(name, told(*inner, stop).into(), at)
        }
        other => EvalAltResult::ErrorRuntime(Dynamic::from(endless(stop)), other.position()),
    }
}
