//! Room for what does not fit on a program's stack (512 bytes).

use aya_ebpf::{macros::map, maps::PerCpuArray};
use detector_common::{SAMPLE_LEN, Sample};

use crate::{
    memory::Gather,
    sampling::{Scan, Walk},
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

/// Which way bytes go, seen from the process. Each way has a scratch of its
/// own: should the program of one be preempted in the middle by that of the
/// other (possible where tracepoints do not disable preemption), no sample is
/// mixed; a program that interrupts itself is not run by the kernel.
pub(crate) trait Way {
    const SENDS: bool;
}

/// Out of the process.
pub(crate) struct Sends;
/// Into it.
pub(crate) struct Receives;

impl Way for Sends {
    const SENDS: bool = true;
}

impl Way for Receives {
    const SENDS: bool = false;
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(2, 0);

/// This CPU's scratch.
#[inline(always)]
pub(crate) fn scratch<W: Way>() -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(u32::from(!W::SENDS))
}
