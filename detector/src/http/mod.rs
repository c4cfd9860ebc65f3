//! HTTP/1.0 and HTTP/1.1 on the wire: heads and framing. Pure.
//!
//! Only framing is read: the start line, `Content-Length`,
//! `Transfer-Encoding`. No other header value leaves the parser.

mod chunked;
mod framing;
mod head;
mod proxy;

pub use chunked::{ChunkDecoder, ChunkPart, Chunks};
pub use framing::{Framing, framing};
pub use head::{
    Head, Lengths, Parsed, StartLine, after_empty_lines, may_be_request, parse, parse_seen,
};
pub use proxy::{ProxyHeader, proxy_header};
