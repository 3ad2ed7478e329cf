//! Telling people: takes what the engine keeps for them, and hands it to channels until they take it.
//!
//! What is told is a row of the commit of what it tells of ([`crate::store::told`]). The courier has a thread of its own: it decides
//! what goes out by itself and what is put together (`group.rs`), when each is tried (`outbox.rs`), writes that down, and then
//! sends (`send.rs`). A row goes when its channel has taken the message: after a crash it is told again, under the same id.
//! It must not know scripts and journals.

mod channel;
mod group;
mod message;
mod outbox;
mod program;
mod send;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{Id, JoinError, JoinSet};

pub use channel::{Address, Channel, Outlets, REPEAT};
pub use message::Message;
pub use outbox::Lost;
use outbox::{Failed, Outbox};
pub use send::Sender;

use crate::engine::{Error, Handle, Notification, Notifier};
use crate::store::{Keep, Store, TOLD, told};

/// Notifications that are taken in at once.
const BATCH: usize = 1_000;
/// Between two looks at the clock, at most: it may have been set.
const LOOK: Duration = Duration::from_mins(1);

/// What the courier is told.
enum Input {
    Told(Box<Notification>),
    /// To end, as soon as all that can be delivered is, and then at most so much later.
    Stop(Duration),
}

/// The engine's side: what people are told is kept, and handed over.
pub struct Courier {
    inbox: UnboundedSender<Input>,
    outbox: Mutex<Option<UnboundedReceiver<Input>>>,
}

impl Notifier for Courier {
    fn notify(&self, told: Notification) {
        // Once the courier has ended, the row is for the next process.
        let _ = self.inbox.send(Input::Told(Box::new(told)));
    }

    fn keep(&self) -> Keep {
        Keep::Until
    }
}

impl Courier {
    /// A courier that keeps what it is given until it is started.
    pub fn new() -> Arc<Self> {
        let (inbox, outbox) = unbounded_channel();
        Arc::new(Self { inbox, outbox: Mutex::new(Some(outbox)) })
    }

    /// Starts it, with what earlier processes left. Nothing was taken up yet when this is called.
    pub fn start(&self, handle: Handle, sender: Sender, repeat: Duration) -> Result<Service, Error> {
        let inbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let inbox = inbox.ok_or_else(|| Error::Stopped("the courier was started before".to_owned()))?;
        let mut outbox = Outbox::new(repeat);
        outbox.load(&handle.store().states(TOLD, "")?, handle.clock().now());
        let work =
            Work { handle, sender: Arc::new(sender), outbox, inbox, sending: JoinSet::new(), ids: HashMap::new() };
        let thread = std::thread::Builder::new().name("courier".into()).spawn(move || work.run());
        let thread = thread.map_err(|error| Error::Stopped(format!("the system gives no thread: {error}")))?;
        Ok(Service { inbox: self.inbox.clone(), thread })
    }
}

/// A courier at work.
pub struct Service {
    inbox: UnboundedSender<Input>,
    thread: JoinHandle<()>,
}

impl Service {
    /// Ends it: what was not tried yet is, for at most so long; what is not delivered then is left to the next process.
    pub fn stop(self, within: Duration) {
        let _ = self.inbox.send(Input::Stop(within));
        let _ = self.thread.join();
    }
}

/// What waits and what was given up, as the store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait to be delivered.
    pub waiting: usize,
    /// By channel.
    pub lost: Vec<Lost>,
}

impl Backlog {
    /// Reads it.
    pub fn read(store: &dyn Store) -> Result<Self, crate::store::Error> {
        let waiting = store.states(TOLD, told::MESSAGE)?.len();
        let lost = store.states(TOLD, outbox::LOST)?;
        let lost = lost.into_iter().filter_map(|(_, value)| serde_json::from_value(value.to_json()).ok()).collect();
        Ok(Self { waiting, lost })
    }

