//! What the judge takes, as values.

use detector_common::Connection as Counters;

use crate::{
    capture::Record,
    judge::{Judge, OpenBefore},
};

/// One input of the judge; see its functions of the same names.
#[derive(Clone, Debug)]
pub enum Input {
    /// [`Judge::take`].
    Take(Record),
    /// [`Judge::settle`].
    Settle(u64, Option<Box<Counters>>),
    /// [`Judge::note`].
    Note(u64, Box<Counters>, u64),
    /// [`Judge::stall`].
    Stall(u64, Box<Counters>, u64),
    /// [`Judge::release`].
    Release(u64, Option<Box<Counters>>),
    /// [`Judge::finish`].
    Finish(Vec<(u64, Counters)>),
    /// [`Judge::open_before`].
    OpenBefore(Box<OpenBefore>),
}

impl Input {
    /// When it was, `CLOCK_MONOTONIC` nanoseconds; 0 where it does not tell.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        match self {
            Self::Take(record) => record.header().time_ns,
            Self::Note(_, _, now_ns) | Self::Stall(_, _, now_ns) => *now_ns,
            Self::Settle(..) | Self::Release(..) | Self::Finish(_) | Self::OpenBefore(_) => 0,
        }
    }

    /// Gives it to a judge.
    pub fn give(self, judge: &mut Judge) {
        match self {
            Self::Take(record) => judge.take(record),
            Self::Settle(cookie, counters) => judge.settle(cookie, counters.as_deref()),
            Self::Note(cookie, counters, now_ns) => judge.note(cookie, &counters, now_ns),
            Self::Stall(cookie, counters, now_ns) => judge.stall(cookie, &counters, now_ns),
            Self::Release(cookie, counters) => judge.release(cookie, counters.as_deref()),
            Self::Finish(open) => judge.finish(open),
            Self::OpenBefore(before) => judge.open_before(&before),
        }
    }
}
