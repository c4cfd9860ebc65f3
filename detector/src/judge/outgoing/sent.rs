//! A call that sent bytes, as far as it was seen.

use crate::judge::{chunks::Seen, flaw::By};

/// A call that sent bytes, or a part of one, as far as it was sampled.
#[derive(Clone, Copy, Debug)]
pub(in crate::judge) struct Sent<'a> {
    /// Offset of its first byte.
    pub(in crate::judge) offset: u64,
    /// Bytes that it sent.
    pub(in crate::judge) moved: u64,
    /// The first of them.
    pub(in crate::judge) data: &'a [u8],
    /// The last of them, where `data` does not hold them.
    pub(in crate::judge) tail: &'a [u8],
    /// Bytes received by then.
    pub(in crate::judge) received: u64,
    /// Bytes went out on this connection that were not looked at.
    pub(in crate::judge) unseen: bool,
    /// It is the call's beginning.
    pub(in crate::judge) begins_call: bool,
    /// Which call it is.
    pub(in crate::judge) by: By,
}

impl Sent<'_> {
    pub(in crate::judge) fn end(&self) -> u64 {
        self.offset + self.moved
    }

    /// What was seen of it from this offset on, if that was seen.
    pub(super) fn from(&self, at: u64) -> Option<&[u8]> {
        let part = |start: u64, bytes| {
            let skip = usize::try_from(at.checked_sub(start)?).ok()?;
            <[u8]>::get(bytes, skip..).filter(|seen| !seen.is_empty())
        };
        let tail_at = self.end().saturating_sub(self.tail.len() as u64);
        part(self.offset, self.data).or_else(|| part(tail_at, self.tail))
    }

    pub(in crate::judge) fn seen(&self) -> Seen<'_> {
        Seen {
            offset: self.offset,
            end: self.end(),
            start: self.data,
            tail: self.tail,
        }
    }
}