    /// How many messages were given up.
    pub fn lost(&self) -> u64 {
        self.lost.iter().map(|lost| lost.count).sum()
    }
}

/// The courier's thread.
struct Work {
    handle: Handle,
    sender: Arc<Sender>,
    outbox: Outbox,
    inbox: UnboundedReceiver<Input>,
    sending: JoinSet<Result<(), String>>,
    /// Which message a task sends.
    ids: HashMap<Id, Arc<str>>,
}

impl Work {
    fn run(mut self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.until_stopped()),
            Err(error) => tracing::error!("nobody can be told anything: the system gives no event loop: {error}"),
        }
    }

    async fn until_stopped(&mut self) {
        let clock = Arc::clone(self.handle.clock());
        let mut stop_at: Option<Duration> = None;
        let mut is_told_to_stop = false;
        loop {
            let mut done = self.round().await;
            if std::mem::take(&mut is_told_to_stop) && done.is_ok() {
                // What is durable may not have been handed over yet.
                done = self.look();
                if done.is_ok() {
                    done = self.round().await;
                }
            }
            if let Err(error) = done {
                tracing::debug!("the courier ends: {error}");
                return;
            }
            let left = stop_at.map_or(LOOK, |at| at.saturating_sub(clock.elapsed()));
            if stop_at.is_some() && (left.is_zero() || !self.outbox.is_busy()) {
                return;
            }
            let pause = self.outbox.next().map_or(LOOK, |at| at.since(clock.now())).min(left);
            let mut inputs = Vec::new();
            tokio::select! {
                count = self.inbox.recv_many(&mut inputs, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for input in inputs {
                        match input {
                            Input::Told(told) => self.outbox.take(*told, clock.now()),
                            Input::Stop(within) => {
                                stop_at = Some(clock.elapsed() + within);
                                is_told_to_stop = true;
                            }
                        }
                    }
                }
                Some(done) = self.sending.join_next_with_id(), if !self.sending.is_empty() => self.done(done),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes what the rows hold and is not known. What was decided before is written.
    fn look(&mut self) -> Result<(), Error> {
        let rows = self.handle.store().states(TOLD, "")?;
        self.outbox.load(&rows, self.handle.clock().now());
        Ok(())
    }

    /// Decides, writes that down, and sends what is to be sent.
    async fn round(&mut self) -> Result<(), Error> {
        let now = self.handle.clock().now();
        self.outbox.tick(now);
        let edits = self.outbox.edits();
        if !edits.is_empty() {
            self.handle.write(edits).await?;
        }
        for told in self.outbox.ready(now) {
            let (sender, message) = (Arc::clone(&self.sender), Message::of(&told, self.handle.links()));
            let id = Arc::clone(&told.id);
            let task = self.sending.spawn(async move { sender.send(&told.channel, &message).await });
            self.ids.insert(task.id(), id);
        }
        Ok(())
    }

    fn done(&mut self, done: Result<(Id, Result<(), String>), JoinError>) {
        let (task, result) = match done {
            Ok(done) => done,
            Err(error) => {
                (error.id(), Err("internal error; hint: this is a bug of `panta`, please report it".to_owned()))
            }
        };
        let Some(id) = self.ids.remove(&task) else { return };
        let Err(error) = result else {
            self.outbox.sent(&id);
            return;
        };
        match self.outbox.failed(&id, self.handle.clock().now(), &error) {
            Some(Failed::Again { channel, tries: 1 }) => {
                tracing::warn!("the channel `{channel}` did not take a message, it is tried again: {error}");
            }
            Some(Failed::Again { channel, tries }) => tracing::debug!("the channel `{channel}`, try {tries}: {error}"),
            Some(Failed::Lost(Lost { channel, title, .. })) => {
                tracing::error!(
                    "the channel `{channel}` took nothing for a day, and is not told: {title} ({error}); hint: `panta notify {channel}` tries it"
                );
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
