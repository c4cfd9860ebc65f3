//! Resets that the kernel sends: what of a response they take back.
//!
//! A close with unread input or with `SO_LINGER` 0 sends one at once; what arrives at a
//! socket that is closed, such as the rest of an upload, later.

use aya_ebpf::{
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use detector_common::{Header, Kind, Reset, Stat};

use crate::{
    config::{config, has},
    connections::find,
    kernel::{Address, Socket},
    maps::{RECORDS, count, has_ended},
    ring::{Stamp, wake},
};

/// `tcp_send_reset`: `(const struct sock *sk, const struct sk_buff *skb, …)`; `skb` is
/// what it answers, null where nothing asked for it. Checked: 6.18.
#[btf_tracepoint(function = "tcp_send_reset")]
fn send_reset(context: BtfTracePointContext) -> i32 {
    on_reset(Address(context.arg(0)), context.arg::<u64>(1) != 0);
    0
}

/// `tcp:tcp_send_reset`: the same in perf's form (see `hooks/count_perf.rs`).
#[tracepoint]
fn reset_event(context: TracePointContext) -> u32 {
    let (sk_at, cause_at) = (
        config!(fields.reset_sk) as usize,
        config!(fields.reset_cause) as usize,
    );
    // SAFETY: fields of the record, by the kernel's own types.
    let (sk, cause) = unsafe { (context.read_at(sk_at), context.read_at::<u64>(cause_at)) };
    if let (Ok(sk), Ok(cause)) = (sk, cause) {
        on_reset(Address(sk), cause != 0);
    }
    0
}

/// Sockets that are none any more (`TCP_TIME_WAIT`: all was acknowledged), none yet, or
/// no connection (`TCP_LISTEN`, `TCP_NEW_SYN_RECV`, include/net/tcp_states.h).
const NO_CONNECTION: u32 = 1 << 6 | 1 << 10 | 1 << 12;

/// Tells it of a socket that is tracked, or was until it ended.
#[inline(always)]
fn on_reset(sk: Address, answers: bool) {
    if sk.0 == 0 || !has!(fields.tcp_rcv_nxt) {
        return;
    }
    let socket = Socket(sk);
    if NO_CONNECTION >> (socket.state() & 31) & 1 == 1 {
        return;
    }
    let whole = socket.whole();
    let cookie = whole.unwrap_or(socket).cookie();
    if cookie == 0 || !(has_ended(cookie) || find(cookie).is_some()) {
        return;
    }
    // What ended has sent its FIN. Where this is part of the ending it may have none: one
    // byte that may be one is none.
    let (mut unacknowledged, mut unsent) = socket.pending(1);
    if let Some(whole) = whole {
        let (all, rest) = whole.mptcp_pending();
        unsent += rest;
        unacknowledged += rest;
        if unacknowledged < all {
            unacknowledged = all;
        }
    }
    let stamp = Stamp::now();
    let Some(mut entry) = RECORDS.reserve::<Reset>(0) else {
        count(Stat::RingFull);
        return;
    };
    let reset = Reset {
        header: Header {
            kind: Kind::Reset as u32,
            seq: 0,
            cookie,
            time_ns: stamp.time_ns,
            tgid: stamp.tgid,
            tid: stamp.tid,
        },
        unacknowledged,
        unsent,
        answers: u32::from(answers),
        pad: 0,
    };
    entry.write(reset);
    entry.submit(wake(stamp));
}
