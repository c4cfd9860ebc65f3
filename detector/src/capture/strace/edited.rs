//! Strings that somebody changed before the log was pasted: a cookie, a token or an
//! address is replaced by something shorter or longer.
//!
//! Such a string does not have the length that the call's numbers say, so the offset of
//! each of its bytes is unknown. Two things are known all the same. A string that ends
//! with the empty line of a head ended with its call, or with its element of a vector,
//! as the head did: the head is as long as the numbers say. A string that begins with a
//! head tells the first lines of that head, and not where it ends.

use crate::http::{ChunkDecoder, Chunks, Parsed, after_empty_lines, is_response, parse};

/// What people write in place of what they take out.
const MARKS: [&str; 8] = [
    "***", "redacted", "masked", "<hidden", "[hidden", "<removed", "[removed", "<snip",
];

/// Whether this is the text of a head that ends where the text does.
fn ends_head(text: &[u8]) -> bool {
    text.ends_with(b"\n\r\n") || text.ends_with(b"\n\n")
}

/// Returns the length of the head that is whole at the start of a text.
pub(super) fn head_length(text: &[u8]) -> Option<usize> {
    match parse(text) {
        Parsed::Complete(head) => usize::try_from(head.len).ok(),
        _ => None,
    }
}

/// Whether a head seems to have been changed, by what people write in such places.
pub(super) fn is_marked(head: &[u8]) -> bool {
    let head = head.to_ascii_lowercase();
    MARKS
        .iter()
        .any(|mark| memchr::memmem::find(&head, mark.as_bytes()).is_some())
}

/// Returns a text of `length` bytes that frames as this one does: a head, or the last
/// lines of one, whose last byte was the last of `length` bytes. `None` if the text is
/// not that, or has too many lines that matter.
pub(super) fn fitted(text: &[u8], length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?;
    if !ends_head(text) {
        return None;
    }
    let (lines, end) = lines(text)?;
    let begins = is_response(after_empty_lines(text)) || head_length(text).is_some();
    if begins {
        // Another message, or a body, behind the head: it did not end there.
        if head_length(text).is_some_and(|head| head != text.len()) {
            return None;
        }
    } else if lines.first().is_some_and(|line| begins_chunk(line)) {
        return None;
    }
    let (first, fields) = lines.split_first()?;
    let field = |line: &[u8]| memchr::memchr(b':', line).is_some_and(|at| at > 0);
    // The first of the last lines of a head may be the rest of a line. A line that is
    // no field was put in the place of one or several.
    let elided = fields.iter().any(|line| !field(line));
    if !begins && elided {
        return None;
    }
    let fields: Vec<_> = fields.iter().copied().filter(|line| field(line)).collect();
    if elided && !fields.iter().any(|line| frames(line)) {
        // What tells the length may be among what was taken out.
        return None;
    }
    let build = |first: &[u8], fields: &[&[u8]]| {
        let kept: usize = fields.iter().map(|line| line.len() + end.len()).sum();
        let spaces = length.checked_sub(first.len() + kept + 2 * end.len())?;
        let mut text = first.to_vec();
        for line in fields {
            text.extend_from_slice(end);
            text.extend_from_slice(line);
        }
        // Blanks behind a value are no part of it (RFC 9110 section 5.5).
        text.resize(text.len() + spaces, b' ');
        text.extend_from_slice(end);
        text.extend_from_slice(end);
        Some(text)
    };
    let kept: Vec<_> = fields.iter().copied().filter(|line| frames(line)).collect();
    let fitted = build(first, &fields)
        .or_else(|| build(first, &kept))
        .or_else(|| build(value_removed(first).filter(|_| !begins)?, &kept))?;
    let frames_alike = !begins || same_framing(text, &fitted);
    frames_alike.then_some(fitted)
}

