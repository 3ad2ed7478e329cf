//! The reload gate: what recorded runs make of a version that has just gone live, tried beside the runs that are there.
//!
//! One thread tries one version after another, and leaves a third of its core to runs in motion. A later save of the same
//! workflow takes the place of the one before. What it finds goes to whoever made the [`Gates`], while it is found and when
//! it is done.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::gate::{Report, State};
use crate::engine::{Deployed, Handle};
use crate::time::elapsed;

/// Between two words about how far it is.
const WORD: Duration = Duration::from_millis(100);

/// What takes the reports.
pub(super) type Tell = Box<dyn Fn(&Report) + Send>;

/// Versions that are to be tried, and the thread that does.
pub(super) struct Gates {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    next: VecDeque<Arc<Deployed>>,
    /// The workflow that is being tried, and whether it is not to be any more.
    current: Option<(Arc<str>, Arc<AtomicBool>)>,
    is_closing: bool,
}

impl Queue {
    fn held(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next version, and what tells that it is superseded; `None`: it is to end.
    fn take(&self) -> Option<(Arc<Deployed>, Arc<AtomicBool>)> {
        let mut waiting = self.held();
        loop {
            if waiting.is_closing {
                return None;
            }
            if let Some(deployed) = waiting.next.pop_front() {
                let is_over = Arc::new(AtomicBool::new(false));
                waiting.current = Some((Arc::clone(&deployed.name), Arc::clone(&is_over)));
                return Some((deployed, is_over));
            }
            waiting.current = None;
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    /// Does nothing for so long, or until something is to be tried.
    fn rest(&self, time: Duration) {
        drop(self.changed.wait_timeout(self.held(), time).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Waiting {
    /// What was to be tried of this workflow is not any more.
    fn supersede(&mut self, workflow: &str) {
        self.next.retain(|deployed| *deployed.name != *workflow);
        if let Some((_, is_over)) = self.current.as_ref().filter(|(current, _)| **current == *workflow) {
            is_over.store(true, Ordering::Relaxed);
        }
    }
}

impl Gates {
    /// Starts the thread.
    pub(super) fn start(handle: Handle, tell: Tell) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let shared = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("gate".into());
        let thread = thread.spawn(move || {
            while let Some((deployed, is_over)) = shared.take() {
                attempt(&shared, &handle, &deployed, &is_over, &tell);
            }
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Has a version tried, in the place of an earlier one of its workflow.
    pub(super) fn add(&self, deployed: Arc<Deployed>) {
        let mut waiting = self.queue.held();
        waiting.supersede(&deployed.name);
        waiting.next.push_back(deployed);
        self.queue.changed.notify_all();
    }

    /// The workflow is gone.
    pub(super) fn forget(&self, workflow: &str) {
        self.queue.held().supersede(workflow);
    }
}

impl Drop for Gates {
    fn drop(&mut self) {
        let mut waiting = self.queue.held();
        waiting.is_closing = true;
        if let Some((_, is_over)) = &waiting.current {
            is_over.store(true, Ordering::Relaxed);
        }
        drop(waiting);
        self.queue.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn attempt(queue: &Queue, handle: &Handle, deployed: &Deployed, is_over: &AtomicBool, tell: &Tell) {
    let mut told = elapsed();
    let mut looked = told;
    let report = handle.gate(&deployed.bundle, &mut |report| {
        let now = elapsed();
        if now.saturating_sub(told) >= WORD {
            told = now;
            tell(report);
        }
        if handle.in_motion().0 > 0 {
            // Half of the time that the trial took: runs that are there come first.
            queue.rest(now.saturating_sub(looked) / 2);
        }
        looked = elapsed();
        !is_over.load(Ordering::Relaxed)
    });
    if report.state != State::Superseded {
        tell(&report);
    }
}
