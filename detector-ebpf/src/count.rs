//! Counts what sockets accepted and delivered, and samples heads.
//!
//! The hooks are the kernel's own tracepoints at the one place that all sends
//! and receives of a socket pass (net/socket.c), whatever the system call:
//! they name the socket itself. A descriptor looked up at the end of a call
//! may by then be another's (closed and reused by another thread while the
//! call was blocked); the socket cannot be mistaken. They cost nothing on
//! calls that are no socket's. Where the kernel has no such tracepoints, the same
//! is done at the end of the functions that they are behind (`hooks/count_fexit.rs`).
//!
//! The key is the socket's cookie: never reused, so a socket whose end was not
//! seen leaves an idle entry, not one that a later socket would inherit.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use detector_common::{CALL_RING, CallEntry, Connection, OUT_OF_BAND, family, flag};

use crate::{
    atomic::{fetch_add, fetch_add_u32},
    close::descriptor::is_let_go,
    close::last_call::{before_return, close_held, last_call},
    config::config,
    connections::find,
    kernel::{Address, Socket, open_file},
    new_socket::{synthetic_cookie_of, try_defer},
    processes::is_watched,
    ring::{Stamp, current},
    sampling::{CallBytes, Moved, inspect, is_known},
    scratch::StaticDirection,
    syscall::SystemCall,
    track::{ByteCounts, KernelPtr, describe, lookup_or_track},
    verifier::{split_identity, zero},
};

/// `MSG_PEEK`: the bytes stay in the queue and will be received again.
/// `MSG_ERRQUEUE`: they are no bytes of the stream. `MSG_TRUNC`: they are thrown
/// away, not copied (include/linux/socket.h, tcp(7)).
/// `MSG_OOB`: the byte is in no stream.
const PEEK: i32 = 2;
const OOB: i32 = OUT_OF_BAND as i32;
const ERRQUEUE: i32 = 0x2000;
const TRUNC: i32 = 0x20;

/// Errors that say that the peer is gone (errno(3)); any other, such as
/// `EAGAIN`, says nothing about it.
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;
const ETIMEDOUT: i32 = 110;

/// A connection was begun; what was to be sent was not taken (tcp(7), MSG_FASTOPEN).
const EINPROGRESS: i32 = 115;

/// Errors of a call that a signal interrupted (include/linux/errno.h).
const EINTR: i32 = 4;
const ERESTARTSYS: i32 = 512;

/// A socket has sent, or failed to.
#[inline(always)]
pub(crate) fn on_send<D: StaticDirection, P: KernelPtr>(sk: P, result: i32) -> i32 {
    let Some((cookie, sk, connection)) = lookup_or_track(sk, ByteCounts::sent(result)) else {
        return 0;
    };
    // SAFETY: a live map value; other CPUs may write it at the same time,
    // which only counters that are added to atomically have to survive.
    let connection = unsafe { &mut *connection };
    count_sent::<D>(cookie, sk, connection, result);
    if is_let_go(connection) {
        before_return(cookie, sk);
    }
    0
}

#[inline(always)]
fn count_sent<D: StaticDirection>(
    cookie: u64,
    sk: Socket,
    connection: &mut Connection,
    result: i32,
) {
    if result > 0 && connection.send_flags & flag::DESCRIBED == 0 {
        // Before anything else is known, of which the verifier would follow each
        // case through all that it reads.
        describe(cookie, connection, sk);
    }
    let (mut call, stamp) = SystemCall::of(sk, true, zero(connection));
    if call.is_mmsg() {
        if connection.mmsg_tid != stamp.tid {
            connection.mmsg_tid = stamp.tid;
            connection.mmsg_sent = 0;
        }
        call.at_message(connection.mmsg_sent);
        connection.mmsg_sent += 1;
    }
    let (offered, first) = call.offered();
    let connects = call.connects() && connection.family != family::UNIX;
    if connects && (result > 0 || result == -EINPROGRESS) {
        connection.send_flags |= flag::CONNECTED;
    }
    if result <= 0 {
        if is_peer_gone(result) {
            connection.send_errno = result.unsigned_abs();
        }
        enter_send(connection, &call, offered, result, stamp);
        return;
    }
    if call.is_urgent() {
        connection.send_flags |= flag::OUT_OF_BAND;
    }
    let moved = result as u32;
    let offset = fetch_add(&raw mut connection.sent, u64::from(moved));
    connection.sent_ns = stamp.time_ns;
    if call.is_file() {
        // One sendfile is many sends; its own end enters it in the ring. A file
        // may hold anything, a whole response too.
        connection.send_flags |= flag::UNINSPECTED;
        connection.send_flags &= !flag::HEAD_OPEN;
        return;
    }
    enter_send(connection, &call, offered, result, stamp);
    // More than was offered: the arguments are not those of this send.
    let other = u64::from(moved) > offered;
    let control = connection.family != family::UNIX && call.has_control();
    if other || control || !call.has_memory() {
        connection.send_flags |= flag::UNINSPECTED;
        return;
    }
    let moved = Moved {
        cookie,
        offset,
        bytes: moved,
    };
    if is_known(connection, moved) {
        return;
    }
    inspect::<D>(
        connection,
        &mut CallBytes::at(call, moved, first, stamp, zero(connection)),
    );
}

