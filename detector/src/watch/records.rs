//! Takes what the kernel side wrote.

use std::collections::hash_map::Entry;

use super::{Watch, monotonic_ns};
use crate::capture::live::process;

/// Most processes whose programs are remembered.
const PROGRAMS: usize = 4096;

impl Watch<'_> {
    pub(super) fn drain(&mut self) {
        let Self {
            live,
            judge,
            programs,
            stacks,
            unknown_records,
            ..
        } = self;
        live.drain(|record| match record {
            Ok(record) => {
                let pid = record.header().tgid;
                if programs.len() >= PROGRAMS {
                    programs.clear();
                }
                if let Entry::Vacant(program) = programs.entry(pid) {
                    program.insert(process::exe(pid));
                    stacks.meet(pid, monotonic_ns());
                }
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
