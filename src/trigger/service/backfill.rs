//! Runs for times of a schedule that have passed: what was missed, or what is to be done anew.
//!
//! The times come from the declaration as it is now. A run that is there already is known by its trigger and its time, as long
//! as it is kept. Starts go one after another, oldest first, behind whatever the schedule starts itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::schedules::schedule;
use super::{Begun, Cause, begin};
use crate::audit::Actor;
use crate::engine::{self, Deployed, Handle, TriggerSpec};
use crate::id::RunId;
use crate::store::RunFilter;
use crate::time::{Timestamp, parse_time};
use crate::trigger::schedule::Schedule;

/// Times of one backfill at most, so that a request ends; the rest is asked for again, from [`Plan::next`].
pub const MOST: usize = 1_000;
/// Times of a span that are looked at: two years of minutes.
const LOOKED_AT: usize = 1_000_000;
/// Runs that are read at once.
const PAGE: usize = 500;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The first time that counts.
    pub from: Timestamp,
    /// The first that counts no more. What has not come yet does not count either.
    pub to: Timestamp,
    /// Which schedule; may be left out where the workflow has one.
    pub trigger: Option<String>,
    /// Leave out times that have a run.
    pub only_missing: bool,
    /// At most so many starts.
    pub limit: usize,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The wish itself.
    #[error("{0}")]
    Wish(String),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// A time of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// It.
    pub at: Timestamp,
    /// The newest run that was started for it.
    pub run: Option<RunId>,
}

/// What would be started.
pub struct Plan {
    workflow: Arc<str>,
    spec: TriggerSpec,
    only_missing: bool,
    priority: i32,
    /// The starts, oldest first.
    pub slots: Vec<Slot>,
    /// Times of the span that have a run; with `only_missing` none of them is among `slots`.
    pub existing: usize,
    /// The first time that is beyond the limit.
    pub next: Option<Timestamp>,
}

/// What came of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This run was started.
    Started(RunId),
    /// This run was there when its turn came.
    There(RunId),
    /// Nothing was, for this reason.
    Refused(String),
}

/// Finds the times; reads the store, so it belongs where blocking is no harm.
pub fn plan(handle: &Handle, workflow: &str, wish: &Wish) -> Result<Plan, Error> {
    let deployed = handle.workflow(workflow)?;
    let (spec, schedule) = chosen(&deployed, wish.trigger.as_deref())?;
    if wish.from >= wish.to {
        return Err(Error::Wish("`from` is not before `to`".to_owned()));
    }
    let to = wish.to.min(Timestamp(handle.clock().now().0 + 1));
    let known = runs(handle, workflow, &spec.id, wish.from)?;
    let mut plan = Plan {
        workflow: Arc::clone(&deployed.name),
        spec: spec.clone(),
        only_missing: wish.only_missing,
        priority: deployed.priority.saturating_sub(1),
        slots: Vec::new(),
        existing: 0,
        next: None,
    };
    let mut times = times(&schedule, wish.from, to);
    for (index, at) in times.by_ref().enumerate() {
        if index == LOOKED_AT {
            return Err(Error::Wish(format!("the span has more than {LOOKED_AT} times; hint: take a shorter one")));
        }
        let run = covered(&schedule, &known, at);
        plan.existing += usize::from(run.is_some());
        if run.is_some() && wish.only_missing {
            continue;
        }
        if plan.slots.len() == wish.limit.min(MOST) {
            plan.existing -= usize::from(run.is_some());
            plan.next = Some(at);
            break;
        }
        plan.slots.push(Slot { at, run });
    }
    Ok(plan)
}

/// The schedule that is meant.
fn chosen<'d>(deployed: &'d Deployed, wanted: Option<&str>) -> Result<(&'d TriggerSpec, Schedule), Error> {
    let all: Vec<_> = deployed.triggers.iter().filter_map(|spec| Some((spec, schedule(spec)?))).collect();
    let names = all.iter().map(|(spec, _)| format!("`{}`", spec.id)).collect::<Vec<_>>().join(", ");
    let name = &deployed.name;
    if all.is_empty() {
        return Err(Error::Wish(format!(
            "`{name}` has no schedule; hint: `trigger::cron` and `trigger::every` are some"
        )));
    }
    let meant = |spec: &TriggerSpec| wanted.is_none_or(|wanted| spec.id == wanted || spec.subject == wanted);
    let mut found = all.into_iter().filter(|(spec, _)| meant(spec));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Error::Wish(format!("`{name}` has no such schedule; hint: it has {names}"))),
        _ => Err(Error::Wish(format!("`{name}` has several schedules; hint: say which by `trigger`: {names}"))),
    }
}

