//! The stack of a thread that ends a connection: its registers and the memory
//! from its stack pointer on, for user space to unwind by the programs' own
//! tables. Most programs keep no frame pointers, and the kernel's own
//! `bpf_get_stack` has nothing else to go by.
//!
//! Copied only where the ending may come too early ([`wanted`]); an ending that
//! is known not to costs the look at the judge's hint.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{
        bpf_get_current_task_btf, bpf_task_pt_regs,
        generated::{bpf_for_each_map_elem, bpf_probe_read_kernel, bpf_probe_read_user},
    },
    macros::map,
    maps::Array,
};
use detector_common::{
    Connection, Hint, REGISTER_WORDS, STACK_BURST, STACK_BYTES, STACK_EVERY_NS, STACK_PIECE,
    STACK_PIECES, StackCopy, StackPiece, Stat, flag,
};

use crate::{
    config::{config, has},
    kernel::{Address, current_task},
    maps::{STACKS, STACKS_BYTES, count, hint},
    ring::Stamp,
    verifier::hide_bounds,
};

/// `BPF_RB_AVAIL_DATA` (include/uapi/linux/bpf.h).
const AVAILABLE: u64 = 0;

/// Bytes that may wait in the ring buffer before no stack is copied any more
/// where nothing but its youth speaks against a connection. It is read twenty
/// times a second: so no more than some 200 such copies are made in one, and
/// those with a reason always find room.
const GUESSES: u64 = STACKS_BYTES as u64 / 16;

/// How much of a stack is copied. To find that a page is not in memory costs more
/// than to copy one that is.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    /// Bytes at most.
    bytes: u64,
    /// So many in a row that cannot be read lie beyond the stack; fewer are a
    /// large buffer on it that was not used yet.
    hole: u32,
}

impl Amount {
    pub(crate) const NOTHING: Self = Self { bytes: 0, hole: 0 };
    const ALL: Self = Self {
        bytes: STACK_BYTES,
        hole: 8,
    };
    /// 24 KiB, of which few servers use more: most young connections are in
    /// order.
    const GUESS: Self = Self {
        bytes: 24 << 10,
        hole: 1,
    };
}

/// One entry per piece, for its length only: a loop, as in `maps::WORDS`.
#[map]
static PAGES: Array<u32> = Array::with_max_entries(STACK_PIECES, 0);

/// Entries of [`NEXT`]; a power of two.
const NEXT_SLOTS: u32 = 1024;

/// Per process, by the lower bits of its number: when its next stack would be due
/// if they came at an even pace, nanoseconds as `bpf_ktime_get_ns`. A burst runs
/// ahead of that (the generic cell rate algorithm, ITU-T I.371). Processes that
/// share an entry share what they may.
#[map]
static NEXT: Array<u64> = Array::with_max_entries(NEXT_SLOTS, 0);

/// Takes one of the stacks that a process's endings may have, if one is left. Two
/// threads at once may take the same one.
#[inline(always)]
fn spare(stamp: Stamp) -> bool {
    let Some(next) = NEXT.get_ptr_mut(stamp.tgid & (NEXT_SLOTS - 1)) else {
        return false;
    };
    // SAFETY: a live map value, eight bytes that are read and written at once.
    let due = unsafe { next.read_volatile() }.max(stamp.time_ns);
    if due > stamp.time_ns + (STACK_BURST - 1) * STACK_EVERY_NS {
        return false;
    }
    // SAFETY: as above.
    unsafe { next.write_volatile(due + STACK_EVERY_NS) };
    true
}

/// What an ending is, as far as it matters here.
pub(crate) struct Circumstances {
    /// A shutdown, not a close.
    pub(crate) shutdown: bool,
    /// It makes the kernel send a reset.
    pub(crate) on_reset: bool,
}

/// Whether the stack is copied at an ending, and how much of it.
///
/// | what the kernel side knows | is it copied |
/// | --- | --- |
/// | no message head was sent, or none that the judge follows | no |
/// | the judge's hint: the message is whole | no |
/// | the judge's hint: the message is owed bytes | yes |
/// | the ending makes the kernel send a reset | yes |
/// | the last send took less than it was offered, or failed | yes |
/// | nothing yet (the judge reads twenty times a second), and the peer ended its side first | no |
/// | nothing yet | some of it, if few stacks wait |
///
/// "Yes" as long as the process has some left ([`spare`]).
#[inline(always)]
pub(crate) fn choose_copy(
    cookie: u64,
    connection: &Connection,
    circumstances: &Circumstances,
    stamp: Stamp,
) -> (StackCopy, Amount) {
    if config!(stacks) == 0 {
        return (StackCopy::None, Amount::NOTHING);
    }
    if connection.send_flags & flag::HEAD_SEEN == 0 {
        return (StackCopy::Unsuspected, Amount::NOTHING);
    }
    if circumstances.on_reset {
        return suspected(stamp);
    }
    if !circumstances.shutdown && connection.end_flags & flag::SHUT_WR != 0 {
        // That was its end.
        return (StackCopy::Unsuspected, Amount::NOTHING);
    }
    let Hint { next, whole, .. } = hint(cookie);
    if next >= Hint::NEVER || (whole && next == connection.sent) {
        return (StackCopy::Unsuspected, Amount::NOTHING);
    }
    let known = connection.last_offered != u64::MAX;
    let stranded = known && i64::from(connection.last_result) < connection.last_offered as i64;
    if next >= connection.sent || stranded {
        return suspected(stamp);
    }
    if connection.receive_flags & flag::EOF != 0 {
        return (StackCopy::Unsuspected, Amount::NOTHING);
    }
    if STACKS.query(AVAILABLE) < GUESSES {
        (StackCopy::Taken, Amount::GUESS)
    } else {
        (StackCopy::Crowded, Amount::NOTHING)
    }
}

