//! All stores agree: random batches give the same answers and the same reads.

use panta::store::memory::Memory;
use panta::store::{
    Change, End, Event, EventFilter, Gate, OnConflict, RateWish, Run, RunFilter, Sla, SlotWish, Status, Store,
    Subscription, TaskFilter,
};
use proptest::prelude::*;

use crate::support::stores::*;

const RUNS: u64 = 5;
/// Run `n` may continue as run `n + NEXT`.
const NEXT: u64 = 10;
const TASKS: u64 = 4;
const FOR: &[&[&str]] = &[&[], &["a"], &["b", "a"]];
const KEYS: [&str; 3] = ["", "k", "l"];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&KEYS[..])
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a", "b"][..])
}

fn time() -> impl Strategy<Value = panta::time::Timestamp> {
    (0..40_u64).prop_map(at)
}

fn status() -> impl Strategy<Value = Status> {
    prop::sample::select(&Status::ALL[..])
}

fn a_run() -> impl Strategy<Value = Run> {
    let ids = (number(), prop::option::of(0..RUNS), prop::option::of(name()), (0..2_u64, prop::option::of(time())));
    let rest = (name(), name(), prop::sample::select(&[Status::Queued, Status::Running][..]), any::<bool>());
    (ids, rest, time()).prop_map(
        |((n, parent, owner, (epoch, sla)), (workflow, version_, status, ready), created_at)| Run {
            workflow: workflow.into(),
            version: version(version_),
            parent: parent.map(id),
            owner: owner.map(Into::into),
            status,
            ready,
            epoch,
            created_at,
            chain: n.checked_sub(NEXT).map(id),
            mailbox: (n >= NEXT).then(|| text("mailbox")),
            sla: sla.map(|at| Sla { at, notify: "ops".into() }),
            ..run(n)
        },
    )
}

fn subscription() -> impl Strategy<Value = Subscription> {
    (name(), prop::option::of(key()), 0..4_u64, time()).prop_map(|(name, key, after, since)| Subscription {
        name: name.into(),
        key: key.map(Into::into),
        after,
        since,
    })
}

/// A run, or one that goes on in another's place.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..RUNS, 1 => NEXT..NEXT + 2]
}

fn an_end() -> impl Strategy<Value = Change> {
    let end_status = status().prop_filter("an end", |status| status.is_final() || !status.is_live());
    (number(), 0..3_u64, end_status, time(), prop::option::of(time()), 0..3_u8).prop_map(
        |(n, epoch, status, when, expires_at, goes_on)| {
            let goes_on = goes_on == 0 && n < NEXT && status == Status::Completed;
            let end = End { expires_at, continued_as: goes_on.then(|| id(n + NEXT)), ..ending(status, when) };
            Change::Finish { run: id(n), epoch, end }
        },
    )
}

fn a_park() -> impl Strategy<Value = Change> {
    let rest = (
        prop::sample::select(&[Status::Waiting, Status::Paused, Status::Running][..]),
        prop::option::of(time()),
        prop::collection::vec(subscription(), 0..3),
        prop::collection::vec(0..RUNS, 0..2),
        prop::option::of(key()),
        prop::collection::vec(0..TASKS, 0..2),
    );
    (number(), 0..3_u64, rest).prop_map(|(n, epoch, (status, wake_at, subscriptions, children, slot, tasks))| {
        Change::Park {
            run: id(n),
            epoch,
            status,
            waiting_for: "x".into(),
            wake_at,
            subscriptions,
            children: children.into_iter().map(id).collect(),
            slots: slot.map(Into::into).into_iter().collect(),
            tasks: tasks.into_iter().map(task_id).collect(),
        }
    })
}

fn an_event() -> impl Strategy<Value = Change> {
    let parts = (0..20_u32, name(), prop::option::of(key()), prop::option::of(0..RUNS), time(), 0..30_i64);
    parts.prop_map(|(id_, name, key, run, when, kept)| Change::Emit {
        event: Event { run: run.map(id), ..event(&id_.to_string(), name, key, when) },
        dedupe_until: panta::time::Timestamp(when.0 + kept * 1000),
        gather: vec![panta::store::Gather { scope: "w".into(), prefix: "g/".into(), value: text(name) }],
    })
}

fn a_gate() -> impl Strategy<Value = Gate> {
    let conflict =
        prop_oneof![Just(OnConflict::Queue), Just(OnConflict::Skip), Just(OnConflict::Cancel(text("newer")))];
    let slot = (name(), 1..3_u32, conflict);
    let slot = slot.prop_map(|(name, limit, on_conflict)| SlotWish { name: name.into(), limit, on_conflict });
    let rate = (name(), 0..9_000_000_u64);
    let rate = rate.prop_map(|(name, interval_us)| RateWish { name: name.into(), interval_us });
    (prop::option::weighted(0.8, slot), prop::option::weighted(0.3, rate)).prop_map(|(slot, rate)| Gate { slot, rate })
}

