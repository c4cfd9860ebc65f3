//! The decoders of 0.1.0, with which `detector-framing` has to agree until the kernel side
//! frames messages itself: httparse for heads, a decoder of whole bytes for chunks.

mod chunks;
mod head;

pub use chunks::{ChunkDecoder, ChunkPart, Chunks};
pub use head::{Head, Lengths, Parsed, StartLine, parse};
