//! What came of a request.

use std::io;

/// What the client saw of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status code; `None` if no whole head arrived.
    pub status: Option<u16>,
    /// Content-Length, in bytes, if there was one.
    pub promised: Option<u64>,
    /// Bytes in the final head, with its empty line. Interim (1xx) heads do not count.
    pub head_bytes: u64,
    /// Body bytes that arrived, without the framing of chunks.
    pub received: u64,
    /// Bytes of this response taken off the socket: heads, framing and body.
    pub wire: u64,
    /// How it ended.
    pub end: End,
    /// What went wrong while sending, if something did. The response is read all the same.
    pub write_error: Option<io::ErrorKind>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// All of it arrived. Without Content-Length and chunks the peer's close is the end
    /// (RFC 9112, section 6.3), so then this says only that the close was an orderly one.
    Complete,
    /// The peer closed before the end.
    Eof,
    /// The connection was reset before the end.
    Reset,
    /// Nothing came for as long as the connection's timeout.
    Timeout,
    /// This client had enough: see [`super::Request::stop_after`].
    Stopped,
    /// What came is not HTTP/1.1.
    Malformed(&'static str),
    /// Any other error of reading.
    Failed(io::ErrorKind),
}

impl Outcome {
    /// Whether everything that was promised arrived.
    pub fn complete(&self) -> bool {
        self.end == End::Complete
    }

    /// Whether the server ended the connection in the middle of a response.
    pub fn truncated(&self) -> bool {
        self.wire > 0 && matches!(self.end, End::Eof | End::Reset)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset => Self::Reset,
            // What SO_RCVTIMEO gives is EAGAIN (socket(7)).
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout,
            kind => Self::Failed(kind),
        }
    }
}
