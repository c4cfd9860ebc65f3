//! What to run when a log shows too little.

use std::borrow::Cow;

use super::proof::Lacks;
use crate::{
    capture::strace::Counts,
    judge::{Tally, Unjudged},
    report::{aside, note_wrapped},
};

/// What is not judged where a log shows too few of the bytes.
pub(super) const CUT: [Unjudged; 6] = [
    Unjudged::HeadCut,
    Unjudged::Chunked,
    Unjudged::Unaccounted,
    Unjudged::MethodUnknown,
    Unjudged::NotObserved,
    Unjudged::Malformed,
];

/// Bytes of each call that hold the head of nearly every message.
const HEADS: u32 = 8192;

/// Bytes of each call that hold nearly every call whole, as it takes to find
/// the end of a chunked body.
const BODIES: u32 = 1 << 20;

/// What a log, or a recording, did not show, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What it did not show, a sentence each.
    pub reasons: Vec<String>,
    /// What shows it, each a line for a shell.
    pub commands: Vec<String>,
    /// What to run instead if the log was made with the command that is recommended.
    pub at_once: Option<String>,
}

/// How a log is judged that the recommended command made.
const JUDGE: &str = "truncwatch analyze --all-traced";

impl Advice {
    /// Says it on standard error: the reasons in lines, a command on a line of its
    /// own, so that it can be copied.
    pub(super) fn say(&self) {
        for line in self.lines() {
            match line {
                Line::Words(words) => note_wrapped(&words),
                Line::Command(line) => aside(format_args!("  {line}")),
            }
        }
    }

    /// All of it, line by line.
    fn lines(&self) -> Vec<Line> {
        let words = |text: &str| Line::Words(text.to_owned());
        let command = |text: &str| Line::Command(text.to_owned());
        let mut lines = Vec::new();
        if let Some(at_once) = &self.at_once {
            lines.push(words(
                "if the log was made with the strace command below, just run:",
            ));
            lines.push(command(at_once));
        }
        lines.extend(self.reasons.iter().map(|reason| words(reason)));
        let traces = self.commands.iter().any(|it| it.ends_with("-p PID"));
        if traces {
            lines.push(words(
                "to trace again (or with a command instead of -p PID):",
            ));
        } else if !self.commands.is_empty() {
            lines.push(words("run instead:"));
        }
        for text in &self.commands {
            lines.extend(text.lines().map(command));
            if text.ends_with("-p PID") && text.starts_with("strace") {
                lines.push(words("then:"));
                lines.push(command(&format!("{JUDGE} trace.log")));
                // What follows is another way.
                if self.commands.len() > 1 {
                    lines.push(words("or:"));
                }
            }
        }
        lines
    }

    fn reason(&mut self, text: impl Into<String>) {
        self.reasons.push(text.into());
    }
}

/// A line of what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// A sentence, which may be wrapped.
    Words(String),
    /// For a shell: as it is.
    Command(String),
}

fn command(bytes: u32) -> String {
    format!(
        "strace -f -tt -yy -s {bytes} -o trace.log \\\n    -e trace=%net,%desc,%process,close_range,unshare -p PID"
    )
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// What to do without a log.
pub(super) fn make_one() -> String {
    format!(
        "make one (with a command instead of -p PID, if it is to be started), and judge it with {JUDGE}: {}",
        // The error is one line.
        command(HEADS).replace(" \\\n   ", "")
    )
}

/// How a log was read.
#[derive(Clone, Copy, Default)]
pub(super) struct How<'a> {
    /// The rest of it could not be read: what is to be said of that.
    pub(super) cut: Option<&'a str>,
    /// It is one file of several of strace -ff, whose names begin so.
    pub(super) stem: Option<&'a str>,
    /// strace wrote it to a file of its own (`-o`).
    pub(super) by_file: bool,
    /// It has lines of calls that open connections.
    pub(super) opens: bool,
    /// What strace may not have been asked for, where messages seemed short.
    pub(super) lacks: Lacks,
    /// There are requests of which no line shows the response.
    pub(super) unanswered: bool,
    /// Connections begin with no HTTP, and calls that sent the heads may be missing.
    pub(super) headless: bool,
    /// It has sockets, and no line of a byte that was sent or received on one.
    pub(super) silent: bool,
    /// Connections came from processes that it does not tell of.
    pub(super) joined: bool,
    /// It has no call on a socket.
    pub(super) no_sockets: bool,
    /// It may have been made with the command that is recommended.
    pub(super) resembles: bool,
    /// The name of the log.
    pub(super) log: &'a str,
    /// A finding rests on calls that are in no line.
    pub(super) assumed: bool,
    /// Lines could not be read that have other quotes than strace writes.
    pub(super) typographic: bool,
    /// Several programs' lines are in it, and more than one's are strace's.
    pub(super) mixed: Option<&'a str>,
}

