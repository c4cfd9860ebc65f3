//! What the watch came to, over all the engines that it had: counters for
//! Prometheus never go back.

use std::collections::BTreeMap;

use detector_common::Stat;

use crate::{
    judge::{Tally, Unjudged},
    report::KERNEL_REASONS,
    watch::engine::Engine,
};

/// Why events are lost, by the names of the kernel side's counters.
const LOST: [&str; 2] = ["ring-full", "stacks-full"];

/// Counts over the whole watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) tally: Tally,
    kernel: BTreeMap<&'static str, u64>,
    missed: u64,
    unknown: u64,
}

impl Totals {
    /// Adds what an engine has counted so far.
    pub(super) fn and(mut self, engine: &Engine) -> Self {
        self.tally.add(engine.tally());
        for (name, count) in engine.stats() {
            *self.kernel.entry(name).or_default() += count;
        }
        self.missed += engine.missed();
        self.unknown += engine.unknown_records();
        self
    }

    fn stat(&self, name: &str) -> u64 {
        self.kernel.get(name).copied().unwrap_or(0)
    }

    pub(super) fn connections(&self) -> u64 {
        self.stat("connections")
    }

    /// By reason; those that summaries always name are there.
    pub(super) fn unjudged(&self) -> BTreeMap<&'static str, u64> {
        let always = Unjudged::ALWAYS.iter().chain([&Unjudged::Evicted]);
        let mut all: BTreeMap<_, _> = always.map(|reason| (reason.name(), 0)).collect();
        for (reason, count) in &self.tally.unjudged {
            all.insert(reason.name(), *count);
        }
        let lost = self.tally.lost_events(self.stat(Stat::EndsLost.name()));
        all.insert(Unjudged::LostEvents.name(), lost);
        all.extend(KERNEL_REASONS.map(|name| (name, self.stat(name))));
        all
    }

    /// By what was full or missing.
    pub(super) fn lost(&self) -> BTreeMap<&'static str, u64> {
        let mut all: BTreeMap<_, _> = LOST.map(|name| (name, self.stat(name))).into();
        all.insert("calls-not-shown", self.missed);
        all.insert("unknown-records", self.unknown);
        all
    }
}
