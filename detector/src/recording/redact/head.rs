//! Blanks what of a head is no framing, byte by byte, so that it stays as valid
//! or as invalid as it was.

use detector_framing::{HeadParser, HeadPart, Parsed};

/// Fields whose values are kept.
const KEPT: [&[u8]; 4] = [
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
];

/// How many bytes of a name are compared with them: one more than the longest has.
const NAME_LIMIT: usize = 18;

/// Blanks one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeadRedactor {
    parser: HeadParser,
    /// What the last byte was.
    last: HeadPart,
    /// It is whole, or it is no head.
    over: bool,
    /// Its first line may be no head's: nothing of it is kept.
    hidden: bool,
    show_query: bool,
    in_query: bool,
    /// The name of the last field.
    name: Vec<u8>,
}

impl HeadRedactor {
    pub(super) fn new(show_query: bool) -> Self {
        Self {
            parser: HeadParser::default(),
            last: HeadPart::Delimiter,
            over: false,
            hidden: false,
            show_query,
            in_query: false,
            name: Vec::new(),
        }
    }

    /// Keeps no word of the first line from here on.
    pub(super) fn hide(&mut self) {
        self.hidden = true;
    }

    /// Returns the next bytes as they may be kept; zeros behind the head, and from a byte
    /// on with which it is none.
    pub(super) fn run(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = vec![0; bytes.len()];
        if self.over {
            return kept;
        }
        // Where a name begins that is not yet known to be one that is kept.
        let mut name = 0;
        let mut parser = self.parser;
        let parsed = parser.feed_parts(bytes, |at, part| {
            if part == HeadPart::Name && self.last != HeadPart::Name {
                name = at;
                self.name.clear();
            }
            if part != HeadPart::Name && self.last == HeadPart::Name && !self.names(false) {
                hide_name(&mut kept, name, at);
            }
            if let (Some(place), Some(byte)) = (kept.get_mut(at), bytes.get(at)) {
                *place = self.byte(*byte, part);
            }
            self.last = part;
        });
        self.parser = parser;
        self.over = parsed != Parsed::Partial;
        // It goes on in another call.
        if self.last == HeadPart::Name && !self.names(true) {
            hide_name(&mut kept, name, bytes.len());
        }
        kept
    }

    /// Whether the name is one that is kept, or the beginning of such.
    fn names(&self, beginning: bool) -> bool {
        KEPT.iter().any(|kept| {
            kept.starts_with(&self.name) && (beginning || kept.len() == self.name.len())
        })
    }

    /// Returns the byte as it may be kept.
    fn byte(&mut self, byte: u8, part: HeadPart) -> u8 {
        let kept = match part {
            HeadPart::Delimiter | HeadPart::Version | HeadPart::Status => true,
            HeadPart::Method => !self.hidden,
            HeadPart::Target => {
                let shown = !self.in_query || self.show_query;
                self.in_query |= byte == b'?';
                shown && !self.hidden
            }
            HeadPart::Reason => false,
            HeadPart::Name => {
                if self.name.len() < NAME_LIMIT {
                    self.name.push(byte.to_ascii_lowercase());
                }
                true
            }
            HeadPart::Value => {
                // A length that is none is none with any other byte.
                let fits = byte.is_ascii_digit() || b", \t".contains(&byte);
                self.names(false) && (fits || self.name != KEPT[0])
            }
            // What makes its line none: a blank, a colon, or a byte that names do not have.
            HeadPart::Ignored if self.last != HeadPart::Ignored => {
                return match byte {
                    b' ' | b'\t' | b':' => byte,
                    b'!'..=b'~' | 0x80.. if !byte.is_ascii_alphanumeric() => b'@',
                    _ => redact_byte(byte),
                };
            }
            HeadPart::Ignored => false,
            HeadPart::Refused => return 0,
        };
        if kept { byte } else { redact_byte(byte) }
    }
}

/// Another name that is as valid.
fn hide_name(kept: &mut [u8], from: usize, end: usize) {
    kept.get_mut(from..end).unwrap_or_default().fill(b'x');
}

