//! The kernel side's probes on functions of the kernel's.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Probe {
    /// On what `shutdown()` calls.
    Shutdown,
    /// `close()`.
    Close,
    /// `close_range()`.
    CloseRange,
    /// `dup2()`.
    Dup2,
    /// `dup3()`.
    Dup3,
    /// `connect()`.
    Connect,
    /// `sendmmsg()`.
    Sendmmsg,
    /// On what gives a descriptor its file.
    Install,
    /// On what a fork does last.
    Fork,
    /// `sendfile()`.
    Sendfile,
}

impl Probe {
    /// Its bit in the `PROBE_HITS` map.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }
}
