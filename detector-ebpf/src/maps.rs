//! The maps shared with user space. A full map is counted, never ignored.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use detector_common::{
    Config, Connection, HINT_SLOTS, Hint, HintValue, NEW_SOCKETS as NEW_SOCKETS_LEN, NewSocket,
    PROCESS_WORDS, Slot, Stat, hint_slot,
};

/// Set by user space at load and then read-only. What comes before its tables is
/// read by `config!` only (`config.rs`).
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config::UNSET;

/// Connections that have a slot. An array: to find one costs no call of the
/// kernel's, and to take one up no memory that it has to find.
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(detector_common::SLOTS, MMAPABLE);

/// Connections whose slot another has, by cookie.
#[map]
pub(crate) static CONNECTIONS: HashMap<u64, Connection> =
    HashMap::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// Watched processes: a bit per thread group, for all that there may be
/// (`PID_MAX_LIMIT`, include/linux/threads.h).
#[map]
pub(crate) static PROCESSES: Array<u64> = Array::with_max_entries(PROCESS_WORDS, MMAPABLE);

/// Identifiers of the control groups that the filter by group passes, with all
/// below them. A unit that is started anew has a new one. The value is not
/// used, here and below.
#[map]
pub(crate) static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(1024, 0);

/// Ports that the filter by port passes, in host byte order.
#[map]
pub(crate) static PORTS: HashMap<u32, u32> = HashMap::with_max_entries(256, 0);

/// Sockets whose accept or connect was seen and that have moved no bytes yet, or
/// only a first request, by the last bits of their inode number (`new_socket.rs`). Those
/// numbers are given out in order, so that one makes way only for a socket that came
/// so many files later; that costs the judgement of the first message of the older (it
/// is then taken as joined in mid-stream). In user space's memory too, which forgets
/// them where calls were missed.
#[map]
pub(crate) static NEW_SOCKETS: Array<NewSocket> =
    Array::with_max_entries(NEW_SOCKETS_LEN, MMAPABLE);

/// All records.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Stacks, which must not crowd out records. Room for 59 of the largest.
#[map]
pub(crate) static STACKS: RingBuf = RingBuf::with_byte_size(STACKS_BYTES, 0);

/// Bytes of [`STACKS`].
pub(crate) const STACKS_BYTES: u32 = 4 << 20;

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
static HINTS: Array<HintValue> = Array::with_max_entries(HINT_SLOTS, MMAPABLE);

/// The offset of the next bytes that matter, as far as it is known; else 0.
#[inline(always)]
pub(crate) fn boundary(cookie: u64) -> u64 {
    hint(cookie).next
}

/// What the judge told of this connection; of none, an offset of 0.
#[inline(always)]
pub(crate) fn hint(cookie: u64) -> Hint {
    let Some(value) = HINTS.get_ptr(hint_slot(cookie)) else {
        return Hint::of(cookie, [0; 2]);
    };
    // SAFETY: a live map value, of which each eight bytes are written at once; the
    // place is read first, as it is written last but one.
    let value = unsafe {
        [
            (&raw const (*value)[0]).read_volatile(),
            (&raw const (*value)[1]).read_volatile(),
        ]
    };
    Hint::of(cookie, value)
}

/// Whether the judge told that what is sent of this connection up to the offset
/// `end` needs no look, where so many bytes were received.
#[inline(always)]
pub(crate) fn needs_no_look(cookie: u64, end: u64, received: u64) -> bool {
    let Hint { next, quiet, .. } = hint(cookie);
    next >= end && received < quiet
}

/// Calls on sockets without a cookie that should have had one (`hooks/count_perf.rs`). In user
/// space's memory too: it asks often, and by a system call it would make the kernel
/// leave out programs (`detector/src/capture/live/connections.rs`).
#[map]
pub(crate) static MISSING_COOKIES: Array<u64> = Array::with_max_entries(1, MMAPABLE);

/// Which probes were called by the watching process, which tries each when it is
/// attached: a bit per [`detector_common::Probe`].
#[map]
pub(crate) static PROBE_HITS: Array<u64> = Array::with_max_entries(1, MMAPABLE);

/// The request of io_uring that a thread submitted last and that has not moved
/// bytes yet: its kernel address. Few threads use io_uring; an entry that is
/// pushed out costs the look at one operation's bytes.
#[map]
pub(crate) static SUBMITTED: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

/// Cookies of connections that ended, by their last bits: what arrives at a closed socket
/// may make the kernel reset it. Cookies are counted up, so that one makes way only for a
/// socket that was made so many later.
#[map]
static ENDED: Array<u64> = Array::with_max_entries(ENDED_LEN, 0);

/// A power of two.
const ENDED_LEN: u32 = 1 << 15;

#[inline(always)]
fn ended(cookie: u64) -> Option<*mut u64> {
    ENDED.get_ptr_mut((cookie & (u64::from(ENDED_LEN) - 1)) as u32)
}

/// Remembers a connection that is tracked no more.
#[inline(always)]
pub(crate) fn remember_ended(cookie: u64) {
    if let Some(place) = ended(cookie) {
        // SAFETY: a live map value, written at once.
        unsafe { place.write_volatile(cookie) };
    }
}

/// Whether a connection with this cookie ended a while ago.
#[inline(always)]
pub(crate) fn has_ended(cookie: u64) -> bool {
    // SAFETY: as above.
    ended(cookie).is_some_and(|place| unsafe { place.read_volatile() } == cookie)
}

/// Adds one.
#[inline(always)]
pub(crate) fn count(stat: Stat) {
    if let Some(slot) = STATS.get_ptr_mut(stat as u32) {
        // SAFETY: a slot of this CPU, valid until the program ends.
        unsafe { *slot += 1 };
    }
}
