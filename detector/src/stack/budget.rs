//! How much of programs may be read, in a process whose memory is bounded.

use super::Room;
use crate::process::heap;

/// What is left free for all else, bytes.
const MARGIN: u64 = 6 << 20;

/// Bytes of unwind tables that are kept where memory is bounded.
const TABLES: usize = 4 << 20;

/// A bound for resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget(Option<u64>);

impl Budget {
    /// Whatever it takes.
    #[cfg(test)]
    pub(super) const AMPLE: Self = Self(None);

    /// Resident memory, bytes, that this process may come to.
    #[cfg(test)]
    pub(super) fn up_to(bytes: u64) -> Self {
        Self(Some(bytes))
    }

    pub(super) fn of(room: &Room) -> Self {
        Self(room.memory)
    }

    /// Whether there is a bound: what was read is then let go at once.
    pub(super) fn is_bounded(&self) -> bool {
        self.0.is_some()
    }

    /// Whether so much may be read now.
    pub(super) fn allows(&self, bytes: u64) -> bool {
        let Some(most) = self.0 else { return true };
        let after = heap::resident()
            .saturating_add(bytes)
            .saturating_add(MARGIN);
        after <= most
    }

    /// Bytes of unwind tables that are kept.
    pub(super) fn tables(&self) -> usize {
        if self.is_bounded() {
            TABLES
        } else {
            usize::MAX
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_beside_what_there_is_is_not_read() {
        assert!(Budget::AMPLE.allows(u64::MAX));
        let budget = Budget::up_to(1 << 40);
        assert!(budget.allows(1 << 30));
        assert!(!budget.allows(1 << 40));
        assert!(!Budget::up_to(1).allows(0));
    }
}