/// The times of a schedule in `[from, to)`. An interval has no times of its own: it is counted from 1970 on, so that two
/// spans that overlap have the same ones.
fn times(schedule: &Schedule, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
    let first = match schedule {
        Schedule::Cron(cron) => cron.next_after(Timestamp(from.0 - 1)),
        Schedule::Every(interval) => {
            let ms = milliseconds(*interval);
            let into = from.0.rem_euclid(ms);
            Some(Timestamp(if into == 0 { from.0 } else { from.0 - into + ms }))
        }
    };
    std::iter::successors(first, |at| schedule.next_after(*at)).take_while(move |at| *at < to)
}

fn milliseconds(interval: Duration) -> i64 {
    i64::try_from(interval.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX).max(1)
}

/// The run for a time: of a cron line that of this very time, of an interval any within it.
fn covered(schedule: &Schedule, known: &BTreeMap<Timestamp, RunId>, at: Timestamp) -> Option<RunId> {
    match schedule {
        Schedule::Cron(_) => known.get(&at).copied(),
        Schedule::Every(interval) => {
            known.range(at..at.plus(Duration::from_millis(milliseconds(*interval) as u64))).next().map(|(_, run)| *run)
        }
    }
}

/// The newest run for each time of a trigger from `from` on. A run is never accepted before its time.
fn runs(
    handle: &Handle,
    workflow: &str,
    trigger: &str,
    from: Timestamp,
) -> Result<BTreeMap<Timestamp, RunId>, engine::Error> {
    let mut known = BTreeMap::new();
    let mut before = None;
    loop {
        let filter = RunFilter {
            workflow: Some(workflow.to_owned()),
            since: Some(from),
            limit: PAGE,
            before,
            ..RunFilter::default()
        };
        let page = handle.runs(&filter)?;
        for run in &page {
            let info = run.trigger.to_json();
            if info["trigger"] == trigger
                && let Some(at) = info["scheduled_at"].as_str().and_then(|at| parse_time(at).ok())
            {
                known.entry(at).or_insert(run.id);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => before = Some(last.id),
            _ => return Ok(known),
        }
    }
}

impl Plan {
    /// Of this trigger.
    pub fn trigger(&self) -> &str {
        &self.spec.id
    }

    /// Starts the runs. `batch` tells this backfill from others: the same one again starts nothing twice. Where the engine
    /// cannot go on, what was started is told, and the error.
    pub async fn perform(
        &self,
        handle: &Handle,
        by: &Actor,
        batch: &str,
    ) -> (Vec<(Timestamp, Outcome)>, Option<String>) {
        let mut outcomes = Vec::new();
        for slot in &self.slots {
            if handle.is_overrun() {
                return (outcomes, Some("more runs were started than can be begun now".to_owned()));
            }
            match begin(handle, self.cause(slot.at, by, batch)).await {
                Begun::Run(started) if started.fresh => outcomes.push((slot.at, Outcome::Started(started.run))),
                Begun::Run(started) => outcomes.push((slot.at, Outcome::There(started.run))),
                Begun::Never(reason) => outcomes.push((slot.at, Outcome::Refused(reason))),
                Begun::NotNow(reason) => return (outcomes, Some(reason)),
            }
        }
        (outcomes, None)
    }

    /// What is missing has the key that the schedule itself would use, so that only one of them starts it.
    fn cause(&self, at: Timestamp, by: &Actor, batch: &str) -> Cause<'_> {
        let key = if self.only_missing { at.to_string() } else { format!("{at} again {batch}") };
        Cause {
            key: Some(key),
            priority: Some(self.priority),
            by: Some(by.clone()),
            input: self.spec.options.get("input").cloned().unwrap_or_default(),
            info: json!({ "scheduled_at": at, "backfill": true }),
            ..Cause::of(&self.workflow, &self.spec)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        parse_time(text).unwrap()
    }

    #[test]
    fn times_of_a_span_begin_with_its_first_moment_and_end_before_its_last() {
        let daily = Schedule::Cron(crate::trigger::cron::Cron::parse("0 8 * * *", None).unwrap());
        let found: Vec<_> = times(&daily, at("2026-03-01T08:00Z"), at("2026-03-03T08:00Z")).collect();
        assert_eq!(found, [at("2026-03-01T08:00Z"), at("2026-03-02T08:00Z")]);
    }

    #[test]
    fn times_of_an_interval_are_the_same_whatever_the_span() {
        let every = Schedule::every("20m").unwrap();
        let found: Vec<_> = times(&every, at("2026-03-01T08:05Z"), at("2026-03-01T09:00Z")).collect();
        assert_eq!(found, [at("2026-03-01T08:20Z"), at("2026-03-01T08:40Z")]);
        let known = BTreeMap::from([(at("2026-03-01T08:39:59Z"), RunId::new())]);
        assert!(covered(&every, &known, found[0]).is_some() && covered(&every, &known, found[1]).is_none());
    }
}
