//! What to watch, and with how much memory.

use detector_common::{COMMS, Comm, SLOTS};

use super::filter::Filter;

/// Bytes that the ring buffer holds where nothing else is asked for: some 12,000
/// short connections.
pub const RING_BYTES: u32 = 16 << 20;

/// What to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Watch every process but this one, as far as it passes the filter.
    pub watch_all: bool,
    /// What a connection has to pass to be taken up.
    pub filter: Filter,
    /// Watch the children of watched processes too.
    pub follow: bool,
    /// Size of the ring buffer in bytes; rounded up to a power of two of
    /// pages.
    pub ring_bytes: u32,
    /// The same of the ring buffer for stacks; `None` for the default.
    pub stack_bytes: Option<u32>,
    /// Most connections at once, at least 2; `None` for the default.
    pub max_connections: Option<u32>,
    /// Whether the stacks of threads that end connections too early are copied.
    pub stacks: Stacks,
    /// Tracepoints, and fields as `structure.path`, that are taken for missing.
    pub hidden: Vec<String>,
    /// The kernel side to load instead of the embedded one: an object with the
    /// same maps and programs.
    pub object: Option<Vec<u8>>,
}

/// Which stacks are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stacks {
    /// None.
    None = 0,
    /// Of a process [`STACK_BURST`](detector_common::STACK_BURST) at once, then one
    /// a second.
    Some = 1,
    /// All.
    All = 2,
}

/// What is watched, as the kernel side needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    pub(super) watch_all: bool,
    pub(super) follow: bool,
    pub(super) filters: u32,
    pub(super) join: bool,
    pub(super) cgroup_levels: u32,
    pub(super) comm_count: u32,
    pub(super) comms: [Comm; COMMS],
    pub(super) slots: u32,
    pub(super) wake_at: u32,
    pub(super) stacks: Stacks,
}

impl Default for Options {
    /// Watches nothing until it is told what.
    fn default() -> Self {
        Self {
            watch_all: false,
            filter: Filter::default(),
            follow: false,
            ring_bytes: RING_BYTES,
            stack_bytes: None,
            max_connections: None,
            stacks: Stacks::Some,
            hidden: Vec::new(),
            object: None,
        }
    }
}

impl Options {
    /// Slots for connections.
    pub(super) fn slots(&self) -> u32 {
        // A single one shows how those do that find theirs taken.
        self.max_connections.map_or(SLOTS, |_| 1)
    }

    /// The same as the kernel side is told.
    pub(super) fn scope(&self) -> Scope {
        let filters = self.filter.bits();
        // With filters, processes join the map as they pass, with their
        // children, which at their start have its name and group.
        let join = self.watch_all && filters != 0;
        Scope {
            watch_all: self.watch_all && !join,
            follow: self.follow || join,
            filters,
            join,
            cgroup_levels: self.filter.cgroup_levels(),
            comm_count: self.filter.comm_count(),
            comms: self.filter.comms(),
            slots: self.slots(),
            wake_at: self.ring_bytes / 4,
            stacks: self.stacks,
        }
    }
}
