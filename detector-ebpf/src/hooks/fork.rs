//! Children of watched processes: watched too (`--follow`), from their first
//! instruction, or counted.

use crate::{
    config::config,
    kernel::Address,
    maps::count,
    processes::{is_member, join},
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use detector_common::Stat;

/// `sched_process_fork`: `(struct task_struct *parent, struct task_struct
/// *child)`, before the child runs. Checked: 5.15 to 6.18.
#[btf_tracepoint(function = "sched_process_fork")]
fn fork(context: BtfTracePointContext) -> i32 {
    if config!(watch_all) != 0 {
        return 0;
    }
    let parent = Address(context.arg::<u64>(0));
    let child = Address(context.arg::<u64>(1));
    let tgid = config!(fields.task_tgid);
    let (Some(parent), Some(child)) = (parent.read::<u32>(tgid), child.read::<u32>(tgid)) else {
        return 0;
    };
    on_fork(parent, child);
    0
}

/// A process has a new thread, which may be one of a new process.
#[inline(always)]
pub(crate) fn on_fork(parent: u32, child: u32) {
    // A new thread has its process's number.
    if parent != child && is_member(parent) {
        if config!(follow) != 0 {
            join(child);
        } else {
            count(Stat::Children);
        }
    }
}
