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

/// For files of senders who are not known yet, since the signature is over the whole of it: all of them together fill no more of
/// the disk. Counted in MiB.
const UNKNOWN_MIB: u32 = 1024;

/// The room that is left. Cheap to clone.
#[derive(Clone)]
pub(super) struct Flood {
    memory: Arc<Semaphore>,
    files: Arc<Semaphore>,
    unknown: Arc<Semaphore>,
}

/// What a file takes of the disk while nobody knows from whom it is.
pub(super) struct Unknown {
    all: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Unknown {
    /// It has so many bytes now. One that is larger than all the room may take all of it.
    pub(super) fn reach(&mut self, bytes: u64) -> Result<(), Problem> {
        let wanted = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).min(UNKNOWN_MIB);
        let has = self.taken.as_ref().map_or(0, |taken| u32::try_from(taken.num_permits()).unwrap_or(u32::MAX));
        if wanted > has {
            let more = Arc::clone(&self.all).try_acquire_many_owned(wanted - has);
            let more = more.map_err(|_| busy("too much is coming in whose signature is not known yet"))?;
            match &mut self.taken {
                Some(taken) => taken.merge(more),
                taken @ None => *taken = Some(more),
            }
        }
        Ok(())
    }
}

impl Flood {
    pub(super) fn new() -> Self {
        let room = |permits: usize| Arc::new(Semaphore::new(permits));
        Self { memory: room(MEMORY_KIB as usize), files: room(FILES), unknown: room(UNKNOWN_MIB as usize) }
    }

    /// Room for a body of so many bytes, until it is dropped.
    pub(super) fn memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(MEMORY_KIB).min(MEMORY_KIB);
        let room = Arc::clone(&self.memory).try_acquire_many_owned(kib);
        room.map_err(|_| busy("too many large requests are being read"))
    }

    /// Room for what comes from somebody who is not known yet; until it is dropped.
    pub(super) fn unknown(&self) -> Unknown {
        Unknown { all: Arc::clone(&self.unknown), taken: None }
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
    fn strangers_fill_no_more_of_the_disk_together_than_one_file_may() {
        let (flood, all) = (Flood::new(), u64::from(UNKNOWN_MIB) << 20);
        let (mut one, mut other) = (flood.unknown(), flood.unknown());
        one.reach(all - 1).expect("room");
        one.reach(all * 9).expect("one may take all of it");
        assert!(other.reach(1).is_err());
        drop(one);
        other.reach(all).expect("room again");
    }

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
