//! The run as a pure state machine.
//!
//! It takes the commands that the script issues, scope by scope, and answers from the journal: *recorded* (here is the
//! outcome), *later* (recorded, but other completions come first), *pending* (perform it), or *diverged*. It keeps the
//! order of completions, the scopes, what earlier attempts completed, and what was undone. New entries are appended to it
//! and taken from it for the log.
//!
//! No clock, no I/O, no async; knows nothing of Rhai, tokio and SQL.
//!
//! # The order
//!
//! While a run goes on live, a completion is appended and its branch goes on until every branch waits again; only then
//! the next completion is appended. A replay therefore feeds the closed entries back in the order of the journal, each
//! one when all branches wait: branches interleave as they did. Log lines stand outside of that order, so that adding or
//! removing one never makes a run diverge. An [`Interruption`] is the one entry that does not wait for all branches.

mod begun;
mod given;
mod interruption;
mod machine;
mod scopes;

pub use interruption::Interruption;
pub use machine::{Command, Divergence, Entered, Issued, Next, Replay, Site};
pub use scopes::{Label, ScopeId, Scopes};

#[cfg(test)]
mod tests;
