//! Hides from the compiler and the verifier what they know of a number.

use detector_common::Connection;

/// The same number, of which the compiler no longer knows the bounds: it then
/// keeps the check that follows, on the very register that the verifier sees.
#[inline(always)]
pub(crate) fn hide_bounds(number: impl Into<u64>) -> u64 {
    let mut number = number.into();
    // SAFETY: copies a register to itself (an empty body would leave two lines
    // of source for one instruction, which the kernel refuses).
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) number, options(nomem, nostack, preserves_flags))
    };
    number
}

/// The same number, which the verifier no longer knows for the same: what is then found
/// out about this one it does not follow up for the other.
#[inline(always)]
pub(crate) fn split_identity(number: i32) -> i32 {
    let mut number = number;
    // SAFETY: changes nothing.
    unsafe {
        core::arch::asm!("{0} |= 0", inout(reg) number, options(nomem, nostack, preserves_flags))
    };
    number
}

/// Always 0, which the verifier does not know: it takes nothing for sure of what is
/// in a map that may be written, and cookies are counted up from 1, so that the first
/// bit of one is never set. Read where every call has read already: a page of its own
/// costs a fifth of a microsecond where the caches are cold.
#[inline(always)]
pub(crate) fn zero(connection: &Connection) -> u64 {
    // SAFETY: a live map value, eight bytes that are written at once.
    zero_of(unsafe { (&raw const connection.cookie).read_volatile() })
}

/// The same of a number from such a map whose first bit is never set.
#[inline(always)]
pub(crate) fn zero_of(number: u64) -> u64 {
    // Of that bit, all but one: unknown, each of them. By a product: what an
    // arithmetic shift gives is -1 or 0 to the verifier, which comes to contradict
    // itself over what is made of that (a warning in the log of Linux 6.18.15).
    hide_bounds(number >> 63) * hide_bounds(u64::MAX >> 1)
}

/// The same number, of which the verifier knows nothing. It follows a program from
/// each branch to the end, unless all that it knows there fits what it knew when it
/// came by before: what need not be known is best forgotten where ways meet. `zero` is
/// of [`zero`].
#[inline(always)]
pub(crate) fn hide_value(number: impl Into<u64>, zero: u64) -> u64 {
    number.into() ^ zero
}
