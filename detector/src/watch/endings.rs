//! What ended, what goes on, and what makes no progress.

use super::{engine::Engine, monotonic_ns};

/// How often connections that make no progress are looked for, nanoseconds.
const STALLS: u64 = 250_000_000;

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
