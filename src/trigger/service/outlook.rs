//! What is known of each trigger of a workflow: when it starts something next, what it started last, and what it refused.

use serde_json::{Value, json};

use super::SCOPE;
use super::schedules::schedule;
use crate::engine::{Deployed, Error, Handle, TriggerSpec};
use crate::store::RunFilter;
use crate::time::{Timestamp, parse_time};
use crate::trigger::schedule::Schedule;

/// How many times to come are told.
const NEXT: usize = 3;
/// Runs among which the last start is looked for: a trigger without one in so many has been quiet for long.
const RECENT: usize = 200;

/// The triggers as they were declared, each with `next` (times; of schedules), `last_start`
/// (`#{ run, status, at }` or `null`), `stopped` (why it starts nothing any more, or `null`) and `last_refusal` (`#{ at, reason, count }` or `null`; since the daemon's start).
pub fn outlook(handle: &Handle, workflow: &Deployed) -> Result<Value, Error> {
    let filter = RunFilter { workflow: Some(workflow.name.to_string()), limit: RECENT, ..RunFilter::default() };
    let recent = handle.runs(&filter)?;
    let starts: Vec<_> = recent.iter().map(|run| (run.trigger.to_json(), run)).collect();
    let mut shown = workflow.declared["triggers"].clone();
    let stopped = handle.paused_closures(workflow);
    for trigger in shown.as_array_mut().into_iter().flatten() {
        let Some(spec) = workflow.triggers.iter().find(|spec| trigger["id"] == spec.id.as_str()) else { continue };
        trigger["next"] = json!(next(handle, workflow, spec));
        let started = starts.iter().find(|(info, _)| info["trigger"] == spec.id.as_str());
        trigger["last_start"] = started.map_or(
            Value::Null,
            |(_, run)| json!({ "run": run.id, "status": run.status.name(), "at": run.created_at }),
        );
        let stops = stopped.iter().find(|(id, ..)| id.as_deref() == Some(&*spec.id));
        trigger["stopped"] = stops.map_or(Value::Null, |(_, option, why)| json!(format!("`{option}`: {why}")));
        let refused = handle.refusal(&workflow.name, &spec.id);
        trigger["last_refusal"] = refused.map_or(
            Value::Null,
            |refusal| json!({ "at": refusal.at, "reason": refusal.reason, "count": refusal.count }),
        );
    }
    Ok(shown)
}

fn next(handle: &Handle, workflow: &Deployed, spec: &TriggerSpec) -> Vec<Timestamp> {
    let Some(schedule) = schedule(spec) else { return Vec::new() };
    let now = handle.clock().now();
    let first = match schedule {
        Schedule::Cron(_) => schedule.next_after(now),
        // From its last start on, which the store remembers; what is due by now is on its way.
        Schedule::Every(_) => schedule.next_after(last(handle, workflow, spec).unwrap_or(now)).map(|at| at.max(now)),
    };
    std::iter::successors(first, |at| schedule.next_after(*at)).take(NEXT).collect()
}

fn last(handle: &Handle, workflow: &Deployed, spec: &TriggerSpec) -> Option<Timestamp> {
    let state = handle.store().state(SCOPE, &format!("{}/{}", workflow.name, spec.id)).ok()??;
    parse_time(state.to_json()["last"].as_str()?).ok()
}
