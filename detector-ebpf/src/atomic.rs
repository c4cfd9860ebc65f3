//! Adds that survive another CPU doing the same: two threads may use one
//! socket. BPF atomics that return the old value: Linux 5.12 and later.
//!
//! `core::sync::atomic` has no `fetch_add` for this target (it lacks
//! compare-and-swap in its description), so the intrinsic is used; and with the
//! strongest order, because LLVM 22 compiles the relaxed one to an add that
//! returns nothing, and then uses the result.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

/// Adds to a `u64` of a map value; returns what it was.
#[inline(always)]
pub(crate) fn fetch_add(counter: *mut u64, amount: u64) -> u64 {
    // SAFETY: callers pass a field of a live map value, 8-byte aligned.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(counter, amount) }
}

/// Adds to a `u32` of a map value; returns what it was.
#[inline(always)]
pub(crate) fn fetch_add_u32(counter: *mut u32, amount: u32) -> u32 {
    // SAFETY: callers pass a field of a live map value, 4-byte aligned.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::SeqCst }>(counter, amount) }
}
