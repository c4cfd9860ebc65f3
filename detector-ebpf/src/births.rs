//! Connections seen from their first byte.
//!
//! Only a socket whose accept or connect was watched is known to stand at
//! offset 0; of any other, what looks like a head may be the middle of a body.

use aya_ebpf::{helpers::bpf_probe_read_user, macros::tracepoint, programs::TracePointContext};

use crate::{
    filter::passes,
    kernel::{File, Socket, open_file},
    maps::{BIRTH_SLOTS, BIRTHS, Birth},
    memory::{Given, SystemCall},
    ring::current,
};

/// Result of a call, in a `sys_exit_*` tracepoint's record
/// (events/syscalls/sys_exit_accept/format: field `ret`).
const RESULT: usize = 16;

/// `syscalls:sys_exit_accept`: `int accept(int, struct sockaddr *, socklen_t *)`.
#[tracepoint]
fn exit_accept(context: TracePointContext) -> u32 {
    accepted(&context)
}

/// `syscalls:sys_exit_accept4`.
#[tracepoint]
fn exit_accept4(context: TracePointContext) -> u32 {
    accepted(&context)
}

#[inline(always)]
fn accepted(context: &TracePointContext) -> u32 {
    // SAFETY: the field is within the tracepoint's record (see its format).
    let Ok(fd) = (unsafe { context.read_at::<i64>(RESULT) }) else {
        return 0;
    };
    // First of all: a server asks until there is no more.
    if fd < 0 {
        return 0;
    }
    let (tgid, _) = current();
    if !passes(tgid) {
        return 0;
    }
    // What accept returned is a socket, if no other thread closed it yet: then
    // the inode number is that of nothing that will be used.
    let found = open_file(fd as i32).and_then(File::accepted);
    if let Some((socket, inode)) = found {
        remember(socket, inode);
    }
    0
}

/// `syscalls:sys_enter_connect`: before any byte can be sent. A socket that is
/// connected already (a program may ask so whether it is) is no beginning.
#[tracepoint]
fn enter_connect(context: TracePointContext) -> u32 {
    connects(&context)
}

#[inline(always)]
pub(crate) fn connects(call: &impl Given) -> u32 {
    let (tgid, _) = current();
    if !passes(tgid) {
        return 0;
    }
    if let Ok(fd) = call.first() {
        // An int: the upper half of a register is anything.
        is_born(fd as i32, Socket::is_unconnected);
    }
    0
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
    let pair = SystemCall::fourth();
    // SAFETY: the helper checks the address.
    if let Ok([one, other]) = unsafe { bpf_probe_read_user(pair as *const [i32; 2]) } {
        is_born(one, |_| true);
        is_born(other, |_| true);
    }
    0
}

#[inline(always)]
fn is_born(fd: i32, new: impl Fn(Socket) -> bool) {
    if let Some(file) = open_file(fd) {
        is_born_as(file, new);
    }
}

#[inline(always)]
pub(crate) fn is_born_as(file: File, new: impl Fn(Socket) -> bool) {
    let Some(socket) = file.socket() else {
        return;
    };
    if new(socket) && socket.stream_family().is_some() {
        remember(socket, socket.inode());
    }
}

#[inline(always)]
fn place(inode: u64) -> Option<*mut Birth> {
    BIRTHS.get_ptr_mut((inode & (u64::from(BIRTH_SLOTS) - 1)) as u32)
}

#[inline(always)]
fn remember(socket: Socket, inode: u64) {
    if let Some(born) = place(inode) {
        let birth = Birth {
            socket: socket.0.0,
            inode,
        };
        // SAFETY: a live map value. Should another CPU write a birth here at the
        // same time, what is left may be neither's, and is then taken for none.
        unsafe { born.write_volatile(birth) };
    }
}

/// Whether this socket's birth was seen; `true` once, when it moves its first
/// byte.
#[inline(always)]
pub(crate) fn take_birth(socket: Socket, inode: u64) -> bool {
    let Some(born) = place(inode) else {
        return false;
    };
    // SAFETY: a live map value.
    let birth = unsafe { born.read_volatile() };
    if birth.socket != socket.0.0 || birth.inode != inode || inode == 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe { (&raw mut (*born).socket).write_volatile(0) };
    true
}
