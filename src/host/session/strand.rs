//! A line of execution in a run: the run itself, a branch, a clean-up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::asks::Answer;
use crate::host::cleanup::FrameId;
use crate::replay::{Interruption, ScopeId, Scopes};
use crate::time::Timestamp;

/// A strand of a run in this activation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StrandId(pub u64);

/// One wait of a strand in this activation: an answer names it, so that a late one is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaitId(pub u64);

/// How calls of a strand are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Every call is a command with a place in the journal.
    Recorded,
    /// Inside of `wait_until`: performed, not recorded; nothing but reading is allowed.
    Polling,
    /// Inside of a closure that must be pure: no calls.
    Pure,
}

/// One line of execution.
pub struct Strand {
    /// Identity.
    pub id: StrandId,
    /// Where its next command stands.
    pub scope: Cell<ScopeId>,
    /// Where compensations are registered.
    pub frame: Cell<FrameId>,
    /// How its calls are treated.
    pub mode: Cell<Mode>,
    /// Something around it retries: calls do not retry by themselves.
    pub retried: Cell<bool>,
    /// Something around it must not be performed twice.
    pub at_most_once: Cell<bool>,
    /// The idempotency key that the script gave to the step around it, and the scope of that step's attempt.
    pub key: RefCell<Option<(Rc<str>, ScopeId)>>,
    /// The innermost step and its attempt.
    pub step: RefCell<Option<Arc<str>>>,
    /// Attempt of the innermost step or retry, from 1.
    pub attempt: Cell<u32>,
    /// The answer to what it waits for.
    pub answer: RefCell<Option<Answer>>,
    /// What it waits for.
    pub wait: Cell<Option<WaitId>>,
    /// Its command is one that waits, and has not waited yet.
    pub must_wait: Cell<bool>,
    /// Until when its timer runs, while it waits for one.
    pub due: Cell<Option<Timestamp>>,
    /// The scope in which it began.
    pub(super) home: ScopeId,
    /// Operations since its last host call, when it was suspended last.
    pub ticks: Cell<u64>,
    /// For the limit of a `timeout`: where it met a strand that computed on when its time was over.
    pub interrupted: RefCell<Option<Interruption>>,
}

impl Strand {
    /// The strand of the run itself.
    pub fn root() -> Rc<Self> {
        Rc::new(Self {
            id: StrandId(0),
            scope: Cell::new(Scopes::ROOT),
            frame: Cell::new(FrameId::ROOT),
            mode: Cell::new(Mode::Recorded),
            retried: Cell::new(false),
            at_most_once: Cell::new(false),
            key: RefCell::new(None),
            step: RefCell::new(None),
            attempt: Cell::new(1),
            answer: RefCell::new(None),
            wait: Cell::new(None),
            must_wait: Cell::new(false),
            due: Cell::new(None),
            home: Scopes::ROOT,
            ticks: Cell::new(0),
            interrupted: RefCell::new(None),
        })
    }

    /// A strand that begins where this one is, in a scope of its own.
    pub fn child(&self, id: StrandId, scope: ScopeId) -> Rc<Self> {
        Rc::new(Self {
            id,
            scope: Cell::new(scope),
            frame: self.frame.clone(),
            mode: self.mode.clone(),
            retried: self.retried.clone(),
            at_most_once: self.at_most_once.clone(),
            key: RefCell::new(self.key.borrow().clone()),
            step: RefCell::new(self.step.borrow().clone()),
            attempt: self.attempt.clone(),
            answer: RefCell::new(None),
            wait: Cell::new(None),
            must_wait: Cell::new(false),
            due: Cell::new(None),
            home: scope,
            ticks: Cell::new(0),
            interrupted: RefCell::new(None),
        })
    }

    /// Does something in another scope.
    pub fn within<R>(&self, scope: ScopeId, act: impl FnOnce() -> R) -> R {
        let before = self.scope.replace(scope);
        let result = act();
        self.scope.set(before);
        result
    }

    /// Does something in another mode.
    pub fn in_mode<R>(&self, mode: Mode, act: impl FnOnce() -> R) -> R {
        let before = self.mode.replace(mode);
        let result = act();
        self.mode.set(before);
        result
    }
}
