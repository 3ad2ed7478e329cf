//! Counts the memory that this thread holds, so that one run's share can be bounded.
//!
//! Owns the process's allocator (a thin wrapper over the system's) and two counters for each thread. It knows nothing of
//! runs: [`super::guard`] reads the counters around each turn and attributes the difference to the run that had it.
//! Memory that one thread allocates and another frees shifts both threads' counters; only differences within a turn mean something.
#![expect(
    unsafe_code,
    reason = "an allocator can only be written with unsafe code; this one delegates every call unchanged"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    // Constants without destructors: no lazy initialisation, hence no allocation inside the allocator.
    static USED: Cell<isize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, whose contract is the same; counting touches only
// thread-local cells and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED.with(|used| used.set(used.get() - layout.size() as isize));
        // SAFETY: `block` came from this allocator, which is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

#[inline]
fn note(allocated: usize, freed: usize) {
    USED.with(|used| used.set(used.get() + allocated as isize - freed as isize));
    LARGEST.with(|largest| {
        if allocated > largest.get() {
            largest.set(allocated);
        }
    });
}

/// Bytes that this thread has allocated minus those that it has freed; below zero where it freed what others allocated.
#[inline]
pub fn used() -> isize {
    USED.get()
}

/// The largest single allocation on this thread since [`forget_largest`], in bytes.
#[inline]
pub fn largest() -> usize {
    LARGEST.get()
}

/// Starts [`largest`] anew.
#[inline]
pub fn forget_largest() {
    LARGEST.set(0);
}

/// Runs `f` and puts the counters back afterwards: for bytes that leave the run (journal entries, commands, replies).
pub fn uncounted<R>(f: impl FnOnce() -> R) -> R {
    let restore = Restore { used: USED.get(), largest: LARGEST.get() };
    let result = f();
    drop(restore);
    result
}

struct Restore {
    used: isize,
    largest: usize,
}

impl Drop for Restore {
    fn drop(&mut self) {
        USED.set(self.used);
        LARGEST.set(self.largest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_held_and_the_largest_block() {
        let before = used();
        forget_largest();
        let held = vec![0_u8; 100_000];
        assert_eq!(used() - before, 100_000);
        assert_eq!(largest(), 100_000);
        drop(held);
        assert_eq!(used(), before);
    }

    #[test]
    fn growing_a_block_counts_the_difference() {
        let before = used();
        let mut held: Vec<u8> = Vec::with_capacity(1_000);
        held.reserve_exact(5_000);
        assert_eq!(used() - before, 5_000);
    }

    #[test]
    fn uncounted_bytes_are_not_the_runs() {
        let before = used();
        let held = uncounted(|| vec![0_u8; 1_000_000]);
        assert_eq!(used(), before);
        assert!(largest() < 1_000_000);
        std::mem::forget(held);
    }
}
