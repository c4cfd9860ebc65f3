//! The clock of the records.

use rustix::time::{ClockId, clock_gettime};

/// The time of `CLOCK_MONOTONIC`, as records have it.
pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
