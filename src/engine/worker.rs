//! A worker: one thread with its own script engine and runtime, and the runs that are in motion on it.

use std::cell::RefCell;
mod tasks;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::activation::{Activation, Input, Progress};
use super::after::Ending;
use super::hands::Hands;
use super::inline::Tools;
use super::locks::{self, slot_answer};
use super::log::Item;
use super::pending::{Pending, child_answer, deadline_passed, event_answer, task_is_over};
use super::programs::{Loaded, Programs};
use super::shared::{Shared, held};
use super::spent::{Meter, TIMEOUT};
use super::terms::Terms;
use super::world::RunWorld;
use crate::effect::Performer;
use crate::host::mailbox::Mailbox;
use crate::host::session::{Answer, Ask, Facts, Session, WaitId, What};
use crate::id::RunId;
use crate::journal::{Entry, decode_segment};
use crate::payload::Payload;
use crate::script::fiber::StackPool;
use crate::script::guard::{Guard, Limits};
use crate::store::{Applied, Change, End, EventFilter, Rollback, Run, Status};
use crate::time::Timestamp;

/// What a worker is told.
pub(super) enum Message {
    /// Put this run in motion.
    Activate(Box<Run>),
    /// Something happened that it may wait for.
    Wake(RunId),
    /// An answer for it.
    Answer(RunId, WaitId, Answer),
    /// It stands in line for a slot.
    InLine(RunId, WaitId),
    /// Everything up to this number of the log is durable.
    Durable(u64),
    /// The claim with this epoch is lost: another node owns the run now.
    Lost(RunId, u64),
    /// Drop everything and end.
    Close,
}

/// Runs are parked (their row says that they wait) when nothing is due within this time: a row is not written for a nap.
const NAP: Duration = Duration::from_secs(1);

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
        Message::Activate(row) => Some(row.priority),
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
    swept: Duration,
}

