//! Sends and receives, by the kernel's tracepoints at the one place that all of them pass.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    count::{on_receive, on_send},
    scratch::{Rx, Tx},
    track::BtfPtr,
};

/// `sock_send_length`: `(struct sock *sk, int ret, int flags)`, called once by
/// `sock_sendmsg` for each send, errors included. Linux 6.3 and later;
/// `sendfile` and `splice` pass here from 6.5. Checked: 6.18.
#[btf_tracepoint(function = "sock_send_length")]
fn send_length(context: BtfTracePointContext) -> i32 {
    on_send::<Tx, _>(BtfPtr(context.arg(0)), context.arg(1))
}

/// `sock_recv_length`: `(struct sock *sk, int ret, int flags)`. Linux 6.3 and
/// later. Checked: 6.18.
#[btf_tracepoint(function = "sock_recv_length")]
fn recv_length(context: BtfTracePointContext) -> i32 {
    on_receive::<Rx, _>(BtfPtr(context.arg(0)), context.arg(1), context.arg(2))
}
