//! Connections seen from their first byte.
//!
//! Only a socket whose accept or connect was watched is known to stand at
//! offset 0; of any other, what looks like a head may be the middle of a body.

use aya_ebpf::{helpers::bpf_probe_read_user, macros::tracepoint, programs::TracePointContext};

use crate::{
    filter::passes,
    kernel::{Socket, descriptors},
    maps::BIRTHS,
    memory::SystemCall,
    ring::current,
};

/// Result of a call, in a `sys_exit_*` tracepoint's record
/// (events/syscalls/sys_exit_accept/format: field `ret`).
const RESULT: usize = 16;
/// First argument, in a `sys_enter_*` tracepoint's record.
const FIRST_ARGUMENT: usize = 16;

/// `syscalls:sys_exit_accept`: `int accept(int, struct sockaddr *, socklen_t *)`.
#[tracepoint]
fn exit_accept(context: TracePointContext) -> u32 {
    born(&context, RESULT, |_| true)
}

/// `syscalls:sys_exit_accept4`.
#[tracepoint]
fn exit_accept4(context: TracePointContext) -> u32 {
    born(&context, RESULT, |_| true)
}

/// `syscalls:sys_enter_connect`: before any byte can be sent. A socket that is
/// connected already (a program may ask so whether it is) is no beginning.
#[tracepoint]
fn enter_connect(context: TracePointContext) -> u32 {
    born(&context, FIRST_ARGUMENT, Socket::is_unconnected)
}

/// `syscalls:sys_exit_socketpair`: `int socketpair(int, int, int, int sv[2])`.
#[tracepoint]
fn exit_socketpair(context: TracePointContext) -> u32 {
    let (tgid, _) = current();
    // SAFETY: the field is within the tracepoint's record (see its format).
    let result = unsafe { context.read_at::<i64>(RESULT) };
    if !passes(tgid) || result != Ok(0) {
        return 0;
    }
    let pair = SystemCall::ending().fourth();
    // SAFETY: the helper checks the address.
    if let Ok([one, other]) = unsafe { bpf_probe_read_user(pair as *const [i32; 2]) } {
        is_born(one, |_| true);
        is_born(other, |_| true);
    }
    0
}

#[inline(always)]
fn born(context: &TracePointContext, field: usize, new: impl Fn(Socket) -> bool) -> u32 {
    let (tgid, _) = current();
    if !passes(tgid) {
        return 0;
    }
    // SAFETY: the field is within the tracepoint's record (see its format).
    let Ok(fd) = (unsafe { context.read_at::<i64>(field) }) else {
        return 0;
    };
    if let Ok(fd) = i32::try_from(fd) {
        is_born(fd, new);
    }
    0
}

#[inline(always)]
fn is_born(fd: i32, new: impl Fn(Socket) -> bool) {
    let Some(socket) = descriptors()
        .and_then(|table| table.file(fd))
        .and_then(|file| file.socket())
    else {
        return;
    };
    if new(socket) && socket.stream_family().is_some() {
        // The map is LRU: an insert that fails leaves the connection unproved.
        if BIRTHS.insert(&socket.0.0, &socket.inode(), 0).is_err() {}
    }
}

/// Whether this socket's birth was seen; asked once, when it moves its first
/// byte.
#[inline(always)]
pub(crate) fn take_birth(socket: Socket) -> bool {
    let Some(inode) = BIRTHS.get_ptr(&socket.0.0) else {
        return false;
    };
    // SAFETY: a live map value.
    let same = unsafe { *inode } == socket.inode();
    forget_birth(socket);
    same
}

/// The socket is gone: its address may become another's.
#[inline(always)]
pub(crate) fn forget_birth(socket: Socket) {
    // Absent is as good as removed.
    if BIRTHS.remove(&socket.0.0).is_err() {}
}
