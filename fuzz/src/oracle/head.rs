//! Message heads, as httparse reads them.

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

/// The bytes behind the empty lines at their start, which are to be ignored
/// (RFC 9112 section 2.2).
fn after_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !b"\r\n".contains(byte))
        .unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
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
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
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
