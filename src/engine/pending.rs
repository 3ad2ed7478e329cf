//! What a run in motion waits for: until when, in words, and whether it is there already.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::locks::Line;
use super::people::Directory;
use super::shared::Shared;
use crate::host::session::{Answer, Ask, EventSeen, What};
use crate::id::{RunId, TaskId};
use crate::payload::Payload;
use crate::store::{Event, EventFilter, Status, Subscription};
use crate::task::{self, Task};
use crate::time::Timestamp;

/// Whether an effect that is on its way counts as time spent running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    Yes,
    /// A poll of `wait_until`, which is a wait.
    No,
}

impl Counts {
    pub(super) fn of(ask: &Ask) -> Self {
        // Only a poll has no key of its own.
        match &ask.what {
            What::Effect { key, .. } if key.is_empty() => Self::No,
            _ => Self::Yes,
        }
    }
}

/// One wait.
pub(super) enum Pending {
    /// Not started: the log has to be durable up to this number first.
    Held(Ask),
    /// On its way; without a handle where nothing of it can be given up.
    Effect(Option<AbortHandle>, Counts),
    Until {
        due: Timestamp,
        retry_of: Option<Arc<str>>,
        ask: Ask,
    },
    Event {
        filter: EventFilter,
        due: Option<Timestamp>,
        ask: Ask,
    },
    Child {
        run: RunId,
        workflow: Arc<str>,
        ask: Ask,
    },
    Lock {
        line: Line,
        due: Option<Timestamp>,
        /// Who had the slots when it came into the line.
        holders: Vec<RunId>,
        ask: Ask,
    },
    Task {
        /// As it was when it was last looked at.
        task: Box<Task>,
        /// The stage whose timer is set.
        armed: Option<u32>,
        ask: Ask,
    },
    Start,
}

impl Pending {
    /// The run is busy with it, rather than waiting.
    pub(super) fn is_running(&self) -> bool {
        match self {
            Self::Held(ask) => Counts::of(ask) == Counts::Yes,
            Self::Effect(_, counts) => *counts == Counts::Yes,
            _ => false,
        }
    }

    /// What was asked for, where it is kept.
    pub(super) fn ask(&self) -> Option<&Ask> {
        match self {
            Self::Held(ask)
            | Self::Until { ask, .. }
            | Self::Event { ask, .. }
            | Self::Child { ask, .. }
            | Self::Lock { ask, .. }
            | Self::Task { ask, .. } => Some(ask),
            Self::Effect(..) | Self::Start => None,
        }
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Until { due, .. } => Some(*due),
            Self::Event { due, .. } | Self::Lock { due, .. } => *due,
            Self::Task { task, .. } => task.next().map(|moment| moment.at),
            _ => None,
        }
    }

    pub(super) fn child(&self) -> Option<RunId> {
        match self {
            Self::Child { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// The ticket with which it stands in line.
    pub(super) fn ticket(&self) -> Option<Arc<str>> {
        match self {
            Self::Lock { line, .. } => Some(Arc::clone(&line.ticket)),
            _ => None,
        }
    }

    pub(super) fn task(&self) -> Option<TaskId> {
        match self {
            Self::Task { task, .. } => Some(task.id),
            _ => None,
        }
    }

    /// Something is on its way that ends it soon, or says that it lasts.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Held(_) | Self::Effect(..) | Self::Start => true,
            Self::Lock { line, .. } => !line.written,
            _ => false,
        }
    }

    pub(super) fn subscription(&self) -> Option<Subscription> {
        match self {
            Self::Event { filter, .. } => Some(Subscription {
                name: Arc::clone(&filter.name),
                key: filter.key.clone(),
                after: filter.after,
                since: filter.since,
            }),
            _ => None,
        }
    }

    /// What is waited for, in words.
    pub(super) fn sentence(&self, people: &Directory) -> String {
        let place = |ask: &Ask| {
            let step = ask.step.as_ref().map(|step| format!(" in step `{step}`")).unwrap_or_default();
            format!("{step} (line {}, since {})", ask.line, ask.since)
        };
        match self {
            Self::Held(ask) => format!("the disk{}", place(ask)),
            Self::Effect(..) => "a service".to_owned(),
            Self::Start => "a workflow to start".to_owned(),
            Self::Until { due, retry_of: Some(error), ask } => {
                format!("the next attempt at {due}, after: {error}{}", place(ask))
            }
            Self::Until { due, ask, .. } => format!("the time {due}{}", place(ask)),
            Self::Event { filter, due, ask } => {
                let key = filter.key.as_ref().map(|key| format!(" with key `{key}`")).unwrap_or_default();
                let until = due.map(|due| format!(" until {due}")).unwrap_or_default();
                format!("the event `{}`{key}{until}{}", filter.name, place(ask))
            }
            Self::Lock { line, holders, ask, .. } => format!("{}{}", super::locks::sentence(line, holders), place(ask)),
            Self::Task { task, ask, .. } => {
                let due = task.due.map(|due| format!(", due {due}")).unwrap_or_default();
                format!("{} to answer `{}`{due}{}", people.sentence(&task.to), task.title, place(ask))
            }
            Self::Child { run, workflow, ask, .. } => format!("the end of run {run} (`{workflow}`){}", place(ask)),
        }
    }
}

