//! Events that are gathered before they start a run: `debounce` and `batch`.
//!
//! What is gathered lies in the store's scope [`SCOPE`], one value an event, written with the event. A start removes what it
//! takes in the same commit, so that no event is lost or taken twice, whatever crashes. In memory there is only when each
//! came. The thread works once the engine has recovered; with [`super::Reach::Own`] it never does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::causes::{run_for, told};
use super::decide::{Decision, Received, decide};
use super::deploy::{Deployed, Gathering, TriggerSpec};
use super::log::Item;
use super::shared::{Shared, held};
use super::world::EVENT_REPEATS;
use crate::payload::Payload;
use crate::store::{Change, Error, Event, Gather, Store};
use crate::time::{Timestamp, parse_time};
use crate::trace::Trace;

/// Where the store keeps what is gathered.
pub(super) const SCOPE: &str = "$gather";
/// The clock is looked at so often, whatever is due: it may have been set.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// Of a debounced trigger only the last event counts: the rows of others go when there are more.
const DEBOUNCED_MOST: usize = 64;

/// When each event came, by its place in the order.
type Events = BTreeMap<u64, Timestamp>;

/// What is gathered, by the beginning of its keys in the store.
#[derive(Default)]
struct Groups {
    events: BTreeMap<Arc<str>, Events>,
    /// Those that changed since they were looked at. With many keys, an event must cost one look, not one a key.
    dirty: BTreeSet<Arc<str>>,
    /// When each is due, earliest first.
    timeline: BTreeSet<(Timestamp, Arc<str>)>,
    /// The same, by group.
    due: BTreeMap<Arc<str>, Timestamp>,
    /// What an earlier process left is among it.
    is_complete: bool,
    /// Counts what came: whoever has looked waits only while nothing did.
    changes: u64,
}

/// All that is gathered.
#[derive(Default)]
pub(super) struct Gathered {
    groups: Mutex<Groups>,
    changed: Condvar,
}

/// What is gathered of a trigger, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The trigger's identity.
    pub trigger: String,
    /// Events with this correlation key; `None` for a batch, and for events without one.
    pub key: Option<String>,
    /// How many.
    pub events: usize,
    /// When the first came.
    pub since: Timestamp,
    /// When a run starts without anything happening.
    pub due: Option<Timestamp>,
}

/// What is to be done about a group, and when.
struct Plan {
    at: Timestamp,
    act: Act,
}

enum Act {
    /// Starts a run with all of them, or the last, by the rule; `None`: a run each.
    Start(Arc<Deployed>, TriggerSpec, Option<Gathering>),
    /// Nobody wants them any more.
    Drop,
}

/// Workflow, trigger and correlation key as the beginning of a key. No name of a workflow and no identity of a trigger has a
/// line end in it.
fn prefix(workflow: &str, trigger: &str, key: Option<&str>) -> Arc<str> {
    let key = key.map(|key| format!("={key}")).unwrap_or_default();
    format!("{workflow}\n{trigger}\n{key}\n").into()
}

/// Workflow, trigger and correlation key of such a beginning.
fn parts(prefix: &str) -> Option<(&str, &str, Option<&str>)> {
    let (workflow, rest) = prefix.split_once('\n')?;
    let (trigger, key) = rest.split_once('\n')?;
    Some((workflow, trigger, key.strip_suffix('\n')?.strip_prefix('=')))
}

/// What an event leaves for a trigger that gathers.
pub(super) fn entry(workflow: &str, spec: &TriggerSpec, event: &Event, depth: u32, trace: Option<&Trace>) -> Gather {
    let key = event.key.as_deref().filter(|_| matches!(spec.gathering(), Some(Gathering::Debounce(_))));
    let mut value = json!({
        "event": &*event.id, "name": &*event.name, "key": event.key.as_deref(), "received_at": event.at,
        "depth": depth, "payload": event.payload.to_json(),
    });
    if let Some(trace) = trace {
        trace.keep_in(&mut value);
    }
    Gather { scope: SCOPE.into(), prefix: prefix(workflow, &spec.id, key), value: Payload::from_json(&value) }
}

impl Gathered {
    /// An event is durable, with what it left.
    pub(super) fn add(&self, left: &[Gather], seq: u64, at: Timestamp) {
        if left.is_empty() {
            return;
        }
        let mut groups = held(&self.groups);
        for gather in left.iter().filter(|gather| &*gather.scope == SCOPE) {
            groups.events.entry(Arc::clone(&gather.prefix)).or_default().insert(seq, at);
            groups.dirty.insert(Arc::clone(&gather.prefix));
        }
        groups.changes += 1;
        drop(groups);
        self.changed.notify_all();
    }

