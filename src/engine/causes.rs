//! What an event, or the end of a run, starts; and how deep: workflows that start each other without end are stopped.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::decide::{self, Decision, Received, decide};
use super::deploy::{Deployed, TriggerSpec};
use super::gather;
use super::handle::new_run;
use super::shared::Shared;
use super::world;
use crate::host::declare::TriggerKind;
use crate::id::RunId;
use crate::pattern::Pattern;
use crate::payload::Payload;
use crate::store::{Change, Dedupe, End, Event, Run};
use crate::time::Timestamp;
use crate::trace::{SpanId, Trace};

/// A run that was started by a run that was started by a run …: so many links at most. No workflow that somebody draws is
/// so deep, and a loop that nobody meant ends within moments.
pub(super) const DEPTH_MOST: u32 = 64;
/// A link that takes so long does not count: a loop with such a pause is meant, and floods nothing.
const CALM: Duration = Duration::from_hours(1);

/// The depth that a run's trigger tells; 0: it was started from outside.
pub(super) fn depth_of(trigger: &Payload) -> u32 {
    if !trigger.text().contains("\"depth\"") {
        return 0;
    }
    let depth = trigger.to_json()["depth"].as_u64();
    depth.and_then(|depth| u32::try_from(depth).ok()).unwrap_or(0)
}

/// The depth of what a run of this depth starts at `at`.
pub(super) fn deeper(depth: u32, accepted: Timestamp, at: Timestamp) -> u32 {
    if at.since(accepted) >= CALM { 0 } else { depth + 1 }
}

/// Why a start of this depth is refused; `what` begins the sentence.
pub(super) fn too_deep(depth: u32, what: &str) -> Option<String> {
    (depth > DEPTH_MOST).then(|| {
        format!(
            "{what} is refused: this run is the end of a chain of {DEPTH_MOST} runs that started each other; hint: let the \
             chain end, pause for an hour, or loop by `workflow::continue_as`"
        )
    })
}

/// Something that starts what is triggered by it.
struct Cause<'a> {
    kind: TriggerKind,
    payload: &'a Value,
    /// What `trigger::info()` shows beside the trigger and the depth.
    info: Value,
    /// A repeat of it starts nothing.
    key: &'a str,
    depth: u32,
}

/// The triggers that a cause comes to.
fn fitting(
    shared: &Shared,
    kind: TriggerKind,
    fits: impl Fn(&TriggerSpec) -> bool,
) -> Vec<(Arc<Deployed>, TriggerSpec)> {
    // Gathered first: no lock is held while closures are asked.
    let registry = shared.registry.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut found = Vec::new();
    for deployed in registry.values() {
        let specs = deployed.triggers.iter().filter(|spec| spec.kind == kind && fits(spec));
        found.extend(specs.map(|spec| (Arc::clone(deployed), spec.clone())));
    }
    found
}

fn on_event(name: &str) -> impl Fn(&TriggerSpec) -> bool {
    move |spec| Pattern::events(&spec.subject).is_ok_and(|pattern| pattern.matches(name))
}

/// Whether an event would start something.
pub(super) fn starts_something(shared: &Shared, event: &str) -> bool {
    !fitting(shared, TriggerKind::Event, on_event(event)).is_empty()
}

/// Whether closures are asked about an event: that takes time.
pub(super) fn asks_closures(shared: &Shared, event: &str) -> bool {
    fitting(shared, TriggerKind::Event, on_event(event)).iter().any(|(_, spec)| !spec.closures.is_empty())
}

/// What an event writes: itself first, with what is gathered of it, then the runs that it starts, with keys so that a
/// repeat of the event starts none. `depth` is that of these runs, `trace` the one that they belong to.
pub(super) fn emission(shared: &Shared, event: Event, depth: u32, trace: Option<&Trace>) -> Vec<Change> {
    let now = shared.now();
    let (mut gathered, mut starts) = (Vec::new(), Vec::new());
    if event.run.is_none() {
        let payload = event.payload.to_json();
        let mut info = json!({
            "kind": "event", "event": &*event.id, "name": &*event.name, "key": event.key.as_deref(), "received_at": event.at,
        });
        if let Some(trace) = trace {
            trace.keep_in(&mut info);
        }
        let cause = Cause { kind: TriggerKind::Event, payload: &payload, info, key: &event.id, depth };
        for (deployed, spec) in fitting(shared, cause.kind, on_event(&event.name)) {
            if spec.gathering().is_none() {
                starts.extend(start(shared, &deployed, &spec, &cause, now));
            } else if may_start(shared, &deployed, &spec, depth)
                && told(shared, &deployed, &spec, decide::wants(&deployed, &spec, &payload)).unwrap_or(false)
            {
                gathered.push(gather::entry(&deployed.name, &spec, &event, depth, trace));
            }
        }
    }
    let emit = Change::Emit { event, dedupe_until: now.plus(world::EVENT_REPEATS), gather: gathered };
    std::iter::once(emit).chain(starts).collect()
}

