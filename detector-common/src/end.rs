//! The end of a connection, as this side made it.

use crate::{Connection, Header, Pod};

/// Longest `sun_path` (unix(7)).
pub const UNIX_PATH_LEN: usize = 108;

/// Address families as the kernel numbers them (`include/linux/socket.h`).
pub mod family {
    /// `AF_UNIX`.
    pub const UNIX: u16 = 1;
    /// `AF_INET`.
    pub const INET: u16 = 2;
    /// `AF_INET6`.
    pub const INET6: u16 = 10;
}

/// TCP states as the kernel numbers them (`include/net/tcp_states.h`).
pub mod tcp_state {
    /// `TCP_CLOSE`: reset, or closed by both.
    pub const CLOSE: u8 = 7;
    /// `TCP_CLOSE_WAIT`: the peer's FIN was received.
    pub const CLOSE_WAIT: u8 = 8;
    /// Those in which it was, on a connection that is not over: TIME_WAIT,
    /// CLOSE_WAIT, LAST_ACK, CLOSING.
    pub const FIN_RECEIVED: [u8; 4] = [6, CLOSE_WAIT, 9, 11];
}

/// How this side ended it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// `shutdown(fd, SHUT_WR or SHUT_RDWR)`.
    Shutdown = 1,
    /// `close(fd)` of a descriptor.
    Close = 2,
    /// The process ended with the descriptor open.
    Exit = 3,
    /// An exec closed it (`FD_CLOEXEC`, fcntl(2)).
    Exec = 4,
    /// `close_range` over it.
    CloseRange = 5,
    /// `dup2` or `dup3` over it.
    Replace = 6,
    /// A call returned that was in progress when the last descriptor of it went away, and
    /// that held it since.
    Returned = 7,
}

impl EndKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        [
            Self::Shutdown,
            Self::Close,
            Self::Exit,
            Self::Exec,
            Self::CloseRange,
            Self::Replace,
            Self::Returned,
        ]
        .into_iter()
        .find(|kind| *kind as u32 == number)
    }
}

/// What the kernel's socket said at that moment, before the ending took
/// effect.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    /// Inode number, as in `socket:[N]` of `/proc/PID/fd`; 0 where only the state
    /// was read.
    pub inode: u64,
    /// `AF_UNIX`, `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Local port, host byte order; 0 for Unix sockets.
    pub local_port: u16,
    /// Peer's port, host byte order; 0 for Unix sockets.
    pub peer_port: u16,
    /// Bytes of `unix_path` that are the local address.
    pub unix_path_len: u16,
    /// Local address; IPv4 uses the first four bytes.
    pub local: [u8; 16],
    /// Peer's address, likewise.
    pub peer: [u8; 16],
    /// The local path; an abstract one begins with a zero byte (unix(7)).
    pub unix_path: [u8; UNIX_PATH_LEN],
    /// The peer's process as `SO_PEERCRED` would give it; 0 if none.
    pub peer_pid: u32,
    /// `sk_state`, see [`tcp_state`].
    pub state: u8,
    /// `sk_shutdown`: 1 the peer will send no more (RCV), 2 we may not (SEND).
    pub shutdown: u8,
    /// 1: `SO_LINGER` with time 0 is set, so that a close sends a reset
    /// (socket(7)).
    pub reset: u8,
    /// 1: `unix_path` is the peer's, of a socket without a name.
    pub path_of_peer: u8,
    /// `sk_err`: an error that is pending on the socket, positive errno.
    pub error: u32,
    /// TCP: bytes that were received and not read, at whose close the kernel
    /// sends a reset (`tcp_close`, RFC 2525 section 2.17).
    pub unread: u32,
    /// TCP: bytes that were sent and not yet acknowledged by the peer.
    pub unacknowledged: u32,
    /// Those of them that the kernel had not sent yet: a reset throws them away.
    pub unsent: u32,
    /// Which of these were read, of [`seen`].
    pub seen: u32,
}

/// Bits of [`SocketInfo::seen`].
pub mod seen {
    /// `unread`, `unacknowledged` and `unsent`.
    pub const QUEUES: u32 = 1;
    /// `reset`.
    pub const LINGER: u32 = 1 << 1;
    /// Not of the socket, but of the kernel: a reset that it sends later is told by a
    /// [`crate::Reset`].
    pub const RESETS: u32 = 1 << 2;
    /// Something lies unread in a Unix socket, it is not known how many bytes.
    pub const INPUT: u32 = 1 << 3;
}

// SAFETY: repr(C), integers and arrays of them; 8+4*2+32+108+4+4+4*5 = 184
// bytes without padding.
unsafe impl Pod for SocketInfo {}

impl SocketInfo {
    /// Nothing is known.
    // SAFETY: integers and arrays of them: zero bytes are a value.
    pub const EMPTY: Self = unsafe { core::mem::zeroed() };

    /// Takes what does not change (addresses, peer and inode) from what was known
    /// earlier, where it was not read again, and where it is gone: a reset takes a
    /// socket's port away (`inet_put_port`, net/ipv4/inet_hashtables.c).
    pub fn place_as(&mut self, earlier: &Self) {
        let gone = self.local_port == 0 && earlier.local_port != 0;
        if self.family == earlier.family && (self.inode == 0 || gone) {
            *self = Self {
                state: self.state,
                shutdown: self.shutdown,
                reset: self.reset,
                error: self.error,
                unread: self.unread,
                unacknowledged: self.unacknowledged,
                unsent: self.unsent,
                seen: self.seen,
                ..*earlier
            };
        }
    }
}

/// Added to [`End::how`]: the ending is an operation of io_uring, not a system
/// call.
pub const BY_URING: u32 = 0x100;

/// One ending.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Kind [`crate::Kind::End`].
    pub header: Header,
    /// An [`EndKind`].
    pub kind: u32,
    /// For a shutdown: its second argument (1 `SHUT_WR`, 2 `SHUT_RDWR`).
    /// [`BY_URING`] is added where io_uring makes the ending.
    pub how: u32,
    /// References to the open socket file, this descriptor's included: 1 means
    /// that this ending releases it.
    pub references: u32,
    /// For an exit: the wait status (signal in the low 7 bits, exit status in
    /// bits 8 to 15, wait(2)).
    pub wait_status: u32,
    /// The descriptor.
    pub fd: i32,
    /// Of an ending that walks over a process's descriptors: tells the walk
    /// from others.
    pub walk: u32,
    /// A [`crate::StackCopy`]: whether the thread's stack was copied.
    pub stack: u32,
    /// Explicit padding.
    pub pad: u32,
    /// The thread's name.
    pub comm: [u8; 16],
    /// The counters at that moment.
    pub connection: Connection,
    /// The socket at that moment. Where the connection's [`crate::Open`] was sent,
    /// only its state: what does not change is in that
    /// ([`SocketInfo::place_as`]).
    pub socket: SocketInfo,
}

// SAFETY: repr(C), Pod parts and integers, each at a multiple of its
// alignment, without padding.
unsafe impl Pod for End {}
