//! The mocks of one test, and the calls that they answered.
//!
//! An answer is kept by the place of its call in the journal. After a crash a call that was in flight is made again, and gets
//! the answer that it got before, as a service with idempotency keys gives it: it is one call of the test.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, FnPtr, Map};

use super::broken::{Broken, NO_MOCK};
use super::raised::{self, Raised};
use crate::diag::Place;
use crate::effect::Request;
use crate::engine::{Mocked, Mocks};
use crate::host::session::{Answer, Ask, Called, What};
use crate::id::RunId;
use crate::payload::Payload;
use crate::script::value;
use crate::time::Timestamp;

/// What answers a function.
#[derive(Clone)]
pub(super) enum Mock {
    /// Always this.
    Value(Dynamic),
    /// What the closure returns or throws.
    Closure(FnPtr),
    /// Nothing, ever.
    Hang,
}

/// What `test::hang` makes: a mock that returns it never answers that call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hung;

/// Answers each call of a rehearsal: a value, an error of a mock, or [`Hung`].
pub(super) type Prompter = Rc<dyn Fn(RunId, &Called) -> Result<Dynamic, Broken>>;

/// A call that was answered.
#[derive(Clone)]
pub(super) struct Answered {
    pub(super) run: RunId,
    pub(super) called: Rc<Called>,
    pub(super) at: Timestamp,
}

/// Where a call stands: run, place in the journal (or the moment, for polls), attempt.
type Spot = (RunId, String, u32);

/// Calls closures of the test file.
pub(super) type Caller = Rc<dyn Fn(&FnPtr, Vec<Dynamic>) -> Result<Dynamic, Box<EvalAltResult>>>;
/// Finds the line of a file, for showing it.
pub(super) type Lines = Rc<dyn Fn(&str, u32, &str) -> Place>;

pub(super) struct Book {
    functions: RefCell<BTreeMap<String, Mock>>,
    steps: RefCell<BTreeMap<String, Mock>>,
    /// Of a rehearsal: answers in place of all mocks.
    pub(super) prompter: RefCell<Option<Prompter>>,
    /// Durable values that were looked at: workflow and key.
    pub(super) looked_at: RefCell<BTreeSet<(String, String)>>,
    calls: RefCell<Vec<Answered>>,
    answers: RefCell<BTreeMap<Spot, Option<Answer>>>,
    seen: RefCell<BTreeSet<Spot>>,
    /// Steps that have begun, with their workflows.
    pub(super) begun: RefCell<BTreeSet<(String, String)>>,
    /// Calls whose outcome was in the journal when the process died.
    recorded: RefCell<BTreeSet<Spot>>,
    /// Those of them that were made again.
    pub(super) repeated: RefCell<Vec<String>>,
    fault: RefCell<Option<Broken>>,
    /// Functions on files work in a folder of the test's own.
    pub(super) files: Cell<bool>,
    pub(super) now: Cell<Timestamp>,
    caller: Caller,
    lines: Lines,
}

impl Book {
    pub(super) fn new(caller: Caller, lines: Lines) -> Self {
        Self {
            functions: RefCell::default(),
            steps: RefCell::default(),
            prompter: RefCell::default(),
            looked_at: RefCell::default(),
            calls: RefCell::default(),
            answers: RefCell::default(),
            seen: RefCell::default(),
            begun: RefCell::default(),
            recorded: RefCell::default(),
            repeated: RefCell::default(),
            fault: RefCell::default(),
            files: Cell::new(false),
            now: Cell::default(),
            caller,
            lines,
        }
    }

    pub(super) fn set(&self, function: &str, mock: Mock) {
        self.functions.borrow_mut().insert(function.to_owned(), mock);
    }

    pub(super) fn set_step(&self, name: &str, mock: Mock) {
        self.steps.borrow_mut().insert(name.to_owned(), mock);
    }

    /// The calls so far, in order.
    pub(super) fn calls(&self) -> Vec<Answered> {
        self.calls.borrow().clone()
    }

    /// Why the test cannot go on.
    pub(super) fn fault(&self) -> Option<Broken> {
        self.fault.borrow().clone()
    }

    /// The process died when the journal had these outcomes.
    pub(super) fn crashed(&self, recorded: impl IntoIterator<Item = (RunId, String, u32)>) {
        self.recorded.borrow_mut().extend(recorded);
    }

