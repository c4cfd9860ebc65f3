//! Counts on kernels whose typed tracepoints may be preempted: Linux 7.0 and later.
//! (What ends there with an exec or a process is in `close/fd_table.rs`, for the same reason.)
//!
//! A program that is preempted there counts as running on its CPU, and is left out
//! for whoever runs on that CPU meanwhile and comes to the same tracepoint
//! (`recursion_misses`). Perf's form of a tracepoint keeps the CPU to its end
//! (include/trace/perf.h), so that no other task comes to it meanwhile; but it gives the
//! socket as a number, of which no cookie can be made. Hence two kinds of programs: typed
//! ones that make the cookie of a new socket, and are over in a stamp; and behind them
//! the one that counts. Where the first are left out, it sees a socket without a
//! cookie, and counts that.
//!
//! Checked: 6.18 (where it is not needed) and 7.3.

use aya_ebpf::{
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};

use crate::{
    atomic::fetch_add,
    config::config,
    count::{on_receive, on_send},
    kernel::Address,
    maps::MISSING_COOKIES,
    new_socket::is_used_by_others,
    scratch::{Rx, Tx},
    track::{BtfPtr, KernelPtr, SocketIdentity, is_wanted},
};

/// Counts a call on a socket without a cookie that should have had one.
#[inline(always)]
pub(crate) fn count_missing_cookie() {
    if let Some(counter) = MISSING_COOKIES.get_ptr_mut(0) {
        fetch_add(counter, 1);
    }
}

/// `sock_send_length`, as in `count_tracepoint.rs`.
#[btf_tracepoint(function = "sock_send_length")]
fn send_cookie(context: BtfTracePointContext) -> i32 {
    give_cookie(BtfPtr(context.arg(0)))
}

/// `sock_recv_length`, as in `count_tracepoint.rs`.
#[btf_tracepoint(function = "sock_recv_length")]
fn recv_cookie(context: BtfTracePointContext) -> i32 {
    give_cookie(BtfPtr(context.arg(0)))
}

/// [`send_cookie`] once more: a program is left out only where it is preempted itself,
/// so that both are only where two tasks on one CPU are, one in each.
#[btf_tracepoint(function = "sock_send_length")]
fn send_cookie_again(context: BtfTracePointContext) -> i32 {
    give_cookie(BtfPtr(context.arg(0)))
}

/// [`recv_cookie`] once more.
#[btf_tracepoint(function = "sock_recv_length")]
fn recv_cookie_again(context: BtfTracePointContext) -> i32 {
    give_cookie(BtfPtr(context.arg(0)))
}

/// Makes the cookie of a socket that is to be taken up.
#[inline(always)]
fn give_cookie(sk: BtfPtr) -> i32 {
    let cookie: u64 = sk.read(config!(fields.sock_cookie));
    if cookie != 0 {
        return 0;
    }
    // Nothing is kept here, so that what is handed on does not count.
    if !is_wanted(sk.socket()) {
        is_used_by_others(sk);
    } else if SocketIdentity::of(sk).is_some() {
        sk.cookie();
    }
    0
}

/// `sock:sock_send_length`; its record is a `struct trace_event_raw_sock_msg_length`.
#[tracepoint]
fn send_event(context: TracePointContext) -> u32 {
    if let Some((sk, result, _)) = message(&context) {
        on_send::<Tx, _>(sk, result);
    }
    0
}

/// `sock:sock_recv_length`; the same record.
#[tracepoint]
fn recv_event(context: TracePointContext) -> u32 {
    if let Some((sk, result, flags)) = message(&context) {
        on_receive::<Rx, _>(sk, result, flags);
    }
    0
}

/// The socket, what the call returned, and its flags.
#[inline(always)]
fn message(context: &TracePointContext) -> Option<(Address, i32, i32)> {
    let sk_at = config!(fields.message_sk) as usize;
    let result_at = config!(fields.message_result) as usize;
    let flags_at = config!(fields.message_flags) as usize;
    // SAFETY: fields of the record, by the kernel's own types.
    let (sk, result, flags) = unsafe {
        (
            context.read_at(sk_at).ok()?,
            context.read_at(result_at).ok()?,
            context.read_at(flags_at).ok()?,
        )
    };
    Some((Address(sk), result, flags))
}
