//! What the kernel side keeps per socket.

use crate::Pod;

/// How many of the last calls are kept.
pub const CALL_RING: usize = 8;

/// How many of the first bytes of each direction are kept, to tell what the
/// connection speaks (`HTTP/1.1`, a TLS record, an HTTP/2 preface).
pub const FIRST_BYTES: usize = 8;

/// Bits of the flag fields of [`Connection`]: one field for sends, one for
/// receives, one for endings, so that programs on two CPUs do not undo each
/// other's.
pub mod flag {
    /// In `send_flags` and `receive_flags`: the bytes that come next may still
    /// belong to a message head.
    pub const HEAD_OPEN: u32 = 1;
    /// In both: what may be a head was sampled.
    pub const HEAD_SEEN: u32 = 1 << 1;
    /// In both: bytes passed whose start could not be read from user memory.
    pub const UNREADABLE: u32 = 1 << 2;
    /// In both: bytes passed that were not looked at: they never were in user
    /// memory, or it is not sure where ([`crate::Arguments`]).
    pub const UNINSPECTED: u32 = 1 << 3;
    /// In both, two bits: the bytes looked at so far end with a line feed (1),
    /// or with a line feed and a carriage return (2).
    pub const LINE_SHIFT: u32 = 8;
    /// In `send_flags`: the connection's [`crate::Open`] was sent.
    pub const DESCRIBED: u32 = 1 << 5;
    /// In `send_flags`: a head ended with the last byte sent; what comes next is
    /// the first of its body, if it has one.
    pub const BODY_NEXT: u32 = 1 << 6;
    /// In `send_flags`: behind the last head came what cannot be a chunk's size
    /// (RFC 9112 section 7.1), so that its body is not chunked.
    pub const PLAIN: u32 = 1 << 7;
    /// In `send_flags`: a chunked body goes on behind the last call, and where the data of
    /// its chunk ends is known (`send_head`).
    pub const CHUNKS: u32 = 1 << 10;
    /// In `send_flags`: the last call ended within a chunk's size line. `send_head` has
    /// its bytes, the first in the lowest byte, and how many in the highest.
    pub const LINE_CUT: u32 = 1 << 11;
    /// In a sample's flags: it begins within its call, not with it.
    pub const MID_CALL: u32 = 1 << 12;
    /// In the flags of a sample from a log: the text of a head in it was changed by hand,
    /// and it ended with its call, or with the body that was taken out of it.
    pub const EDITED: u32 = 1 << 31;
    /// In `receive_flags`: all that was known of the socket before it was tracked is
    /// in its connection. Another call on it until then is out of order.
    pub const READY: u32 = 1 << 13;
    /// In `send_flags`: this side connected the socket, by `connect` or a first send that
    /// does so too.
    pub const CONNECTED: u32 = 1 << 20;
    /// In the flags of a sample of sent bytes: bytes were received that were not seen
    /// ([`UNREADABLE`], [`UNINSPECTED`]).
    pub const UNSEEN_RECEIVES: u32 = 1 << 21;
    /// The same, of a log: it does not show that strace was asked for all calls that
    /// receive.
    pub const UNTRACED_RECEIVES: u32 = 1 << 22;
    /// In `send_flags`: a call behind the last head's passed.
    pub const BODY_SEEN: u32 = 1 << 14;
    /// In `send_flags` and `receive_flags`: a byte passed that is in no stream
    /// (`MSG_OOB`).
    pub const OUT_OF_BAND: u32 = 1 << 15;
    /// In `released`, and in `send_flags` of what an ending tells: a descriptor of it was
    /// closed in a process with threads, while others or calls held it.
    pub const LET_GO: u32 = 1 << 16;
    /// In both: its bytes are no stream but packets (`SOCK_SEQPACKET`).
    pub const PACKETS: u32 = 1 << 17;
    /// In `receive_flags`: a read returned 0, the peer's end of stream.
    pub const EOF: u32 = 1 << 4;
    /// In `end_flags`: `shutdown(SHUT_WR or SHUT_RDWR)` was called here.
    pub const SHUT_WR: u32 = 1;
    /// In `end_flags`: a descriptor was closed while others remained.
    pub const CLOSED_SHARED: u32 = 1 << 1;
    /// In `end_flags`: `shutdown(SHUT_RD or SHUT_RDWR)` was called here.
    pub const SHUT_RD: u32 = 1 << 3;
    /// In `end_flags`: the peer of a Unix socket had closed when this side shut it down;
    /// that shutdown has no [`crate::End`].
    pub const PEER_CLOSED: u32 = 1 << 4;
    /// In `end_flags`: no descriptor has it any more, only a call that is in progress,
    /// and may go on.
    pub const LAST_CALL: u32 = 1 << 5;
    /// In `end_flags`: an ending was asked for that will not be seen.
    pub const UNSEEN_END: u32 = 1 << 2;
}

/// Values of [`Connection::send_queue`]; 0 where it is not known.
pub mod send_queue {
    /// The peer has taken all that was sent.
    pub const EMPTY: u16 = 1;
    /// Bytes wait for the peer, and there is room for more.
    pub const PARTIAL: u16 = 2;
    /// There is no room.
    pub const FULL: u16 = 3;
}

