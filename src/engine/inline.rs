//! The engine on one thread, in virtual time: the same worker, log, store contract and handle, driven step by step.
//!
//! Nothing happens unless it is driven. Time stands still while something can be done, and jumps to the next moment at
//! which something is due. A store that fails a commit stops it, as it stops a daemon; what goes on is another [`Inline`]
//! over the same store and clock.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc;

use super::handle::{Error, Handle};
use super::hands::{Hands, Mocks};
use super::log::{Log, Writer};
use super::options::Options;
use super::programs::Programs;
use super::shared::{AfterCommit, Shared};
use super::worker::{Message, Worker};
use super::{deploy, gather, timekeeper};
use crate::effect::Performer;
use crate::host::session::Ask;
use crate::id::RunId;
use crate::script::fiber::StackPool;
use crate::store::Store;
use crate::time::{Clock, Timestamp};

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct VirtualClock {
    start: Timestamp,
    passed_ms: AtomicI64,
}

impl VirtualClock {
    /// A clock that begins at this time.
    pub fn new(start: Timestamp) -> Self {
        Self { start, passed_ms: AtomicI64::new(0) }
    }

    /// Goes on to that time; never back.
    pub fn set(&self, now: Timestamp) {
        self.passed_ms.fetch_max(now.0 - self.start.0, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.start.0 + self.passed_ms.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.now().since(self.start)
    }
}

/// What a worker evaluates with: not bound to an engine, so that one after another can use it.
#[derive(Clone)]
pub struct Tools {
    pub(super) engine: Rc<rhai::Engine>,
    pub(super) pool: Rc<StackPool>,
    pub(super) programs: Rc<RefCell<Programs>>,
}

impl Tools {
    /// A script engine and stacks of their own.
    pub fn new() -> Self {
        Self::over(deploy::script_engine())
    }

    /// With this script engine.
    pub(super) fn over(engine: rhai::Engine) -> Self {
        Self { engine: Rc::new(engine), pool: Rc::new(StackPool::new()), programs: Rc::default() }
    }
}

impl Tools {
    /// The same; scripts note which of their branches are taken.
    pub fn marking() -> Self {
        Self { programs: Rc::new(RefCell::new(Programs::marked())), ..Self::new() }
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self::new()
    }
}

/// An engine that is driven by its caller.
pub struct Inline {
    handle: Handle,
    shared: Arc<Shared>,
    worker: Worker,
    messages: mpsc::UnboundedReceiver<Message>,
    writer: Writer,
    clock: Arc<VirtualClock>,
    mocks: Rc<dyn Mocks>,
}

impl Inline {
    /// An engine over a store, with one worker. Effects are answered by `mocks`.
    pub fn new(
        store: Arc<dyn Store>,
        options: Options,
        clock: Arc<VirtualClock>,
        mocks: Rc<dyn Mocks>,
        tools: Tools,
    ) -> Self {
        let options = Options { workers: 1, clock: Arc::clone(&clock) as Arc<dyn Clock>, ..options };
        let (log, write) = Log::inline(Arc::clone(&store));
        let (inbox, messages) = mpsc::unbounded_channel();
        let hands = Hands::mocked(Performer::new(options.limits).with_mail(options.mail.clone()), Rc::clone(&mocks));
        let shared = Shared::new(store, log, options, vec![inbox.clone()]);
        // No earlier process can be at work on the store: what it left may be started at once.
        if let Err(error) = shared.gathered.load(&*shared.store) {
            tracing::warn!("gathered events cannot be read: {error}");
        }
        let writer = write(Box::new(AfterCommit::new(&shared)));
        let worker = Worker::new(0, Arc::clone(&shared), inbox, hands, tools);
        Self { handle: Handle::of(Arc::clone(&shared)), shared, worker, messages, writer, clock, mocks }
    }

    /// What others hold of an engine. Its waiting functions come back when [`Inline::call`] drives them.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes up what an earlier engine left in the store, timers included.
    pub fn recover(&mut self) -> Result<(), Error> {
        self.handle.recover()?;
        timekeeper::load(&self.shared, Timestamp::MAX);
        Ok(())
    }

    /// Waits for a function of the handle: writes what it asks for, and where that is not enough does what can be done at this
    /// moment. Fails where the store does.
    pub fn call<T>(&mut self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            if !self.writer.pump() && !self.round(false) {
                return Err(Error::Stopped("it waits for something that is not there".to_owned()));
            }
        }
    }

    /// Why nothing goes on: the store failed.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Does all that can be done at this moment. False: the store or the mocks stopped it.
    pub fn settle(&mut self) -> bool {
        loop {
            let wrote = self.writer.pump();
            if self.shared.trouble().is_some() || self.mocks.has_stopped() {
                return false;
            }
            if !self.round(wrote) {
                return true;
            }
        }
    }

    /// One step of the worker. False: there is nothing to do, and nothing was written before.
    fn round(&mut self, wrote: bool) -> bool {
        let mut told = false;
        while let Ok(message) = self.messages.try_recv() {
            told = true;
            self.worker.take(message);
        }
        timekeeper::wake_due(&self.shared);
        gather::work(&self.shared);
        let is_due = self.worker.next_timer().is_some_and(|due| due <= self.clock.elapsed());
        if !wrote && !told && !is_due && !self.worker.is_ready() && !self.shared.log.is_behind() {
            return false;
        }
        self.worker.step();
        true
    }

    /// What the runs in motion wait for, in the order of runs and their waits.
    pub fn waits(&self) -> Vec<(RunId, Ask)> {
        self.worker.waits()
    }

    /// The next moment at which something is due by itself.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let now = self.now();
        let passed = self.clock.elapsed();
        let timer = self.worker.next_timer().map(|due| now.plus(due.saturating_sub(passed)));
        let told = self.shared.reminders.first();
        let gathered = self.shared.gathered.next_due();
        timer.into_iter().chain(self.shared.timeline.first()).chain(told).chain(gathered).min()
    }

    /// Lets time pass up to the next wake-up, or to `until` where that comes first, and does what is due.
    /// `None`: it was stopped; else whether `until` is reached.
    pub fn advance(&mut self, until: Timestamp) -> Option<bool> {
        let next = self.next_wake().filter(|at| *at < until);
        self.clock.set(next.unwrap_or(until));
        self.settle().then_some(next.is_none())
    }
}

#[cfg(test)]
mod tests;
