//! The durable truth: one trait, described by what survives a crash.
//!
//! All writes go through [`Store::commit`]: one transaction for a batch of [`Change`]s, in order, called by one thread
//! a node at a time (the log). When it returns `Ok`, every change of the batch is durable: it survives `kill -9` and the
//! loss of power. When it returns `Err`, the outcome is *unknown*: the batch may be found durable after a restart, whole,
//! never in part. Reads may come from any thread at any time and see whole batches only.
//!
//! Every run has an owner (a node) and an epoch. A change that names a run and an epoch is refused, alone, when the run's
//! epoch is another one: a node that lost its claim writes nothing.
//!
//! What a run waits for is checked when it parks, not when it was evaluated: an event that was accepted or a child that ended
//! in between makes it ready at once, so no wake-up is lost between a look and the wait, whatever crashes.
//!
//! The store has no clock; times come with the changes. Knows nothing of Rhai and of scheduling.

mod compaction;
mod control;
mod event;
mod filter;
pub mod lock;
pub mod memory;
pub mod part;
mod rollback;
mod run;
pub mod slot;
pub mod sqlite;
pub mod told;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit;
use crate::id::{RunId, TaskId, Version};
use crate::payload::Payload;
use crate::task::Task;
use crate::time::Timestamp;

pub use compaction::{Compaction, Piece, Place};
pub use control::{PAUSED, Reopen};
pub use event::{Event, Gather};
pub use filter::{AuditFilter, EventFilter, RunFilter, TaskFilter};
pub use part::{Part, Way};
pub use rollback::Rollback;
pub use run::{Run, Sla};
pub use slot::{Gate, OnConflict, RateWish, Slot, SlotState, SlotWish};
pub use told::{Keep, TOLD, Told};

/// When a run is due.
pub type Due = (Timestamp, RunId);

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the store.
    #[error("the data folder `{folder}` is in use by {holder}; hint: stop it, or give another folder with `--data`")]
    Held {
        /// The data folder.
        folder: String,
        /// Who holds it: process id and command where known.
        holder: String,
    },
    /// Written by a later release. The file was not touched.
    #[error(
        "the store has schema {found}, this release knows {known}; hint: use the release that wrote it, or a newer one"
    )]
    Newer {
        /// The version found in the store.
        found: i64,
        /// The newest version that this release reads.
        known: i64,
    },
    /// No space is left. Nothing was written.
    #[error(
        "no space is left for the store; hint: free space on the disk of the data folder, the daemon goes on by itself"
    )]
    Full,
    /// Something that is written cannot be read.
    #[error("the store is damaged: {0}; hint: restore a backup")]
    Damaged(String),
    /// The store did not answer, or answered with an error: the outcome of a commit is unknown.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What a store takes, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// All of the database.
    pub database: u64,
    /// What of it is free for use again.
    pub free: u64,
    /// The write-ahead log.
    pub log: u64,
}

/// What the store did, or why not.
pub type Result<T> = std::result::Result<T, Error>;

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, not evaluated yet.
    Queued,
    /// Being evaluated, or busy with an effect.
    Running,
    /// Waits for a time, an event, a person or a child.
    Waiting,
    /// Held by a person.
    Paused,
    /// Ended with an output.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended by a person or by its parent.
    Cancelled,
    /// Ended by its deadline.
    TimedOut,
    /// Its interpreter died too often; not tried again by itself.
    Quarantined,
    /// What it does no longer fits its journal; stopped before anything was performed.
    Diverged,
}

impl Status {
    /// All, in the order of a run's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Quarantined,
        Self::Diverged,
    ];

    /// The name that commands, the API and the store use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Quarantined => "quarantined",
            Self::Diverged => "diverged",
        }
    }

    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Nothing more happens to the run.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::TimedOut)
    }

    /// The engine takes the run up by itself when it is ready or due.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Waiting)
    }
}

