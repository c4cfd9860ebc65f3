//! HTTP/1 framing: where messages begin and end (RFC 9112), and nothing else.
//!
//! Bytes go in, in pieces that are split anywhere; positions come out. Every state is a
//! small `#[repr(C)]` value that starts as zeros. It holds integers alone, without implicit
//! padding: any bytes of a BPF map are one, and a copy has no byte that nothing wrote. One
//! `turn` is one bounded step without a loop over the input: user space calls it in a loop,
//! a BPF program from `bpf_loop`.
//!
//! | module | what it knows | RFC |
//! | --- | --- | --- |
//! | [`window`] | how bytes are read: a word at an offset | |
//! | [`sniff`] | what a connection speaks, where a message may begin | 9112 2.2, 8446 5.1, 9113 3.4 |
//! | [`proxy`] | the PROXY protocol's header ahead of the first message | |
//! | [`head`] | start lines, the fields that frame, where a head ends | 9112 2 to 5 |
//! | [`mod@framing`] | how long a body is | 9112 6.3 |
//! | [`chunks`] | chunk sizes, extensions, trailers | 9112 7.1 |
//! | [`stream`] | one message behind the other: *read here* or *skip so many bytes* | 9112 9.3 |
//! | [`methods`] | which request a response answers | 9110 9, 9112 9.3.2 |
//!
//! The crate must not own a buffer, allocate, panic, do I/O, know the time, sockets or
//! calls, or decide who is to blame.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod chunks;
mod class;
pub mod framing;
pub mod head;
pub mod methods;
pub mod proxy;
pub mod sniff;
pub mod stream;
pub mod window;

pub use chunks::{ChunkDecoder, ChunkPart, Chunks};
pub use framing::{Framing, framing};
pub use head::{Coding, Head, HeadParser, HeadPart, Lengths, Parsed, Start};
pub use methods::{Method, Outstanding};
pub use proxy::{ProxyHeader, proxy_header};
pub use sniff::{
    Protocol, after_empty_lines, begins_message, is_response, may_be_request, may_be_response,
    may_begin_message,
};
pub use stream::{Event, Framer, Lost, Need, Turn};
pub use window::{Slice, Window};
