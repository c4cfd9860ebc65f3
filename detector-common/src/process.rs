//! Which processes are watched: a bit each, in memory that both sides share.

/// One more than the largest process number (`PID_MAX_LIMIT`,
/// include/linux/threads.h).
pub const PROCESS_LIMIT: u32 = 4 << 20;

/// Words of 64 bits that hold a bit for each.
pub const PROCESS_WORDS: u32 = PROCESS_LIMIT / u64::BITS;

/// The word and the bit of a process (a thread group's number).
#[must_use]
#[inline(always)]
pub const fn process_bit(tgid: u32) -> (u32, u64) {
    (tgid / u64::BITS, 1 << (tgid % u64::BITS))
}
