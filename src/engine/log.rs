//! The one log of a node: all durable writes, in one order, committed in groups.
//!
//! While a commit is on its way to the disk, the next group gathers. Every item has a number; when it is durable, so is
//! everything with a smaller one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::store::{Applied, Change, Error, Store};

/// What to do when an item is durable, on the log's thread: must not block.
pub(super) type Done = Box<dyn FnOnce(&[Applied]) + Send>;

/// Changes that become durable together.
pub(super) struct Item {
    pub(super) changes: Vec<Change>,
    pub(super) done: Option<Done>,
}

/// Changes in one commit at most: a group of this size takes some 20 ms, what follows should not wait longer.
const MOST: usize = 4_096;
/// When so many items wait, starts and events from outside wait too, and memory stays bounded. What the engine itself
/// writes never waits: the log's own thread writes, too.
const CROWD: u64 = 32_768;
/// Between two tries while the disk is full.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The sending side.
pub(super) struct Log {
    queue: Mutex<(u64, Option<Sender<Item>>)>,
    durable: AtomicU64,
}

/// What the log tells the engine.
pub(super) trait Listener: Send {
    /// These changes are durable, with these answers.
    fn applied(&self, changes: &[Change], applied: &[Applied]);
    /// Everything up to this number is durable.
    fn durable(&self, number: u64);
    /// The outcome of a commit is unknown, or the store is gone: nothing more is written.
    fn failed(&self, error: &Error);
    /// No space is left; writing goes on when there is.
    fn full(&self, error: &Error);
}

impl Log {
    /// Starts the thread.
    pub(super) fn start(
        store: Arc<dyn Store>,
    ) -> (Arc<Self>, impl FnOnce(Box<dyn Listener>) -> std::thread::JoinHandle<()>) {
        let (sender, receiver) = channel();
        let log = Arc::new(Self { queue: Mutex::new((0, Some(sender))), durable: AtomicU64::new(0) });
        let writer = Arc::clone(&log);
        let spawn = move |listener: Box<dyn Listener>| {
            std::thread::Builder::new()
                .name("log".into())
                .spawn(move || write(&*store, &receiver, &writer, &*listener))
                .expect("the system gives a thread")
        };
        (log, spawn)
    }

    /// Appends an item; returns its number. Items are durable in the order of their numbers.
    pub(super) fn send(&self, item: Item) -> u64 {
        let mut queue = self.queue.lock().expect("the log's lock is never poisoned");
        queue.0 += 1;
        if let Some(sender) = &queue.1 {
            // The thread is gone only when the store failed; then nothing is acknowledged any more.
            let _ = sender.send(item);
        }
        queue.0
    }

    /// The number of the last item appended.
    pub(super) fn last(&self) -> u64 {
        self.queue.lock().expect("the log's lock is never poisoned").0
    }

    /// Everything up to this number is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// So much waits to be written that nothing should be taken from outside.
    pub(super) fn is_crowded(&self) -> bool {
        self.last() - self.durable() > CROWD
    }

    /// Takes no more items; the thread ends when all are written.
    pub(super) fn close(&self) {
        self.queue.lock().expect("the log's lock is never poisoned").1 = None;
    }
}

fn write(store: &dyn Store, receiver: &Receiver<Item>, log: &Log, listener: &dyn Listener) {
    let mut number = 0;
    while let Ok(first) = receiver.recv() {
        let mut counts = Vec::new();
        let mut dones = Vec::new();
        let mut changes = Vec::new();
        let mut take = |item: Item, changes: &mut Vec<Change>| {
            counts.push(item.changes.len());
            dones.push(item.done);
            changes.extend(item.changes);
        };
        take(first, &mut changes);
        while changes.len() < MOST
            && let Ok(item) = receiver.try_recv()
        {
            take(item, &mut changes);
        }
        let applied = match commit(store, &changes, listener) {
            Ok(applied) => applied,
            Err(error) => return listener.failed(&error),
        };
        number += counts.len() as u64;
        log.durable.store(number, Ordering::Release);
        listener.applied(&changes, &applied);
        let mut rest = applied.as_slice();
        for (count, done) in counts.into_iter().zip(dones) {
            let (own, others) = rest.split_at(count);
            rest = others;
            if let Some(done) = done {
                done(own);
            }
        }
        listener.durable(number);
    }
}

fn commit(store: &dyn Store, changes: &[Change], listener: &dyn Listener) -> Result<Vec<Applied>, Error> {
    loop {
        match store.commit(changes) {
            Err(error @ Error::Full) => {
                listener.full(&error);
                std::thread::park_timeout(FULL_PAUSE);
            }
            other => return other,
        }
    }
}
