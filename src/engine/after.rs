//! What follows from the end of a run, in the same transaction or as soon as that is durable.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::causes::{depth_of, ended_payload, inherit};
use super::handle::new_run;
use super::lines::{self, Line, Lines};
use super::log::Item;
use super::secrets::handed;
use super::shared::{Shared, held};
use super::terms::{OnFailure, Terms};
use super::world::EVENT_REPEATS;
use crate::host::chain::Continuation;
use crate::host::mailbox::Mailbox;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{Applied, Change, Dedupe, End, EventFilter, Run, Status};
use crate::time::Timestamp;
use crate::trace::TraceId;

/// How far back it is looked for what led to a run. A handler that stands further back is cut off, too.
const FAR_BACK: usize = 32;

/// A run that ends.
pub(super) struct Ending<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) run: RunId,
    pub(super) workflow: &'a Arc<str>,
    pub(super) terms: &'a Terms,
    pub(super) trace: TraceId,
}

/// What is counted and shown of an end, once that is durable.
pub(super) struct Told {
    shared: std::sync::Weak<Shared>,
    workflow: Arc<str>,
    status: Status,
    line: Option<Line>,
}

impl Told {
    pub(super) fn of(shared: &Arc<Shared>, run: RunId, workflow: &Arc<str>, trace: TraceId, end: &End) -> Self {
        let line = lines::ended(run, workflow, trace, end);
        let wants = |sink: &Arc<dyn Lines>| sink.wants(line.writer, line.level);
        let is_wanted = shared.options.lines.as_ref().is_some_and(wants);
        let (workflow, status) = (Arc::clone(workflow), end.status);
        Self { shared: Arc::downgrade(shared), workflow, status, line: is_wanted.then_some(line) }
    }

    /// Tells where the end counts.
    pub(super) fn tell(self, applied: &[Applied]) {
        let (Some(Applied::Ended { .. }), Some(shared)) = (applied.last(), self.shared.upgrade()) else { return };
        shared.metrics.runs_ended.one(&(self.workflow, self.status));
        if let (Some(sink), Some(line)) = (&shared.options.lines, self.line) {
            sink.take(vec![line]);
        }
    }
}

