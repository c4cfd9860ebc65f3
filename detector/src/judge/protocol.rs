//! What a connection speaks.

use super::unjudged::Unjudged;
use crate::http::Protocol;

/// What a connection speaks whose first bytes are no HTTP/1 head.
pub(super) fn speaks(first: &[u8]) -> Unjudged {
    match Protocol::of(first) {
        Protocol::Tls => Unjudged::Encrypted,
        Protocol::Http2 => Unjudged::Http2,
        Protocol::Other => Unjudged::NotHttp,
    }
}
