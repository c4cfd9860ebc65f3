//! What is sent.

use std::time::Duration;

/// A request, and how to behave while its response comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// For example `GET`.
    pub method: String,
    /// The request target.
    pub path: String,
    /// Header fields beside `Host` and those that frame the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: RequestBody,
    /// Time between the last byte sent and the first read: how slow a reader to be.
    pub read_delay: Duration,
    /// Body bytes after which to stop reading: a client that leaves early.
    pub stop_after: Option<u64>,
}

/// A request's body, and how its length is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// None, and no header about it.
    None,
    /// With Content-Length.
    Sized(Vec<u8>),
    /// With Transfer-Encoding: chunked; empty pieces are left out, the terminator is added.
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: RequestBody::None,
            read_delay: Duration::ZERO,
            stop_after: None,
        }
    }

    /// A GET request.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST request.
    pub fn post(path: &str, body: RequestBody) -> Self {
        Self {
            body,
            ..Self::new("POST", path)
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets [`Request::read_delay`].
    #[must_use]
    pub fn read_after(mut self, delay: Duration) -> Self {
        self.read_delay = delay;
        self
    }

    /// Sets [`Request::stop_after`].
    #[must_use]
    pub fn stop_after(mut self, bytes: u64) -> Self {
        self.stop_after = Some(bytes);
        self
    }

    /// The head as it goes on the wire, up to and including the empty line.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: testbed\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            RequestBody::None => {}
            RequestBody::Sized(body) => head += &format!("Content-Length: {}\r\n", body.len()),
            RequestBody::Chunked(_) => head += "Transfer-Encoding: chunked\r\n",
        }
        (head + "\r\n").into_bytes()
    }

    /// Head and body as they go on the wire.
    pub fn message(&self) -> Vec<u8> {
        let mut message = self.head();
        match &self.body {
            RequestBody::None => {}
            RequestBody::Sized(body) => message.extend_from_slice(body),
            RequestBody::Chunked(pieces) => {
                for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                    message.extend(chunk(piece));
                }
                message.extend_from_slice(LAST_CHUNK);
            }
        }
        message
    }
}

/// What ends a chunked body without trailers (RFC 9112, section 7.1).
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// `data` as one chunk (RFC 9112, section 7.1).
pub(super) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
