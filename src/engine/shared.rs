//! What the workers, the log and the handle of one engine share.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use tokio::sync::{broadcast, mpsc};

use super::admission::Admission;
use super::deploy::Deployed;
use super::gather::Gathered;
use super::holds::Holds;
use super::lethal::Lethal;
use super::log::{Listener, Log};
use super::mailbox::Mailbox;
use super::metrics::Metrics;
use super::options::{Options, Reach};
use super::park::Timeline;
use super::refusals::Refusals;
use super::reminders::Reminders;
use super::renewal::Renewals;
use super::semantics::Settling;
use super::under_way::UnderWay;
use super::witness::{Places, Suspicion};
use super::worker::Message;
use crate::id::{RunId, TaskId, Version};
use crate::journal::Position;
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::store::{Applied, Change, End, Error, PAUSED, PROGRESS, Run, Status, Store};

/// A step that has begun: for those who watch; nothing is durable of it.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Whose.
    pub run: RunId,
    /// The step's name.
    pub name: Arc<str>,
    /// Where it stands.
    pub position: Position,
    /// Line of the call.
    pub line: u32,
}

/// What happened to a run.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A step has begun.
    Begun(Begun),
    /// New entries are durable, or its row changed.
    Changed(RunId),
    /// It has ended, durably.
    Ended(RunId, Status),
    /// A task has opened, was answered or closed, or a moment of it has happened.
    Task(TaskId),
    /// The disk is full, or the store failed: this is what it said.
    Trouble(Arc<str>),
}

/// Closures that are asked at once: a few hold up no other, many would hold up the workers.
const ASKING_MOST: usize = 4;

/// Values that runs of this node have set and that are not durable yet, over the store.
#[derive(Default)]
pub(super) struct Overlay {
    values: HashMap<Value, Set>,
    order: VecDeque<(u64, Value)>,
    last: u64,
    cleared: u64,
}

/// Scope and key of a durable value.
type Value = (Arc<str>, Arc<str>);

struct Set {
    value: Option<Payload>,
    number: u64,
    item: u64,
}

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Arc<Log>,
    pub(super) options: Options,
    pub(super) overlay: Mutex<Overlay>,
    pub(super) registry: RwLock<BTreeMap<Arc<str>, Arc<Deployed>>>,
    bundles: Mutex<HashMap<Version, Arc<Bundle>>>,
    /// Runs in motion, by worker.
    pub(super) routes: Mutex<HashMap<RunId, usize>>,
    pub(super) workers: Vec<mpsc::UnboundedSender<Message>>,
    /// Workers that wait for the log: they are told of every commit.
    pub(super) attentive: Vec<AtomicBool>,
    /// Runs in motion that wait for an event.
    pub(super) mailbox: Mailbox,
    /// Runs in motion that wait for the end of another.
    pub(super) ends: Mutex<HashMap<RunId, Vec<RunId>>>,
    /// Those who wait for the end of a run, and rows of those that have just ended.
    pub(super) ended: super::ended::Ends,
    pub(super) timeline: Timeline,
    pub(super) gathered: Gathered,
    /// Closures of triggers that are asked beside the workers: each may take a second of a core.
    pub(super) asking: tokio::sync::Semaphore,
    pub(super) reminders: Reminders,
    pub(super) refusals: Refusals,
    /// What runs do outside.
    pub(super) under_way: UnderWay,
    /// The last commit found no space; it is tried again.
    pub(super) full: AtomicBool,
    pub(super) renewals: Renewals,
    pub(super) holds: Holds,
    pub(super) notices: broadcast::Sender<Notice>,
    pub(super) watching: AtomicUsize,
    pub(super) failed: Mutex<Option<String>>,
    /// Tells those who wait for that.
    pub(super) failing: tokio::sync::Notify,
    pub(super) closing: AtomicBool,
    pub(super) activations: AtomicU64,
    pub(super) metrics: Metrics,
    pub(super) started_at: crate::time::Timestamp,
    /// Counts changes of the registry.
    pub(super) deployments: tokio::sync::watch::Sender<u64>,
    /// Runs whose start is on its way to the disk; with their rows, where a worker has them already.
    pub(super) starting: Mutex<HashMap<RunId, Option<Arc<Run>>>>,
    pub(super) admission: Admission,
    /// With [`Reach::Own`]: the runs that may be put in motion.
    own: Mutex<HashSet<RunId>>,
    pub(super) tokens: super::tokens::Tokens,
    next_worker: AtomicUsize,
    pub(super) suspicion: Suspicion,
    pub(super) places: Places,
    pub(super) lethal: Lethal,
    pub(super) settling: Settling,
}

