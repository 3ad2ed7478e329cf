//! Runs, events and changes with short names. Number `n` stands for the run that was accepted `n` seconds after some start.

use std::sync::Arc;

use panta::id::{RunId, TaskId, Version};
use panta::payload::Payload;
use panta::store::sqlite::{Options, Sqlite};
use panta::store::{
    Applied, Change, Dedupe, End, Event, EventFilter, Gate, OnConflict, RateWish, Rollback, Run, RunFilter, Slot,
    SlotState, SlotWish, Status, Store, Subscription, TaskFilter,
};
use panta::task::{Event as Happens, Moment, Status as TaskStatus, Task};
use panta::time::Timestamp;
use uuid::Uuid;

/// So many seconds after the start.
pub(crate) fn at(n: u64) -> Timestamp {
    Timestamp(1_700_000_000_000 + n.cast_signed() * 1000)
}

pub(crate) fn id(n: u64) -> RunId {
    let mut bytes = [7; 16];
    bytes[..6].copy_from_slice(&at(n).0.to_be_bytes()[2..]);
    RunId(Uuid::from_bytes(bytes))
}

pub(crate) fn text(text: &str) -> Payload {
    Payload::from_json(&text.into())
}

pub(crate) fn version(name: &str) -> Version {
    Version(name.into())
}

/// A queued run of the workflow `orders`.
pub(crate) fn run(n: u64) -> Run {
    let accepted = Run::accepted(id(n), "orders".into(), version("v1"), text("input"), at(n));
    Run { trigger: text("trigger"), ..accepted }
}

/// A run that is being evaluated by node `a` under epoch 1.
pub(crate) fn running(n: u64) -> Run {
    Run { status: Status::Running, owner: Some("a".into()), epoch: 1, started_at: Some(at(n)), ..run(n) }
}

pub(crate) fn start(run: Run) -> Change {
    Change::Start { run: Box::new(run), dedupe: None, gate: None }
}

pub(crate) fn start_once(run: Run, key: &str, input: u64, until: Option<Timestamp>) -> Change {
    let dedupe = Dedupe { scope: "workflow:orders".into(), key: key.into(), input, until };
    Change::Start { run: Box::new(run), dedupe: Some(dedupe), gate: None }
}

pub(crate) fn append(n: u64, epoch: u64, segment: &str) -> Change {
    Change::Append { run: id(n), epoch, segment: segment.into() }
}

/// Parks run `n`, which is owned under epoch 1, until one of these events.
pub(crate) fn park(n: u64, subscriptions: &[Subscription]) -> Change {
    Change::Park {
        run: id(n),
        epoch: 1,
        status: Status::Waiting,
        waiting_for: "a payment".into(),
        wake_at: None,
        subscriptions: subscriptions.to_vec(),
        children: Vec::new(),
        slots: Vec::new(),
        tasks: Vec::new(),
    }
}

pub(crate) fn park_until(n: u64, status: Status, wake_at: Timestamp) -> Change {
    Change::Park {
        run: id(n),
        epoch: 1,
        status,
        waiting_for: "time".into(),
        wake_at: Some(wake_at),
        subscriptions: Vec::new(),
        children: Vec::new(),
        slots: Vec::new(),
        tasks: Vec::new(),
    }
}

pub(crate) fn park_for(n: u64, child: u64) -> Change {
    Change::Park {
        run: id(n),
        epoch: 1,
        status: Status::Waiting,
        waiting_for: "a child".into(),
        wake_at: None,
        subscriptions: Vec::new(),
        children: vec![id(child)],
        slots: Vec::new(),
        tasks: Vec::new(),
    }
}

pub(crate) fn park_for_tasks(n: u64, tasks: &[u64]) -> Change {
    Change::Park {
        run: id(n),
        epoch: 1,
        status: Status::Waiting,
        waiting_for: "a person".into(),
        wake_at: None,
        subscriptions: Vec::new(),
        children: Vec::new(),
        slots: Vec::new(),
        tasks: tasks.iter().map(|n| task_id(*n)).collect(),
    }
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId(Uuid::from_u128(n.into()))
}

