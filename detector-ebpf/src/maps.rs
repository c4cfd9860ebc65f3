//! The maps shared with user space. A full map is counted, never ignored.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use detector_common::{Config, Connection, HINT_SLOTS, Hint, Stat, hint_slot};

/// Set by user space at load and then read-only, so that the verifier knows
/// the values.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::UNSET;

/// One value of the configuration, read so that the compiler keeps the load
/// (the value at build time is not the value at load).
macro_rules! config {
    ($($field:ident).+) => {
        // SAFETY: a field of a static that lives as long as the program.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::CONFIG.$($field).+) }
    };
}
pub(crate) use config;

/// Sockets by cookie.
#[map]
pub(crate) static CONNECTIONS: HashMap<u64, Connection> =
    HashMap::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// Watched processes by thread group; the value is not used.
#[map]
pub(crate) static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(16_384, 0);

/// Identifiers of the control groups that the filter by group passes, with all
/// below them. A unit that is started anew has a new one. The value is not
/// used, here and below.
#[map]
pub(crate) static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(1024, 0);

/// Ports that the filter by port passes, in host byte order.
#[map]
pub(crate) static PORTS: HashMap<u32, u32> = HashMap::with_max_entries(256, 0);

/// Sockets whose accept or connect was seen: the kernel address of the `struct
/// sock`, to the inode number that makes it unmistakable, or to 0 once it moved
/// bytes. An entry that is pushed out before that costs the judgement of the
/// connection's first message (it is then taken as joined in mid-stream).
#[map]
pub(crate) static BIRTHS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(16_384, 0);

/// All records.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Stacks, which must not crowd out records. Room for 59 of the largest.
#[map]
pub(crate) static STACKS: RingBuf = RingBuf::with_byte_size(STACK_BYTES, 0);

/// Bytes of [`STACKS`].
pub(crate) const STACK_BYTES: u32 = 4 << 20;

/// [`Stat`] counters.
#[map]
pub(crate) static STATS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Stat::ALL.len() as u32, 0);

/// One entry per 64 descriptors, for its length only: `bpf_for_each_map_elem`
/// over it is the loop that kernels before 5.17 (which brought `bpf_loop`)
/// have too. 4,096 entries walk 262,144 descriptors.
#[map]
pub(crate) static WORDS: Array<u32> = Array::with_max_entries(4096, 0);

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h; Linux 5.5).
const MMAPABLE: u32 = 1 << 10;

/// What the judge tells of connections (`detector_common::hint`); user space
/// maps it into its memory and writes it there.
#[map]
static HINTS: Array<u64> = Array::with_max_entries(HINT_SLOTS, MMAPABLE);

/// The offset of the next bytes that matter, as far as it is known; else 0.
#[inline(always)]
pub(crate) fn boundary(cookie: u64) -> u64 {
    hint(cookie).next
}

/// What the judge told of this connection; of none, an offset of 0.
#[inline(always)]
pub(crate) fn hint(cookie: u64) -> Hint {
    match HINTS.get(hint_slot(cookie)) {
        Some(value) => {
            // SAFETY: a live map value, eight bytes that are written at once.
            let value = unsafe { core::ptr::read_volatile(value) };
            Hint::of(cookie, value)
        }
        None => Hint {
            next: 0,
            whole: false,
        },
    }
}

/// The request of io_uring that a thread submitted last and that has not moved
/// bytes yet: its kernel address. Few threads use io_uring; an entry that is
/// pushed out costs the look at one operation's bytes.
#[map]
pub(crate) static SUBMITTED: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

/// Adds one.
#[inline(always)]
pub(crate) fn count(stat: Stat) {
    if let Some(slot) = STATS.get_ptr_mut(stat as u32) {
        // SAFETY: a slot of this CPU, valid until the program ends.
        unsafe { *slot += 1 };
    }
}

/// Whether the current process is watched.
#[inline(always)]
pub(crate) fn watched(tgid: u32) -> bool {
    if config!(watch_all) != 0 {
        return tgid != config!(own_tgid);
    }
    PROCESSES.get_ptr(&tgid).is_some()
}