/// One call on the socket, for the timeline.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEntry {
    /// When it returned.
    pub time_ns: u64,
    /// Bytes it offered (sends) or had room for (receives); [`u64::MAX`] if
    /// not known.
    pub offered: u64,
    /// What it returned: bytes, or a negative errno.
    pub result: i32,
    /// The thread that made it.
    pub tid: u32,
    /// System call number.
    pub number: u16,
    /// 1 where bytes were sent, 0 where they were received.
    pub sending: u8,
    /// 1 in an entry that is filled.
    pub used: u8,
    /// The descriptor, or -1 where the call has none.
    pub fd: i32,
}

// SAFETY: repr(C), integers only, 32 bytes without padding.
unsafe impl Pod for CallEntry {}

/// A socket's counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    // What every call touches: 64 bytes, one cache line in a [`Slot`].
    /// The socket's cookie (`SO_COOKIE`, socket(7)); 0 in a free [`Slot`].
    pub cookie: u64,
    /// Bytes that receives have returned since tracking began (a peek does
    /// not count).
    pub received: u64,
    /// Bytes that sends have returned as accepted since tracking began.
    pub sent: u64,
    /// When a send last returned a positive count; 0 if never.
    pub sent_ns: u64,
    /// Bytes offered by the last send call; [`u64::MAX`] if not known.
    pub last_offered: u64,
    /// What the last send call returned: bytes, or a negative errno.
    pub last_result: i32,
    /// See [`flag`].
    pub receive_flags: u32,
    /// See [`flag`].
    pub send_flags: u32,
    /// Calls entered in the ring so far; the next goes to this number modulo
    /// [`CALL_RING`].
    pub call_count: u32,
    /// The descriptor it was last used by, or -1.
    pub fd: i32,
    /// Endings that took the last reference: only the first is told. And
    /// [`flag::LET_GO`]. Changed by atomic operations only.
    pub released: u32,
    // What beginnings and endings touch: 64 more.
    /// Offset of the last head sampled while receiving.
    pub receive_head: u64,
    /// Offset of the last head sampled while sending; or see [`flag::CHUNKS`].
    pub send_head: u64,
    /// Last error of a receive that means the peer is gone, as a positive errno
    /// (`ECONNRESET`, `ETIMEDOUT`); 0 if none.
    pub receive_errno: u32,
    /// Last error of a send, likewise (`EPIPE` too).
    pub send_errno: u32,
    /// See [`flag`].
    pub end_flags: u32,
    /// Number of the next record.
    pub seq: u32,
    /// 1: seen from its beginning, its `accept` or `connect` was watched, so
    /// that offset 0 is the first byte of the stream.
    pub from_start: u32,
    /// The process that first used it while watched.
    pub tgid: u32,
    /// First bytes sent.
    pub first_sent: [u8; FIRST_BYTES],
    /// First bytes received.
    pub first_received: [u8; FIRST_BYTES],
    /// When tracking began.
    pub tracked_ns: u64,
    /// The last calls, a ring.
    pub calls: [CallEntry; CALL_RING],
    /// Inode number, as in `socket:[N]` of `/proc/PID/fd`.
    pub inode: u64,
    /// Messages that the `sendmmsg` in progress has sent so far.
    pub mmsg_sent: u32,
    /// The thread that makes it.
    pub mmsg_tid: u32,
    /// `AF_UNIX`, `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// How full the send queue is, which user space asks for where a message stalls:
    /// see [`send_queue`].
    pub send_queue: u16,
    /// Explicit padding.
    pub pad: [u16; 2],
}

// SAFETY: repr(C), integers and arrays of them; two times 64 bytes, the ring and
// 24 more, each field at a multiple of its size, without padding.
unsafe impl Pod for Connection {}

/// Most connections that have a slot; a power of two.
pub const SLOTS: u32 = 8192;

/// A place for one connection, in the map that user space has in its memory too.
/// The connection with a cookie has the slot of its last bits, if that is free
/// when it is taken up; else an entry in a hash map.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The connection; its cookie is 0 if there is none.
    pub connection: Connection,
    /// Connections of this slot's that are in the hash map: where there are none,
    /// it need not be asked.
    pub elsewhere: u64,
    /// Explicit padding.
    pub pad: [u64; 4],
}

const _: () = assert!(
    size_of::<Connection>() == 408 && size_of::<Slot>() == 448,
    "a slot is seven cache lines, without padding"
);

impl Connection {
    /// Before the first byte.
    pub const EMPTY: Self = {
        // SAFETY: integers and arrays of them: zero bytes are a value.
        let mut empty: Self = unsafe { core::mem::zeroed() };
        empty.fd = -1;
        empty
    };

    /// The kept calls, oldest first. Behind the first [`Connection::call_count`] entries
    /// are those of an earlier connection that had the slot.
    pub fn calls_in_order(&self) -> impl Iterator<Item = &CallEntry> {
        let count = self.call_count as usize;
        let (newer, older) = self.calls.split_at(count % CALL_RING);
        let older = if count < CALL_RING { &[] } else { older };
        older.iter().chain(newer).filter(|call| call.used == 1)
    }
}
