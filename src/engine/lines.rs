//! Lines about runs for the daemon's own log: what scripts write, once it is durable, and how runs end.
//!
//! A worker only notes what a line is made of; it goes to whoever shows it from the log's thread, after the commit. A replay
//! appends nothing, so it shows nothing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::log::Done;
use super::world::RunWorld;
use crate::host::session::Batch;
use crate::id::RunId;
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::store::{Applied, End, Status};
use crate::time::Timestamp;
use crate::trace::TraceId;

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Every little thing.
    Trace,
    /// For who looks for a mistake.
    Debug,
    /// What goes as it should.
    Info,
    /// What may need somebody.
    Warn,
    /// What needs somebody.
    Error,
}

impl Level {
    /// The name: `trace`, `debug`, `info`, `warn`, `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    fn from_name(name: &str) -> Self {
        let all = [Self::Trace, Self::Debug, Self::Warn, Self::Error];
        all.into_iter().find(|level| level.name() == name).unwrap_or(Self::Info)
    }
}

/// Who wrote a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writer {
    /// The script, with `log::…` or `print`.
    Script,
    /// The engine.
    Engine,
}

/// A line about a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// When it was written.
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// By whom.
    pub writer: Writer,
    /// About which run.
    pub run: RunId,
    /// Of which workflow.
    pub workflow: Arc<str>,
    /// In which trace.
    pub trace: TraceId,
    /// In which step, if any.
    pub step: Option<Arc<str>>,
    /// On which line of the script; 0 where there is none.
    pub line: u32,
    /// What it says: a text.
    pub message: Payload,
    /// What belongs to it: a map.
    pub fields: Option<Payload>,
}

/// Shows lines. Called after the commit of what they tell, from any thread: must not block.
pub trait Lines: Send + Sync {
    /// Whether lines of this level are shown at all.
    fn wants(&self, writer: Writer, level: Level) -> bool;
    /// Takes lines, in order; those for which there is no room are counted and dropped.
    fn take(&self, lines: Vec<Line>);
    /// How many were dropped so far.
    fn dropped(&self) -> u64;
}

impl RunWorld {
    /// The lines that a batch writes, where somebody shows them.
    pub(super) fn lines(&self, batch: &Batch) -> Vec<Line> {
        let Some(sink) = &self.shared.options.lines else { return Vec::new() };
        let logged = batch.entries.iter().filter(|entry| entry.kind == Kind::Log);
        // What no call of the script wrote comes last, and has no step.
        let steps = batch.steps.iter().map(Option::as_deref).chain(std::iter::repeat(None));
        let line = |(entry, step): (&Entry, Option<&str>)| {
            let level = Level::from_name(&entry.name);
            sink.wants(Writer::Script, level).then(|| self.line(entry, level, step))
        };
        logged.zip(steps).filter_map(line).collect()
    }

    fn line(&self, entry: &Entry, level: Level, step: Option<&str>) -> Line {
        Line {
            at: entry.started_at,
            level,
            writer: Writer::Script,
            run: self.run,
            workflow: Arc::clone(&self.workflow),
            trace: self.trace.id,
            step: step.map(Into::into),
            line: entry.line,
            message: entry.outcome.clone().and_then(Result::ok).unwrap_or_default(),
            fields: entry.detail.clone(),
        }
    }

    /// Shows the lines of a batch once it is durable.
    pub(super) fn shown(&self, batch: &Batch) -> Option<Done> {
        let lines = self.lines(batch);
        let sink = Arc::clone(self.shared.options.lines.as_ref().filter(|_| !lines.is_empty())?);
        Some(Box::new(move |applied| {
            // Where the run belongs to another node by now, the lines are of no run.
            if applied.first() == Some(&Applied::Done) {
                sink.take(lines);
            }
        }))
    }
}

/// How a run ended, in a line.
pub(super) fn ended(run: RunId, workflow: &Arc<str>, trace: TraceId, end: &End) -> Line {
    let error = end.error.as_ref().map(Payload::to_json).unwrap_or_default();
    let level = match end.status {
        Status::Completed => Level::Debug,
        Status::Cancelled => Level::Info,
        _ => Level::Error,
    };
    let said = error["message"].as_str().map(|said| format!(": {said}")).unwrap_or_default();
    let fields = match &error["kind"] {
        Value::String(kind) => Some(Payload::from_json(&json!({ "kind": kind }))),
        _ => None,
    };
    Line {
        at: end.at,
        level,
        writer: Writer::Engine,
        run,
        workflow: Arc::clone(workflow),
        trace,
        step: error["step"].as_str().map(Into::into),
        line: error["line"].as_u64().and_then(|line| u32::try_from(line).ok()).unwrap_or(0),
        message: Payload::from_json(&json!(format!("the run is {}{said}", end.status.name().replace('_', " ")))),
        fields,
    }
}
