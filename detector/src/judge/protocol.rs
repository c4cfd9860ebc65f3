//! What a connection speaks.

use super::unjudged::Unjudged;

/// What a connection speaks whose first bytes are no HTTP/1 head.
pub(super) fn speaks(first: &[u8]) -> Unjudged {
    match first {
        // A TLS record: handshake, change, alert or data, version 3.x (RFC
        // 8446 section 5.1).
        [0x14..=0x17, 3, ..] => Unjudged::Encrypted,
        // RFC 9113 section 3.4.
        _ if first.starts_with(b"PRI * HT") => Unjudged::Http2,
        _ => Unjudged::NotHttp,
    }
}
