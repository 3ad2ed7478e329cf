//! A script's own stack: a coroutine that can stop anywhere below a native call and go on later.
//!
//! Owns the stacks (pooled: making one costs two system calls, reusing one almost nothing) and knows which fiber this thread is
//! running. It knows nothing of scripts, runs or time. A fiber never leaves the thread that made it.
//!
//! Rules for code that runs on a fiber: no lock, no `RefCell` borrow and no `tracing` span may live across [`suspend`], and a
//! panic must not be caught and dropped (a fiber that is dropped while it waits is unwound by a panic of its own).
#![expect(
    unsafe_code,
    reason = "the running fiber is reached through a raw pointer, and a used stack is inspected by address"
)]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// What a script may use of its stack: 64 call levels take half a megabyte, deeply nested expressions in each of them 3 MB;
/// frames of a debug build are several times bigger.
const SCRIPT_BYTES: usize = if cfg!(debug_assertions) { 16 << 20 } else { 8 << 20 };

/// What native code may use beyond that, since it recurses without asking: dropping, cloning or hashing nested data takes some
/// 180 bytes a level, so this is good for 300,000 levels. Only address space; memory is taken when it is touched.
const NATIVE_BYTES: usize = 56 << 20;

/// More free stacks than this are given back to the system. Each keeps some 20 KB that were touched; a worker that has more runs in
/// motion at a time makes the others anew.
const MOST_FREE: usize = 64;

/// A stack that was used deeper than this is not kept, since its memory would stay with the process.
const KEPT_BYTES: usize = 256 << 10;

const PAGE: usize = 4096;

/// Why a fiber handed control back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It waits for something; resume it when that is there.
    Waiting,
    /// Its time slice is used up; resume it when others had theirs.
    Slice,
    /// It came to the operation at which it was to be stopped.
    Reached,
}

/// What came of resuming a fiber.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<T> {
    /// It will go on when it is resumed again.
    Paused(Pause),
    /// Its body returned.
    Finished(T),
}

#[derive(Clone, Copy)]
struct Running {
    yielder: *const Yielder<(), Pause>,
    floor: usize,
}

thread_local! {
    static CURRENT: Cell<Option<Running>> = const { Cell::new(None) };
}

/// Free stacks of one thread.
pub struct StackPool {
    free: RefCell<Vec<DefaultStack>>,
    size: usize,
}

impl Default for StackPool {
    fn default() -> Self {
        Self::new()
    }
}

impl StackPool {
    /// A pool of stacks of the usual size.
    pub fn new() -> Self {
        Self { free: RefCell::new(Vec::new()), size: SCRIPT_BYTES + NATIVE_BYTES }
    }

    /// How many stacks wait to be used again.
    pub fn free(&self) -> usize {
        self.free.borrow().len()
    }

    fn take(&self) -> io::Result<DefaultStack> {
        let pooled = self.free.borrow_mut().pop();
        pooled.map_or_else(|| DefaultStack::new(self.size), Ok)
    }

    fn give(&self, stack: DefaultStack) {
        let mut free = self.free.borrow_mut();
        if free.len() < MOST_FREE && !was_used_deeply(&stack) {
            free.push(stack);
        }
    }
}

/// Whether the page at the depth of [`KEPT_BYTES`] was written. Untouched pages read as zeros.
fn was_used_deeply(stack: &DefaultStack) -> bool {
    let page = (stack.base().get() - KEPT_BYTES - PAGE) as *const u64;
    // SAFETY: the page lies inside the stack (which is larger) and nothing runs on it any more; every bit pattern is a `u64`,
    // and the base of a stack is page-aligned.
    (0..PAGE / size_of::<u64>()).any(|i| unsafe { page.add(i).read_volatile() } != 0)
}

/// A computation on its own stack, which it has from when it first runs until it ends.
///
/// Dropping a fiber that waits unwinds its stack: what lives on it is dropped.
pub struct Fiber<T: 'static> {
    /// Until it first runs.
    body: Option<Box<dyn FnOnce() -> T>>,
    coroutine: Option<Coroutine<(), Pause, T, DefaultStack>>,
    pool: Rc<StackPool>,
}

