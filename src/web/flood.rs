//! What requests may take at once: memory for bodies, and files that come in. Whoever finds no room comes again a moment later.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;
use crate::engine::Handle;

/// For bodies in memory: a value takes several times as much once it is read.
const MEMORY_KIB: u32 = 64 * 1024;
/// For large answers that go out: sixteen full pages of a list.
const ANSWERS_KIB: u32 = 64 * 1024;
/// Pages that are read from the store at once: each needs a processor.
const READING: usize = 4;
/// Files that come in at once: each has a thread's attention now and then.
const FILES: usize = 32;

/// For files of senders who are not known yet, since the signature is over the whole of it: all of them together fill no more of
/// the disk. Counted in MiB.
const UNKNOWN_MIB: u32 = 1024;

/// The room that is left. Cheap to clone.
#[derive(Clone)]
pub(super) struct Flood {
    memory: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    reading: Arc<Semaphore>,
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
        let room = |most: usize| Arc::new(Semaphore::new(most));
        Self {
            memory: room(MEMORY_KIB as usize),
            answers: room(ANSWERS_KIB as usize),
            reading: room(READING),
            files: room(FILES),
            unknown: room(UNKNOWN_MIB as usize),
        }
    }

    /// Room for an answer of so many bytes, within that time.
    pub(super) async fn answer(&self, bytes: u64, within: Duration) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = u32::try_from(bytes / 1024).unwrap_or(ANSWERS_KIB).clamp(1, ANSWERS_KIB);
        let room = tokio::time::timeout(within, Arc::clone(&self.answers).acquire_many_owned(kib)).await;
        room.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = "too many large answers are being sent; hint: ask again in a moment, or for less";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).header(RETRY_AFTER, "5")
        })
    }

    /// A turn to read a page of rows.
    pub(super) async fn reading(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.reading).acquire_owned().await.expect("it is never closed")
    }

    /// Room for a body that comes in.
    pub(super) fn body(&self) -> Coming {
        Coming { memory: Arc::clone(&self.memory), room: None, bytes: Vec::new() }
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

/// A body that comes in. Its room grows with it: who announces much and sends nothing takes none from others.
pub(super) struct Coming {
    memory: Arc<Semaphore>,
    room: Option<OwnedSemaphorePermit>,
    bytes: Vec<u8>,
}

impl Coming {
    /// So much of it is there.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the next piece, where there is room.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Problem> {
        self.reach(self.bytes.len() + piece.len())?;
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn reach(&mut self, bytes: usize) -> Result<(), Problem> {
        let wanted = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let has = self.room.as_ref().map_or(0, |room| u32::try_from(room.num_permits()).unwrap_or(u32::MAX));
        if wanted > has {
            let more = Arc::clone(&self.memory).try_acquire_many_owned(wanted - has);
            let more = more.map_err(|_| busy("too many large requests are being read"))?;
            match &mut self.room {
                Some(room) => room.merge(more),
                room @ None => *room = Some(more),
            }
        }
        Ok(())
    }

    /// It is whole.
    pub(super) fn whole(self) -> Held {
        Held { bytes: self.bytes.into(), _room: self.room }
    }
}

/// A body, and the room that it takes as long as it is held.
pub(super) struct Held {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
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
        let quarter = vec![0; MEMORY_KIB as usize / 4 * 1024];
        let mut all: Vec<_> = (0..4).map(|_| flood.body()).collect();
        all.iter_mut().for_each(|body| body.push(&quarter).expect("room"));
        assert!(flood.body().push(&[0]).is_err());
        drop(all.pop());
        assert!(flood.body().push(&quarter).is_ok() && all[0].push(&[0]).is_ok());
        let files: Vec<_> = (0..FILES).map(|_| flood.file().expect("room")).collect();
        assert!(flood.file().is_err() && files.len() == FILES);
    }
}
