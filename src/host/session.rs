//! What host functions share with the engine while a run is evaluated.
//!
//! A [`Session`] is one activation of a run; a [`Strand`] is one line of execution in it: the run itself, a branch, a
//! clean-up. Host functions put what they need performed into the outbox and suspend; the engine answers through the
//! strand. A strand waits for one thing at a time.

mod abandoned;
mod asks;
mod marks;
mod open_steps;
mod repaired;
mod strand;
mod world;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, Engine, Map};

use super::branches::Groups;
use super::chain::Continuation;
use super::cleanup::Frames;
use super::fail::Fail;
use super::mailbox::Mailbox;
use super::rules::Rules;
use crate::effect;
use crate::id::{RunId, Version};
use crate::journal::{Entry, Kind, Position};
use crate::payload::Payload;
use crate::replay::{Command, Divergence, Interruption, Replay, Site};
use crate::script::fiber::{self, Pause};
use crate::script::guard::{Guard, Outcome, Stop};
use crate::script::memory;
use crate::script::secret;
use crate::script::value;
use crate::time::Timestamp;

pub use abandoned::abandoned;
pub use asks::{Answer, Ask, Called, ChildStart, EventSeen, What};
pub use marks::{hash_arguments, origin, unmarked_bytes, unmarked_here, unmarked_value};
pub use open_steps::OpenSteps;
pub use strand::{Mode, Strand, StrandId, WaitId};
pub use world::{Act, Batch, Reservation, Reserved, World};

/// What is fixed for a run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Identity.
    pub run: RunId,
    /// Workflow.
    pub workflow: Arc<str>,
    /// Version.
    pub version: Version,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What started it.
    pub trigger: Payload,
    /// What the chain that it belongs to has taken of the mailbox before it.
    pub mailbox: Mailbox,
    /// What its workflow lays down.
    pub rules: Rc<Rules>,
    /// Of a copy of another run: that one, and how many outcomes it brought. Up to there chance is the other's.
    pub forked: Option<(RunId, usize)>,
}

/// A strand that is to be made: its body runs on a fiber of its own.
pub struct Spawn {
    /// The strand.
    pub strand: Rc<Strand>,
    /// What it does.
    pub body: Box<dyn FnOnce() -> Outcome<Dynamic>>,
}

/// Due before anything that a script can wait for.
const AT_ONCE: Timestamp = Timestamp(0);

/// What an error means, as a diagnostic, and where it arose.
pub type Explain = Rc<dyn Fn(&rhai::EvalAltResult) -> crate::diag::Diagnostic>;

/// One activation of a run.
pub struct Session {
    /// What is fixed.
    pub facts: Facts,
    /// The journal and how far the script has come.
    pub replay: RefCell<Replay>,
    /// CPU, memory, stack, cancellation.
    pub guard: Rc<Guard>,
    /// The engine of this worker.
    pub engine: Rc<Engine>,
    /// Surroundings.
    pub world: Rc<dyn World>,
    /// What may be touched.
    pub allow: Rc<effect::Allow>,
    /// The time of this turn, by the clock.
    pub turn: Cell<Timestamp>,
    /// The time as the run sees it: that of the last recorded outcome while it is replayed, then that of the turn.
    pub now: Cell<Timestamp>,
    /// The replay has come to the present: `now` is the time of the turn.
    present: Cell<bool>,
    /// What an error of the script's own code means.
    pub explain: RefCell<Option<Explain>>,
    /// What is to be performed.
    pub outbox: RefCell<Vec<Ask>>,
    /// Acts of the entries that are not flushed yet.
    pub acts: RefCell<Vec<Act>>,
    /// Strands to be made.
    pub spawns: RefCell<VecDeque<Spawn>>,
    /// Strands to be dropped.
    pub drops: RefCell<Vec<StrandId>>,
    /// No other strand could go on when the one that runs was resumed.
    pub alone: Cell<bool>,
    /// Strands that can go on.
    pub woken: RefCell<VecDeque<StrandId>>,
    /// Strands that wait for a recorded outcome, by its index.
    pub awaiting: RefCell<HashMap<usize, StrandId>>,
    /// Branches that belong together.
    pub groups: RefCell<Groups>,
    /// Compensations and clean-ups.
    pub frames: RefCell<Frames>,
    /// Events that this run, and its chain before it, has taken.
    pub mailbox: RefCell<Mailbox>,
    /// The run that is to go on in its place.
    pub continuing: RefCell<Option<Continuation>>,
    /// The newest progress, until it is handed to the log.
    pub progress: RefCell<Option<Payload>>,
    /// What was spent with models, by name, in this activation and while it was replayed.
    pub spent: RefCell<BTreeMap<String, effect::ai::Spent>>,
    /// Settings that were read, by name: fixed for the run.
    pub settings: RefCell<BTreeMap<String, Payload>>,
    /// The journal and the script disagree.
    pub diverged: RefCell<Option<Divergence>>,
    /// At least one compensation ran; at least one failed for good.
    pub rolled_back: Cell<(bool, bool)>,
    /// Compensations that ran, and the commands that they undid.
    pub undone: RefCell<Vec<(Position, Position)>>,
    /// Steps that have begun and not ended, and their names.
    pub open_steps: OpenSteps,
    /// Strands that begin nothing new as long as the run is held.
    pub halted: RefCell<Vec<StrandId>>,
    /// It has asked for a folder of its own, in this activation or while it was replayed.
    pub has_folder: Cell<bool>,
    /// Lines written to the log in this activation.
    pub logged: Cell<usize>,
    /// The step around each line that is not flushed yet.
    pub steps: RefCell<Vec<Option<Arc<str>>>>,
    next: Cell<u64>,
}

