//! What a connection speaks, and where a message may begin.

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
    pub const fn of(first: &[u8]) -> Self {
        match first {
            [0x14..=0x17, 3, ..] => Self::Tls,
            [b'P', b'R', b'I', b' ', b'*', b' ', b'H', b'T', ..] => Self::Http2,
            _ => Self::Other,
        }
    }
}

/// What the bytes begin with, where a header of the PROXY protocol may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A header of so many bytes.
    Whole(usize),
    /// The beginning of one.
    Partial,
    /// Something else.
    None,
}

/// Longest header of version 1, its line end included.
const LINE_LIMIT: usize = 107;

/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// How many bytes of a header of version 2 tell its length.
const FIXED: usize = 16;

/// Looks for a header of the PROXY protocol, of either version, at the start of a
/// connection: a proxy sends it ahead of the first message (HAProxy's
/// doc/proxy-protocol.txt, sections 2.1 and 2.2).
#[must_use]
pub fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    let begins =
        |word: &[u8]| !bytes.is_empty() && (bytes.starts_with(word) || word.starts_with(bytes));
    if begins(b"PROXY ") {
        let line = bytes.get(..bytes.len().min(LINE_LIMIT)).unwrap_or_default();
        return match line.windows(2).position(|two| two == b"\r\n") {
            Some(end) => ProxyHeader::Whole(end.saturating_add(2)),
            None if line.len() < LINE_LIMIT => ProxyHeader::Partial,
            None => ProxyHeader::None,
        };
    }
    // Empty lines alone stand before messages too.
    if bytes.len() <= 4 || !begins(SIGNATURE) {
        return ProxyHeader::None;
    }
    match bytes.get(FIXED.saturating_sub(2)..FIXED) {
        Some(&[high, low]) => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            ProxyHeader::Whole(FIXED.saturating_add(length))
        }
        _ => ProxyHeader::Partial,
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
    if !bytes.is_empty() && may_be_response(bytes) {
        return true;
    }
    for (place, byte) in bytes.iter().take(LONGEST_METHOD).enumerate() {
        match byte {
            b' ' => return place >= 3,
            b'A'..=b'Z' | b'-' => {}
            _ => return false,
        }
    }
    !bytes.is_empty()
}

/// Bytes that are looked at for the blank behind a method; registered ones have 17 at most
/// (UPDATEREDIRECTREF).
const LONGEST_METHOD: usize = 20;

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
