//! System calls on kernels whose tracepoints may be preempted: Linux 7.0 and later.
//!
//! There the tracepoints of system calls may be preempted in perf's form too, and
//! programs are then left out (`hooks/count_perf.rs`). The handler of a kprobe keeps the CPU to
//! its end (kernel/kprobes.c), so that no other task comes to the same one meanwhile.
//! What is probed are the functions that the table of system calls names: they are
//! called by nothing else, and not for 32-bit programs, which have others (and no
//! tracepoints).
//!
//! A function that the compiler has put into its callers could be probed and would
//! never be called. So the watching process makes each call once, and a probe that does
//! not tell of it is not used; the tracepoint then is.
//!
//! Checked: 6.1, 6.12 and 6.18 (where they are not needed) and 7.3, on x86-64.

use aya_ebpf::{EbpfContext as _, macros::kprobe, programs::ProbeContext};
use detector_common::Probe;

use crate::{
    atomic::set_bits,
    close::descriptor::{on_close, on_dup2, on_dup3, on_shutdown},
    close::fd_table::on_close_range,
    config::config,
    count::tracked_of,
    filter::passes,
    hooks::fork::on_fork,
    kernel::{Address, File},
    maps::PROBE_HITS,
    new_socket::{is_accepted_file, on_connect},
    ring::current,
    syscall::SystemCall,
};

/// Notes that the kernel runs the probe, where it is the watching process that makes the call. It
/// may be watched too: `doctor` watches itself.
#[inline(always)]
pub(crate) fn mark_hit(probe: Probe) {
    let (tgid, _) = current();
    if u64::from(tgid) == config!(own_tgid)
        && let Some(word) = PROBE_HITS.get_ptr_mut(0)
    {
        set_bits(word, probe.bit());
    }
}

/// `int shutdown(int fd, int how)`.
#[kprobe]
fn shutdown_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Shutdown);
    on_shutdown(&context)
}

/// `int close(int fd)`.
#[kprobe]
fn close_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Close);
    on_close(&context)
}

/// `int close_range(unsigned first, unsigned last, int flags)`.
#[kprobe]
fn close_range_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::CloseRange);
    on_close_range(&context)
}

/// `int dup2(int oldfd, int newfd)`.
#[kprobe]
fn dup2_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Dup2);
    on_dup2(&context)
}

/// `int dup3(int oldfd, int newfd, int flags)`.
#[kprobe]
fn dup3_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Dup3);
    on_dup3(&context)
}

/// `int connect(int fd, …)`.
#[kprobe]
fn connect_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Connect);
    on_connect(&context)
}

/// `int sendmmsg(int fd, …)`: it begins with its first message. (What the tracepoint
/// at its end does; another thread's call that is running is left alone.)
#[kprobe]
fn sendmmsg_probe(_context: ProbeContext) -> u32 {
    mark_hit(Probe::Sendmmsg);
    new_sendmmsg();
    0
}

#[inline(always)]
pub(crate) fn new_sendmmsg() {
    let (_, tid) = current();
    if let Some(connection) = tracked_of(&SystemCall::ending()) {
        // SAFETY: a live map value, as in count.rs.
        unsafe {
            if (*connection).mmsg_tid == tid {
                (*connection).mmsg_sent = 0;
            }
        }
    }
}

/// `void fd_install(unsigned int fd, struct file *file)`, which gives every new
/// descriptor its file, before the process can use it: those of accept, accept4 and
/// socketpair. The ends of these calls could be probed too, but only so many at once.
///
/// A file that has more references is somewhere else already: io_uring, whose work is
/// done at the end of any call, may have received it.
#[kprobe]
fn install_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Install);
    // The second argument is in the same register in functions and calls.
    on_fd_install(|| Address(context.as_ptr() as u64).follow(config!(registers.arg1)));
    0
}

/// A descriptor gets this file.
#[inline(always)]
pub(crate) fn on_fd_install(file: impl Fn() -> Option<Address>) {
    // First of all: most are files that are opened.
    let call = u64::from(SystemCall::running());
    if call != config!(accept4) && call != config!(accept) && call != config!(socketpair) {
        return;
    }
    if call == config!(socketpair) && !passes(current().0) {
        return;
    }
    if let Some(file) = file().map(File)
        && file.references() == 1
    {
        is_accepted_file(file);
    }
}

/// `void wake_up_new_task(struct task_struct *child)`, by its parent, as the last
/// that a fork does: behind `sched_process_fork`.
#[kprobe]
fn fork_probe(context: ProbeContext) -> u32 {
    mark_hit(Probe::Fork);
    if config!(watch_all) != 0 {
        return 0;
    }
    let (parent, _) = current();
    let child = Address(context.as_ptr() as u64).follow(config!(registers.function_arg0));
    if let Some(child) = child.and_then(|child| child.read::<u32>(config!(fields.task_tgid))) {
        on_fork(parent, child);
    }
    0
}
