//! Counters of the kernel side: an array map with one slot per name.

/// Slots of the `STATS` map, each a `u64` per CPU.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Connections taken up.
    Connections = 0,
    /// Records that found the ring buffer full.
    RingFull = 1,
    /// Calls on connections that found the connection map full.
    ConnectionsFull = 2,
    /// Starts of writes or reads that could not be read from user memory.
    Unreadable = 3,
    /// Descriptors of an ending process that were beyond the walk's bound.
    ExitWalkCut = 4,
    /// Socket calls by 32-bit processes, whose arguments are laid out
    /// differently and whose endings are not seen.
    Compat = 5,
    /// Pieces of stacks that found their ring buffer full.
    StacksFull = 6,
    /// Children of processes that are watched without theirs.
    Children = 7,
    /// Connections whose last end found the ring buffer full: of many of them, nothing
    /// else was told.
    EndsLost = 8,
}

impl Stat {
    /// All of them, in slot order.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::RingFull,
        Self::ConnectionsFull,
        Self::Unreadable,
        Self::ExitWalkCut,
        Self::Compat,
        Self::StacksFull,
        Self::Children,
        Self::EndsLost,
    ];
}

impl Stat {
    /// Its name in summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::RingFull => "ring-full",
            Self::ConnectionsFull => "connections-full",
            Self::Unreadable => "unreadable",
            Self::ExitWalkCut => "exit-walk-cut",
            Self::Compat => "32-bit",
            Self::StacksFull => "stacks-full",
            Self::Children => "children",
            Self::EndsLost => "ends-lost",
        }
    }
}
