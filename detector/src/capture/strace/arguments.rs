//! The arguments of a call, and the fields of structures and arrays in them.

use memchr::memmem;

use super::unquote::closing;

/// Most arguments that a call has here; the kernel takes six.
const MOST: usize = 10;

/// The arguments of a call, as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a> {
    items: [&'a [u8]; MOST],
    count: usize,
}

impl<'a> Arguments<'a> {
    /// The argument at this place, the first being 0, without its name (`-N`);
    /// empty if there is none.
    pub(super) fn at(&self, place: usize) -> &'a [u8] {
        self.items
            .get(place)
            .copied()
            .map(unnamed)
            .unwrap_or_default()
    }

    /// All of them.
    pub(super) fn all(&self) -> &[&'a [u8]] {
        self.items.get(..self.count).unwrap_or_default()
    }

    /// Whether one was left out by whoever shortened the log: strace itself
    /// writes `...` in place of elements and bytes, never of an argument.
    pub(super) fn elided(&self) -> bool {
        self.all()
            .iter()
            .any(|argument| matches!(*argument, b"..." | b"\xe2\x80\xa6"))
    }
}

/// An argument without its name, where strace was asked for names (`-N`):
/// `sockfd=4`.
pub(super) fn unnamed(argument: &[u8]) -> &[u8] {
    let start = argument.iter().take_while(|byte| **byte == b' ').count();
    let bare = argument.get(start..).unwrap_or_default();
    let letter = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let length = bare
        .iter()
        .take_while(|byte| letter(byte) || **byte == b'_')
        .count();
    match bare.split_at_checked(length) {
        Some(([first, ..], [b'=', value @ ..]))
            if !first.is_ascii_digit() && !matches!(value.first(), Some(b'=' | b'>')) =>
        {
            value
        }
        _ => argument,
    }
}

/// Takes the arguments up to the parenthesis that ends them; gives what is
/// behind it too. `None` if it does not end, or has more than a call may.
pub(super) fn arguments(text: &[u8]) -> Option<(Arguments<'_>, &[u8])> {
    let mut arguments = Arguments {
        items: [&[]; MOST],
        count: 0,
    };
    let mut rest = text;
    loop {
        let (item, end) = item(rest)?;
        if !(item.is_empty() && arguments.count == 0 && end == b')') {
            *arguments.items.get_mut(arguments.count)? = item;
            arguments.count += 1;
        }
        rest = rest.get(length_with_end(rest, item)..)?;
        match end {
            b')' => return Some((arguments, rest)),
            b',' => {}
            _ => return None,
        }
    }
}

/// The elements of `[…]`, or the fields of `{…}`; none of what is neither.
pub(super) fn elements(list: &[u8]) -> Elements<'_> {
    let rest = match (list.first(), list.last()) {
        (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}')) => list.get(1..),
        _ => None,
    };
    Elements { rest }
}

/// See [`elements`].
pub(super) struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let (element, end) = item(rest)?;
        if end == b',' {
            self.rest = rest.get(length_with_end(rest, element)..);
        }
        (!element.is_empty()).then_some(element)
    }
}

/// The value of a field of `{…}`.
pub(super) fn field<'a>(structure: &'a [u8], name: &str) -> Option<&'a [u8]> {
    elements(structure)
        .find_map(|element| element.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// The value of a field that strace before 4.13 wrote with a count, as in
/// `msg_iov(2)=[…]`.
pub(super) fn counted_field<'a>(structure: &'a [u8], name: &str) -> Option<&'a [u8]> {
    elements(structure).find_map(|element| {
        let rest = element.strip_prefix(name.as_bytes())?.strip_prefix(b"(")?;
        let end = memmem::find(rest, b")=")?;
        number(rest.get(..end)?)?;
        rest.get(end + 2..)
    })
}

