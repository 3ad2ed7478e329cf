//! What keeps one script from taking the process: CPU between two host calls, memory, stack, time slices, cancellation.
//!
//! A [`Guard`] belongs to a run. Whoever resumes one of its fibers holds [`Guard::enter`] meanwhile; then [`progress`], which the
//! script engine calls at every operation, watches that run. It knows nothing of journals and host functions.
//!
//! A stop is *sticky*. The script engine's termination error is caught by `try` when it comes through `map` or `filter`, so every
//! later operation terminates again; host functions call [`raise`], and whoever gets the final result asks [`Guard::stopped`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use rhai::{Dynamic, EvalAltResult, Map, Position};

use super::stopwatch::Stopwatch;
use super::{fiber, memory};

/// The result of a native function.
pub type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// Operations between two looks at the clock: some 50 µs of script, a hundredth of a slice.
const PERIOD: u32 = 1_000;

/// One block may not be larger: an array of four million values. Bounds what a single native call can do before it is noticed.
const LARGEST_BLOCK: usize = 64 << 20;

/// A script stops when it has less stack than this, which is what the deepest native callback chain takes.
const STACK_MARGIN: usize = 256 << 10;

/// What one run may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// CPU between two host calls.
    pub cpu: Duration,
    /// Bytes held by the run's values.
    pub memory: usize,
    /// How long a turn lasts before another run's turn comes.
    pub slice: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu: Duration::from_secs(10), memory: 512 << 20, slice: Duration::from_millis(5) }
    }
}

/// Why a run has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled it.
    Cancelled,
    /// It passed a limit; the text says which.
    Limit(String),
}

impl Stop {
    /// What the script's error says.
    pub fn message(&self) -> &str {
        match self {
            Self::Cancelled => "the run was cancelled",
            Self::Limit(text) => text,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Limit(_) => "limit",
        }
    }

    /// The map that host errors are: `#{ kind, message }`.
    pub fn to_value(&self) -> Dynamic {
        let entries = [("kind", self.kind()), ("message", self.message())];
        Dynamic::from_map(entries.into_iter().map(|(key, text)| (key.into(), text.into())).collect::<Map>())
    }

    /// The error that ends the script. It carries [`Stop::to_value`].
    pub fn to_error(&self) -> Box<EvalAltResult> {
        EvalAltResult::ErrorTerminated(self.to_value(), Position::NONE).into()
    }
}

/// The account of one run. Shared as `Rc`; all its state is in cells.
#[derive(Debug, Default)]
pub struct Guard {
    /// Whether the CPU limit applies: not while a run is replayed, since that must meet no limit that the first execution did not.
    pub live: Cell<bool>,
    limits: Limits,
    stop: RefCell<Option<Stop>>,
    watch: Stopwatch,
    memory: Cell<isize>,
    /// Operations of the strand that runs, or ran last, since its last host call.
    ticks: Cell<u64>,
    /// The error by which the run stops, while a host function that it passes says so by other means.
    passing: RefCell<Option<Box<EvalAltResult>>>,
}

struct Fast {
    countdown: Cell<u32>,
    ceiling: Cell<isize>,
    /// From where `countdown` began: the difference is not in `ticks` yet.
    period: Cell<u32>,
    ticks: Cell<u64>,
    /// The fiber hands control back at this operation.
    reach: Cell<u64>,
}

impl Fast {
    /// Brings `ticks` up to date.
    fn count(&self) {
        let left = self.countdown.get();
        self.ticks.set(self.ticks.get() + u64::from(self.period.get().saturating_sub(left)));
        self.period.set(left);
    }

    #[cold]
    fn forgive(&self, operations: u32) {
        self.count();
        self.ticks.set(self.ticks.get().saturating_sub(u64::from(operations)));
        // Where the run is to stop, it still is.
        let stops = self.countdown.get() == 0;
        self.restart(if stops { 0 } else { PERIOD });
    }

    /// Looks closely again after this many operations, or sooner where the fiber is to be stopped.
    fn restart(&self, period: u32) {
        let left = self.reach.get().saturating_sub(self.ticks.get());
        let period = if left == 0 { period } else { period.min(u32::try_from(left - 1).unwrap_or(period)) };
        self.period.set(period);
        self.countdown.set(period);
    }
}

thread_local! {
    static FAST: Fast = const {
        Fast {
            countdown: Cell::new(PERIOD),
            ceiling: Cell::new(isize::MAX),
            period: Cell::new(PERIOD),
            ticks: Cell::new(0),
            reach: Cell::new(u64::MAX),
        }
    };
    static ACTIVE: RefCell<Option<Active>> = const { RefCell::new(None) };
}

struct Active {
    guard: Rc<Guard>,
    entered: Duration,
    memory: isize,
}

