//! One line of a log: whose it is, when, and what it tells (strace(1), section
//! DESCRIPTION and the options `-f`, `-i`, `-k`, `-n`, `-r`, `-t`, `-Y`).

use memchr::{memchr, memmem, memrchr};

use super::{
    calls::does,
    clock::{Stamp, stamp},
    extent::{Extent, extent, hides},
    result::signal,
};

/// Highest process number that Linux gives out (`PID_MAX_LIMIT`,
/// include/linux/threads.h). A larger number is a time.
const HIGHEST_PID: u32 = 4 << 20;

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A call, whole: its name, and what is behind the opening parenthesis.
    Call(&'a [u8], &'a [u8]),
    /// The beginning of a call: its name and the arguments so far.
    Unfinished(&'a [u8], &'a [u8]),
    /// The same, and strace let go of the thread there (Ctrl-C with `-p`, `-b
    /// execve`): it goes on untraced.
    Detached(&'a [u8], &'a [u8]),
    /// The end of one: its name, and what is behind `resumed>`.
    Resumed(&'a [u8], &'a [u8]),
    /// A process or thread ended with this wait status (wait(2)).
    Ended(u32),
    /// A thread's process number went to this other thread of it, which made
    /// an exec.
    Superseded(u32),
    /// Signals, strace's own messages, and what has no bearing.
    Nothing,
    /// Whoever shortened the log left lines out here.
    Elision,
    /// None of strace's.
    Unreadable,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The thread, where the log tells.
    pub(super) pid: Option<u32>,
    /// Its name (`-Y`).
    pub(super) comm: &'a [u8],
    pub(super) time: Stamp,
    pub(super) event: Event<'a>,
    /// What else is on the line: others, whose breaks were lost.
    pub(super) behind: &'a [u8],
}

/// Reads a line, without its end.
pub(super) fn line(text: &[u8]) -> Line<'_> {
    let text = text.trim_ascii_end();
    let mut line = Line {
        pid: None,
        comm: &[],
        time: Stamp::Absent,
        event: Event::Nothing,
        behind: &[],
    };
    let mut rest = text.trim_ascii_start();
    if is_of_table(rest) {
        return line;
    }
    if rest.first() == Some(&b'[')
        && let Some((pid, comm, behind)) = bracketed_pid(rest)
    {
        (line.pid, line.comm, rest) = (Some(pid), comm, behind);
    } else if rest.first().is_some_and(u8::is_ascii_digit)
        && let Some((pid, comm, behind)) = column_pid(rest)
    {
        (line.pid, line.comm, rest) = (Some(pid), comm, behind);
    }
    if rest.first().is_some_and(u8::is_ascii_digit) {
        let end = memchr(b' ', rest).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        match stamp(word) {
            Some(time) => (line.time, rest) = (time, behind.trim_ascii_start()),
            None => {
                line.event = Event::Unreadable;
                return line;
            }
        }
        // `-r` besides another time.
        if let Some(behind) = rest.strip_prefix(b"(+")
            && let Some(end) = memchr(b')', behind)
        {
            rest = behind.get(end + 1..).unwrap_or_default().trim_ascii_start();
        }
    }
    // The call's number (`-n`), the instruction pointer (`-i`).
    while rest.first() == Some(&b'[')
        && let Some(end) = memchr(b']', rest)
        && rest.get(1..end).is_some_and(|inside| {
            inside
                .iter()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b' ' | b'?'))
                && inside.iter().any(|byte| *byte != b' ')
        })
    {
        rest = rest.get(end + 1..).unwrap_or_default().trim_ascii_start();
    }
    let (event, behind) = event(rest);
    line.behind = behind;
    line.event = match event {
        // Of a line that has a number or a time, the rest is missing.
        Event::Nothing if rest.is_empty() && !text.is_empty() => Event::Unreadable,
        event => event,
    };
    line
}

/// The thread of a line that strace wrote for certain, with a call, an end or a
/// signal; `None` if it is none.
pub fn reads(text: &[u8]) -> Option<Option<u32>> {
    let line = line(text);
    let tells = match line.event {
        Event::Nothing => memmem::find(text, b"--- SIG").is_some(),
        Event::Elision | Event::Unreadable => false,
        _ => true,
    };
    tells.then_some(line.pid)
}

