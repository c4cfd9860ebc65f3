//! How long a message's body is: RFC 9112 section 6.3.

use super::{Head, Lengths, StartLine};

/// How a message's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has no body.
    NoBody,
    /// So many bytes.
    ContentLength(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends (responses only).
    UntilClose,
    /// An interim response: the final one is still to come.
    Interim,
    /// HTTP framing ends here for good.
    Tunnel,
    /// The fields contradict each other or are not numbers.
    Malformed,
}

/// The framing of the message with this head. `method` is that of the request
/// that a response answers, where it is known; unknown is taken for one whose
/// response may have a body.
#[must_use]
pub fn framing(head: &Head, method: Option<&str>) -> Framing {
    match head.start {
        StartLine::Request { .. } => match (head.transfer_encoding, head.content_length) {
            (Some(true), _) => Framing::Chunked,
            // A request whose end cannot be told is to be refused (6.3 item 4).
            (Some(false), _) | (None, Lengths::Invalid) => Framing::Malformed,
            (None, Lengths::One(0) | Lengths::Absent) => Framing::NoBody,
            (None, Lengths::One(length)) => Framing::ContentLength(length),
        },
        StartLine::Response { status } => match (status, method) {
            (101, _) => Framing::Tunnel,
            (100..=199, _) => Framing::Interim,
            (200..=299, Some("CONNECT")) => Framing::Tunnel,
            (204 | 304, _) | (_, Some("HEAD")) => Framing::NoBody,
            _ => match (head.transfer_encoding, head.content_length) {
                (Some(true), _) => Framing::Chunked,
                (Some(false), _) | (None, Lengths::Absent) => Framing::UntilClose,
                (None, Lengths::Invalid) => Framing::Malformed,
                (None, Lengths::One(0)) => Framing::NoBody,
                (None, Lengths::One(length)) => Framing::ContentLength(length),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Parsed, parse};

    fn of(text: &str, method: Option<&str>) -> Framing {
        match parse(text.as_bytes()) {
            Parsed::Complete(head) => framing(&head, method),
            other => unreachable!("{text:?} is {other:?}"),
        }
    }

    #[test]
    fn responses() {
        let length = "Content-Length: 9\r\n\r\n";
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        let cases = [
            (
                format!("HTTP/1.1 200 OK\r\n{length}"),
                Some("GET"),
                Framing::ContentLength(9),
            ),
            (
                format!("HTTP/1.1 200 OK\r\n{length}"),
                None,
                Framing::ContentLength(9),
            ),
            (
                format!("HTTP/1.1 206 Partial Content\r\n{length}"),
                Some("GET"),
                Framing::ContentLength(9),
            ),
            (
                format!("HTTP/1.1 200 OK\r\n{length}"),
                Some("HEAD"),
                Framing::NoBody,
            ),
            (
                format!("HTTP/1.1 404 Not Found\r\n{length}"),
                Some("HEAD"),
                Framing::NoBody,
            ),
            (
                format!("HTTP/1.1 204 No Content\r\n{length}"),
                Some("GET"),
                Framing::NoBody,
            ),
            (
                format!("HTTP/1.1 304 Not Modified\r\n{length}"),
                Some("GET"),
                Framing::NoBody,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
                Some("GET"),
                Framing::NoBody,
            ),
            (
                format!("HTTP/1.1 200 OK\r\n{chunked}"),
                Some("GET"),
                Framing::Chunked,
            ),
            (
                format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n{chunked}"),
                Some("GET"),
                Framing::Chunked,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".into(),
                Some("GET"),
                Framing::UntilClose,
            ),
            (
                "HTTP/1.0 200 OK\r\n\r\n".into(),
                Some("GET"),
                Framing::UntilClose,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\n".into(),
                Some("POST"),
                Framing::Interim,
            ),
            (
                "HTTP/1.1 103 Early Hints\r\n\r\n".into(),
                Some("GET"),
                Framing::Interim,
            ),
            (
                "HTTP/1.1 101 Switching Protocols\r\n\r\n".into(),
                Some("GET"),
                Framing::Tunnel,
            ),
            (
                "HTTP/1.1 200 Connection established\r\n\r\n".into(),
                Some("CONNECT"),
                Framing::Tunnel,
            ),
            (
                format!("HTTP/1.1 407 No\r\n{length}"),
                Some("CONNECT"),
                Framing::ContentLength(9),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9, 8\r\n\r\n".into(),
                Some("GET"),
                Framing::Malformed,
            ),
        ];
        for (text, method, expected) in cases {
            assert_eq!(of(&text, method), expected, "{text:?} to {method:?}");
        }
    }

    #[test]
    fn requests() {
        let cases = [
            ("GET / HTTP/1.1\r\n\r\n", Framing::NoBody),
            (
                "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
                Framing::ContentLength(9),
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Framing::Chunked,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
                Framing::Malformed,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                Framing::Malformed,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(of(text, None), expected, "{text:?}");
        }
    }
}
