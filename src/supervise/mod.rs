//! The daemon as two processes: a small parent that holds the listening socket, and the engine, which it starts again when it
//! dies.
//!
//! While the engine is away, connections wait in the socket's queue, so nobody is refused. The parent runs no script and opens no
//! store; what it knows of runs is the page of memory that it shares with the engine, where each worker notes what it evaluates
//! ([`page`]). When the engine dies *by itself*, those runs are charged by the next one, before it puts anything in motion.
//! A kill from outside charges nobody. The engine dies with its parent.
//!
//! [`sd`] tells systemd. Where the system lacks what this needs (it is for Linux), the daemon is one process.

pub mod sd;

#[cfg(target_os = "linux")]
mod backoff;
#[cfg(target_os = "linux")]
mod death;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod parent;

#[cfg(target_os = "linux")]
pub use link::{Engine, Link};
#[cfg(target_os = "linux")]
pub use parent::{Ended, Parent, Tell};

/// What the daemon tells whoever watches it: its parent, or systemd.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// The scripts are loaded, the store is recovered, and it listens; also that a reload is done.
    Ready,
    /// The scripts are being read again.
    Reloading,
    /// It ends.
    Stopping,
    /// It answers.
    Alive,
}
