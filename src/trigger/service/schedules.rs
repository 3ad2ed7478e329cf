//! `trigger::cron` and `trigger::every`, over time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::ends::Ends;
use super::{AGAIN, Begun, Cause, Gauge, LOOK_MAX, SCOPE, begin, note, write};
use crate::engine::{Handle, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::id::RunId;
use crate::store::Status;
use crate::time::{Timestamp, parse_duration, parse_time};
use crate::trigger::cron::Cron;
use crate::trigger::schedule::{CatchUp, MADE_UP_MOST, MISSED_MAX, Missed, Schedule, missed};

/// How long the key of a start counts: a daemon that was down for longer has forgotten what it did in its last moment.
const KEY_KEPT: Duration = Duration::from_hours(30 * 24);
/// A longer pause between two looks at the clock was none of ours (sleep, a clock that was set): what lies in it was missed.
const GAP: Duration = Duration::from_mins(1);
/// How often the end of the run before is looked for, beside being told of it.
const POLL: Duration = Duration::from_secs(5);

/// Times that are noted as waiting, with `overlap: "queue"`: more are made up for as `catch_up` says.
const QUEUED_MOST: usize = 1_000;

/// What is done when the run before is still open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Overlap {
    Skip,
    Queue,
    Allow,
}

/// A time for which nothing was done yet.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Timestamp,
    /// It passed while nobody was there.
    is_made_up: bool,
}

/// One schedule.
struct Timed {
    workflow: Arc<str>,
    spec: TriggerSpec,
    schedule: Schedule,
    /// All times until here have been taken into `due`, or are done.
    cursor: Timestamp,
    due: VecDeque<Due>,
    /// `due` has times that the store does not know.
    is_unnoted: bool,
    /// What it started last.
    run: Option<RunId>,
    /// When the clock was last looked at for it.
    looked: Option<Timestamp>,
    /// A time waits for the end of what it started last.
    awaits: bool,
}

/// All schedules of what is deployed, by workflow and trigger.
pub(super) struct Schedules {
    handle: Handle,
    gauge: Arc<Gauge>,
    timed: BTreeMap<(Arc<str>, String), Timed>,
    ends: Ends,
}

