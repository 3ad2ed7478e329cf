//! A file that is filled piece by piece by what streams in, and appears when all is there.

use sha2::{Digest, Sha256};

use super::place::Spot;
use super::staged::Staged;
use super::{FileStat, off_thread};
use crate::effect::Failure;

/// Bytes that are handed to the disk at a time: few enough to hold, enough to be worth a change of thread.
const CHUNK_BYTES: usize = 256 << 10;

/// A file on its way in. Dropped before [`finish`](Self::finish), it was never there.
pub(in crate::effect) struct Inflow {
    // Away only while a piece is on its way to the disk.
    inner: Option<Inner>,
    buffer: Vec<u8>,
    size: u64,
    max_bytes: u64,
    shown: String,
}

struct Inner {
    staged: Staged,
    hash: Sha256,
}

impl Inflow {
    /// Begins a file of at most so many bytes.
    pub(in crate::effect) async fn start(spot: Spot, key: String, max_bytes: u64) -> Result<Self, Failure> {
        let shown = spot.shown.clone();
        let staged = off_thread(move || Staged::create(&spot, &key)).await?;
        let inner = Some(Inner { staged, hash: Sha256::new() });
        Ok(Self { inner, buffer: Vec::with_capacity(CHUNK_BYTES), size: 0, max_bytes, shown })
    }

    /// Adds bytes.
    pub(in crate::effect) async fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.size += bytes.len() as u64;
        if self.size > self.max_bytes {
            let (shown, most) = (&self.shown, self.max_bytes);
            return Err(Failure::limit(format!(
                "`{shown}` would have more than {most} bytes; hint: raise `max_bytes`"
            )));
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let Some(mut inner) = self.inner.take() else { return Err(self.broken()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let (inner, buffer) = off_thread(move || {
            inner.hash.update(&buffer);
            inner.staged.write(&buffer)?;
            buffer.clear();
            Ok((inner, buffer))
        })
        .await?;
        (self.inner, self.buffer) = (Some(inner), buffer);
        Ok(())
    }

    /// Makes it appear, durably.
    pub(in crate::effect) async fn finish(mut self) -> Result<FileStat, Failure> {
        self.flush().await?;
        let Some(Inner { staged, hash }) = self.inner.take() else { return Err(self.broken()) };
        off_thread(move || staged.finish(Some(hex::encode(hash.finalize())))).await
    }

    /// Something failed before, and was told then.
    fn broken(&self) -> Failure {
        Failure::new("file", format!("`{}` could not be written before its end", self.shown)).maybe_sent()
    }
}
