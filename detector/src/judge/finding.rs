//! What a finding says.

use std::net::SocketAddr;

use detector_common::{StackCopy, send_queue};

/// Why a message is short; the names are the interface's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// `shutdown(SHUT_WR or SHUT_RDWR)` before the promised bytes.
    PrematureShutdown,
    /// The last close before the promised bytes.
    PrematureClose,
    /// The process ended before the promised bytes.
    ProcessExit,
    /// The next message began before the promised bytes, on a connection that
    /// goes on.
    Desync,
    /// A chunked body without its last chunk or its trailer section.
    UnterminatedChunked,
    /// No byte was accepted for long; the connection is open.
    Stalled,
    /// More bytes than promised.
    Overrun,
    /// All bytes were accepted, and then the connection was ended so that the
    /// kernel sends a reset, which takes from the peer what it has not read, and what was
    /// not sent yet.
    DeliveryAtRisk,
    /// The peer was gone before this side ended.
    PeerClosed,
}

impl Cause {
    /// Each with the fault that it most often has.
    pub const WITH_FAULTS: [(Self, Fault); 9] = [
        (Self::PrematureShutdown, Fault::Local),
        (Self::PrematureClose, Fault::Local),
        (Self::ProcessExit, Fault::Local),
        (Self::Desync, Fault::Local),
        (Self::UnterminatedChunked, Fault::Local),
        (Self::Stalled, Fault::Unknown),
        (Self::Overrun, Fault::Local),
        (Self::DeliveryAtRisk, Fault::Unknown),
        (Self::PeerClosed, Fault::Peer),
    ];

    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrematureShutdown => "premature-shutdown",
            Self::PrematureClose => "premature-close",
            Self::ProcessExit => "process-exit",
            Self::Desync => "desync",
            Self::UnterminatedChunked => "unterminated-chunked",
            Self::Stalled => "stalled",
            Self::Overrun => "overrun",
            Self::DeliveryAtRisk => "delivery-at-risk",
            Self::PeerClosed => "peer-closed",
        }
    }
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The watched process's.
    Local,
    /// The other side's.
    Peer,
    /// It cannot be told: the peer had half-closed, which may or may not mean
    /// that it no longer wanted the rest; or it may have got all.
    Unknown,
}

impl Fault {
    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Unknown => "unknown",
        }
    }
}

/// What the message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side sends the request.
    Request,
    /// This side sends the response.
    Response,
}

impl Role {
    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// What tells where a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Content-Length.
    ContentLength,
    /// The chunked transfer coding.
    Chunked,
}

impl Framing {
    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContentLength => "content-length",
            Self::Chunked => "chunked",
        }
    }
}

/// The message that is short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request or response.
    pub role: Role,
    /// What tells where it ends.
    pub framing: Framing,
    /// Status code of a response.
    pub status: Option<u16>,
    /// Method of the request, its own or the one it answers, where seen.
    pub method: Option<String>,
    /// Target of that request, whole.
    pub target: Option<String>,
    /// Offset of its head among the bytes sent on the connection.
    pub head_offset: u64,
    /// Bytes of its head, the empty line included; `None` where its end was not
    /// seen.
    pub head_bytes: Option<u64>,
}

/// One end of the socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Inet(SocketAddr),
    /// A Unix socket's path; an abstract one begins with `@`, as ss(8) and
    /// strace write it.
    Unix(String),
}

/// How this side ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndingKind {
    /// `shutdown`.
    Shutdown {
        /// `SHUT_RDWR` rather than `SHUT_WR`.
        both: bool,
    },
    /// The last close.
    Close,
    /// The same, by `close_range`.
    CloseRange,
    /// The same, by `dup2` or `dup3` over the descriptor.
    Replace,
    /// The same, by an exec (`FD_CLOEXEC`).
    Exec,
    /// It did not end: the next message began, or bytes that are none, by this
    /// call (`detector_common::CallEntry`).
    Next {
        /// Number of the call.
        call: u16,
    },
    /// It did not end.
    Open,
    /// The end of the process; its wait status (wait(2)).
    Exit {
        /// As wait(2) gives it.
        wait_status: u32,
    },
}