/// How far it is from the start of `rest` to behind the end of its first item.
fn length_with_end(rest: &[u8], item: &[u8]) -> usize {
    let start = item.as_ptr().addr() - rest.as_ptr().addr();
    let behind = rest.get(start + item.len()..).unwrap_or_default();
    let blank = behind.iter().take_while(|byte| **byte == b' ').count();
    start + item.len() + blank + 1
}

/// The first item, without the blanks around it, and the byte that ends it: a
/// comma, or a bracket that was not opened in it.
fn item(text: &[u8]) -> Option<(&[u8], u8)> {
    let start = text.iter().take_while(|byte| **byte == b' ').count();
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        let byte = *text.get(at)?;
        match byte {
            b'"' => at += 1 + closing(text.get(at + 1..)?)?,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b',' | b')' | b']' | b'}' if depth == 0 => {
                let item = text.get(start..at)?.trim_ascii_end();
                return Some((item, byte));
            }
            b'<' if annotates(text, at) => at += annotation(text.get(at..)?)?.len() - 1,
            b'/' if text.get(at + 1) == Some(&b'*') => {
                at += memmem::find(text.get(at..)?, b"*/")? + 1;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether a `<` is the beginning of what `-y` says of a descriptor.
pub(super) fn annotates(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    before.is_some_and(u8::is_ascii_alphanumeric) && text.get(at + 1) != Some(&b'<')
}

/// What `-y` or `-yy` says of a descriptor, with its brackets. A path's own
/// brackets are escaped; an arrow (`->`) ends nothing, and devices have more
/// (`</dev/null<char 1:3>>`).
pub(super) fn annotation(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => at += 1 + closing(text.get(at + 1..)?)?,
            b'<' => depth += 1,
            b'>' if text.get(at.wrapping_sub(1)) != Some(&b'-') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return text.get(..=at);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// A number in decimal, octal or hexadecimal, whole.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    if text.len() > 1
        && let Some(digits) = text.strip_prefix('0')
    {
        return u64::from_str_radix(digits, 8).ok();
    }
    if text.starts_with('+') {
        None
    } else {
        text.parse().ok()
    }
}

/// The flags that matter, as numbers, which `-X raw` has in their place.
const FLAGS: [(&str, u64); 11] = [
    ("SOCK_STREAM", 1),
    ("SOCK_CLOEXEC", 0x80000),
    ("O_CLOEXEC", 0x80000),
    ("FD_CLOEXEC", 1),
    ("MSG_OOB", 1),
    ("MSG_PEEK", 2),
    ("MSG_TRUNC", 0x20),
    ("MSG_ERRQUEUE", 0x2000),
    ("CLONE_FILES", 0x400),
    ("CLONE_THREAD", 0x1_0000),
    ("IORING_SETUP_SQPOLL", 2),
];

/// Whether one of the flags of `A|B|C` is this, in any of the forms of `-X`.
pub(super) fn has_flag(flags: &[u8], name: &str) -> bool {
    let value = FLAGS
        .iter()
        .find(|(flag, _)| *flag == name)
        .map(|(_, value)| *value);
    flags
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .any(|flag| {
            flag == name.as_bytes()
                || (flag.first().is_some_and(u8::is_ascii_digit)
                    && number(flag)
                        .zip(value)
                        .is_some_and(|(flags, value)| flags & value != 0))
        })
}

/// A constant's name, where `-X verbose` has it behind its number.
pub(super) fn constant(argument: &[u8]) -> &[u8] {
    let name = memmem::find(argument, b"/* ").and_then(|start| {
        let behind = argument.get(start + 3..)?;
        behind.get(..memmem::find(behind, b" */")?)
    });
    name.unwrap_or(argument)
}

/// Whether a constant is this, by its name or by its number.
pub(super) fn is_constant(argument: &[u8], name: &str, value: u64) -> bool {
    let argument = constant(argument);
    argument == name.as_bytes() || number(argument) == Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Option<(Vec<String>, String)> {
        let (arguments, rest) = arguments(text.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((
            arguments.all().iter().map(|bytes| text(bytes)).collect(),
            text(rest),
        ))
    }

    #[test]
    fn arguments_are_apart_by_commas_of_their_own() {
        let cases: [(&str, &[&str], &str); 8] = [
            (") = 0", &[], " = 0"),
            ("7) = 0", &["7"], " = 0"),
            (
                r#"7, "a, b) = 5\"", 8192, 0, NULL, NULL) = 1"#,
                &["7", r#""a, b) = 5\"""#, "8192", "0", "NULL", "NULL"],
                " = 1",
            ),
            (
                "7<TCP:[127.0.0.1:80->127.0.0.1:5]>, SHUT_WR) = 0",
                &["7<TCP:[127.0.0.1:80->127.0.0.1:5]>", "SHUT_WR"],
                " = 0",
            ),
            (
                r#"7<UNIX-STREAM:[1->2,"/a>b)"]>) = 0"#,
                &[r#"7<UNIX-STREAM:[1->2,"/a>b)"]>"#],
                " = 0",
            ),
            (
                "0</dev/null<char 1:3>>, 1) = 0",
                &["0</dev/null<char 1:3>>", "1"],
                " = 0",
            ),
            (
                r#"7, [{iov_base="x)", iov_len=2}, {iov_base=NULL, iov_len=0}], 2) = 2"#,
                &[
                    "7",
                    r#"[{iov_base="x)", iov_len=2}, {iov_base=NULL, iov_len=0}]"#,
                    "2",
                ],
                " = 2",
            ),
            (
                "3, 0x33 /* 8 entries, */, 5) = 2",
                &["3", "0x33 /* 8 entries, */", "5"],
                " = 2",
            ),
        ];
        for (text, expected, rest) in cases {
            let (items, behind) = split(text).expect(text);
            assert_eq!(
                (items.as_slice(), behind.as_str()),
                (
                    &*expected
                        .iter()
                        .map(|item| (*item).to_owned())
                        .collect::<Vec<_>>(),
                    rest
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn what_does_not_end_is_nothing() {
        for text in [
            "",
            "7",
            r#"7, "abc"#,
            "7, [1, 2",
            "7, {a=1)",
            "7<socket:[1",
            "a,b,c,d,e,f,g,h,i,j,k)",
        ] {
            assert!(split(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_of_arguments_are_left_out() {
        let (all, _) = arguments(
            br#"sockfd=4<TCP:[5]>, buf="len=5", len=5, cl_args={flags=0}, addrlen=[16 => 2], NULL)"#,
        )
        .expect("arguments");
        let expected: [&[u8]; 6] = [
            b"4<TCP:[5]>",
            br#""len=5""#,
            b"5",
            b"{flags=0}",
            b"[16 => 2]",
            b"NULL",
        ];
        for (place, argument) in expected.into_iter().enumerate() {
            assert_eq!(all.at(place), argument);
        }
        assert_eq!(unnamed(b"fd"), b"fd");
    }

    #[test]
    fn fields_are_found_at_their_own_level() {
        let message = br#"{msg_name=NULL, msg_iov=[{iov_base="msg_len=9", iov_len=9}], msg_len=4}"#;
        assert_eq!(field(message, "msg_len"), Some(b"4".as_slice()));
        let iov = field(message, "msg_iov").map(|iov| elements(iov).count());
        assert_eq!(iov, Some(1));
        assert_eq!(field(message, "iov_len"), None);
    }

    #[test]
    fn an_argument_that_was_left_out_is_noticed() {
        let elided = |text: &str| arguments(text.as_bytes()).is_some_and(|(all, _)| all.elided());
        assert!(elided(r#"42, "a", ...) = 1"#));
        assert!(!elided(r#"42, "a"..., 5, 0, NULL, 0) = 1"#));
        assert!(!elided(r"42, [{iov_base=NULL, iov_len=0}, ...], 50) = 1"));
    }
}