/// What the log did not show, each with what to do about it.
pub(super) fn advice(counts: &Counts, tally: &Tally, how: How<'_>) -> Advice {
    let mut advice = Advice::default();
    // Bytes of each call that strace has to show.
    let mut again = None;
    let missed = |reasons: &[Unjudged]| reasons.iter().any(|reason| tally.missed(*reason) > 0);
    if let Some(cut) = how.cut {
        advice.reason(cut);
    }
    let lacks =
        how.lacks.sends || how.lacks.holders || how.unanswered || how.headless || how.joined;
    if lacks && how.resembles {
        advice.at_once = Some(format!("{JUDGE} {}", quoted(how.log)));
    }
    if how.no_sockets && how.cut.is_none() {
        advice.reason("the log has no call on a socket, so that nothing was judged: trace the process that serves, with %net");
        again = again.max(Some(HEADS));
    }
    if how.silent && how.cut.is_none() {
        advice.reason("no line shows a byte that was sent or received on a connection: trace the processes that serve (of a server that runs, each worker with a -p of its own: -f follows only those to come), with %net and %desc, while clients are served");
        again = again.max(Some(HEADS));
    }
    // Where it was cut off counts as one.
    let unreadable = counts.unreadable - u64::from(how.cut.is_some());
    if unreadable > 0 {
        let (what, it) = if unreadable == 1 {
            ("line", "it is")
        } else {
            ("lines", "the first is")
        };
        // Numbers without brackets are those of -f with -o.
        let remedy = if how.mixed.is_some() {
            "judge the lines of each apart"
        } else if how.typographic {
            "an editor, a mail or a web page changed its quotes; analyze the log as strace wrote it, or trace again"
        } else if how.by_file {
            "analyze the log as strace wrote it"
        } else {
            "write the log with -o FILE, so that nothing else is in it"
        };
        advice.reason(format!(
            "{unreadable} {what} could not be read, {it} line {}: what was open there was not judged; {remedy}",
            counts.first_unreadable
        ));
    }
    if how.typographic {
        again = again.max(Some(HEADS));
    }
    if let Some(names) = how.mixed {
        advice.reason(format!(
            "the log has lines of strace from {names}: each is a log of its own"
        ));
    }
    if counts.elided > 0 {
        advice.reason("the log says that lines were left out: sums over them prove nothing; analyze the log as strace wrote it");
    }
    if counts.edited > 0 {
        advice.reason(format!(
            "the log was edited: from line {} on, strings do not have the length that their calls have ({}); the length of a head is taken from the call that it ends with, and known of no other: analyze the log as strace wrote it",
            counts.first_edited,
            counted(counts.edited, "call", "calls"),
        ));
    }
    if counts.cut - counts.cut_by_edit + counts.by_hand > 0
        && counts.addresses == 0
        && let Some((what, bytes)) = shown_too_little(&missed, counts, how.lacks)
    {
        advice.reason(format!(
            "the log shows too little of each call to tell {what}: strace has to show more (-s)"
        ));
        again = again.max(Some(bytes));
    }
    let untold = tally.messages_judged == 0 || missed(&CUT);
    if counts.addresses > 0 && untold {
        advice.reason("the log shows addresses instead of the bytes that calls moved (-e raw, -e verbose): without them it shows no message; trace without these options");
        again = again.max(Some(HEADS));
    }
    if counts.unknown_descriptors + counts.ambiguous > 0 {
        advice
            .reason("the log does not tell which descriptors are sockets, or whose they are (-yy)");
        again = again.max(Some(HEADS));
    }
    if missed(&[Unjudged::MidStream]) && tally.messages_judged == 0 {
        let opened = if how.opens {
            "they were open when it begins: trace from the start, or for longer"
        } else {
            "it has no line of accept, accept4 or connect: trace them (%net), or, if all were open when it begins, from the start or for longer"
        };
        advice.reason(format!(
            "no message was judged, for the log shows no connection from its first byte: {opened}"
        ));
        again = again.max(Some(HEADS));
    }
    if how.joined && tally.messages_judged > 0 {
        advice.reason("connections seem to be joined in mid-stream, and nothing in the log shows that strace was asked for the calls that hand them on (%process) and for all that send");
        again = again.max(Some(HEADS));
    }
    if counts.unseen_ends > 0 && missed(&[Unjudged::NotObserved]) {
        advice.reason("connections ended by calls that are in no line (close, close_range, dup2, dup3): how they ended is not known");
        again = again.max(Some(HEADS));
    }
    if missed(&[Unjudged::Shared]) {
        advice.reason("processes or threads that the log does not show may have held sockets that were closed: trace from the start of the process, with %process");
        again = again.max(Some(HEADS));
    }
    match (counts.untraced, how.stem) {
        (0, _) => {}
        (_, Some(stem)) => {
            advice.reason("this file of strace -ff shows one thread, and others may have sent on its connections: judge all of its files as one (made with -tt)");
            advice.commands.push(format!(
                "strace-log-merge {} | truncwatch analyze -",
                quoted(stem)
            ));
        }
        (count, None) => {
            advice.reason(format!(
                "{} not traced (-f), or no longer: what they sent is not known",
                counted(count, "thread was", "threads were"),
            ));
            again = again.max(Some(HEADS));
        }
    }
    if counts.untraced_processes > 0 {
        advice.reason(format!(
            "{} made and not traced (-f): what they sent is not known",
            counted(counts.untraced_processes, "process was", "processes were"),
        ));
        again = again.max(Some(HEADS));
    }
    if missed(&[Unjudged::NoTimes]) {
        advice.reason("responses that were sent whole were ended so that the kernel sends a reset, and no time tells whether their peers may have read them (-tt)");
        again = again.max(Some(HEADS));
    }
    if counts.injected > 0 {
        advice.reason("strace made results up (-e inject or -e fault), and the kernel did not do these calls: what their processes sent is not known; make the log without");
    }
    if counts.out_of_band > 0 {
        advice.reason("bytes were sent out of band (MSG_OOB), which are in no message: their connections were not judged");
    }
    if counts.unseen_calls > 0 {
        advice.reason("the log has io_uring or asynchronous calls, whose bytes strace does not see, and a watch does");
        advice.commands.push("sudo truncwatch --pid PID".to_owned());
    }
    if how.lacks.sends {
        advice.reason("messages seem short, and nothing in the log shows that strace was asked for all calls that may have sent the rest: write, writev, splice, sendfile, sendto, sendmsg and sendmmsg, of each child too");
    } else if how.lacks.holders {
        advice.reason("messages seem short, and nothing in the log shows that strace was asked for all calls that may have kept their connections: dup, dup2, dup3, fcntl, and fork, vfork, clone and clone3");
    }
    if how.unanswered {
        advice.reason("requests were received and no response to them is in the log, and nothing in it shows that strace was asked for all calls that may have sent one");
    }
    if how.headless {
        advice.reason("what was sent on some connections does not begin as HTTP, and nothing in the log shows that strace was asked for all calls that may have sent the heads");
    }
    if lacks {
        again = again.max(Some(HEADS));
        if !how.resembles
            && let Some(reason) = advice
                .reasons
                .iter_mut()
                .rfind(|it| it.contains("strace was asked for"))
        {
            reason.push_str(". If it was, add --all-traced");
        }
    }
    if how.lacks.others {
        advice.reason("messages seem short on connections that another process may have sent on, or that were used after their end: no line tells what was sent (-f, -yy)");
        again = again.max(Some(HEADS));
    }
    if how.assumed {
        advice.reason("findings rest on calls of which the log has no line, though strace was most likely asked for them (each finding names them): --all-traced says that it was");
    }
    if counts.interrupted > 0 {
        advice.reason("sends were in progress when their process or the log ended: how much of them was accepted is not known");
    }
    if let Some(bytes) = again {
        advice.commands.insert(0, command(bytes));
    }
    advice
}