/// Held while a run's fiber is resumed or dropped; accounts for the turn when it is dropped.
pub struct Entered {
    outer: Option<Active>,
    outer_ceiling: isize,
    outer_ticks: u64,
}

impl Guard {
    /// A guard that is live from the start.
    pub fn new(limits: Limits) -> Rc<Self> {
        Rc::new(Self { limits, live: Cell::new(true), ..Self::default() })
    }

    /// Makes this the guard of what runs on this thread until the result is dropped.
    #[must_use]
    pub fn enter(self: &Rc<Self>) -> Entered {
        let (now, used) = (crate::time::elapsed(), memory::used());
        self.watch.go(now);
        // What goes on inside of another guard is not that one's.
        if let Some((outer, ..)) = active() {
            outer.account(now);
        }
        memory::forget_largest();
        let active = Active { guard: Rc::clone(self), entered: now, memory: used };
        let outer = ACTIVE.replace(Some(active));
        let room = self.limits.memory as isize - self.memory.get();
        let (outer_ceiling, outer_ticks) = FAST.with(|fast| {
            fast.count();
            let outer_ticks = fast.ticks.replace(self.ticks.get());
            fast.reach.set(u64::MAX);
            fast.restart(if self.stop.borrow().is_some() { 0 } else { PERIOD });
            (fast.ceiling.replace(used.saturating_add(room)), outer_ticks)
        });
        Entered { outer, outer_ceiling, outer_ticks }
    }

    /// Operations since the last host call of the strand that ran last: the same on every machine. Each strand has its own
    /// count, which is given back with [`Guard::set_ticks`] before it goes on.
    pub fn ticks(&self) -> u64 {
        self.ticks.get()
    }

    /// What [`Guard::ticks`] said when the strand that is to go on was suspended.
    pub fn set_ticks(&self, ticks: u64) {
        self.ticks.set(ticks);
    }

    /// The strand that runs hands control back ([`fiber::Pause::Reached`]) at this operation after its last host call;
    /// `None`: it does not.
    pub fn reach(&self, ticks: Option<u64>) {
        FAST.with(|fast| {
            fast.count();
            fast.reach.set(ticks.unwrap_or(u64::MAX));
            fast.restart(if self.stop.borrow().is_some() { 0 } else { PERIOD });
        });
    }

    /// Operations that no script did, and that were counted just now, are taken off the count.
    pub fn uncount(&self, operations: u64) {
        FAST.with(|fast| {
            fast.count();
            fast.ticks.set(fast.ticks.get().saturating_sub(operations));
            fast.restart(if self.stop.borrow().is_some() { 0 } else { PERIOD });
        });
    }

    /// A host call begins or has ended: the script's CPU is counted from here.
    pub fn host_call(&self) {
        self.watch.reset(crate::time::elapsed());
        FAST.with(|fast| {
            fast.count();
            fast.ticks.set(0);
        });
    }

    /// How long the script has computed since the last host call.
    pub fn cpu(&self) -> Duration {
        self.watch.wall()
    }

    /// Bytes that the run held at the end of its last turn.
    pub fn memory(&self) -> usize {
        usize::try_from(self.memory.get()).unwrap_or(0)
    }

    /// Ends the run at its next operation. The first reason stays.
    pub fn stop(&self, stop: Stop) {
        self.stop.borrow_mut().get_or_insert(stop);
        FAST.with(|fast| fast.countdown.set(0));
    }

    /// Why this run has to end, if it has. Whoever gets a script's result asks this first: a script can swallow the error.
    pub fn stopped(&self) -> Option<Stop> {
        self.stop.borrow().clone()
    }

    /// Lets the run go on, for its compensations and clean-ups.
    pub fn clear_stop(&self) {
        self.stop.take();
        self.passing.take();
        self.host_call();
    }

    fn account(&self, now: Duration) {
        self.watch.count(now, self.limits.cpu, crate::time::thread_busy);
    }