impl<T: 'static> Fiber<T> {
    /// A fiber that will run `body` when it is resumed first. A thousand branches that do not wait take one stack after another,
    /// and it is the same one.
    pub fn new(pool: &Rc<StackPool>, body: impl FnOnce() -> T + 'static) -> Self {
        Self { body: Some(Box::new(body)), coroutine: None, pool: Rc::clone(pool) }
    }

    /// As [`Fiber::new`], with its stack at once, for callers that can wait until other fibers are gone. An error: the system
    /// has no address space or no memory map left.
    pub fn try_new(pool: &Rc<StackPool>, body: impl FnOnce() -> T + 'static) -> io::Result<Self> {
        let mut fiber = Self::new(pool, body);
        fiber.begin()?;
        Ok(fiber)
    }

    /// Takes its stack, where it has none yet. An error: the system has no address space or no memory map left.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.body.is_none() {
            return Ok(());
        }
        let stack = self.pool.take()?;
        let floor = stack.base().get() - SCRIPT_BYTES;
        let Some(body) = self.body.take() else { return Ok(()) };
        self.coroutine = Some(Coroutine::with_stack(stack, move |yielder: &Yielder<(), Pause>, ()| {
            CURRENT.set(Some(Running { yielder, floor }));
            body()
        }));
        Ok(())
    }

    /// Runs the body until it suspends or returns.
    ///
    /// # Panics
    ///
    /// A panic of the body comes out here. Resuming a finished fiber is a panic too, and so is a first turn for which the system
    /// has no stack.
    pub fn resume(&mut self) -> Turn<T> {
        if self.body.is_some() {
            self.begin().expect("a stack for a fiber: raise `vm.max_map_count` or lower the number of live runs");
        }
        let coroutine = self.coroutine.as_mut().expect("a finished fiber was resumed");
        let outer = Outer(CURRENT.get());
        let result = coroutine.resume(());
        drop(outer);
        match result {
            CoroutineResult::Yield(pause) => Turn::Paused(pause),
            CoroutineResult::Return(value) => {
                self.release();
                Turn::Finished(value)
            }
        }
    }

    fn release(&mut self) {
        if let Some(mut coroutine) = self.coroutine.take() {
            coroutine.force_unwind();
            self.pool.give(coroutine.into_stack());
        }
    }
}

impl<T: 'static> Drop for Fiber<T> {
    fn drop(&mut self) {
        let _outer = Outer(CURRENT.get());
        self.release();
    }
}

/// Puts the resuming fiber back in place, also when the resumed one panics.
struct Outer(Option<Running>);