/// What a line tells, and what else is on it.
fn event(text: &[u8]) -> (Event<'_>, &[u8]) {
    let alone = |event| (event, &[][..]);
    match text.first() {
        None => alone(Event::Nothing),
        Some(b'<') => resumed(text).unwrap_or_else(|| alone(Event::Unreadable)),
        Some(b'+') => ending(text).unwrap_or_else(|| alone(Event::Unreadable)),
        Some(b'-') => match until(text, b"--- ", b" ---") {
            Some((_, behind)) => (Event::Nothing, behind),
            // What journalctl puts between.
            None if text.starts_with(b"-- ") && text.ends_with(b" --") && !hides(text) => {
                alone(Event::Nothing)
            }
            None => alone(Event::Unreadable),
        },
        Some(b'>') if is_frame(text) => alone(Event::Nothing),
        Some(b'|' | b'*') if is_of_dump(text) => alone(Event::Nothing),
        // Around what was pasted.
        Some(b'`') if text.starts_with(b"```") && !hides(text) => alone(Event::Nothing),
        // What strace says of a process of 32 bits.
        Some(b'[') if text.starts_with(b"[ Process PID=") && text.ends_with(b" mode. ]") => {
            alone(Event::Nothing)
        }
        Some(b'/' | b'#' | b'.' | b'[' | b'(' | 0xe2) if elides(text) => alone(Event::Elision),
        Some(b's' | b'P' | b'/' | b'.') if let Some(behind) = message(text) => {
            (Event::Nothing, behind)
        }
        _ => call(text).unwrap_or_else(|| alone(Event::Unreadable)),
    }
}

/// What stands between these two, the first of which the text begins with, and what
/// is behind them.
fn until<'a>(text: &'a [u8], start: &[u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let inside = text.strip_prefix(start)?;
    let at = memmem::find(inside, end)?;
    Some((inside.get(..at)?, inside.get(at + end.len()..)?))
}

/// A frame of `-k`: `> /lib/libc.so.6(write+0x10) [0xf0]`, or why there is none.
fn is_frame(text: &[u8]) -> bool {
    text.starts_with(b"> ")
        && (text.ends_with(b"]") || !text.contains(&b'('))
        && memmem::find(text, b") = ").is_none()
}

/// Bytes of `-e read` and `-e write`: ` * 5 bytes in buffer 0`, ` | 00000  48 … |`.
fn is_of_dump(text: &[u8]) -> bool {
    /// As wide as 16 bytes are, and more digits of a place.
    const WIDEST: usize = 84;
    if let Some(rest) = text.strip_prefix(b"* ") {
        let words: Vec<_> = rest.split(|byte| *byte == b' ').collect();
        return matches!(words.as_slice(), [_, b"bytes", b"in", b"buffer", number]
            if number.iter().all(u8::is_ascii_digit));
    }
    let place = text.strip_prefix(b"| ").map(|rest| {
        rest.iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count()
    });
    place.is_some_and(|digits| digits >= 5) && text.ends_with(b"|") && text.len() <= WIDEST
}

/// A line of the table that `-c` and `-C` print: `% time seconds usecs/call calls
/// errors syscall`, a rule, and a row for each call and for all.
fn is_of_table(text: &[u8]) -> bool {
    if !matches!(text.first(), Some(b'0'..=b'9' | b'%' | b'-')) {
        return false;
    }
    if text.starts_with(b"% time ") || text.starts_with(b"------ ----------- ") {
        return !text.contains(&b'(');
    }
    let mut words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (Some(share), Some(seconds)) = (words.next(), words.next()) else {
        return false;
    };
    let (mut numbers, mut name) = (0, None);
    for word in words {
        match name {
            None if word.iter().all(u8::is_ascii_digit) => numbers += 1,
            None => name = Some(word),
            Some(_) => return false,
        }
    }
    let has_places = |word: &[u8], places: usize| {
        memchr(b'.', word).is_some_and(|dot| {
            word.len() == dot + 1 + places
                && word
                    .iter()
                    .enumerate()
                    .all(|(at, byte)| at == dot || byte.is_ascii_digit())
        })
    };
    has_places(share, 2)
        && has_places(seconds, 6)
        && (1..=3).contains(&numbers)
        && name.is_some_and(is_name)
}

