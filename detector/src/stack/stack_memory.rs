//! The copied memory.

/// Stack memory, from the stack pointer on; without the pages that were not in
/// memory, as those of a large buffer that is not used yet.
#[derive(Clone, Debug, Default)]
pub(super) struct StackMemory(Vec<(u64, Box<[u8]>)>);

impl StackMemory {
    /// Takes a piece, the ones before it first.
    pub(super) fn push(&mut self, address: u64, piece: &[u8]) {
        if address >= self.end() {
            self.0.push((address, piece.into()));
        }
    }

    /// The address behind the last piece.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |(address, piece)| {
            address.saturating_add(piece.len() as u64)
        })
    }

    /// Bytes from the first piece to the last.
    pub(super) fn span(&self) -> u64 {
        let start = self.0.first().map_or(0, |(address, _)| *address);
        self.end().saturating_sub(start)
    }

    fn byte(&self, address: u64) -> Option<u8> {
        let next = self.0.partition_point(|(start, _)| *start <= address);
        let (start, bytes) = self.0.get(next.checked_sub(1)?)?;
        bytes.get(usize::try_from(address - start).ok()?).copied()
    }

    /// A word.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        for (at, byte) in (0..).zip(&mut bytes) {
            *byte = self.byte(address.checked_add(at)?)?;
        }
        Some(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use detector_common::STACK_PIECE;

    use super::*;

    #[test]
    fn reads_what_was_copied_and_nothing_else() {
        let mut memory = StackMemory::default();
        assert_eq!(memory.word(0), None);
        memory.push(0x5000, &[1; STACK_PIECE]);
        memory.push(0x6000, &[2; STACK_PIECE]);
        memory.push(0x6000, &[9; STACK_PIECE]);
        memory.push(0x8000, &[3; STACK_PIECE]);
        assert_eq!(memory.span(), 4 * STACK_PIECE as u64);
        assert_eq!(memory.word(0x4fff), None);
        assert_eq!(memory.word(0x5000), Some(0x0101_0101_0101_0101));
        assert_eq!(memory.word(0x5ffc), Some(0x0202_0202_0101_0101));
        assert_eq!(memory.word(0x6ff8), Some(0x0202_0202_0202_0202));
        assert_eq!(memory.word(0x6ff9), None);
        assert_eq!(memory.word(0x8ff8), Some(0x0303_0303_0303_0303));
        assert_eq!(memory.word(0x9000), None);
        assert_eq!(memory.word(u64::MAX), None);
    }
}