/// Another byte that is as valid.
pub(super) fn redact_byte(byte: u8) -> u8 {
    match byte {
        0 => 0,
        b'\t' | b' '..=b'~' | 0x80.. => b'x',
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::*,
        sample::{Index, select},
    };

    use super::*;

    fn blanked(text: &str) -> String {
        let mut head = HeadRedactor::new(false);
        String::from_utf8_lossy(&head.run(text.as_bytes())).into_owned()
    }

    #[test]
    fn framing_is_kept_and_nothing_else() {
        let cases = [
            (
                "HTTP/1.1 200 Fine so far\r\nSet-Cookie: a=b\r\ncontent-length : 12\r\n\r\n",
                "HTTP/1.1 200 xxxxxxxxxxx\r\nxxxxxxxxxx: xxx\r\ncontent-length : 12\r\n\r\n",
            ),
            (
                "GET /a?token=1 HTTP/1.1\r\nAuthorization: Basic x=\r\nConnection: close\r\n\r\n",
                "GET /a?xxxxxxx HTTP/1.1\r\nxxxxxxxxxxxxx: xxxxxxxx\r\nConnection: close\r\n\r\n",
            ),
            (
                "\r\nHTTP/1.0 404\nX: a\n b c\nTransfer-Encoding: gzip,\n chunked\n\n",
                "\r\nHTTP/1.0 404\nx: x\n xxx\nTransfer-Encoding: gzip,\n chunked\n\n",
            ),
            (
                "HTTP/1.1 200 OK\r\nno field at all\r\nbad@name: v\r\n\r\n",
                "HTTP/1.1 200 xx\r\nxx xxxxxxxxxxxx\r\nxxx@xxxxxxx\r\n\r\n",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(blanked(text), expected);
        }
        // Over two calls.
        let mut head = HeadRedactor::new(false);
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nCont", "HTTP/1.1 200 xx\r\nCont"),
            ("ent-Length: 1\r\nContent-T", "ent-Length: 1\r\nxxxxxxxxx"),
            ("ype: a\r\n\r\n", "xxx: x\r\n\r\n"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&head.run(text.as_bytes())),
                expected
            );
        }
        // Nothing is kept from the byte on with which it is no head.
        assert_eq!(blanked("HTTP/1.1 200 \u{1}a"), "HTTP/1.1 200 \0\0");
        assert_eq!(blanked("GET /a b\r\nX: y"), "GET /a \0\0\0\0\0\0\0");
        // A kept name with more behind it is another.
        let long = "HTTP/1.1 200\r\nTransfer-Encodings: a\r\n";
        assert_eq!(blanked(long), "HTTP/1.1 200\r\nxxxxxxxxxxxxxxxxxx: x\r\n");
    }

    #[test]
    fn a_first_line_that_may_be_no_heads_is_hidden() {
        let mut head = HeadRedactor::new(true);
        head.hide();
        let kept = head.run(b"SECRET /of?mine HTTP/1.1\r\n\r\n");
        assert_eq!(
            String::from_utf8_lossy(&kept),
            "xxxxxx xxxxxxxx HTTP/1.1\r\n\r\n"
        );
    }

    const STARTS: &[&[u8]] = &[
        b"HTTP/1.1 200 secret\r\n",
        b"HTTP/1.0  404\n",
        b"HTTP/1.1 ",
        b"\r\nGET /a?secret HTTP/1.1\r\n",
        b"CONNECT \xc3\xa9:1 HTTP/1.0\n",
    ];

    /// What fields are made of, whole or broken.
    const PARTS: &[&[u8]] = &[
        b"Content-Length: 10 , 10\r\n",
        b"content-length : secret\r\n",
        b"Content-Length",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding:",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"X-Secret: secret\xff\r\n",
        b"secret secret\r\n",
        b"secret(: \xff\r\n",
        b"chunked",
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b",",
        b"5",
        b"(",
        b"\0",
        b"\x01",
        b"\x7f",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// It frames as it did in any split, and no name, value, query or reason is kept.
        #[test]
        fn a_blanked_head_frames_as_before(
            start in select(STARTS),
            parts in vec(select(PARTS), 1..10),
            cut in any::<Index>(),
        ) {
            let bytes = [start, &parts.concat()].concat();
            let kept = HeadRedactor::new(false).run(&bytes);
            prop_assert_eq!(kept.len(), bytes.len());
            let expected = HeadParser::default().feed(&bytes);
            prop_assert_eq!(HeadParser::default().feed(&kept), expected);
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut head = HeadRedactor::new(false);
            let pieces = [head.run(first), head.run(second)].concat();
            prop_assert_eq!(HeadParser::default().feed(&pieces), expected);
            // The other kept fields keep their values whatever they are.
            let any_value = KEPT[1..].iter().any(|name| {
                memchr::memmem::find(&bytes.to_ascii_lowercase(), name).is_some()
            });
            for kept in [&kept, &pieces].into_iter().filter(|_| !any_value) {
                let secret = memchr::memmem::find(kept, b"secret");
                prop_assert!(secret.is_none(), "{}", String::from_utf8_lossy(kept));
            }
        }
    }
}
