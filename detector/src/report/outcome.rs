//! What the end of a watch, or of a log, means to the one who asked: the exit status and
//! whose it is, and what to watch where nothing was judged.

use super::{Summary, grouped};
use crate::judge::Unjudged;

/// What was judged: it decides what to do about what was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A watch, or the recording of one.
    Watch,
    /// A log of strace.
    Log,
}

/// The exit status of a watch, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status to exit with.
    pub status: u8,
    /// Whose it is, in one line; `None` where only one can be meant.
    pub whose: Option<String>,
}

/// The status of a command that was asked to end, and did, by SIGTERM.
const ENDED_AS_ASKED: i32 = 128 + 15;

impl Outcome {
    /// What a watch came to. `dismissed`: its command was asked to end, for a limit was
    /// reached; one that then does is none that failed.
    #[must_use]
    pub fn of(summary: &Summary, dismissed: bool) -> Self {
        let own = summary.exit_status();
        let Some(command) = summary.command_status else {
            return Self {
                status: own,
                whose: None,
            };
        };
        let asked = dismissed && command == ENDED_AS_ASKED;
        let failed = command != 0 && !asked;
        // A shell's statuses go no further.
        let of_command = u8::try_from(command).unwrap_or(u8::MAX);
        let (status, whose) = match (own, failed) {
            (0, false) => (0, None),
            (1, _) => (
                1,
                Some(format!(
                    "exit status 1 is for findings whose fault is local; the command's own is {command}"
                )),
            ),
            (0, true) => (
                of_command,
                Some(format!(
                    "exit status {of_command} is the command's own; nothing was found that is its fault, or its children's"
                )),
            ),
            (_, true) => (
                of_command,
                Some(format!(
                    "exit status {of_command} is the command's own; something was missed too (which alone is {own})"
                )),
            ),
            (_, false) => (
                own,
                Some(format!(
                    "exit status {own} is for what was missed; the command's own is {command}"
                )),
            ),
        };
        Self { status, whose }
    }
}

impl Summary {
    /// Says what all the traffic was that may have been HTTP, where nothing of it was
    /// judged, and what to watch instead.
    #[must_use]
    pub fn unjudged_traffic(&self, seen: Seen) -> Option<String> {
        if !self.nothing_judged() {
            return None;
        }
        let maybe = self.maybe_http();
        // What to do about that depends on what a log has: its own advice says it.
        if seen == Seen::Log && maybe.iter().all(|it| it.0 == Unjudged::MidStream) {
            return None;
        }
        let what: Vec<_> = maybe
            .iter()
            .map(|(reason, count)| format!("{} ({})", in_words(*reason, seen), grouped(*count)))
            .collect();
        let others = match self.unjudged.get(Unjudged::NotHttp.name()) {
            Some(count @ 1..) => format!(" (not HTTP: {})", grouped(*count)),
            _ => String::new(),
        };
        let instead: Vec<_> = maybe
            .iter()
            .map(|(reason, _)| match (instead(*reason, seen), maybe.len()) {
                ((_, what), 1) => what.to_owned(),
                ((of, what), _) => format!("for {of}, {what}"),
            })
            .collect();
        Some(format!(
            "no message was judged, for all that may be HTTP is {}{others}: {}",
            what.join(", "),
            instead.join("; ")
        ))
    }
}

fn in_words(reason: Unjudged, seen: Seen) -> &'static str {
    match (reason, seen) {
        (Unjudged::Encrypted, _) => "encrypted",
        (Unjudged::Http2, _) => "HTTP/2",
        (Unjudged::MidStream, Seen::Watch) => {
            "open since before the watch, or used before by a process that is not watched"
        }
        (Unjudged::MidStream, Seen::Log) => "open since before the log",
        _ => "sent by calls whose bytes are not seen",
    }
}

