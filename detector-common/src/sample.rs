//! Bytes that may hold a message head.

use crate::{Header, Plain};

/// Most bytes that one sample carries: what servers take as a request head by
/// default, cookies included (nginx and Apache: 8 KiB).
pub const SAMPLE_LEN: usize = 8192;

/// Most bytes of a send: enough for common response heads and for the small
/// pipelined messages that follow in the same call. Large bodies begin so too,
/// and pay for each byte that is copied.
pub const SEND_SAMPLE_LEN: usize = 4096;

/// The fixed part of a sample; [`Sample::len`] bytes follow it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Kind [`crate::Kind::Sample`].
    pub header: Header,
    /// Offset of the first byte in its direction of the stream.
    pub offset: u64,
    /// Bytes that had passed in the other direction by then.
    pub opposite: u64,
    /// Bytes that the call moved, at most [`i32::MAX`]. The sample is cut if
    /// this is more than `len`.
    pub moved: u32,
    /// Bytes that follow, at most [`SAMPLE_LEN`].
    pub len: u32,
    /// 1 for bytes sent, 0 for bytes received.
    pub sending: u32,
    /// The connection's flags of this direction ([`crate::flag`]).
    pub flags: u32,
    /// [`crate::Connection::fresh`].
    pub fresh: u32,
    /// Explicit padding.
    pub pad: u32,
    /// The descriptor, or -1.
    pub fd: i32,
    /// System call number.
    pub number: u32,
}

// SAFETY: repr(C), a 32-byte Plain and integers, 80 bytes without padding.
unsafe impl Plain for Sample {}
