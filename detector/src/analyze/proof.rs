//! Whether what a log shows is proof.
//!
//! A log of a narrow filter leaves out calls that may have sent what seems to be
//! missing, or kept a connection that seems to have ended. A finding is made where
//! lines show that strace was asked for those calls
//! ([`crate::capture::strace::Evidence`]), or somebody says so (`--all-traced`).
//!
//! What no call can have done needs no such line: a last call took less than it was
//! offered, so that the socket was full, and the connection was shut down (which no
//! copy of a descriptor undoes) before the missing bytes could have been copied.
//!
//! Two kinds of logs show it only most likely, and their findings say what they
//! rest on: one of a process that was attached to and made few kinds of calls; and
//! one that somebody shortened by hand, as in a report of a bug, who knows what else
//! there was. Of that, and of the first where it has no call that writes to any
//! descriptor, it is believed only of a connection that was shut down, on
//! which the last call took less than it was offered, and which sent by one kind of
//! call: the rest would have come by that. The same holds of any log in which a send
//! found the socket full (`EAGAIN`) and a shutdown followed at once.

use crate::{
    capture::strace::{Replay, Sure},
    judge::{Cause, EndingKind, Finding, TimelineEntry},
};

/// What a finding is, by the log it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing that was not traced can refute it.
    Proven,
    /// It holds if strace was asked for these calls.
    If(Vec<&'static str>),
    /// It is none.
    No(Lacks),
    /// The bytes are no message: every call that receives was asked for, and what would
    /// bear it out was not received.
    NoMessage,
}

/// What strace may not have been asked for, where messages seemed short for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// Calls that send.
    pub(super) sends: bool,
    /// Calls that make copies of descriptors, and processes.
    pub(super) holders: bool,
    /// Nothing, but others may have sent the rest, or went on.
    pub(super) others: bool,
}

impl Lacks {
    pub(super) fn any(self) -> bool {
        self.sends || self.holders || self.others
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            sends: self.sends || other.sends,
            holders: self.holders || other.holders,
            others: self.others || other.others,
        }
    }
}

/// Bytes in a nanosecond that no socket passes on, by far: some 6 were seen, in
/// calls of 1 MiB to a thread that did nothing but read.
const FASTEST: u64 = 32;

/// errno(3).
const EAGAIN: i64 = 11;
const EPIPE: i64 = 32;

/// What follows within this time follows at once: a process that waits until there is
/// room, and sends, makes several calls, of which strace makes each take some 50 us.
const AT_ONCE_NS: u64 = 1_000_000;

/// Who had accepted nothing for so long was waited for.
const WAITED_NS: u64 = 1_000_000_000;

/// Calls that make a copy of a descriptor.
const COPIES: [&str; 4] = ["dup", "dup2", "dup3", "fcntl"];

/// Calls that make a process, which has copies of all of them.
const CHILDREN: [&str; 4] = ["clone", "clone3", "fork", "vfork"];

/// What this finding is, as far as the log was read.
pub(super) fn proof(finding: &Finding, replay: &Replay) -> Proof {
    let evidence = replay.evidence();
    if replay.is_in_doubt(finding.connection) && !is_too_fast(finding) {
        return Proof::No(Lacks {
            others: true,
            ..Lacks::default()
        });
    }
    let unread = if finding.rests_on_reads {
        evidence.unseen_receives()
    } else {
        Vec::new()
    };
    if finding.rests_on_reads && unread.is_empty() {
        return Proof::NoMessage;
    }
    let sends = match finding.cause {
        // What was sent was sent.
        Cause::DeliveryAtRisk => Sure::Yes,
        _ if is_too_fast(finding) => Sure::Yes,
        _ if is_left_over(finding, replay) || was_full(finding) => {
            evidence.sends().max(Sure::Likely)
        }
        _ => evidence.sends(),
    };
    let (copies, children) = if rests_on_close(finding) {
        (evidence.copies(), children(finding, replay))
    } else {
        (Sure::Yes, Sure::Yes)
    };
    let lacks = Lacks {
        sends: sends == Sure::No,
        holders: copies.min(children) == Sure::No,
        others: false,
    };
    if lacks.any() {
        return Proof::No(lacks);
    }
    let mut calls = Vec::new();
    if sends == Sure::Likely {
        calls.extend(evidence.unseen_sends());
    }
    if copies == Sure::Likely {
        calls.extend(COPIES);
    }
    if children == Sure::Likely {
        calls.extend(CHILDREN);
    }
    calls.extend(unread);
    if calls.is_empty() {
        Proof::Proven
    } else {
        Proof::If(calls)
    }
}

