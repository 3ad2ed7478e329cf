//! `trigger::message`, over time: each has a connection of its own to its broker, and what comes is acknowledged when a run for it is
//! durable, or sure never to be.
//!
//! Messages are taken one after the other, in the order of the broker, which hands over a few ahead at most. While the engine can
//! start nothing, they stay with the broker. What was not acknowledged comes again; the key of the start makes that harmless
//! where something tells a message from others: its number in a stream, the id that its sender gave to it, or `dedupe`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{AGAIN, Begun, Cause, begin};
use crate::effect::message::Arrived;
use crate::engine::{Deployed, Handle, Messages, Settled, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::parse_duration;
use crate::trigger::message;

/// Between two tries to reach a broker, at most.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the key of a start counts, unless `within` says otherwise.
const KEY_KEPT: Duration = Duration::from_hours(30 * 24);
/// What is under way when the daemon stops has so long to end.
const PARTING: Duration = Duration::from_secs(5);

/// All message triggers of what is deployed, by workflow and trigger.
pub(super) struct Consumers {
    handle: Handle,
    known: BTreeMap<(Arc<str>, String), Known>,
    tasks: JoinSet<()>,
}

/// One that is followed.
struct Known {
    /// Options that say how the broker is asked.
    asked: (Value, Value),
    stop: watch::Sender<bool>,
    task: tokio::task::AbortHandle,
}

impl Known {
    /// What is under way comes to its end first.
    fn end(&self) {
        self.stop.send_replace(true);
    }
}

impl Consumers {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, known: BTreeMap::new(), tasks: JoinSet::new() }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut deployments = self.handle.deployments();
        loop {
            deployments.mark_unchanged();
            self.sync();
            tokio::select! {
                _ = stop.changed() => break,
                _ = deployments.changed() => {}
                // One ended: it was told to, or is begun anew.
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
            }
        }
        self.known.values().for_each(Known::end);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(PARTING, all).await;
    }

    /// Takes in what is deployed.
    fn sync(&mut self) {
        let mut found = BTreeSet::new();
        for deployed in self.handle.workflows() {
            for spec in deployed.triggers.iter().filter(|spec| spec.kind == TriggerKind::Message) {
                let id = (Arc::clone(&deployed.name), spec.id.clone());
                found.insert(id.clone());
                let asked = (spec.options["consumer"].clone(), spec.options["from"].clone());
                match self.known.get(&id) {
                    Some(known) if known.asked == asked && !known.task.is_finished() => {}
                    before => {
                        before.into_iter().for_each(Known::end);
                        let (stop, stopped) = watch::channel(false);
                        let line = Line::new(&self.handle, &id, stopped);
                        let task = self.tasks.spawn(line.follow());
                        self.known.insert(id, Known { asked, stop, task });
                    }
                }
            }
        }
        // What waits for them stays with the broker.
        self.known.retain(|id, known| {
            let is_there = found.contains(id);
            if !is_there {
                known.end();
            }
            is_there
        });
    }
}

/// One trigger's way from its broker to the engine.
struct Line {
    handle: Handle,
    workflow: Arc<str>,
    id: String,
    stop: watch::Receiver<bool>,
    /// What is wrong with it.
    problem: Option<String>,
    /// Until the next try.
    pause: Duration,
}

/// Why it begins anew.
enum Broken {
    /// Something is wrong with it, as people are told.
    Problem(String),
    /// The engine can start nothing now.
    NotNow,
    /// It is not deployed any more.
    Gone,
}

impl Line {
    fn new(handle: &Handle, id: &(Arc<str>, String), stop: watch::Receiver<bool>) -> Self {
        let (workflow, id) = id.clone();
        Self { handle: handle.clone(), workflow, id, stop, problem: None, pause: AGAIN }
    }

    async fn follow(mut self) {
        while !*self.stop.borrow() {
            match self.consume().await {
                Ok(()) | Err(Broken::Gone) => return,
                Err(Broken::NotNow) => {}
                Err(Broken::Problem(problem)) => self.told(problem),
            }
            let mut stop = self.stop.clone();
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(self.pause) => {}
            }
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }

    /// Takes what comes, until something is wrong. `Ok`: it was told to stop.
    async fn consume(&mut self) -> Result<(), Broken> {
        let (deployed, spec) = self.declared()?;
        let mut stop = self.stop.clone();
        let opened = tokio::select! {
            _ = stop.changed() => return Ok(()),
            opened = self.handle.messages(&deployed, &spec) => opened,
        };
        let mut messages = opened.map_err(Broken::Problem)?;
        if self.problem.take().is_some() {
            tracing::info!("{} of `{}` works again", self.id, self.workflow);
        }
        loop {
            let came = tokio::select! {
                _ = stop.changed() => return Ok(()),
                came = messages.next() => came,
            };
            let message = came.map_err(Broken::Problem)?;
            self.take(&mut messages, &message).await?;
            self.pause = AGAIN;
        }
    }

    /// As it is declared now: an edit of a closure needs no other connection.
    fn declared(&self) -> Result<(Arc<Deployed>, TriggerSpec), Broken> {
        let deployed = self.handle.workflow(&self.workflow).map_err(|_| Broken::Gone)?;
        let spec = deployed.trigger(&self.id).cloned().ok_or(Broken::Gone)?;
        Ok((deployed, spec))
    }

    /// Starts a run for a message, and then tells the broker.
    async fn take(&self, messages: &mut Messages, message: &Arrived) -> Result<(), Broken> {
        let (deployed, spec) = self.declared()?;
        match begin(&self.handle, cause(&self.handle, &deployed, &spec, message)).await {
            Begun::Run(_) | Begun::Never(_) => messages.settle(message, Settled::Done).await.map_err(Broken::Problem),
            Begun::NotNow(_) => {
                // The others that are on their way come again, too, once this connection is gone.
                let _ = messages.settle(message, Settled::Later).await;
                Err(Broken::NotNow)
            }
        }
    }

    /// Says once what is wrong.
    fn told(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!("{} of `{}` gets no messages: {problem}", self.id, self.workflow);
            self.handle.refuse(&self.workflow, &self.id, problem.as_str());
        }
        self.problem = Some(problem);
    }
}

fn cause<'a>(handle: &Handle, deployed: &'a Deployed, spec: &'a TriggerSpec, message: &Arrived) -> Cause<'a> {
    let (kind, id) = (message.content_type.as_deref(), message.id.as_deref());
    let mut facts = message::facts(&message.subject, &message.headers, id, kind, message.redelivered);
    facts.extend(message.more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let payload = handle.message_value(&message::payload(kind, &message.payload));
    let info = handle.message_value(&Value::Object(facts));
    let seen = info.as_object().map(|facts| message::envelope(&payload, facts));
    let within = spec.options["within"].as_str().and_then(|text| parse_duration(text).ok()).unwrap_or(KEY_KEPT);
    Cause {
        key: message.key.clone(),
        within: Some(within),
        seen,
        input: payload,
        info,
        ..Cause::of(&deployed.name, spec)
    }
}
