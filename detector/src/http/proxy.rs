//! The header of the PROXY protocol, which a proxy sends ahead of the first message
//! (HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).

/// What the bytes begin with.
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

/// Looks for a header, of either version, at the start of a connection.
#[must_use]
pub fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    let begins =
        |word: &[u8]| !bytes.is_empty() && (bytes.starts_with(word) || word.starts_with(bytes));
    if begins(b"PROXY ") {
        let line = bytes.get(..bytes.len().min(LINE_LIMIT)).unwrap_or_default();
        return match memchr::memmem::find(line, b"\r\n") {
            Some(end) => ProxyHeader::Whole(end + 2),
            None if line.len() < LINE_LIMIT => ProxyHeader::Partial,
            None => ProxyHeader::None,
        };
    }
    // Empty lines alone stand before messages too.
    if bytes.len() <= 4 || !begins(SIGNATURE) {
        return ProxyHeader::None;
    }
    match bytes.get(FIXED - 2..FIXED) {
        Some(&[high, low]) => {
            let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
            ProxyHeader::Whole(length)
        }
        _ => ProxyHeader::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_told_by_their_beginning() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 40312 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(proxy_header(line), ProxyHeader::Whole(41));
        assert_eq!(proxy_header(b"PROXY UNKNOWN\r\n"), ProxyHeader::Whole(15));
        let mut local = SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0]);
        assert_eq!(proxy_header(&local), ProxyHeader::Whole(16));
        let mut four = SIGNATURE.to_vec();
        four.extend([0x21, 0x11, 0, 12]);
        assert_eq!(proxy_header(&four), ProxyHeader::Whole(28));
    }

    #[test]
    fn a_part_is_told_from_something_else() {
        for part in [&b"P"[..], b"PROXY TCP4 1", b"\r\n\r\n\0\r", SIGNATURE] {
            assert_eq!(proxy_header(part), ProxyHeader::Partial, "{part:?}");
        }
        let long = [&b"PROXY "[..], &[b'x'; 200], b"\r\n"].concat();
        for other in [
            &b""[..],
            b"POST / HTTP/1.1",
            b"\r\n",
            b"\r\n\r\nGET /",
            &long,
        ] {
            assert_eq!(proxy_header(other), ProxyHeader::None, "{other:?}");
        }
    }
}
