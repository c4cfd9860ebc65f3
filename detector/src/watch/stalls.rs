//! What makes no progress (`--stall`).
//!
//! A connection whose end went unseen, such as one whose descriptor was lost on its way
//! to another process (unix(7), `SCM_RIGHTS`), looks the same: it is told only where the
//! kernel's tables have the socket. They do not have one that the peer has reset, nor
//! one in a network namespace that no process is in.

use std::collections::HashMap;

use detector_common::Connection as Counters;

use super::{
    clock::monotonic_ns,
    engine::Engine,
    look::{Found, Look},
};

/// How often connections that make no progress are looked for, nanoseconds; less often
/// where looking takes long ([`Found::due_ns`]).
const EVERY: u64 = 250_000_000;

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    due: u64,
    look: Option<Look>,
}

impl Engine {
    /// Tells what makes no progress.
    pub(super) fn note_stalls(&mut self) {
        if self.settings.stall.is_zero() {
            // What was asked for earlier is old when it is turned on again.
            self.stalls.look = None;
            return;
        }
        if let Some(look) = self.stalls.look.take() {
            match look.end() {
                Ok(found) => self.tell_stalls(found),
                Err(look) => {
                    self.stalls.look = Some(look);
                    return;
                }
            }
        }
        let now = monotonic_ns();
        if now < self.stalls.due {
            return;
        }
        self.stalls.due = now + EVERY;
        let owing: Vec<_> = self.judge.owing().collect();
        let asked: HashMap<_, _> = owing
            .into_iter()
            .filter_map(|cookie| Some((cookie, self.stalling(cookie, now)?.inode)))
            // Not known.
            .filter(|(_, inode)| *inode != 0)
            .collect();
        if !asked.is_empty() {
            self.stalls.look = Look::begin(asked, true);
        }
    }

    /// Tells of those that exist.
    fn tell_stalls(&mut self, found: Found) {
        self.stalls.due = self.stalls.due.max(found.due_ns);
        let Some(existing) = found.existing else {
            self.live.lacks(HIDDEN);
            return;
        };
        let now = monotonic_ns();
        for (cookie, inode) in found.asked {
            if existing.contains(&inode)
                && let Some(mut counters) = self.stalling(cookie, now)
                && counters.inode == inode
            {
                counters.send_queue = found.queues.get(&inode).copied().unwrap_or(0);
                self.judge.stall(cookie, &counters, now);
            }
        }
    }

    /// The counters of a connection that makes no progress, so far as they and records
    /// tell.
    fn stalling(&self, cookie: u64, now: u64) -> Option<Counters> {
        let stall = u64::try_from(self.settings.stall.as_nanos()).unwrap_or(u64::MAX);
        self.live.connection(cookie).filter(|counters| {
            now.saturating_sub(counters.sent_ns) >= stall && self.judge.stalls(cookie, counters)
        })
    }
}

/// Why nothing is told to stall.
const HIDDEN: &str = "which messages stall: /proc does not show all processes (hidepid, \
proc(5)), and so not which sockets exist; with CAP_SYS_PTRACE it does";
