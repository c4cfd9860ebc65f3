//! How bytes are read: a word at an offset.

/// Bytes of one piece of a stream, from offset 0. A piece has less than 2^31 of them: an
/// offset and what is read behind it stay within 32 bits.
///
/// In user space [`Slice`] is one. In a BPF program it is a copy in scratch memory, read by
/// eight-byte loads.
pub trait Window {
    /// Returns eight bytes from offset `at`, the first one lowest. Bytes behind the end of
    /// the piece may be anything.
    fn word(&self, at: u32) -> u64;

    /// Returns `number`. A BPF program passes it by way of the scratch memory, where the
    /// verifier forgets its bounds: it then walks the code behind once, and not once for
    /// each way that leads there.
    #[inline(always)]
    fn keep(&self, number: u32) -> u32 {
        number
    }
}

/// A slice. Bytes behind its end are zeros.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'b>(pub &'b [u8]);

impl Slice<'_> {
    const MOST: u32 = u32::MAX >> 1;

    /// Its length in bytes; what is behind 2 GiB is not seen.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).map_or(Self::MOST, |length| length.min(Self::MOST))
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Window for Slice<'_> {
    #[inline]
    fn word(&self, at: u32) -> u64 {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..));
        let Some(rest) = rest else { return 0 };
        if let Some(eight) = rest.first_chunk::<8>() {
            return u64::from_le_bytes(*eight);
        }
        rest.iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}