thread_local! {
    static CURRENT: RefCell<Option<(Rc<Session>, Rc<Strand>)>> = const { RefCell::new(None) };
}

/// The session and the strand that run on this thread.
pub fn current() -> Option<(Rc<Session>, Rc<Strand>)> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes them the current ones; returns the ones before.
pub fn set_current(current: Option<(Rc<Session>, Rc<Strand>)>) -> Option<(Rc<Session>, Rc<Strand>)> {
    secret::set_marks(current.as_ref().map(|(session, _)| Rc::clone(&session.world) as Rc<dyn secret::Marks>));
    CURRENT.replace(current)
}

impl Session {
    /// An activation with this journal.
    pub fn new(
        facts: Facts,
        journal: Vec<Entry>,
        guard: Rc<Guard>,
        engine: Rc<Engine>,
        world: Rc<dyn World>,
        allow: Rc<effect::Allow>,
    ) -> Rc<Self> {
        let own = |entry: &&Entry| entry.kind != Kind::Repair;
        let began = journal.iter().find(own).map_or(facts.accepted_at, |entry| entry.started_at);
        let mailbox = RefCell::new(facts.mailbox.clone());
        let replay = Replay::new(journal);
        guard.live.set(replay.is_live());
        let present = Cell::new(!replay.has_more());
        Rc::new(Self {
            facts,
            replay: RefCell::new(replay),
            guard,
            engine,
            world,
            allow,
            turn: Cell::new(began),
            now: Cell::new(began),
            present,
            explain: RefCell::default(),
            outbox: RefCell::default(),
            acts: RefCell::default(),
            spawns: RefCell::default(),
            drops: RefCell::default(),
            alone: Cell::new(false),
            woken: RefCell::default(),
            awaiting: RefCell::default(),
            groups: RefCell::default(),
            frames: RefCell::default(),
            mailbox,
            continuing: RefCell::default(),
            progress: RefCell::default(),
            spent: RefCell::default(),
            settings: RefCell::default(),
            diverged: RefCell::new(None),
            rolled_back: Cell::new((false, false)),
            undone: RefCell::default(),
            open_steps: OpenSteps::default(),
            halted: RefCell::default(),
            has_folder: Cell::new(false),
            logged: Cell::new(0),
            steps: RefCell::default(),
            next: Cell::new(1),
        })
    }

    /// The next number for strands, waits and groups of this activation.
    pub fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// Whether the run is inside the body of a `lock`, in any of its branches.
    pub fn holds_lock(&self) -> bool {
        self.frames.borrow().holds_lock()
    }

    /// Waits for something outside of the script.
    pub fn wait(&self, strand: &Strand, line: u32, what: What) -> Answer {
        let wait = WaitId(self.number());
        strand.wait.set(Some(wait));
        let step = strand.step.borrow().clone();
        self.outbox.borrow_mut().push(Ask { wait, strand: strand.id, what, line, step, since: self.now.get() });
        self.suspend(strand)
    }

    /// Suspends until there is an answer.
    pub fn suspend(&self, strand: &Strand) -> Answer {
        loop {
            fiber::suspend(Pause::Waiting);
            if let Some(answer) = strand.answer.take() {
                strand.wait.set(None);
                strand.must_wait.set(false);
                self.guard.host_call();
                return answer;
            }
        }
    }

