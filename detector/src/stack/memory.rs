//! The copied memory.

use detector_common::STACK_PIECE;

/// Stack memory, from the page of the stack pointer on.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    start: u64,
    bytes: Vec<u8>,
}

impl Memory {
    /// Takes the next piece; one that does not follow the last is left.
    pub(super) fn push(&mut self, address: u64, piece: &[u8; STACK_PIECE]) {
        if self.bytes.is_empty() {
            self.start = address;
        }
        if self.end() == address {
            self.bytes.extend_from_slice(piece);
        }
    }

    fn end(&self) -> u64 {
        self.start.wrapping_add(self.bytes.len() as u64)
    }

    /// Bytes there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// `N` bytes.
    pub(super) fn read<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// A word.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.read(address).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_within_what_was_copied_and_nothing_else() {
        let mut memory = Memory::default();
        assert_eq!(memory.word(0), None);
        memory.push(0x5000, &[1; STACK_PIECE]);
        memory.push(0x7000, &[3; STACK_PIECE]);
        memory.push(0x6000, &[2; STACK_PIECE]);
        assert_eq!(memory.len(), 2 * STACK_PIECE);
        assert_eq!(memory.word(0x4fff), None);
        assert_eq!(memory.word(0x5000), Some(0x0101_0101_0101_0101));
        assert_eq!(memory.word(0x5ffc), Some(0x0202_0202_0101_0101));
        assert_eq!(memory.word(0x6ff8), Some(0x0202_0202_0202_0202));
        assert_eq!(memory.word(0x6ff9), None);
        assert_eq!(memory.word(u64::MAX), None);
    }
}