/// Whether lines to come may refute it, although what was asked for is in the log.
pub(super) fn may_be_refuted(finding: &Finding, replay: &Replay) -> bool {
    replay.has_threads() && rests_on_close(finding)
}

/// Whether it is that the last descriptor of the connection went.
fn rests_on_close(finding: &Finding) -> bool {
    let ends = matches!(
        finding.ending.kind,
        EndingKind::Close
            | EndingKind::CloseRange
            | EndingKind::Replace
            | EndingKind::Exec
            | EndingKind::Exit { .. }
    );
    ends && !matches!(
        finding.cause,
        Cause::Overrun | Cause::PeerClosed | Cause::Desync
    )
}

/// Whether no child had the connection too.
fn children(finding: &Finding, replay: &Replay) -> Sure {
    let evidence = replay.evidence();
    if evidence.tells_of_children() {
        Sure::Yes
    } else if evidence.follows_children() && replay.had_one_holder(finding.connection) {
        Sure::Likely
    } else {
        Sure::No
    }
}

/// Whether it was shut down, with bytes left over from the last call.
fn is_shut_early(finding: &Finding) -> bool {
    let owes = matches!(
        finding.cause,
        Cause::PrematureShutdown | Cause::UnterminatedChunked
    );
    owes && matches!(finding.ending.kind, EndingKind::Shutdown { .. })
}

/// Whether the missing bytes cannot have been sent since the last call.
fn is_too_fast(finding: &Finding) -> bool {
    let missing = finding.missing().unwrap_or(0);
    is_shut_early(finding)
        && took_less(finding)
        && finding
            .ending
            .idle_ns
            .is_some_and(|idle| missing / FASTEST > idle)
}

/// Whether its process had more to send, and it is of a log that somebody shortened,
/// or of a server that waits for its clients.
fn is_left_over(finding: &Finding, replay: &Replay) -> bool {
    let evidence = replay.evidence();
    let shortened = evidence.is_excerpt() && replay.counts().by_hand > 0;
    let left_over = finding.stranded.is_none_or(|bytes| bytes > 0);
    let mut sends: Vec<_> = sends(finding).map(|entry| entry.call.as_str()).collect();
    sends.dedup();
    (shortened || evidence.waits()) && is_shut_early(finding) && left_over && sends.len() == 1
}

/// Whether the socket was full when the process last offered bytes, and was shut down
/// at once: the call would have been made again once there was room.
fn was_full(finding: &Finding) -> bool {
    let Some(last) = sends(finding).last() else {
        return false;
    };
    let since = last.time_ns.filter(|_| finding.ending.time_ns > 0);
    let at_once =
        since.is_none_or(|since| finding.ending.time_ns.saturating_sub(since) <= AT_ONCE_NS);
    // A send with a timeout fails so too, and that is the peer's doing.
    let waited = finding.ending.idle_ns.is_some_and(|idle| idle >= WAITED_NS);
    is_shut_early(finding) && last.result == Some(-EAGAIN) && at_once && !waited
}

/// Whether the last call that sent took less than it was offered.
fn took_less(finding: &Finding) -> bool {
    sends(finding).last().is_some_and(|last| {
        let (result, offered) = (last.result.unwrap_or(0), last.offered);
        offered.is_some_and(|offered| u64::try_from(result).unwrap_or(0) < offered)
            // The end of a file.
            && result != 0
    })
}

/// The calls that sent on the connection before its end, oldest first.
fn sends(finding: &Finding) -> impl DoubleEndedIterator<Item = &TimelineEntry> {
    finding.timeline.iter().filter(|entry| {
        let call = entry.call.as_str();
        // Behind this side's own shutdown every send fails with EPIPE.
        entry.result.is_some_and(|result| result != -EPIPE)
            && (call.starts_with("send") || call.contains("write") || call == "splice")
    })
}
