//! The async shell around runs: workers that drive them, one log that makes them durable, timers, recovery.
//!
//! One worker thread a core, each with its own script engine and a current-thread runtime, owns the runs that are in
//! motion on it. All writes go through one log (a thread that commits whatever has gathered while the last commit was on its
//! way). [`Handle`] is all that faces see.
//!
//! The output-commit rule: everything appended before must be durable before a mutating effect starts, and before
//! anything is shown outside. Pure, reading and internal work goes straight on.

pub mod activation;
mod admission;
mod after;
mod allowed;
mod announce;
mod causes;
pub mod channels;
mod charges;
mod closures;
mod decide;
mod deploy;
mod early;
mod ended;
mod failures;
mod flow;
pub mod gate;
mod gather;
mod handle;
mod hands;
mod holds;
mod inline;
mod left;
mod lethal;
pub mod lines;
pub mod links;
mod locks;
mod log;
mod mailbox;
mod mailboxes;
mod messages;
pub mod metrics;
mod needs;
mod notification;
mod options;
mod outside;
pub mod pages;
mod park;
mod passage;
mod pending;
pub mod people;
mod programs;
mod queries;
pub mod recording;
mod refusals;
mod reminders;
mod renewal;
mod repair;
mod retention;
pub mod retrace;
mod secrets;
mod semantics;
pub mod sessions;
mod shared;
mod spent;
mod surroundings;
mod terms;
mod timekeeper;
pub mod tokens;
mod under_way;
mod upgrade;
mod witness;
mod worker;
mod world;

pub use crate::script::check::touches::{Named, Touches};
pub use charges::charge;
pub use decide::{Decision, Received, SAID_NO, decide};
pub use deploy::{
    Deployed, Gathering, Survey, TriggerSpec, compile, declare, examine, script_engine, survey, syntax, touches,
    unknown_workflows,
};
pub use flow::flow;
pub use gather::Waiting;
pub use handle::{
    Action, Chosen, Deed, Emitted, Engine, Error, Growth, Handle, Reached, Retry, Start, Started, Watch, verify_audit,
};
pub use hands::{Mocked, Mocks};
pub use holds::held_by;
pub use inline::{Inline, Tools, VirtualClock};
pub use locks::{Unlocked, line_to_json, named};
pub use messages::{Messages, Settled};
pub use notification::{About, LogNotifier, Notification, Notifier, TaskOf};
pub use options::{Instead, KEEP, Options, Reach};
pub use passage::GateSpec;
pub use refusals::Refusal;
pub use semantics::{Semantics, Trials};
pub use shared::{Begun, Notice};
pub use surroundings::{Follower, NoSettings, Settings};
pub use terms::{OnFailure, Terms};
pub use upgrade::{Mode, Upgraded};
pub use witness::{Charge, Evaluated, Witness};

#[cfg(test)]
mod tests;