    fn fail(&self, broken: Broken) -> Mocked {
        self.fault.borrow_mut().get_or_insert(broken);
        Mocked::Never
    }

    fn made(&self, run: RunId, called: &Rc<Called>, request: Option<&Request>) -> Mocked {
        let place = match &called.position {
            Some(position) => position.to_string(),
            None => poll(called, self.now.get()),
        };
        let spot = (run, place, called.attempt);
        if self.recorded.borrow().contains(&spot) {
            self.repeated.borrow_mut().push(format!("`{}` (line {})", called.function, called.line));
        }
        let known = self.answers.borrow().get(&spot).cloned();
        if let Some(known) = known {
            return known.map_or(Mocked::Never, Mocked::Answer);
        }
        let found = match request {
            None if *called.function != *"notify" => self.steps.borrow().get(&*called.function).cloned(),
            None | Some(_) => None,
        };
        let rehearsed = self.prompter.borrow().clone().map(|prompter| prompter(run, called)).transpose();
        let rehearsed = match rehearsed {
            Ok(answer) => answer.map(Mock::Value),
            Err(broken) => return self.fail(broken),
        };
        let found = rehearsed.or(found);
        let Some(mock) = found.or_else(|| self.functions.borrow().get(&*called.function).cloned()) else {
            // It tells nobody, and is done: like what else happens inside of the engine.
            if *called.function == *"notify" {
                self.note(run, called, &spot);
                return Mocked::Answer(Answer::Given(Ok(Payload::unit())));
            }
            if self.files.get() && called.function.starts_with("file::") {
                self.note(run, called, &spot);
                return Mocked::Perform;
            }
            return self.fail(self.unanswered(called));
        };
        self.note(run, called, &spot);
        let answer = match self.ask(&mock, called, request) {
            Ok(answer) => answer,
            Err(broken) => return self.fail(broken),
        };
        self.answers.borrow_mut().insert(spot, answer.clone());
        answer.map_or(Mocked::Never, Mocked::Answer)
    }

    /// Counts the call, unless it is one that was in flight when the process died.
    fn note(&self, run: RunId, called: &Rc<Called>, spot: &Spot) {
        if self.seen.borrow_mut().insert(spot.clone()) {
            self.calls.borrow_mut().push(Answered { run, called: Rc::clone(called), at: self.now.get() });
        }
    }

    /// What a message that was sent has: its identifier, another for each.
    fn sent(&self) -> Dynamic {
        let id = Dynamic::from(format!("<sent-{}@panta.invalid>", self.calls.borrow().len()));
        Dynamic::from_map([("id".into(), id.clone()), ("message_id".into(), id)].into_iter().collect())
    }

    fn ask(&self, mock: &Mock, called: &Called, request: Option<&Request>) -> Result<Option<Answer>, Broken> {
        let given = match mock {
            Mock::Hang => return Ok(None),
            Mock::Value(value) => Ok(value.clone()),
            Mock::Closure(closure) => (self.caller)(closure, called.arguments.iter().map(plain).collect()),
        };
        let given = match given {
            Ok(value) => value,
            Err(error) => raised::thrown(&error, &called.function)?,
        };
        if given.is::<Hung>() {
            return Ok(None);
        }
        let given = if given.is_unit() && *called.function == *"mail::send" { self.sent() } else { given };
        Ok(Some(match given.clone().try_cast::<Raised>() {
            Some(Raised(error)) => raised::answer(&error, request),
            None => match raised::refused(&given, &called.function, request) {
                Some(error) => raised::answer(&error, request),
                None => Answer::Given(Ok(value::encode(&given).map_err(|problem| {
                    Broken::new(NO_MOCK, format!("the mock of `{}` gives what is no data: {problem}", called.function))
                })?)),
            },
        }))
    }