impl Schedules {
    pub(super) fn new(handle: Handle, gauge: Arc<Gauge>) -> Self {
        Self { handle, gauge, timed: BTreeMap::new(), ends: Ends::default() }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut deployments = self.handle.deployments();
        let mut is_complete = false;
        loop {
            if !is_complete || deployments.has_changed().unwrap_or(false) {
                deployments.mark_unchanged();
                is_complete = self.sync().await;
            }
            let wait = self.tick().await.min(if is_complete { LOOK_MAX } else { AGAIN });
            tokio::select! {
                _ = stop.changed() => return,
                _ = deployments.changed() => is_complete = false,
                () = self.ends.any() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes in what is deployed. False: not all could be read, and it is to be done again.
    async fn sync(&mut self) -> bool {
        let mut found = BTreeSet::new();
        let mut is_complete = true;
        let (mut fresh, mut notes) = (Vec::new(), Vec::new());
        for deployed in self.handle.workflows() {
            for spec in &deployed.triggers {
                let Some(schedule) = schedule(spec) else { continue };
                let id = (Arc::clone(&deployed.name), spec.id.clone());
                found.insert(id.clone());
                if let Some(timed) = self.timed.get_mut(&id) {
                    timed.schedule = schedule;
                    timed.spec = spec.clone();
                } else {
                    match Timed::load(&self.handle, &deployed.name, spec, schedule) {
                        Some((timed, None)) => drop(self.timed.insert(id, timed)),
                        Some((timed, Some(note))) => {
                            fresh.push((id, timed));
                            notes.push(note);
                        }
                        None => is_complete = false,
                    }
                }
            }
        }
        if notes.is_empty() || write(&self.handle, notes).await {
            self.timed.extend(fresh);
        } else {
            is_complete = false;
        }
        // What is declared again later begins anew.
        let gone: Vec<_> = self.timed.extract_if(.., |id, _| !found.contains(id)).collect();
        let forgotten: Vec<_> = gone.iter().map(|(_, timed)| note(&timed.state_key(), None)).collect();
        (forgotten.is_empty() || write(&self.handle, forgotten).await) && is_complete
    }

    /// Starts what is due; answers after which time something may be due again.
    async fn tick(&mut self) -> Duration {
        let mut wait = LOOK_MAX;
        let mut next = Vec::new();
        for timed in self.timed.values_mut() {
            timed.look(self.handle.clock().now());
            let pause = timed.fire(&self.handle, &self.gauge).await;
            let now = self.handle.clock().now();
            let at = timed.due.front().map_or_else(|| timed.schedule.next_after(timed.cursor), |due| Some(due.at));
            if let Some(at) = at {
                wait = wait.min(pause.unwrap_or_else(|| at.since(now)));
                next.push((timed.workflow.to_string(), timed.spec.id.clone(), at));
            }
        }
        let awaited = self.timed.values().filter(|timed| timed.awaits).filter_map(|timed| timed.run);
        self.ends.set(&self.handle, awaited.collect());
        next.sort_by(|a, b| a.2.cmp(&b.2).then_with(|| a.cmp(b)));
        *self.gauge.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
        wait
    }
}

/// What a declared trigger means, if it is a schedule. It was verified before it went live.
pub(super) fn schedule(spec: &TriggerSpec) -> Option<Schedule> {
    match spec.kind {
        TriggerKind::Cron => Cron::parse(&spec.subject, spec.options["tz"].as_str()).ok().map(Schedule::Cron),
        TriggerKind::Every => Schedule::every(&spec.subject).ok(),
        _ => None,
    }
}

impl Timed {
    /// With what the store remembers. A trigger that is seen for the first time has missed nothing, and has to be noted.
    fn load(
        handle: &Handle,
        workflow: &Arc<str>,
        spec: &TriggerSpec,
        schedule: Schedule,
    ) -> Option<(Self, Option<crate::store::Change>)> {
        let mut timed = Self {
            workflow: Arc::clone(workflow),
            spec: spec.clone(),
            schedule,
            cursor: handle.clock().now(),
            due: VecDeque::new(),
            is_unnoted: false,
            run: None,
            looked: None,
            awaits: false,
        };
        let known = match handle.store().state(SCOPE, &timed.state_key()) {
            Ok(known) => known.map(|known| known.to_json()),
            Err(error) => {
                tracing::warn!("the state of {} of `{workflow}` cannot be read: {error}", spec.id);
                return None;
            }
        };
        if let Some(last) = known.as_ref().and_then(|known| parse_time(known["last"].as_str()?).ok()) {
            timed.cursor = last;
            let known = known.unwrap_or_default();
            timed.run = serde_json::from_value(known["run"].clone()).ok();
            timed.take_up(&known["queued"]);
            return Some((timed, None));
        }
        let first = timed.note(timed.cursor);
        Some((timed, Some(first)))
    }

    fn state_key(&self) -> String {
        format!("{}/{}", self.workflow, self.spec.id)
    }

    /// Times that came while the daemon was up, and wait for the end of the run before.
    fn take_up(&mut self, queued: &Value) {
        let queued: Vec<Timestamp> = serde_json::from_value(queued.clone()).unwrap_or_default();
        if self.overlap() == Overlap::Queue {
            self.cursor = queued.last().map_or(self.cursor, |last| self.cursor.max(*last));
            self.due = queued.into_iter().map(|at| Due { at, is_made_up: false }).collect();
        }
    }

    fn note(&self, last: Timestamp) -> crate::store::Change {
        let mut known = json!({ "last": last, "run": self.run });
        if self.overlap() == Overlap::Queue {
            known["queued"] = self.due.iter().take(QUEUED_MOST).map(|due| json!(due.at)).collect();
        }
        note(&self.state_key(), Some(&known))
    }

    fn overlap(&self) -> Overlap {
        match self.spec.options["overlap"].as_str() {
            Some("queue") => Overlap::Queue,
            Some("allow") => Overlap::Allow,
            _ => Overlap::Skip,
        }
    }

    /// Takes in the times until now.
    fn look(&mut self, now: Timestamp) {
        // A clock that was set back: times that come again are refused by their keys.
        self.cursor = self.cursor.min(now);
        if self.due.len() >= MISSED_MAX {
            return;
        }
        let is_missed = self.looked.is_none_or(|looked| now.since(looked) > GAP);
        let catch_up = self.spec.options["catch_up"].as_str().and_then(CatchUp::parse).unwrap_or_default();
        let mode = match self.schedule {
            Schedule::Every(_) => CatchUp::Last,
            Schedule::Cron(_) if is_missed => catch_up,
            Schedule::Cron(_) => CatchUp::All,
        };
        let is_made_up = is_missed && mode == CatchUp::All;
        if is_made_up {
            self.leave_out(now);
        }
        let Missed { due, more } = missed(&self.schedule, self.cursor, now, mode);
        self.cursor = match due.last() {
            Some(last) => *last,
            None if mode == CatchUp::None => now,
            None => self.cursor,
        };
        self.is_unnoted |= !due.is_empty();
        self.due.extend(due.into_iter().map(|at| Due { at, is_made_up }));
        // What is left of a gap is looked at again as a gap.
        self.looked = if more { None } else { Some(now) };
    }

    /// Leaves the oldest times out where more were missed than anybody wants to be made up for, and says so.
    fn leave_out(&mut self, now: Timestamp) {
        let from = self.schedule.latest_from(self.cursor, now, MADE_UP_MOST);
        if from > self.cursor {
            tracing::warn!(
                "{} of `{}` missed more than {MADE_UP_MOST} times: those from {} to {from} are left out; hint: `panta backfill` \
                 starts them",
                self.spec.id,
                self.workflow,
                self.cursor
            );
            self.cursor = from;
        }
    }

    /// Starts what is due and allowed. Answers a pause before it is worth trying again, where that is not the next time's.
    async fn fire(&mut self, handle: &Handle, gauge: &Gauge) -> Option<Duration> {
        self.awaits = false;
        while let Some(due) = self.due.front().copied() {
            let (now, fires) = (handle.clock().now(), due.at.plus(self.jitter(due.at)));
            if fires > now {
                return Some(fires.since(now));
            }
            let overlap = self.overlap();
            let is_open = overlap != Overlap::Allow && self.run.is_some_and(|run| is_open(handle, run));
            if is_open && (overlap == Overlap::Queue || due.is_made_up) {
                if overlap == Overlap::Queue && self.is_unnoted {
                    let noted = self.last_done(due.at);
                    self.is_unnoted = !write(handle, vec![noted]).await;
                }
                self.awaits = true;
                return Some(POLL);
            }
            if !is_open {
                match begin(handle, self.cause(due.at)).await {
                    Begun::Run(started) => self.run = Some(started.run),
                    Begun::Never(_) => {}
                    Begun::NotNow(_) => return Some(AGAIN),
                }
                if now.since(fires) <= GAP {
                    handle.metrics().schedule_lag.time(now.since(fires));
                    gauge.lag_ms.fetch_max(now.since(fires).as_millis() as u64, Ordering::Relaxed);
                }
            }
            self.due.pop_front();
            self.is_unnoted = !write(handle, vec![self.note(due.at)]).await && !self.due.is_empty();
        }
        None
    }

    /// As it is noted while the time at the front still waits.
    fn last_done(&self, front: Timestamp) -> crate::store::Change {
        self.note(Timestamp(front.0 - 1))
    }

    fn cause(&self, at: Timestamp) -> Cause<'_> {
        Cause {
            key: Some(at.to_string()),
            within: Some(KEY_KEPT),
            input: self.spec.options.get("input").cloned().unwrap_or(Value::Null),
            info: json!({ "scheduled_at": at }),
            ..Cause::of(&self.workflow, &self.spec)
        }
    }

    fn jitter(&self, at: Timestamp) -> Duration {
        let most = self.spec.options["jitter"].as_str().and_then(|text| parse_duration(text).ok()).unwrap_or_default();
        jitter(most, &self.state_key(), at)
    }
}

/// How much later than `at` a schedule starts its run: the same for the same time, spread evenly over others.
pub(super) fn jitter(most: Duration, schedule: &str, at: Timestamp) -> Duration {
    let digest = Sha256::digest(format!("{schedule}\n{at}"));
    let number = digest.iter().take(4).fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    most.mul_f64(f64::from(number) / f64::from(u32::MAX))
}

/// Quarantined and diverged runs wait for a person: a schedule does not wait with them.
fn is_open(handle: &Handle, run: RunId) -> bool {
    handle.newest(run).is_ok_and(|row| row.status.is_live() || row.status == Status::Paused)
}
