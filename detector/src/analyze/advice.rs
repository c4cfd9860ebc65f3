//! What to run when a log shows too little.

use crate::{
    capture::strace::Counts,
    judge::{Tally, Unjudged},
};

/// Bytes of each call that hold the head of nearly every message.
const HEADS: u32 = 8192;

/// Bytes of each call that hold nearly every call whole, as it takes to find
/// the end of a chunked body.
const BODIES: u32 = 1 << 20;

fn command(bytes: u32) -> String {
    format!(
        "strace -f -tt -yy -s {bytes} -e trace=%net,%desc,%process -o trace.log -p PID (or a command in place of -p PID)"
    )
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// What to do without a log.
pub(super) fn make_one() -> String {
    format!("make one with: {}", command(HEADS))
}

/// Calls of which the log has no line, where messages seemed short for it.
#[derive(Clone, Copy)]
pub(super) struct Untraced {
    /// `write` and `writev`.
    pub(super) writes: bool,
    /// `close`.
    pub(super) closes: bool,
}

impl Untraced {
    pub(super) fn any(self) -> bool {
        self.writes || self.closes
    }
}

/// What the log did not show, each with what to do about it.
pub(super) fn advice(counts: &Counts, tally: &Tally, untraced: Untraced) -> Vec<String> {
    let mut advice = Vec::new();
    let missed = |reasons: &[Unjudged]| reasons.iter().any(|reason| tally.missed(*reason) > 0);
    if counts.unreadable > 0 {
        advice.push(format!(
            "{} could not be read, the first is line {}: what they may tell of was not judged; write the log with -o, so that nothing else is in it",
            counted(counts.unreadable, "line", "lines"),
            counts.first_unreadable
        ));
    }
    if counts.elided > 0 {
        advice.push(
            "the log says that lines were left out: sums over them prove nothing; analyze the log as strace wrote it".to_owned(),
        );
    }
    if counts.cut + counts.by_hand > 0 {
        let ask = if missed(&[Unjudged::Chunked, Unjudged::Unaccounted]) {
            Some(("the ends of messages", BODIES))
        } else if missed(&[Unjudged::HeadCut, Unjudged::Malformed])
            || (missed(&[Unjudged::NotObserved, Unjudged::MethodUnknown])
                && !missed(&[Unjudged::Shared]))
        {
            Some(("the heads of messages", HEADS))
        } else {
            None
        };
        if let Some((what, bytes)) = ask {
            advice.push(format!(
                "the log shows too little of each call (-s) to tell {what}; run: {}",
                command(bytes)
            ));
        }
    }
    if counts.unknown_descriptors + counts.ambiguous > 0 {
        advice.push(format!(
            "the log does not tell which descriptors are sockets, or whose they are; run: {}",
            command(HEADS)
        ));
    }
    if missed(&[Unjudged::Shared]) {
        advice.push(format!(
            "processes or threads that the log does not tell of may have held sockets that were closed; trace from the start of the process, with %process; run: {}",
            command(HEADS)
        ));
    }
    if counts.untraced > 0 {
        advice.push(format!(
            "{} not traced, or in other files of strace -ff (join them with strace-log-merge): what they sent is not known; run: {}",
            counted(counts.untraced, "thread was", "threads were"),
            command(HEADS)
        ));
    }
    if counts.unseen_calls > 0 {
        advice.push(
            "the log has io_uring or asynchronous calls, whose bytes strace does not see; watch with: sudo truncwatch --pid PID".to_owned(),
        );
    }
    let calls = match untraced {
        Untraced {
            closes: true,
            writes: false,
        } => Some("close: what seems to end with the process may have ended before"),
        Untraced { writes: true, .. } => {
            Some("write or writev: what seems short may have been sent by those")
        }
        Untraced { .. } => None,
    };
    if let Some(calls) = calls {
        advice.push(format!(
            "the log has no line of {calls}; run: {}",
            command(HEADS)
        ));
    }
    if counts.interrupted > 0 {
        advice.push(
            "sends were in progress when their process or the log ended: how much of them was accepted is not known".to_owned(),
        );
    }
    advice
}
