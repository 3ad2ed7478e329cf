//! One test's workflow: an engine in virtual time over a store in memory, and what the test does with it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rhai::{Dynamic, Map};
use serde_json::Value;

use super::START;
use super::book::Book;
use super::broken::{Broken, MISUSE};
use super::named::Names;
use super::people::Nobody;
use super::site::{Site, Workflows};
use crate::engine::links::Links;
use crate::engine::{Deployed, Error, Inline, Mocks, Options, Start, VirtualClock};
use crate::id::RunId;
use crate::journal::{Entry, History, Kind, Phase};
use crate::payload::Payload;
use crate::script::value;
use crate::store::memory::{Fault, Memory};
use crate::store::{Change, Event, Run, RunFilter, Status, Store};
use crate::time::{Timestamp, format_duration};
use crate::vault::Vault;

/// What goes wrong while a test runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// The process dies at this commit, from 1 on.
    pub(super) crash: Option<(u64, Fault)>,
    /// Every run leaves memory each time it waits.
    pub(super) evict: bool,
}

/// What a test says before anything runs.
#[derive(Default)]
struct Setup {
    settings: BTreeMap<String, Payload>,
    secrets: BTreeMap<String, String>,
    state: Vec<(String, Payload)>,
}

/// Wake-ups of one `advance` at most: a million are some seconds, and surely a loop without end.
const MOST_WAKES: usize = 1_000_000;

/// Starts, events and the like of one test at most: some ten seconds.
const MOST_ACTS: u64 = 20_000;

/// The key of signed addresses: the same each time, and of no worth.
pub(super) const LINKS: [u8; 32] = *b"a key of tests, and of no worth.";

/// Ids of runs are numbers behind this one, so that they are the same each time.
const FIRST_RUN: u128 = 0x018b_cfe5_6800_7000_8000_0000_0000_0000;

pub(super) struct Case {
    pub(super) workflow: Arc<str>,
    pub(super) book: Rc<Book>,
    pub(super) store: Arc<Memory>,
    pub(super) plan: Plan,
    workflows: RefCell<Option<Rc<Workflows>>>,
    site: Rc<Site>,
    clock: Arc<VirtualClock>,
    engine: RefCell<Option<Inline>>,
    setup: RefCell<Setup>,
    files: OnceCell<tempfile::TempDir>,
    next_run: Arc<AtomicU64>,
    /// The largest id that a start of the test was given.
    given: Cell<u64>,
    /// Starts, events and the like so far: gives them ids that are the same each time.
    acts: Cell<u64>,
    /// Acts of the test so far.
    done: Cell<u64>,
    /// Commits before the first act.
    before: Cell<u64>,
    pub(super) crashes: Cell<u64>,
}

pub(super) type Did<T> = Result<T, Broken>;

impl Case {
    pub(super) fn new(workflow: &str, site: Rc<Site>, book: Rc<Book>, plan: Plan) -> Self {
        Self {
            workflow: workflow.into(),
            book,
            store: Arc::default(),
            plan,
            workflows: RefCell::default(),
            site,
            clock: Arc::new(VirtualClock::new(START)),
            engine: RefCell::default(),
            setup: RefCell::default(),
            files: OnceCell::new(),
            next_run: Arc::new(AtomicU64::new(1)),
            given: Cell::new(0),
            acts: Cell::new(0),
            done: Cell::new(0),
            before: Cell::new(0),
            crashes: Cell::new(0),
        }
    }

    /// The names that tests can use.
    pub(super) fn names(&self) -> &Names {
        self.site.names()
    }

    fn before_all(&self, what: &str) -> Did<()> {
        if self.engine.borrow().is_some() {
            let title = format!("`{what}` comes too late: the workflow has begun");
            return Err(
                Broken::new(MISUSE, title).hint(format!("call `{what}` before the first `start`, `fire` or `emit`"))
            );
        }
        Ok(())
    }

    pub(super) fn config(&self, name: &str, value: &Dynamic) -> Did<()> {
        self.before_all("config")?;
        self.setup.borrow_mut().settings.insert(name.to_owned(), encoded("config", value)?);
        Ok(())
    }

