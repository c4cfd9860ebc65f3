//! The header of the PROXY protocol, in bytes that are together.

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
            Some(end) => ProxyHeader::Whole(end + 2),
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
