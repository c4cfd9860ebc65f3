//! Where a call ends on its line. strace ends the line there: what stands behind is
//! another line, of which the break was lost.

use memchr::memmem;

use super::{
    arguments::{annotates, annotation},
    calls::does,
    unquote::closing,
};

/// A call as far as it goes, and what is behind it on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent<'a> {
    /// It has a result.
    Whole(&'a [u8], &'a [u8]),
    /// `<unfinished ...>`: its arguments so far.
    Unfinished(&'a [u8], &'a [u8]),
    /// `<detached ...>`.
    Detached(&'a [u8], &'a [u8]),
}

/// Marks that strace puts in place of the rest of a call.
const UNFINISHED: &[u8] = b"<unfinished ...>";
const DETACHED: &[u8] = b"<detached ...>";

/// The extent of a call whose arguments begin here; `resumes`: those before are in
/// an earlier line. `None` if it has no end that strace would give it.
pub(super) fn extent(text: &[u8], resumes: bool) -> Option<Extent<'_>> {
    let mut at = 0;
    let mut depth = 0_usize;
    loop {
        at += text.get(at..)?.iter().position(|byte| matters(*byte))?;
        match text.get(at)? {
            b'"' => at += 1 + closing(text.get(at + 1..)?)?,
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => return result(text, at + 1),
            b']' | b'}' if depth == 0 && !resumes => return None,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'<' => {
                let rest = text.get(at..)?;
                if let Some(behind) = rest.strip_prefix(UNFINISHED) {
                    return Some(Extent::Unfinished(text.get(..at)?, behind));
                }
                if let Some(behind) = rest.strip_prefix(DETACHED) {
                    return Some(Extent::Detached(text.get(..at)?, behind));
                }
                if annotates(text, at) {
                    at += annotation(rest)?.len() - 1;
                }
            }
            b'/' if text.get(at + 1) == Some(&b'*') => {
                at += memmem::find(text.get(at..)?, b"*/")? + 1;
            }
            // A message of strace's own, in the midst of the call.
            b':' if text.get(..at)?.ends_with(b"strace") => return None,
            // strace writes ASCII; whoever shortens a log writes an ellipsis.
            0x80.. if text.get(at..)?.starts_with("\u{2026}".as_bytes()) => at += 2,
            0x80.. => return None,
            _ => {}
        }
        at += 1;
    }
}

fn matters(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'(' | b'[' | b'{' | b')' | b']' | b'}' | b'<' | b'/' | b':' | 0x80..
    )
}

/// The result, with what strace writes behind it: a descriptor's name, an error's
/// name and text, what poll(2) found, a comment, the time spent in the call.
fn result(text: &[u8], at: usize) -> Option<Extent<'_>> {
    let value = blanks(text, at);
    if value == at || !text.get(value..)?.starts_with(b"= ") {
        return None;
    }
    let mut end = word(text, blanks(text, value + 2))?;
    loop {
        let next = blanks(text, end);
        let rest = text.get(next..)?;
        let length = match rest.first() {
            // Directly behind a descriptor's number.
            Some(b'<') if next == end && !rest.starts_with(b"<... ") => annotation(rest)?.len(),
            _ if next == end => break,
            Some(b'(') => group(rest)?,
            Some(b'/') if rest.starts_with(b"/* ") => memmem::find(rest, b"*/")? + 2,
            Some(b'E') => {
                let name = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
                rest.iter()
                    .take_while(|byte| name(byte) || **byte == b'_')
                    .count()
            }
            // A security context.
            Some(b'[') => match memchr::memchr2(b']', b' ', rest) {
                Some(end)
                    if rest.get(end) == Some(&b']')
                        && memchr::memchr(b':', rest.get(..end)?).is_some() =>
                {
                    end + 1
                }
                _ => break,
            },
            Some(b'<') if rest.starts_with(b"<unavailable>") => 13,
            Some(b'<') => match duration(rest) {
                Some(length) => {
                    end = next + length;
                    break;
                }
                None => break,
            },
            _ => break,
        };
        end = next + length;
    }
    Some(Extent::Whole(text.get(..end)?, text.get(end..)?))
}

fn blanks(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| **byte == b' ').count()
}

/// Where the number, or `?`, ends that begins here; `None` if that is not told from
/// what is behind.
fn word(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    if rest.first() == Some(&b'?') {
        return Some(at + 1);
    }
    let sign = usize::from(rest.first() == Some(&b'-'));
    let hexadecimal = rest.starts_with(b"0x");
    let start = if hexadecimal { 2 } else { sign };
    let digit = |byte: &&u8| {
        if hexadecimal {
            byte.is_ascii_hexdigit()
        } else {
            byte.is_ascii_digit()
        }
    };
    let digits = rest.get(start..)?;
    let count = digits.iter().take_while(digit).count();
    let torn = match digits.get(count) {
        None | Some(b' ' | b'\t' | b'<') => false,
        // A time, or a name that begins as a number does.
        Some(b'.' | b':') => true,
        Some(_) => hexadecimal,
    };
    (count > 0 && !torn).then_some(at + start + count)
}

/// How long the text in parentheses is that begins here.
fn group(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at += 1 + closing(text.get(at + 1..)?)?,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// How long the time is that begins here: `<0.000012>`.
fn duration(text: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b'>', text)?;
    let inside = text.get(1..end)?;
    let seconds = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    (!inside.is_empty() && inside.iter().all(seconds)).then_some(end + 1)
}

