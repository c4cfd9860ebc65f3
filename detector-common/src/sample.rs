//! Bytes that may hold a message head.

use crate::{Header, Pod};

/// Most bytes that one sample carries. A head that is longer comes in several,
/// each where the one before it ended.
pub const SAMPLE_LEN: usize = 4096;

/// Of a call that sends more than [`SAMPLE_LEN`] bytes and begins no message,
/// so many of the first bytes are sampled, which hold the size line of a chunk,
pub const EDGE_START: usize = 64;

/// (of the first call behind a head's, where the body is not chunked, so many: promised
/// bytes that end there are followed by others, or by the next head)
pub const BODY_START: usize = 1024;

/// and so many of the last, which hold the last chunk and its empty line.
pub const EDGE_END: usize = 16;

/// The fixed part of a sample; [`Sample::len`] bytes follow it, then
/// [`Sample::tail`] more.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Kind [`crate::Kind::Sample`].
    pub header: Header,
    /// Offset of the first byte in its direction of the stream.
    pub offset: u64,
    /// Bytes that had passed in the other direction by then.
    pub opposite: u64,
    /// Bytes that the call moved from there, or up to where the next sample of
    /// the same call begins; at most [`i32::MAX`]. The sample is cut if this is
    /// more than `len`.
    pub moved: u32,
    /// Bytes that follow, the first of those; at most [`SAMPLE_LEN`].
    pub len: u32,
    /// 1 for bytes sent, 0 for bytes received.
    pub sending: u32,
    /// The connection's flags of this direction ([`crate::flag`]).
    pub flags: u32,
    /// [`crate::Connection::from_start`].
    pub from_start: u32,
    /// Bytes that follow them: the last that the call moved; at most
    /// [`EDGE_END`].
    pub tail: u32,
    /// The descriptor, or -1.
    pub fd: i32,
    /// System call number.
    pub number: u32,
}

// SAFETY: repr(C), a 32-byte Pod and integers, 80 bytes without padding.
unsafe impl Pod for Sample {}
