//! Programs that do nothing, on truncwatch's hooks: what a measurement of
//! truncwatch's cost is compared with (`cargo xtask bench per-call`).
//!
//! The same names, types and hooks as the real programs (the table in
//! `detector/src/capture/live/hooks/rows.rs`) and the same maps, so that truncwatch
//! loads this object in place of its own: `truncwatch --bpf-object FILE`.
#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{btf_tracepoint, fentry, fexit, kprobe, tracepoint},
    programs::{
        BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, TracePointContext,
    },
};

#[path = "../maps.rs"]
#[expect(
    dead_code,
    reason = "the maps are for the loader: nothing here uses them"
)]
mod maps;

#[tracepoint]
fn enter_shutdown(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn enter_close(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn enter_close_range(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn enter_dup2(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn enter_dup3(_: TracePointContext) -> u32 {
    0
}

#[btf_tracepoint(function = "sched_prepare_exec")]
fn prepare_exec(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
fn process_exit(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "tcp_send_reset")]
fn send_reset(_: BtfTracePointContext) -> i32 {
    0
}

#[tracepoint]
fn reset_event(_: TracePointContext) -> u32 {
    0
}

#[btf_tracepoint(function = "sched_process_fork")]
fn fork(_: BtfTracePointContext) -> i32 {
    0
}

#[tracepoint]
fn exit_accept(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn exit_accept4(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn enter_connect(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn exit_socketpair(_: TracePointContext) -> u32 {
    0
}

#[btf_tracepoint(function = "io_uring_submit_req")]
fn uring_submit(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "io_uring_queue_async_work")]
fn uring_queue(_: BtfTracePointContext) -> i32 {
    0
}

#[tracepoint]
fn exit_sendfile(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn exit_sendmmsg(_: TracePointContext) -> u32 {
    0
}

#[btf_tracepoint(function = "sock_recv_length")]
fn recv_length(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sock_send_length")]
fn send_length(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sock_recv_length")]
fn recv_cookie(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sock_send_length")]
fn send_cookie(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sock_recv_length")]
fn recv_cookie_again(_: BtfTracePointContext) -> i32 {
    0
}

#[btf_tracepoint(function = "sock_send_length")]
fn send_cookie_again(_: BtfTracePointContext) -> i32 {
    0
}

#[tracepoint]
fn recv_event(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn send_event(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn exec_event(_: TracePointContext) -> u32 {
    0
}

#[tracepoint]
fn exit_event(_: TracePointContext) -> u32 {
    0
}

#[kprobe]
fn shutdown_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn close_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn close_range_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn dup2_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn dup3_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn connect_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn sendmmsg_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn install_probe(_: ProbeContext) -> u32 {
    0
}

#[kprobe]
fn fork_probe(_: ProbeContext) -> u32 {
    0
}

#[fentry(function = "__x64_sys_shutdown")]
fn shutdown_call(_: FEntryContext) -> i32 {
    0
}

#[fentry(function = "__x64_sys_close")]
fn close_call(_: FEntryContext) -> i32 {
    0
}

#[fentry(function = "__x64_sys_close_range")]
fn close_range_call(_: FEntryContext) -> i32 {
    0
}

#[fentry(function = "__x64_sys_dup2")]
fn dup2_call(_: FEntryContext) -> i32 {
    0
}

#[fentry(function = "__x64_sys_dup3")]
fn dup3_call(_: FEntryContext) -> i32 {
    0
}

#[fentry(function = "__x64_sys_connect")]
fn connect_call(_: FEntryContext) -> i32 {
    0
}

#[fentry(function = "__x64_sys_sendmmsg")]
fn sendmmsg_call(_: FEntryContext) -> i32 {
    0
}

#[fexit(function = "__x64_sys_sendfile64")]
fn sendfile_call(_: FExitContext) -> i32 {
    0
}

#[fentry(function = "fd_install")]
fn install_call(_: FEntryContext) -> i32 {
    0
}

/// As in `main.rs`.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never called; the language asks for it.
    loop {}
}
