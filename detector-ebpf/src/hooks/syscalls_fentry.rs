//! System calls where perf's events are refused: by the functions behind them.
//!
//! Perf's form of tracepoints and kprobes are opened with `perf_event_open`, for which
//! some kernels ask for `CAP_SYS_ADMIN` (Debian's, where `kernel.perf_event_paranoid` is
//! above 2). To trace a function takes `CAP_BPF` and `CAP_PERFMON`, and a kernel that can
//! (`hooks/count_fexit.rs`). The functions are those that the table of system calls names, and each
//! is tried, as in `hooks/syscalls_kprobe.rs`.
//!
//! What is running when a watch begins is not seen at its end; hence `fd_install` in place
//! of the ends of accept.
//!
//! Checked: 6.1, 6.12, 6.18 and 7.3, on x86-64.

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use detector_common::Probe;

use crate::{
    close::descriptor::{on_close, on_dup2, on_dup3, on_shutdown},
    close::fd_table::on_close_range,
    count::on_sendfile,
    hooks::syscalls_kprobe::{mark_hit, new_sendmmsg, on_fd_install},
    kernel::Address,
    new_socket::on_connect,
};

/// `int shutdown(int fd, int how)`.
#[fentry(function = "__x64_sys_shutdown")]
fn shutdown_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::Shutdown);
    on_shutdown(&context);
    0
}

/// `int close(int fd)`.
#[fentry(function = "__x64_sys_close")]
fn close_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::Close);
    on_close(&context);
    0
}

/// `int close_range(unsigned first, unsigned last, int flags)`.
#[fentry(function = "__x64_sys_close_range")]
fn close_range_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::CloseRange);
    on_close_range(&context);
    0
}

/// `int dup2(int oldfd, int newfd)`.
#[fentry(function = "__x64_sys_dup2")]
fn dup2_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::Dup2);
    on_dup2(&context);
    0
}

/// `int dup3(int oldfd, int newfd, int flags)`.
#[fentry(function = "__x64_sys_dup3")]
fn dup3_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::Dup3);
    on_dup3(&context);
    0
}

/// `int connect(int fd, …)`.
#[fentry(function = "__x64_sys_connect")]
fn connect_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::Connect);
    on_connect(&context);
    0
}

/// `int sendmmsg(int fd, …)`.
#[fentry(function = "__x64_sys_sendmmsg")]
fn sendmmsg_call(_context: FEntryContext) -> i32 {
    mark_hit(Probe::Sendmmsg);
    new_sendmmsg();
    0
}

/// `ssize_t sendfile(int out_fd, …)`, at its end: the registers, then what it returned.
#[fexit(function = "__x64_sys_sendfile64")]
fn sendfile_call(context: FExitContext) -> i32 {
    mark_hit(Probe::Sendfile);
    on_sendfile(context.arg::<i64>(1));
    0
}

/// `void fd_install(unsigned int fd, struct file *file)`.
#[fentry(function = "fd_install")]
fn install_call(context: FEntryContext) -> i32 {
    mark_hit(Probe::Install);
    on_fd_install(|| Some(Address(context.arg(1))));
    0
}
