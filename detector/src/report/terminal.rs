//! The terminal, which belongs to others too: to the shell, to pagers, and to whatever
//! else runs in its foreground.

use std::{env, io};

use rustix::{process::getpgrp, termios::tcgetpgrp};

/// Whether the terminal takes no escape sequences: its kind says so, or is not known.
#[must_use]
pub fn is_dumb() -> bool {
    is_dumb_kind(env::var_os("TERM").as_deref())
}

fn is_dumb_kind(kind: Option<&std::ffi::OsStr>) -> bool {
    kind.is_none_or(|kind| kind.is_empty() || kind == "dumb")
}

/// Whether this process is in the foreground of the terminal that standard error is: in
/// the background, or on a terminal that is not its own, nothing is drawn.
#[must_use]
pub(super) fn is_ours() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|foreground| foreground == getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_take_escapes_gets_none() {
        for (kind, dumb) in [
            (None, true),
            (Some(""), true),
            (Some("dumb"), true),
            (Some("xterm-256color"), false),
            (Some("linux"), false),
        ] {
            assert_eq!(is_dumb_kind(kind.map(AsRef::as_ref)), dumb, "{kind:?}");
        }
    }
}
