//! Response heads.

use std::str;

use super::End;
use super::reader::Reader;

/// Bytes that a whole head may have.
const MOST: usize = 256 * 1024;

/// The parts of a response's head that say where the response ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    /// Whether the peer will close the connection after this response.
    pub(super) close: bool,
}

impl Head {
    /// Reads one head, up to and including its empty line.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, End> {
        let mut lines = Vec::new();
        loop {
            let line = reader.line(MOST - lines.len())?;
            let last = line == b"\r\n";
            lines.extend(line);
            if last {
                return Self::parse(&lines);
            }
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, End> {
        let text = str::from_utf8(bytes).map_err(|_| End::Malformed("a head that is not UTF-8"))?;
        let mut lines = text.split("\r\n");
        let mut head = lines
            .next()
            .and_then(status_line)
            .ok_or(End::Malformed("status line"))?;
        head.bytes = bytes.len() as u64;
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(End::Malformed("header field"))?;
            head.field(name, value.trim())?;
        }
        Ok(head)
    }

    fn field(&mut self, name: &str, value: &str) -> Result<(), End> {
        let mut items = value.split(',').map(str::trim);
        if name.eq_ignore_ascii_case("content-length") {
            let len = value
                .parse()
                .map_err(|_| End::Malformed("Content-Length"))?;
            if self.content_length.is_some_and(|other| other != len) {
                return Err(End::Malformed("two values of Content-Length"));
            }
            self.content_length = Some(len);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.chunked = items.any(|item| item.eq_ignore_ascii_case("chunked"));
        } else if name.eq_ignore_ascii_case("connection") {
            self.close |= items.any(|item| item.eq_ignore_ascii_case("close"));
        }
        Ok(())
    }
}

/// `HTTP/1.x NNN reason` (RFC 9112, section 4).
fn status_line(line: &str) -> Option<Head> {
    let mut words = line.split(' ');
    let close = match words.next()? {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return None,
    };
    let status = words
        .next()?
        .parse()
        .ok()
        .filter(|status| (100..1000).contains(status))?;
    Some(Head {
        status,
        close,
        ..Head::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_frames_the_body() {
        let head =
            Head::parse(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nConnection: close\r\n\r\n");
        assert_eq!(
            head,
            Ok(Head {
                status: 200,
                bytes: 58,
                content_length: Some(12),
                chunked: false,
                close: true
            })
        );
        let head = Head::parse(b"HTTP/1.1 200 \r\nTransfer-Encoding: gzip, Chunked\r\n\r\n");
        assert_eq!(head.map(|head| head.chunked), Ok(true));
    }

    #[test]
    fn refuses_what_is_not_http() {
        for bytes in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 20\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ] {
            assert!(
                matches!(Head::parse(bytes), Err(End::Malformed(_))),
                "{bytes:?}"
            );
        }
    }
}
