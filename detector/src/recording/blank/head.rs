//! Blanks what of a head is no framing, byte by byte, so that it stays as valid
//! or as invalid as it was.

/// Fields whose values are kept.
const KEPT: [&[u8]; 4] = [
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
];

/// Where in the head the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Before the first line.
    Before,
    /// In the first line: its first word, what is behind it, the second word,
    /// and the rest.
    First,
    Gap,
    Second,
    Query,
    Rest,
    /// In a field: at its line's start, in its name, behind it, before its
    /// value, in its value, and in what is no field.
    Line,
    Name,
    Named,
    Lead,
    Value,
    Junk,
}

/// Blanks one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeadBlank {
    part: Part,
    response: bool,
    /// Its first line may be no head's: nothing of it is kept.
    hidden: bool,
    show_query: bool,
    name: Vec<u8>,
    kept: bool,
}

impl HeadBlank {
    pub(super) fn new(show_query: bool) -> Self {
        Self {
            part: Part::Before,
            response: false,
            hidden: false,
            show_query,
            name: Vec::new(),
            kept: false,
        }
    }

    /// Keeps no word of the first line from here on.
    pub(super) fn hide(&mut self) {
        self.hidden = true;
    }

    /// The next bytes as they may be kept.
    pub(super) fn run(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(bytes.len());
        // Where a name begins that is not yet known to be one that is kept.
        let mut name = 0;
        for byte in bytes {
            let before = self.part;
            let byte = self.step(*byte);
            if before == Part::Name && self.part != Part::Name && !self.names(false) {
                hide_name(&mut kept, name);
            }
            if before != Part::Name {
                name = kept.len();
            }
            kept.push(byte);
        }
        // It goes on in another call.
        if self.part == Part::Name && !self.names(true) {
            hide_name(&mut kept, name);
        }
        kept
    }

    /// Whether the name is one that is kept, or the beginning of such.
    fn names(&self, beginning: bool) -> bool {
        KEPT.iter().any(|kept| {
            kept.starts_with(&self.name) && (beginning || kept.len() == self.name.len())
        })
    }

    /// The byte as it may be kept, if it is not a name's.
    fn step(&mut self, byte: u8) -> u8 {
        match byte {
            b'\r' => return byte,
            b'\n' => {
                if self.part != Part::Before {
                    self.part = Part::Line;
                }
                return byte;
            }
            _ => {}
        }
        let space = byte == b' ' || byte == b'\t';
        match self.part {
            Part::Before | Part::First => {
                if space {
                    self.response = self.name == b"HTTP/";
                    self.part = Part::Gap;
                } else {
                    if self.name.len() < 5 {
                        self.name.push(byte);
                    }
                    self.part = Part::First;
                }
                if self.hidden && !space {
                    blank(byte)
                } else {
                    byte
                }
            }
            Part::Gap if space => byte,
            Part::Gap | Part::Second => self.second(byte),
            Part::Query => match byte {
                b' ' => {
                    self.part = Part::Rest;
                    byte
                }
                _ if self.show_query => byte,
                _ => blank(byte),
            },
            // The version of a request; a reason is no framing.
            Part::Rest if !self.response && b"HTTP/1.0 ".contains(&byte) => byte,
            Part::Rest => blank(byte),
            Part::Line if space => {
                self.part = Part::Lead;
                byte
            }
            Part::Line => {
                self.name.clear();
                self.part = Part::Name;
                self.named(byte)
            }
            Part::Name => self.named(byte),
            Part::Named if byte == b':' => self.named(byte),
            Part::Named | Part::Lead if space => byte,
            Part::Named => {
                self.part = Part::Junk;
                blank(byte)
            }
            Part::Lead | Part::Value => {
                self.part = Part::Value;
                // A length that is none is none with any other byte.
                let length = self.name.len() == KEPT[0].len();
                let fits = byte.is_ascii_digit() || b", \t".contains(&byte);
                if self.kept && (fits || !length) {
                    byte
                } else {
                    blank(byte)
                }
            }
            Part::Junk => blank(byte),
        }
    }

    /// The second word: a status, or a target.
    fn second(&mut self, byte: u8) -> u8 {
        self.part = match byte {
            b' ' => Part::Rest,
            b'?' if !self.response => Part::Query,
            _ => Part::Second,
        };
        let kept = match byte {
            b' ' => true,
            _ if self.response => byte.is_ascii_digit(),
            _ => !self.hidden,
        };
        if kept { byte } else { blank(byte) }
    }

    fn named(&mut self, byte: u8) -> u8 {
        match byte {
            b':' => {
                self.kept = KEPT.contains(&self.name.as_slice());
                self.part = Part::Lead;
                byte
            }
            b' ' | b'\t' => {
                self.part = Part::Named;
                byte
            }
            _ if byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte) => {
                // Longer than any that is kept.
                if self.name.len() < 32 {
                    self.name.push(byte.to_ascii_lowercase());
                }
                byte
            }
            _ => {
                self.part = Part::Junk;
                if byte > b' ' && byte != 0x7f {
                    b'@'
                } else {
                    blank(byte)
                }
            }
        }
    }
}

/// Another name that is as valid.
fn hide_name(kept: &mut [u8], from: usize) {
    let name = kept.iter_mut().skip(from);
    for byte in name.filter(|byte| !b"\r\n".contains(byte)) {
        *byte = b'x';
    }
}

/// Another byte that is as valid.
pub(super) fn blank(byte: u8) -> u8 {
    match byte {
        0 => 0,
        b'\t' | b' '..=b'~' | 0x80.. => b'x',
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(text: &str) -> String {
        let mut head = HeadBlank::new(false);
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
        let mut head = HeadBlank::new(false);
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
        assert_eq!(blanked("HTTP/1.1 200 \u{1}"), "HTTP/1.1 200 \u{1}");
    }
}
