//! The async shell around runs: workers that drive them, one log that makes them durable, timers, recovery.
//!
//! One worker thread a core, each with its own script engine and a current-thread runtime, owns the runs that are in
//! motion on it. All writes go through one log (a thread that commits whatever has gathered while the last commit was on its
//! way). [`Handle`] is all that faces see.
//!
//! The output-commit rule: everything appended before must be durable before a mutating effect starts, and before
//! anything is shown outside. Pure, reading and internal work goes straight on.

pub mod activation;
mod allowed;
mod announce;
mod deploy;
mod flow;
mod handle;
mod hands;
mod inline;
pub mod links;
mod log;
mod park;
mod pending;
pub mod people;
mod programs;
mod shared;
mod surroundings;
mod timekeeper;
mod worker;
mod world;

pub use crate::script::check::touches::{Named, Touches};
pub use deploy::{Deployed, TriggerSpec, compile, declare, examine, script_engine, survey, syntax, touches};
pub use flow::flow;
pub use handle::{Engine, Error, Handle, Options, Reach, Start, Started, Watch};
pub use hands::{Mocked, Mocks};
pub use inline::{Inline, Tools, VirtualClock};
pub use shared::{Begun, Notice};
pub use surroundings::{About, EnvironmentSecrets, LogNotifier, NoSettings, Notification, Notifier, Settings};

#[cfg(test)]
mod tests;
