//! `panta simulate`: a workflow once, in virtual time, with nothing outside touched.
//!
//! The real engine runs over a store in memory. Effects get the answers that were given, or made-up ones by their kind; events
//! that are waited for come at once, and people answer at once, unless an answer `null` says that nobody does. File functions
//! work in a private folder that is gone afterwards. No socket is opened, and secrets are not asked for.

mod answers;
mod journals;
mod made_up;
mod stand_in;
mod timeline;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::people::Nobody;
use crate::engine::channels::Channels;
use crate::engine::links::Links;
use crate::engine::people::{Directory, Given};
use crate::engine::{Deployed, Error, Inline, Mocks, Options, Settings, Start, Tools, VirtualClock};
use crate::host::schema::Texts;
use crate::host::session::{Ask, What};
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::memory::Memory;
use crate::store::{Event, Run, Store};
use crate::task::Task;
use crate::time::{Clock, Timestamp};
use crate::vault::Vault;

pub use answers::Answers;
use journals::Journals;
pub use made_up::input as made_up_input;
use stand_in::StandIn;
use timeline::Timeline;
pub use timeline::{By, Happening};

/// Things that happen in a dry run, at most: a workflow that is meant to go on for ever is shown long enough by then.
pub const MOST: usize = 1_000;

/// Moments at which something is looked at, at most: polls that find nothing are nothing that happens.
const MOST_MOMENTS: usize = 10_000;

/// What is to be run.
pub struct Dry {
    /// The workflow.
    pub workflow: Arc<str>,
    /// It, and those that it can start.
    pub deployed: Vec<Deployed>,
    /// Its input.
    pub input: Value,
    /// Given answers.
    pub answers: Answers,
    /// When it starts, in virtual time.
    pub at: Timestamp,
    /// Settings for scripts.
    pub settings: Arc<dyn Settings>,
    /// Who can be asked.
    pub people: Arc<Directory>,
    /// Who can be told something.
    pub channels: Arc<Channels>,
}

/// Why a dry run stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// The run ended.
    Ended,
    /// It waits for something that never happens.
    Waits,
    /// [`MOST`] things happened, or it goes round without waiting.
    Endless,
}

/// What came of it.
pub struct Rehearsed {
    /// In order.
    pub happened: Vec<Happening>,
    /// The run at its end; of a chain the last one.
    pub run: Run,
    /// Why it stopped.
    pub stopped: Stopped,
    /// Given answers that nothing asked for.
    pub unused: Vec<String>,
}

/// Runs it, on a thread of its own: the engine drives itself, and its caller may be driven by another. Fails where the input
/// does not fit, or a given answer does not fit a task.
pub fn rehearse(dry: Dry) -> Result<Rehearsed, Error> {
    let internal = || Error::Stopped("an internal error; hint: this is a bug of `panta`, please report it".to_owned());
    let thread = std::thread::Builder::new().name("simulate".into()).stack_size(super::suite::STACK);
    let rehearsing = thread.spawn(move || on_this_thread(dry));
    let rehearsing = rehearsing.map_err(|error| Error::Stopped(format!("the system gives no thread: {error}")))?;
    rehearsing.join().unwrap_or_else(|_| Err(internal()))
}

fn on_this_thread(dry: Dry) -> Result<Rehearsed, Error> {
    let folder = tempfile::tempdir().map_err(|error| Error::Stopped(format!("no temporary folder: {error}")))?;
    let mut stage = Stage::new(dry, folder.path());
    let run = stage.start()?;
    let stopped = stage.drive(run)?;
    let run = stage.engine.handle().newest(run)?;
    let unused = stage.mocks.answers.unused();
    let happened = std::mem::take(&mut stage.mocks.timeline.borrow_mut().happened);
    Ok(Rehearsed { happened, run, stopped, unused })
}

/// A wait that was refused what it was offered: nothing comes any more.
type Place = (RunId, u32);

struct Stage {
    engine: Inline,
    mocks: Rc<StandIn>,
    store: Arc<Memory>,
    workflow: Arc<str>,
    input: Value,
    /// Events that were made up: how far the run's journal was then.
    offered: BTreeMap<Place, usize>,
    /// Waits for which nothing comes.
    left: BTreeSet<(RunId, u64)>,
    events: u64,
    journals: Journals,
}

impl Stage {
    fn new(dry: Dry, folder: &std::path::Path) -> Self {
        let (store, clock) = (Arc::new(Memory::default()), Arc::new(VirtualClock::new(dry.at)));
        let mocks = Rc::new(StandIn {
            answers: dry.answers,
            timeline: RefCell::new(Timeline::default()),
            allowed: dry.deployed.iter().map(|one| (Arc::clone(&one.name), one.allow.clone())).collect(),
            workspace: folder.to_owned(),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            rounds: Cell::new(0),
            count: Cell::new(0),
            polled: RefCell::default(),
        });
        let next = AtomicU64::new(1);
        let options = Options {
            workspace: folder.to_owned(),
            settings: dry.settings,
            secrets: Arc::new(Vault::from_pairs(std::iter::empty())),
            people: dry.people,
            channels: dry.channels,
            evict_after: Duration::MAX,
            notifier: Arc::new(Nobody),
            links: Arc::new(Links::with_key("https://panta.invalid", super::case::LINKS)),
            new_run: Arc::new(move || super::case::run_of(next.fetch_add(1, Ordering::Relaxed))),
            ..Options::new(folder)
        };
        let standing = Rc::clone(&mocks) as Rc<dyn Mocks>;
        let engine = Inline::new(Arc::clone(&store) as Arc<dyn Store>, options, clock, standing, Tools::new());
        dry.deployed.into_iter().for_each(|deployed| engine.handle().deploy(deployed));
        let (offered, left) = (BTreeMap::new(), BTreeSet::new());
        Self {
            engine,
            mocks,
            store,
            workflow: dry.workflow,
            input: dry.input,
            offered,
            left,
            events: 0,
            journals: Journals::default(),
        }
    }

