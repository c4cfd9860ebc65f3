//! HTTP/1.0 and HTTP/1.1 messages as the judge and logs have them: whole heads with the
//! words of their start lines. Pure; the syntax is [`detector_framing`]'s.
//!
//! No field value leaves it but what frames.

mod framing;
mod head;

pub use detector_framing::{
    ChunkDecoder, ChunkPart, Chunks, Framing, Lengths, Protocol, ProxyHeader, after_empty_lines,
    is_response, may_be_request, may_be_response, may_begin_message, proxy_header,
};

pub use self::{
    framing::framing,
    head::{Head, Parsed, StartLine, parse, parse_seen},
};