/// The event that a wait can take: one that came in time, or nothing when its time is over.
pub(super) fn event_answer(shared: &Shared, filter: &EventFilter, due: Option<Timestamp>) -> Option<Answer> {
    match shared.store.next_event(filter) {
        Ok(Some(event)) if due.is_none_or(|due| event.at < due) => {
            let Event { seq, id, key, payload, at, .. } = event;
            Some(Answer::Event(Some(EventSeen { seq, id, key, payload, at })))
        }
        Ok(_) => due.filter(|due| *due <= shared.now()).map(|_| Answer::Event(None)),
        Err(error) => {
            tracing::warn!("events cannot be read: {error}");
            None
        }
    }
}

/// Whether a task that is waited for is over.
pub(super) fn task_is_over(shared: &Shared, task: TaskId) -> bool {
    match shared.store.task(task) {
        Ok(row) => row.is_some_and(|task| task.status != task::Status::Open),
        Err(error) => {
            tracing::warn!("task {task} cannot be read: {error}");
            false
        }
    }
}

pub(super) fn child_answer(shared: &Shared, child: RunId) -> Option<Answer> {
    let row = match shared.store.newest(child) {
        Ok(row) => row,
        Err(error) => {
            tracing::warn!(run = %child, "the run cannot be read: {error}");
            return None;
        }
    };
    let Some(row) = row else {
        // Written, but not durable yet; or it was never there.
        return None;
    };
    if !row.status.is_final() {
        return None;
    }
    if row.status == Status::Completed {
        return Some(Answer::Child(Ok(row.output.unwrap_or_default())));
    }
    let inner = row.error.as_ref().map(Payload::to_json).unwrap_or_default();
    let child = row.id;
    let message = format!(
        "run {child} of `{}` {}: {}",
        row.workflow,
        row.status.name(),
        inner["message"].as_str().unwrap_or("no message")
    );
    let error = serde_json::json!({ "kind": "workflow", "message": message, "retryable": false, "run": child, "status": row.status, "error": inner });
    Some(Answer::Child(Err(Payload::from_json(&error))))
}

/// Why a run ends that has passed its deadline.
pub(super) fn deadline_passed(deadline: Option<Timestamp>) -> Payload {
    let at = deadline.map(|at| at.to_string()).unwrap_or_default();
    let message = format!("the deadline of the workflow has passed, {at}");
    Payload::from_json(&serde_json::json!({ "kind": "timeout", "message": message, "retryable": false }))
}
