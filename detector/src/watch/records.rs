//! Takes what the kernel side wrote.

use std::time::Instant;

use super::{clock::monotonic_ns, engine::Engine};
use crate::{capture::Record, nice::Nice};

/// Records that are taken before hints are given back and stacks are taken: their ring is
/// not to fill meanwhile.
const AT_ONCE: usize = 1024;

impl Engine {
    pub(super) fn drain(&mut self) {
        while self.drain_some() {}
    }

    /// The same; what takes long is not left for when the others have time, or the ring
    /// fills faster than it is read.
    pub(super) fn drain_behind_others(&mut self, nice: &mut Nice) {
        let began = Instant::now();
        while self.drain_some() {
            nice.took(began.elapsed());
        }
    }

    /// `true` if there may be more.
    fn drain_some(&mut self) -> bool {
        let Self {
            live,
            judge,
            programs,
            stacks,
            unknown_records,
            before,
            ..
        } = self;
        let now = monotonic_ns();
        let more = live.drain(AT_ONCE, |record| match record {
            Ok(record) => {
                let pid = record.header().tgid;
                // A reset is no deed of the process that runs.
                if !matches!(record, Record::Reset(_)) && programs.see(pid, now) {
                    stacks.meet(pid);
                }
                before.see(&record);
                judge.take(record);
            }
            Err(_) => *unknown_records += 1,
        });
        for (cookie, hint) in judge.take_hints() {
            live.hint(cookie, hint);
        }
        live.drain_stacks(|piece| stacks.take(piece, monotonic_ns()));
        more
    }

    /// Lets go of what ended.
    pub(super) fn forget(&mut self) {
        for cookie in self.judge.take_released() {
            self.live.forget(cookie);
        }
    }
}
