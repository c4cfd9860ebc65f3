//! Message heads.

/// Field lines that are parsed without memory of their own; heads with more are rare.
const FEW_LINES: usize = 64;

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
    /// What `Content-Length` says.
    pub content_length: Lengths,
    /// The last coding in `Transfer-Encoding`, if there is the field: `true`
    /// if it is `chunked`.
    pub transfer_encoding: Option<bool>,
    /// `Expect: 100-continue`: the body comes when it is asked for, or is missed long
    /// enough (RFC 9110 section 10.1.1).
    pub waits: bool,
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

/// The `Content-Length` fields of a message (RFC 9110 section 8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// There is none.
    Absent,
    /// One value, once or repeated.
    One(u64),
    /// Values that differ, or are no numbers.
    Invalid,
}

impl Lengths {
    fn and(self, value: &[u8]) -> Self {
        value
            .split(|byte| *byte == b',')
            .fold(self, |lengths, item| {
                match (lengths, decimal(item.trim_ascii())) {
                    (Self::Absent, Some(length)) => Self::One(length),
                    (Self::One(before), Some(length)) if before == length => lengths,
                    _ => Self::Invalid,
                }
            })
    }
}

/// `1*DIGIT` (RFC 9110 section 8.6), up to what 64 bits hold.
fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
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
    let line = after_empty_lines(bytes);
    let parsed = if is_prefix_of_either(line, b"HTTP/") {
        parse_response(line)
    } else {
        parse_request(line)
    };
    match parsed {
        Parsed::Complete(mut head) => {
            head.len += (bytes.len() - line.len()) as u64;
            Parsed::Complete(head)
        }
        parsed => parsed,
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

/// The bytes behind the empty lines at their start, which are to be ignored
/// (RFC 9112 section 2.2).
pub fn after_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !b"\r\n".contains(byte))
        .unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Whether bytes begin as a request does (RFC 9112 section 3), whatever its fields are:
/// a method and, where the line's end is there, the version. Of HTTP/0.9 there is GET
/// alone.
#[must_use]
pub fn may_be_request(bytes: &[u8]) -> bool {
    let line = after_empty_lines(bytes);
    let end = memchr::memchr(b'\n', line);
    let line = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let Some(space) = memchr::memchr(b' ', line) else {
        return false;
    };
    let (method, rest) = line.split_at(space);
    let capitals = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-';
    let versioned = memchr::memmem::find(rest, b" HTTP/").is_some();
    method.len() >= 3
        && method.iter().all(capitals)
        && rest.len() > 1
        && (end.is_none() || versioned || method == b"GET")
}

fn is_prefix_of_either(bytes: &[u8], word: &[u8]) -> bool {
    bytes.iter().zip(word).all(|(byte, letter)| byte == letter)
}

fn config() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

fn parse_response(bytes: &[u8]) -> Parsed {
    with_room(bytes, |lines| {
        let mut response = httparse::Response::new(lines);
        let status = config().parse_response(&mut response, bytes)?;
        Ok(match (status, response.code) {
            (httparse::Status::Partial, _) => Parsed::Partial,
            (httparse::Status::Complete(_), None) => Parsed::Invalid,
            (httparse::Status::Complete(len), Some(status)) => {
                complete(len, StartLine::Response { status }, response.headers)
            }
        })
    })
}

fn parse_request(bytes: &[u8]) -> Parsed {
    with_room(bytes, |lines| {
        let mut request = httparse::Request::new(lines);
        let status = config().parse_request(&mut request, bytes)?;
        Ok(match (status, request.method, request.path) {
            (httparse::Status::Partial, ..) => Parsed::Partial,
            (httparse::Status::Complete(len), Some(method), Some(target)) => complete(
                len,
                StartLine::Request {
                    method: method.to_owned(),
                    target: target.to_owned(),
                },
                request.headers,
            ),
            _ => Parsed::Invalid,
        })
    })
}