/// A start that must happen once: the same key in the same scope returns the run that it started before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedupe {
    /// What the key belongs to: `workflow:orders/invoice`, `webhook:orders`, …
    pub scope: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// Hash of the input: the same key with another one is a conflict.
    pub input: u64,
    /// Until when the key counts, against `created_at` of a later start; `None`: as long as the run is kept.
    pub until: Option<Timestamp>,
}

/// What a parked run waits to hear of: the very event that [`Store::next_event`] would give it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription {
    /// Event name.
    pub name: Arc<str>,
    /// Only events with this key; `None`: any.
    pub key: Option<Arc<str>>,
    /// Only events later in the order than this.
    pub after: u64,
    /// Only events accepted at or after.
    pub since: Timestamp,
}

impl Subscription {
    /// The events that it means, in the mailbox of that run or chain.
    pub fn filter(&self, run: RunId) -> EventFilter {
        EventFilter {
            name: self.name.clone(),
            key: self.key.clone(),
            run: Some(run),
            after: self.after,
            since: self.since,
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// One of the final ones, or `Diverged` or `Quarantined`.
    pub status: Status,
    /// The output of a completed run.
    pub output: Option<Payload>,
    /// Why it did not complete.
    pub error: Option<Payload>,
    /// What became of its compensations.
    pub rollback: Rollback,
    /// When.
    pub at: Timestamp,
    /// The run that goes on in its place: it is started earlier in the same batch.
    pub continued_as: Option<RunId>,
    /// From when on the run may be pruned; `None`: only by a prune that says so by age.
    pub expires_at: Option<Timestamp>,
}

/// The scope of the state in which the progress of each run is kept, by its id; it goes with the run.
pub const PROGRESS: &str = "$progress";

/// The scope of the state in which it is kept how far each run had come when its interpreter died last, by its id; it goes
/// with the run.
pub const CHARGED: &str = "$charged";

/// One durable write. A batch of them is one transaction; they take effect in order.
#[derive(Clone, Debug)]
pub enum Change {
    /// Accepts a run (owned by nobody unless `run.owner` says so), whose parent, if any, is there. Answer: `Started` or `Repeated`;
    /// a run whose id is there already is a repeat, too. With a gate also `Queued` (the row is kept as a queued one without
    /// owner, under epoch 0) or `Skipped` (nothing is kept, not even the key).
    Start {
        /// The row; `epoch` is stored as given.
        run: Box<Run>,
        /// Makes it happen once.
        dedupe: Option<Dedupe>,
        /// What it has to pass before it begins.
        gate: Option<Box<Gate>>,
    },
    /// Adds a journal segment. Answer: `Done` or `Refused`. Like all that follow under an epoch, refused after a final status.
    Append {
        /// Whose.
        run: RunId,
        /// The claim under which it is written.
        epoch: u64,
        /// As made by `journal::encode_segment`.
        segment: Vec<u8>,
    },
    /// The run waits; replaces its subscriptions, and `ready` becomes false.
    /// Answer: `Done`, `Refused`, or `Ready` where what it waits for is there already (then `ready` is true).
    Park {
        /// Which.
        run: RunId,
        /// The claim.
        epoch: u64,
        /// `Waiting` or `Paused`, or `Running` while a long effect is on its way.
        status: Status,
        /// A sentence.
        waiting_for: Arc<str>,
        /// When to take it up without anything happening.
        wake_at: Option<Timestamp>,
        /// Events that make it ready.
        subscriptions: Vec<Subscription>,
        /// Runs whose end makes it ready.
        children: Vec<RunId>,
        /// Tickets of its own that make it ready when they get a slot.
        slots: Vec<Arc<str>>,
        /// Tasks whose end makes it ready.
        tasks: Vec<TaskId>,
    },
    /// Gives a run up: no owner any more. Answer: `Done` or `Refused`.
    Release {
        /// Which.
        run: RunId,
        /// The claim.
        epoch: u64,
    },
    /// Takes runs for a node: those of the list that are live (or asked to end, while not final), and that have no owner
    /// or this one. Raises each epoch; a queued run is running from then on, and waits for no time any more.
    /// A queued run without its slot comes into the line, where it was not, and is claimed when it has the slot, or is asked to end.
    /// Answer: `Claimed` with the rows as they are after it.
    Claim {
        /// Which.
        runs: Vec<RunId>,
        /// By whom.
        node: Arc<str>,
        /// When: `started_at` of those that were never evaluated.
        at: Timestamp,
    },
    /// Ends a run; removes its subscriptions, and its owner. A final status closes its open tasks, sets `ended_at`, makes the
    /// parent and the runs ready that parked until its end, asks the runs to end whose parent it is, and gives its slots up; a run that `Diverged` or is `Quarantined` has not ended for its parent, and keeps
    /// them. Nor has one that continued as another: that one takes over a cancellation that was asked for, and the slot that
    /// the run held from its beginning. Answer: `Ended` with the parent and those to wake, or `Refused`.
    Finish {
        /// Which.
        run: RunId,
        /// The claim.
        epoch: u64,
        /// How.
        end: End,
    },
    /// Asks a run to end, or the newest of its chain: makes it ready; the first reason stays. Answer: `Done`, or `Refused`
    /// where that has ended already, or is unknown.
    Cancel {
        /// Which.
        run: RunId,
        /// `#{ kind, message }`.
        reason: Payload,
    },
    /// Holds a live run: it is `Paused` from then on, and a claim does not take it. Whoever owns it may write what has begun
    /// to its end; parking it leaves it paused. Answer: `Done`, or `Refused` where it is not live, or was asked to end and does
    /// not unwind yet.
    Pause {
        /// Which.
        run: RunId,
        /// Its journal says that it was asked to end: nobody asks it any more, it unwinds when it goes on.
        unwinds: bool,
        /// Appended to its journal.
        segment: Vec<u8>,
    },
    /// A run that is held goes on (paused, quarantined, diverged): queued where it had not begun, else running and ready.
    /// Nothing is held against it any more: no error, no interpreter that died. Answer: `Done`, or `Refused`.
    Resume {
        /// Which.
        run: RunId,
        /// Appended to its journal.
        segment: Vec<u8>,
    },
    /// Opens a run again that has ended, or is held, with what its journal says from then on.
    /// Answer: `Reopened`; `Skipped` where a lock that it needs is taken; `Refused` where it is not as it was seen.
    Reopen(Box<Reopen>),
    /// Accepts an event; makes the runs ready that subscribed to it. Answer: `Emitted`.
    Emit {
        /// `seq` is given by the store.
        event: Event,
        /// A repeat of its id is dropped until then.
        dedupe_until: Timestamp,
        /// Kept with it; not with a repeat.
        gather: Vec<Gather>,
    },
    /// Comes into the line for a slot, and takes it where it is free. A ticket that holds one or waits stays as it is.
    /// Answer: `Acquired`, or `Refused`.
    Acquire {
        /// Whose.
        run: RunId,
        /// The claim.
        epoch: u64,
        /// For what.
        name: Arc<str>,
        /// Which of the run's: the same again is the same ticket.
        ticket: Arc<str>,
        /// It gets a slot when fewer are held.
        limit: u32,
    },
    /// Gives a ticket up, whether it holds a slot or waits. Answer: `Freed`, also where there is none, or `Refused`.
    ReleaseSlot {
        /// Whose.
        run: RunId,
        /// The claim.
        epoch: u64,
        /// Which of the run's.
        ticket: Arc<str>,
    },
    /// Takes a name's slots from all that hold one: an operator's act. Answer: `Freed`.
    FreeSlots {
        /// Of what.
        name: Arc<str>,
    },
    /// Opens a task of a run. Answer: `Task`, not fresh where it is there already; or `Refused`.
    OpenTask {
        /// The claim of the run under which it is opened.
        epoch: u64,
        /// The row; it is open.
        task: Box<Task>,
    },
    /// Answers a task: the first answer stays, and makes the run ready. Answer: `Task`, not fresh where it was answered or
    /// closed before; `Refused` where there is none.
    AnswerTask {
        /// Which.
        task: TaskId,
        /// `#{ choice, data, by, at }`.
        answer: Payload,
        /// When.
        at: Timestamp,
    },
    /// Nobody waits for a task any more: it is cancelled if it is open. Answer: as of `AnswerTask`.
    CloseTask {
        /// Which.
        task: TaskId,
        /// When.
        at: Timestamp,
    },
    /// The next moment of a task happens ([`Task::pass`]); its end makes the run ready. Answer: `Task`, not fresh where that
    /// moment is not the next one; `Refused` where there is none.
    EscalateTask {
        /// Which.
        task: TaskId,
        /// How many have happened before.
        stage: u32,
    },
    /// Sets or removes a durable value of a workflow. Answer: `Done`.
    SetState {
        /// Whose: a workflow's name, or a name of the engine's own that begins with `$`.
        scope: Arc<str>,
        /// Which.
        key: Arc<str>,
        /// `None` removes.
        value: Option<Payload>,
    },
    /// Does a change on somebody's behalf, and keeps a record of the act with it, unless nothing came of it
    /// ([`Applied::took_effect`]). Without a change: the record alone. Answer: that of the change, or `Done`.
    Audit {
        /// What is kept.
        act: Box<audit::Act>,
        /// What is done.
        change: Option<Box<Change>>,
    },
    /// Does a change of which people are to be told, and keeps what they are told with it, unless nothing came of it
    /// ([`Applied::took_effect`]). Answer: that of the change.
    Tell {
        /// What is done.
        change: Box<Change>,
        /// What people are told.
        told: Vec<Told>,
        /// Whether that is kept.
        keep: Keep,
    },
    /// Keeps the sources of a version. Answer: `Done`; a version that is there already is left as it is.
    PutBundle {
        /// Content hash.
        version: Version,
        /// As made by the bundle.
        bytes: Vec<u8>,
    },
    /// Moves a run to another version. One that had diverged is waiting and ready from then on, without an error.
    /// Answer: `Done` or `Refused`.
    Upgrade {
        /// Which.
        run: RunId,
        /// The claim.
        epoch: u64,
        /// The version from now on.
        version: Version,
        /// Config values that its declaration read; `null` where there are none.
        settings: Payload,
    },
    /// The interpreter of a run died. Answer: `Done` or `Refused`.
    Charge {
        /// Which.
        run: RunId,
        /// The claim.
        epoch: u64,
        /// How often by now, without durable progress in between.
        charged: u32,
    },
    /// Somebody is told that a run is open for too long: its `sla` is `None` from then on. Answer: `Done`, or `Refused`
    /// where it has ended, was told of before, or is not due.
    Remind {
        /// Which.
        run: RunId,
        /// When it is.
        at: Timestamp,
    },
    /// Removes finished runs that have expired, or ended before the time, and that no open parent or child and no open run
    /// of their chain refers to; events from the oldest on; keys and ids that have expired; and bundles that no run uses.
    /// The cost of one is bounded, whatever there is to remove. Answer: `Pruned`.
    Prune {
        /// Runs that ended before it go, whatever they say.
        before: Timestamp,
        /// Of those, only runs with larger ids: what the prune before this one has reached, and `RunId::LOWEST` for the first.
        behind: RunId,
        /// Runs, keys and ids of events that expire then or before go.
        expired: Timestamp,
        /// Events received before it go.
        events_before: Timestamp,
        /// Versions that stay although no run uses them: the live ones. `None`: all stay.
        keep: Option<Vec<Version>>,
        /// At most so many runs, events and keys at once, so that a commit stays short.
        limit: usize,
    },
    /// Puts segments together as [`Store::compaction`] said, where they are still there. No read sees it. Answer: `Done`.
    Compact(Box<Compaction>),
}

impl Change {
    /// It neither reads nor writes rows of other runs than its own.
    pub fn leaves_rows_alone(&self) -> bool {
        match self {
            Self::Start { gate: None, .. }
            | Self::Append { .. }
            | Self::Finish { .. }
            | Self::SetState { .. }
            | Self::Compact(_) => true,
            Self::Audit { change, .. } => change.as_deref().is_none_or(Self::leaves_rows_alone),
            Self::Tell { change, .. } => change.leaves_rows_alone(),
            _ => false,
        }
    }
}

/// What a change did.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// It is so.
    Done,
    /// The run is accepted.
    Started,
    /// The key was used before: `same_input` tells whether with this input.
    Repeated {
        /// The run that it started then.
        run: RunId,
        /// The input's hash is the same.
        same_input: bool,
    },
    /// The run is accepted, and begins later.
    Queued {
        /// When, where a time is known; else when it gets a slot.
        wake_at: Option<Timestamp>,
        /// Runs that were asked to end for it.
        cancelled: Vec<RunId>,
    },
    /// No slot is free, and the start is dropped.
    Skipped {
        /// One that has the slot, or waits for it.
        holder: RunId,
    },
    /// The ticket holds a slot; or it waits in line.
    Acquired(bool),
    /// Slots are free again.
    Freed {
        /// From whom an operator took them.
        holders: Vec<RunId>,
        /// Live runs that are ready now because they got one, in the order of the line.
        woken: Vec<RunId>,
    },
    /// The run is parked, and ready at once.
    Ready,
    /// The run is open again: the answers to what was done with it.
    Reopened(Vec<Applied>),
    /// The rows of the runs that were claimed.
    Claimed(Vec<Run>),
    /// The run has ended; its parent, if any, is ready now, and so are the runs that parked until its end.
    Ended {
        /// The parent that waits for it, where that is live.
        parent: Option<RunId>,
        /// Runs that are ready now: because they got a slot of it, then those that parked until it, or the chain that it is
        /// the last of, has ended, then those that are asked to end with it.
        woken: Vec<RunId>,
    },
    /// The event is kept.
    Emitted {
        /// Its place, or that of the first with its id.
        seq: u64,
        /// False: a repeat that was dropped.
        fresh: bool,
        /// Live runs that are ready now, by id.
        woken: Vec<RunId>,
    },
    /// The task as it is now.
    Task {
        /// The row.
        task: Box<Task>,
        /// False: it is as it was.
        fresh: bool,
    },
    /// The claim was lost, or there is nothing to act on. Nothing was written.
    Refused,
    /// So many runs are gone.
    Pruned {
        /// Number of runs.
        runs: usize,
        /// The limit was reached, or there is more to do than one commit should: the same again goes on, behind `reached`.
        more: bool,
        /// How far it has looked for runs that ended before the time, in the order of ids; `RunId::HIGHEST`: to the end.
        reached: RunId,
    },
}

impl Applied {
    /// False: it was refused, dropped, or had happened before.
    pub fn took_effect(&self) -> bool {
        match self {
            Self::Refused | Self::Repeated { .. } | Self::Skipped { .. } => false,
            Self::Task { fresh, .. } | Self::Emitted { fresh, .. } => *fresh,
            _ => true,
        }
    }
}

/// The durable truth. See the module for what survives.
pub trait Store: Send + Sync {
    /// Copies all, as of the last commit, to a new file, from which the store can be restored. Durable when it returns; an
    /// error or a crash on the way leaves a file that is of no use. [`Error::Failed`] where the file is there already, and from a
    /// store that is no file.
    fn backup(&self, target: &Path) -> Result<()> {
        Err(Error::Failed(format!("this store cannot be copied to `{}`", target.display())))
    }

