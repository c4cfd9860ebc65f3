//! What ended, what goes on, and what makes no progress.

use std::collections::{HashMap, HashSet};

use super::{engine::Engine, monotonic_ns};
use crate::capture::live::sockets;

/// How often connections that make no progress are looked for, nanoseconds.
const STALLS: u64 = 250_000_000;

/// How often sockets are looked for that are gone, nanoseconds.
const SWEEP: u64 = 3_000_000_000;

/// How long nothing may be heard of a socket before it is looked for too, and
/// how often, nanoseconds.
const IDLE: u64 = 60_000_000_000;

impl Engine {
    /// Tells what was found wrong on connections that go on, and what makes no
    /// progress.
    pub(super) fn note(&mut self) {
        let now = monotonic_ns();
        for cookie in self.judge.take_flawed() {
            // One that ended tells by itself.
            if let Some(counters) = self.live.connection(cookie) {
                self.judge.note(cookie, &counters, now);
            }
        }
        let stall = u64::try_from(self.settings.stall.as_nanos()).unwrap_or(u64::MAX);
        if stall == 0 || now < self.stalls_due {
            return;
        }
        self.stalls_due = now + STALLS;
        let owing: Vec<_> = self.judge.owing().collect();
        for cookie in owing {
            if let Some(counters) = self.live.connection(cookie)
                && now.saturating_sub(counters.sent_ns) >= stall
            {
                self.judge.stall(cookie, &counters, now);
            }
        }
    }

    /// Lets go of sockets that do not exist any more and whose end was not seen.
    pub(super) fn sweep(&mut self) {
        let now = monotonic_ns();
        if now < self.sweep_due {
            return;
        }
        self.sweep_due = now + SWEEP;
        // Those that were there the last time too: a socket that is being
        // closed right now tells by itself.
        let idle = now.saturating_sub(IDLE);
        let all = now >= self.idle_sweep_due;
        if all {
            self.idle_sweep_due = now + IDLE;
        }
        let held: HashMap<_, _> = self
            .judge
            .held()
            .filter(|(_, held)| held.shared || (all && held.last_ns < idle))
            .collect();
        let before = std::mem::replace(&mut self.held, held.keys().copied().collect());
        let old: Vec<_> = held
            .into_iter()
            .filter(|(cookie, held)| !held.shared || before.contains(cookie))
            .collect();
        if old.is_empty() {
            return;
        }
        let Some(existing) = sockets::existing() else {
            return;
        };
        // The counters first: where there are none any more, the record of the
        // end was made before.
        let old: Vec<_> = old
            .into_iter()
            .map(|(cookie, _)| (cookie, self.live.connection(cookie)))
            .collect();
        self.drain();
        let ending: HashSet<_> = self.judge.waiting().map(|(cookie, _)| cookie).collect();
        for (cookie, counters) in old {
            let exists = match &counters {
                Some(counters) => counters.inode == 0 || existing.contains(&counters.inode),
                None => ending.contains(&cookie),
            };
            if !exists {
                self.judge.release(cookie, counters.as_ref());
                self.live.forget(cookie);
            }
        }
    }

    /// Judges the connections that have waited long enough.
    pub(super) fn settle(&mut self) {
        let now = monotonic_ns();
        let due: Vec<_> = self
            .judge
            .waiting()
            .filter(|(_, due)| now >= *due)
            .map(|(cookie, _)| (cookie, self.live.connection(cookie)))
            .collect();
        if due.is_empty() {
            return;
        }
        // What was recorded before the counters were read is taken first.
        self.drain();
        for (cookie, counters) in due {
            self.judge.settle(cookie, counters.as_ref());
        }
    }
}