/// A start that has to pass something, perhaps of a run that is to begin later.
fn a_gated_start() -> impl Strategy<Value = Change> {
    (a_run(), a_gate(), -1..2_i32, prop::option::weighted(0.2, time()), any::<bool>()).prop_map(
        |(run, gate, priority, wake_at, keyed)| {
            let run = Run { priority, wake_at, ready: wake_at.is_none(), ..run };
            match start_once(run, "g", 0, None) {
                Change::Start { run, dedupe, .. } => {
                    Change::Start { run, dedupe: dedupe.filter(|_| keyed), gate: Some(Box::new(gate)) }
                }
                other => other,
            }
        },
    )
}

fn a_ticket() -> impl Strategy<Value = Change> {
    let acquire = (0..RUNS, 0..3_u64, name(), key(), 1..3_u32).prop_map(|(n, epoch, name, ticket, limit)| {
        Change::Acquire { run: id(n), epoch, name: name.into(), ticket: ticket.into(), limit }
    });
    let release = (0..RUNS, 0..3_u64, key());
    let release =
        release.prop_map(|(n, epoch, ticket)| Change::ReleaseSlot { run: id(n), epoch, ticket: ticket.into() });
    prop_oneof![4 => acquire, 2 => release, 1 => name().prop_map(|name| Change::FreeSlots { name: name.into() })]
}

fn a_task_change() -> impl Strategy<Value = Change> {
    let to = prop::sample::select(FOR);
    prop_oneof![
        4 => (0..TASKS, 0..RUNS, to, 0..3_u64).prop_map(|(n, of, to, epoch)| {
            let task = Box::new(panta::task::Task { opened_at: at(n / 2), ..task(n, of, to) });
            Change::OpenTask { epoch, task }
        }),
        2 => (0..TASKS, key(), time()).prop_map(|(n, said, when)| answer(n, said, when)),
        3 => (0..TASKS, 0..4_u32).prop_map(|(n, stage)| escalate(n, stage)),
        1 => (0..TASKS, time()).prop_map(|(n, at)| Change::CloseTask { task: task_id(n), at }),
    ]
}

/// Holding, letting go, and opening again.
fn a_control() -> impl Strategy<Value = Change> {
    let locks = prop::collection::vec((name(), key(), 1..3_u32), 0..2);
    let rest = (prop::option::of((name(), 1..3_u32)), prop::option::of(name()), name(), any::<bool>());
    let reopen = (number(), 0..3_u64, status(), locks, rest).prop_map(|(n, epoch, status, locks, rest)| {
        let (slot, upgrade, node, stays_paused) = rest;
        Change::Reopen(Box::new(panta::store::Reopen {
            run: id(n),
            epoch,
            status,
            node: node.into(),
            segment: "again".into(),
            upgrade: upgrade.map(|to| (version(to), text("settings"))),
            locks: locks.into_iter().map(|(name, ticket, limit)| (name.into(), ticket.into(), limit)).collect(),
            slot: slot.map(|(name, limit)| (name.into(), limit)),
            stays_paused,
            then: vec![cancel(n + 1, "left"), Change::CloseTask { task: task_id(n), at: at(n) }],
        }))
    });
    let held = prop::sample::select(&["", "a", "b"][..]);
    prop_oneof![
        2 => (number(), any::<bool>()).prop_map(|(n, unwinds)| Change::Pause { run: id(n), unwinds, segment: "pause".into() }),
        2 => number().prop_map(|n| Change::Resume { run: id(n), segment: "resume".into() }),
        1 => (held, any::<bool>()).prop_map(|(key, on)| set(panta::store::PAUSED, key, on.then_some("held"))),
        4 => reopen,
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => a_run().prop_map(start),
        3 => a_gated_start(),
        5 => a_ticket(),
        2 => (a_run(), key(), 0..2_u64, prop::option::of(time())).prop_map(|(r, k, i, u)| start_once(r, k, i, u)),
        3 => (0..RUNS, 0..3_u64, key()).prop_map(|(n, epoch, segment)| append(n, epoch, segment)),
        4 => a_park(),
        1 => (0..RUNS, 0..3_u64).prop_map(|(n, epoch)| Change::Release { run: id(n), epoch }),
        2 => (prop::collection::vec(number(), 0..3), name(), time()).prop_map(|(runs, node, at)| claim(&runs, node, at)),
        3 => an_end(),
        1 => (number(), 0..3_u64, name()).prop_map(|(n, epoch, to)| upgrade(n, epoch, to)),
        1 => (number(), time()).prop_map(|(n, at)| Change::Remind { run: id(n), at }),
        2 => (number(), key()).prop_map(|(n, reason)| cancel(n, reason)),
        4 => an_event(),
        4 => a_control(),
        3 => a_task_change(),
        1 => (name(), key(), prop::option::of(key())).prop_map(|(scope, key, value)| set(scope, key, value)),
        1 => (name(), key()).prop_map(|(version, bytes)| put(version, bytes)),
        1 => (time(), time(), time(), prop::option::of(any::<bool>()), (0..3_usize, prop::option::of(number()))).prop_map(
            |(before, expired, events_before, keep, (limit, behind))| {
                let behind = behind.map_or(panta::id::RunId::LOWEST, id);
                let keep = keep.map(|keep| if keep { vec![version("a")] } else { vec![] });
                Change::Prune { before, behind, expired, events_before, keep, limit }
            }
        ),
    ]
}

