//! Starts what the clock, arriving files and mail, rows of databases, messages of brokers and the daemon's own start trigger.
//!
//! Five threads: for schedules, files, databases, mail and brokers, so that a large file or a slow query never makes a schedule
//! late. All follow what is deployed, start runs through the engine's handle with keys that make a repeat harmless, and note in the store (scope
//! [`SCOPE`]) how far they came. Events and ends of runs are the engine's own matter, requests the web's.

pub mod backfill;
mod ends;
mod inboxes;
mod mails;
mod messages;
pub mod outlook;
mod queries;
mod schedules;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use self::inboxes::Inboxes;
use self::mails::Mails;
use self::messages::Consumers;
use self::queries::Queries;
use self::schedules::Schedules;
use crate::audit::Actor;
use crate::engine::{Decision, Deployed, Error, Handle, Received, SAID_NO, Start, Started, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::payload::Payload;
use crate::store::Change;
use crate::time::Timestamp;

/// Where the store keeps what triggers remember.
const SCOPE: &str = "$trigger";
/// After this the clock is looked at again, whatever is due: it may have been set.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// What did not work is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// The running triggers. Ends when dropped.
pub struct Service {
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    gauge: Arc<Gauge>,
}

/// What the threads tell.
#[derive(Default)]
struct Gauge {
    lag_ms: AtomicU64,
    next: Mutex<Vec<(String, String, Timestamp)>>,
}

impl Service {
    /// Starts the threads. Workflows that are deployed now have their `trigger::startup` performed; later ones do not.
    pub fn start(handle: Handle) -> Self {
        let (stop, stopped) = watch::channel(false);
        let gauge = Arc::new(Gauge::default());
        let deployed = handle.workflows();
        let schedules = Schedules::new(handle.clone(), Arc::clone(&gauge));
        let inboxes = Inboxes::new(handle.clone());
        let queries = Queries::new(handle.clone());
        let mails = Mails::new(handle.clone());
        let consumers = Consumers::new(handle.clone());
        let (files_stopped, queries_stopped) = (stopped.clone(), stopped.clone());
        let (mails_stopped, messages_stopped) = (stopped.clone(), stopped.clone());
        let threads = vec![
            spawn("triggers-time", async move {
                start_up(&handle, &deployed).await;
                schedules.run(stopped).await;
            }),
            spawn("triggers-files", inboxes.run(files_stopped)),
            spawn("triggers-sql", queries.run(queries_stopped)),
            spawn("triggers-mail", mails.run(mails_stopped)),
            spawn("triggers-messages", consumers.run(messages_stopped)),
        ];
        Self { stop, threads: Mutex::new(threads), gauge }
    }

    /// Ends it: nothing more is started.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// How late the latest of the schedules was started, at worst, since the start. What was made up for does not count.
    pub fn lag(&self) -> Duration {
        Duration::from_millis(self.gauge.lag_ms.load(Ordering::Relaxed))
    }

    /// When each schedule is due next: workflow, trigger, time; the earliest first.
    pub fn next_fires(&self) -> Vec<(String, String, Timestamp)> {
        self.gauge.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives what a runtime needs");
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || runtime.block_on(work)).expect("the system gives a thread")
}

/// What became of a start.
enum Begun {
    /// This run is durable; by an earlier try, perhaps.
    Run(Started),
    /// It cannot be started, now or later, for this reason.
    Never(String),
    /// The engine or the store cannot do it now, for this reason.
    NotNow(String),
}

/// A start by a trigger. The key makes it happen once.
struct Cause<'a> {
    workflow: &'a Arc<str>,
    spec: &'a TriggerSpec,
    key: Option<String>,
    within: Option<Duration>,
    priority: Option<i32>,
    /// The person who asked for it.
    by: Option<Actor>,
    /// The payload.
    input: Value,
    /// What `trigger::info()` shows beside the kind.
    info: Value,
    /// What the closures see, where that is not `info`.
    seen: Option<Value>,
}