impl EndingKind {
    /// The kind's name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shutdown { .. } => "shutdown",
            Self::Close | Self::CloseRange | Self::Replace | Self::Exec => "close",
            Self::Next { .. } => "next-message",
            Self::Open => "open",
            Self::Exit { .. } => "exit",
        }
    }
}

/// How full a socket's send queue is: whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendQueue {
    /// The peer has taken all that was sent: this side has to send more.
    Empty,
    /// Bytes wait for the peer, and there is room for more.
    Partial,
    /// There is no room: the peer has to take some first.
    Full,
}

impl SendQueue {
    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }

    /// Reads what the counters say (`detector_common::send_queue`).
    pub(super) const fn from_number(number: u16) -> Option<Self> {
        match number {
            send_queue::EMPTY => Some(Self::Empty),
            send_queue::PARTIAL => Some(Self::Partial),
            send_queue::FULL => Some(Self::Full),
            _ => None,
        }
    }
}

/// When and how this side ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub kind: EndingKind,
    /// By an operation of io_uring instead of a system call.
    pub by_uring: bool,
    /// When, `CLOCK_MONOTONIC` nanoseconds.
    pub time_ns: u64,
    /// Nanoseconds since the kernel last accepted bytes; `None` if it never
    /// did.
    pub idle_ns: Option<u64>,
    /// Of a message that is at risk: bytes that were not sent when the reset was due, and
    /// that nobody will receive; `None` where that was not read.
    pub unsent: Option<u32>,
    /// The reset came after the ending, when the peer sent more.
    pub late: bool,
    /// Whether the stack of the thread that made it was copied.
    pub stack: StackCopy,
}

/// A call that led there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it returned, `CLOCK_MONOTONIC` nanoseconds; `None` if not known.
    pub time_ns: Option<u64>,
    /// Its name.
    pub call: String,
    /// Bytes it offered or had room for, where known.
    pub offered: Option<u64>,
    /// What it returned: bytes, or a negative errno; `None` where not known.
    pub result: Option<i64>,
    /// The thread.
    pub tid: Option<u32>,
}

/// One message that is not what was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub cause: Cause,
    /// Whose doing.
    pub fault: Fault,
    /// The connection, by its cookie.
    pub connection: u64,
    /// The process that ended it.
    pub pid: u32,
    /// The thread of it.
    pub tid: u32,
    /// That thread's name.
    pub comm: String,
    /// The descriptor, where there is one.
    pub fd: Option<u32>,
    /// `AF_UNIX`, `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// TCP: bytes that were received and not read when it was closed; `None` where that
    /// was not read.
    pub unread: Option<u32>,
    /// `SO_LINGER` with time 0 was set when it was closed; likewise.
    pub reset: Option<bool>,
    /// Inode number of the socket, as in `/proc/PID/fd`.
    pub inode: Option<u64>,
    /// This side's address.
    pub local: Option<Address>,
    /// The other side's.
    pub peer: Option<Address>,
    /// The other side's process (Unix sockets).
    pub peer_pid: Option<u32>,
    /// The message.
    pub message: Message,
    /// Nothing that was received bears out that it is one: no request of a response, no
    /// answer to a request.
    pub alone: bool,
    /// The same, in a log that may not tell of what was received: then it is one only if
    /// nothing that would refute it was.
    pub rests_on_reads: bool,
    /// The log has a call that received on the connection, and not the bytes.
    pub reads_hidden: bool,
    /// Body bytes promised by Content-Length; `None` for a chunked body.
    pub promised: Option<u64>,
    /// Body bytes that the kernel accepted; `None` for a chunked body.
    pub sent: Option<u64>,
    /// Bytes accepted of head and body together, where it is not known how many
    /// of them are the body's.
    pub sent_with_head: Option<u64>,
    /// Bytes that the last send call offered and the kernel did not take;
    /// `None` if it is not known how many it offered.
    pub stranded: Option<u64>,
    /// How full the send queue is of a message that stalls; `None` where that is not
    /// known.
    pub send_queue: Option<SendQueue>,
    /// How it ended.
    pub ending: Ending,
    /// The last calls, oldest first.
    pub timeline: Vec<TimelineEntry>,
}

impl Finding {
    /// Body bytes that never reached the kernel; `None` where it is not known.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        Some(self.promised?.saturating_sub(self.sent?))
    }
}
