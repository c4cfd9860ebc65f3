//! What was judged, and what was not.

use std::collections::BTreeMap;

use super::{
    by_process::{ByProcess, Use},
    finding::Finding,
    unjudged::Unjudged,
};

/// Counts over the whole watch.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Messages that were proved whole or cut short.
    pub messages_judged: u64,
    /// Messages that the peer cut short, reported or not.
    pub peer_endings: u64,
    /// Responses that were sent, judged or not.
    pub responses: u64,
    /// Connections on which this side sent requests and was answered with HTTP.
    pub heard: u64,
    /// What was not judged, by reason.
    pub unjudged: BTreeMap<Unjudged, u64>,
    /// Connections that the judge knew, whose end never came: they were judged or counted
    /// before that.
    pub ends_missed: u64,
    /// The same by process, of the connections of this tally's judge.
    pub by_process: ByProcess,
    /// As many messages of [`Self::messages_judged`] are in it.
    credited: u64,
    /// Reasons that are not in it yet.
    uncredited: Vec<Unjudged>,
}

impl Tally {
    /// Adds to the counts by process what was counted since the last time, on a
    /// connection that is used so; `findings` were made meanwhile.
    pub(super) fn credit(&mut self, used: impl FnOnce() -> Use, findings: &[Finding]) {
        let changed = self.messages_judged != self.credited || !self.uncredited.is_empty();
        if !changed && findings.is_empty() {
            return;
        }
        let used = used();
        let mut judged = self.messages_judged.saturating_sub(self.credited);
        let taken_back = self.credited.saturating_sub(self.messages_judged);
        self.credited = self.messages_judged;
        for finding in findings {
            self.by_process.found(finding);
            // Who ended it need not be who sent what came before.
            if judged > 0 && finding.pid != used.pid {
                judged -= 1;
                self.by_process.add(finding.pid, [0; 16], 1);
            }
        }
        if judged > 0 {
            self.by_process.add(used.pid, used.comm, judged);
        }
        if taken_back > 0 {
            self.by_process.take_back(used.pid, taken_back);
        }
        for reason in self.uncredited.drain(..) {
            self.by_process.miss(&used, reason);
        }
    }

    /// Adds what another counted, but for the counts by process.
    pub fn add(&mut self, other: &Self) {
        self.messages_judged += other.messages_judged;
        self.peer_endings += other.peer_endings;
        self.responses += other.responses;
        self.heard += other.heard;
        self.ends_missed += other.ends_missed;
        self.uncredited.extend(&other.uncredited);
        for (reason, count) in &other.unjudged {
            *self.unjudged.entry(*reason).or_default() += count;
        }
    }

    /// One more that was not judged.
    pub fn miss(&mut self, reason: Unjudged) {
        *self.unjudged.entry(reason).or_default() += 1;
        self.uncredited.push(reason);
    }

    /// Connections with lost records: those that the judge knew, and of so many whose end
    /// was lost (`Stat::EndsLost`) those that it did not.
    #[must_use]
    pub fn lost_events(&self, ends_lost: u64) -> u64 {
        self.missed(Unjudged::LostEvents) + ends_lost.saturating_sub(self.ends_missed)
    }

    /// How many were not judged for this reason.
    #[must_use]
    pub fn missed(&self, reason: Unjudged) -> u64 {
        self.unjudged.get(&reason).copied().unwrap_or(0)
    }
}
