//! What every record begins with.

use crate::Pod;

/// Which record follows the [`Header`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::Sample`]: bytes that may hold a message head.
    Sample = 1,
    /// [`crate::End`]: this side ended a connection, or one descriptor of it.
    End = 2,
    /// [`crate::Open`]: a connection sends its first bytes.
    Open = 3,
    /// [`crate::Reset`]: the kernel sent a reset.
    Reset = 4,
}

/// The first bytes of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`Kind`].
    pub kind: u32,
    /// Number of this record among its connection's records, from 0. A gap
    /// means a lost record.
    pub seq: u32,
    /// The socket's cookie (`SO_COOKIE`): never reused while the host is up,
    /// unlike descriptors, inode numbers and kernel addresses.
    pub cookie: u64,
    /// When the record was made.
    pub time_ns: u64,
    /// The process (thread group) on whose behalf the kernel ran.
    pub tgid: u32,
    /// The thread in it.
    pub tid: u32,
}

// SAFETY: repr(C), integers only, 32 bytes without padding.
unsafe impl Pod for Header {}

impl Header {
    /// The kind, if it is one this version knows.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        [Kind::Sample, Kind::End, Kind::Open, Kind::Reset]
            .into_iter()
            .find(|kind| *kind as u32 == self.kind)
    }
}