impl<'a> Cause<'a> {
    /// One without a key, by nobody.
    fn of(workflow: &'a Arc<str>, spec: &'a TriggerSpec) -> Self {
        let (input, info) = (Value::Null, Value::Null);
        Self { workflow, spec, key: None, within: None, priority: None, by: None, input, info, seen: None }
    }
}

async fn begin(handle: &Handle, cause: Cause<'_>) -> Begun {
    let Cause { workflow, spec, key, within, priority, by, input, info, seen } = cause;
    let refused = |reason: String| {
        handle.refuse(workflow, &spec.id, reason.as_str());
        Begun::Never(reason)
    };
    // It has done nothing: what its closures were asked over before has.
    if let Some(said) = handle.rests(workflow, spec) {
        return Begun::NotNow(said);
    }
    let received = Received { seen: seen.unwrap_or_else(|| info.clone()), payload: input };
    let (input, key) = match decided(handle, workflow, spec, received).await {
        Ok((input, own)) => (input, own.or(key)),
        Err(reason) => return refused(reason),
    };
    let mut trigger = json!({ "kind": spec.kind.name(), "trigger": spec.id });
    if let (Some(trigger), Value::Object(info)) = (trigger.as_object_mut(), info) {
        trigger.extend(info);
    }
    let key_scope = Some(format!("trigger:{workflow}:{}", spec.id));
    match handle.start(workflow, Start { input, key, key_scope, within, trigger, priority, run: None, by }).await {
        Ok(started) => Begun::Run(started),
        // Another input under the same key: the declaration was edited between the start and its note.
        Err(Error::KeyConflict { run, .. }) => Begun::Run(Started { run, fresh: false }),
        Err(error @ Error::Skipped { .. }) => {
            tracing::info!("{}: {error}", spec.id);
            refused(error.to_string())
        }
        Err(error @ (Error::Input(_) | Error::Closure(_) | Error::UnknownWorkflow { .. })) => {
            tracing::warn!("workflow `{workflow}` was not started by {}: {error}", spec.id);
            refused(error.to_string())
        }
        Err(error) => {
            tracing::warn!("workflow `{workflow}` cannot be started by {} now: {error}", spec.id);
            Begun::NotNow(error.to_string())
        }
    }
}

/// What the closures make of it and the key that they give, or why no run is to start.
async fn decided(
    handle: &Handle,
    workflow: &Arc<str>,
    spec: &TriggerSpec,
    received: Received,
) -> Result<(Value, Option<String>), String> {
    if spec.closures.is_empty() {
        return Ok((received.payload, None));
    }
    let deployed = handle.workflow(workflow).map_err(|error| error.to_string())?;
    match handle.decide(&deployed, spec, received).await {
        Ok(Decision::Start { input, key }) => Ok((input, key)),
        Ok(Decision::Skip) => Err(SAID_NO.to_owned()),
        Err(problem) => {
            let (file, line) = (deployed.bundle.main(), spec.line);
            tracing::error!("workflow `{workflow}` was not started by {} ({file}:{line}): {problem}", spec.id);
            Err(problem)
        }
    }
}

async fn start_up(handle: &Handle, deployed: &[Arc<Deployed>]) {
    for workflow in deployed {
        for spec in workflow.triggers.iter().filter(|spec| spec.kind == TriggerKind::Startup) {
            let info = json!({ "at": handle.clock().now() });
            let input = spec.options["input"].clone();
            begin(handle, Cause { input, info, ..Cause::of(&workflow.name, spec) }).await;
        }
    }
}

/// Notes what a trigger remembers. What is not noted is protected by the keys.
fn note(key: &str, value: Option<&Value>) -> Change {
    Change::SetState { scope: SCOPE.into(), key: key.into(), value: value.map(Payload::from_json) }
}

async fn write(handle: &Handle, changes: Vec<Change>) -> bool {
    let written = handle.write(changes).await;
    if let Err(error) = &written {
        tracing::warn!("the state of triggers is not noted: {error}");
    }
    written.is_ok()
}

#[cfg(test)]
mod tests;