/// `[pid 7599] ` or `[pid 7599<images>] `.
fn bracketed_pid(text: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let rest = text.strip_prefix(b"[pid ")?.trim_ascii_start();
    let (pid, rest) = digits(rest)?;
    let (comm, rest) = comm(rest)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"]")?;
    Some((pid, comm, rest.trim_ascii_start()))
}

/// `7599  `, the column that `-f` with `-o` makes.
fn column_pid(text: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (pid, rest) = digits(text)?;
    let (comm, rest) = comm(rest)?;
    (rest.first() == Some(&b' ') && pid <= HIGHEST_PID)
        .then(|| (pid, comm, rest.trim_ascii_start()))
}

/// A name in `<…>`, if there is one (`-Y`).
fn comm(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.first() != Some(&b'<') {
        return Some((&[], text));
    }
    let end = memchr(b'>', text)?;
    Some((text.get(1..end)?, text.get(end + 1..)?))
}

fn digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u32;
    let mut count = 0;
    for byte in text.iter().take_while(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(u32::from(byte - b'0'))?;
        count += 1;
    }
    (count > 0).then(|| text.get(count..).map(|rest| (value, rest)))?
}

/// `<... recvfrom resumed>"GET", 8192, 0, NULL, NULL) = 3`.
fn resumed(text: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let rest = text.strip_prefix(b"<... ")?;
    let name = rest.get(..memchr(b' ', rest)?)?;
    let rest = rest.get(name.len()..)?.strip_prefix(b" resumed>")?;
    if !is_name(name) && name != b"????" {
        return None;
    }
    match extent(rest, true) {
        Some(Extent::Whole(rest, behind)) => Some((Event::Resumed(name, rest), behind)),
        // It has no result: whatever it was is not known.
        Some(Extent::Unfinished(..) | Extent::Detached(..)) if does(name).is_some() => None,
        _ if hides_another(name, rest) => None,
        _ => Some((Event::Resumed(name, rest), &[])),
    }
}

/// Whether another call may be in one that cannot be read, and does not matter.
fn hides_another(name: &[u8], rest: &[u8]) -> bool {
    // How often a call ends in it, if it is one.
    let ends = memmem::find_iter(rest, b") = ").count();
    ends > 1 || (does(name).is_none() && hides_call(rest))
}

/// The same without regard of results.
fn hides_call(rest: &[u8]) -> bool {
    match memmem::rfind(rest, b") = ") {
        Some(end) => hides(rest.get(..end).unwrap_or_default()),
        None => hides(rest),
    }
}

/// `+++ exited with 0 +++`, `+++ killed by SIGKILL +++`.
fn ending(text: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let (inside, behind) = until(text, b"+++ ", b" +++")?;
    if let Some(status) = inside.strip_prefix(b"exited with ") {
        let (status, rest) = digits(status)?;
        let ended = Event::Ended(status << 8);
        return (rest.is_empty() && status < 256).then_some((ended, behind));
    }
    if let Some(pid) = inside.strip_prefix(b"superseded by execve in pid ") {
        return Some((Event::Superseded(digits(pid)?.0), behind));
    }
    let killed = inside.strip_prefix(b"killed by ")?;
    let (name, core) = match killed.strip_suffix(b" (core dumped)") {
        Some(name) => (name, 0x80),
        None => (killed, 0),
    };
    Some((Event::Ended(signal(name)? | core), behind))
}

/// strace's own messages: what is behind one.
fn message(text: &[u8]) -> Option<&[u8]> {
    // Only the first word: many lines may be on one.
    let word = memchr(b' ', text).unwrap_or(text.len());
    let own = match text.get(..word)?.strip_suffix(b"strace:") {
        Some(folders) if is_path(folders) => text.get(word + 1..),
        _ => None,
    };
    let message = own.unwrap_or(text);
    let of_process = message.strip_prefix(b"Process ").and_then(digits);
    if let Some((_, rest)) = of_process {
        for word in [&b" attached"[..], b" detached", b" suspended", b" resumed"] {
            let Some(behind) = rest.strip_prefix(word) else {
                continue;
            };
            // Older ones say more: `with 2 threads - interrupt to quit`.
            let more = behind.starts_with(b" ") && !hides(behind);
            return Some(if more { &[] } else { behind });
        }
    }
    (own.is_some() && !hides(message)).then_some(&[])
}