    /// Waits until the recorded outcome with this index is next, and takes it.
    pub fn recorded(&self, strand: &Strand, index: usize) -> Entry {
        if !(self.others_wait() && self.replay.borrow().is_next(index)) {
            self.awaiting.borrow_mut().insert(index, strand.id);
            self.suspend(strand);
        }
        let entry = self.replay.borrow_mut().take(index);
        self.took(&entry);
        entry
    }

    /// Every strand but the one that runs waits.
    fn others_wait(&self) -> bool {
        self.alone.get()
            && self.spawns.borrow().is_empty()
            && self.drops.borrow().is_empty()
            && self.woken.borrow().is_empty()
    }

    /// From the end of the journal on, limits of computing apply.
    pub fn mark_live(&self) {
        if !self.guard.live.get() && self.replay.borrow().is_live() {
            self.guard.live.set(true);
            self.guard.host_call();
        }
        if !self.replay.borrow().has_more() {
            self.face();
        }
    }

    /// The time of the turn, for what is not recorded: where all outcomes are used up, but what had begun has not been asked
    /// for again, it is still the time of the last outcome, at which that was asked for.
    pub fn face(&self) {
        if !self.present.get() && self.replay.borrow().is_live() {
            self.present.set(true);
            self.now.set(self.turn.get());
        }
    }

    /// Waits until all recorded outcomes are used up. That comes before anything that is due by then.
    pub fn reach_end(&self, strand: &Strand, line: u32) {
        while !self.replay.borrow().is_live() {
            self.pass_turn(strand, line);
        }
    }

    /// Waits until the replay has come to the present.
    pub fn reach_present(&self, strand: &Strand, line: u32) {
        if !self.present.get() {
            self.pass_turn(strand, line);
        }
    }

    /// Lets all others go on until they wait. What it waits for itself is still to come.
    fn pass_turn(&self, strand: &Strand, line: u32) {
        let must_wait = strand.must_wait.get();
        self.wait(strand, line, What::Until { due: AT_ONCE, retry_of: None });
        strand.must_wait.set(must_wait);
    }

    /// A turn begins.
    pub fn begin_turn(&self, now: Timestamp) {
        self.turn.set(now);
        if self.present.get() {
            self.now.set(now);
        }
    }

    /// The time at which a strand issues its next command.
    pub fn time_of_next(&self, strand: &Strand) -> Timestamp {
        if !self.present.get() && self.replay.borrow().known_of_next(strand.scope.get()).is_none() {
            self.face();
        }
        self.now.get()
    }

    /// A recorded outcome was taken: it is the time at which the replay is.
    pub fn took(&self, entry: &Entry) {
        self.now.set(entry.ended_at);
        self.guard.host_call();
        if let Some((_, strand)) = current() {
            self.arm(&strand);
        }
        self.mark_live();
    }

    /// Where a strand computes.
    pub fn interruption(&self, strand: &Strand) -> Interruption {
        Interruption { scope: self.replay.borrow().scopes.path(strand.home).to_vec(), ticks: strand.ticks.get() }
    }

    /// During a replay: has a strand stopped where the first execution was interrupted, if that comes next in the journal.
    pub fn arm(&self, strand: &Strand) {
        if self.guard.live.get() {
            return;
        }
        let replay = self.replay.borrow();
        let next = replay.interruption().filter(|next| next.scope == replay.scopes.path(strand.home));
        self.guard.reach(next.map(|next| next.ticks));
    }

    /// The run stops: the script and the journal disagree.
    pub fn diverge(&self, divergence: Divergence) -> Fail {
        self.diverged.borrow_mut().get_or_insert(divergence);
        self.guard.stop(Stop::Cancelled);
        Fail::Stopped
    }

    /// The call that has just stopped its script: where that was a divergence, this is what issued the command.
    pub fn stopped_by(&self, line: u32, site: impl FnOnce() -> Site) {
        if let Some(divergence) = &mut *self.diverged.borrow_mut()
            && divergence.attempted_by.is_none()
            && divergence.attempted.as_ref().is_some_and(|(_, _, at)| *at == line)
        {
            divergence.attempted_by = Some(Box::new(site()));
        }
    }

    /// Appends an outcome and returns it as the script gets it: decoded from what was recorded. A command that waits, but had
    /// no reason to, lets the other strands go on first, as they do in a replay.
    pub fn close(&self, entry: Entry, outcome: Result<Payload, Payload>) -> Result<Dynamic, Fail> {
        self.record(entry, outcome, outcome_value)
    }

    /// The same for the outcome of an effect whose value is at hand: what reading it back from the journal would give.
    pub fn close_with(&self, entry: Entry, recorded: Payload, value: Dynamic) -> Dynamic {
        debug_assert!(same_when_read(&recorded, &value), "the journal gives another value back than {value:?}");
        self.record(entry, Ok(recorded), |_| ());
        value
    }

