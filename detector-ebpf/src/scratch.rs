//! Room for what does not fit on a program's stack (512 bytes).

use aya_ebpf::{macros::map, maps::PerCpuArray};
use detector_common::{SAMPLE_LEN, Sample};

use crate::{
    sampling::{Scan, Walk},
    syscall::Gather,
};

/// Room behind the bytes of a sample, for its tail or a size line.
pub(crate) const BEHIND: usize = 64;

/// Where a sample is put together, and what loops over a call's bytes remember
/// from turn to turn: in a map, because the verifier then does not follow the
/// values, and walks each loop's body once.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) sample: Sample,
    /// A sample, [`BEHIND`] bytes, and so much that the verifier sees that a
    /// piece of at most `SAMPLE_LEN` fits wherever one begins.
    pub(crate) data: [u8; 2 * SAMPLE_LEN + BEHIND],
    pub(crate) gather: Gather,
    pub(crate) walk: Walk,
    pub(crate) scan: Scan,
}

/// Which way bytes go, seen from the process. Each program that counts has a scratch
/// of its own: should one be preempted in the middle by another (possible where
/// tracepoints do not disable preemption, and in functions that are traced), no sample
/// is mixed; a program that interrupts itself is not run by the kernel.
pub(crate) trait StaticDirection {
    const SENDS: bool;
    /// Which scratch.
    const SCRATCH_SLOT: u32;
}

/// Out of the process.
pub(crate) struct Tx<const SLOT: u32 = 0>;
/// Into it.
pub(crate) struct Rx<const SLOT: u32 = 1>;

impl<const SLOT: u32> StaticDirection for Tx<SLOT> {
    const SENDS: bool = true;
    const SCRATCH_SLOT: u32 = SLOT;
}

impl<const SLOT: u32> StaticDirection for Rx<SLOT> {
    const SENDS: bool = false;
    const SCRATCH_SLOT: u32 = SLOT;
}

/// Most programs that count on one kernel: all of `hooks/count_fexit.rs`.
const SCRATCH_SLOTS: u32 = 8;

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SCRATCH_SLOTS, 0);

/// This CPU's scratch.
#[inline(always)]
pub(crate) fn scratch<D: StaticDirection>() -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(D::SCRATCH_SLOT)
}