/// A lock of ours: held for moments, never while something can panic in between that would leave a half-done change.
pub(super) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        store: Arc<dyn Store>,
        log: Arc<Log>,
        options: Options,
        workers: Vec<mpsc::UnboundedSender<Message>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            log,
            metrics: Metrics::default(),
            started_at: options.clock.now(),
            options,
            overlay: Mutex::default(),
            registry: RwLock::default(),
            bundles: Mutex::default(),
            routes: Mutex::default(),
            attentive: workers.iter().map(|_| AtomicBool::new(true)).collect(),
            workers,
            mailbox: Mailbox::default(),
            ends: Mutex::default(),
            ended: super::ended::Ends::default(),
            timeline: Timeline::default(),
            gathered: Gathered::default(),
            asking: tokio::sync::Semaphore::new(ASKING_MOST),
            reminders: Reminders::default(),
            refusals: Refusals::default(),
            under_way: UnderWay::default(),
            full: AtomicBool::new(false),
            renewals: Renewals::default(),
            holds: Holds::default(),
            notices: broadcast::channel(4_096).0,
            watching: AtomicUsize::new(0),
            failed: Mutex::new(None),
            failing: tokio::sync::Notify::new(),
            closing: AtomicBool::new(false),
            activations: AtomicU64::new(0),
            deployments: tokio::sync::watch::Sender::new(0),
            starting: Mutex::default(),
            admission: Admission::default(),
            own: Mutex::default(),
            tokens: super::tokens::Tokens::default(),
            next_worker: AtomicUsize::new(0),
            suspicion: Suspicion::default(),
            places: Places::default(),
            lethal: Lethal::default(),
            settling: Settling::default(),
        })
    }

    pub(super) fn now(&self) -> crate::time::Timestamp {
        self.options.clock.now()
    }

    pub(super) fn deployed(&self, workflow: &str) -> Option<Arc<Deployed>> {
        self.registry.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(workflow).cloned()
    }

    /// The sources of a version, from memory or the store.
    pub(super) fn bundle(&self, version: &Version) -> Result<Arc<Bundle>, String> {
        if let Some(found) = held(&self.bundles).get(version) {
            return Ok(Arc::clone(found));
        }
        let bytes = self
            .store
            .bundle(version)
            .map_err(|e| e.to_string())?
            .ok_or_else(|| format!("the store has no sources of version {version}"))?;
        let bundle = Bundle::from_stored(&bytes).map_err(|faults| {
            faults.first().map_or_else(|| "the stored sources cannot be read".to_owned(), |f| f.title.clone())
        })?;
        let bundle = Arc::new(bundle);
        held(&self.bundles).insert(version.clone(), Arc::clone(&bundle));
        Ok(bundle)
    }

    /// Keeps sources in memory.
    pub(super) fn keep_bundle(&self, bundle: &Arc<Bundle>) {
        held(&self.bundles).insert(bundle.version.clone(), Arc::clone(bundle));
    }

    /// Puts a run in motion on a worker; `row` is claimed for this node.
    pub(super) fn activate(&self, row: Run) {
        self.give(row.id, Message::Activate(Box::new(row)));
    }

    /// Puts a run in motion that is new: it has no journal.
    /// It has its route from [`Shared::route`].
    pub(super) fn begin(&self, row: Box<Run>, worker: usize) {
        let _ = self.workers[worker].send(Message::Begin(row));
    }

    fn give(&self, run: RunId, message: Message) {
        if let Some(worker) = self.route(run) {
            let _ = self.workers[worker].send(message);
        }
    }

    /// The worker that a run is to be on from now on; none where all is being closed.
    pub(super) fn route(&self, run: RunId) -> Option<usize> {
        if self.closing.load(Ordering::Relaxed) {
            return None;
        }
        let worker = self.next_worker.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        held(&self.routes).insert(run, worker);
        Some(worker)
    }

    /// A run has left its worker by an end that has this number in the log.
    pub(super) fn left(&self, run: RunId, number: u64) {
        self.unroute(run);
        // Who began to wait while the run was still in motion, but after its end was told, has not heard of it.
        if self.log.durable() >= number {
            self.ended.tell(run);
        }
    }

    /// A run is not in motion any more: there is room for another.
    pub(super) fn unroute(&self, run: RunId) {
        held(&self.routes).remove(&run);
        self.admit();
    }

    /// A run is in motion, or about to be: its claim is on its way to the disk.
    pub(super) fn is_in_motion(&self, run: RunId) -> bool {
        // In this order: a claim that is through leaves its mark here after it has one there.
        self.admission.is_claiming(run) || held(&self.routes).contains_key(&run)
    }

    /// Something is to be known of a run. False: it is not in motion.
    pub(super) fn tell(&self, run: RunId) -> bool {
        let route = held(&self.routes).get(&run).copied();
        route.is_some_and(|worker| self.workers[worker].send(Message::Wake(run)).is_ok())
    }

    /// Something happened that a run may wait for.
    pub(super) fn wake(&self, run: RunId) {
        if !self.tell(run) {
            self.claim(vec![run]);
        }
    }

    /// Puts a run in motion that a person has repaired.
    pub(super) fn claim_live(&self, run: RunId) {
        self.own(run);
        self.claim(vec![run]);
    }

    /// This run may be put in motion by this engine.
    pub(super) fn own(&self, run: RunId) {
        if self.options.reach == Reach::Own {
            held(&self.own).insert(run);
        }
    }

    /// With [`Reach::Own`]: only those of the runs that may be put in motion.
    pub(super) fn retain_own(&self, runs: &mut Vec<RunId>) {
        let own = held(&self.own);
        runs.retain(|run| own.contains(run));
    }

    pub(super) fn notify(&self, notice: Notice) {
        if self.watching.load(Ordering::Relaxed) > 0 {
            let _ = self.notices.send(notice);
        }
    }

    /// A durable value of a workflow, and its number.
    pub(super) fn state(&self, scope: &Arc<str>, key: &str) -> Result<(Option<Payload>, u64), String> {
        let cleared = {
            let overlay = held(&self.overlay);
            if let Some(set) = overlay.values.get(&(Arc::clone(scope), Arc::from(key))) {
                return Ok((set.value.clone(), set.number));
            }
            overlay.cleared
        };
        Ok((self.store.state(scope, key).map_err(|e| e.to_string())?, cleared))
    }

    /// Sets a durable value unless its number has changed; `flush` runs while no other value can be set.
    pub(super) fn set_state(
        &self,
        scope: &Arc<str>,
        key: &str,
        expected: Option<u64>,
        value: Option<Payload>,
        flush: &mut dyn FnMut(),
    ) -> bool {
        let mut overlay = held(&self.overlay);
        let id = (Arc::clone(scope), Arc::from(key));
        let number = overlay.values.get(&id).map_or(overlay.cleared, |set| set.number);
        if expected.is_some_and(|expected| expected != number) {
            return false;
        }
        flush();
        let item = self.log.last();
        overlay.last += 1;
        let number = overlay.last;
        overlay.values.insert(id.clone(), Set { value, number, item });
        overlay.order.push_back((item, id));
        true
    }

    fn clear_overlay(&self, durable: u64) {
        let mut overlay = held(&self.overlay);
        while overlay.order.front().is_some_and(|(item, _)| *item <= durable) {
            let Some((item, id)) = overlay.order.pop_front() else { return };
            if let Some(set) = overlay.values.get(&id)
                && set.item == item
            {
                overlay.cleared = overlay.cleared.max(set.number);
                overlay.values.remove(&id);
            }
        }
    }

    /// The engine stops by itself.
    pub(super) fn fail(&self, why: &str) {
        *held(&self.failed) = Some(why.to_owned());
        self.failing.notify_waiters();
        self.ended.close();
        self.closing.store(true, Ordering::Relaxed);
        let _ = self.notices.send(Notice::Trouble(why.into()));
        for worker in &self.workers {
            let _ = worker.send(Message::Close);
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        held(&self.failed).clone()
    }
}