/// What the log showed too few bytes of each call for, and how many show it.
fn shown_too_little(
    missed: &impl Fn(&[Unjudged]) -> bool,
    counts: &Counts,
    lacks: Lacks,
) -> Option<(&'static str, u32)> {
    // What is recommended may have been too little: what was shown of a string, strace
    // was asked for.
    let bytes = match counts.longest < HEADS.into() {
        true => HEADS,
        false => BODIES,
    };
    let enough = counts.longest >= BODIES.into();
    if missed(&[Unjudged::HeadCut]) && counts.cut_heads + counts.by_hand > 0 {
        // A head that shows less than others was not cut by strace.
        let by_strace = counts.longest < HEADS.into()
            || counts.longest_cut_head >= HEADS.into()
            || counts.by_hand > 0;
        if by_strace && !enough {
            return Some(("the heads of messages", bytes));
        }
    }
    // Where calls are missing, the rest follows from that.
    if lacks.sends || enough {
        return None;
    }
    if missed(&[Unjudged::Chunked, Unjudged::Unaccounted]) {
        return Some(("the ends of messages", BODIES));
    }
    let heads_only = missed(&[Unjudged::Malformed])
        || (missed(&[Unjudged::NotObserved, Unjudged::MethodUnknown])
            && !missed(&[Unjudged::Shared])
            && counts.unseen_ends == 0);
    // Heads are seen whole where so much of each call is.
    (heads_only && bytes == HEADS).then_some(("the heads of messages", HEADS))
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.into()
    } else {
        format!("'{}'", path.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(reasons: &[Unjudged]) -> Tally {
        let mut tally = Tally::default();
        for reason in reasons {
            tally.miss(*reason);
        }
        tally
    }

    #[test]
    fn commands_fit_80_columns() {
        for bytes in [HEADS, BODIES] {
            assert!(command(bytes).lines().all(|line| line.len() + 2 <= 80));
        }
        // In an error, which is one line, it can be pasted too.
        assert!(!make_one().contains(['\\', '\n']), "{}", make_one());
    }

    #[test]
    fn the_advice_fits_the_reason() {
        let cut = Counts {
            cut: 1,
            cut_heads: 1,
            ..Counts::default()
        };
        let asked = |counts: &Counts, missed: &[Unjudged], lacks| {
            let how = How {
                lacks,
                ..How::default()
            };
            advice(counts, &tally(missed), how)
        };
        let traced = Lacks::default();
        // A command for all of them, with as many bytes as the most needs.
        let heads = asked(&cut, &[Unjudged::HeadCut], traced);
        assert_eq!(heads.commands, [command(HEADS)]);
        assert!(heads.reasons.concat().contains("heads of messages"));
        let long = Counts {
            longest_cut_head: HEADS.into(),
            longest: HEADS.into(),
            ..cut
        };
        let longer = asked(&long, &[Unjudged::HeadCut], traced);
        assert_eq!(longer.commands, [command(BODIES)]);
        let several = asked(&Counts { untraced: 2, ..cut }, &[Unjudged::Chunked], traced);
        assert_eq!(several.reasons.len(), 2);
        assert_eq!(several.commands, [command(BODIES)]);
        // Calls that were not traced are no matter of bytes.
        let lacks = Lacks {
            sends: true,
            ..traced
        };
        let calls = asked(&cut, &[Unjudged::Unaccounted], lacks);
        assert_eq!(calls.commands, [command(HEADS)]);
        assert!(!calls.reasons.concat().contains("-s"), "{calls:?}");
        assert_eq!(asked(&cut, &[], traced), Advice::default());
        // No head was cut: a message of one byte.
        let no_heads = Counts {
            cut_heads: 0,
            ..cut
        };
        assert_eq!(
            asked(&no_heads, &[Unjudged::HeadCut], traced),
            Advice::default()
        );
        // So much was shown of calls: more of them shows no head that is not seen.
        let used = Counts {
            cut_heads: 0,
            longest: HEADS.into(),
            ..cut
        };
        for reason in [
            Unjudged::MethodUnknown,
            Unjudged::NotObserved,
            Unjudged::Malformed,
            Unjudged::HeadCut,
        ] {
            assert_eq!(asked(&used, &[reason], traced), Advice::default());
        }
        let ends = asked(&used, &[Unjudged::Chunked], traced);
        assert_eq!(ends.commands, [command(BODIES)]);
        // The recommended command was run, as it seems.
        let how = How {
            lacks,
            resembles: true,
            log: "my log",
            ..How::default()
        };
        let again = advice(&cut, &Tally::default(), how);
        let at_once = again.at_once.as_deref();
        assert_eq!(at_once, Some("truncwatch analyze --all-traced 'my log'"));
        // And as it may not have been.
        assert!(!again.reasons.concat().contains("If it was"), "{again:?}");
        assert!(calls.reasons[0].ends_with("each child too. If it was, add --all-traced"));
    }

    #[test]
    fn the_advice_ends_where_a_verdict_is() {
        let said = |advice: &Advice| {
            let lines = advice.lines().into_iter().map(|line| match line {
                Line::Words(words) => format!("truncwatch: {words}"),
                Line::Command(line) => format!("  {line}"),
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        let how = How {
            lacks: Lacks {
                holders: true,
                ..Lacks::default()
            },
            resembles: true,
            log: "night.log",
            ..How::default()
        };
        let unseen = Counts {
            unseen_calls: 1,
            ..Counts::default()
        };
        insta::assert_snapshot!(said(&advice(&unseen, &Tally::default(), how)), @r"
        truncwatch: if the log was made with the strace command below, just run:
          truncwatch analyze --all-traced night.log
        truncwatch: the log has io_uring or asynchronous calls, whose bytes strace does not see, and a watch does
        truncwatch: messages seem short, and nothing in the log shows that strace was asked for all calls that may have kept their connections: dup, dup2, dup3, fcntl, and fork, vfork, clone and clone3
        truncwatch: to trace again (or with a command instead of -p PID):
          strace -f -tt -yy -s 8192 -o trace.log \
              -e trace=%net,%desc,%process,close_range,unshare -p PID
        truncwatch: then:
          truncwatch analyze --all-traced trace.log
        truncwatch: or:
          sudo truncwatch --pid PID
        ");
        // A command that is none of strace's has nothing behind it.
        let merged = Advice {
            commands: vec!["strace-log-merge ff | truncwatch analyze -".to_owned()],
            ..Advice::default()
        };
        assert!(!said(&merged).contains("then"), "{}", said(&merged));
        assert_eq!(said(&Advice::default()), "");
    }

    #[test]
    fn an_edited_log_is_no_matter_of_bytes() {
        let counts = Counts {
            edited: 2,
            first_edited: 7,
            cut: 2,
            cut_by_edit: 2,
            ..Counts::default()
        };
        let edited = advice(&counts, &tally(&[Unjudged::HeadCut]), How::default());
        assert_eq!(edited.commands, [""; 0]);
        assert_eq!(edited.reasons.len(), 1);
        assert!(edited.reasons[0].contains("edited: from line 7 on"));
    }

    #[test]
    fn the_files_of_several_threads_are_joined() {
        let counts = Counts {
            untraced: 1,
            ..Counts::default()
        };
        let how = How {
            stem: Some("my traces/ff"),
            ..How::default()
        };
        assert_eq!(
            advice(&counts, &Tally::default(), how).commands,
            ["strace-log-merge 'my traces/ff' | truncwatch analyze -"]
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