#[inline(always)]
fn suspected(stamp: Stamp) -> (StackCopy, Amount) {
    if config!(stacks) > 1 || spare(stamp) {
        (StackCopy::Taken, Amount::ALL)
    } else {
        (StackCopy::Enough, Amount::NOTHING)
    }
}

/// What the loop over pieces needs.
struct Copying {
    stamp: Stamp,
    registers: Address,
    /// The first byte.
    start: u64,
    /// Nothing of the stack lies above, or is copied.
    top: u64,
    /// Pieces in a row that could not be read.
    unreadable: u32,
    /// So many are too many.
    hole: u32,
    /// A piece with the registers was sent.
    named: bool,
}

/// Bytes below the stack pointer that may be in use (System V ABI for x86-64,
/// section 3.2.2).
const RED_ZONE: u64 = 128;

/// Copies the stack of the current thread, which made a system call.
#[inline(always)]
pub(crate) fn copy_stack(stamp: Stamp, amount: Amount) {
    // SAFETY: neither can fail for the current task. bpf_task_pt_regs: Linux
    // 5.15.
    let registers = Address(unsafe { bpf_task_pt_regs(bpf_get_current_task_btf().cast()) } as u64);
    let Some(pointer) = registers.read::<u64>(config!(registers.stack_pointer)) else {
        return;
    };
    let start = pointer.wrapping_sub(RED_ZONE);
    let mut copying = Copying {
        stamp,
        registers,
        start,
        top: top(pointer).min(start.saturating_add(amount.bytes)),
        unreadable: 0,
        hole: amount.hole,
        named: false,
    };
    // SAFETY: a map of this program, a callback of the form that the helper
    // asks for, and a context that outlives the call.
    unsafe {
        bpf_for_each_map_elem(
            (&raw const PAGES).cast_mut().cast(),
            copy_piece as *mut c_void,
            (&raw mut copying).cast(),
            0,
        )
    };
}

/// An address that the current thread's stack ends below, as far as one is known:
/// where the kernel began the first thread's, or what the thread pointer points
/// to, which C libraries put on top of another's. Neither is part of a stack,
/// wherever it is.
#[inline(always)]
fn top(pointer: u64) -> u64 {
    let task = current_task();
    let mut top = u64::MAX;
    if has!(fields.task_thread_pointer)
        && let Some(thread) = task.read::<u64>(config!(fields.task_thread_pointer))
        && thread > pointer
    {
        top = thread;
    }
    if has!(fields.task_mm)
        && let Some(memory) = task.follow(config!(fields.task_mm))
        && let Some(start) = memory.read::<u64>(config!(fields.mm_start_stack))
        && start > pointer
    {
        top = top.min(start);
    }
    top
}

/// Copies the registers.
///
/// # Safety
///
/// `to` is writable.
#[inline(always)]
unsafe fn registers(to: *mut [u64; REGISTER_WORDS], from: Address) {
    let length = config!(registers.length) as u32;
    if length <= (REGISTER_WORDS * 8) as u32 {
        // SAFETY: at most as many bytes as there are; the helper checks the
        // source. It cannot fail: they are the running thread's own.
        unsafe { bpf_probe_read_kernel(to.cast(), length, from.0 as *const c_void) };
    }
}

/// One piece.
unsafe extern "C" fn copy_piece(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    copying: *mut Copying,
) -> i64 {
    // SAFETY: the helper passes the key of the element and our context.
    let (index, copying) = unsafe { (*key, &mut *copying) };
    // Page by page: of each, what lies between the stack's ends.
    let page = (copying.start & !(STACK_PIECE as u64 - 1)) + u64::from(index) * STACK_PIECE as u64;
    let address = page.max(copying.start);
    let end = (page + STACK_PIECE as u64).min(copying.top);
    if address >= end {
        return 1;
    }
    let length = hide_bounds(end - address);
    if length > STACK_PIECE as u64 {
        return 1;
    }
    let Some(mut entry) = STACKS.reserve::<StackPiece>(0) else {
        count(Stat::StacksFull);
        return 1;
    };
    let piece = entry.as_mut_ptr();
    // SAFETY: the entry is as large as a piece; every field is written before
    // it is submitted, but for registers that the architecture does not have;
    // the helpers check the addresses they read from.
    let failed = unsafe {
        (*piece).time_ns = copying.stamp.time_ns;
        (*piece).tgid = copying.stamp.tgid;
        (*piece).tid = copying.stamp.tid;
        (*piece).address = address;
        (*piece).length = length;
        bpf_probe_read_user(
            (&raw mut (*piece).data).cast(),
            length as u32,
            address as *const c_void,
        )
    };
    if failed != 0 {
        // Not in memory.
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        copying.unreadable += 1;
        return i64::from(copying.unreadable >= copying.hole);
    }
    copying.unreadable = 0;
    if !copying.named {
        copying.named = true;
        // SAFETY: as above; the length is checked.
        unsafe { registers(&raw mut (*piece).registers, copying.registers) };
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    0
}
