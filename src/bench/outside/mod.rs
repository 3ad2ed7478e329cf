//! The daemon as a process of its own, those who talk to it, and those to whom it talks.

pub(super) mod client;
pub(super) mod daemon;
pub(super) mod load;
pub(super) mod noop;

use super::Result;

/// Does something that waits, on this thread.
pub(super) fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
