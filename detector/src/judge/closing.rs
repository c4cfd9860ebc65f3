//! Responses that were sent whole and whose connection then ended, while the peer had not
//! acknowledged all of them: a reset that the kernel sends later takes the rest back.
//!
//! The peer, such as one that is still uploading, sends more to a socket that is closed.
//! Whether it does is not known at the close, and what it has then received is not
//! either: the reset itself tells.

use std::collections::{HashMap, VecDeque};

use detector_common::Reset;
use hashlink::LinkedHashMap;

use super::{
    finding::{Fault, Finding},
    verdict::{loss, may_lie_unread},
};

/// How long after the ending a reset may come. What was not acknowledged by then is not
/// wanted, or on a slow way.
const WAIT_NS: u64 = 10_000_000_000;

/// Most that are kept, and most of which it is known that they were let go before they
/// had waited.
const MOST: usize = 512;
const MOST_LET_GO: usize = 8192;

/// One of them.
#[derive(Debug)]
pub(super) struct Closed {
    /// What is told if it is taken back.
    pub(super) finding: Finding,
    /// The request was read to its end.
    pub(super) answered: bool,
    /// The peer had not ended its side.
    pub(super) peer_is_there: bool,
}

impl Closed {
    /// The finding, if this reset took back what the peer had not received.
    pub(super) fn taken_back(self, reset: &Reset) -> Option<Finding> {
        let mut finding = self.finding;
        let after = reset.header.time_ns.checked_sub(finding.ending.time_ns)?;
        if after > WAIT_NS {
            return None;
        }
        // The ending's own, for what it could not be seen to discard: an MPTCP socket's, or
        // what came in the moment between.
        let by_ending = reset.answers == 0 && reset.header.tid == finding.tid;
        let idle = finding.ending.idle_ns;
        // What is unread behind a request that was read is another's, as in `at_risk`.
        let discards = finding.reset == Some(true) || !self.answered;
        let at_risk = reset.unacknowledged > 0 || (by_ending && discards && may_lie_unread(idle));
        if !at_risk {
            return None;
        }
        // Another that this side sent by itself is the kernel's, short of memory.
        let sure = self.peer_is_there && (reset.answers != 0 || by_ending);
        finding.fault = if sure {
            loss(Some(reset.unsent), idle)
        } else {
            Fault::Unknown
        };
        finding.ending.unsent = Some(reset.unsent);
        finding.ending.late = reset.answers != 0;
        Some(finding)
    }
}

/// All of them, by cookie.
#[derive(Debug, Default)]
pub(super) struct Closing {
    closed: HashMap<u64, Closed>,
    /// When each ended, the oldest first.
    order: VecDeque<(u64, u64)>,
    /// The processes of those that were let go, as there were too many.
    let_go: LinkedHashMap<u64, u32>,
}

impl Closing {
    /// Keeps one, and lets go of those that have waited long enough.
    pub(super) fn insert(&mut self, cookie: u64, closed: Closed) {
        let now = closed.finding.ending.time_ns;
        self.closed.insert(cookie, closed);
        self.order.push_back((now, cookie));
        while let Some((time, oldest)) = self.order.front().copied()
            && (self.order.len() > MOST || time.saturating_add(WAIT_NS) < now)
        {
            self.order.pop_front();
            let waits = time.saturating_add(WAIT_NS) >= now;
            if let Some(closed) = self.closed.remove(&oldest)
                && waits
            {
                self.let_go.insert(oldest, closed.finding.pid);
                if self.let_go.len() > MOST_LET_GO {
                    self.let_go.pop_front();
                }
            }
        }
    }

    /// The process of one that was let go, if this reset took back what the peer had not
    /// received.
    pub(super) fn take_let_go(&mut self, cookie: u64, reset: &Reset) -> Option<u32> {
        let pid = self.let_go.remove(&cookie)?;
        (reset.unacknowledged > 0).then_some(pid)
    }

    /// The one with this cookie: a reset tells of it once.
    pub(super) fn take(&mut self, cookie: u64) -> Option<Closed> {
        self.closed.remove(&cookie)
    }
}