/// Returns the first bytes of a head without its end: fewer than `length`, as many as
/// may be. Empty where that is none.
pub(super) fn beginning(text: &[u8], length: u64) -> &[u8] {
    let most = length.saturating_sub(1);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let start = text.get(..most.min(text.len())).unwrap_or_default();
    match head_length(start) {
        // Without the line feed of the empty line.
        Some(head) => start.get(..head - 1).unwrap_or_default(),
        None => start,
    }
}

/// The lines of a head without their ends and without the empty line, and how they end.
/// `None` if there is an empty line among them.
fn lines(text: &[u8]) -> Option<(Vec<&[u8]>, &'static [u8])> {
    let end: &[u8] = if text.ends_with(b"\r\n\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    let text = text
        .strip_suffix(b"\r\n")
        .or_else(|| text.strip_suffix(b"\n"))?;
    let text = text.strip_suffix(end)?;
    let lines: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    let empty = lines.iter().any(|line| line.is_empty());
    (!empty).then_some((lines, end))
}

/// A field without its value, or the rest of one; `None` where that may tell the length.
fn value_removed(line: &[u8]) -> Option<&[u8]> {
    let at = memchr::memchr(b':', line)?;
    let value = line.get(at + 1..)?.trim_ascii();
    let tells = value.iter().all(u8::is_ascii_digit) || value.eq_ignore_ascii_case(b"chunked");
    (!tells && !frames(line)).then(|| line.get(..=at))?
}

/// Whether a line may be a chunk's size (RFC 9112 section 7.1).
fn begins_chunk(line: &[u8]) -> bool {
    !line.is_empty() && ChunkDecoder::default().feed(line).0 == Chunks::More
}

/// Whether a field is one that framing depends on, or what is said of a message.
fn frames(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    [
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
        "content-type",
    ]
    .iter()
    .any(|known| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()))
}

fn same_framing(one: &[u8], other: &[u8]) -> bool {
    let (Parsed::Complete(one), Parsed::Complete(other)) = (parse(one), parse(other)) else {
        return false;
    };
    (one.start, one.framing.lengths, one.framing.coding)
        == (other.start, other.framing.lengths, other.framing.coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nSet-Cookie: s=XX\r\nContent-Length: 20\r\n\r\n";

    #[test]
    fn a_head_gets_the_length_that_the_numbers_say() {
        for length in [48, 56, 57, 58, 71, 5000] {
            let fitted = fitted(HEAD, length).expect("fits");
            assert_eq!(fitted.len() as u64, length);
            assert_eq!(head_length(&fitted), Some(fitted.len()));
            assert!(same_framing(HEAD, &fitted));
        }
        // Too short for what it promises.
        assert_eq!(fitted(HEAD, 30), None);
        let request = b"GET /a?token=*** HTTP/1.1\nHost: x\n\n";
        assert_eq!(fitted(request, 60).map(|head| head.len()), Some(60));
    }

    #[test]
    fn the_last_lines_of_a_head_get_it_too() {
        let lines = b"ookie: s=XX\r\nContent-Length: 20\r\n\r\n";
        assert_eq!(fitted(lines, 50).map(|lines| lines.len()), Some(50));
        for none in [
            &b"5\r\nab: c\r\n\r\n"[..],
            b"5;x=y\r\nab: c\r\n\r\n",
            b"Cookie: a\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n[...]\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n",
            b"",
            b"\r\n\r\n",
        ] {
            assert_eq!(fitted(none, 90), None, "{}", none.escape_ascii());
        }
    }

    #[test]
    fn a_beginning_has_no_end() {
        assert_eq!(beginning(HEAD, 71), &HEAD[..HEAD.len() - 1]);
        assert_eq!(beginning(HEAD, 20), &HEAD[..19]);
        assert_eq!(beginning(HEAD, 0), b"");
        let both = [HEAD, b"a body"].concat();
        assert_eq!(beginning(&both, 90), &HEAD[..HEAD.len() - 1]);
    }
}