/// Whether a call that matters, or an end, may be in a text that cannot be read.
pub(super) fn hides(text: &[u8]) -> bool {
    let calls = memchr::memchr_iter(b'(', text).any(|at| {
        let before = text.get(..at).unwrap_or_default();
        let name = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let letters = before
            .iter()
            .rev()
            .take_while(|byte| name(byte) || **byte == b'_')
            .count();
        (0..letters).any(|skip| {
            let name = before.get(before.len() - letters + skip..);
            name.is_some_and(|name| does(name).is_some())
        })
    });
    calls
        || [&b"resumed>"[..], UNFINISHED, DETACHED, b"+++ ", b") = "]
            .iter()
            .any(|mark| memmem::find(text, mark).is_some())
}

/// Whether what is behind a call is only somebody's remark on it, and says of no
/// line that was left out.
pub(super) fn remarks(text: &[u8]) -> bool {
    let begins = ["//", "#", "<-", "<=", "\u{2190}", "\u{21d0}"]
        .iter()
        .any(|start| text.starts_with(start.as_bytes()));
    // The rest of a long line is searched only once.
    if !begins {
        return false;
    }
    let elides = ["...", "\u{2026}"]
        .iter()
        .any(|dots| memmem::find(text, dots.as_bytes()).is_some());
    !elides && !hides(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is behind the call; `None` if it has no end.
    fn behind(text: &str, resumes: bool) -> Option<&str> {
        let behind = match extent(text.as_bytes(), resumes)? {
            Extent::Whole(_, behind)
            | Extent::Unfinished(_, behind)
            | Extent::Detached(_, behind) => behind,
        };
        std::str::from_utf8(behind).ok()
    }

    #[test]
    fn whatever_strace_writes_behind_a_result_is_the_calls() {
        for text in [
            "7) = 0",
            "7)                          = 0",
            "7) = 0 <0.000012>",
            "7) = 3<socket:[1]>",
            "7) = 7<TCP:[127.0.0.1:80->127.0.0.1:9]> <0.000012>",
            r#"7, "a) = 5 sendto(4, \"", 3) = 1"#,
            "0</dev/null<char 1:3>>, 1) = 0x7f1c534cc000",
            "7) = -1 EAGAIN (Resource temporarily unavailable) <0.1>",
            "7) = -1 ENOSYS (Function not implemented) (INJECTED)",
            "[{fd=3}], 1, 5) = 1 ([{fd=3, revents=POLLIN}])",
            "3, F_GETFL) = 0x2 (flags O_RDWR)",
            "1, [3]) = 1 (in [3], left {tv_sec=0, tv_nsec=3}) <0.5>",
            "3) = 5 (left 0.3 s)",
            "0) = ?",
            "0) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
            "0) = ? <unavailable>",
            "0) = 12 /* 7 in strace's PID NS */",
            "AT_FDCWD, \"/a\") = 3</a> [system_u:object_r:a_t:s0]",
            "022) = 022",
            "-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0) = 12",
        ] {
            assert_eq!(behind(text, false), Some(""), "{text}");
        }
        assert_eq!(behind("], 3) = 4", true), Some(""));
        assert_eq!(behind(" => {parent_tid=[12]}, 88) = 12", true), Some(""));
    }

    #[test]
    fn what_else_is_behind_is_another_line() {
        let next = "sendto(4, \"x\"..., 1000, 0, NULL, 0) = 1000";
        for first in [
            "4, SOL_TCP, TCP_NODELAY, [1], 4) = 0",
            "4) = 0 <0.000012>",
            "4) = -1 EAGAIN (Resource temporarily unavailable)",
            "4) = 3<socket:[1]>",
            "4) = 0 (Timeout)",
            "0) = ?",
            "4,  <unfinished ...>",
            "4,  <detached ...>",
        ] {
            for space in ["", " ", "  "] {
                for prefix in ["", "[pid 12] ", "<... read resumed>\"\", 5) = 0"] {
                    let joined = format!("{first}{space}{prefix}{next}");
                    let expected = format!("{space}{prefix}{next}");
                    assert_eq!(behind(&joined, false), Some(&*expected), "{joined}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_end() {
        for text in [
            "",
            "4, \"xx",
            "4, [1) = 0",
            "0x7f, FUTEX_WAIT sendto(4, \"x\", 1, 0, NULL, 0) = 1",
            "4) = 0x7fclose(3) = 0",
            "4) = 00:00:01.5 close(3) = 0",
            "4) = 01795249180.5 close(3) = 0",
            "4) = -1 EAGAIN (Resource",
            "flags=SIGCHLDstrace: Process 5 attached, child_tidptr=0x7f) = 5",
            "4, \u{201c}abc\u{201d}, 3) = 3",
        ] {
            assert_eq!(behind(text, false), None, "{text}");
        }
    }

    #[test]
    fn a_remark_is_no_line() {
        assert!(remarks(b"// only 5 of 10") && remarks("\u{2190} short".as_bytes()));
        assert!(!remarks(b"// ... and so on") && !remarks(b"# close(4) = 0"));
        assert!(hides(b"xx sendto(4, \"x") && hides(b"@@ +++ exited with 0 +++"));
        assert!(!hides(b"futex(0x7f, "));
    }
}
