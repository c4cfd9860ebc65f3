//! How an engine watches.

use std::time::Duration;

use crate::capture::live;

/// How to watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// What the kernel side is told.
    pub(crate) live: live::Options,
    /// No progress for so long is a finding; 0 is off.
    pub(crate) stall: Duration,
    /// What the peer cut short is a finding too.
    pub(crate) show_peer: bool,
    /// It goes on for months.
    pub(crate) monitor: Option<Monitor>,
}

/// What a watch without end needs besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Monitor {
    /// Most connections that are tracked.
    pub(crate) connections: usize,
    /// Resident memory, bytes, within which programs are read to name stacks.
    pub(crate) memory: u64,
}