    fn unanswered(&self, called: &Called) -> Broken {
        let name = &called.function;
        let value = match name.split_once("::").map_or("", |(namespace, _)| namespace) {
            "http" => "test::response(200, #{})".to_owned(),
            "sql" if &**name == "sql::query" => "[]".to_owned(),
            "sql" => "#{ affected: 1 }".to_owned(),
            "shell" => "#{ code: 0, stdout: \"\", stderr: \"\" }".to_owned(),
            "file" => {
                let hint = "`t.mock(\"NAME\", value)` answers it; after `t.file(path, text)` files work in a folder of the test";
                let mut broken = Broken::new(NO_MOCK, format!("`{name}` has no mock"));
                broken.place = Some((self.lines)(&called.file, called.line, name).into());
                return broken.hint(hint.replace("NAME", name));
            }
            _ => {
                let parameters = ["a", "b", "c", "d"][..called.arguments.len().min(4)].join(", ");
                format!("|{parameters}| ()")
            }
        };
        let mut broken = Broken::new(NO_MOCK, format!("`{name}` has no mock"));
        broken.place = Some((self.lines)(&called.file, called.line, name).into());
        broken.hint(format!("add `t.mock(\"{name}\", {value});` to the test: nothing outside is touched"))
    }
}

impl Mocks for Book {
    fn answer(&self, run: RunId, ask: &Ask) -> Mocked {
        match &ask.what {
            What::Effect { called: Some(called), request, .. } => self.made(run, called, Some(request)),
            What::Stand { called } => self.made(run, called, None),
            _ => Mocked::Never,
        }
    }

    fn stands_for_step(&self, name: &str) -> bool {
        self.steps.borrow().contains_key(name)
    }

    fn begun(&self, workflow: &str, step: &str) {
        self.begun.borrow_mut().insert((workflow.to_owned(), step.to_owned()));
    }

    fn performs_some(&self) -> bool {
        self.files.get()
    }

    /// A file that is there in the mock's mind alone is not looked up.
    fn is_prepared(&self, _: &str, request: &Request) -> bool {
        let Request::File(file) = request else { return false };
        self.prompter.borrow().is_some() || self.functions.borrow().contains_key(&format!("file::{}", file.verb()))
    }

    fn looks_at(&self, workflow: &str, key: &str) {
        self.looked_at.borrow_mut().insert((workflow.to_owned(), key.to_owned()));
    }

    fn functions(&self) -> Vec<String> {
        let names = crate::host::catalog::catalog();
        let known =
            |name: &&String| name.split_once("::").is_some_and(|(namespace, _)| !names.has_namespace(namespace));
        self.functions.borrow().keys().filter(known).cloned().collect()
    }

    fn has_stopped(&self) -> bool {
        self.fault.borrow().is_some()
    }
}

/// Where a call of a poll stands. Polls have no places in the journal: what tells their calls apart is where they are written, what
/// they ask for, and the moment.
fn poll(called: &Called, now: Timestamp) -> String {
    let Called { file, line, column, function, .. } = called;
    format!("{file}:{line}:{column} {function} {} {now}", arguments(called))
}

/// An argument as a mock gets it: secrets as their placeholders, functions of the workflow as `()`.
fn plain(argument: &Dynamic) -> Dynamic {
    if let Some(secret) = argument.clone().try_cast::<crate::script::secret::SecretRef>() {
        return secret.placeholder().into();
    }
    if argument.is_fnptr() {
        return Dynamic::UNIT;
    }
    if let Some(map) = argument.read_lock::<Map>() {
        return Dynamic::from_map(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect());
    }
    if let Some(list) = argument.read_lock::<rhai::Array>() {
        return Dynamic::from_array(list.iter().map(plain).collect());
    }
    argument.flatten_clone()
}

/// The call as a test sees it.
pub(super) fn shown(answered: &Answered) -> Dynamic {
    let called = &answered.called;
    let fields: [(&str, Dynamic); 6] = [
        ("function", called.function.to_string().into()),
        ("args", Dynamic::from_array(called.arguments.iter().map(plain).collect())),
        ("attempt", i64::from(called.attempt).into()),
        ("line", i64::from(called.line).into()),
        ("run", answered.run.to_string().into()),
        ("at", answered.at.to_string().into()),
    ];
    Dynamic::from_map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// The arguments of a call as one text, for comparing.
pub(super) fn arguments(called: &Called) -> String {
    let encoded = value::encode(&Dynamic::from_array(called.arguments.iter().map(plain).collect()));
    encoded.unwrap_or_else(|_| Payload::unit()).text().to_owned()
}
