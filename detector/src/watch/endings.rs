//! What ended and what goes on.

use super::{clock::monotonic_ns, engine::Engine};

impl Engine {
    /// Tells what was found wrong on connections that go on.
    pub(super) fn note(&mut self) {
        let now = monotonic_ns();
        for cookie in self.judge.take_flawed() {
            // One that ended tells by itself.
            if let Some(counters) = self.live.connection(cookie) {
                self.judge.note(cookie, &counters, now);
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
