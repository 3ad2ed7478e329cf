//! A run as the store keeps it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{End, Rollback, Status};
use crate::id::{RunId, Version};
use crate::payload::Payload;
use crate::time::Timestamp;
use crate::trace::Trace;

/// A run as the store keeps it, without its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// Name of the workflow.
    pub workflow: Arc<str>,
    /// The version that it is pinned to.
    pub version: Version,
    /// Config values that the declaration read, fixed at acceptance; `null` where there are none.
    pub settings: Payload,
    /// Where it stands.
    pub status: Status,
    /// What it was started with.
    pub input: Payload,
    /// Its value, once completed.
    pub output: Option<Payload>,
    /// Why it failed, was cancelled, timed out, diverged or was quarantined: a map with `kind` and `message`.
    pub error: Option<Payload>,
    /// What started it: a map with `kind` and what `trigger::info()` shows.
    pub trigger: Payload,
    /// The run that waits for this one.
    pub parent: Option<RunId>,
    /// The key given at the start, if any.
    pub key: Option<Arc<str>>,
    /// Larger goes first; 0 unless said otherwise.
    pub priority: i32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it was first evaluated.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it waits for, as a sentence; empty when it does not wait.
    pub waiting_for: Arc<str>,
    /// When it is to be taken up again without anything happening.
    pub wake_at: Option<Timestamp>,
    /// A cancellation that was asked for and not yet carried out: `#{ kind, message }`.
    pub cancel: Option<Payload>,
    /// Something happened that it may wait for, or it was never evaluated. Only parking and ending make it false.
    pub ready: bool,
    /// `none`, `complete` or `incomplete`.
    pub rollback: Rollback,
    /// How often its interpreter died.
    pub charged: u32,
    /// The node that may advance it.
    pub owner: Option<Arc<str>>,
    /// Raised by each claim.
    pub epoch: u64,
    /// The first run of the chain that it belongs to, where a run of it has continued as another.
    pub chain: Option<RunId>,
    /// The run that goes on in its place. It has ended then; whoever waits for it waits for the newest of the chain.
    pub continued_as: Option<RunId>,
    /// What the chain has taken of its mailbox before this run, as the engine wrote it.
    pub mailbox: Option<Payload>,
    /// When somebody is to be told that it is still open; `None` once told, or ended.
    pub sla: Option<Sla>,
    /// From when on it may be pruned; set with its end.
    pub expires_at: Option<Timestamp>,
}

/// Whom to tell when a run is open for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sla {
    /// From when on.
    pub at: Timestamp,
    /// The channel.
    pub notify: Arc<str>,
}

impl Run {
    /// Whose mailbox it reads: its chain's, which bears the id of the first run, or its own.
    pub fn mailbox_of(&self) -> RunId {
        self.chain.unwrap_or(self.id)
    }

    /// A run that is accepted now: nothing of it has happened, nobody owns it.
    pub fn accepted(id: RunId, workflow: Arc<str>, version: Version, input: Payload, at: Timestamp) -> Self {
        Self {
            id,
            workflow,
            version,
            settings: Payload::unit(),
            status: Status::Queued,
            input,
            output: None,
            error: None,
            trigger: Payload::unit(),
            parent: None,
            key: None,
            priority: 0,
            created_at: at,
            started_at: None,
            ended_at: None,
            waiting_for: "".into(),
            wake_at: None,
            cancel: None,
            ready: true,
            rollback: Rollback::None,
            charged: 0,
            owner: None,
            epoch: 0,
            chain: None,
            continued_as: None,
            mailbox: None,
            sla: None,
            expires_at: None,
        }
    }

    /// The run as it is once it has ended so, where nothing else has happened to it.
    #[must_use]
    pub fn ended_by(&self, end: &End) -> Self {
        Self {
            status: end.status,
            rollback: end.rollback,
            ended_at: Some(end.at),
            waiting_for: "".into(),
            wake_at: None,
            ready: false,
            owner: None,
            sla: None,
            output: end.output.clone(),
            error: end.error.clone(),
            expires_at: end.expires_at,
            ..self.clone()
        }
    }

    /// The run as the API shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "run": self.id, "workflow": &*self.workflow, "version": self.version, "status": self.status,
            "input": self.input.to_json(), "output": self.output.as_ref().map(Payload::to_json),
            "error": self.error.as_ref().map(Payload::to_json), "trigger": self.trigger.to_json(), "parent": self.parent,
            "trace": Trace::of(self.id, &self.trigger).id.to_string(),
            "key": self.key.as_deref(),
            "created_at": self.created_at, "started_at": self.started_at, "ended_at": self.ended_at,
            "attempts": self.epoch.max(1), "waiting_for": (!self.waiting_for.is_empty()).then_some(&*self.waiting_for),
            "wake_at": self.wake_at, "rollback": self.rollback, "charged": self.charged,
            "chain": self.chain, "continued_as": self.continued_as, "expires_at": self.expires_at,
        })
    }
}
