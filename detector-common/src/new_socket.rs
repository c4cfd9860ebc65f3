//! A socket that is not tracked yet.

use crate::Pod;

/// Sockets that are remembered so; a power of two.
pub const NEW_SOCKETS: u32 = 1 << 15;

/// Bytes of a request that are kept with one: heads such as curl's are shorter, those of
/// browsers with their cookies are not. A longer one is told at once.
pub const DEFERRED_MAX: usize = 184;

/// A socket whose `accept`, `connect` or `socketpair` was seen. The address alone may
/// become another's, and an inode number is given anew after 2^32 others
/// (`get_next_ino`, fs/inode.c); both together are taken for no other socket, so that
/// an entry of one that never moved a byte may stay.
///
/// What it receives first is kept here too, if that is one short head, until the
/// socket is used again: only then is it a [`crate::Connection`]. A server that has
/// just read a request is about to sleep or to answer, and how long it took decides
/// races.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct NewSocket {
    /// The address of its `struct sock`; 0 in a free entry.
    pub socket: u64,
    /// Its inode number.
    pub inode: u64,
    /// Bytes that are kept; [`NewSocket::BUSY`] while they are put here, and once they are
    /// told; 0 if there are none.
    pub deferred_len: u64,
    /// When they were received.
    pub time_ns: u64,
    /// Bytes that the receive had room for.
    pub room: u64,
    /// The process that accepted or received; 0 if one accepted that is not watched.
    pub tgid: u32,
    /// The thread that received.
    pub tid: u32,
    /// The system call, as in [`crate::CallEntry`].
    pub number: u32,
    /// The descriptor.
    pub fd: i32,
    /// What stands for the socket's cookie, which it has not, where it became a
    /// connection as it was ended; else 0.
    pub synthetic_cookie: u64,
    /// 1: this side connects it; else it was accepted, or is one of a pair.
    pub connected: u64,
    /// The bytes.
    pub bytes: [u8; DEFERRED_MAX],
}

impl NewSocket {
    /// See [`Self::deferred_len`].
    pub const BUSY: u64 = u64::MAX;

    /// In [`Self::synthetic_cookie`], beside the inode number, which has 32 bits: cookies are counted
    /// up from 1. Two bits: the lower is one that hints are told apart by
    /// ([`crate::hint_slot`]).
    pub const SYNTHETIC: u64 = 1 << 62 | 1 << 32;
}

// SAFETY: repr(C), integers and arrays of them, each at a multiple of its size,
// without padding (asserted below).
unsafe impl Pod for NewSocket {}

const _: () = assert!(size_of::<NewSocket>() == 256, "four cache lines");