    /// What it takes.
    fn size(&self) -> Result<Size> {
        Ok(Size::default())
    }

    /// Reads through all of it: what is damaged, if anything is.
    fn check(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// One transaction. One answer a change, in order.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>>;

    /// One run.
    fn run(&self, id: RunId) -> Result<Option<Run>>;

    /// The run that goes on in this one's place, the newest of its chain; itself where it has not continued.
    fn newest(&self, id: RunId) -> Result<Option<Run>>;

    /// Runs, newest first.
    fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>>;

    /// How many runs of each workflow are in each status, by name and status; none with zero.
    fn counts(&self) -> Result<Vec<(Arc<str>, Status, u64)>>;

    /// The segments of a run's journal, in order.
    fn journal(&self, id: RunId) -> Result<Vec<Vec<u8>>>;

    /// Those behind a mark, in order, and the mark behind the last of them: what a journal has grown by, for the cost of that.
    /// 0 is before the first; other marks come from this function, of this store.
    fn journal_after(&self, id: RunId, mark: u64) -> Result<(Vec<Vec<u8>>, u64)> {
        let all = self.journal(id)?;
        let end = all.len() as u64;
        Ok((all.into_iter().skip(usize::try_from(mark).unwrap_or(usize::MAX)).collect(), end))
    }

    /// Those behind a mark as well, but no more than it takes to have `most` bytes, and one at least where there is one. Costs what
    /// it gives, and once for a journal that it is walked along.
    fn journal_part(&self, id: RunId, mark: u64, most: usize) -> Result<Part>;

    /// The way along a journal: marks in its middle.
    fn journal_way(&self, id: RunId) -> Result<Arc<Way>>;

    /// The next segments to be put together, of runs that ended before a time, and where to look on. `from`: the place of the
    /// compaction before this one. `None`: nothing is left to do, as always where segments lie in memory.
    fn compaction(&self, before: Timestamp, from: Place) -> Result<Option<Compaction>> {
        let _ = (before, from);
        Ok(None)
    }

    /// Runs that can go on: live and ready or `running`, or asked to end while not final; of these, the ones owned by nobody
    /// or by `node`; larger priorities first, then in the order of acceptance. Those of what is held ([`PAUSED`]) stay, unless
    /// they are asked to end. What a node takes up when it starts.
    fn ready(&self, node: &str, limit: usize) -> Result<Vec<RunId>>;

    /// Live runs that are due until then, earliest first; behind `after`, where a list goes on.
    fn due(&self, after: Option<Due>, until: Timestamp, limit: usize) -> Result<Vec<Due>>;

    /// The workflows of runs, of those that are there.
    fn workflows_of(&self, runs: &[RunId]) -> Result<Vec<(RunId, Arc<str>)>>;

    /// Runs that are open and of which somebody is to be told by then, earliest first.
    fn overdue(&self, until: Timestamp, limit: usize) -> Result<Vec<(Timestamp, RunId)>>;

    /// The first event that fits, in order.
    fn next_event(&self, filter: &EventFilter) -> Result<Option<Event>>;

    /// Events with a larger number than `after`, in order.
    fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>>;

    /// One task.
    fn task(&self, id: TaskId) -> Result<Option<Task>>;

    /// Tasks, newest first.
    fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>>;

    /// How many tasks are open.
    fn open_tasks(&self) -> Result<u64> {
        let open = TaskFilter { status: Some(crate::task::Status::Open), limit: usize::MAX, ..TaskFilter::default() };
        Ok(self.tasks(&open)?.len() as u64)
    }

    /// A durable value.
    fn state(&self, scope: &str, key: &str) -> Result<Option<Payload>>;

    /// All durable values of a scope whose key begins so, by key.
    fn states(&self, scope: &str, prefix: &str) -> Result<Vec<(Arc<str>, Payload)>>;

    /// Who holds slots of a name, by arrival, then who waits for one, in the order of the line, then who comes later.
    fn slots(&self, name: &str) -> Result<Vec<Slot>>;

    /// The tickets of a run, by ticket.
    fn slots_of(&self, run: RunId) -> Result<Vec<Slot>>;

    /// Records of the audit log with a larger number than `after`, in order.
    fn acts(&self, after: u64, limit: usize) -> Result<Vec<audit::Record>>;

    /// Records of the audit log, newest first.
    fn audit(&self, filter: &AuditFilter) -> Result<Vec<audit::Record>>;

    /// The end of the audit log as it is kept beside it; `None`: nothing was kept.
    fn audit_head(&self) -> Result<Option<audit::Head>>;

    /// The stored sources of a version.
    fn bundle(&self, version: &Version) -> Result<Option<Vec<u8>>>;
}
