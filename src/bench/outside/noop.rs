//! A server that does nothing, and remembers what it was asked.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::bench::Result;
use crate::time::elapsed;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What it was asked.
#[derive(Default)]
pub(in crate::bench) struct Seen {
    /// All requests.
    pub(in crate::bench) count: usize,
    /// When the last one came, as [`elapsed`] tells.
    pub(in crate::bench) last: Duration,
    /// How often each body came, and after the mark how often.
    pub(in crate::bench) bodies: HashMap<Box<[u8]>, Times>,
    /// From now on requests are counted as later ones.
    pub(in crate::bench) is_marked: bool,
}

/// How often.
#[derive(Clone, Copy, Default)]
pub(in crate::bench) struct Times {
    pub(in crate::bench) all: u32,
    /// After the mark.
    pub(in crate::bench) later: u32,
}

/// The server, on a thread of its own; dropping it stops it.
pub(in crate::bench) struct Noop {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Noop {
    /// On a free port. Where bodies are kept, each counts as what is done.
    pub(in crate::bench) fn start(keeps_bodies: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let (address, seen) = (listener.local_addr()?, Arc::new(Mutex::new(Seen::default())));
        let (stop, mut stopped) = oneshot::channel();
        let shared = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener =
                    TcpListener::from_std(listener).expect("a listener that does not block can be waited for");
                loop {
                    tokio::select! {
                        _ = &mut stopped => return,
                        accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                            drop(tokio::spawn(serve(stream, Arc::clone(&shared), keeps_bodies)));
                        },
                    }
                }
            });
        });
        Ok(Self { address, seen, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(in crate::bench) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it was asked so far.
    pub(in crate::bench) fn seen(&self) -> MutexGuard<'_, Seen> {
        held(&self.seen)
    }
}

impl Drop for Noop {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn held(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers what comes over a connection until it is closed.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, keeps_bodies: bool) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        while let Some((head, length)) = whole(&buffer) {
            {
                let mut seen = held(&seen);
                (seen.count, seen.last) = (seen.count + 1, elapsed());
                if keeps_bodies {
                    let is_later = u32::from(seen.is_marked);
                    let times = seen.bodies.entry(buffer[head..head + length].into()).or_default();
                    (times.all, times.later) = (times.all + 1, times.later + is_later);
                }
            }
            buffer.drain(..head + length);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
}

/// Lengths of the head and the body of a request that is there as a whole.
fn whole(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    (buffer.len() >= head + length).then_some((head, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";
        assert_eq!((whole(request), whole(&request[..39]), whole(b"GET /")), (Some((38, 3)), None, None));
    }
}