fn any<T: Arbitrary>() -> T::Strategy {
    proptest::arbitrary::any::<T>()
}

/// Everything that can be read.
fn read(store: &dyn Store) -> Vec<String> {
    let all = RunFilter { limit: 100, ..RunFilter::default() };
    let mut seen = vec![format!("{:#?}", store.runs(&all).unwrap()), format!("{:?}", store.counts().unwrap())];
    for filter in [
        RunFilter { workflow: Some("a".into()), ..all.clone() },
        RunFilter { statuses: vec![Status::Waiting, Status::Running], limit: 2, ..all.clone() },
        RunFilter { since: Some(at(20)), before: Some(id(3)), ..all },
    ] {
        seen.push(format!("{:?}", listed(store, &filter)));
    }
    seen.extend((0..RUNS).map(|n| format!("{:?}", journal(store, n))));
    seen.extend((0..NEXT + 2).map(|n| format!("{:?}", store.newest(id(n)).unwrap().map(|run| run.id))));
    seen.push(format!("{:?}", store.overdue(at(20), 3).unwrap()));
    seen.push(format!("{:?} {:?}", ready(store, "a"), ready(store, "b")));
    seen.push(format!("{:?} {:?}", store.due(None, at(20), 2).unwrap(), store.events(0, 100).unwrap()));
    for (since, key) in [(0, None), (10, Some("k")), (20, None), (30, Some("k"))] {
        let filter = EventFilter { since: at(since), key: key.map(Into::into), run: Some(id(1)), ..wanted("a") };
        seen.push(format!("{:?}", store.next_event(&filter).unwrap()));
    }
    let some = TaskFilter { to: vec!["b".into()], run: Some(id(1)), ..any_task() };
    let page =
        TaskFilter { before: Some((at(1), task_id(2))), limit: 1, workflow: Some("orders".into()), ..any_task() };
    let open = TaskFilter { status: Some(panta::task::Status::Open), to: vec!["cfo".into(), "a".into()], ..any_task() };
    for filter in [any_task(), some, page, open] {
        seen.push(format!("{:?}", store.tasks(&filter).unwrap()));
    }
    for name in ["a", "b"] {
        seen.push(format!("{:?} {:?}", store.states(name, "").unwrap(), store.bundle(&version(name)).unwrap()));
        seen.push(format!("{:?}", store.slots(name).unwrap()));
    }
    seen.push(format!("{:?}", store.states(panta::store::slot::RATES, "").unwrap()));
    seen.extend((0..RUNS).map(|n| format!("{:?}", store.slots_of(id(n)).unwrap())));
    seen
}

/// A run is started by one that is there, and waits for others that are there.
fn of_known_runs(store: &dyn Store, mut batch: Vec<Change>) -> Vec<Change> {
    let is_known = |run: &panta::id::RunId| store.run(*run).unwrap().is_some();
    for change in &mut batch {
        match change {
            Change::Start { run, .. } => run.parent = run.parent.filter(is_known),
            Change::Park { children, .. } => children.retain(is_known),
            _ => {}
        }
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn all_stores_agree(batches in prop::collection::vec(prop::collection::vec(change(), 0..8), 1..12)) {
        let memory = Memory::new();
        let (sqlite, folder) = sqlite();
        for batch in batches {
            let batch = &of_known_runs(&memory, batch);
            prop_assert_eq!(memory.commit(batch).unwrap(), sqlite.commit(batch).unwrap());
            prop_assert_eq!(read(&memory), read(&sqlite));
        }
        let crashed = crashed(folder.path());
        drop(sqlite);
        for folder in [folder, crashed] {
            let again = panta::store::sqlite::Sqlite::open(folder.path(), &options()).unwrap();
            prop_assert_eq!(read(&memory), read(&again));
        }
    }
}
