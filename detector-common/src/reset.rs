//! A reset that the kernel sent on a connection.

use crate::{Header, Pod};

/// A reset, and what it took back of what was sent. It comes when it comes, after the
/// end of the connection too, and has no number among the connection's records.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Kind [`crate::Kind::Reset`]. The process is whoever the kernel interrupted, but
    /// for the one whose call sends it.
    pub header: Header,
    /// Bytes that were sent and not acknowledged by the peer.
    pub unacknowledged: u32,
    /// Those of them that had not gone out: nobody will receive them.
    pub unsent: u32,
    /// 1: it answers what the peer sent; 0: this side sent it of its own accord.
    pub answers: u32,
    /// Explicit padding.
    pub pad: u32,
}

// SAFETY: repr(C), a 32-byte Pod and four integers, without padding.
unsafe impl Pod for Reset {}
