//! `GET /metrics`: what the engine counts, in the text format of Prometheus.

mod exposition;

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use self::exposition::{Exposition, Kind};
use super::{Problem, Shared, request};
use crate::courier::Backlog;
use crate::engine::metrics::Metrics;
use crate::engine::{Error, Handle};
use crate::store::{Size, Status};

/// The route of requests to addresses that are none: their paths are the sender's, and without bound.
const ELSEWHERE: &str = "(none)";

/// The template of a request's route, by which it is counted.
pub(super) fn route(request: &Request) -> Arc<str> {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or(ELSEWHERE, MatchedPath::as_str).into()
}

/// Counts what came of a request.
pub(super) fn count(shared: &Shared, route: Arc<str>, response: &Response) {
    shared.app.handle.metrics().requests.one(&(route, response.status().as_u16()));
}

/// What the store tells.
struct Stored {
    runs: Vec<(std::sync::Arc<str>, Status, u64)>,
    size: Size,
    tasks: u64,
    backlog: Backlog,
}

impl Stored {
    fn read(handle: &Handle) -> Result<Self, Error> {
        let store = handle.store();
        Ok(Self {
            runs: store.counts()?,
            size: store.size()?,
            tasks: store.open_tasks()?,
            backlog: Backlog::read(&**store)?,
        })
    }
}

/// `GET /metrics`
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let stored = request::read(&shared, Stored::read).await?;
    let text = render(&shared.app.handle, &stored);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

fn render(handle: &Handle, stored: &Stored) -> String {
    let mut text = Exposition::default();
    of_runs(&mut text, handle, &stored.runs);
    of_work(&mut text, handle.metrics());
    of_services(&mut text, handle);
    of_log(&mut text, handle);
    of_engine(&mut text, handle, stored);
    of_faces(&mut text, handle.metrics());
    of_people(&mut text, &stored.backlog);
    of_process(&mut text, handle);
    text.into_text()
}

fn of_runs(text: &mut Exposition, handle: &Handle, runs: &[(std::sync::Arc<str>, Status, u64)]) {
    let mut family = text.family("panta_runs", Kind::Gauge, "Runs that are kept, by workflow and status.");
    for (workflow, status, count) in runs {
        family.value(&[("workflow", workflow), ("status", status.name())], *count);
    }
    let metrics = handle.metrics();
    let mut family = text.family("panta_runs_started_total", Kind::Counter, "Runs that were accepted.");
    for (workflow, count) in metrics.runs_started.all() {
        family.value(&[("workflow", &workflow)], count);
    }
    let about = "Runs that ended, or were held for a person, by workflow and status.";
    let mut family = text.family("panta_runs_ended_total", Kind::Counter, about);
    for ((workflow, status), count) in metrics.runs_ended.all() {
        family.value(&[("workflow", &workflow), ("status", status.name())], count);
    }
    text.one("panta_runs_in_motion", Kind::Gauge, "Runs in memory.", handle.in_motion().0 as u64);
}

fn of_people(text: &mut Exposition, backlog: &Backlog) {
    let about = "Messages that no channel has taken yet.";
    text.one("panta_notifications_waiting", Kind::Gauge, about, backlog.waiting as u64);
    text.one("panta_notifications_lost_total", Kind::Counter, "Messages that were given up.", backlog.lost());
}

fn of_work(text: &mut Exposition, metrics: &Metrics) {
    text.one("panta_steps_total", Kind::Counter, "Steps that ended.", metrics.steps.get());
    let mut family = text.family("panta_effects_total", Kind::Counter, "Effects that ended, by kind and outcome.");
    for (kind, outcome, count) in metrics.effects() {
        family.value(&[("kind", kind), ("outcome", outcome)], count);
    }
    text.one("panta_evictions_total", Kind::Counter, "Waiting runs that left memory.", metrics.evictions.get());
    text.one(
        "panta_replays_total",
        Kind::Counter,
        "Runs that were replayed from their journal.",
        metrics.replays.get(),
    );
    let entries = metrics.replayed_entries.get();
    text.one("panta_replayed_entries_total", Kind::Counter, "Entries of the journals that were replayed.", entries);
    let about = "How late schedules, timers and waiting runs were.";
    text.histogram("panta_schedule_lag_seconds", about, &metrics.schedule_lag);
}

fn of_log(text: &mut Exposition, handle: &Handle) {
    let metrics = handle.metrics();
    text.one("panta_log_queue_depth", Kind::Gauge, "Items that wait for the disk.", handle.queue_depth());
    text.histogram("panta_commit_seconds", "How long commits took.", &metrics.commit_seconds);
    text.histogram("panta_commit_changes", "Changes in a commit.", &metrics.commit_changes);
    let about = "Lines of the daemon's log that were dropped because they came too fast.";
    text.one("panta_log_lines_dropped_total", Kind::Counter, about, handle.dropped_lines());
    let about = "Spans that were dropped because the collector did not take them.";
    text.one("panta_spans_dropped_total", Kind::Counter, about, handle.dropped_spans());
}

fn of_engine(text: &mut Exposition, handle: &Handle, stored: &Stored) {
    let activations = handle.in_motion().1;
    text.one("panta_activations_total", Kind::Counter, "How often a run was put in motion.", activations);
    text.one("panta_tasks_open", Kind::Gauge, "Tasks that wait for people.", stored.tasks);
    let workflows = handle.workflows().len() as u64;
    text.one("panta_workflows", Kind::Gauge, "Workflows that can be started.", workflows);
    let is_up = u64::from(handle.trouble().is_none());
    text.one("panta_up", Kind::Gauge, "Whether the engine works.", is_up);
    let mut family = text.family("panta_store_bytes", Kind::Gauge, "What the store takes on the disk.");
    for (part, bytes) in [("database", stored.size.database), ("free", stored.size.free), ("log", stored.size.log)] {
        family.value(&[("part", part)], bytes);
    }
}

fn of_faces(text: &mut Exposition, metrics: &Metrics) {
    let about = "Requests that were answered, by the route's template and status.";
    let mut family = text.family("panta_http_requests_total", Kind::Counter, about);
    for ((route, status), count) in metrics.requests.all() {
        family.value(&[("route", &route), ("status", &status.to_string())], count);
    }
    let mut family = text.family("panta_reloads_total", Kind::Counter, "Scripts that were loaded, by what came of it.");
    for (status, count) in metrics.reloads.all() {
        family.value(&[("status", status)], count);
    }
}

fn of_services(text: &mut Exposition, handle: &Handle) {
    let (open, refused) = handle.failing_hosts();
    text.one("panta_http_hosts_left_alone", Kind::Gauge, "Hosts that failed in a row, and are not called.", open);
    let about = "Calls that were refused since their host was left alone.";
    text.one("panta_http_calls_refused_total", Kind::Counter, about, refused);
}

fn of_process(text: &mut Exposition, handle: &Handle) {
    if let Some(bytes) = resident() {
        text.one("process_resident_memory_bytes", Kind::Gauge, "Memory that the process has.", bytes);
    }
    let started = handle.started_at().0.unsigned_abs() / 1_000;
    text.one("process_start_time_seconds", Kind::Gauge, "When the engine started, in Unix time.", started);
}

/// Memory of this process, where the system tells it in a file.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
