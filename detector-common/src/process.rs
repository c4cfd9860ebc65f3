//! The end of a watched process.

use crate::{Header, Plain};

/// The last thread of a watched process is gone; its endings came before.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// Kind [`crate::Kind::Process`].
    pub header: Header,
    /// The wait status (wait(2)).
    pub wait_status: u32,
    /// Explicit padding.
    pub pad: u32,
}

// SAFETY: repr(C), a 32-byte Plain and two integers without padding.
unsafe impl Plain for ProcessEvent {}
