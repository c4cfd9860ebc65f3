//! What makes no progress (`--stall`).
//!
//! A connection whose end went unseen, such as one whose descriptor was lost on its way
//! to another process (unix(7), `SCM_RIGHTS`), looks the same: it is told only where the
//! kernel's tables have the socket. They do not have one that the peer has reset, nor
//! one in a network namespace that no process is in.

use std::{collections::HashMap, time::Duration};

use detector_common::Connection as Counters;

use super::{
    clock::monotonic_ns,
    intake::Intake,
    socket_scan::{ScanResult, SocketScan},
};

/// How often connections that make no progress are looked for, nanoseconds; less often
/// where looking takes long ([`ScanResult::due_ns`]).
const EVERY: u64 = 250_000_000;

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    due: u64,
    look: Option<SocketScan>,
}

impl Stalls {
    /// Tells what has made no progress for so long; nothing where that is 0.
    pub(super) fn poll(&mut self, intake: &mut Intake, stall: Duration) {
        if stall.is_zero() {
            // What was asked for earlier is old when it is turned on again.
            self.look = None;
            return;
        }
        if let Some(look) = self.look.take() {
            match look.end() {
                Ok(found) => {
                    self.due = self.due.max(found.due_ns);
                    tell(intake, found, stall);
                }
                Err(look) => {
                    self.look = Some(look);
                    return;
                }
            }
        }
        let now = monotonic_ns();
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        let asked: HashMap<_, _> = intake
            .judge()
            .owing()
            .filter_map(|cookie| Some((cookie, stalling(intake, cookie, stall, now)?.inode)))
            // Not known.
            .filter(|(_, inode)| *inode != 0)
            .collect();
        if !asked.is_empty() {
            self.look = SocketScan::begin(asked, true);
        }
    }
}

/// Tells of those that exist.
fn tell(intake: &mut Intake, found: ScanResult, stall: Duration) {
    let Some(existing) = found.existing else {
        intake.lacks(HIDDEN);
        return;
    };
    let now = monotonic_ns();
    for (cookie, inode) in found.asked {
        if existing.contains(&inode)
            && let Some(mut counters) = stalling(intake, cookie, stall, now)
            && counters.inode == inode
        {
            counters.send_queue = found.queues.get(&inode).copied().unwrap_or(0);
            intake.stall(cookie, &counters, now);
        }
    }
}

/// The counters of a connection that makes no progress, so far as they and records
/// tell.
fn stalling(intake: &Intake, cookie: u64, stall: Duration, now: u64) -> Option<Counters> {
    let stall = u64::try_from(stall.as_nanos()).unwrap_or(u64::MAX);
    intake.live().connection(cookie).filter(|counters| {
        now.saturating_sub(counters.sent_ns) >= stall && intake.judge().stalls(cookie, counters)
    })
}

/// Why nothing is told to stall.
const HIDDEN: &str = "which messages stall: /proc does not show all processes (hidepid, \
proc(5)), and so not which sockets exist; with CAP_SYS_PTRACE it does";