    /// Takes in what an earlier process left. Before that, nothing is started: what is there could be taken twice.
    pub(super) fn load(&self, store: &dyn Store) -> Result<(), Error> {
        let mut groups = held(&self.groups);
        if groups.is_complete {
            return Ok(());
        }
        for (key, value) in store.states(SCOPE, "")? {
            let at = value.to_json()["received_at"].as_str().and_then(|at| parse_time(at).ok());
            let split = key.len().checked_sub(20).and_then(|at| key.split_at_checked(at));
            if let Some((prefix, Ok(seq))) = split.map(|(prefix, seq)| (prefix, seq.parse())) {
                groups.events.entry(prefix.into()).or_default().insert(seq, at.unwrap_or_default());
            }
        }
        groups.is_complete = true;
        drop(groups);
        self.wake();
        Ok(())
    }

    /// A workflow was deployed, or the engine is to stop.
    pub(super) fn wake(&self) {
        let mut groups = held(&self.groups);
        groups.changes += 1;
        groups.dirty = groups.events.keys().cloned().collect();
        drop(groups);
        self.changed.notify_all();
    }

    /// When the first is due, as far as it was looked at.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        held(&self.groups).timeline.first().map(|(at, _)| *at)
    }

    /// What is gathered for a workflow.
    pub(super) fn waiting(&self, deployed: &Arc<Deployed>) -> Vec<Waiting> {
        let groups = held(&self.groups);
        let of_it = |(prefix, events): (&Arc<str>, &Events)| {
            let (workflow, trigger, key) = parts(prefix)?;
            let rule = deployed.trigger(trigger)?.gathering();
            (workflow == &*deployed.name).then_some(())?;
            Some(Waiting {
                trigger: trigger.to_owned(),
                key: key.map(str::to_owned),
                events: events.len(),
                since: *events.first_key_value()?.1,
                due: due(rule, events),
            })
        };
        groups.events.iter().filter_map(of_it).collect()
    }
}

/// When a rule starts a run with these events; there is at least one.
fn due(rule: Option<Gathering>, events: &Events) -> Option<Timestamp> {
    let (first, last) = (*events.first_key_value()?.1, *events.last_key_value()?.1);
    match rule {
        None => Some(last),
        Some(Gathering::Debounce(quiet)) => Some(last.plus(quiet)),
        Some(Gathering::Batch { size, .. }) if events.len() >= size => Some(last),
        Some(Gathering::Batch { within, .. }) => within.map(|within| first.plus(within)),
    }
}

/// The thread that starts what is due.
pub(super) fn run(shared: &Arc<Shared>) {
    while !shared.closing.load(Ordering::Relaxed) {
        let seen = held(&shared.gathered.groups).changes;
        let wait = work(shared).min(LOOK_MAX);
        let groups = held(&shared.gathered.groups);
        if groups.changes == seen && !wait.is_zero() && !shared.closing.load(Ordering::Relaxed) {
            drop(shared.gathered.changed.wait_timeout(groups, wait).unwrap_or_else(std::sync::PoisonError::into_inner));
        }
    }
}

/// Starts what is due; answers after which time something may be due again. Also for an engine that is driven inline.
pub(super) fn work(shared: &Arc<Shared>) -> Duration {
    let mut groups = held(&shared.gathered.groups);
    if !groups.is_complete {
        return LOOK_MAX;
    }
    let superseded = groups.schedule(shared);
    let now = shared.now();
    let mut work = Vec::new();
    while let Some((at, prefix)) = groups.timeline.first().cloned()
        && at <= now
    {
        groups.set_due(&prefix, None);
        let Some(events) = groups.events.get_mut(&prefix) else { continue };
        // The script may have changed since.
        match plan(shared, &prefix, events) {
            Some(plan) if plan.at <= now => {
                work.push((Arc::clone(&prefix), taken(events, &plan.act), plan.act));
                if events.is_empty() {
                    groups.events.remove(&prefix);
                } else {
                    let next = plan_at(shared, &prefix, &groups.events);
                    groups.set_due(&prefix, next);
                }
            }
            other => groups.set_due(&prefix, other.map(|plan| plan.at)),
        }
    }
    let wait = groups.timeline.first().map_or(LOOK_MAX, |(at, _)| at.since(now));
    // Closures are asked, and the store is read, without the lock.
    drop(groups);
    if !superseded.is_empty() {
        shared.log.send(Item { changes: superseded, done: None });
    }
    for (prefix, events, act) in work {
        finish(shared, &prefix, &events, &act);
    }
    wait
}

fn plan_at(shared: &Shared, prefix: &str, events: &BTreeMap<Arc<str>, Events>) -> Option<Timestamp> {
    plan(shared, prefix, events.get(prefix)?).map(|plan| plan.at)
}

impl Groups {
    /// Looks when those are due that changed. Answers what removes events that count no more.
    fn schedule(&mut self, shared: &Shared) -> Vec<Change> {
        let mut superseded = Vec::new();
        for prefix in std::mem::take(&mut self.dirty) {
            let Some(events) = self.events.get_mut(&prefix) else { continue };
            let plan = plan(shared, &prefix, events);
            if let Some(Act::Start(_, _, Some(Gathering::Debounce(_)))) = plan.as_ref().map(|plan| &plan.act)
                && events.len() > DEBOUNCED_MOST
            {
                let newest = *events.last_key_value().expect("there are many").0;
                let last = events.split_off(&newest);
                superseded.extend(removals(&prefix, &std::mem::replace(events, last)));
            }
            self.set_due(&prefix, plan.map(|plan| plan.at));
        }
        superseded
    }

