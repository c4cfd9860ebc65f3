//! The decoders of 0.1.0, with which `detector-framing` has to agree until the kernel side
//! frames messages itself: httparse for heads, a decoder of whole bytes for chunks.

mod chunks;
mod framing;
mod head;
mod proxy;
mod stream;

pub use chunks::{ChunkDecoder, ChunkPart, Chunks};
pub use framing::{Framing, framing};
pub use head::{Head, Lengths, Parsed, StartLine, parse};
pub use proxy::{ProxyHeader, proxy_header};
pub use stream::{Step, steps};
