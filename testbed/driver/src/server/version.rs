//! The versions of hyper that the server is built against.

use std::fmt;

/// A version of hyper: one on each side of the fix (1.11.0, hyperium/hyper 4018).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HyperVersion {
    /// 1.8.1: may shut a connection down while its response is still being flushed.
    V1_8_1,
    /// 1.12.0: waits for the flush.
    V1_12_0,
}

impl HyperVersion {
    /// Both, the buggy one first.
    pub const ALL: [Self; 2] = [Self::V1_8_1, Self::V1_12_0];

    /// As crates.io writes it.
    pub fn number(self) -> &'static str {
        match self {
            Self::V1_8_1 => "1.8.1",
            Self::V1_12_0 => "1.12.0",
        }
    }

    /// Whether this version has the bug.
    pub fn truncates(self) -> bool {
        matches!(self, Self::V1_8_1)
    }

    /// The package that pins this version, and the folder it is in.
    pub(super) fn package(self) -> String {
        format!("hyper-{}", self.number())
    }
}

impl fmt::Display for HyperVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hyper {}", self.number())
    }
}
