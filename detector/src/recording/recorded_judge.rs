//! The judge of a watch, which may be recorded: what it is given passes through
//! here, as [`Input`]s.

use std::ops::Deref;

use detector_common::{Connection as Counters, Hint};

use super::{Input, Writer};
use crate::{
    capture::Record,
    judge::{Finding, Judge, OpenBefore},
};

/// A judge and where what it takes is written.
#[derive(Default)]
pub struct RecordedJudge {
    judge: Judge,
    writer: Option<Writer>,
}

impl Deref for RecordedJudge {
    type Target = Judge;

    fn deref(&self) -> &Judge {
        &self.judge
    }
}

impl RecordedJudge {
    /// A new judge, recorded or not.
    #[must_use]
    pub fn new(writer: Option<Writer>) -> Self {
        Self {
            judge: if writer.is_some() {
                Judge::traced()
            } else {
                Judge::new()
            },
            writer,
        }
    }

    /// Where it is recorded.
    pub fn writer(&mut self) -> Option<&mut Writer> {
        self.writer.as_mut()
    }

    /// See [`Judge::take`].
    pub fn take(&mut self, record: Record) {
        let cookie = record.header().cookie;
        self.give(Input::Take(record));
        self.forget(cookie);
    }

    /// See [`Judge::settle`].
    pub fn settle(&mut self, cookie: u64, counters: Option<&Counters>) {
        self.give(Input::Settle(cookie, boxed(counters)));
        self.forget(cookie);
    }

    /// See [`Judge::note`].
    pub fn note(&mut self, cookie: u64, counters: &Counters, now_ns: u64) {
        self.give(Input::Note(cookie, Box::new(*counters), now_ns));
    }

    /// See [`Judge::stall`].
    pub fn stall(&mut self, cookie: u64, counters: &Counters, now_ns: u64) {
        self.give(Input::Stall(cookie, Box::new(*counters), now_ns));
    }

    /// See [`Judge::release`].
    pub fn release(&mut self, cookie: u64, counters: Option<&Counters>) {
        self.give(Input::Release(cookie, boxed(counters)));
        self.forget(cookie);
    }

    /// See [`Judge::finish`].
    pub fn finish(&mut self, open: impl IntoIterator<Item = (u64, Counters)>) {
        let mut open: Vec<_> = open.into_iter().collect();
        // The same each time it is judged.
        open.sort_unstable_by_key(|(cookie, _)| *cookie);
        self.give(Input::Finish(open));
    }

    /// See [`Judge::open_before`].
    pub fn open_before(&mut self, before: OpenBefore) {
        self.give(Input::OpenBefore(Box::new(before)));
    }

    /// See [`Judge::take_findings`].
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.judge.take_findings()
    }

    /// See [`Judge::take_hints`].
    pub fn take_hints(&mut self) -> Vec<(u64, Hint)> {
        self.judge.take_hints()
    }

    /// See [`Judge::take_released`].
    pub fn take_released(&mut self) -> Vec<u64> {
        self.judge.take_released()
    }

    /// See [`Judge::take_flawed`].
    pub fn take_flawed(&mut self) -> Vec<u64> {
        self.judge.take_flawed()
    }

    /// See [`Judge::doubt`]; what leads to it is recorded, not it.
    pub fn doubt(&mut self, finding: &Finding) {
        self.judge.doubt(finding);
    }

    /// See [`Judge::doubt_open`]. Not recorded, as the next: a watch that is
    /// recorded does neither.
    pub fn doubt_open(&mut self) {
        self.judge.doubt_open();
    }

    /// See [`Judge::evict`].
    pub fn evict(&mut self, most: usize) -> Vec<u64> {
        self.judge.evict(most)
    }

    fn give(&mut self, input: Input) {
        let Some(writer) = &mut self.writer else {
            return input.give(&mut self.judge);
        };
        input.clone().give(&mut self.judge);
        writer.input(&input, self.judge.take_traced());
    }

    fn forget(&mut self, cookie: u64) {
        if let Some(writer) = &mut self.writer
            && !self.judge.knows(cookie)
        {
            writer.forget(cookie);
        }
    }
}

fn boxed(counters: Option<&Counters>) -> Option<Box<Counters>> {
    counters.map(|counters| Box::new(*counters))
}
