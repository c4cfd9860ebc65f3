//! The stack of a thread that ended a connection, as copied: a piece per
//! record, in a ring buffer of its own, so that stacks never crowd out what
//! findings rest on.

use crate::Pod;

/// Bytes of one piece: the smallest page, which is in memory or not as a whole.
pub const STACK_PIECE: usize = 4096;

/// Most bytes of a stack, from the stack pointer on.
pub const STACK_BYTES: u64 = 64 << 10;

/// Most pieces of a stack: its pages, of which the first and the last need not be
/// whole.
pub const STACK_PIECES: u32 = 17;

/// Room for registers: as many as arm64's `struct user_pt_regs` has (x0 to x30,
/// sp, pc, pstate); x86-64 has 21.
pub const REGISTER_WORDS: usize = 34;

/// So many stacks of a process's endings are copied at once, and then one each
/// [`STACK_EVERY_NS`]: who calls it the first times calls it the hundredth time
/// too, and each copy takes two fifths of the time that is spent at an ending that
/// has one.
pub const STACK_BURST: u64 = 8;

/// Nanoseconds, see [`STACK_BURST`].
pub const STACK_EVERY_NS: u64 = 1_000_000_000;

/// Whether a stack was copied at an ending ([`crate::End::stack`]).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackCopy {
    /// Not of this kind of ending.
    None = 0,
    /// Its pieces follow, unless their ring buffer is full.
    Taken = 1,
    /// Nothing hinted at an ending that comes too early.
    Unsuspected = 2,
    /// Little did, and many stacks are waiting to be read already.
    Crowded = 3,
    /// It is one of many: see [`STACK_BURST`].
    Enough = 4,
}

impl StackCopy {
    /// The one with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let all = [Self::Taken, Self::Unsuspected, Self::Crowded, Self::Enough];
        all.into_iter()
            .find(|copy| *copy as u32 == number)
            .unwrap_or(Self::None)
    }
}

/// A piece of a stack: of one page, what belongs to the stack. The ending that it
/// belongs to is the one by the same thread at the same time.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackPiece {
    /// As in the ending's header.
    pub time_ns: u64,
    /// As in the ending's header.
    pub tgid: u32,
    /// As in the ending's header.
    pub tid: u32,
    /// Where the first byte was in the process's memory.
    pub address: u64,
    /// Bytes of `data` that were copied; those behind are of other stacks.
    pub length: u64,
    /// In the first piece of a stack: the registers of the thread's entry into
    /// the kernel, as the architecture's `struct pt_regs` has them.
    pub registers: [u64; REGISTER_WORDS],
    /// The bytes.
    pub data: [u8; STACK_PIECE],
}

// SAFETY: repr(C), integers and arrays of them; 8+4+4+8+8+34*8+4096 bytes, each
// field at a multiple of its size, without padding.
unsafe impl Pod for StackPiece {}

impl StackPiece {
    /// The bytes that were copied.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        self.data.get(..length).unwrap_or_default()
    }
}
