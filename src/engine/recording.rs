//! A finished run with all that happened in it, and the runs that it started: what a test can be written from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::gate::{self, Verdict};
use super::programs;
use crate::host::session::{origin, unmarked_value};
use crate::id::{RunId, Version};
use crate::journal::{Entry, Kind, decode_segment, encode_segment};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::store::{Run, Status};
use crate::time::Timestamp;

/// Runs of one recording at most: more than any test is worth.
const MOST: usize = 1_000;

/// One run.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its identity.
    pub run: RunId,
    /// Its workflow.
    pub workflow: Arc<str>,
    /// The version that it was evaluated on.
    pub version: Version,
    /// How it stands.
    pub status: Status,
    /// What it was given.
    pub input: Payload,
    /// Its value, or its error.
    pub outcome: Option<Result<Payload, Payload>>,
    /// What started it.
    pub trigger: Payload,
    /// Settings that its declaration read.
    pub settings: Payload,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The run that goes on in its place.
    pub continued_as: Option<RunId>,
    /// What happened.
    pub journal: Vec<Entry>,
    /// The sources of that version.
    pub bundle: Bundle,
}

/// A run and those that it started, it the first.
#[derive(Clone, Debug)]
pub struct Recording(pub Vec<Recorded>);

impl Recorded {
    /// From a row of the store and what belongs to it.
    pub fn new(run: Run, journal: Vec<Entry>, bundle: Bundle) -> Self {
        let outcome = run.output.map(Ok).or(run.error.map(Err));
        Self {
            run: run.id,
            workflow: run.workflow,
            version: run.version,
            status: run.status,
            input: run.input,
            outcome,
            trigger: run.trigger,
            settings: run.settings,
            created_at: run.created_at,
            continued_as: run.continued_as,
            journal,
            bundle,
        }
    }

    /// The runs that it started.
    pub fn children(&self) -> impl Iterator<Item = RunId> {
        let children = self.journal.iter().filter(|entry| entry.kind == Kind::Child);
        children.filter_map(|entry| entry.detail.as_ref()?.to_json()["run"].as_str()?.parse().ok())
    }

    /// Evaluates it again from its journal, on the sources and settings that it was recorded with: whether it still does
    /// what it did, and ends as it did. Takes as long as the script computes; no fiber may be running on this thread.
    pub fn replays(&self) -> Verdict {
        gate::try_on(&self.row(), self.journal.clone(), &self.bundle, &programs::fixed(&self.settings))
    }

    /// The row, as far as an evaluation sees it.
    fn row(&self) -> Run {
        let (output, error) = match self.outcome.clone() {
            Some(Ok(output)) => (Some(output), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let (workflow, version) = (Arc::clone(&self.workflow), self.version.clone());
        Run {
            settings: self.settings.clone(),
            status: self.status,
            output,
            error,
            trigger: self.trigger.clone(),
            started_at: Some(self.created_at),
            ready: false,
            epoch: 1,
            continued_as: self.continued_as,
            ..Run::accepted(self.run, workflow, version, self.input.clone(), self.created_at)
        }
    }

    /// The same with the origins of secrets in place of their marks: it is evaluated alike, and nothing can be sent with it.
    fn unmarked(&self) -> Self {
        let clean = |payload: &Payload| unmarked_value(payload, &|name| origin(self.run, name));
        let both = |outcome: &Result<Payload, Payload>| outcome.as_ref().map(clean).map_err(clean);
        let journal = self.journal.iter().map(|entry| Entry {
            detail: entry.detail.as_ref().map(clean),
            outcome: entry.outcome.as_ref().map(both),
            ..entry.clone()
        });
        let journal = journal.collect();
        Self { input: clean(&self.input), outcome: self.outcome.as_ref().map(both), journal, ..self.clone() }
    }

    fn to_json(&self) -> Value {
        let (output, error) = match &self.outcome {
            Some(Ok(output)) => (Some(output.text()), None),
            Some(Err(error)) => (None, Some(error.text())),
            None => (None, None),
        };
        json!({
            "run": self.run, "workflow": &*self.workflow, "version": self.version, "status": self.status.name(),
            "input": self.input.text(), "output": output, "error": error, "trigger": self.trigger.text(),
            "settings": self.settings.text(), "created_at": self.created_at, "continued_as": self.continued_as,
            "journal": BASE64.encode(encode_segment(0, &self.journal)),
            "bundle": String::from_utf8_lossy(&self.bundle.to_stored()),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str();
        let payload = |field: &str| text(field).map(Payload::from_text);
        Some(Self {
            run: text("run")?.parse().ok()?,
            workflow: text("workflow")?.into(),
            version: Version(text("version")?.into()),
            status: Status::from_name(text("status")?)?,
            input: payload("input")?,
            outcome: payload("output").map(Ok).or(payload("error").map(Err)),
            trigger: payload("trigger")?,
            settings: payload("settings")?,
            created_at: Timestamp::from_text(text("created_at")?)?,
            continued_as: text("continued_as").and_then(|run| run.parse().ok()),
            journal: decode_segment(&BASE64.decode(text("journal")?).ok()?).ok()?.1,
            bundle: Bundle::from_stored(text("bundle")?.as_bytes()).ok()?,
        })
    }
}

impl Recording {
    /// Gathers a run and, as far as they are still there, those that it started; `load` finds one.
    pub fn gather<E>(
        run: RunId,
        mut load: impl FnMut(RunId) -> Result<Option<Recorded>, E>,
    ) -> Result<Option<Self>, E> {
        let Some(first) = load(run)? else { return Ok(None) };
        let mut all = vec![first];
        let mut next = 0;
        while let Some(recorded) = all.get(next) {
            for child in recorded.children().collect::<Vec<_>>() {
                if all.len() < MOST && !all.iter().any(|known| known.run == child) {
                    all.extend(load(child)?);
                }
            }
            next += 1;
        }
        Ok(Some(Self(all)))
    }

    /// As the API hands it out: exact values and whole journals.
    pub fn to_json(&self) -> Value {
        json!({ "runs": self.0.iter().map(|run| run.unmarked().to_json()).collect::<Vec<_>>() })
    }

    /// Back from that; `None`: it is something else.
    pub fn from_json(value: &Value) -> Option<Self> {
        let runs: Option<Vec<_>> = value["runs"].as_array()?.iter().map(Recorded::from_json).collect();
        runs.filter(|runs| !runs.is_empty()).map(Self)
    }
}
