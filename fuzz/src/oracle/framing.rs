//! How long a message's body is: RFC 9112 section 6.3.

use super::{Head, Lengths, StartLine};

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
    /// An interim response: the final one is still to come.
    Interim,
    /// HTTP framing ends here for good.
    Tunnel,
    /// The fields contradict each other or are not numbers.
    Malformed,
}

/// Returns the framing of the message with this head. `method` is that of the request
/// that a response answers.
#[must_use]
pub fn framing(head: &Head, method: Option<&str>) -> Framing {
    match head.start {
        StartLine::Request { .. } => match (head.transfer_encoding, head.content_length) {
            (Some(true), _) => Framing::Chunked,
            // A request whose end cannot be told is to be refused (6.3 item 4).
            (Some(false), _) | (None, Lengths::Invalid) => Framing::Malformed,
            (None, Lengths::One(0) | Lengths::Absent) => Framing::NoBody,
            (None, Lengths::One(length)) => Framing::ContentLength(length),
        },
        StartLine::Response { status } => match (status, method) {
            (101, _) => Framing::Tunnel,
            (100..=199, _) => Framing::Interim,
            (200..=299, Some("CONNECT")) => Framing::Tunnel,
            (204 | 304, _) | (_, Some("HEAD")) => Framing::NoBody,
            _ => match (head.transfer_encoding, head.content_length) {
                (Some(true), _) => Framing::Chunked,
                (Some(false), _) | (None, Lengths::Absent) => Framing::UntilClose,
                (None, Lengths::Invalid) => Framing::Malformed,
                (None, Lengths::One(0)) => Framing::NoBody,
                (None, Lengths::One(length)) => Framing::ContentLength(length),
            },
        },
    }
}
