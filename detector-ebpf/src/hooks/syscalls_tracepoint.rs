//! System calls, by the kernel's tracepoints for them (events/syscalls).

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};

use crate::{
    close::{
        descriptor::{on_close, on_dup2, on_dup3, on_shutdown},
        fd_table::on_close_range,
    },
    count::on_sendfile,
    new_socket::{on_accept, on_connect},
};

/// `syscalls:sys_enter_shutdown`: `int shutdown(int fd, int how)`.
#[tracepoint]
fn enter_shutdown(context: TracePointContext) -> u32 {
    on_shutdown(&context)
}

/// `syscalls:sys_enter_close`: `int close(int fd)`. The connection ends with
/// the last reference; a close of one of several is told as such.
#[tracepoint]
fn enter_close(context: TracePointContext) -> u32 {
    on_close(&context)
}

/// `syscalls:sys_enter_dup2`: `int dup2(int oldfd, int newfd)`, which closes
/// `newfd` if it is open, unless the call fails.
#[tracepoint]
fn enter_dup2(context: TracePointContext) -> u32 {
    on_dup2(&context)
}

/// `syscalls:sys_enter_dup3`: the same with flags.
#[tracepoint]
fn enter_dup3(context: TracePointContext) -> u32 {
    on_dup3(&context)
}

/// `syscalls:sys_enter_close_range`: `int close_range(unsigned first, unsigned
/// last, int flags)`. Linux 5.9 and later.
#[tracepoint]
fn enter_close_range(context: TracePointContext) -> u32 {
    on_close_range(&context)
}

/// `syscalls:sys_exit_accept`: `int accept(int, struct sockaddr *, socklen_t *)`.
#[tracepoint]
fn exit_accept(context: TracePointContext) -> u32 {
    on_accept(&context)
}

/// `syscalls:sys_exit_accept4`.
#[tracepoint]
fn exit_accept4(context: TracePointContext) -> u32 {
    on_accept(&context)
}

/// `syscalls:sys_enter_connect`: before any byte can be sent. A socket that is
/// connected already (a program may ask so whether it is) is no beginning.
#[tracepoint]
fn enter_connect(context: TracePointContext) -> u32 {
    on_connect(&context)
}

/// `syscalls:sys_exit_sendfile64`: the call's own result, 0 when the file was
/// shorter than asked for, which passes no send at all. The bytes were counted
/// as they went; this is for the timeline and for what was stranded.
#[tracepoint]
fn exit_sendfile(context: TracePointContext) -> u32 {
    // SAFETY: `ret` is at byte 16 of the record (its format file).
    if let Ok(result) = unsafe { context.read_at::<i64>(16) } {
        on_sendfile(result);
    }
    0
}
