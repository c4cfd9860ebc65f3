//! One connection, with as many requests as it will bear.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use rustix::event::PollFlags;

use super::head::Head;
use super::reader::Reader;
use super::request::Request;
use super::stream::Stream;
use super::{Addr, End, Outcome, TIMEOUT};

/// A connection to a server.
#[derive(Debug)]
pub struct Conn {
    reader: Reader,
    reusable: bool,
}

impl Conn {
    /// Connects; every later read and write may take [`TIMEOUT`].
    ///
    /// # Errors
    /// Those of connecting.
    pub fn connect(addr: &Addr) -> io::Result<Self> {
        Self::connect_with(addr, TIMEOUT)
    }

    /// Connects; every later read and write may take `timeout`.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn connect_with(addr: &Addr, timeout: Duration) -> io::Result<Self> {
        let stream = Stream::connect(addr, timeout)?;
        Ok(Self {
            reader: Reader::new(stream),
            reusable: true,
        })
    }

    /// Sends a request in one write and reads the response.
    ///
    /// After a complete response the connection is where it was before: see [`Conn::reusable`].
    pub fn request(&mut self, request: &Request) -> Outcome {
        self.request_into(request, |_| {})
    }

    /// Like [`Conn::request`], and hands the body's bytes to `sink` as they come.
    pub fn request_into(&mut self, request: &Request, sink: impl FnMut(&[u8])) -> Outcome {
        let sent = self.send(&request.message());
        if !request.read_delay.is_zero() {
            thread::sleep(request.read_delay);
        }
        let mut outcome = self.receive_into(request, sink);
        outcome.write_error = sent.err().map(|error| error.kind());
        outcome
    }

    /// Whether another request can follow: all responses so far were complete, and none
    /// announced a close.
    pub fn reusable(&self) -> bool {
        self.reusable
    }

    /// Sends bytes as they are, in one write if the socket takes them.
    ///
    /// # Errors
    /// Those of writing; `EPIPE` if the server has left.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.stream.write_all(bytes)
    }

    /// Waits until there is something to read, or the end, without reading it. False: time is up.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        self.reader.stream.wait(PollFlags::IN, timeout)
    }

    /// Waits until the server has shut down its side, without reading what it had sent. False:
    /// time is up, and the server still means to send.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn wait_hangup(&self, timeout: Duration) -> io::Result<bool> {
        self.reader.stream.wait(PollFlags::RDHUP, timeout)
    }

    /// Shuts down this side: the server reads EOF.
    ///
    /// # Errors
    /// Those of `shutdown`.
    pub fn half_close(&self) -> io::Result<()> {
        self.reader.stream.shutdown_write()
    }

    /// Reads the response to `request`, which was sent by other means.
    pub fn receive(&mut self, request: &Request) -> Outcome {
        self.receive_into(request, |_| {})
    }

    /// Takes what comes up to the end of the stream, or to an error: how many bytes.
    pub fn drain(&mut self) -> u64 {
        let before = self.reader.used();
        while self.reader.take(u64::MAX).is_ok() {}
        self.reader.used() - before
    }

    fn receive_into(&mut self, request: &Request, sink: impl FnMut(&[u8])) -> Outcome {
        let before = self.reader.used();
        let mut outcome = Outcome {
            status: None,
            promised: None,
            head_bytes: 0,
            received: 0,
            wire: 0,
            end: End::Complete,
            write_error: None,
        };
        match self.read_response(request, &mut outcome, sink) {
            Ok(close) => self.reusable &= !close,
            Err(end) => {
                outcome.end = end;
                self.reusable = false;
            }
        }
        outcome.wire = self.reader.used() - before;
        outcome
    }

    /// Whether the server will close the connection, or how the response ended instead.
    fn read_response(
        &mut self,
        request: &Request,
        outcome: &mut Outcome,
        sink: impl FnMut(&[u8]),
    ) -> Result<bool, End> {
        let head = loop {
            let head = Head::read(&mut self.reader)?;
            // Interim responses precede the final one (RFC 9110, section 15.2).
            if head.status >= 200 {
                break head;
            }
        };
        outcome.status = Some(head.status);
        outcome.promised = head.content_length;
        outcome.head_bytes = head.bytes;
        let mut body = Body {
            reader: &mut self.reader,
            received: &mut outcome.received,
            stop_after: request.stop_after,
            sink,
        };

        // Where the body ends: RFC 9112, section 6.3, in its order.
        if request.method == "HEAD" || matches!(head.status, 204 | 304) {
            Ok(head.close)
        } else if head.chunked {
            body.chunks().map(|()| head.close)
        } else if let Some(len) = head.content_length {
            body.pass_on(len).map(|()| head.close)
        } else {
            match body.pass_on(u64::MAX) {
                Err(End::Eof) | Ok(()) => Ok(true),
                Err(end) => Err(end),
            }
        }
    }
}

/// A response's body on its way to the sink.
struct Body<'a, S> {
    reader: &'a mut Reader,
    received: &'a mut u64,
    stop_after: Option<u64>,
    sink: S,
}

impl<S: FnMut(&[u8])> Body<'_, S> {
    /// Exactly `len` bytes.
    fn pass_on(&mut self, mut len: u64) -> Result<(), End> {
        while len > 0 {
            let wanted = self
                .stop_after
                .map_or(len, |stop| len.min(stop - *self.received));
            if wanted == 0 {
                return Err(End::Stopped);
            }
            let piece = self.reader.take(wanted)?;
            (self.sink)(piece);
            *self.received += piece.len() as u64;
            len -= piece.len() as u64;
        }
        Ok(())
    }

    /// Chunks, the last one, and the trailers (RFC 9112, section 7.1).
    fn chunks(&mut self) -> Result<(), End> {
        loop {
            let line = self.reader.line(MOST_LINE)?;
            let len = chunk_size(&line).ok_or(End::Malformed("chunk size"))?;
            if len == 0 {
                break;
            }
            self.pass_on(len)?;
            if self.reader.line(MOST_LINE)? != b"\r\n" {
                return Err(End::Malformed("end of chunk"));
            }
        }
        while self.reader.line(MOST_LINE)? != b"\r\n" {}
        Ok(())
    }
}

/// Bytes that a chunk's size line or a trailer may have.
const MOST_LINE: usize = 8 * 1024;

/// The size in hexadecimal, before any extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let digits = line.split(';').next()?.trim_end();
    // from_str_radix would accept a sign.
    let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_chunk_sizes() {
        assert_eq!(chunk_size(b"1f\r\n"), Some(31));
        assert_eq!(chunk_size(b"0;name=value\r\n"), Some(0));
        for line in [
            &b"\r\n"[..],
            b"+1\r\n",
            b"g\r\n",
            b"1\n",
            b"fffffffffffffffff\r\n",
        ] {
            assert_eq!(chunk_size(line), None, "{line:?}");
        }
    }
}
