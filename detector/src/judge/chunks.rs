//! Follows a chunked body through calls of which only the beginning was seen.

use crate::http::{ChunkDecoder, Chunks};

/// Where the body is after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// It ended at this offset.
    Ended(u64),
    /// It goes on after the call.
    Within,
    /// It cannot be followed: bytes that matter were not seen, or it is not
    /// chunked.
    Lost,
}

/// Follows a body whose next byte is at offset `at` through a call that moved
/// the bytes from `offset` to `end`, of which `data` are the first.
pub(super) fn follow(
    at: u64,
    decoder: &mut ChunkDecoder,
    offset: u64,
    end: u64,
    data: &[u8],
) -> Followed {
    if let Some(unseen) = offset.checked_sub(at)
        && !decoder.skip(unseen)
    {
        return Followed::Lost;
    }
    let from = at.max(offset);
    let seen = usize::try_from(from - offset)
        .ok()
        .and_then(|skip| data.get(skip..))
        .unwrap_or_default();
    match decoder.feed(seen) {
        Chunks::Done(length) => Followed::Ended(from + length as u64),
        Chunks::Invalid => Followed::Lost,
        Chunks::More => match end.checked_sub(from + seen.len() as u64) {
            Some(unseen) if decoder.skip(unseen) => Followed::Within,
            _ => Followed::Lost,
        },
    }
}
