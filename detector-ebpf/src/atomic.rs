//! Changes that survive another CPU making its own: two threads may use one
//! socket. BPF atomics that return the old value: Linux 5.12 and later.
//!
//! `core::sync::atomic` has none for this target (it lacks
//! compare-and-swap in its description), so the intrinsics are used; and with the
//! strongest order, because LLVM 22 compiles the relaxed one to an add that
//! returns nothing, and then uses the result.

use core::intrinsics::{AtomicOrdering, atomic_and, atomic_cxchg, atomic_or, atomic_xadd};

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

/// Puts `new` in place of `old` in a `u64` of a map value, if it is that; returns
/// what it was.
#[inline(always)]
pub(crate) fn compare_and_swap(place: *mut u64, old: u64, new: u64) -> u64 {
    // SAFETY: as in fetch_add.
    let (found, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(place, old, new)
    };
    found
}

/// Sets bits of a `u64` of a map value.
#[inline(always)]
pub(crate) fn set_bits(word: *mut u64, bits: u64) {
    // SAFETY: as in fetch_add.
    unsafe { atomic_or::<u64, u64, { AtomicOrdering::SeqCst }>(word, bits) };
}

/// Sets bits of a `u32` of a map value.
#[inline(always)]
pub(crate) fn set_bits_u32(word: *mut u32, bits: u32) {
    // SAFETY: as in fetch_add_u32.
    unsafe { atomic_or::<u32, u32, { AtomicOrdering::SeqCst }>(word, bits) };
}

/// Clears bits of a `u64` of a map value.
#[inline(always)]
pub(crate) fn clear_bits(word: *mut u64, bits: u64) {
    // SAFETY: as in fetch_add.
    unsafe { atomic_and::<u64, u64, { AtomicOrdering::SeqCst }>(word, !bits) };
}