/// What to do instead of what, where there are several.
fn instead(reason: Unjudged, seen: Seen) -> (&'static str, &'static str) {
    match (reason, seen) {
        (Unjudged::Encrypted, Seen::Watch) => (
            "what is encrypted",
            "watch the process that has the plain text, the server behind the one that ends TLS",
        ),
        (Unjudged::Encrypted, Seen::Log) => (
            "what is encrypted",
            "trace the process that has the plain text, the server behind the one that ends TLS",
        ),
        (Unjudged::Http2, Seen::Watch) => (
            "HTTP/2",
            "watch the process that speaks HTTP/1, the server behind the proxy",
        ),
        (Unjudged::Http2, Seen::Log) => (
            "HTTP/2",
            "trace the process that speaks HTTP/1, the server behind the proxy",
        ),
        (Unjudged::MidStream, Seen::Watch) => (
            "what was open before",
            "watch for longer, until clients connect again, with --follow if children serve, or start the server with truncwatch -- COMMAND",
        ),
        (Unjudged::MidStream, Seen::Log) => (
            "what was open before",
            "trace from the start of the server, or for longer",
        ),
        (_, Seen::Watch) => (
            "bytes that are not seen (splice, some of io_uring)",
            "watch the process at the other end",
        ),
        (_, Seen::Log) => (
            "bytes that are not seen",
            "watch the server: sudo truncwatch --pid PID",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn summary(local: u64, incomplete: bool, command: Option<i32>) -> Summary {
        Summary {
            local,
            incomplete,
            command_status: command,
            ..Summary::default()
        }
    }

    #[test]
    fn a_commands_failure_is_never_hidden() {
        // Findings, something missed, the command's status; ours, and who is named.
        for (local, missed, command, status, named) in [
            (0, false, None, 0, ""),
            (2, false, None, 1, ""),
            (0, true, None, 3, ""),
            (0, false, Some(0), 0, ""),
            (0, false, Some(1), 1, "the command's own"),
            (0, false, Some(3), 3, "the command's own"),
            (0, false, Some(143), 143, "the command's own"),
            (0, false, Some(137), 137, "the command's own"),
            (0, true, Some(7), 7, "something was missed too"),
            (0, true, Some(0), 3, "for what was missed"),
            (1, false, Some(0), 1, "the command's own is 0"),
            (1, true, Some(7), 1, "the command's own is 7"),
        ] {
            let outcome = Outcome::of(&summary(local, missed, command), false);
            assert_eq!(outcome.status, status, "{local} {missed} {command:?}");
            let whose = outcome.whose.unwrap_or_default();
            assert_eq!(whose.is_empty(), named.is_empty(), "{whose}");
            assert!(whose.contains(named), "{whose}");
        }
    }

    #[test]
    fn a_command_that_a_limit_ended_did_not_fail() {
        let of = |command| Outcome::of(&summary(0, false, Some(command)), true).status;
        assert_eq!(of(143), 0);
        // By itself, or in spite of it.
        assert_eq!((of(1), of(137)), (1, 137));
    }

    fn traffic(unjudged: &[(&'static str, u64)], judged: u64) -> Summary {
        Summary {
            messages_judged: judged,
            unjudged: BTreeMap::from_iter(unjudged.iter().copied()),
            ..Summary::default()
        }
    }

    #[test]
    fn traffic_of_which_nothing_was_judged_is_no_success() {
        for (unjudged, judged, status) in [
            (&[("encrypted", 6)][..], 0, 3),
            (&[("http2", 1)], 0, 3),
            (&[("mid-stream", 1)], 0, 3),
            (&[("not-observed", 2)], 0, 3),
            (&[("encrypted", 6), ("not-http", 9)], 0, 3),
            // Known to be something else, or nothing at all.
            (&[("not-http", 9)], 0, 0),
            (&[("encrypted", 0), ("mid-stream", 0)], 0, 0),
            (&[("until-close", 3)], 0, 0),
            (&[], 0, 0),
            // Something was judged.
            (&[("encrypted", 6)], 1, 0),
        ] {
            let summary = traffic(unjudged, judged);
            assert_eq!(summary.exit_status(), status, "{unjudged:?}");
            for seen in [Seen::Watch, Seen::Log] {
                let said = summary.unjudged_traffic(seen);
                let by_advice = seen == Seen::Log && unjudged == [("mid-stream", 1)];
                assert_eq!(said.is_some(), status == 3 && !by_advice, "{said:?}");
            }
        }
    }

    #[test]
    fn it_is_said_what_all_of_it_was_and_what_to_watch() {
        let said = |unjudged: &[(&'static str, u64)]| {
            traffic(unjudged, 0)
                .unjudged_traffic(Seen::Watch)
                .unwrap_or_default()
        };
        insta::assert_snapshot!(said(&[("encrypted", 6)]), @"no message was judged, for all that may be HTTP is encrypted (6): watch the process that has the plain text, the server behind the one that ends TLS");
        insta::assert_snapshot!(said(&[("encrypted", 1200), ("mid-stream", 2), ("not-http", 9)]), @"no message was judged, for all that may be HTTP is encrypted (1,200), open since before the watch, or used before by a process that is not watched (2) (not HTTP: 9): for what is encrypted, watch the process that has the plain text, the server behind the one that ends TLS; for what was open before, watch for longer, until clients connect again, with --follow if children serve, or start the server with truncwatch -- COMMAND");
        insta::assert_snapshot!(said(&[("http2", 1), ("not-observed", 1)]), @"no message was judged, for all that may be HTTP is HTTP/2 (1), sent by calls whose bytes are not seen (1): for HTTP/2, watch the process that speaks HTTP/1, the server behind the proxy; for bytes that are not seen (splice, some of io_uring), watch the process at the other end");
    }
}
