//! The daemon as a process of its own, those who talk to it, and those to whom it talks.

pub(super) mod client;
pub(super) mod daemon;
pub(super) mod load;
pub(super) mod noop;
