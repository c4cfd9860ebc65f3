//! Whole message heads, with the words of their start lines.

use detector_framing::{HeadParser, Start, after_empty_lines};

/// What the bytes hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole head.
    Complete(Head),
    /// The beginning of a head.
    Partial,
    /// No head.
    Invalid,
}

/// A message head, as far as framing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes from the start to the end of the empty line, that included.
    pub len: u64,
    /// The first line.
    pub start: StartLine,
    /// What frames it.
    pub framing: detector_framing::Head,
}

/// The first line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// RFC 9112 section 3.
    Request {
        /// The method, as sent (methods are case-sensitive).
        method: String,
        /// The target, as sent.
        target: String,
    },
    /// RFC 9112 section 4.
    Response {
        /// The status code.
        status: u16,
    },
}

/// Parses the head at the start of `bytes`, a response's if they begin as its
/// first line does, else a request's.
///
/// Accepts what recipients are told to accept (RFC 9112 section 2.2: bare LF,
/// an empty line before a message) and what is common (folded lines, spaces
/// before the colon of a response's field): what matters is where the head
/// ends, and that the two ends agree on it.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    match HeadParser::default().feed(bytes) {
        detector_framing::Parsed::Partial => Parsed::Partial,
        detector_framing::Parsed::Invalid => Parsed::Invalid,
        detector_framing::Parsed::Complete(head) => Parsed::Complete(Head {
            len: head.length.into(),
            start: start_line(head.start, bytes),
            framing: head,
        }),
    }
}

/// The start line with the words of a request.
fn start_line(start: Start, bytes: &[u8]) -> StartLine {
    match start {
        Start::Response(status) => StartLine::Response { status },
        Start::Request(_) => {
            let mut words = after_empty_lines(bytes).split(|byte| *byte == b' ');
            // A whole head has both, and they are UTF-8.
            let mut word =
                || String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
            StartLine::Request {
                method: word(),
                target: word(),
            }
        }
    }
}

/// Parses what is seen of a head whose end is not: its whole lines, as if it
/// had no more. `len` of the head is then too small.
#[must_use]
pub fn parse_seen(bytes: &[u8]) -> Option<Head> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
    let mut seen = bytes.get(..end)?.to_vec();
    seen.extend_from_slice(b"\r\n");
    match parse(&seen) {
        Parsed::Complete(head) => Some(head),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use detector_framing::Lengths;

    use super::*;

    #[test]
    fn a_request_has_the_words_of_its_line() {
        let Parsed::Complete(head) = parse(b"\r\nHEAD /a?b=\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n")
        else {
            unreachable!("a head")
        };
        let expected = StartLine::Request {
            method: "HEAD".into(),
            target: "/a?b=\u{e9}".into(),
        };
        assert_eq!((head.len, head.start), (36, expected));
    }

    #[test]
    fn what_is_seen_of_a_head_tells_its_whole_lines() {
        let head = parse_seen(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Le");
        let framing = head.map(|head| (head.start, head.framing.lengths));
        let expected = (StartLine::Response { status: 200 }, Lengths::One(7));
        assert_eq!(framing, Some(expected));
        assert_eq!(parse_seen(b"HTTP/1.1 200 O"), None);
    }
}
