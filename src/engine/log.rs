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
    /// Time as it passes, for measuring.
    fn elapsed(&self) -> Duration;
    /// A commit of so many changes took so long.
    fn committed(&self, changes: usize, took: Duration);
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
    /// A log, and the thread that writes it, to be started with the one who listens.
    pub(super) fn start(
        store: Arc<dyn Store>,
    ) -> (Arc<Self>, impl FnOnce(Box<dyn Listener>) -> std::thread::JoinHandle<()>) {
        let (log, receiver) = Self::open();
        let written = Arc::clone(&log);
        let spawn = move |listener: Box<dyn Listener>| {
            let mut writer = Writer { store, receiver, log: written, listener, number: 0, most: MOST, failed: false };
            std::thread::Builder::new()
                .name("log".into())
                .spawn(move || writer.run())
                .expect("the system gives a thread")
        };
        (log, spawn)
    }

    /// A log without a thread: [`Writer::pump`] writes what has gathered, each item by itself.
    pub(super) fn inline(store: Arc<dyn Store>) -> (Arc<Self>, impl FnOnce(Box<dyn Listener>) -> Writer) {
        let (log, receiver) = Self::open();
        let written = Arc::clone(&log);
        (log, move |listener| Writer { store, receiver, log: written, listener, number: 0, most: 1, failed: false })
    }

    fn open() -> (Arc<Self>, Receiver<Item>) {
        let (sender, receiver) = channel();
        (Arc::new(Self { queue: Mutex::new((0, Some(sender))), durable: AtomicU64::new(0) }), receiver)
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
        self.durable.load(Ordering::SeqCst)
    }

    /// Something waits to be written.
    pub(super) fn is_behind(&self) -> bool {
        self.last() > self.durable()
    }

    /// So much waits to be written that nothing should be taken from outside.
    pub(super) fn is_crowded(&self) -> bool {
        // Items may become durable between the two looks.
        self.last().saturating_sub(self.durable()) > CROWD
    }

    /// Takes no more items; the thread ends when all are written.
    pub(super) fn close(&self) {
        self.queue.lock().expect("the log's lock is never poisoned").1 = None;
    }
}

/// The writing side.
pub(super) struct Writer {
    store: Arc<dyn Store>,
    receiver: Receiver<Item>,
    log: Arc<Log>,
    listener: Box<dyn Listener>,
    number: u64,
    /// Changes in one commit at most; one item always fits.
    most: usize,
    /// A commit has failed: its outcome is unknown, and nothing is written behind it.
    failed: bool,
}

impl Writer {
    /// Writes until the log is closed or a commit fails.
    fn run(&mut self) {
        while let Ok(first) = self.receiver.recv() {
            if !self.group(first) {
                return;
            }
        }
    }

    /// Writes what has gathered. Whether anything was there.
    pub(super) fn pump(&mut self) -> bool {
        let mut any = false;
        while !self.failed
            && let Ok(first) = self.receiver.try_recv()
        {
            any = true;
            self.failed = !self.group(first);
        }
        any
    }

    /// Commits an item and those behind it as one. False: the store failed, and nothing more is written.
    fn group(&mut self, first: Item) -> bool {
        let mut counts = Vec::new();
        let mut dones = Vec::new();
        let mut changes = Vec::new();
        let mut take = |item: Item, changes: &mut Vec<Change>| {
            counts.push(item.changes.len());
            dones.push(item.done);
            changes.extend(item.changes);
        };
        take(first, &mut changes);
        while changes.len() < self.most
            && let Ok(item) = self.receiver.try_recv()
        {
            take(item, &mut changes);
        }
        let began = self.listener.elapsed();
        let applied = match commit(&*self.store, &changes, &*self.listener) {
            Ok(applied) => applied,
            Err(error) => {
                self.listener.failed(&error);
                return false;
            }
        };
        self.listener.committed(changes.len(), self.listener.elapsed().saturating_sub(began));
        self.number += counts.len() as u64;
        self.log.durable.store(self.number, Ordering::SeqCst);
        self.listener.applied(&changes, &applied);
        let mut rest = applied.as_slice();
        for (count, done) in counts.into_iter().zip(dones) {
            let (own, others) = rest.split_at(count);
            rest = others;
            if let Some(done) = done {
                done(own);
            }
        }
        self.listener.durable(self.number);
        true
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
