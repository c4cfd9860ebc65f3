//! Takes what the kernel side wrote.

use super::{engine::Engine, monotonic_ns};
use crate::capture::Record;

impl Engine {
    pub(super) fn drain(&mut self) {
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
        live.drain(|record| match record {
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
    }

    /// Lets go of what ended.
    pub(super) fn forget(&mut self) {
        for cookie in self.judge.take_released() {
            self.live.forget(cookie);
        }
    }
}
