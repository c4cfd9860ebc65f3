//! What a call returned, as strace(1) prints it behind the arguments.

use super::arguments::annotation;

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// A count, a descriptor, a process.
    Value(u64),
    /// An error: its number (errno(3)), 0 where the name is not known here.
    Error(u32),
    /// `?`: the call did not return, or strace did not see what.
    Unknown,
}

/// A result with what may stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome<'a> {
    /// What it returned.
    pub(super) returned: Returned,
    /// What `-y` says of a descriptor that was returned, with its brackets.
    pub(super) annotation: &'a [u8],
    /// The rest: the error's text, or what poll(2) found.
    pub(super) rest: &'a [u8],
}

impl Outcome<'_> {
    /// strace made this up (`-e inject`), and the kernel did nothing.
    pub(super) fn is_injected(&self) -> bool {
        self.rest.ends_with(b"(INJECTED)")
    }
}

/// Reads what is behind the closing parenthesis: blanks, `=`, blanks, the
/// result; `None` if it is not that.
pub(super) fn outcome(text: &[u8]) -> Option<Outcome<'_>> {
    let text = text.trim_ascii_start().strip_prefix(b"= ")?.trim_ascii();
    let text = without_duration(text);
    let (word, rest) = match text.iter().position(|byte| matches!(byte, b' ' | b'<')) {
        Some(end) => text.split_at_checked(end)?,
        None => (text, &[][..]),
    };
    let (annotation, rest) = if rest.first() == Some(&b'<') {
        let annotation = annotation(rest)?;
        (annotation, rest.get(annotation.len()..)?)
    } else {
        (&[][..], rest)
    };
    let rest = rest.trim_ascii_start();
    let returned = match word {
        b"?" if rest.starts_with(b"ERESTART") => Returned::Error(RESTART),
        b"?" => Returned::Unknown,
        _ => match word.strip_prefix(b"-") {
            Some(digits) => {
                digits.iter().all(u8::is_ascii_digit).then_some(())?;
                let name = rest.split(|byte| *byte == b' ').next()?;
                if !name.starts_with(b"E") {
                    return None;
                }
                Returned::Error(errno(name))
            }
            None => Returned::Value(value(word)?),
        },
    };
    Some(Outcome {
        returned,
        annotation,
        rest,
    })
}

/// Without the time spent in the call (`-T`), if it is there.
fn without_duration(text: &[u8]) -> &[u8] {
    let Some(inside) = text.strip_suffix(b">") else {
        return text;
    };
    let Some(start) = memchr::memrchr(b'<', inside) else {
        return text;
    };
    let duration = inside.get(start + 1..).unwrap_or_default();
    let seconds = !duration.is_empty()
        && duration
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    match text.get(..start) {
        Some(before) if seconds && before.ends_with(b" ") => before.trim_ascii_end(),
        _ => text,
    }
}

fn value(word: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(word).ok()?;
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if word.starts_with('+') => None,
        None => word.parse().ok(),
    }
}

/// `ERESTARTSYS`: nothing was done, the call begins anew or fails with `EINTR`.
const RESTART: u32 = 512;

/// Errors of socket calls (`include/uapi/asm-generic/errno.h`); 0 for others.
pub(super) fn errno(name: &[u8]) -> u32 {
    match name {
        b"EPERM" => 1,
        b"EINTR" => 4,
        b"EIO" => 5,
        b"EBADF" => 9,
        b"EAGAIN" | b"EWOULDBLOCK" => 11,
        b"ENOMEM" => 12,
        b"EACCES" => 13,
        b"EFAULT" => 14,
        b"EINVAL" => 22,
        b"EPIPE" => 32,
        b"ENOTSOCK" => 88,
        b"EMSGSIZE" => 90,
        b"EOPNOTSUPP" => 95,
        b"ENETDOWN" => 100,
        b"ENETUNREACH" => 101,
        b"ECONNABORTED" => 103,
        b"ECONNRESET" => 104,
        b"ENOBUFS" => 105,
        b"EISCONN" => 106,
        b"ENOTCONN" => 107,
        b"ETIMEDOUT" => 110,
        b"ECONNREFUSED" => 111,
        b"EHOSTUNREACH" => 113,
        b"EALREADY" => 114,
        b"EINPROGRESS" => 115,
        _ if name.starts_with(b"ERESTART") => RESTART,
        _ => 0,
    }
}

/// The number of a signal (`include/uapi/asm-generic/signal.h`), if it is one.
pub(super) fn signal(name: &[u8]) -> Option<u32> {
    Some(match name {
        b"SIGHUP" => 1,
        b"SIGINT" => 2,
        b"SIGQUIT" => 3,
        b"SIGILL" => 4,
        b"SIGTRAP" => 5,
        b"SIGABRT" => 6,
        b"SIGBUS" => 7,
        b"SIGFPE" => 8,
        b"SIGKILL" => 9,
        b"SIGUSR1" => 10,
        b"SIGSEGV" => 11,
        b"SIGUSR2" => 12,
        b"SIGPIPE" => 13,
        b"SIGALRM" => 14,
        b"SIGTERM" => 15,
        b"SIGSTKFLT" => 16,
        b"SIGXCPU" => 24,
        b"SIGXFSZ" => 25,
        b"SIGVTALRM" => 26,
        b"SIGPROF" => 27,
        b"SIGIO" => 29,
        b"SIGPWR" => 30,
        b"SIGSYS" => 31,
        _ => {
            let real_time = name
                .strip_prefix(b"SIGRT_")
                .or(name.strip_prefix(b"SIGRTMIN+"))?;
            32 + u32::try_from(value(real_time)?)
                .ok()
                .filter(|number| *number <= 32)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        let cases = [
            (" = 219264", Returned::Value(219_264)),
            ("                = 0", Returned::Value(0)),
            (" = 7<socket:[1]>", Returned::Value(7)),
            (
                " = 7<TCP:[127.0.0.1:80->127.0.0.1:9]> <0.000012>",
                Returned::Value(7),
            ),
            (" = 0 <0.000012>", Returned::Value(0)),
            (" = 0x7f1c534cc000", Returned::Value(0x7f1c_534c_c000)),
            (
                " = -1 EAGAIN (Resource temporarily unavailable)",
                Returned::Error(11),
            ),
            (" = -1 EPIPE (Broken pipe) <0.000031>", Returned::Error(32)),
            (" = -1 ESTALE (Stale file handle)", Returned::Error(0)),
            (" = ?", Returned::Unknown),
            (
                " = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
                Returned::Error(512),
            ),
            (" = 1 ([{fd=7, revents=POLLHUP}])", Returned::Value(1)),
            (" = 0x2 (flags O_RDWR)", Returned::Value(2)),
        ];
        for (text, returned) in cases {
            assert_eq!(
                outcome(text.as_bytes()).map(|outcome| outcome.returned),
                Some(returned),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_behind_is_kept() {
        let outcome = outcome(b" = 7<TCP:[a->b]> <0.1>").expect("a result");
        assert_eq!(
            (outcome.annotation, outcome.rest),
            (&b"<TCP:[a->b]>"[..], &b""[..])
        );
    }

    #[test]
    fn what_is_torn_is_none() {
        for text in [
            "",
            " =",
            " = ",
            " = -",
            " = -1",
            " = -1 ",
            " = x",
            " = 12a",
            "= 1 = 2]>x",
            " 5",
        ] {
            let read = outcome(text.as_bytes()).map(|outcome| outcome.returned);
            assert!(
                matches!(read, None | Some(Returned::Value(1))),
                "{text}: {read:?}"
            );
        }
        assert_eq!(outcome(b" = -1"), None);
    }
}
