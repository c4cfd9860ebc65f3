//! The records that truncwatch's kernel side writes and user space reads.
//!
//! One file per record. Every type is `#[repr(C)]`, holds only integers and
//! byte arrays, and has no padding that is not named, so that the bytes of one
//! side are the value of the other. Units, unless a field says otherwise:
//! sizes and offsets in bytes, times in nanoseconds of `CLOCK_MONOTONIC`
//! (`bpf_ktime_get_ns`).
//!
//! An *offset* counts from the first byte that truncwatch saw on that
//! direction of the socket, never from a call: a lost or reordered record can
//! be noticed and is never silently wrong.
#![no_std]

mod call;
mod config;
mod connection;
mod end;
mod header;
mod hint;
mod new_socket;
mod open;
mod probe;
mod process;
mod reset;
mod sample;
mod stack;
mod stats;

pub use call::{
    Arguments, CALLS, Call, Direction, FLAGS_FOURTH, FLAGS_THIRD, OPERATION, OPERATION_LIMIT,
    OPERATIONS, OUT_OF_BAND, Operation, RECEIVES, call_name,
};
pub use config::{
    CGROUP_LEVELS, COMMS, CONSTANT_MARK, CONSTANTS, Comm, Config, Fields, NO_FIELD, Registers,
    SYSCALL_LIMIT, filter,
};
pub use connection::{
    CALL_RING, CallEntry, Connection, FIRST_BYTES, SLOTS, Slot, flag, send_queue,
};
pub use end::{BY_URING, End, EndKind, SocketInfo, UNIX_PATH_LEN, family, seen, tcp_state};
pub use header::{Header, Kind};
pub use hint::{HINT_SLOTS, Hint, HintValue, hint_slot};
pub use new_socket::{DEFERRED_MAX, NEW_SOCKETS, NewSocket};
pub use open::Open;
pub use probe::Probe;
pub use process::{PROCESS_LIMIT, PROCESS_WORDS, process_bit};
pub use reset::Reset;
pub use sample::{BODY_START, EDGE_END, EDGE_START, SAMPLE_LEN, Sample};
pub use stack::{
    REGISTER_WORDS, STACK_BURST, STACK_BYTES, STACK_EVERY_NS, STACK_PIECE, STACK_PIECES, StackCopy,
    StackPiece,
};
pub use stats::Stat;

/// A type whose every bit pattern is a value and that has no padding, so that
/// it may be read from the bytes the kernel side wrote.
///
/// # Safety
///
/// Implementors are `#[repr(C)]`, contain only integers and arrays of them,
/// and have no implicit padding.
pub unsafe trait Pod: Copy + 'static {
    /// The value at the start of `bytes`, or `None` if they are too few.
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < size_of::<Self>() {
            return None;
        }
        // SAFETY: long enough (checked above); the trait promises that any
        // bytes make a value; read_unaligned asks for no alignment.
        Some(unsafe { core::ptr::read_unaligned(bytes.as_ptr().cast()) })
    }

    /// A value of all zero bytes.
    fn zeroed() -> Self {
        // SAFETY: the trait promises that any bytes, zeros too, make a value.
        unsafe { core::mem::zeroed() }
    }

    /// The bytes of this value, as the kernel side would write them.
    fn bytes(&self) -> &[u8] {
        // SAFETY: no padding (the trait promises it), so each byte is
        // initialised; the slice borrows self.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: an integer.
unsafe impl Pod for u64 {}