/// A socket has received, or failed to.
#[inline(always)]
pub(crate) fn on_receive<D: StaticDirection, P: KernelPtr>(sk: P, result: i32, flags: i32) -> i32 {
    // EAGAIN is how every non-blocking reader ends; not worth an entry.
    let failed = split_identity(result);
    let urgent = flags & OOB != 0;
    if flags & (PEEK | ERRQUEUE) != 0 || (failed < 0 && !is_peer_gone(failed)) {
        if failed == -EINTR || failed == -ERESTARTSYS {
            interrupted(sk);
        }
        return 0;
    }
    let moved = if urgent { 0 } else { result };
    if !urgent && try_defer(sk, result, flags & TRUNC != 0) {
        return 0;
    }
    let Some((cookie, sk, connection)) = lookup_or_track(sk, ByteCounts::received(moved)) else {
        return 0;
    };
    if urgent && failed > 0 {
        // A byte that is in no stream: it is not counted.
        // SAFETY: as in sent.
        unsafe { (*connection).receive_flags |= flag::OUT_OF_BAND };
        return 0;
    }
    // SAFETY: as in sent.
    let connection = unsafe { &mut *connection };
    count_received::<D>(cookie, sk, connection, result, flags);
    if is_let_go(connection) {
        before_return(cookie, sk);
    }
    0
}

/// A receive was interrupted, which may have been in progress when its descriptor was
/// closed.
#[inline(never)]
fn interrupted<P: KernelPtr>(sk: P) {
    let cookie: u64 = sk.read(config!(fields.sock_cookie));
    if cookie != 0
        && let Some(found) = find(cookie)
        && is_let_go(found)
    {
        before_return(cookie, sk.socket());
    }
}

#[inline(always)]
fn count_received<D: StaticDirection>(
    cookie: u64,
    sk: Socket,
    connection: &mut Connection,
    result: i32,
    flags: i32,
) {
    let (call, stamp) = SystemCall::of(sk, false, zero(connection));
    let (room, first) = call.offered();
    enter(connection, &call, room, result, stamp, false);
    if result < 0 {
        connection.receive_errno = result.unsigned_abs();
        return;
    }
    if result == 0 {
        if room != 0 {
            connection.receive_flags |= flag::EOF;
        }
        return;
    }
    let moved = result as u32;
    let offset = fetch_add(&raw mut connection.received, u64::from(moved));
    if !call.has_memory() || flags & TRUNC != 0 || u64::from(moved) > room {
        connection.receive_flags |= flag::UNINSPECTED;
        return;
    }
    let moved = Moved {
        cookie,
        offset,
        bytes: moved,
    };
    inspect::<D>(
        connection,
        &mut CallBytes::at(call, moved, first, stamp, zero(connection)),
    );
}

#[inline(always)]
pub(crate) fn on_sendfile(result: i64) {
    let (tgid, tid) = current();
    if !is_watched(tgid) {
        return;
    }
    let call = SystemCall::ending();
    let last = last_call(tid);
    let found = match &last {
        Some(last) => find(last.cookie),
        None => tracked_of(&call),
    };
    let Some(connection) = found else {
        return;
    };
    // SAFETY: as in sent.
    let connection = unsafe { &mut *connection };
    enter_send(
        connection,
        &call,
        SystemCall::fourth(),
        result as i32,
        Stamp::now(),
    );
    if let Some(last) = last {
        close_held(last.cookie, Socket(Address(last.socket)));
    }
}

/// `syscalls:sys_exit_sendmmsg`: the next one begins with its first message
/// again.
#[tracepoint]
fn exit_sendmmsg(_context: TracePointContext) -> u32 {
    let (_, tid) = current();
    if let Some(last) = last_call(tid) {
        close_held(last.cookie, Socket(Address(last.socket)));
        return 0;
    }
    // Whoever makes it: a tracked socket is counted for all.
    if let Some(connection) = tracked_of(&SystemCall::ending()) {
        // SAFETY: as in sent.
        unsafe { (*connection).mmsg_sent = 0 };
    }
    0
}

/// The tracked socket behind the call's descriptor, at its end. The descriptor
/// may be another's by then; what rests on this must not decide a verdict.
#[inline(always)]
pub(crate) fn tracked_of(call: &SystemCall) -> Option<*mut Connection> {
    let socket = open_file(call.fd())?.socket()?;
    let cookie = match socket.cookie() {
        0 => synthetic_cookie_of(socket)?,
        cookie => cookie,
    };
    find(cookie)
}

#[inline(always)]
fn is_peer_gone(result: i32) -> bool {
    result == -EPIPE || result == -ECONNRESET || result == -ETIMEDOUT
}

/// Enters a send in the ring and remembers it as the last.
#[inline(always)]
fn enter_send(
    connection: &mut Connection,
    call: &SystemCall,
    offered: u64,
    result: i32,
    stamp: Stamp,
) {
    connection.last_offered = offered;
    connection.last_result = result;
    enter(connection, call, offered, result, stamp, true);
}

#[inline(always)]
fn enter(
    connection: &mut Connection,
    call: &SystemCall,
    offered: u64,
    result: i32,
    stamp: Stamp,
    sending: bool,
) {
    let fd = call.fd();
    if fd >= 0 {
        connection.fd = fd;
    }
    let slot = fetch_add_u32(&raw mut connection.call_count, 1) as usize % CALL_RING;
    connection.calls[slot] = CallEntry {
        time_ns: stamp.time_ns,
        offered,
        result,
        tid: stamp.tid,
        number: call.number() as u16,
        sending: u8::from(sending),
        used: 1,
        fd,
    };
}