/// Task `n` of run `of`, opened `n` seconds after the start, for these: a reminder, an escalation to the CFO, an end.
pub(crate) fn task(n: u64, of: u64, to: &[&str]) -> Task {
    let later = Happens::Escalate { to: vec!["cfo".into()], due: Some(at(n + 40)) };
    let moments = [(10, Happens::Remind), (20, later), (40, Happens::Expire)];
    Task {
        id: task_id(n),
        run: id(of),
        workflow: "orders".into(),
        title: "Pay?".into(),
        text: "It is \"late\".".into(),
        to: to.iter().map(|name| (*name).into()).collect(),
        except: vec!["bob".into()],
        form: Some(text("form")),
        choices: vec!["yes".into(), "no".into()],
        opened_at: at(n),
        due: Some(at(n + 20)),
        moments: moments.into_iter().map(|(after, event)| Moment { at: at(n + after), event }).collect(),
        stage: 0,
        status: TaskStatus::Open,
        answer: None,
        ended_at: None,
    }
}

pub(crate) fn open(task: Task) -> Change {
    Change::OpenTask { epoch: 1, task: Box::new(task) }
}

pub(crate) fn answer(n: u64, answer: &str, when: Timestamp) -> Change {
    Change::AnswerTask { task: task_id(n), answer: text(answer), at: when }
}

pub(crate) fn escalate(n: u64, stage: u32) -> Change {
    Change::EscalateTask { task: task_id(n), stage }
}

/// A filter for a hundred tasks.
pub(crate) fn any_task() -> TaskFilter {
    TaskFilter { limit: 100, ..TaskFilter::default() }
}

/// Any such event.
pub(crate) fn on(name: &str) -> Subscription {
    Subscription { name: name.into(), key: None, after: 0, since: at(0) }
}

pub(crate) fn on_key(name: &str, key: &str) -> Subscription {
    Subscription { key: Some(key.into()), ..on(name) }
}

/// A start that takes a slot of `name` for the whole run.
pub(crate) fn start_in(run: Run, name: &str, limit: u32, on_conflict: OnConflict) -> Change {
    let slot = Some(SlotWish { name: name.into(), limit, on_conflict });
    Change::Start { run: Box::new(run), dedupe: None, gate: Some(Box::new(Gate { slot, rate: None })) }
}

/// A start of `orders`, of which one may begin each `seconds`.
pub(crate) fn start_at_rate(run: Run, seconds: u64) -> Change {
    let rate = Some(RateWish { name: "orders".into(), interval_us: seconds * 1_000_000 });
    Change::Start { run: Box::new(run), dedupe: None, gate: Some(Box::new(Gate { slot: None, rate })) }
}

/// Run `n`, owned under epoch 1, comes into the line for `name`.
pub(crate) fn acquire(n: u64, name: &str, ticket: &str, limit: u32) -> Change {
    Change::Acquire { run: id(n), epoch: 1, name: name.into(), ticket: ticket.into(), limit }
}

pub(crate) fn release(n: u64, ticket: &str) -> Change {
    Change::ReleaseSlot { run: id(n), epoch: 1, ticket: ticket.into() }
}

pub(crate) fn freed(woken: &[u64]) -> Applied {
    Applied::Freed { holders: Vec::new(), woken: ids(woken) }
}

pub(crate) fn queued(cancelled: &[u64]) -> Applied {
    Applied::Queued { wake_at: None, cancelled: ids(cancelled) }
}

/// Who holds and who waits, as `1+` and `2-`; `3~` comes later.
pub(crate) fn line(store: &dyn Store, name: &str) -> String {
    let shown = |slot: &Slot| {
        let n = (slot.run.0.as_u128() >> 80) as i64 - 1_700_000_000_000;
        let mark = match slot.state {
            SlotState::Held => "+",
            SlotState::Waiting => "-",
            SlotState::Later => "~",
        };
        format!("{}{mark}", n / 1000)
    };
    store.slots(name).expect("a read").iter().map(shown).collect::<Vec<_>>().join(" ")
}

pub(crate) fn claim(runs: &[u64], node: &str, when: Timestamp) -> Change {
    Change::Claim { runs: runs.iter().map(|n| id(*n)).collect(), node: node.into(), at: when }
}

/// Completes run `n` under epoch 1.
pub(crate) fn finish(n: u64, when: Timestamp) -> Change {
    end(n, 1, Status::Completed, when)
}

pub(crate) fn end(n: u64, epoch: u64, status: Status, when: Timestamp) -> Change {
    Change::Finish { run: id(n), epoch, end: ending(status, when) }
}

pub(crate) fn ending(status: Status, when: Timestamp) -> End {
    End {
        status,
        output: Some(text("output")),
        error: None,
        rollback: Rollback::Complete,
        at: when,
        continued_as: None,
        expires_at: None,
    }
}

