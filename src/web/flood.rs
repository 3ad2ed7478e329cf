//! What requests may take at once: memory for bodies, and files that come in. Whoever finds no room comes again a moment later.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use crate::engine::Handle;

/// For bodies in memory: a value takes several times as much once it is read.
const MEMORY_KIB: u32 = 64 * 1024;
/// Files that come in at once: each has a thread's attention now and then.
const FILES: usize = 32;

/// The room that is left. Cheap to clone.
#[derive(Clone)]
pub(super) struct Flood {
    memory: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

impl Flood {
    pub(super) fn new() -> Self {
        Self { memory: Arc::new(Semaphore::new(MEMORY_KIB as usize)), files: Arc::new(Semaphore::new(FILES)) }
    }

    /// Room for a body of so many bytes, until it is dropped.
    pub(super) fn memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(MEMORY_KIB).min(MEMORY_KIB);
        let room = Arc::clone(&self.memory).try_acquire_many_owned(kib);
        room.map_err(|_| busy("too many large requests are being read"))
    }

    /// Room for a file.
    pub(super) fn file(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.files).try_acquire_owned().map_err(|_| busy("too many files are coming in"))
    }
}

/// Turns starts from outside away while the engine has more to do than it holds in memory: what was accepted comes first.
pub(super) fn calm(handle: &Handle) -> Result<(), Problem> {
    if handle.is_overrun() { Err(busy("more runs were started than can be begun now")) } else { Ok(()) }
}

fn busy(why: &str) -> Problem {
    let detail = format!("{why}; nothing was started; hint: send it again in a moment");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).header(RETRY_AFTER, "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_comes_back() {
        let flood = Flood::new();
        let all: Vec<_> = (0..4).map(|_| flood.memory(16 * 1024 * 1024 - 1).expect("room")).collect();
        assert!(flood.memory(0).is_err());
        drop(all);
        assert!(flood.memory(u64::MAX).is_ok());
        let files: Vec<_> = (0..FILES).map(|_| flood.file().expect("room")).collect();
        assert!(flood.file().is_err() && files.len() == FILES);
    }
}
