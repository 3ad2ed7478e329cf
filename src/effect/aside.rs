//! A thread with a runtime of its own, for connections that all workers share: a connection is driven by the runtime on which it
//! was opened, and workers come and go with their runs.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The thread. It is there once something is to be done on it, and ends when this is dropped.
pub(super) struct Aside {
    name: &'static str,
    thread: OnceLock<Option<Thread>>,
}

struct Thread {
    runtime: Handle,
    _stop: oneshot::Sender<()>,
}

/// How something ended that was done there, within its time.
pub(super) enum Ended<T> {
    /// It came to its end.
    Done(T),
    /// The thread is going down.
    Stopped,
    /// Its time was over: it is given up.
    TimedOut,
}

impl Aside {
    /// One of this name.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, thread: OnceLock::new() }
    }

    /// The runtime of the thread; `None`: the system gives none.
    pub(super) fn runtime(&self) -> Option<&Handle> {
        self.thread.get_or_init(|| Thread::start(self.name)).as_ref().map(|thread| &thread.runtime)
    }
}

impl Thread {
    fn start(name: &str) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let work = move || {
            // What is sent never comes: it ends when nobody can send any more.
            let _ = runtime.block_on(stopped);
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work).ok()?;
        Some(Self { runtime: handle, _stop: stop })
    }
}

/// Waits for what was begun on the thread. Dropped, it is given up there, too.
pub(super) async fn within<T>(time: Duration, begun: JoinHandle<T>) -> Ended<T> {
    let mut talk = Talk(begun);
    match tokio::time::timeout(time, &mut talk.0).await {
        Ok(Ok(done)) => Ended::Done(done),
        Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Ok(Err(_)) => Ended::Stopped,
        Err(_) => Ended::TimedOut,
    }
}

/// Ends what is under way when nobody waits for it any more.
struct Talk<T>(JoinHandle<T>);

impl<T> Drop for Talk<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