    fn check_limits(&self, active_memory: isize, now: Duration) {
        self.account(now);
        let used = self.memory.get() + memory::used() - active_memory;
        if fiber::stack_left().is_some_and(|left| left < STACK_MARGIN) {
            self.stop(Stop::Limit("the script's calls and expressions are nested too deeply (stack limit)".into()));
        } else if used > self.limits.memory as isize {
            let limit = self.limits.memory >> 20;
            self.stop(Stop::Limit(format!("the run's values take more than {limit} MiB (memory limit)")));
        } else if memory::largest() > LARGEST_BLOCK {
            let limit = LARGEST_BLOCK >> 20;
            self.stop(Stop::Limit(format!("one value takes more than {limit} MiB (memory limit)")));
        } else if self.live.get() && self.watch.is_over(self.limits.cpu) {
            let limit = self.limits.cpu.as_secs_f64();
            self.stop(Stop::Limit(format!(
                "the script computed for more than {limit} s without calling a host function (CPU limit)"
            )));
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(active) = ACTIVE.replace(self.outer.take()) {
            active.guard.account(crate::time::elapsed());
            let held = active.guard.memory.get() + memory::used() - active.memory;
            active.guard.memory.set(held);
            FAST.with(|fast| {
                fast.count();
                active.guard.ticks.set(fast.ticks.replace(self.outer_ticks));
            });
            if let Some((outer, ..)) = self::active() {
                outer.watch.go(crate::time::elapsed());
            }
        }
        FAST.with(|fast| {
            fast.reach.set(u64::MAX);
            fast.restart(PERIOD);
            fast.ceiling.set(self.outer_ceiling);
        });
    }
}

/// What the script engine calls at every operation: `Some` ends the script. May suspend the fiber.
#[inline]
pub fn progress(_operations: u64) -> Option<Dynamic> {
    let (left, calm) = FAST.with(|fast| {
        let left = fast.countdown.get();
        fast.countdown.set(left.saturating_sub(1));
        (left, left > 0 && memory::used() <= fast.ceiling.get())
    });
    let fits = memory::largest() <= LARGEST_BLOCK && fiber::stack_left().is_none_or(|left| left >= STACK_MARGIN);
    if calm && fits { None } else { look_closely(left == 0) }
}

/// `over`: the countdown was at its end, so that this operation is not in it.
#[cold]
fn look_closely(over: bool) -> Option<Dynamic> {
    let reached = FAST.with(|fast| {
        fast.count();
        fast.ticks.set(fast.ticks.get() + u64::from(over));
        let reached = fast.ticks.get() >= fast.reach.get();
        if reached {
            fast.reach.set(u64::MAX);
        }
        fast.restart(PERIOD);
        reached
    });
    let Some((guard, entered, used)) = active() else {
        memory::forget_largest();
        return None;
    };
    let now = crate::time::elapsed();
    guard.check_limits(used, now);
    if guard.stop.borrow().is_none() && fiber::on_fiber() {
        if reached {
            fiber::suspend(fiber::Pause::Reached);
        } else if now.saturating_sub(entered) >= guard.limits.slice {
            fiber::suspend(fiber::Pause::Slice);
        }
    }
    let stop = guard.stopped()?;
    FAST.with(|fast| fast.countdown.set(0));
    Some(stop.to_value())
}

fn active() -> Option<(Rc<Guard>, Duration, isize)> {
    ACTIVE.with_borrow(|active| active.as_ref().map(|a| (Rc::clone(&a.guard), a.entered, a.memory)))
}

/// Why the run that is active on this thread has to end, if it has.
pub fn stopped() -> Option<Stop> {
    active().and_then(|(guard, ..)| guard.stopped())
}

/// Keeps the error by which the active run stops, with the way that it has come, until [`passing`] is asked for it.
pub fn pass(error: Box<EvalAltResult>) {
    if let Some((guard, ..)) = active() {
        guard.passing.replace(Some(error));
    }
}

/// The error by which the active run stops: that of the last [`pass`], once, or one that comes from nowhere.
pub fn passing() -> Option<Box<EvalAltResult>> {
    let (guard, ..) = active()?;
    let stop = guard.stopped()?;
    Some(guard.passing.take().unwrap_or_else(|| stop.to_error()))
}

/// So many operations that were counted just now are none of the script's: as [`Guard::uncount`], for where it is often.
#[inline]
pub fn forgive(operations: u32) {
    FAST.with(|fast| {
        let left = fast.countdown.get() + operations;
        if left <= fast.period.get() {
            fast.countdown.set(left);
        } else {
            fast.forgive(operations);
        }
    });
}

/// A call of a native function that takes its time has ended: the CPU of what is active is counted from here.
pub fn rest() {
    if let Some((guard, ..)) = active() {
        guard.host_call();
    }
}

/// An error if the active run has to end: host functions begin with it.
pub fn raise() -> Outcome<()> {
    stopped().map_or(Ok(()), |stop| Err(stop.to_error()))
}

/// What [`progress`] does, for loops inside native functions. May suspend the fiber.
#[inline]
pub fn check() -> Outcome<()> {
    progress(0).map_or(Ok(()), |token| Err(EvalAltResult::ErrorTerminated(token, Position::NONE).into()))
}

/// The error of a native function that would pass a limit. The active run is stopped by it: `try` does not help.
pub fn limit(message: impl Into<String>) -> Box<EvalAltResult> {
    let stop = Stop::Limit(message.into());
    if let Some((guard, ..)) = active() {
        guard.stop(stop.clone());
        return stop.to_error();
    }
    EvalAltResult::ErrorRuntime(stop.to_value(), Position::NONE).into()
}