    pub(super) fn secret(&self, name: &str, secret: &str) -> Did<()> {
        self.before_all("secret")?;
        let variable: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        self.setup.borrow_mut().secrets.insert(format!("PANTA_SECRET_{variable}"), secret.to_owned());
        Ok(())
    }

    pub(super) fn set_state(&self, key: &str, value: &Dynamic) -> Did<()> {
        self.before_all("state")?;
        self.setup.borrow_mut().state.push((key.to_owned(), encoded("state", value)?));
        Ok(())
    }

    pub(super) fn state(&self, key: &str) -> Did<Dynamic> {
        let value = Store::state(&*self.store, &self.workflow, key).map_err(|error| store_broke(&error))?;
        Ok(value.as_ref().map_or(Dynamic::UNIT, value::decode))
    }

    /// Puts a file into the workflow's own folder; from then on file functions without a mock work there.
    pub(super) fn put_file(&self, path: &str, content: &[u8]) -> Did<()> {
        let place = self.file(path)?;
        let written =
            place.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&place, content));
        self.book.files.set(true);
        written.map_err(|error| Broken::new(MISUSE, format!("the file `{path}` cannot be written: {error}")))
    }

    /// The content of a file of the workflow's own folder.
    pub(super) fn read_file(&self, path: &str) -> Did<Option<Vec<u8>>> {
        Ok(std::fs::read(self.file(path)?).ok())
    }

    fn file(&self, path: &str) -> Did<std::path::PathBuf> {
        let inside =
            std::path::Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside || path.is_empty() {
            let title = format!("`{path}` is not a path within the workflow's folder");
            return Err(Broken::new(MISUSE, title).hint("write it like `inbox/a.csv`"));
        }
        Ok(self.workspace()?.join(&*self.workflow).join(path))
    }

    fn workspace(&self) -> Did<std::path::PathBuf> {
        if let Some(folder) = self.files.get() {
            return Ok(folder.path().to_owned());
        }
        let made = tempfile::tempdir()
            .map_err(|error| Broken::new(MISUSE, format!("no temporary folder can be made: {error}")))?;
        Ok(self.files.get_or_init(|| made).path().to_owned())
    }

    /// Compiles, deploys, and writes what the test has set, where that has not been done.
    fn begin(&self) -> Did<()> {
        if self.engine.borrow().is_some() {
            return Ok(());
        }
        let setup = self.setup.borrow();
        let workflows = self.site.workflows(&setup.settings);
        if let Some(faults) = workflows.broken.get(&*self.workflow) {
            let first = faults.first().map(|fault| fault.title.clone()).unwrap_or_default();
            let mut broken = Broken::new(MISUSE, format!("`{}` does not compile: {first}", self.workflow));
            broken.place = faults.first().map(|fault| fault.place.clone());
            return Err(broken.hint("`panta check` shows all that is wrong"));
        }
        if !workflows.good.iter().any(|deployed| deployed.name == self.workflow) {
            let names = workflows.good.iter().map(|deployed| &*deployed.name);
            let near = crate::diag::suggest::did_you_mean(&self.workflow, names);
            let broken = Broken::new(MISUSE, format!("there is no workflow `{}`", self.workflow));
            return Err(broken
                .hint(near.unwrap_or_else(|| "it is the path below the scripts folder, without `.rhai`".to_owned())));
        }
        *self.workflows.borrow_mut() = Some(workflows);
        let changes = setup.state.iter().map(|(key, value)| Change::SetState {
            scope: Arc::clone(&self.workflow),
            key: key.as_str().into(),
            value: Some(value.clone()),
        });
        self.store.commit(&changes.collect::<Vec<_>>()).map_err(|error| store_broke(&error))?;
        drop(setup);
        let mut engine = self.open()?;
        engine.settle();
        self.before.set(self.store.commits());
        if let Some((n, fault)) = self.plan.crash {
            self.store.fail_at(n, fault);
        }
        *self.engine.borrow_mut() = Some(engine);
        Ok(())
    }

    fn open(&self) -> Did<Inline> {
        let setup = self.setup.borrow();
        let next = Arc::clone(&self.next_run);
        let folder = if self.book.files.get() { self.workspace()? } else { std::path::PathBuf::from("/nonexistent") };
        let options = Options {
            workspace: folder.clone(),
            settings: Arc::new(setup.settings.clone()),
            secrets: Arc::new(Vault::from_pairs(setup.secrets.clone().into_iter())),
            evict_after: if self.plan.evict { Duration::ZERO } else { Duration::MAX },
            notifier: Arc::new(Nobody),
            links: Arc::new(Links::with_key("https://panta.invalid", LINKS)),
            new_run: Arc::new(move || run_of(next.fetch_add(1, Ordering::Relaxed))),
            ..Options::new(&folder)
        };
        let (clock, mocks) = (Arc::clone(&self.clock), Rc::clone(&self.book) as Rc<dyn Mocks>);
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let engine = Inline::new(store, options, clock, mocks, self.site.tools.clone());
        for deployed in &self.workflows.borrow().as_ref().expect("they are compiled before").good {
            engine.handle().deploy(deployed.clone());
        }
        Ok(engine)
    }

    /// Another process over the same store, after the one before died.
    fn restart(&self) -> Did<Inline> {
        self.crashes.set(self.crashes.get() + 1);
        let mut recorded = Vec::new();
        let mut last = self.given.get();
        for run in self.runs(None)? {
            last = last.max(run.id.0.as_u128().saturating_sub(FIRST_RUN) as u64);
            recorded.extend(self.journal(run.id)?.iter().filter_map(|entry| over(run.id, entry)));
        }
        self.book.crashed(recorded);
        // Ids that were lost are given again.
        self.next_run.store(last + 1, Ordering::Relaxed);
        let mut engine = self.open()?;
        engine.recover().map_err(|error| Broken::new(MISUSE, error.to_string()))?;
        Ok(engine)
    }

    /// Does something with the engine, again after a crash in between, and then all that follows from it.
    pub(super) fn act<T>(&self, mut act: impl FnMut(&mut Inline) -> Result<T, Error>) -> Did<Result<T, Error>> {
        self.begin()?;
        self.count()?;
        self.book.now.set(self.now());
        let mut held = self.engine.try_borrow_mut().map_err(|_| {
            Broken::new(MISUSE, "a mock cannot act on the test that it belongs to")
                .hint("act after the call that led here")
        })?;
        let engine = held.as_mut().expect("it has begun");
        let done = loop {
            match act(engine) {
                Err(_) if engine.trouble().is_some() => *engine = self.restart()?,
                done => break done,
            }
        };
        self.settle(engine)?;
        crate::script::guard::rest();
        Ok(done)
    }

    fn settle(&self, engine: &mut Inline) -> Did<()> {
        self.book.now.set(engine.now());
        while !engine.settle() {
            self.stopped(engine)?;
        }
        Ok(())
    }

    /// The engine stopped: the test is over, or a process that died is followed by the next one.
    fn stopped(&self, engine: &mut Inline) -> Did<()> {
        if let Some(broken) = self.book.fault() {
            return Err(broken);
        }
        *engine = self.restart()?;
        Ok(())
    }

    /// Acts without end are no test.
    fn count(&self) -> Did<()> {
        self.done.set(self.done.get() + 1);
        if self.done.get() <= MOST_ACTS {
            return Ok(());
        }
        let broken =
            Broken::new(super::broken::LIMIT, format!("more than {MOST_ACTS} starts, events and the like in a test"));
        Err(broken.hint("does a loop of the test never end?"))
    }

    fn number(&self) -> u64 {
        self.acts.set(self.acts.get() + 1);
        self.acts.get()
    }

    pub(super) fn refused(error: &Error) -> Broken {
        Broken::told(MISUSE, &error.to_string())
    }

    /// Starts the workflow.
    pub(super) fn start(&self, input: &Dynamic) -> Did<String> {
        let input = json("start", input)?;
        self.start_with(&Start { input, ..Start::default() }).map(|run| run.to_string())
    }

    /// Starts the workflow as a trigger does; of a key that came before it is the run that it started.
    pub(super) fn start_with(&self, given: &Start) -> Did<RunId> {
        self.begin()?;
        self.given.set(self.next_run.fetch_add(1, Ordering::Relaxed));
        let run = run_of(self.given.get());
        let started = self.act(|engine| {
            let handle = engine.handle().clone();
            let start = Start { run: Some(run), ..given.clone() };
            let workflow = Arc::clone(&self.workflow);
            engine.call(async move { handle.start(&workflow, start).await })
        })?;
        match started {
            Ok(started) => Ok(started.run),
            // What a repeat says does not matter.
            Err(Error::KeyConflict { run, .. }) if given.key_scope.is_some() => Ok(run),
            Err(error) => Err(Self::refused(&error)),
        }
    }

    /// Looks at the engine.
    pub(super) fn with_engine<T>(&self, look: impl FnOnce(&Inline) -> Did<T>) -> Did<T> {
        self.begin()?;
        look(self.engine.borrow().as_ref().expect("it has begun"))
    }

    /// The workflow as it is deployed.
    pub(super) fn deployed(&self) -> Did<Deployed> {
        self.begin()?;
        let workflows = self.workflows.borrow();
        let all = workflows.as_ref().expect("they are compiled").good.iter();
        Ok(all.into_iter().find(|deployed| deployed.name == self.workflow).expect("it is looked for before").clone())
    }

    /// Emits an event; the ids of the runs that it started.
    pub(super) fn emit(&self, name: &str, payload: &Dynamic, options: &Map) -> Did<Vec<RunId>> {
        let text = |key: &str| options.get(key).filter(|value| !value.is_unit()).map(ToString::to_string);
        if let Some(unknown) = options.keys().find(|key| !matches!(key.as_str(), "key" | "id")) {
            return Err(Broken::new(MISUSE, format!("`emit` has no option `{unknown}`")).hint("known: key, id"));
        }
        let id = text("id").unwrap_or_else(|| format!("event-{}", self.number()));
        let payload = Payload::from_json(&json("emit", payload)?);
        let emitted = self.act(|engine| {
            let event = Event {
                seq: 0,
                id: id.as_str().into(),
                name: name.into(),
                key: text("key").map(Into::into),
                payload: payload.clone(),
                run: None,
                at: engine.now(),
            };
            let handle = engine.handle().clone();
            engine.call(async move { handle.emit(event).await })
        })?;
        emitted.map_err(|error| Self::refused(&error))?;
        // What it started is asked of the store: after a crash it was emitted already, and the answer names none.
        let mut started: Vec<_> =
            self.runs(None)?.into_iter().filter(|run| run.trigger.to_json()["event"] == *id).collect();
        started.reverse();
        Ok(started.into_iter().map(|run| run.id).collect())
    }

    /// Lets time pass, and all happen that is due in it.
    pub(super) fn advance(&self, duration: &str) -> Did<()> {
        let duration =
            crate::time::parse_duration(duration).map_err(|error| Broken::told(MISUSE, &error.to_string()))?;
        self.act(|_| Ok(()))?.map_err(|error| Self::refused(&error))?;
        let mut held = self.engine.borrow_mut();
        let engine = held.as_mut().expect("it has begun");
        let until = engine.now().plus(duration);
        for _ in 0..MOST_WAKES {
            self.book.now.set(engine.next_wake().unwrap_or(until).min(until).max(engine.now()));
            match engine.advance(until) {
                Some(true) => {
                    crate::script::guard::rest();
                    return Ok(());
                }
                Some(false) => {}
                None => self.stopped(engine)?,
            }
            self.settle(engine)?;
            if engine.now() == until && engine.next_wake().is_none_or(|at| at > until) {
                crate::script::guard::rest();
                return Ok(());
            }
        }
        let title = format!("more than {MOST_WAKES} wake-ups in {}", format_duration(duration));
        Err(Broken::new(MISUSE, title).hint("does a loop of the workflow wait for no time?"))
    }

    /// The next moment at which something happens by itself.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.engine.borrow().as_ref().and_then(Inline::next_wake)
    }

    /// Asks the run to end.
    pub(super) fn cancel(&self) -> Did<()> {
        let run = self.need_run()?.id;
        let tries = Cell::new(0);
        let done = self.act(|engine| {
            tries.set(tries.get() + 1);
            let handle = engine.handle().clone();
            let done = engine
                .call(async move { handle.cancel(run, "cancelled by the test", &crate::audit::Actor::LOCAL).await });
            match done {
                // Taken before the process died.
                Err(Error::Ended(..)) if tries.get() > 1 => Ok(()),
                done => done,
            }
        })?;
        done.map_err(|error| Self::refused(&error))
    }

    pub(super) fn now(&self) -> Timestamp {
        crate::time::Clock::now(&*self.clock)
    }

    /// Commits since the first act.
    pub(super) fn commits(&self) -> u64 {
        self.store.commits() - self.before.get()
    }

    /// Runs, newest first: of one workflow, or all.
    pub(super) fn runs(&self, workflow: Option<&str>) -> Did<Vec<Run>> {
        let filter = RunFilter { workflow: workflow.map(str::to_owned), limit: usize::MAX, ..RunFilter::default() };
        self.store.runs(&filter).map_err(|error| store_broke(&error))
    }

    /// The newest run of the workflow.
    pub(super) fn run(&self) -> Did<Option<Run>> {
        Ok(self.runs(Some(&self.workflow))?.into_iter().next())
    }

    pub(super) fn need_run(&self) -> Did<Run> {
        self.run()?.ok_or_else(|| {
            Broken::new(MISUSE, format!("no run of `{}` was started", self.workflow))
                .hint("`t.start(input)` starts one")
        })
    }

    /// What the run returned.
    pub(super) fn output(&self) -> Did<Dynamic> {
        let run = self.need_run()?;
        if run.status == Status::Completed {
            return Ok(run.output.as_ref().map_or(Dynamic::UNIT, value::decode));
        }
        let why = match &run.error {
            Some(error) => error.to_json()["message"].as_str().unwrap_or_default().to_owned(),
            None => format!("it waits for {}", run.waiting_for),
        };
        let title = format!("the run is `{}`, so it has no output", run.status.name());
        Err(Broken::new(super::broken::ASSERTION, title).text(why))
    }

    pub(super) fn journal(&self, run: RunId) -> Did<Vec<Entry>> {
        let segments = self.store.journal(run).map_err(|error| store_broke(&error))?;
        let history = History::read(segments).map_err(|error| Broken::new(MISUSE, error.to_string()))?;
        Ok(history.into_entries())
    }

    /// Lines of the logs of all runs, the oldest run first.
    pub(super) fn logs(&self) -> Did<Vec<Map>> {
        let mut lines = Vec::new();
        for run in self.runs(None)?.into_iter().rev() {
            for entry in self.journal(run.id)?.into_iter().filter(|entry| entry.kind == Kind::Log) {
                let message = entry.outcome.and_then(Result::ok).as_ref().map_or(Dynamic::UNIT, value::decode);
                let mut line = Map::new();
                line.insert("level".into(), entry.name.to_string().into());
                line.insert("message".into(), message);
                line.insert("fields".into(), entry.detail.as_ref().map_or(Dynamic::UNIT, value::decode));
                line.insert("line".into(), i64::from(entry.line).into());
                lines.push(line);
            }
        }
        Ok(lines)
    }
}