/// Run `n` ends under epoch 1, and run `next` begins in its place, as one of the chain that `first` began.
pub(crate) fn go_on(n: u64, next: u64, first: u64, when: Timestamp) -> [Change; 2] {
    let end = End { continued_as: Some(id(next)), ..ending(Status::Completed, when) };
    let next = Run { chain: Some(id(first)), mailbox: Some(text("mailbox")), ..running(next) };
    [start(next), Change::Finish { run: id(n), epoch: 1, end }]
}

pub(crate) fn upgrade(n: u64, epoch: u64, to: &str) -> Change {
    Change::Upgrade { run: id(n), epoch, version: version(to), settings: text("new") }
}

pub(crate) fn cancel(n: u64, reason: &str) -> Change {
    Change::Cancel { run: id(n), reason: text(reason) }
}

pub(crate) fn event(id: &str, name: &str, key: Option<&str>, when: Timestamp) -> Event {
    Event { seq: 0, id: id.into(), name: name.into(), key: key.map(Arc::from), payload: text(id), run: None, at: when }
}

/// Accepts an event whose id is kept for a hundred seconds.
pub(crate) fn emit(event: Event) -> Change {
    let dedupe_until = Timestamp(event.at.0 + 100_000);
    Change::Emit { event, dedupe_until, gather: Vec::new() }
}

pub(crate) fn emitted(seq: u64, woken: &[u64]) -> Applied {
    Applied::Emitted { seq, fresh: true, woken: woken.iter().map(|n| id(*n)).collect() }
}

pub(crate) fn wanted(name: &str) -> EventFilter {
    EventFilter { name: name.into(), key: None, run: None, after: 0, since: at(0) }
}

pub(crate) fn set(scope: &str, key: &str, value: Option<&str>) -> Change {
    Change::SetState { scope: scope.into(), key: key.into(), value: value.map(text) }
}

pub(crate) fn put(name: &str, bytes: &str) -> Change {
    Change::PutBundle { version: version(name), bytes: bytes.into() }
}

pub(crate) fn prune(before: Timestamp, events_before: Timestamp, limit: usize) -> Change {
    prune_behind(RunId::LOWEST, before, events_before, limit)
}

/// The same, behind what was reached before.
pub(crate) fn prune_behind(behind: RunId, before: Timestamp, events_before: Timestamp, limit: usize) -> Change {
    Change::Prune { before, behind, expired: before, events_before, keep: Some(Vec::new()), limit }
}

/// Commits one change.
pub(crate) fn apply(store: &dyn Store, change: Change) -> Applied {
    store.commit(&[change]).expect("a commit").remove(0)
}

/// Commits a batch; what is given, so nothing of it may be refused.
pub(crate) fn given(store: &dyn Store, changes: impl IntoIterator<Item = Change>) {
    let changes: Vec<_> = changes.into_iter().collect();
    let applied = store.commit(&changes).expect("a commit");
    assert!(!applied.contains(&Applied::Refused), "{applied:?}");
}

pub(crate) fn get(store: &dyn Store, n: u64) -> Run {
    store.run(id(n)).expect("a read").expect("a run")
}

pub(crate) fn journal(store: &dyn Store, n: u64) -> Vec<String> {
    let segments = store.journal(id(n)).expect("a read");
    segments.into_iter().map(|segment| String::from_utf8(segment).expect("text")).collect()
}

pub(crate) fn ready(store: &dyn Store, node: &str) -> Vec<RunId> {
    store.ready(node, 100).expect("a read")
}

pub(crate) fn ids(runs: &[u64]) -> Vec<RunId> {
    runs.iter().map(|n| id(*n)).collect()
}

/// A filter for ten runs.
pub(crate) fn any() -> RunFilter {
    RunFilter { limit: 10, ..RunFilter::default() }
}

pub(crate) fn listed(store: &dyn Store, filter: &RunFilter) -> Vec<RunId> {
    store.runs(filter).expect("a read").into_iter().map(|run| run.id).collect()
}

/// `SQLite` with a small log, so that opening is quick.
pub(crate) fn options() -> Options {
    Options { wal_bytes: 100_000, ..Options::default() }
}

/// A new store, and its folder.
pub(crate) fn sqlite() -> (Sqlite, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Sqlite::open(folder.path(), &options()).expect("a store"), folder)
}

/// What a crash at this moment leaves of a store that is open.
pub(crate) fn crashed(folder: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["panta.db", "panta.db-wal"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).expect("a copy");
    }
    copy
}
