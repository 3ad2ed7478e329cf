//! A worker: one thread with its own script engine and runtime, and the runs that are in motion on it.

mod ends;
mod holding;
mod parking;
mod tasks;
mod waits;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::activation::{Activation, Input, Progress};
use super::hands::Hands;
use super::inline::Tools;
use super::pending::Pending;
use super::programs::{Loaded, Programs};
use super::shared::{Shared, held};
use super::spent::{Meter, TIMEOUT};
use super::terms::Terms;
use super::witness::Standing;
use super::world::RunWorld;
use crate::effect::Performer;
use crate::host::mailbox::Mailbox;
use crate::host::session::{Answer, Facts, Session, WaitId};
use crate::id::RunId;
use crate::journal::{Entry, History};
use crate::script::fiber::StackPool;
use crate::script::guard::{Guard, Limits};
use crate::store::{Run, Status};
use crate::time::Timestamp;

/// What a worker is told.
pub(super) enum Message {
    /// Put this run in motion.
    Activate(Box<Run>),
    /// Put this run in motion, which has no journal yet.
    Begin(Box<Run>),
    /// Something happened that it may wait for.
    Wake(RunId),
    /// An answer for it.
    Answer(RunId, WaitId, Answer),
    /// It stands in line for a slot.
    InLine(RunId, WaitId),
    /// Everything up to this number of the log is durable.
    Durable(u64),
    /// The claim with this epoch is lost: another node owns the run now, or it is held and was begun too early.
    Lost(RunId, u64),
    /// What is held has changed.
    Holds,
    /// It is to leave memory as soon as it rests.
    Leave(RunId),
    /// Drop everything and end.
    Close,
}

/// Runs are parked (their row says that they wait) when nothing is due within this time: a row is not written for a nap.
const NAP: Duration = Duration::from_secs(1);

/// The longest pause of a worker.
const IDLE: Duration = Duration::from_hours(1);

/// Between two looks at a run that would leave memory and whose row is on its way to the disk.
const SETTLES: Duration = Duration::from_millis(50);

/// The timer of a run's deadline among those of its waits, which are numbered from 1.
const DEADLINE: WaitId = WaitId(0);

struct Motion {
    activation: Activation,
    world: Rc<RunWorld>,
    waits: BTreeMap<WaitId, Pending>,
    /// The row says that it waits.
    parked: bool,
    idle_since: Duration,
    /// When it must have ended.
    deadline: Option<Timestamp>,
    meter: Meter,
    terms: Rc<Terms>,
    standing: Standing,
    /// A person holds this very run.
    is_paused: bool,
}

impl Motion {
    /// When it is to be looked at without anything happening.
    fn wake_at(&self) -> Option<Timestamp> {
        self.waits.values().filter_map(Pending::due).chain(self.deadline).min()
    }
}

/// Of runs that are put in motion one after another, those with larger priorities come first; all else stays in its order.
fn larger_first(messages: &mut [Message]) {
    let priority = |message: &Message| match message {
        Message::Activate(row) | Message::Begin(row) => Some(row.priority),
        _ => None,
    };
    for batch in messages.chunk_by_mut(|a, b| priority(a).is_some() && priority(b).is_some()) {
        batch.sort_by_key(|message| Reverse(priority(message)));
    }
}

pub(super) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedSender<Message>,
    engine: Rc<rhai::Engine>,
    pool: Rc<StackPool>,
    hands: Hands,
    programs: Rc<RefCell<Programs>>,
    motions: BTreeMap<RunId, Motion>,
    ready: VecDeque<RunId>,
    timers: BinaryHeap<Reverse<(Duration, RunId, WaitId)>>,
    held: VecDeque<(u64, RunId, WaitId)>,
    /// Runs that were parked, with when, in that order. Some have gone on since.
    resting: VecDeque<(Duration, RunId)>,
}

