//! The store's contract in memory: for tests and simulation. Deterministic, and nothing outlives the process.
//!
//! A crash is simulated by going on with [`Memory::crash`]: what had been committed, and nothing else.

mod audit;
mod control;
mod part;
mod slots;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Applied, AuditFilter, Change, Dedupe, Due, End, Error, Event, EventFilter, Gate, Gather, Keep, Part, Result, Run,
    RunFilter, Slot, Status, Store, Subscription, TOLD, TaskFilter, Way,
};
use crate::audit::{Head, Record};
use crate::id::{RunId, TaskId, Version};
use crate::payload::Payload;
use crate::task::Task;
use crate::time::Timestamp;

/// Whether a change is of the kind that a fault is for.
pub type IsMeant = fn(&Change) -> bool;

/// The store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
    /// What goes wrong, and with which commit from now on, from 1.
    fault: Mutex<Option<(u64, Fault)>>,
    /// Commits without such a change pass the fault by.
    hits: Mutex<Option<IsMeant>>,
    commits: AtomicU64,
}

/// What goes wrong with a commit, in a simulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No space: nothing is written, and the caller is told so.
    Full,
    /// The commit reports an error, and nothing was written.
    Lost,
    /// The commit reports an error, and everything was written.
    Kept,
}

#[derive(Clone, Debug, Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    journals: BTreeMap<RunId, Vec<Arc<[u8]>>>,
    /// Name, key and run; and the other way round, for taking them back.
    subscribers: BTreeSet<(Arc<str>, Option<Arc<str>>, RunId)>,
    subscriptions: BTreeMap<RunId, Vec<Subscription>>,
    /// The runs whose parent a run is.
    children: BTreeMap<RunId, Vec<RunId>>,
    /// Whose end a parked run waits for.
    awaited: BTreeMap<RunId, Vec<RunId>>,
    events: BTreeMap<u64, Event>,
    last_event: u64,
    /// Where an event's id was first seen, and until when a repeat is dropped.
    event_ids: BTreeMap<Arc<str>, (u64, Timestamp)>,
    keys: BTreeMap<(Arc<str>, Arc<str>), Key>,
    values: BTreeMap<(Arc<str>, Arc<str>), Payload>,
    slots: slots::Slots,
    tasks: BTreeMap<TaskId, Task>,
    bundles: BTreeMap<Version, Arc<[u8]>>,
    audit: Vec<Record>,
}

/// A key that has started a run.
#[derive(Clone, Debug)]
struct Key {
    run: RunId,
    input: u64,
    until: Option<Timestamp>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The store as it is found after a crash at this moment.
    #[must_use]
    pub fn crash(&self) -> Self {
        Self { state: Mutex::new(self.state().clone()), ..Self::default() }
    }

    /// The next commit goes wrong like this.
    pub fn fail_next(&self, fault: Fault) {
        self.fail_at(1, fault);
    }

    /// The n-th commit from now on, from 1, goes wrong like this; the others do not.
    pub fn fail_at(&self, n: u64, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some((n, fault));
    }

    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// The next commit with a change of this kind goes wrong: others, such as housekeeping that comes by itself, do not.
    pub fn fail_next_with(&self, fault: Fault, is_meant: IsMeant) {
        *self.hits.lock().unwrap_or_else(PoisonError::into_inner) = Some(is_meant);
        self.fail_next(fault);
    }

