//! What of the store is to be read.

use std::sync::Arc;

use super::Status;
use crate::id::{RunId, TaskId};
use crate::task;
use crate::time::Timestamp;

/// Which records of the audit log to list. Newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of acts at or after.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
    /// Only records before this one (the last of the page before).
    pub before: Option<u64>,
}

/// Which runs to list. Newest first: by id.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<String>,
    /// In one of these; empty: any.
    pub statuses: Vec<Status>,
    /// Accepted at or after. The id of a run bears its time of acceptance, to ten minutes.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
    /// Only runs older than this one (the last of the page before).
    pub before: Option<RunId>,
}

/// Which events a wait may take.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// Name.
    pub name: Arc<str>,
    /// Only with this key; `None`: any.
    pub key: Option<Arc<str>>,
    /// Meant for all, or for the run or chain whose mailbox this is.
    pub run: Option<RunId>,
    /// Later in the order than this.
    pub after: u64,
    /// Accepted at or after.
    pub since: Timestamp,
}

/// Which tasks to list. Newest first: by the time at which they opened.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// In this status.
    pub status: Option<task::Status>,
    /// That are for one of these people and groups, or for anybody; empty: all.
    pub to: Vec<Arc<str>>,
    /// Of this workflow.
    pub workflow: Option<String>,
    /// Of this run.
    pub run: Option<RunId>,
    /// At most so many.
    pub limit: usize,
    /// Only tasks older than this one (the last of the page before).
    pub before: Option<(Timestamp, TaskId)>,
}
