//! Lines in which strace has put a message of its own.

use std::borrow::Cow;

/// The beginning of a line that a message of strace's interrupted.
#[derive(Debug, Default)]
pub(super) struct InterruptedLine {
    before: Vec<u8>,
}

impl InterruptedLine {
    /// Returns the line that ends with this text, or `None` if it was interrupted.
    pub(super) fn join<'a>(&mut self, text: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.before.is_empty() {
            let Some(before) = interrupted(text) else {
                return Some(Cow::Borrowed(text));
            };
            self.before = before.to_vec();
            return None;
        }
        let mut whole = std::mem::take(&mut self.before);
        whole.extend_from_slice(text);
        let Some(before) = interrupted(&whole) else {
            return Some(Cow::Owned(whole));
        };
        whole.truncate(before.len());
        self.before = whole;
        None
    }

    /// Takes what no line went on with.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let before = std::mem::take(&mut self.before);
        (!before.is_empty()).then_some(before)
    }
}

/// What is before a message of strace's that interrupts a line: without `-o` it
/// tells of a new process in the midst of the call that makes it, and that it lets
/// go of one before it ends the line with `<detached ...>`.
fn interrupted(text: &[u8]) -> Option<&[u8]> {
    let start = text.trim_ascii_end();
    if !start.ends_with(b" attached") && !start.ends_with(b" detached") {
        return None;
    }
    let at = memchr::memmem::rfind(start, b"Process ")?;
    let number = start.get(at + 8..start.len() - 9)?;
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let before = start.get(..at)?;
    // Before 4.13 it did not say its name; as it was run, folders are before it.
    let before = match before.strip_suffix(b"strace: ") {
        Some(before) => {
            let path = |byte: &&u8| byte.is_ascii_graphic() && !br#""()<>[]{},=*|"#.contains(byte);
            let length = before.iter().rev().take_while(path).count();
            let folders = before.get(before.len() - length..)?;
            match memchr::memchr(b'/', folders) {
                Some(slash) if folders.ends_with(b"/") => {
                    // A comment's end is before it.
                    let comment = before.get(..before.len() - length)?.ends_with(b"*");
                    before.get(..before.len() - length + slash + usize::from(comment))?
                }
                _ => before,
            }
        }
        None => before,
    };
    (!before.is_empty()).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::interrupted;

    #[test]
    fn a_message_in_the_midst_of_a_line_is_told_from_it() {
        let cases = [
            (
                "clone(flags=SIGCHLD",
                "strace: Process 5 attached",
                "clone(flags=SIGCHLD",
            ),
            (
                "clone(flags=SIGCHLD",
                "/usr/bin/strace: Process 5 attached",
                "clone(flags=SIGCHLD",
            ),
            (
                "clone(flags=0x11 /* SIGCHLD */",
                "/bin/strace: Process 5 attached",
                "clone(flags=0x11 /* SIGCHLD */",
            ),
            ("clone(", "Process 5 attached", "clone("),
            ("close(3", "strace: Process 5 detached", "close(3"),
        ];
        for (before, message, expected) in cases {
            let line = format!("{before}{message}");
            assert_eq!(
                interrupted(line.as_bytes()),
                Some(expected.as_bytes()),
                "{line}"
            );
        }
        for line in [
            "strace: Process 5 attached",
            "Process 5 attached",
            "close(3) = 0",
        ] {
            assert_eq!(interrupted(line.as_bytes()), None, "{line}");
        }
    }
}