impl Drop for Outer {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Hands control back to whoever resumed this fiber; returns when it is resumed again.
///
/// # Panics
///
/// Outside a fiber.
pub fn suspend(pause: Pause) {
    let running = CURRENT.get().expect("`suspend` was called outside a fiber");
    // SAFETY: `CURRENT` is set by the fiber that runs on this thread at this moment, which lives on the stack that the yielder
    // belongs to, and is reset whenever that fiber pauses, returns, panics or is dropped.
    unsafe { &*running.yielder }.suspend(pause);
    CURRENT.set(Some(running));
}

/// Whether this code runs on a fiber, and may [`suspend`].
pub fn on_fiber() -> bool {
    CURRENT.get().is_some()
}

/// How many bytes of its stack the running fiber's script may still use; `None` outside a fiber. Native code has a reserve beyond.
#[inline]
pub fn stack_left() -> Option<usize> {
    let here = 0_u8;
    let address = std::ptr::from_ref(&here).addr();
    CURRENT.get().map(|running| address.saturating_sub(running.floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Rc<StackPool> {
        Rc::new(StackPool::new())
    }

    fn counting(pool: &Rc<StackPool>, log: &Rc<RefCell<Vec<String>>>, name: &'static str) -> Fiber<()> {
        let log = Rc::clone(log);
        Fiber::new(pool, move || {
            for i in 0..3 {
                log.borrow_mut().push(format!("{name}{i}"));
                suspend(Pause::Waiting);
            }
        })
    }

    #[test]
    fn pauses_and_finishes() {
        let mut fiber = Fiber::new(&pool(), || {
            suspend(Pause::Slice);
            7
        });
        assert_eq!(fiber.resume(), Turn::Paused(Pause::Slice));
        assert_eq!(fiber.resume(), Turn::Finished(7));
    }

    #[test]
    fn fibers_interleave() {
        let (pool, log) = (pool(), Rc::default());
        let (mut a, mut b) = (counting(&pool, &log, "a"), counting(&pool, &log, "b"));
        for fiber in [&mut a, &mut b] {
            fiber.resume();
        }
        b.resume();
        a.resume();
        assert_eq!(*log.borrow(), ["a0", "b0", "b1", "a1"]);
    }

    #[test]
    fn a_fiber_can_resume_another_and_then_suspend_itself() {
        let pool = pool();
        let inner_pool = Rc::clone(&pool);
        let mut outer = Fiber::new(&pool, move || {
            let mut inner = Fiber::new(&inner_pool, || suspend(Pause::Slice));
            assert_eq!(inner.resume(), Turn::Paused(Pause::Slice));
            suspend(Pause::Waiting);
            inner.resume()
        });
        assert_eq!(outer.resume(), Turn::Paused(Pause::Waiting));
        assert_eq!(outer.resume(), Turn::Finished(Turn::Finished(())));
    }

    #[test]
    fn dropping_a_waiting_fiber_unwinds_it_and_returns_its_stack() {
        let (pool, held) = (pool(), Rc::new(()));
        let inside = Rc::clone(&held);
        let mut fiber = Fiber::new(&pool, move || {
            suspend(Pause::Waiting);
            drop(inside);
        });
        fiber.resume();
        assert_eq!(Rc::strong_count(&held), 2);
        drop(fiber);
        assert_eq!((Rc::strong_count(&held), pool.free()), (1, 1));
    }

    #[test]
    fn a_fiber_that_never_ran_drops_its_body() {
        let (pool, held) = (pool(), Rc::new(()));
        let inside = Rc::clone(&held);
        drop(Fiber::new(&pool, move || drop(inside)));
        assert_eq!((Rc::strong_count(&held), pool.free()), (1, 0), "it never had a stack");
    }

    #[test]
    fn fibers_that_do_not_wait_share_one_stack() {
        let pool = pool();
        let fibers: Vec<_> = (0..100).map(|n| Fiber::new(&pool, move || n)).collect();
        let ended: Vec<_> = fibers.into_iter().map(|mut fiber| fiber.resume()).collect();
        assert!(ended.iter().enumerate().all(|(n, turn)| *turn == Turn::Finished(n)));
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn a_panic_comes_out_of_resume_and_leaves_the_thread_usable() {
        let pool = pool();
        let mut fiber = Fiber::new(&pool, || panic!("broken"));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fiber.resume()));
        assert!(caught.is_err() && !on_fiber());
        drop(fiber);
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn suspending_outside_a_fiber_is_a_clear_panic() {
        let caught = std::panic::catch_unwind(|| suspend(Pause::Waiting)).expect_err("a panic");
        assert_eq!(caught.downcast_ref::<String>().map(String::as_str), Some("`suspend` was called outside a fiber"));
    }

    #[test]
    fn the_stack_is_measured_and_a_deeply_used_one_is_not_kept() {
        fn eat(levels: usize) -> usize {
            let frame = std::hint::black_box([levels; 128]);
            if levels == 0 { 0 } else { frame[levels % 128] + eat(levels - 1) }
        }
        let pool = pool();
        let mut fiber = Fiber::new(&pool, || (stack_left().expect("on a fiber"), eat(1_000)));
        let Turn::Finished((left, _)) = fiber.resume() else { panic!("finished") };
        assert!(left > SCRIPT_BYTES - 10_000 && left < SCRIPT_BYTES);
        assert_eq!((pool.free(), stack_left()), (0, None));
    }
}
