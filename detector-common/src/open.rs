//! A connection as it was when it first sent bytes.

use crate::{Header, Pod, SocketInfo};

/// What a connection is. One that sends nothing owes nothing: it has none.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Kind [`crate::Kind::Open`].
    pub header: Header,
    /// The thread's name.
    pub comm: [u8; 16],
    /// The socket at that moment.
    pub socket: SocketInfo,
}

// SAFETY: repr(C), Pod parts and an array of bytes, each at a multiple of its
// alignment, without padding.
unsafe impl Pod for Open {}