/// The id of the first run that a test starts.
pub(super) fn first_run() -> RunId {
    run_of(1)
}

pub(super) fn run_of(number: u64) -> RunId {
    RunId(uuid::Uuid::from_u128(FIRST_RUN + u128::from(number)))
}

/// The calls whose outcome an entry records.
fn over(run: RunId, entry: &Entry) -> Option<(RunId, String, u32)> {
    if entry.kind != Kind::Effect {
        return None;
    }
    match (entry.phase, entry.due) {
        (Phase::Closed, _) => Some((run, entry.position.to_string(), entry.attempt)),
        // The attempt before failed; the next one is due then.
        (Phase::Opened, Some(_)) if entry.attempt > 1 => Some((run, entry.position.to_string(), entry.attempt - 1)),
        (Phase::Opened | Phase::Given, _) => None,
    }
}

pub(super) fn store_broke(error: &crate::store::Error) -> Broken {
    Broken::told(MISUSE, &error.to_string())
}

fn encoded(what: &str, value: &Dynamic) -> Did<Payload> {
    value::encode(value).map_err(|problem| Broken::new(MISUSE, format!("`{what}` takes data: {problem}")))
}

/// A value as it comes from outside.
pub(super) fn json(what: &str, value: &Dynamic) -> Did<Value> {
    let text = value::to_json_text(value, false)
        .map_err(|problem| Broken::new(MISUSE, format!("`{what}` takes data: {problem}")))?;
    serde_json::from_str(&text).map_err(|error| Broken::new(MISUSE, format!("`{what}` takes data: {error}")))
}