/// Runs a worker until it is told to close.
pub(super) fn run(
    number: usize,
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedSender<Message>,
    messages: mpsc::UnboundedReceiver<Message>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let hands = Hands::real(Performer::new(shared.options.limits).with_mail(shared.options.mail.clone()));
    let mut worker = Worker::new(number, shared, inbox, hands, Tools::new());
    LocalSet::new().block_on(&runtime, async move { worker.work(messages).await });
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
            swept: Duration::ZERO,
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
            // Effects and messages get their turn.
            tokio::task::yield_now().await;
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
    pub(super) fn waits(&self) -> Vec<(RunId, Ask)> {
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
        let idle = if self.motions.is_empty() { Duration::from_hours(1) } else { self.shared.options.evict_after };
        next.min(idle)
    }

    /// Each run that can go on gets a turn.
    fn turns(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(run) = self.ready.pop_front() else { return };
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
            Message::Activate(row) => self.activate(*row),
            Message::Wake(run) => self.wake(run),
            Message::Answer(run, wait, answer) => self.answer(run, wait, answer),
            Message::InLine(run, wait) => self.stand_in_line(run, wait),
            Message::Durable(number) => self.release(number),
            Message::Lost(run, epoch) => self.lose(run, epoch),
            Message::Close => {}
        }
    }

    fn activate(&mut self, row: Run) {
        if self.motions.contains_key(&row.id) {
            return;
        }
        let run = row.id;
        if let Some(reason) = row.cancel.clone()
            && self.shared.store.journal(run).is_ok_and(|journal| journal.is_empty())
        {
            // It was never evaluated: nothing of it is to be undone, and nothing of it should happen now.
            return self.conclude(&row, Status::Cancelled, reason);
        }
        match self.begin(&row) {
            Ok(mut motion) => {
                if let Some(reason) = row.cancel {
                    motion.activation.push(Input::Cancel(reason));
                }
                let deadline = motion.deadline;
                self.motions.insert(run, motion);
                self.ready.push_back(run);
                if let Some(deadline) = deadline {
                    self.arm(run, DEADLINE, deadline);
                }
                self.shared.activations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            Err(problem) => self.refuse(&row, &problem),
        }
    }

    /// A run that cannot be evaluated at all: its sources or journal cannot be read.
    fn refuse(&self, row: &Run, problem: &str) {
        let error = serde_json::json!({ "kind": "script", "message": problem, "retryable": false });
        self.conclude(row, Status::Failed, Payload::from_json(&error));
    }

    /// Ends a run that is not evaluated.
    fn conclude(&self, row: &Run, status: Status, error: Payload) {
        let end = self.stopped(status, error);
        // What its own version lays down is not known; what the workflow does now is nearest to it.
        let terms = self.shared.deployed(&row.workflow).map(|deployed| Arc::clone(&deployed.terms)).unwrap_or_default();
        let ending = Ending { shared: &self.shared, run: row.id, workflow: &row.workflow, terms: &terms };
        ending.write(row.epoch, Vec::new(), end);
        held(&self.shared.routes).remove(&row.id);
    }

    fn stopped(&self, status: Status, error: Payload) -> End {
        let (rollback, at) = (Rollback::None, self.shared.now());
        End { status, output: None, error: Some(error), rollback, at, continued_as: None, expires_at: None }
    }

    fn begin(&mut self, row: &Run) -> Result<Motion, String> {
        let journal = self.journal(row.id)?;
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
            mocks: self.hands.mocks().cloned(),
            written: std::cell::Cell::new(0),
        });
        let facts = Facts {
            run: row.id,
            workflow: Arc::clone(&row.workflow),
            version: row.version.clone(),
            accepted_at: row.created_at,
            trigger: row.trigger.clone(),
            mailbox: row.mailbox.as_ref().map(Mailbox::from_payload).unwrap_or_default(),
            rules,
        };
        let meter = Meter::new(terms.timeout, &journal);
        let fresh = journal.is_empty();
        let session = Session::new(facts, journal, guard, Rc::clone(&self.engine), Rc::clone(&world) as Rc<_>, allow);
        if fresh {
            let started = Entry::opened(
                crate::journal::Kind::Start,
                crate::journal::Position::default(),
                Arc::clone(&row.workflow),
                self.shared.now(),
            );
            session.replay.borrow_mut().append(started);
        }
        let activation = Activation::new(session, Rc::clone(&self.pool), prepared, &row.input, explain);
        let deadline = terms.deadline.map(|deadline| row.created_at.plus(deadline));
        let (waits, idle_since) = (BTreeMap::new(), Duration::ZERO);
        Ok(Motion { activation, world, waits, parked: false, idle_since, deadline, meter, terms })
    }

    fn journal(&self, run: RunId) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for segment in self.shared.store.journal(run).map_err(|e| e.to_string())? {
            let (first, mut more) = decode_segment(&segment).map_err(|e| e.to_string())?;
            if first != entries.len() {
                return Err(format!(
                    "the journal has entry {first} where entry {} belongs; hint: restore a backup",
                    entries.len()
                ));
            }
            entries.append(&mut more);
        }
        Ok(entries)
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
            Ok(Some(Run { cancel: Some(reason), .. })) => motion.activation.push(Input::Cancel(reason)),
            Ok(_) => {}
            Err(error) => tracing::warn!("run {run} cannot be read: {error}"),
        }
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
        if self.motions.get(&run).is_some_and(|motion| motion.world.epoch <= epoch) {
            self.motions.remove(&run);
            tracing::warn!("run {run} belongs to another node now");
            held(&self.shared.routes).remove(&run);
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
            Self::abort(&self.shared, motion, wait);
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

    fn abort(shared: &Shared, motion: &mut Motion, wait: WaitId) {
        match motion.waits.remove(&wait) {
            Some(Pending::Effect(Some(handle), _)) => handle.abort(),
            Some(Pending::Child { run, attached: true, .. }) => {
                let reason = serde_json::json!({ "kind": "cancelled", "message": "the run that waited for it does not any more" });
                let change = Change::Cancel { run, reason: Payload::from_json(&reason) };
                shared.log.send(Item { changes: vec![change], done: None });
            }
            _ => {}
        }
    }

    fn end(&mut self, run: RunId, end: End) {
        let Some(mut motion) = self.motions.remove(&run) else { return };
        let waits: Vec<_> = motion.waits.keys().copied().collect();
        for wait in waits {
            Self::abort(&self.shared, &mut motion, wait);
        }
        self.unsubscribe(run, &motion);
        let depth = motion.world.deeper(end.at);
        // Where the run goes on as another, the chain has not ended.
        let (starts, refused) = match end.continued_as {
            Some(_) => (Vec::new(), None),
            None => super::causes::starts_after(&self.shared, run, &motion.world.workflow, &end, depth),
        };
        let session = motion.activation.session();
        if let Some(problem) = refused {
            session.replay.borrow_mut().append(Entry::line("error", &problem, end.at));
        }
        let acts = session.take_acts();
        let (first, entries) = session.replay.borrow_mut().take_fresh().unwrap_or_default();
        let mut changes = motion.world.changes(&crate::host::session::Batch { first, entries, acts });
        changes.extend(starts);
        let ending = Ending { shared: &self.shared, run, workflow: &motion.world.workflow, terms: &motion.terms };
        if let Some(next) = session.continuing.take().filter(|next| end.continued_as == Some(next.run)) {
            match ending.continuation(&next, session.mailbox.borrow().clone()) {
                Ok(start) => changes.push(start),
                // The store cannot be read. Nothing of the end is written: it is made again after the restart.
                Err(problem) => {
                    tracing::error!("run {run} cannot go on as another: {problem}");
                    return;
                }
            }
        }
        // From here on a wake-up claims the run; the claim stands behind the end in the log.
        ending.write(motion.world.epoch, changes, end);
        held(&self.shared.routes).remove(&run);
        self.hands.remove_temp(run, motion.world.performer.clone());
    }

    fn diverge(&mut self, run: RunId, divergence: &crate::replay::Divergence) {
        let message = format!("{divergence}; hint: `panta show {run}` shows the journal");
        let position = divergence.position.to_string();
        let error =
            serde_json::json!({ "kind": "script", "message": message, "position": position, "retryable": false });
        self.hold(run, Status::Diverged, &error);
    }

    fn quarantine(&mut self, run: RunId) {
        let message = "internal error while the run was driven; hint: this is a bug of `panta`, please report it with the daemon's log";
        let error = serde_json::json!({ "kind": "script", "message": message, "retryable": false });
        self.hold(run, Status::Quarantined, &error);
    }

    /// Takes a run out of motion, for a person to look at.
    fn hold(&mut self, run: RunId, status: Status, error: &serde_json::Value) {
        let Some(motion) = self.motions.remove(&run) else { return };
        self.unsubscribe(run, &motion);
        let end = self.stopped(status, Payload::from_json(error));
        let change = Change::Finish { run, epoch: motion.world.epoch, end };
        self.shared.log.send(Item { changes: vec![change], done: None });
        held(&self.shared.routes).remove(&run);
    }

    fn ask(&mut self, run: RunId, ask: Ask) {
        let wait = ask.wait;
        let pending = match ask.what.clone() {
            what @ (What::Effect { .. } | What::Stand { .. }) => {
                // What changes the outside waits for the disk; what only looks goes straight on.
                let number = if what.is_mutating() { self.shared.log.last() } else { 0 };
                if number > self.shared.log.durable() {
                    self.held.push_back((number, run, wait));
                    Pending::Held(ask)
                } else {
                    self.perform(run, ask)
                }
            }
            What::Until { due, retry_of } => {
                self.arm(run, wait, due);
                Pending::Until { due, retry_of, ask }
            }
            What::Event { name, key, since, after, due } => {
                let mut mailbox = held(&self.shared.mailbox);
                let waiting = mailbox.entry(Arc::clone(&name)).or_default();
                if !waiting.contains(&run) {
                    waiting.push(run);
                }
                drop(mailbox);
                if let Some(due) = due {
                    self.arm(run, wait, due);
                }
                let mailbox = self.motions.get(&run).map(|motion| motion.world.mailbox);
                Pending::Event { filter: EventFilter { name, key, run: mailbox, after, since }, due, ask }
            }
            What::Child { run: child, workflow, attached } => {
                held(&self.shared.ends).entry(child).or_default().push(run);
                Pending::Child { run: child, workflow, attached, ask }
            }
            What::Lock { due, .. } => {
                if let Some(due) = due {
                    self.arm(run, wait, due);
                }
                locks::acquire(&self.shared, &self.inbox, run, self.motions[&run].world.epoch, ask)
            }
            What::Task { task } => Pending::Task { task, armed: None, ask },
            What::Start { start } => {
                self.start_child(run, wait, &start);
                Pending::Start
            }
        };
        if let Some(motion) = self.motions.get_mut(&run) {
            motion.waits.insert(wait, pending);
        }
        self.look(run, wait);
    }

    fn arm(&mut self, run: RunId, wait: WaitId, due: Timestamp) {
        let left = due.since(self.shared.now());
        self.timers.push(Reverse((self.shared.options.clock.elapsed() + left, run, wait)));
    }

    fn start_child(&self, run: RunId, wait: WaitId, start: &crate::host::session::ChildStart) {
        let change = self.motions.get(&run).and_then(|motion| motion.world.start(start));
        let inbox = self.inbox.clone();
        let id = start.run;
        let answer = move |answer: Result<RunId, Payload>| {
            let _ = inbox.send(Message::Answer(run, wait, Answer::Started(answer)));
        };
        let Some(change) = change else {
            let error = serde_json::json!({ "kind": "not_found", "message": format!("there is no workflow `{}`", start.workflow), "retryable": false });
            return answer(Err(Payload::from_json(&error)));
        };
        let (key, workflow) = (start.key.clone().unwrap_or_default(), Arc::clone(&start.workflow));
        let done = move |applied: &[Applied]| match applied {
            [Applied::Repeated { run, same_input: true }] => answer(Ok(*run)),
            [Applied::Skipped { holder }] => {
                let message = format!("skipped: run {holder} of `{workflow}` is there already");
                let error =
                    serde_json::json!({ "kind": "skipped", "message": message, "retryable": false, "run": holder });
                answer(Err(Payload::from_json(&error)));
            }
            [Applied::Repeated { run, .. }] => {
                let message = format!("the key `{key}` started run {run} with another input");
                answer(Err(Payload::from_json(
                    &serde_json::json!({ "kind": "invalid", "message": message, "retryable": false }),
                )));
            }
            _ => answer(Ok(id)),
        };
        self.shared.log.send(Item { changes: vec![change], done: Some(Box::new(done)) });
    }

    /// Whether what is waited for is there already.
    fn look(&mut self, run: RunId, wait: WaitId) {
        let Some(motion) = self.motions.get_mut(&run) else { return };
        let answer = match motion.waits.get(&wait) {
            Some(Pending::Task { .. }) => return self.look_at_task(run, wait, None),
            Some(Pending::Event { filter, due, .. }) => event_answer(&self.shared, filter, *due),
            Some(Pending::Child { run: child, .. }) => child_answer(&self.shared, *child),
            Some(Pending::Lock { line, .. }) if line.written => slot_answer(&self.shared, run, &line.ticket),
            _ => None,
        };
        if let Some(answer) = answer {
            motion.waits.remove(&wait);
            motion.activation.push(Input::Answer(wait, answer));
            self.ready.push_back(run);
        }
    }

    fn release(&mut self, number: u64) {
        while self.held.front().is_some_and(|(needed, ..)| *needed <= number) {
            let Some((_, run, wait)) = self.held.pop_front() else { return };
            let Some(Pending::Held(ask)) = self.motions.get_mut(&run).and_then(|motion| motion.waits.remove(&wait))
            else {
                continue;
            };
            let pending = self.perform(run, ask);
            if let Some(motion) = self.motions.get_mut(&run) {
                motion.waits.insert(wait, pending);
            }
        }
    }

    fn perform(&self, run: RunId, ask: Ask) -> Pending {
        self.hands.perform(run, ask, &self.motions[&run].world, &self.inbox)
    }

    fn fire_timers(&mut self) {
        let elapsed = self.shared.options.clock.elapsed();
        while self.timers.peek().is_some_and(|Reverse((due, ..))| *due <= elapsed) {
            let Some(Reverse((_, run, wait))) = self.timers.pop() else { return };
            let Some(motion) = self.motions.get_mut(&run) else { continue };
            if wait == DEADLINE {
                motion.activation.push(Input::Cancel(deadline_passed(motion.deadline)));
                self.ready.push_back(run);
                continue;
            }
            if wait == TIMEOUT {
                if let Some(reason) = motion.meter.over(elapsed) {
                    motion.activation.push(Input::Cancel(reason));
                    self.ready.push_back(run);
                }
                continue;
            }
            let answer = match motion.waits.get(&wait) {
                Some(Pending::Task { .. }) => {
                    self.fire_task(run, wait);
                    continue;
                }
                Some(Pending::Until { .. }) => Answer::Due,
                Some(Pending::Lock { .. }) => Answer::Lock(false),
                Some(Pending::Event { filter, due, .. }) => {
                    event_answer(&self.shared, filter, *due).unwrap_or(Answer::Event(None))
                }
                _ => continue,
            };
            motion.waits.remove(&wait);
            motion.activation.push(Input::Answer(wait, answer));
            self.ready.push_back(run);
        }
    }

    /// Writes to the row that the run waits, when it waits for longer than a nap.
    fn maybe_park(&mut self, run: RunId) {
        let now = self.shared.now();
        let elapsed = self.shared.options.clock.elapsed();
        let Some(motion) = self.motions.get_mut(&run) else { return };
        motion.idle_since = elapsed;
        let busy = motion.waits.values().any(Pending::is_busy);
        let wake_at = motion.wake_at();
        if busy
            || motion.waits.is_empty()
            || motion.activation.can_advance()
            || wake_at.is_some_and(|at| at.since(now) < NAP)
        {
            motion.parked = false;
            return;
        }
        let subscriptions = motion.waits.values().filter_map(Pending::subscription).collect();
        let children = motion.waits.values().filter_map(Pending::child).collect();
        let slots = motion.waits.values().filter_map(Pending::ticket).collect();
        let tasks = motion.waits.values().filter_map(Pending::task).collect();
        let people = &self.shared.options.people;
        let sentences: Vec<_> = motion.waits.values().map(|pending| pending.sentence(people)).collect();
        let waiting_for = sentences.join("; and ").into();
        motion.parked = true;
        let change = Change::Park {
            run,
            epoch: motion.world.epoch,
            status: Status::Waiting,
            waiting_for,
            wake_at,
            subscriptions,
            children,
            slots,
            tasks,
        };
        motion.world.written.set(self.shared.log.send(Item { changes: vec![change], done: None }));
    }

    /// Gives up runs that have waited for a while: their journal is all that is kept of them.
    fn sweep(&mut self) {
        let elapsed = self.shared.options.clock.elapsed();
        let after = self.shared.options.evict_after;
        let crowded = self.motions.len() > self.shared.options.most_live;
        if elapsed.saturating_sub(self.swept) < after / 4 && !crowded {
            return;
        }
        self.swept = elapsed;
        let durable = self.shared.log.durable();
        let idle = |motion: &Motion| {
            motion.parked && motion.world.written.get() <= durable && !motion.activation.can_advance()
        };
        let gone: Vec<_> = self
            .motions
            .iter()
            .filter(|(_, motion)| idle(motion) && (crowded || elapsed.saturating_sub(motion.idle_since) >= after))
            .map(|(run, _)| *run)
            .collect();
        for run in gone {
            self.evict(run);
        }
    }

    fn evict(&mut self, run: RunId) {
        let Some(motion) = self.motions.remove(&run) else { return };
        let wake_at = motion.wake_at();
        // From here on a wake-up claims the run; the claim stands behind the release in the log.
        self.shared.log.send(Item { changes: vec![Change::Release { run, epoch: motion.world.epoch }], done: None });
        held(&self.shared.routes).remove(&run);
        self.unsubscribe(run, &motion);
        if let Some(at) = wake_at {
            self.shared.timeline.add(at, run);
        }
        // What happened between the last look and now must not be lost.
        let missed = motion.waits.values().any(|pending| match pending {
            Pending::Event { filter, due, .. } => event_answer(&self.shared, filter, *due).is_some(),
            Pending::Child { run, .. } => child_answer(&self.shared, *run).is_some(),
            Pending::Lock { line, .. } => slot_answer(&self.shared, run, &line.ticket).is_some(),
            Pending::Task { task, .. } => task_is_over(&self.shared, task.id),
            _ => false,
        });
        let facts = &motion.activation.session().facts;
        if missed || super::renewal::target(&self.shared, &facts.workflow, run, &facts.version).is_some() {
            self.shared.claim(vec![run]);
        }
    }

    fn unsubscribe(&self, run: RunId, motion: &Motion) {
        let mut mailbox = held(&self.shared.mailbox);
        for name in motion.waits.values().filter_map(Pending::subscription).map(|s| s.name) {
            if let Some(waiting) = mailbox.get_mut(&name) {
                waiting.retain(|other| *other != run);
                if waiting.is_empty() {
                    mailbox.remove(&name);
                }
            }
        }
        drop(mailbox);
        let mut ends = held(&self.shared.ends);
        for pending in motion.waits.values() {
            if let Pending::Child { run: child, .. } = pending
                && let Some(waiting) = ends.get_mut(child)
            {
                waiting.retain(|other| *other != run);
            }
        }
    }
}

impl super::handle::Options {
    fn script_limits(&self) -> Limits {
        Limits { cpu: self.script_cpu, memory: self.script_memory, ..Limits::default() }
    }
}
