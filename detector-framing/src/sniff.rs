//! What a connection speaks, and where a message may begin.

use crate::{
    Slice, Window,
    class::{before, low_byte, lowest, not_in_methods},
};

/// What the first bytes of a direction are that are no HTTP/1 head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A TLS record: handshake, change, alert or data, version 3.x (RFC 8446 section 5.1).
    Tls,
    /// The client's preface of HTTP/2 (RFC 9113 section 3.4).
    Http2,
    /// Neither.
    Other,
}

impl Protocol {
    /// Tells it by the first eight bytes; of fewer, by those.
    #[must_use]
    pub fn of(first: &[u8]) -> Self {
        Self::of_word(Slice(first).word(0), Slice(first).len())
    }

    /// The same, of the first `known` bytes of the eight.
    #[inline(always)]
    #[must_use]
    pub const fn of_word(first: u64, known: u32) -> Self {
        match first.to_le_bytes() {
            [0x14..=0x17, 3, ..] if known >= 2 => Self::Tls,
            [b'P', b'R', b'I', b' ', b'*', b' ', b'H', b'T'] if known >= 8 => Self::Http2,
            _ => Self::Other,
        }
    }
}

/// Returns the bytes behind the empty lines at their start, which are to be ignored
/// (RFC 9112 section 2.2).
#[must_use]
pub fn after_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte));
    start
        .and_then(|start| bytes.get(start..))
        .unwrap_or_default()
}

/// With which a status line begins (RFC 9112 section 4).
const STATUS_LINE: &[u8] = b"HTTP/";
const STATUS_START: u64 = u64::from_le_bytes(*b"HTTP/\0\0\0");

/// Whether bytes begin as a response does.
#[must_use]
pub fn is_response(bytes: &[u8]) -> bool {
    bytes.starts_with(STATUS_LINE)
}

/// Whether bytes begin as a response does, as far as they go; none may be anything.
#[must_use]
pub fn may_be_response(bytes: &[u8]) -> bool {
    is_response(bytes) || STATUS_LINE.starts_with(bytes)
}

/// Whether bytes may be the first of a message, by the fewest of them that can tell: a
/// response's, or a method of at least three capitals and hyphens and the blank behind it
/// (RFC 9112 section 3). Fewer bytes than that may be.
#[must_use]
pub fn may_begin_message(bytes: &[u8]) -> bool {
    let window = Slice(bytes);
    begins_message(&window, 0, window.len())
}

/// The same, of the bytes from offset `at` of a piece that ends at `end`.
#[inline(always)]
#[must_use]
pub fn begins_message<W: Window>(window: &W, at: u32, end: u32) -> bool {
    let known = end.saturating_sub(at);
    let first = window.word(at);
    let start = known.min(5);
    if before(first, start) == before(STATUS_START, start) {
        return known > 0;
    }
    // Registered methods have 17 letters at most (UPDATEREDIRECTREF).
    let mut length = lowest(not_in_methods(first));
    for place in [8, 16] {
        if length == place {
            let word = window.word(at.wrapping_add(place));
            length = length.wrapping_add(lowest(not_in_methods(word)));
        }
    }
    let length = window.keep(length);
    let behind = low_byte(window.word(at.wrapping_add(length)));
    length >= known.min(LONGEST_METHOD) || (length >= 3 && behind == b' ')
}

/// Bytes that are looked at for the blank behind a method.
const LONGEST_METHOD: u32 = 20;

/// Whether bytes begin as a request does (RFC 9112 section 3), whatever its fields are: a
/// method and, where the line's end is there, the version. HTTP/0.9 has GET alone.
#[must_use]
pub fn may_be_request(bytes: &[u8]) -> bool {
    let line = after_empty_lines(bytes);
    let end = line.iter().position(|byte| *byte == b'\n');
    let line = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let Some(space) = line.iter().position(|byte| *byte == b' ') else {
        return false;
    };
    let (Some(method), Some(rest)) = (line.get(..space), line.get(space..)) else {
        return false;
    };
    let capitals = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-';
    let versioned = rest.windows(6).any(|word| word == b" HTTP/");
    method.len() >= 3
        && method.iter().all(capitals)
        && rest.len() > 1
        && (end.is_none() || versioned || method == b"GET")
}
