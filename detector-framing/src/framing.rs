//! How long a message's body is: RFC 9112 section 6.3.

use crate::{Coding, Head, Lengths, Method, Start};

/// How the end of a message is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has no body.
    NoBody,
    /// So many bytes.
    ContentLength(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends (responses only).
    UntilClose,
    /// An interim response: the final one is still to come (RFC 9110 section 15.2).
    Interim,
    /// HTTP framing ends here for good.
    Tunnel,
    /// The fields contradict each other or are not numbers.
    Malformed,
}

/// Returns the framing of the message with this head. `method` is that of the request that
/// a response answers; [`Method::Other`] where it is not known.
#[inline(always)]
#[must_use]
pub fn framing(head: &Head, method: Method) -> Framing {
    match head.start {
        Start::Request(_) => match (head.coding, head.lengths) {
            (Coding::Chunked, _) => Framing::Chunked,
            // A request whose end cannot be told is to be refused (item 4).
            (Coding::Other, _) | (Coding::None, Lengths::Invalid) => Framing::Malformed,
            (Coding::None, Lengths::Absent | Lengths::One(0)) => Framing::NoBody,
            (Coding::None, Lengths::One(length)) => Framing::ContentLength(length),
        },
        Start::Response(status) => match (status, method) {
            (101, _) | (200..=299, Method::Connect) => Framing::Tunnel,
            (100..=199, _) => Framing::Interim,
            (204 | 304, _) | (_, Method::Head) => Framing::NoBody,
            _ => match (head.coding, head.lengths) {
                (Coding::Chunked, _) => Framing::Chunked,
                (Coding::Other, _) | (Coding::None, Lengths::Absent) => Framing::UntilClose,
                (Coding::None, Lengths::Invalid) => Framing::Malformed,
                (Coding::None, Lengths::One(0)) => Framing::NoBody,
                (Coding::None, Lengths::One(length)) => Framing::ContentLength(length),
            },
        },
    }
}