    fn set_due(&mut self, prefix: &Arc<str>, at: Option<Timestamp>) {
        if let Some(before) = self.due.remove(prefix) {
            self.timeline.remove(&(before, Arc::clone(prefix)));
        }
        if let Some(at) = at {
            self.due.insert(Arc::clone(prefix), at);
            self.timeline.insert((at, Arc::clone(prefix)));
        }
    }
}

fn taken(events: &mut Events, act: &Act) -> Events {
    match act {
        Act::Start(_, _, Some(Gathering::Batch { size, .. })) if events.len() > *size => {
            let after = *events.keys().nth(*size).expect("there are more");
            let rest = events.split_off(&after);
            std::mem::replace(events, rest)
        }
        _ => std::mem::take(events),
    }
}

fn plan(shared: &Shared, prefix: &str, events: &Events) -> Option<Plan> {
    let (workflow, trigger, _) = parts(prefix)?;
    let last = *events.last_key_value()?.1;
    let Some(deployed) = shared.deployed(workflow) else {
        // Its file may come back, and is not there yet while the daemon starts.
        return Some(Plan { at: last.plus(EVENT_REPEATS), act: Act::Drop });
    };
    let Some(spec) = deployed.trigger(trigger).cloned() else { return Some(Plan { at: last, act: Act::Drop }) };
    let rule = spec.gathering();
    Some(Plan { at: due(rule, events)?, act: Act::Start(deployed, spec, rule) })
}

fn removals(prefix: &str, events: &Events) -> Vec<Change> {
    let key = |seq: &u64| Change::SetState { scope: SCOPE.into(), key: Gather::key_at(prefix, *seq), value: None };
    events.keys().map(key).collect()
}

/// Removes the events, and starts what they start, in one commit.
fn finish(shared: &Shared, prefix: &str, events: &Events, act: &Act) {
    let mut changes = removals(prefix, events);
    match act {
        Act::Drop => {
            let trigger = prefix.trim_end().replace('\n', " by ");
            tracing::warn!("{} gathered events are dropped: `{trigger}` is not there any more", events.len());
        }
        Act::Start(deployed, spec, rule) => {
            let read = |seq: &u64| shared.store.state(SCOPE, &Gather::key_at(prefix, *seq));
            match events.keys().map(read).collect::<Result<Vec<_>, _>>() {
                Ok(found) => {
                    let found: Vec<_> = found.into_iter().flatten().map(|value| value.to_json()).collect();
                    changes.extend(starts(shared, deployed, spec, *rule, &found));
                }
                // Nothing is removed: it is there for the next process.
                Err(error) => return tracing::error!("gathered events of `{}` cannot be read: {error}", deployed.name),
            }
        }
    }
    shared.log.send(Item { changes, done: None });
}

/// What events start that were gathered; all of them are in order.
fn starts(
    shared: &Shared,
    deployed: &Deployed,
    spec: &TriggerSpec,
    rule: Option<Gathering>,
    events: &[Value],
) -> Vec<Change> {
    let depth = events.iter().filter_map(|event| u32::try_from(event["depth"].as_u64()?).ok()).max().unwrap_or(0);
    let start = |payload: Value, info: Value| {
        let decided = told(shared, deployed, spec, decided(deployed, spec, payload))?;
        let run = run_for(shared, deployed, spec, &decided, info, depth)?;
        super::passage::start(deployed, run, None)
    };
    let one = |event: &Value| {
        let (name, key, at) = (&event["name"], &event["key"], &event["received_at"]);
        let mut info = json!({ "kind": "event", "event": event["event"], "name": name, "key": key, "received_at": at });
        if let Some(trace) = Trace::of_trigger(event) {
            trace.keep_in(&mut info);
        }
        info
    };
    match rule {
        None => events.iter().filter_map(|event| start(event["payload"].clone(), one(event))).collect(),
        Some(Gathering::Debounce(_)) => {
            events.last().and_then(|last| start(last["payload"].clone(), one(last))).into_iter().collect()
        }
        Some(Gathering::Batch { .. }) => {
            let payloads: Vec<_> = events.iter().map(|event| event["payload"].clone()).collect();
            let names: BTreeSet<_> = events.iter().filter_map(|event| event["name"].as_str()).collect();
            let listed: Vec<_> = events.iter().map(one).collect();
            let info = json!({ "kind": "event", "name": names.first(), "events": listed });
            start(payloads.into(), info).into_iter().collect()
        }
    }
}

/// The input; `when` was asked of each event as it came.
fn decided(deployed: &Deployed, spec: &TriggerSpec, payload: Value) -> Result<Value, String> {
    let spec = TriggerSpec {
        closures: spec.closures.iter().filter(|name| *name == "input").cloned().collect(),
        ..spec.clone()
    };
    match decide(deployed, &spec, Received::of(payload))? {
        Decision::Start { input, .. } => Ok(input),
        Decision::Skip => unreachable!("`when` is not asked here"),
    }
}