/// Runs a worker until it is told to close.
pub(super) fn run(
    number: usize,
    shared: &Arc<Shared>,
    inbox: mpsc::UnboundedSender<Message>,
    messages: mpsc::UnboundedReceiver<Message>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let options = &shared.options;
    let performer = Performer::new(options.limits).with_mail(options.mail.clone()).with_oauth(options.oauth.clone());
    let performer = performer.with_keeper(options.keeper.clone()).with_databases(options.databases.clone());
    let performer = performer.with_brokers(options.brokers.clone());
    let performer = performer.with_models(options.models.clone()).with_message_ids(shared.options.links.message_ids());
    let hands = Hands::real(performer.with_breakers(Arc::clone(&options.breakers)));
    let tools = Tools::over(shared.options.semantics.engine());
    let mut worker = Worker::new(number, Arc::clone(shared), inbox, hands, tools);
    let work = async move { worker.work(messages).await };
    let worked = std::panic::AssertUnwindSafe(|| LocalSet::new().block_on(&runtime, work));
    if std::panic::catch_unwind(worked).is_err() {
        // What it had in motion would never go on.
        shared.broken("a worker has stopped because of an internal error; hint: see the log");
    }
}

impl Worker {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        inbox: mpsc::UnboundedSender<Message>,
        hands: Hands,
        tools: Tools,
    ) -> Self {
        Self {
            number,
            shared,
            inbox,
            engine: tools.engine,
            pool: tools.pool,
            hands,
            programs: tools.programs,
            motions: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            held: VecDeque::new(),
            resting: VecDeque::new(),
        }
    }

    async fn work(&mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        loop {
            let pause = self.pause();
            let mut first = None;
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    None | Some(Message::Close) => return,
                    Some(message) => first = Some(message),
                },
                () = tokio::time::sleep(pause) => {}
            }
            // What has gathered, before anything is evaluated: completions are fed in the order in which they came.
            let mut gathered: Vec<_> = first.into_iter().collect();
            while let Ok(message) = messages.try_recv() {
                if let Message::Close = message {
                    return;
                }
                gathered.push(message);
            }
            larger_first(&mut gathered);
            gathered.into_iter().for_each(|message| self.take(message));
            self.step();
            self.heed();
            // Effects and messages get their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Says whether commits of the log are of interest: being told of each costs more than many a run. What became durable
    /// meanwhile is looked at here, so that nothing falls in between.
    fn heed(&mut self) {
        let waits = !self.held.is_empty() || self.is_to_leave().is_some();
        self.shared.attentive[self.number].store(waits, std::sync::atomic::Ordering::SeqCst);
        if waits {
            self.release(self.shared.log.durable());
        }
    }

    /// What can be done at this moment: timers that are due, a turn of each run that can go on, leaving of those that wait.
    pub(super) fn step(&mut self) {
        self.fire_timers();
        self.turns();
        self.sweep();
    }

    /// A run can go on at once.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What the runs in motion wait for.
    pub(super) fn waits(&self) -> Vec<(RunId, crate::host::session::Ask)> {
        let of = |(run, motion): (&RunId, &Motion)| {
            let asks = motion.waits.values().filter_map(Pending::ask);
            asks.map(|ask| (*run, ask.clone())).collect::<Vec<_>>()
        };
        self.motions.iter().flat_map(of).collect()
    }

    /// When the next timer of a run in motion is due.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse((due, ..))| *due)
    }

    fn pause(&self) -> Duration {
        if !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let now = self.shared.options.clock.elapsed();
        let next = self.timers.peek().map_or(Duration::MAX, |Reverse((due, ..))| due.saturating_sub(now));
        let leaves = self.resting.front().map(|(since, _)| since.saturating_add(self.shared.options.evict_after));
        // One whose row is not durable yet stays for as long as that takes; the log tells.
        let idle = leaves.map_or(IDLE, |at| at.saturating_sub(now).max(SETTLES));
        next.min(idle)
    }

    /// Each run that can go on gets a turn.
    fn turns(&mut self) {
        let shared = Arc::clone(&self.shared);
        for _ in 0..self.ready.len() {
            let Some(run) = self.ready.pop_front() else { return };
            let Some(standing) = self.motions.get(&run).map(|motion| motion.standing) else { continue };
            let _watched = shared.watched(self.number, run, standing);
            // A panic in here is a fault of ours: it costs this run, not the worker and the others on it.
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.turn(run))) {
                Ok(true) => self.ready.push_back(run),
                Ok(false) => {}
                Err(_) => self.quarantine(run),
            }
        }
    }

    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Activate(row) => {
                self.activate(*row, false);
                self.shared.admission.arrived();
                self.shared.admit();
            }
            Message::Begin(row) => self.activate(*row, true),
            Message::Wake(run) => self.wake(run),
            Message::Answer(run, wait, answer) => self.answer(run, wait, answer),
            Message::InLine(run, wait) => self.stand_in_line(run, wait),
            Message::Durable(number) => self.release(number),
            Message::Lost(run, epoch) => self.lose(run, epoch),
            Message::Holds => self.follow_holds(),
            Message::Leave(run) => self.leave(run),
            Message::Close => {}
        }
    }

    fn activate(&mut self, row: Run, is_new: bool) {
        if self.motions.contains_key(&row.id) {
            return;
        }
        let run = row.id;
        let shared = Arc::clone(&self.shared);
        let _watched = shared.watched(self.number, run, Standing::of(row.charged));
        if let Some(reason) = row.cancel.clone()
            && self.history(run).is_ok_and(|history| history.numbered == 0)
        {
            // It was never evaluated: nothing of it is to be undone, and nothing of it should happen now.
            return self.conclude(&row, Status::Cancelled, reason);
        }
        match self.begin(&row, is_new) {
            Ok(mut motion) => {
                if let Some(reason) = row.cancel {
                    motion.activation.push(Input::Cancel(reason));
                }
                let deadline = motion.deadline;
                self.motions.insert(run, motion);
                if self.shared.holds.rests(run) {
                    // It was claimed before it was to rest.
                    self.follow_hold(run);
                }
                self.ready.push_back(run);
                if let Some(deadline) = deadline {
                    self.arm(run, DEADLINE, deadline);
                }
                self.shared.activations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            Err(problem) => self.refuse(&row, &problem),
        }
    }

    fn begin(&mut self, row: &Run, is_new: bool) -> Result<Motion, String> {
        let History { entries: journal, numbered, .. } =
            if is_new { History::default() } else { self.history(row.id)? };
        self.shared.metrics.activated(journal.len());
        let moved = super::renewal::renew(&self.shared, row, &journal);
        let row = moved.as_ref().unwrap_or(row);
        let stood_for = self.hands.mocks().map(|mocks| mocks.functions()).unwrap_or_default();
        let Loaded { prepared, allow, explain, rules, terms } =
            self.programs.borrow_mut().load(&self.shared, &self.engine, &row.version, &row.settings, stood_for)?;
        let guard = Guard::new(self.shared.options.script_limits());
        let folder = self.shared.options.workspace.join(&*row.workflow);
        let world = Rc::new(RunWorld {
            shared: Arc::clone(&self.shared),
            run: row.id,
            workflow: Arc::clone(&row.workflow),
            mailbox: row.mailbox_of(),
            epoch: row.epoch,
            performer: self.hands.performer().at(folder),
            allow: Rc::clone(&allow),
            depth: (super::causes::depth_of(&row.trigger), row.created_at),
            trace: crate::trace::Trace::of(row.id, &row.trigger),
            mocks: self.hands.mocks().cloned(),
            written: std::cell::Cell::new(0),
            halted: std::cell::Cell::new(false),
        });
        let facts = Facts {
            run: row.id,
            workflow: Arc::clone(&row.workflow),
            version: row.version.clone(),
            accepted_at: row.created_at,
            trigger: row.trigger.clone(),
            mailbox: row.mailbox.as_ref().map(Mailbox::from_payload).unwrap_or_default(),
            rules,
            forked: super::repair::forked(row),
        };
        let meter = Meter::new(terms.timeout, holding::counted(&journal));
        let began = holding::began(row, &journal);
        let session = Session::new(facts, journal, guard, Rc::clone(&self.engine), Rc::clone(&world) as Rc<_>, allow);
        session.replay.borrow_mut().set_numbered(numbered);
        if numbered == 0 {
            let started = Entry::opened(
                crate::journal::Kind::Start,
                crate::journal::Position::default(),
                Arc::clone(&row.workflow),
                self.shared.now(),
            );
            session.replay.borrow_mut().append(started);
        }
        let activation = Activation::new(session, Rc::clone(&self.pool), prepared, &row.input, explain);
        let deadline = terms.deadline.map(|deadline| began.plus(deadline));
        let (waits, idle_since, standing) = (BTreeMap::new(), Duration::ZERO, Standing::of(row.charged));
        let is_paused = false;
        Ok(Motion { activation, world, waits, parked: false, idle_since, deadline, meter, terms, standing, is_paused })
    }

    fn history(&self, run: RunId) -> Result<History, String> {
        let segments = self.shared.store.journal(run).map_err(|e| e.to_string())?;
        History::read(segments).map_err(|e| e.to_string())
    }

    fn wake(&mut self, run: RunId) {
        let Some(motion) = self.motions.get_mut(&run) else {
            // It left this worker in the meantime.
            if held(&self.shared.routes).get(&run) != Some(&self.number) {
                self.shared.wake(run);
            }
            return;
        };
        match self.shared.store.run(run) {
            Ok(Some(Run { cancel: Some(reason), .. })) => {
                motion.let_go();
                motion.activation.push(Input::Cancel(reason));
            }
            Ok(Some(row)) => self.follow_pause(run, row.status),
            Ok(None) => {}
            Err(error) => motion.world.warn(&format!("the run cannot be read: {error}")),
        }
        let Some(motion) = self.motions.get(&run).filter(|motion| !motion.is_halted()) else {
            return self.maybe_park(run);
        };
        let waits: Vec<_> = motion.waits.keys().copied().collect();
        for wait in waits {
            self.look(run, wait);
        }
        if self.motions.get(&run).is_some_and(|motion| motion.activation.can_advance()) {
            self.ready.push_back(run);
        }
    }

    fn answer(&mut self, run: RunId, wait: WaitId, answer: Answer) {
        let Some(motion) = self.motions.get_mut(&run) else { return };
        if motion.waits.remove(&wait).is_some() {
            motion.activation.push(Input::Answer(wait, answer));
            self.ready.push_back(run);
        }
    }

    fn stand_in_line(&mut self, run: RunId, wait: WaitId) {
        let shared = Arc::clone(&self.shared);
        if let Some(pending) = self.motions.get_mut(&run).and_then(|motion| motion.waits.get_mut(&wait)) {
            pending.stands_in_line(&shared);
            self.look(run, wait);
            self.maybe_park(run);
        }
    }

    fn lose(&mut self, run: RunId, epoch: u64) {
        // A later claim of this very node is another matter.
        if let Some(standing) =
            self.motions.get(&run).filter(|motion| motion.world.epoch <= epoch).map(|motion| motion.standing)
        {
            // Dropping it may be what kills.
            let _watched = self.shared.watched(self.number, run, standing);
            if let Some(motion) = self.motions.remove(&run) {
                motion.world.warn("the run does not go on here: it is held, or belongs to another node now");
            }
            self.shared.unroute(run);
        }
    }

    /// One turn of a run. True: it wants another one.
    fn turn(&mut self, run: RunId) -> bool {
        let now = self.shared.now();
        let Some(motion) = self.motions.get_mut(&run) else { return false };
        let progress = motion.activation.advance(now);
        self.measure(run, matches!(progress, Progress::Sliced));
        let Some(motion) = self.motions.get_mut(&run) else { return false };
        for wait in motion.activation.take_aborted() {
            Self::abort(motion, wait);
        }
        match progress {
            Progress::Ended(end) => {
                self.end(run, end);
                false
            }
            Progress::Diverged(divergence) => {
                self.diverge(run, &divergence);
                false
            }
            Progress::Sliced => {
                motion.activation.flush();
                true
            }
            Progress::Waiting => {
                motion.activation.flush();
                for ask in motion.activation.take_asks() {
                    self.ask(run, ask);
                }
                self.measure(run, false);
                self.maybe_park(run);
                self.motions.get(&run).is_some_and(|motion| motion.activation.can_advance())
            }
        }
    }

    /// Follows the time that a run spends running; `computes` while its script is not done with its turn.
    fn measure(&mut self, run: RunId, computes: bool) {
        let now = self.shared.options.clock.elapsed();
        let Some(motion) = self.motions.get_mut(&run) else { return };
        let is_live = motion.activation.session().replay.borrow().is_live();
        let is_running =
            is_live && (computes || motion.activation.can_advance() || motion.waits.values().any(Pending::is_running));
        if let Some(over) = motion.meter.set_running(is_running, now) {
            self.timers.push(Reverse((over, run, TIMEOUT)));
        }
    }

    /// Nobody waits for it any more. What is durable of it was given up in the commit of what made its strand go.
    fn abort(motion: &mut Motion, wait: WaitId) {
        if let Some(Pending::Effect(Some(handle), _)) = motion.waits.remove(&wait) {
            handle.abort();
        }
    }
}

impl super::options::Options {
    pub(super) fn script_limits(&self) -> Limits {
        Limits { cpu: self.script_cpu, memory: self.script_memory, ..Limits::default() }
    }
}
