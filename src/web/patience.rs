//! A connection whose other end has to read: what is written and not taken for too long ends it, so that a client that never
//! reads holds neither a connection nor what waits to be sent.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connections::Place;

/// A connection that is dropped when a write makes no progress for so long.
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs out while a write waits.
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// Who is told when something has gone out.
    place: Option<Arc<Place>>,
}

impl<S> Patient<S> {
    /// Around a connection.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, timer: Box::pin(tokio::time::sleep(patience)), is_waiting: false, place: None }
    }

    /// At this place.
    pub(super) fn at(mut self, place: Arc<Place>) -> Self {
        self.place = Some(place);
        self
    }

    /// What writing came to.
    fn written(&mut self, context: &mut Context<'_>, came: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if let (Poll::Ready(Ok(_)), Some(place)) = (&came, &self.place) {
            place.touch();
        }
        self.judged(context, came)
    }

    /// What a write came to; one that waits for too long is an error.
    fn judged<T>(&mut self, context: &mut Context<'_>, came: Poll<Result<T>>) -> Poll<Result<T>> {
        if came.is_ready() {
            self.is_waiting = false;
            return came;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.timer = Box::pin(tokio::time::sleep(self.patience));
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let came = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, came)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let came = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(context, came)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let came = Pin::new(&mut self.stream).poll_flush(context);
        self.judged(context, came)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn who_never_reads_is_dropped() {
        let came = runtime().block_on(async {
            let (ours, _theirs) = tokio::io::duplex(8);
            Patient::new(ours, Duration::from_millis(20)).write_all(&[0; 64]).await
        });
        assert_eq!(came.expect_err("is an error").kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn who_reads_gets_everything() {
        let came = runtime().block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(8);
            let mut ours = Patient::new(ours, Duration::from_mins(1));
            let (written, mut came) = (ours.write_all(&[7; 64]), [0; 64]);
            let (written, read) = tokio::join!(written, theirs.read_exact(&mut came));
            (written.is_ok(), read.is_ok(), came)
        });
        assert_eq!(came, (true, true, [7; 64]));
    }
}