    fn start(&mut self) -> Result<RunId, Error> {
        let (handle, workflow) = (self.engine.handle().clone(), Arc::clone(&self.workflow));
        let start = Start { input: self.input.clone(), ..Start::default() };
        Ok(self.engine.call(async move { handle.start(&workflow, start).await })?.run)
    }

    /// Lets everything happen, one thing after another, until the run ends or nothing happens any more.
    fn drive(&mut self, run: RunId) -> Result<Stopped, Error> {
        for _ in 0..MOST_MOMENTS {
            self.mocks.rounds.set(0);
            let has_settled = self.engine.settle();
            self.journals.read(&self.store, &mut self.mocks.timeline.borrow_mut())?;
            if self.engine.handle().newest(run)?.status.is_final() {
                return Ok(Stopped::Ended);
            }
            if !has_settled || self.mocks.timeline.borrow().happened.len() >= MOST {
                return Ok(Stopped::Endless);
            }
            if self.offer()? {
                continue;
            }
            let Some(next) = self.engine.next_wake() else { return Ok(Stopped::Waits) };
            self.engine.advance(next);
        }
        Ok(Stopped::Endless)
    }

    /// Gives the first wait that can be given something what it waits for; whether there was one.
    fn offer(&mut self) -> Result<bool, Error> {
        let open = self.engine.waits();
        for (run, ask) in &open {
            self.mocks.timeline.borrow_mut().waits(*run, ask, timeline::By::Itself);
        }
        for (run, ask) in open {
            if self.left.contains(&(run, ask.wait.0)) {
                continue;
            }
            let is_offered = match &ask.what {
                What::Event { name, key, .. } => self.emit(run, &ask, name, key.clone())?,
                What::Task { task } => self.answer(run, &ask, task)?,
                _ => false,
            };
            if is_offered {
                return Ok(true);
            }
            self.left.insert((run, ask.wait.0));
        }
        Ok(false)
    }

    fn emit(&mut self, run: RunId, ask: &Ask, name: &Arc<str>, key: Option<Arc<str>>) -> Result<bool, Error> {
        let (given, place) = (self.mocks.answers.take(name), (run, ask.line));
        let by = if given.is_some() { By::Given } else { By::MadeUp };
        let count = self.mocks.timeline.borrow().count(run);
        // `when` refused what was made up before: the same again is refused again.
        if given == Some(Value::Null) || given.is_none() && self.offered.insert(place, count) == Some(count) {
            return Ok(false);
        }
        self.mocks.timeline.borrow_mut().waits(run, ask, by);
        self.events += 1;
        let payload = Payload::from_json(&given.unwrap_or_else(|| Value::Object(serde_json::Map::new())));
        let (id, at) = (format!("made-up-{}", self.events).into(), self.engine.now());
        let event = Event { seq: 0, id, name: Arc::clone(name), key, payload, run: Some(run), at };
        let handle = self.engine.handle().clone();
        self.engine.call(async move { handle.emit(event).await }).map(|_| true)
    }

    fn answer(&mut self, run: RunId, ask: &Ask, task: &Task) -> Result<bool, Error> {
        let given = self.mocks.answers.take(&task.title).or_else(|| self.mocks.answers.take("task::ask"));
        if given == Some(Value::Null) {
            return Ok(false);
        }
        let by = if given.is_some() { By::Given } else { By::MadeUp };
        self.mocks.timeline.borrow_mut().waits(run, ask, by);
        let given = self.answer_of(task, &given.unwrap_or_default());
        let (handle, id) = (self.engine.handle().clone(), task.id);
        match self.engine.call(async { handle.answer(id, &given, &crate::audit::Actor::LOCAL).await }) {
            // Nobody is left who may answer, so nobody does.
            Err(Error::MayNotAnswer(_)) if by == By::MadeUp => Ok(false),
            done => done.map(|_| true),
        }
    }

    /// `{"choice", "data", "by", "note"}`; what is missing is made up.
    fn answer_of(&self, task: &Task, given: &Value) -> Given {
        let text = |name: &str| given[name].as_str().map(str::to_owned);
        let people = self.engine.handle().people();
        let asked = people.recipients(task, &task.to).into_iter().next().map(|name| name.to_string());
        let data = given
            .get("data")
            .cloned()
            .or_else(|| task.form.as_ref().map(|form| made_up::fitting(&form.to_json(), "", self.engine.now())));
        Given {
            choice: text("choice").or_else(|| task.choices.first().map(ToString::to_string)),
            data: data.unwrap_or_default(),
            by: text("by").or(asked).or_else(|| Some("somebody".to_owned())),
            note: text("note"),
            texts: Texts::Strict,
        }
    }
}

#[cfg(test)]
mod tests;