/// What strace was run as, up to its name: nothing, or folders.
fn is_path(text: &[u8]) -> bool {
    text.is_empty() || (text.ends_with(b"/") && !text.iter().any(u8::is_ascii_whitespace))
}

/// Comments and dots of whoever shortened the log.
fn elides(text: &[u8]) -> bool {
    text.starts_with(b"//")
        || text.starts_with(b"#")
        || text.starts_with(b"/*")
        || text.starts_with(b"...")
        || text.starts_with(b"[...")
        || text.starts_with(b"(...")
        || text.starts_with(b"\xe2\x80\xa6")
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// `sendto(7, …) = 5` or its beginning.
fn call(text: &[u8]) -> Option<(Event<'_>, &[u8])> {
    // The longest name has 28 letters.
    let head = text.get(..text.len().min(40))?;
    let parenthesis = memchr(b'(', head)?;
    let name = text.get(..parenthesis)?;
    // Those without a name, and those that strace came too late for.
    if !is_name(name) && !name.starts_with(b"syscall_0x") && name != b"????" {
        return None;
    }
    let rest = text.get(parenthesis + 1..)?;
    match extent(rest, false) {
        Some(Extent::Whole(rest, behind)) => return Some((Event::Call(name, rest), behind)),
        Some(Extent::Unfinished(arguments, behind)) => {
            return Some((Event::Unfinished(name, arguments), behind));
        }
        Some(Extent::Detached(arguments, behind)) => {
            return Some((Event::Detached(name, arguments), behind));
        }
        None => {}
    }
    // Its arguments are none of strace's, but for calls that do not matter.
    if let Some(arguments) = rest.strip_suffix(b"<unfinished ...>") {
        return (!hides(arguments)).then_some((Event::Unfinished(name, arguments), &[]));
    }
    if let Some(arguments) = rest.strip_suffix(b"<detached ...>") {
        return (!hides(arguments)).then_some((Event::Detached(name, arguments), &[]));
    }
    (does(name).is_none() && returns(rest) && !hides_another(name, rest))
        .then_some((Event::Call(name, rest), &[]))
}

/// Whether the text has a result at its end, so far as that is told without
/// reading the arguments.
fn returns(rest: &[u8]) -> bool {
    let equals = |at: usize| {
        let (before, after) = (rest.get(..at), rest.get(at + 1..));
        before
            .is_some_and(|before| before.ends_with(b" ") && before.trim_ascii_end().ends_with(b")"))
            && after.is_some_and(|after| {
                matches!(
                    after,
                    [b' ', b'?' | b'0'..=b'9', ..] | [b' ', b'-', b'0'..=b'9', ..]
                )
            })
    };
    if memrchr(b'=', rest).is_some_and(equals) {
        return true;
    }
    // There may be others behind it: `= 1 ([{fd=7, …}])`.
    memmem::rfind_iter(rest, b" = ").any(|at| equals(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<u32>, Stamp, Event<'_>) {
        let line = line(text.as_bytes());
        (line.pid, line.time, line.event)
    }

    #[test]
    fn whose_and_when() {
        let close = Event::Call(b"close", b"7) = 0");
        let cases = [
            ("close(7) = 0", None, Stamp::Absent),
            ("7599  close(7) = 0", Some(7599), Stamp::Absent),
            ("[pid  7599] close(7) = 0", Some(7599), Stamp::Absent),
            ("[pid 7599<a b>] close(7) = 0", Some(7599), Stamp::Absent),
            ("7599<images> close(7) = 0", Some(7599), Stamp::Absent),
            ("00:00:01 close(7) = 0", None, Stamp::Second(1_000_000_000)),
            (
                "7599  00:00:01.000002 close(7) = 0",
                Some(7599),
                Stamp::OfDay(1_000_002_000),
            ),
            (
                "1795249180.488238 close(7) = 0",
                None,
                Stamp::Epoch(1_795_249_180_488_238_000),
            ),
            ("     0.000118 close(7) = 0", None, Stamp::Since(118_000)),
            (
                "7599       0.000118 close(7) = 0",
                Some(7599),
                Stamp::Since(118_000),
            ),
            (
                "00:00:01 (+     0.000094) close(7) = 0",
                None,
                Stamp::Second(1_000_000_000),
            ),
            ("[00007f1c5388a310] close(7) = 0", None, Stamp::Absent),
            (
                "[   3] [00007f1c5388a310] close(7) = 0",
                None,
                Stamp::Absent,
            ),
            (
                "[pid 5] 1795249180 close(7) = 0",
                Some(5),
                Stamp::Epoch(1_795_249_180_000_000_000),
            ),
            (
                "1795249180 close(7) = 0",
                None,
                Stamp::Epoch(1_795_249_180_000_000_000),
            ),
            ("  close(7) = 0 \r", None, Stamp::Absent),
        ];
        for (text, pid, time) in cases {
            assert_eq!(read(text), (pid, time, close), "{text}");
        }
        assert_eq!(line(b"7599<images> close(7) = 0").comm, b"images");
    }

    #[test]
    fn what_happened() {
        let cases: [(&str, Event<'_>); 25] = [
            (
                "recvfrom(7,  <unfinished ...>",
                Event::Unfinished(b"recvfrom", b"7,  "),
            ),
            (
                "epoll_wait(3,  <detached ...>",
                Event::Detached(b"epoll_wait", b"3,  "),
            ),
            (
                "<... recvfrom resumed>\"\", 5) = 0",
                Event::Resumed(b"recvfrom", b"\"\", 5) = 0"),
            ),
            (
                "<... exit_group resumed>) = ?",
                Event::Resumed(b"exit_group", b") = ?"),
            ),
            ("+++ exited with 3 +++", Event::Ended(3 << 8)),
            ("+++ killed by SIGKILL +++", Event::Ended(9)),
            (
                "+++ killed by SIGSEGV (core dumped) +++",
                Event::Ended(11 | 0x80),
            ),
            (
                "+++ superseded by execve in pid 12 +++",
                Event::Superseded(12),
            ),
            ("--- SIGCHLD {si_signo=SIGCHLD} ---", Event::Nothing),
            ("--- stopped by SIGSTOP ---", Event::Nothing),
            ("strace: Process 5 attached", Event::Nothing),
            ("Process 5 attached", Event::Nothing),
            ("", Event::Nothing),
            (" | 10000  48 54 54 50  HTTP |", Event::Nothing),
            (" * 100 bytes in buffer 0", Event::Nothing),
            ("????( <unfinished ...>", Event::Unfinished(b"????", b" ")),
            ("<... ???? resumed>) = ?", Event::Resumed(b"????", b") = ?")),
            (" > /lib/libc.so.6(write+0x10) [0xf0]", Event::Nothing),
            (
                "// ... keeps writing until buffer drains ...",
                Event::Elision,
            ),
            (
                "% time     seconds  usecs/call     calls    errors syscall",
                Event::Nothing,
            ),
            (
                "------ ----------- ----------- --------- --------- ----------------",
                Event::Nothing,
            ),
            (
                " 45.21    0.000123           5        24         1 read",
                Event::Nothing,
            ),
            (
                "100.00    0.000272                  4711        12 total",
                Event::Nothing,
            ),
            ("[...]", Event::Elision),
            ("\u{2026}", Event::Elision),
        ];
        for (text, event) in cases {
            assert_eq!(read(text).2, event, "{text}");
        }
    }

    #[test]
    fn results_may_have_more_behind_them() {
        for text in [
            "poll([{fd=7}], 1, -1) = 1 ([{fd=7, revents=POLLHUP}])",
            "read(7, \"a = b\", 5)           = 5",
            "exit_group(0)                           = ?",
            "read(7, 0x1, 5) = ? ERESTARTSYS (To be restarted)",
            "open(\"/\") = 3</> <0.000010>",
            "syscall_0x1f4(1, 2) = -1 ENOSYS (Function not implemented)",
        ] {
            assert!(matches!(read(text).2, Event::Call(..)), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_straces_is_unreadable() {
        for text in [
            "hello",
            "listening on port 80",
            "sendto(7, \"abc",
            "sendto(7, \"abc\", 3, 0, NULL, 0) = ",
            "sendto(7, \"abc\", 3, 0, NULL, 0) = -",
            "12:00:0",
            "12:00:01",
            "7",
            "7599  ",
            "[pid 7]",
            "<... recvfrom resu",
            "+++ exited with",
            "Hello(7) = 0",
            "\u{0}\u{0}\u{0}",
        ] {
            assert_eq!(read(text).2, Event::Unreadable, "{text}");
        }
    }
}