    fn record<R>(
        &self,
        mut entry: Entry,
        outcome: Result<Payload, Payload>,
        read: impl FnOnce(&Result<Payload, Payload>) -> R,
    ) -> R {
        while self.world.is_frozen() {
            fiber::suspend(Pause::Waiting);
        }
        if let Some((_, strand)) = current()
            && strand.must_wait.take()
        {
            self.wait(&strand, entry.line, What::Until { due: self.now.get(), retry_of: None });
        }
        self.face();
        entry.phase = crate::journal::Phase::Closed;
        entry.ended_at = self.now.get();
        let value = read(&outcome);
        entry.outcome = Some(outcome);
        self.replay.borrow_mut().append(entry);
        self.guard.host_call();
        value
    }

    /// An entry for a command at a position, begun now.
    pub fn entry(&self, command: &Command, position: crate::journal::Position) -> Entry {
        let mut entry = Entry::opened(command.kind, position, command.name.clone(), self.now.get());
        entry.line = command.line;
        entry.arguments = command.arguments;
        entry
    }

    /// The acts since this was last called, with the newest progress.
    pub fn take_acts(&self) -> Vec<Act> {
        let mut acts = std::mem::take(&mut *self.acts.borrow_mut());
        acts.extend(self.progress.take().map(Act::Progress));
        acts
    }

    /// Hands new entries and acts to the log.
    pub fn flush(&self) {
        let acts = self.take_acts();
        let fresh = self.replay.borrow_mut().take_fresh();
        if fresh.is_none() && acts.is_empty() {
            return;
        }
        let (first, entries) = fresh.unwrap_or_default();
        self.world.append(Batch { first, entries, acts, steps: self.steps.take() });
    }

    /// A number that depends on the run, a place and an attempt alone: spreads retries.
    pub fn jitter(&self, position: &crate::journal::Position, attempt: u32) -> u64 {
        hash_text(&format!("{}/{position}/{attempt}", self.facts.run))
    }

    /// A number that depends on the run, the place and a counter alone.
    pub fn random(&self, strand: &Strand) -> u64 {
        let mut replay = self.replay.borrow_mut();
        let scope = strand.scope.get();
        let number = replay.scopes.next_random(scope);
        let copied = self.facts.forked.filter(|(_, inherited)| replay.taken() < *inherited);
        let seed = copied.map_or(self.facts.run, |(run, _)| run);
        let place = format!("{seed}/{:?}/{number}", replay.scopes.path(scope));
        hash_text(&place)
    }
}

/// A recorded outcome as the script gets it.
pub fn outcome_value(outcome: &Result<Payload, Payload>) -> Result<Dynamic, Fail> {
    match outcome {
        Ok(payload) => Ok(value::decode(payload)),
        Err(payload) => Err(Fail::Thrown(value::decode(payload).try_cast::<Map>().unwrap_or_default())),
    }
}

/// Whether a recorded value is read back as what it was.
fn same_when_read(recorded: &Payload, value: &Dynamic) -> bool {
    memory::uncounted(|| format!("{:?}", value::decode(recorded)) == format!("{value:?}"))
}

/// A value for the journal. Its bytes leave the run, so they do not count as its memory.
pub fn encode(name: &str, value: &Dynamic) -> Result<Payload, Fail> {
    memory::uncounted(|| value::encode(value)).map_err(|e| {
        Fail::error(
            "invalid",
            format!("`{name}`: {e}; hint: only data can be recorded: numbers, texts, bytes, lists and maps of them"),
        )
    })
}

/// An error map for the journal; what is no data in it is left out.
pub fn encode_error(map: &Map) -> Payload {
    let whole = Dynamic::from_map(map.clone());
    memory::uncounted(|| {
        value::encode(&whole).unwrap_or_else(|_| {
            let data: Map =
                map.iter().filter(|(_, v)| value::encode(v).is_ok()).map(|(k, v)| (k.clone(), v.clone())).collect();
            value::encode(&Dynamic::from_map(data)).unwrap_or_default()
        })
    })
}

/// A stable hash of text: FNV-1a, finished by a multiply-shift mix. Part of the stored format.
pub fn hash_text(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

/// A command without arguments that matter.
pub fn command(kind: Kind, name: impl Into<Arc<str>>, line: u32) -> Command {
    let name = name.into();
    let name = match unmarked_here(&name) {
        Cow::Owned(unmarked) => unmarked.into(),
        Cow::Borrowed(_) => name,
    };
    Command { kind, name, arguments: 0, line }
}
