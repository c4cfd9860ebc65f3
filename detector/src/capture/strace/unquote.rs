//! Strings as strace(1) prints them (`print_quoted_string` in its sources): the
//! escapes of C, octal or hexadecimal, and `...` behind what `-s` cut.

/// A string from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// strace was asked for no more (`-s`): others follow that are not there.
    pub(super) cut: bool,
    /// It has bytes that strace escapes: somebody else wrote them.
    pub(super) foreign: bool,
}

/// Reads an argument that is a string and nothing else; `None` for any other,
/// an address for example.
pub(super) fn quoted(argument: &[u8]) -> Option<Quoted> {
    let inside = argument.strip_prefix(b"\"")?;
    let end = closing(inside)?;
    let (inside, behind) = inside.split_at_checked(end)?;
    let cut = match behind {
        b"\"" => false,
        b"\"..." => true,
        _ => return None,
    };
    Some(Quoted {
        bytes: unescape(inside)?,
        cut,
        // strace prints printable ASCII as it is, and escapes the rest.
        foreign: !inside.iter().all(|byte| (b' '..=b'~').contains(byte)),
    })
}

/// Where the quote is that ends a string of which the first is left out.
pub(super) fn closing(inside: &[u8]) -> Option<usize> {
    // Escapes are many where bytes are no text, quotes are not.
    memchr::memchr_iter(b'"', inside).find(|at| {
        let before = inside.get(..*at).unwrap_or_default();
        let escapes = before.iter().rev().take_while(|byte| **byte == b'\\');
        escapes.count() % 2 == 0
    })
}

/// The bytes that escapes stand for; `None` if one is none of strace's.
pub(super) fn unescape(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some(at) = memchr::memchr(b'\\', text) {
        let (plain, escape) = text.split_at_checked(at)?;
        bytes.extend_from_slice(plain);
        let (byte, length) = one(escape.get(1..)?)?;
        bytes.push(byte);
        text = escape.get(1 + length..)?;
    }
    bytes.extend_from_slice(text);
    Some(bytes)
}

/// The byte that an escape stands for, and its length without the backslash.
fn one(escape: &[u8]) -> Option<(u8, usize)> {
    let simple = |byte| Some((byte, 1));
    match escape.first()? {
        b'n' => simple(b'\n'),
        b't' => simple(b'\t'),
        b'r' => simple(b'\r'),
        b'v' => simple(0x0b),
        b'f' => simple(0x0c),
        b'a' => simple(0x07),
        b'b' => simple(0x08),
        b'e' => simple(0x1b),
        byte @ (b'\\' | b'"' | b'\'') => simple(*byte),
        b'x' => {
            let digit = |at: usize| char::from(*escape.get(at)?).to_digit(16);
            let value = digit(1)? * 16 + digit(2)?;
            Some((u8::try_from(value).ok()?, 3))
        }
        b'0'..=b'7' => {
            let digits = escape
                .iter()
                .take(3)
                .take_while(|byte| (b'0'..=b'7').contains(*byte));
            let (value, length) = digits.fold((0_u32, 0), |(value, length), byte| {
                (value * 8 + u32::from(byte - b'0'), length + 1)
            });
            Some((u8::try_from(value).ok()?, length))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<(Vec<u8>, bool)> {
        quoted(text.as_bytes()).map(|quoted| (quoted.bytes, quoted.cut))
    }

    #[test]
    fn escapes_are_those_of_c() {
        let cases: [(&str, &[u8]); 6] = [
            (r#""a\r\n\t\v\f\\\"b""#, b"a\r\n\t\x0b\x0c\\\"b"),
            // A digit that follows makes strace write all three.
            (r#""\0\1\0001\377""#, b"\0\x01\x001\xff"),
            (r#""\x48\x54\x0d""#, b"HT\r"),
            (r#""""#, b""),
            (r#""\7\v\f""#, b"\x07\x0b\x0c"),
            ("\"plain\"", b"plain"),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), Some((expected.to_vec(), false)), "{text}");
        }
    }

    #[test]
    fn three_dots_behind_say_that_more_followed() {
        assert_eq!(bytes(r#""HTTP"..."#), Some((b"HTTP".to_vec(), true)));
        // Within, they are the program's.
        assert_eq!(bytes(r#""HTTP...""#), Some((b"HTTP...".to_vec(), false)));
    }

    #[test]
    fn a_quote_ends_a_string_unless_it_is_escaped() {
        for (inside, end) in [
            (r#"ab" c"#, Some(2)),
            (r#"a\"b""#, Some(4)),
            (r#"a\\""#, Some(3)),
            (r#"a\\\""#, None),
            (r#"\\\"" "#, Some(4)),
            (r#"""#, Some(0)),
            ("ab", None),
        ] {
            assert_eq!(closing(inside.as_bytes()), end, "{inside}");
        }
    }

    #[test]
    fn bytes_that_strace_would_escape_are_foreign() {
        let foreign = |text: &str| quoted(text.as_bytes()).map(|quoted| quoted.foreign);
        assert_eq!(foreign(r#""a: \342\200\246\t\r\n""#), Some(false));
        assert_eq!(foreign("\"a: \u{2588}\u{2588}\""), Some(true));
        assert_eq!(foreign("\"a:\tb\""), Some(true));
    }

    #[test]
    fn anything_else_is_no_string() {
        for text in [
            "0x7ffc12",
            "NULL",
            "",
            "\"",
            r#""a"#,
            r#""\q""#,
            r#""\x4""#,
            r#""\400""#,
            r#""a" b"#,
            r#""a\"#,
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