    /// The fault of the commit that begins.
    fn fault(&self, changes: &[Change]) -> Option<Fault> {
        let is_meant = *self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        if is_meant.is_some_and(|is_meant| !changes.iter().any(is_meant)) {
            return None;
        }
        let mut planned = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, fault) = planned.as_mut()?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        let fault = *fault;
        *planned = None;
        Some(fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Memory {
    /// A copy that goes its own way.
    fn clone(&self) -> Self {
        self.crash()
    }
}

impl Store for Memory {
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        let fault = self.fault(changes);
        self.commits.fetch_add(1, Ordering::Relaxed);
        match fault {
            Some(Fault::Full) => return Err(Error::Full),
            Some(Fault::Lost) => return Err(Error::Failed("simulated".into())),
            Some(Fault::Kept) | None => {}
        }
        let mut state = self.state();
        let applied = changes.iter().map(|change| state.apply(change)).collect();
        if fault.is_some() { Err(Error::Failed("simulated".into())) } else { Ok(applied) }
    }

    fn run(&self, id: RunId) -> Result<Option<Run>> {
        Ok(self.state().runs.get(&id).cloned())
    }

    fn newest(&self, id: RunId) -> Result<Option<Run>> {
        let state = self.state();
        Ok(state.newest(id).and_then(|id| state.runs.get(&id).cloned()))
    }

    fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let fits = |run: &&Run| {
            filter.workflow.as_deref().is_none_or(|workflow| *run.workflow == *workflow)
                && (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
                && filter.since.is_none_or(|since| run.created_at >= since)
                && filter.before.is_none_or(|before| run.id < before)
        };
        Ok(self.state().runs.values().rev().filter(fits).take(filter.limit).cloned().collect())
    }

    fn counts(&self) -> Result<Vec<(Arc<str>, Status, u64)>> {
        let mut counts = BTreeMap::new();
        for run in self.state().runs.values() {
            *counts.entry((run.workflow.clone(), run.status)).or_default() += 1;
        }
        Ok(counts.into_iter().map(|((workflow, status), n)| (workflow, status, n)).collect())
    }

    fn journal(&self, id: RunId) -> Result<Vec<Vec<u8>>> {
        Ok(self.state().journals.get(&id).into_iter().flatten().map(|segment| segment.to_vec()).collect())
    }

    fn journal_part(&self, id: RunId, mark: u64, most: usize) -> Result<Part> {
        Ok(self.state().part(id, mark, most))
    }

    fn journal_way(&self, id: RunId) -> Result<Arc<Way>> {
        Ok(Arc::new(self.state().way(id)))
    }

    fn ready(&self, node: &str, limit: usize) -> Result<Vec<RunId>> {
        let state = self.state();
        let mine = |run: &&Run| {
            let is_held = run.cancel.is_none() && state.is_held(&run.workflow);
            run.can_go_on() && !is_held && run.owner.as_deref().is_none_or(|owner| owner == node)
        };
        let mut ready: Vec<_> = state.runs.values().filter(mine).collect();
        ready.sort_by_key(|run| (std::cmp::Reverse(run.priority), run.id));
        Ok(ready.into_iter().take(limit).map(|run| run.id).collect())
    }

    fn workflows_of(&self, runs: &[RunId]) -> Result<Vec<(RunId, Arc<str>)>> {
        let state = self.state();
        let of = |run: &RunId| Some((*run, Arc::clone(&state.runs.get(run)?.workflow)));
        Ok(runs.iter().filter_map(of).collect())
    }

    fn due(&self, after: Option<Due>, until: Timestamp, limit: usize) -> Result<Vec<Due>> {
        let state = self.state();
        let live = state.runs.values().filter(|run| run.status.is_live());
        let mut due: Vec<_> = live
            .filter_map(|run| Some((run.wake_at?, run.id)))
            .filter(|due| due.0 <= until && after.is_none_or(|after| *due > after))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    fn overdue(&self, until: Timestamp, limit: usize) -> Result<Vec<(Timestamp, RunId)>> {
        let state = self.state();
        let told = state.runs.values().filter_map(|run| Some((run.sla.as_ref()?.at, run.id)));
        let mut due: Vec<_> = told.filter(|due| due.0 <= until).collect();
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    fn next_event(&self, filter: &EventFilter) -> Result<Option<Event>> {
        Ok(self.state().next_event(filter).cloned())
    }

    fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>> {
        Ok(self.state().events.range(after.saturating_add(1)..).take(limit).map(|(_, event)| event.clone()).collect())
    }

    fn task(&self, id: TaskId) -> Result<Option<Task>> {
        Ok(Self::state(self).tasks.get(&id).cloned())
    }

    fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>> {
        Ok(Self::state(self).tasks_of(filter))
    }

    fn state(&self, scope: &str, key: &str) -> Result<Option<Payload>> {
        Ok(Self::state(self).values.get(&(scope.into(), key.into())).cloned())
    }

    fn states(&self, scope: &str, prefix: &str) -> Result<Vec<(Arc<str>, Payload)>> {
        let state = Self::state(self);
        let from = state.values.range((scope.into(), prefix.into())..);
        let fits = from.take_while(|((s, key), _)| **s == *scope && key.starts_with(prefix));
        Ok(fits.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn slots(&self, name: &str) -> Result<Vec<Slot>> {
        Ok(Self::state(self).slots.of_name(name))
    }

    fn slots_of(&self, run: RunId) -> Result<Vec<Slot>> {
        Ok(Self::state(self).slots.of_run(run))
    }

    fn acts(&self, after: u64, limit: usize) -> Result<Vec<Record>> {
        Ok(self.state().audit.iter().filter(|record| record.seq > after).take(limit).cloned().collect())
    }

    fn audit(&self, filter: &AuditFilter) -> Result<Vec<Record>> {
        Ok(self.state().acts(filter))
    }

    fn audit_head(&self) -> Result<Option<Head>> {
        Ok(self.state().audit_head())
    }

    fn bundle(&self, version: &Version) -> Result<Option<Vec<u8>>> {
        Ok(Self::state(self).bundles.get(version).map(|bytes| bytes.to_vec()))
    }
}

impl Run {
    /// See [`Store::ready`].
    fn can_go_on(&self) -> bool {
        let awake = self.status.is_live() && (self.ready || self.status == Status::Running);
        awake || self.cancel.is_some() && !self.status.is_final()
    }
}

impl State {
    fn apply(&mut self, change: &Change) -> Applied {
        match change {
            Change::Start { run, dedupe, gate } => self.start(run, dedupe.as_ref(), gate.as_deref()),
            Change::Append { run, epoch, segment } => self.append(*run, *epoch, segment),
            Change::Park { .. } => self.park(change),
            Change::Release { run, epoch } => match self.claimed(*run, *epoch) {
                Some(run) => {
                    run.owner = None;
                    Applied::Done
                }
                None => Applied::Refused,
            },
            Change::Claim { runs, node, at } => {
                Applied::Claimed(runs.iter().filter_map(|run| self.claim(*run, node, *at)).collect())
            }
            Change::Finish { run, epoch, end } => self.finish(*run, *epoch, end),
            Change::Cancel { run, reason } => self.cancel(*run, reason),
            Change::Pause { run, unwinds, segment } => self.pause(*run, *unwinds, segment),
            Change::Resume { run, segment } => self.resume(*run, segment),
            Change::Reopen(reopen) => self.reopen(reopen),
            Change::Emit { event, dedupe_until, gather } => self.emit(event, *dedupe_until, gather),
            Change::OpenTask { epoch, task } => self.open_task(*epoch, task),
            Change::AnswerTask { task, answer, at } => self.answer_task(*task, answer, *at),
            Change::CloseTask { task, at } => self.close_task(*task, *at),
            Change::EscalateTask { task, stage } => self.escalate_task(*task, *stage),
            Change::SetState { scope, key, value } => {
                match value {
                    Some(value) => self.values.insert((scope.clone(), key.clone()), value.clone()),
                    None => self.values.remove(&(scope.clone(), key.clone())),
                };
                Applied::Done
            }
            Change::Acquire { run, epoch, name, ticket, limit } => self.acquire(*run, *epoch, name, ticket, *limit),
            Change::ReleaseSlot { run, epoch, ticket } => self.release_slot(*run, *epoch, ticket),
            Change::FreeSlots { name } => self.free_slots(name),
            Change::Audit { act, change } => self.audit(act, change.as_deref()),
            Change::Tell { change, told, keep } => {
                let applied = self.apply(change);
                if *keep == Keep::Until && applied.took_effect() {
                    let rows = told.iter().map(|told| ((TOLD.into(), told.key()), told.value.clone()));
                    self.values.extend(rows);
                }
                applied
            }
            Change::PutBundle { version, bytes } => {
                self.bundles.entry(version.clone()).or_insert_with(|| bytes.as_slice().into());
                Applied::Done
            }
            Change::Upgrade { run, epoch, version, settings } => {
                let Some(run) = self.claimed(*run, *epoch) else { return Applied::Refused };
                run.version = version.clone();
                run.settings = settings.clone();
                if run.status == Status::Diverged {
                    (run.status, run.ready, run.error) = (Status::Waiting, true, None);
                }
                Applied::Done
            }
            Change::Charge { run, epoch, charged } => {
                let Some(run) = self.claimed(*run, *epoch) else { return Applied::Refused };
                run.charged = *charged;
                Applied::Done
            }
            Change::Remind { run, at } => {
                let due = |run: &&mut Run| run.sla.as_ref().is_some_and(|sla| sla.at <= *at);
                let Some(run) = self.runs.get_mut(run).filter(due) else { return Applied::Refused };
                run.sla = None;
                Applied::Done
            }
            Change::Prune { .. } => self.prune(change),
            Change::Compact(_) => Applied::Done,
        }
    }

    /// The run, where it has not ended and the claim holds.
    fn claimed(&mut self, run: RunId, epoch: u64) -> Option<&mut Run> {
        self.runs.get_mut(&run).filter(|run| run.epoch == epoch && !run.status.is_final())
    }

    fn start(&mut self, run: &Run, dedupe: Option<&Dedupe>, gate: Option<&Gate>) -> Applied {
        if let Some(dedupe) = dedupe
            && let Some(key) = self.keys.get(&(dedupe.scope.clone(), dedupe.key.clone()))
            && key.until.is_none_or(|until| run.created_at < until)
        {
            return Applied::Repeated { run: key.run, same_input: key.input == dedupe.input };
        }
        if let Some(old) = self.runs.get(&run.id) {
            return Applied::Repeated { run: run.id, same_input: old.input == run.input };
        }
        let mut row = run.clone();
        let mut applied = gate.map_or(Applied::Started, |gate| self.pass(&mut row, gate));
        if let Applied::Skipped { .. } = applied {
            return applied;
        }
        if applied == Applied::Started && row.status.is_live() && self.is_held(&row.workflow) {
            super::control::hold_back(&mut row);
            applied = Applied::Queued { wake_at: row.wake_at, cancelled: Vec::new() };
        }
        if let Some(Dedupe { scope, key, input, until }) = dedupe {
            self.keys.insert((scope.clone(), key.clone()), Key { run: run.id, input: *input, until: *until });
        }
        if let Some(parent) = row.parent {
            self.children.entry(parent).or_default().push(run.id);
        }
        self.runs.insert(run.id, row);
        applied
    }

    fn append(&mut self, run: RunId, epoch: u64, segment: &[u8]) -> Applied {
        if self.claimed(run, epoch).is_none() {
            return Applied::Refused;
        }
        self.journals.entry(run).or_default().push(segment.into());
        Applied::Done
    }

    fn park(&mut self, change: &Change) -> Applied {
        let Change::Park { run, epoch, status, waiting_for, wake_at, subscriptions, children, slots, tasks } = change
        else {
            unreachable!("called for `Park` alone");
        };
        if self.claimed(*run, *epoch).is_none() {
            return Applied::Refused;
        }
        self.unsubscribe(*run);
        for Subscription { name, key, .. } in subscriptions {
            self.subscribers.insert((name.clone(), key.clone(), *run));
        }
        self.subscriptions.insert(*run, subscriptions.clone());
        self.awaited.insert(*run, children.clone());
        let mailbox = self.mailbox_of(*run);
        let ended = |child: &RunId| self.newest(*child).is_some_and(|newest| self.runs[&newest].status.is_final());
        let ready = subscriptions.iter().any(|wanted| self.next_event(&wanted.filter(mailbox)).is_some())
            || children.iter().any(ended)
            || slots.iter().any(|ticket| self.slots.is_held(*run, ticket))
            || tasks.iter().any(|task| self.task_is_over(*task));
        let run = self.claimed(*run, *epoch).expect("it was there before");
        run.status = if run.status == Status::Paused { Status::Paused } else { *status };
        run.waiting_for = waiting_for.clone();
        run.wake_at = *wake_at;
        run.ready = ready;
        if ready { Applied::Ready } else { Applied::Done }
    }

    fn claim(&mut self, run: RunId, node: &Arc<str>, at: Timestamp) -> Option<Run> {
        let row = self.runs.get(&run)?;
        if row.cancel.is_none() && self.is_held(&row.workflow) || !self.may_begin(run, node)? {
            return None;
        }
        let run = self.runs.get_mut(&run)?;
        let open = run.status.is_live() || run.cancel.is_some() && !run.status.is_final();
        if !open || run.owner.as_ref().is_some_and(|owner| owner != node) {
            return None;
        }
        run.owner = Some(node.clone());
        run.epoch += 1;
        run.started_at.get_or_insert(at);
        if matches!(run.status, Status::Queued | Status::Paused) {
            run.status = Status::Running;
            run.waiting_for = "".into();
            run.wake_at = None;
        }
        Some(run.clone())
    }

    fn finish(&mut self, id: RunId, epoch: u64, end: &End) -> Applied {
        let Some(run) = self.claimed(id, epoch) else { return Applied::Refused };
        let is_final = end.status.is_final();
        run.status = end.status;
        run.output.clone_from(&end.output);
        run.error.clone_from(&end.error);
        run.rollback = end.rollback;
        run.ended_at = is_final.then_some(end.at);
        run.waiting_for = "".into();
        run.wake_at = None;
        let cancel = run.cancel.take();
        run.ready = false;
        run.owner = None;
        if is_final {
            run.sla = None;
            run.expires_at = end.expires_at;
        }
        let parent = run.parent.filter(|_| is_final && end.continued_as.is_none());
        if let Some(next) = end.continued_as {
            run.continued_as = Some(next);
            run.chain.get_or_insert(id);
            if let Some(reason) = cancel {
                self.cancel(next, &reason);
            }
        }
        self.unsubscribe(id);
        if is_final {
            self.close_tasks_of(id, end.at);
        }
        let parent = parent.filter(|parent| self.wake(*parent));
        if let Some(next) = end.continued_as.filter(|_| is_final) {
            self.hand_over(id, next);
        }
        let mut woken = self.leave_lines(id, is_final);
        if is_final && end.continued_as.is_none() {
            woken.extend(self.wake_waiters(id));
            woken.extend(self.cancel_children(id));
        }
        Applied::Ended { parent, woken }
    }

    /// Runs that parked until this one, or the chain that it belongs to, has ended; its parent is woken by itself.
    fn wake_waiters(&mut self, id: RunId) -> Vec<RunId> {
        let parent = self.runs[&id].parent;
        let first = |run: &RunId| self.runs.get(run).and_then(|run| run.chain).unwrap_or(*run);
        let ended = first(&id);
        let is_awaited = |run: &RunId| first(run) == ended;
        let waiters = self.awaited.iter().filter(|(run, runs)| Some(**run) != parent && runs.iter().any(is_awaited));
        let waiters: Vec<_> = waiters.map(|(run, _)| *run).collect();
        waiters.into_iter().filter(|run| self.wake(*run)).collect()
    }

    /// The newest of a run's chain, or itself.
    fn newest(&self, id: RunId) -> Option<RunId> {
        let run = self.runs.get(&id)?;
        if run.continued_as.is_none() {
            return Some(id);
        }
        let newest = |other: &&Run| other.chain == run.chain && other.continued_as.is_none();
        self.runs.values().find(newest).map(|newest| newest.id)
    }

    fn mailbox_of(&self, id: RunId) -> RunId {
        self.runs.get(&id).map_or(id, Run::mailbox_of)
    }

    /// Makes a run ready that has not ended; whether it is live.
    fn wake(&mut self, run: RunId) -> bool {
        let Some(run) = self.runs.get_mut(&run).filter(|run| !run.status.is_final()) else { return false };
        run.ready = true;
        run.status.is_live()
    }

    fn cancel(&mut self, run: RunId, reason: &Payload) -> Applied {
        let run = self.newest(run).unwrap_or(run);
        let Some(run) = self.runs.get_mut(&run).filter(|run| !run.status.is_final()) else { return Applied::Refused };
        run.cancel.get_or_insert_with(|| reason.clone());
        run.ready = true;
        Applied::Done
    }

    /// Nobody waits for the runs any more whose parent has ended. Those that had not ended.
    fn cancel_children(&mut self, parent: RunId) -> Vec<RunId> {
        let children = self.children.get(&parent).cloned().unwrap_or_default();
        let open = |state: &Self, run: &RunId| state.runs.get(run).is_some_and(|run| !run.status.is_final());
        let mut children: Vec<_> = children.into_iter().filter(|run| open(self, run)).collect();
        children.sort_unstable();
        for run in &children {
            self.cancel(*run, &super::control::orphaned());
        }
        children
    }

    fn unsubscribe(&mut self, run: RunId) {
        self.awaited.remove(&run);
        for Subscription { name, key, .. } in self.subscriptions.remove(&run).unwrap_or_default() {
            self.subscribers.remove(&(name, key, run));
        }
    }

    fn emit(&mut self, event: &Event, until: Timestamp, gather: &[Gather]) -> Applied {
        if let Some((seq, until)) = self.event_ids.get(&event.id)
            && event.at < *until
        {
            return Applied::Emitted { seq: *seq, fresh: false, woken: Vec::new() };
        }
        self.last_event += 1;
        let seq = self.last_event;
        self.event_ids.insert(event.id.clone(), (seq, until));
        let event = Event { seq, run: event.run.map(|run| self.mailbox_of(run)), ..event.clone() };
        self.events.insert(seq, event.clone());
        for Gather { scope, prefix, value } in gather {
            self.values.insert((scope.clone(), Gather::key_at(prefix, seq)), value.clone());
        }
        let woken = self.subscribed(&event).into_iter().filter(|run| self.wake(*run)).collect();
        Applied::Emitted { seq, fresh: true, woken }
    }

    /// Runs that wait for such an event.
    fn subscribed(&self, event: &Event) -> BTreeSet<RunId> {
        let keys = [None].into_iter().chain(event.key.clone().map(Some));
        let runs = keys.flat_map(|key| {
            let low = (event.name.clone(), key.clone(), RunId(uuid::Uuid::nil()));
            let high = (event.name.clone(), key, RunId(uuid::Uuid::max()));
            self.subscribers.range(low..=high).map(|(_, _, run)| *run)
        });
        runs.filter(|run| event.run.is_none_or(|only| only == self.mailbox_of(*run))).collect()
    }

    fn next_event(&self, filter: &EventFilter) -> Option<&Event> {
        self.events.range(filter.after.saturating_add(1)..).map(|(_, event)| event).find(|event| {
            event.name == filter.name
                && (filter.key.is_none() || event.key == filter.key)
                && (event.run.is_none() || event.run == filter.run)
                && event.at >= filter.since
        })
    }

    fn prune(&mut self, change: &Change) -> Applied {
        let Change::Prune { before, behind, expired, events_before, keep, limit } = change else {
            unreachable!("called for `Prune` alone");
        };
        let limit = *limit;
        let (gone, reached) = self.prunable(*before, *behind, *expired, limit);
        for run in &gone {
            self.runs.remove(run);
            self.journals.remove(run);
            self.children.remove(run);
            for scope in [super::PROGRESS, super::CHARGED] {
                self.values.remove(&(scope.into(), run.to_string().into()));
            }
        }
        self.tasks.retain(|_, task| !gone.contains(&task.run));
        self.keys.retain(|_, key| key.until.is_some() || !gone.contains(&key.run));
        let old: Vec<_> = self.events.iter().take(limit).take_while(|(_, event)| event.at < *events_before).collect();
        let old: Vec<_> = old.into_iter().map(|(seq, _)| *seq).collect();
        for seq in &old {
            self.events.remove(seq);
        }
        let is_full = self.expire(*expired, limit);
        if let Some(keep) = keep {
            let used: BTreeSet<_> = self.runs.values().map(|run| &run.version).collect();
            self.bundles.retain(|version, _| used.contains(version) || keep.contains(version));
        }
        let more = is_full || gone.len() == limit || old.len() == limit;
        Applied::Pruned { runs: gone.len(), more, reached }
    }

    /// Finished runs that nothing open refers to: the ones that expired first, then those that ended before, in the order of ids;
    /// and how far it looked for the latter.
    fn prunable(&self, before: Timestamp, behind: RunId, expired: Timestamp, limit: usize) -> (BTreeSet<RunId>, RunId) {
        let open = || self.runs.values().filter(|run| !run.status.is_final());
        let parents: BTreeSet<_> = open().filter_map(|run| run.parent).collect();
        let chains: BTreeSet<_> = open().filter_map(|run| run.chain).collect();
        let open: BTreeSet<_> = open().map(|run| run.id).collect();
        let free = |run: &&Run| {
            run.status.is_final()
                && !parents.contains(&run.id)
                && run.parent.is_none_or(|id| !open.contains(&id))
                // Whoever knows the first run finds the newest through it.
                && !chains.contains(&run.id)
        };
        let free: Vec<_> = self.runs.values().filter(free).collect();
        let expired_at = |run: &&Run| run.expires_at.filter(|at| *at <= expired).map(|at| (at, run.id));
        let first: BTreeSet<_> = free.iter().filter_map(expired_at).collect();
        let mut gone: BTreeSet<_> = first.into_iter().take(limit).map(|(_, run)| run).collect();
        let has_ended = |run: &&&Run| run.ended_at.is_some_and(|at| at < before) && run.id > behind;
        let then = free.iter().filter(|run| expired_at(run).is_none()).filter(has_ended);
        let mut reached = behind;
        for run in then.take(limit - gone.len()) {
            gone.insert(run.id);
            reached = run.id;
        }
        let is_full = gone.len() == limit;
        (gone, if is_full { reached } else { RunId::HIGHEST })
    }

    /// Whether as many went as may.
    fn expire(&mut self, by: Timestamp, limit: usize) -> bool {
        let due = self.keys.iter().filter_map(|(key, kept)| Some((kept.until?, key.clone())));
        let due: BTreeSet<_> = due.filter(|(until, _)| *until <= by).collect();
        let is_full = due.len() >= limit;
        for (_, key) in due.into_iter().take(limit) {
            self.keys.remove(&key);
        }
        let due = self.event_ids.iter().map(|(id, (_, until))| (*until, id.clone()));
        let due: BTreeSet<_> = due.filter(|(until, _)| *until <= by).collect();
        let is_full = is_full || due.len() >= limit;
        for (_, id) in due.into_iter().take(limit) {
            self.event_ids.remove(&id);
        }
        is_full
    }
}