/// Parses with room for the field lines that the head has, however many: what limits a
/// head is its length.
fn with_room<'b>(
    bytes: &'b [u8],
    parse: impl Fn(&mut [httparse::Header<'b>]) -> Result<Parsed, httparse::Error>,
) -> Parsed {
    let parsed = match parse(&mut [httparse::EMPTY_HEADER; FEW_LINES]) {
        Err(httparse::Error::TooManyHeaders) => {
            let lines = memchr::memchr_iter(b'\n', bytes).count();
            parse(&mut vec![httparse::EMPTY_HEADER; lines])
        }
        parsed => parsed,
    };
    parsed.unwrap_or(Parsed::Invalid)
}

fn complete(len: usize, start: StartLine, headers: &[httparse::Header<'_>]) -> Parsed {
    let named = |name| move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
    let content_length = headers
        .iter()
        .filter(named("content-length"))
        .fold(Lengths::Absent, |lengths, header| lengths.and(header.value));
    let transfer_encoding = headers
        .iter()
        .rfind(named("transfer-encoding"))
        .map(|header| ends_in_chunked(header.value));
    let waits = headers.iter().filter(named("expect")).any(|header| {
        header
            .value
            .trim_ascii()
            .eq_ignore_ascii_case(b"100-continue")
    });
    let Ok(len) = u64::try_from(len) else {
        return Parsed::Invalid;
    };
    Parsed::Complete(Head {
        len,
        start,
        content_length,
        transfer_encoding,
        waits,
    })
}

fn ends_in_chunked(value: &[u8]) -> bool {
    value
        .rsplit(|byte| *byte == b',')
        .next()
        .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        match parse(text.as_bytes()) {
            Parsed::Complete(head) => head,
            other => panic!("{text:?} is {other:?}"),
        }
    }

    #[test]
    fn a_response_head_ends_after_its_empty_line() {
        let head = head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(head.len, 38);
        assert_eq!(head.start, StartLine::Response { status: 200 });
        assert_eq!(head.content_length, Lengths::One(5));
    }

    #[test]
    fn a_request_head_gives_method_and_target() {
        let head = head("HEAD /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
        let StartLine::Request { method, target } = head.start else {
            unreachable!("a request")
        };
        assert_eq!((method.as_str(), target.as_str()), ("HEAD", "/a?b=c"));
    }

    #[test]
    fn the_start_of_a_head_is_partial() {
        for text in [
            "H",
            "HTTP/1.1 20",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "GET / HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n\r",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Partial, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_head_is_invalid() {
        for text in [
            "HTTP/9 hello\r\n\r\n",
            "\u{16}\u{3}\u{1}",
            "HTTP/1.1 OK\r\n\r\n",
            "GET\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Invalid, "{text:?}");
        }
    }

    #[test]
    fn names_are_in_any_case_and_values_may_have_spaces() {
        assert_eq!(
            head("HTTP/1.0 200 OK\r\ncOnTeNt-LeNgTh:    7  \r\n\r\n").content_length,
            Lengths::One(7)
        );
    }

    #[test]
    fn a_head_may_have_any_number_of_lines() {
        for lines in [FEW_LINES, FEW_LINES + 1, 300, 5000] {
            let fields = "X-Field: a value of some length\r\n".repeat(lines);
            let length = "Content-Length: 7\r\n";
            for start in ["HTTP/1.1 200 OK", "PUT / HTTP/1.1"] {
                let whole = head(&format!("{start}\r\n{fields}{length}\r\n"));
                assert_eq!(whole.content_length, Lengths::One(7));
                let part = format!("{start}\r\n{fields}Content-Le");
                assert_eq!(parse(part.as_bytes()), Parsed::Partial);
            }
        }
    }

    #[test]
    fn what_may_be_a_request_has_its_line() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "\r\nPUT /a HTTP/1.0\r\nbad name: x\r\n",
            "GET /\r\n",
            "REPORT /very/long",
            "M-SEARCH * HTTP/1.1\n",
        ] {
            assert!(may_be_request(text.as_bytes()), "{text:?}");
        }
        for text in [
            "",
            "GE",
            "T",
            "USER anonymous\r\n",
            "STOR a b HTTP\r\n",
            "220 ready\r\n",
            "HTTP/1.1 200 OK\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(!may_be_request(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn equal_lengths_are_one_and_different_ones_are_invalid() {
        let length = |lines: &str| head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).content_length;
        assert_eq!(
            length("Content-Length: 7\r\nContent-Length: 7\r\n"),
            Lengths::One(7)
        );
        assert_eq!(length("Content-Length: 7, 7\r\n"), Lengths::One(7));
        assert_eq!(
            length("Content-Length: 7\r\nContent-Length: 8\r\n"),
            Lengths::Invalid
        );
        assert_eq!(length("Content-Length: 7, 8\r\n"), Lengths::Invalid);
        assert_eq!(length("Content-Length: +7\r\n"), Lengths::Invalid);
        assert_eq!(length("Content-Length: \r\n"), Lengths::Invalid);
        assert_eq!(
            length("Content-Length: 99999999999999999999\r\n"),
            Lengths::Invalid
        );
    }

    #[test]
    fn bare_line_feeds_and_folded_lines_are_accepted_in_responses() {
        assert_eq!(
            head("HTTP/1.1 200 OK\nContent-Length: 7\n\n").content_length,
            Lengths::One(7)
        );
        let folded = head("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(folded.content_length, Lengths::One(7));
    }

    #[test]
    fn the_last_transfer_coding_decides() {
        let coding = |value: &str| {
            head(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: {value}\r\n\r\n"
            ))
            .transfer_encoding
        };
        assert_eq!(coding("chunked"), Some(true));
        assert_eq!(coding("gzip, Chunked"), Some(true));
        assert_eq!(coding("gzip"), Some(false));
        assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n").transfer_encoding, None);
    }
}
