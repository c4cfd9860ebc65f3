//! Counts on kernels that have no tracepoints for it: before 6.3, and up to 6.4
//! they leave out `sendfile` and `splice`.
//!
//! The hooks are the ends of the functions that those tracepoints come right
//! behind: what a socket's family does to send and to receive (`struct
//! proto_ops`, include/linux/net.h). So each send and each receive is seen once,
//! with its socket, its result and whoever makes it, as by the tracepoints, and
//! a descriptor is asked for nowhere. Attaching to functions takes the kernel's
//! function tracer, which not every kernel has, and arm64 only lately; hence the
//! tracepoints where there are some.
//!
//! Checked: 6.1 (all of them), 6.12 and 6.18 (without `sendpage`).

use aya_ebpf::{macros::fexit, programs::FExitContext};

use crate::{
    config::config,
    count::{on_receive, on_send},
    kernel::{MPTCP, field},
    scratch::{Rx, Tx},
    track::BtfPtr,
};

/// `int inet_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)`.
#[fexit(function = "inet_sendmsg")]
fn inet_sendmsg(context: FExitContext) -> i32 {
    send::<0>(context.arg(0), context.arg(3))
}

/// `inet6_sendmsg`: the same arguments.
#[fexit(function = "inet6_sendmsg")]
fn inet6_sendmsg(context: FExitContext) -> i32 {
    send::<1>(context.arg(0), context.arg(3))
}

/// `unix_stream_sendmsg`: the same arguments.
#[fexit(function = "unix_stream_sendmsg")]
fn unix_sendmsg(context: FExitContext) -> i32 {
    send::<2>(context.arg(0), context.arg(3))
}

/// `ssize_t inet_sendpage(struct socket *sock, struct page *page, int offset,
/// size_t size, int flags)`: `sendfile` and `splice`, a page at a time, for IPv6
/// too. Up to Linux 6.4. Multipath TCP has none of its own and goes on to
/// `inet_sendmsg` (`sock_no_sendpage`, net/core/sock.c).
#[fexit(function = "inet_sendpage")]
fn inet_sendpage(context: FExitContext) -> i32 {
    let sk = socket(context.arg(0));
    if sk.is_null() {
        return 0;
    }
    let protocol_at = config!(fields.sock_protocol);
    // SAFETY: a field of a struct sock; the verifier checks the offset.
    if unsafe { field::<u16>(sk, protocol_at) } == MPTCP {
        return 0;
    }
    send::<3>(context.arg(0), context.arg(5))
}

/// `unix_stream_sendpage`: the same arguments.
#[fexit(function = "unix_stream_sendpage")]
fn unix_sendpage(context: FExitContext) -> i32 {
    send::<4>(context.arg(0), context.arg(5))
}

/// `int inet_recvmsg(struct socket *sock, struct msghdr *msg, size_t size,
/// int flags)`.
#[fexit(function = "inet_recvmsg")]
fn inet_recvmsg(context: FExitContext) -> i32 {
    receive::<5>(context.arg(0), context.arg(4), context.arg(3))
}

/// `inet6_recvmsg`: the same arguments.
#[fexit(function = "inet6_recvmsg")]
fn inet6_recvmsg(context: FExitContext) -> i32 {
    receive::<6>(context.arg(0), context.arg(4), context.arg(3))
}

/// `unix_stream_recvmsg`: the same arguments.
#[fexit(function = "unix_stream_recvmsg")]
fn unix_recvmsg(context: FExitContext) -> i32 {
    receive::<7>(context.arg(0), context.arg(4), context.arg(3))
}

/// A `struct socket`'s `struct sock`.
#[inline(always)]
fn socket(socket: *const u8) -> *const u8 {
    let sk_at = config!(fields.socket_sk);
    // SAFETY: a field of the function's argument; the verifier checks the offset.
    unsafe { field(socket, sk_at) }
}

#[inline(always)]
fn send<const SLOT: u32>(of: *const u8, result: i32) -> i32 {
    let sk = socket(of);
    if sk.is_null() {
        return 0;
    }
    on_send::<Tx<SLOT>, _>(BtfPtr(sk), result)
}

#[inline(always)]
fn receive<const SLOT: u32>(of: *const u8, result: i32, flags: i32) -> i32 {
    let sk = socket(of);
    if sk.is_null() {
        return 0;
    }
    on_receive::<Rx<SLOT>, _>(BtfPtr(sk), result, flags)
}