impl Ending<'_> {
    /// Writes the end, with all that follows from it, behind these changes; its number in the log. The lines are shown when it
    /// is durable.
    pub(super) fn write(&self, epoch: u64, mut changes: Vec<Change>, lines: Vec<Line>, mut end: End) -> u64 {
        end.expires_at = self.expiry(&end);
        let handler = self.starts(&end);
        let to_people = self.told(epoch, &end, handler.is_some());
        changes.extend(handler);
        let told = Told::of(self.shared, self.run, self.workflow, self.trace, &end);
        let sink = self.shared.options.lines.clone().filter(|_| !lines.is_empty());
        changes.push(self.shared.telling(Change::Finish { run: self.run, epoch, end }, to_people));
        let tell = move |applied: &[Applied]| {
            if let (Some(Applied::Ended { .. }), Some(sink)) = (applied.last(), sink) {
                sink.take(lines);
            }
            told.tell(applied);
        };
        self.shared.log.send(Item { changes, done: Some(Box::new(tell)) })
    }

    /// From when on the run may be pruned.
    fn expiry(&self, end: &End) -> Option<Timestamp> {
        let keep: Duration = self.terms.keep.unwrap_or(self.shared.options.keep);
        end.status.is_final().then(|| end.at.plus(keep))
    }

    /// The handler of its failure.
    pub(super) fn starts(&self, end: &End) -> Option<Change> {
        match self.failed(end)? {
            OnFailure::Start(handler) => self.handler(handler, end),
            OnFailure::Notify(_) => None,
        }
    }

    fn failed(&self, end: &End) -> Option<&OnFailure> {
        let counts = matches!(end.status, Status::Failed | Status::TimedOut | Status::Quarantined);
        self.terms.on_failure.as_ref().filter(|_| counts)
    }

    fn handler(&self, handler: &Arc<str>, end: &End) -> Option<Change> {
        let refuse = |why: &str| {
            tracing::warn!(
                run = %self.run, workflow = %self.workflow, trace = %self.trace,
                "`{handler}`, the `on_failure` of the workflow, is not started: {why}"
            );
        };
        let row = self.shared.row(self.run).ok().flatten();
        if **handler == **self.workflow || self.came_from(row.as_ref(), handler) {
            refuse("it led to this run");
            return None;
        }
        let Some(deployed) = self.shared.deployed(handler) else {
            refuse("there is no such workflow");
            return None;
        };
        let payload = ended_payload(self.run, self.workflow, end, row.as_ref().map(|row| &row.input));
        let input = match deployed.accept(&payload) {
            Ok(input) => input,
            Err(faults) => {
                refuse(&format!("the payload does not fit its input: {}", crate::host::schema::sentence(&faults)));
                return None;
            }
        };
        let mut trigger =
            json!({ "kind": "failure", "run": self.run, "workflow": &**self.workflow, "status": end.status.name() });
        inherit(row.as_ref(), &mut trigger);
        let run = new_run(self.shared, &deployed, RunId::new(), input, &trigger, None);
        let until = Some(run.created_at.plus(EVENT_REPEATS));
        let dedupe =
            Dedupe { scope: format!("failure:{handler}").into(), key: self.run.to_string().into(), input: 0, until };
        super::passage::start(&deployed, run, Some(dedupe))
    }

    /// Whether a run of this workflow is among those that led to the run: its starters, and theirs. True where that is too
    /// long a way.
    fn came_from(&self, row: Option<&Run>, workflow: &str) -> bool {
        let before = |row: &Run| row.trigger.to_json()["run"].as_str().and_then(|run| run.parse::<RunId>().ok());
        let mut at = row.and_then(before);
        for _ in 0..FAR_BACK {
            let Some(row) = at.and_then(|run| self.shared.store.run(run).ok().flatten()) else { return false };
            if *row.workflow == *workflow {
                return true;
            }
            at = before(&row);
        }
        true
    }

    /// The start of the run that goes on in its place: on the newest version, or on this one's where there is none that
    /// takes the input.
    pub(super) fn continuation(&self, next: &Continuation, mailbox: Mailbox) -> Result<Change, String> {
        let row = self.shared.row(self.run).map_err(|error| error.to_string())?;
        let row = row.ok_or_else(|| format!("the run {} is not in the store", self.run))?;
        let now = self.shared.now();
        let given = handed(&self.shared.options.secrets, (self.run, self.workflow), next.run, next.input.clone());
        let newest = self.shared.deployed(self.workflow).and_then(|deployed| {
            let input = deployed.accept_typed(&given).ok()?;
            Some((deployed.version().clone(), deployed.settings_payload(), input, deployed.terms.sla_of_run(now)))
        });
        let (version, settings, input, sla) = newest
            .unwrap_or_else(|| (row.version.clone(), row.settings.clone(), given.clone(), self.terms.sla_of_run(now)));
        let mut trigger = json!({ "kind": "continued", "run": self.run, "workflow": &**self.workflow });
        if let depth @ 1.. = depth_of(&row.trigger) {
            trigger["depth"] = depth.into();
        }
        inherit(Some(&row), &mut trigger);
        let run = Run {
            settings,
            status: Status::Running,
            trigger: Payload::from_json(&trigger),
            parent: row.parent,
            priority: row.priority,
            started_at: Some(now),
            owner: Some(Arc::clone(&self.shared.options.node)),
            epoch: 1,
            chain: Some(row.mailbox_of()),
            mailbox: Some(self.hand_on(&row, mailbox)?.to_payload()),
            sla,
            ..Run::accepted(next.run, Arc::clone(&row.workflow), version, input, now)
        };
        held(&self.shared.starting).insert(next.run, None);
        // The slot of the run that ends goes over to it.
        Ok(Change::Start { run: Box::new(run), dedupe: None, gate: None })
    }

    fn hand_on(&self, row: &Run, mailbox: Mailbox) -> Result<Mailbox, String> {
        let since = mailbox.since.unwrap_or(row.created_at);
        let next = |name: &str, key: Option<&Arc<str>>, after: u64| {
            let run = Some(row.mailbox_of());
            let filter = EventFilter { name: name.into(), key: key.cloned(), run, after, since };
            let event = self.shared.store.next_event(&filter).map_err(|error| error.to_string())?;
            Ok::<_, String>(event.map(|event| (event.seq, event.key)))
        };
        mailbox.hand_on(since, next)
    }
}