/// The runs that the end of a run starts; and why some were not, where the chain is too long.
pub(super) fn starts_after(
    shared: &Shared,
    run: RunId,
    workflow: &str,
    end: &End,
    depth: u32,
) -> (Vec<Change>, Option<String>) {
    let status = end.status.name();
    let fits = |spec: &TriggerSpec| {
        let on = &spec.options["on"];
        let wanted = on.is_null() || on == status || on.as_array().is_some_and(|list| list.iter().any(|s| s == status));
        wanted && Pattern::workflows(&spec.subject).is_ok_and(|pattern| pattern.matches(workflow))
    };
    let found = fitting(shared, TriggerKind::Run, fits);
    if found.is_empty() {
        return (Vec::new(), None);
    }
    let refused = too_deep(depth, &format!("the start of `{}`", found[0].0.name));
    let row = shared.row(run).ok().flatten();
    let payload = ended_payload(run, workflow, end, row.as_ref().map(|row| &row.input));
    let mut info = json!({ "kind": "run", "run": run, "workflow": workflow, "status": status });
    inherit(row.as_ref(), &mut info);
    let cause = Cause { kind: TriggerKind::Run, payload: &payload, info, key: &run.to_string(), depth };
    let now = shared.now();
    let starts = found.iter().filter_map(|(deployed, spec)| start(shared, deployed, spec, &cause, now));
    (starts.collect(), refused)
}

/// Has what follows from a run belong to its trace.
pub(super) fn inherit(row: Option<&Run>, trigger: &mut Value) {
    if let Some(row) = row {
        Trace::of(row.id, &row.trigger).under(SpanId::of_run(row.id)).keep_in(trigger);
    }
}

/// What the end of a run tells those that it starts.
pub(super) fn ended_payload(run: RunId, workflow: &str, end: &End, input: Option<&Payload>) -> Value {
    let plain = |payload: Option<&Payload>| payload.map(Payload::to_json);
    json!({
        "run": run, "workflow": workflow, "status": end.status.name(), "input": plain(input),
        "error": plain(end.error.as_ref()), "output": plain(end.output.as_ref()),
    })
}

/// The start of one workflow by one trigger, if it is to be.
fn start(
    shared: &Shared,
    deployed: &Deployed,
    spec: &TriggerSpec,
    cause: &Cause<'_>,
    now: Timestamp,
) -> Option<Change> {
    if !may_start(shared, deployed, spec, cause.depth) {
        return None;
    }
    let decided = decide(deployed, spec, Received::of(cause.payload.clone()));
    let Decision::Start { input, .. } = told(shared, deployed, spec, decided)? else {
        shared.refusals.note(&deployed.name, &spec.id, now, decide::SAID_NO.to_owned());
        return None;
    };
    let run = run_for(shared, deployed, spec, &input, cause.info.clone(), cause.depth)?;
    let scope = format!("trigger:{}:{}", deployed.name, spec.id).into();
    let until = Some(now.plus(world::EVENT_REPEATS));
    let dedupe = Dedupe { scope, key: cause.key.into(), input: 0, until };
    super::passage::start(deployed, run, Some(dedupe))
}

/// A run that a trigger starts; `None`, and said in the log, where the input does not fit.
pub(super) fn run_for(
    shared: &Shared,
    deployed: &Deployed,
    spec: &TriggerSpec,
    input: &Value,
    mut info: Value,
    depth: u32,
) -> Option<Run> {
    let fault = |faults: Vec<crate::host::schema::Fault>| {
        let first = faults.first().map(|f| format!("{}: {}", f.path, f.message)).unwrap_or_default();
        format!("the payload does not fit its input: {first}")
    };
    let input = told(shared, deployed, spec, deployed.accept(input).map_err(fault))?;
    info["trigger"] = spec.id.as_str().into();
    if depth > 0 {
        info["depth"] = depth.into();
    }
    Some(new_run(shared, deployed, (shared.options.new_run)(), input, &info, None))
}

fn may_start(shared: &Shared, deployed: &Deployed, spec: &TriggerSpec, depth: u32) -> bool {
    let problem = too_deep(depth, "the start");
    told(shared, deployed, spec, problem.map_or(Ok(()), Err)).is_some()
}

/// Says in the log why a trigger starts nothing.
pub(super) fn told<T>(
    shared: &Shared,
    deployed: &Deployed,
    spec: &TriggerSpec,
    result: Result<T, String>,
) -> Option<T> {
    let say = |problem: &String| {
        shared.refusals.note(&deployed.name, &spec.id, shared.now(), problem.clone());
        tracing::error!(
            "workflow `{}` was not started by {} ({}:{}): {problem}",
            deployed.name,
            spec.id,
            deployed.bundle.main(),
            spec.line
        );
    };
    result.inspect_err(say).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_cut_behind_its_limit_and_forgotten_after_a_pause() {
        let hour = 3_600_000;
        assert_eq!(deeper(63, Timestamp(0), Timestamp(hour - 1)), 64);
        assert_eq!(deeper(63, Timestamp(0), Timestamp(hour)), 0);
        assert_eq!(too_deep(DEPTH_MOST, "the start"), None);
        assert!(too_deep(DEPTH_MOST + 1, "the start").is_some_and(|said| said.starts_with("the start is refused")));
        assert_eq!(depth_of(&Payload::from_json(&json!({ "kind": "hand" }))), 0);
    }
}