/// What follows from a commit.
pub(super) struct AfterCommit {
    shared: Arc<Shared>,
    /// Rows of runs that were put in motion while their start was on its way, as long as nothing has changed them.
    fresh: RefCell<HashMap<RunId, Arc<Run>>>,
}

impl AfterCommit {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), fresh: RefCell::default() }
    }

    /// What a change may do to rows that are known.
    fn keep_fresh(&self, change: &Change) {
        match change {
            Change::Park { run, .. } | Change::Release { run, .. } => {
                self.fresh.borrow_mut().remove(run);
            }
            change if change.leaves_rows_alone() => {}
            _ => self.fresh.borrow_mut().clear(),
        }
    }

    fn any(&self, change: &Change, applied: &Applied) {
        match change {
            // What is done on somebody's behalf is done like anything else.
            Change::Audit { change: Some(change), .. } => self.any(change, applied),
            Change::Tell { change, told, .. } => {
                // First of all: whoever waits for the end of a run may end this process then.
                if applied.took_effect() {
                    self.shared.pass_on(told);
                }
                self.any(change, applied);
            }
            other => {
                self.follow(other, applied);
                self.one(other, applied);
            }
        }
    }

    fn one(&self, change: &Change, applied: &Applied) {
        let shared = &self.shared;
        if let Applied::Task { task, fresh: true } = applied {
            shared.notify(Notice::Task(task.id));
        }
        let early = match change {
            Change::Start { run, .. } => shared.take_early(run.id),
            _ => None,
        };
        match (change, applied) {
            (Change::Start { run, .. }, Applied::Started) => {
                shared.settling.started(run.id);
                shared.metrics.runs_started.one(&run.workflow);
                shared.own(run.id);
                if let Some(sla) = run.sla.as_ref().filter(|sla| super::timekeeper::is_soon(shared, sla.at)) {
                    shared.reminders.add(sla.at, run.id);
                    shared.timeline.wake();
                }
                if let Some(row) = early {
                    // A worker has it.
                    self.fresh.borrow_mut().insert(row.id, row);
                } else if run.owner.as_deref() == Some(&*shared.options.node) {
                    shared.admission.comes();
                    shared.activate((**run).clone());
                } else if let Some(at) = run.wake_at {
                    shared.timeline.add(at, run.id);
                }
                shared.notify(Notice::Changed(run.id));
            }
            (Change::Start { run, .. }, Applied::Queued { wake_at, cancelled }) => {
                if early.is_some() {
                    self.lost(run.id, run.epoch);
                }
                shared.settling.started(run.id);
                shared.metrics.runs_started.one(&run.workflow);
                shared.own(run.id);
                if let Some(at) = wake_at {
                    shared.timeline.add(*at, run.id);
                }
                cancelled.iter().for_each(|run| shared.wake(*run));
                shared.notify(Notice::Changed(run.id));
            }
            (Change::ReleaseSlot { .. } | Change::FreeSlots { .. }, Applied::Freed { woken, .. }) => {
                woken.iter().for_each(|run| shared.wake(*run));
            }
            (Change::Emit { event, gather, .. }, Applied::Emitted { fresh: true, woken, seq }) => {
                shared.gathered.add(gather, *seq, event.at);
                let mut waiting = shared.mailbox.waiting(event);
                waiting.extend(woken);
                waiting.into_iter().for_each(|run| shared.wake(run));
            }
            (Change::Claim { runs, .. }, Applied::Claimed(rows)) => {
                rows.iter().for_each(|row| shared.activate(row.clone()));
                shared.admission.claimed(runs, rows.len());
                shared.admit();
            }
            (Change::Finish { run, end: End { continued_as: Some(next), .. }, .. }, Applied::Ended { .. }) => {
                self.go_on(*run, *next);
            }
            (Change::Finish { run, end, .. }, Applied::Ended { parent, woken }) => {
                let waiting = held(&shared.ends).remove(run).unwrap_or_default();
                for run in waiting {
                    shared.wake(run);
                }
                for run in parent.iter().chain(woken) {
                    shared.wake(*run);
                }
                let fresh = self.fresh.borrow_mut().remove(run).filter(|_| end.status.is_final());
                shared.ended.over(*run, fresh.map(|row| Arc::new(row.ended_by(end))));
                shared.notify(Notice::Ended(*run, end.status));
            }
            (Change::Cancel { run, .. }, Applied::Done) => {
                let newest = shared.store.newest(*run).ok().flatten();
                shared.wake(newest.map_or(*run, |newest| newest.id));
            }
            (Change::Park { run, .. }, Applied::Ready) => shared.wake(*run),
            (Change::Prune { .. }, Applied::Pruned { runs: 1.., .. }) => shared.ended.forget_all(),
            (Change::Pause { run, .. }, Applied::Done) => {
                let _ = shared.tell(*run);
                shared.notify(Notice::Changed(*run));
            }
            (Change::Resume { run, .. }, Applied::Done) => {
                super::holds::resumed(shared, *run);
                shared.notify(Notice::Changed(*run));
            }
            (Change::Reopen(reopen), Applied::Reopened(then)) => {
                shared.ended.forget(reopen.run);
                reopen.then.iter().zip(then).for_each(|(change, applied)| self.any(change, applied));
                super::holds::resumed(shared, reopen.run);
                shared.notify(Notice::Changed(reopen.run));
            }
            (Change::SetState { scope, key, value }, Applied::Done) if **scope == *PAUSED => {
                shared.holds.set(key, value.is_some());
                for worker in &shared.workers {
                    let _ = worker.send(Message::Holds);
                }
            }
            (Change::AnswerTask { .. } | Change::EscalateTask { .. }, Applied::Task { task, fresh: true }) => {
                shared.wake(task.run);
            }
            (Change::SetState { scope, key, .. }, Applied::Done) if **scope == *PROGRESS => {
                if let Ok(run) = key.parse() {
                    shared.notify(Notice::Changed(run));
                }
            }
            (Change::Append { run, .. } | Change::Park { run, .. }, Applied::Done) => {
                shared.notify(Notice::Changed(*run));
            }
            (
                Change::Append { run, epoch, .. } | Change::Park { run, epoch, .. } | Change::Finish { run, epoch, .. },
                Applied::Refused,
            ) => self.lost(*run, *epoch),
            _ => {}
        }
    }

    fn follow(&self, change: &Change, applied: &Applied) {
        let Some(follower) = &self.shared.options.follower else { return };
        match (change, applied) {
            (Change::Park { run, .. }, Applied::Done | Applied::Ready) => follower.parked(*run),
            (Change::Finish { run, .. }, Applied::Ended { .. }) => follower.ended(*run),
            _ => {}
        }
    }

    /// Another run goes on in a run's place: who waits for the one waits for the other.
    fn go_on(&self, run: RunId, next: RunId) {
        let shared = &self.shared;
        let mut ends = held(&shared.ends);
        let waiting = ends.remove(&run).unwrap_or_default();
        ends.entry(next).or_default().extend(waiting);
        drop(ends);
        shared.ended.go_on(run, next);
        shared.notify(Notice::Ended(run, Status::Completed));
        // It may have been cancelled in its predecessor's last moment; and it may have ended before it was waited for.
        shared.wake(next);
    }

    /// Another node owns the run now: what this one has in motion of it goes.
    fn lost(&self, run: RunId, epoch: u64) {
        if let Some(worker) = held(&self.shared.routes).get(&run) {
            let _ = self.shared.workers[*worker].send(Message::Lost(run, epoch));
        }
    }
}

impl Listener for AfterCommit {
    fn elapsed(&self) -> std::time::Duration {
        self.shared.options.clock.elapsed()
    }

    fn committed(&self, changes: usize, took: std::time::Duration) {
        self.shared.full.store(false, Ordering::Relaxed);
        self.shared.metrics.commit_seconds.time(took);
        self.shared.metrics.commit_changes.value(changes as u64);
    }

    fn applied(&self, changes: &[Change], applied: &[Applied]) {
        for (change, applied) in changes.iter().zip(applied) {
            self.keep_fresh(change);
            self.any(change, applied);
        }
    }

    fn durable(&self, number: u64) {
        self.shared.clear_overlay(number);
        for (worker, attentive) in self.shared.workers.iter().zip(&self.shared.attentive) {
            if attentive.load(Ordering::SeqCst) {
                let _ = worker.send(Message::Durable(number));
            }
        }
    }

    fn failed(&self, error: &Error) {
        self.shared.fail(&error.to_string());
    }

    fn full(&self, error: &Error) {
        tracing::error!("{error}");
        self.shared.full.store(true, Ordering::Relaxed);
        let _ = self.shared.notices.send(Notice::Trouble(error.to_string().into()));
    }
}
