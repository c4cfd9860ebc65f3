//! Connections seen from their first byte.
//!
//! Only a socket whose accept or connect was watched is known to stand at
//! offset 0; of any other, what looks like a head may be the middle of a body.
//!
//! A request that a server reads first stays here until the socket is used again: to
//! take up a connection costs a microsecond or two where the caches are cold, and
//! between the request and the answer that decides races.

use aya_ebpf::{
    helpers::{bpf_probe_read_user, generated::bpf_probe_read_user as probe_read_user},
    macros::tracepoint,
    programs::TracePointContext,
};
use detector_common::{
    CallEntry, Connection, DEFERRED_MAX, Kind, NEW_SOCKETS as NEW_SOCKETS_LEN, NewSocket, Sample,
    Stat, family, flag,
};

use crate::{
    atomic::{compare_and_swap, fetch_add_u32},
    close::descriptor::has_other_references,
    config::config,
    connections::find,
    filter::passes,
    kernel::{Address, File, STREAM, Socket, copy, open_file},
    maps::{NEW_SOCKETS, RECORDS, count},
    ring::{Stamp, current, header, wake},
    scratch::Rx,
    sniff::looks_like_head,
    syscall::{SyscallArgs, SystemCall, calls_only, is_compat},
    track::{KernelPtr, SocketIdentity, inode_of, insert, is_wanted},
    verifier::{hide_bounds, hide_value, zero_of},
};

/// Result of a call, in a `sys_exit_*` tracepoint's record
/// (events/syscalls/sys_exit_accept/format: field `ret`).
const RESULT: usize = 16;

/// The process of a birth that one which is not watched made: no process has it.
const NOBODY: u32 = 0;

/// Whether it is remembered whoever accepts it: it may be handed on to one that is
/// watched, by SCM_RIGHTS or to a child, before it has moved a byte. A TCP socket itself
/// tells that it has not (`Socket::moved_only`).
#[inline(always)]
fn is_remembered_for_all(socket: Socket) -> bool {
    socket.stream_family() == Some(family::UNIX)
}

#[inline(always)]
pub(crate) fn on_accept(context: &TracePointContext) -> u32 {
    // SAFETY: the field is within the tracepoint's record (see its format).
    let Ok(fd) = (unsafe { context.read_at::<i64>(RESULT) }) else {
        return 0;
    };
    // First of all: a server asks until there is no more.
    if fd < 0 {
        return 0;
    }
    let (tgid, _) = current();
    let owner = if passes(tgid) { tgid } else { NOBODY };
    // What accept returned is a socket, if no other thread closed it yet: then
    // the inode number is that of nothing that will be used.
    let found = open_file(fd as i32).and_then(File::accepted);
    if let Some((socket, inode)) = found
        && (owner != NOBODY || is_remembered_for_all(socket))
    {
        remember(socket, inode, false, owner);
    }
    0
}

#[inline(always)]
pub(crate) fn on_connect(call: &impl SyscallArgs) -> u32 {
    let (tgid, _) = current();
    if !passes(tgid) {
        return 0;
    }
    if let Ok(fd) = call.first() {
        // An int: the upper half of a register is anything.
        is_new_descriptor(fd as i32, true, Socket::is_unconnected, tgid);
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
        is_new_descriptor(one, false, |_| true, tgid);
        is_new_descriptor(other, false, |_| true, tgid);
    }
    0
}

#[inline(always)]
fn is_new_descriptor(fd: i32, connected: bool, new: impl Fn(Socket) -> bool, owner: u32) {
    if let Some(file) = open_file(fd) {
        is_new_file(file, connected, new, owner);
    }
}

/// A file that was accepted in this call, by whichever process.
#[inline(always)]
pub(crate) fn is_accepted_file(file: File) {
    let (tgid, _) = current();
    if passes(tgid) {
        is_new_file(file, false, |_| true, tgid);
    } else {
        is_new_file(file, false, is_remembered_for_all, NOBODY);
    }
}

#[inline(always)]
pub(crate) fn is_new_file(file: File, connected: bool, new: impl Fn(Socket) -> bool, owner: u32) {
    let Some(socket) = file.socket() else {
        return;
    };
    if new(socket) && socket.stream_family().is_some() {
        remember(socket, socket.inode(), connected, owner);
    }
}

#[inline(always)]
fn place(inode: u64) -> Option<*mut NewSocket> {
    NEW_SOCKETS.get_ptr_mut((inode & (u64::from(NEW_SOCKETS_LEN) - 1)) as u32)
}

/// The entry of a socket, whose inode number is never 0. It may make way for another's
/// while it is used, by an accept on another CPU so many files later.
#[inline(always)]
pub(crate) fn entry_of(socket: Socket, inode: u64) -> Option<&'static mut NewSocket> {
    let new_socket = place(inode)?;
    // SAFETY: a live map value.
    let new_socket = unsafe { &mut *new_socket };
    is_of(new_socket, socket, inode).then_some(new_socket)
}

#[inline(always)]
fn is_of(new_socket: &NewSocket, socket: Socket, inode: u64) -> bool {
    // SAFETY: as above; each is written at once.
    let (of, number) = unsafe {
        (
            (&raw const new_socket.socket).read_volatile(),
            (&raw const new_socket.inode).read_volatile(),
        )
    };
    of == socket.0.0 && number == inode && inode != 0
}

#[inline(always)]
fn remember(socket: Socket, inode: u64, connected: bool, owner: u32) {
    let Some(new_socket) = place(inode) else {
        return;
    };
    // SAFETY: a live map value; each is written at once.
    let (before, name) = unsafe {
        (
            (&raw const (*new_socket).socket).read_volatile(),
            (&raw const (*new_socket).synthetic_cookie).read_volatile(),
        )
    };
    if before != 0 && before != socket.0.0 && name != 0 && find(name).is_some() {
        // That connection is found by nothing else; this one is joined midway.
        return;
    }
    // SAFETY: a live map value. Should another CPU write a birth here at the same
    // time, what is left may be neither's, and is then taken for none.
    unsafe {
        (&raw mut (*new_socket).socket).write_volatile(0);
        (&raw mut (*new_socket).inode).write_volatile(inode);
        (&raw mut (*new_socket).deferred_len).write_volatile(0);
        (&raw mut (*new_socket).tgid).write_volatile(owner);
        (&raw mut (*new_socket).synthetic_cookie).write_volatile(0);
        (&raw mut (*new_socket).connected).write_volatile(u64::from(connected));
        (&raw mut (*new_socket).socket).write_volatile(socket.0.0);
    }
}

/// Frees the entry: the socket is a connection now, or is not known from its first
/// byte any more.
#[inline(always)]
pub(crate) fn release(new_socket: &mut NewSocket) {
    // SAFETY: a field of a live map value, written at once.
    unsafe { (&raw mut new_socket.socket).write_volatile(0) };
}

#[inline(always)]
fn deferred_len(new_socket: &NewSocket) -> u64 {
    // SAFETY: a field of a live map value, written at once.
    unsafe { (&raw const new_socket.deferred_len).read_volatile() }
}

/// The connection of a socket that is ended and is none yet, if it has received; else null.
/// If it is one of several it stays none: who has the others takes it up. `name`: its
/// cookie if somebody asked for one, else 0; then what stands for it. What the hooks of
/// endings are given is no pointer of which a cookie could be made.
#[inline(never)]
pub(crate) fn closing_before_use(
    socket: Socket,
    references: u32,
    name: &mut u64,
) -> *mut Connection {
    let nothing = core::ptr::null_mut();
    let inode = socket.inode();
    let Some(new_socket) = entry_of(socket, inode) else {
        return nothing;
    };
    if new_socket.synthetic_cookie == 0 {
        let kept = deferred_len(new_socket);
        let Some(family) = socket.stream_family() else {
            return nothing;
        };
        if kept == 0 || kept == NewSocket::BUSY || has_other_references(references, new_socket.tgid)
        {
            return nothing;
        }
        if *name == 0 {
            *name = NewSocket::SYNTHETIC | inode;
        }
        let stream = SocketIdentity {
            family,
            inode,
            packets: 0,
        };
        if insert(*name, stream, Some(new_socket), false).is_null() {
            return nothing;
        }
        new_socket.synthetic_cookie = *name;
    }
    *name = new_socket.synthetic_cookie;
    find(*name).unwrap_or(nothing)
}

/// What stands for the cookie of a socket that has none.
#[inline(always)]
pub(crate) fn synthetic_cookie_of(socket: Socket) -> Option<u64> {
    let name = entry_of(socket, socket.inode())?.synthetic_cookie;
    (name != 0).then_some(name)
}

/// What a process that is not watched does to a socket that may be a watched one's.
/// `true` if that has received already: then it counts, whoever uses it. Else the
/// bytes that pass now do not, and what comes later does not begin the stream.
#[inline(always)]
pub(crate) fn is_used_by_others<P: KernelPtr>(sk: P) -> bool {
    let Some(new_socket) = inode_of(sk).and_then(|inode| entry_of(sk.socket(), inode)) else {
        return false;
    };
    let kept = deferred_len(new_socket) != 0;
    if !kept {
        release(new_socket);
    }
    kept
}

/// The socket's first receive, if it is one: keeps it where that can be done, and is
/// then `true`. What follows does all else. `thrown_away`: the bytes were not copied.
#[inline(always)]
pub(crate) fn try_defer<P: KernelPtr>(sk: P, result: i32, thrown_away: bool) -> bool {
    // What makes no cookies is on kernels on which it may be preempted here.
    if !P::MAKES_COOKIES {
        return false;
    }
    let cookie: u64 = sk.read(config!(fields.sock_cookie));
    // Else the verifier follows what it learns of these here through all that comes
    // behind.
    let zero = zero_of(cookie);
    let bytes = hide_value(result as u32, zero) as u32;
    let copied = hide_value(thrown_away, zero) == 0;
    copied && (4..=DEFERRED_MAX as u32).contains(&bytes) && cookie == 0 && defer_head(sk, bytes)
}

#[inline(never)]
fn defer_head<P: KernelPtr>(sk: P, bytes: u32) -> bool {
    let socket = sk.socket();
    let Some(inode) = inode_of(sk) else {
        return false;
    };
    let Some(new_socket) = entry_of(socket, inode) else {
        return false;
    };
    let kind: u16 = sk.read(config!(fields.sock_type));
    if kind != STREAM || !calls_only() || is_compat() {
        return false;
    }
    // SAFETY: a live map value, eight bytes that are written at once.
    let zero = zero_of(unsafe { (&raw const new_socket.inode).read_volatile() });
    let (call, stamp) = SystemCall::of(socket, false, zero);
    // Who accepted it is watched; of another it is asked.
    if (config!(filters) != 0 || stamp.tgid != new_socket.tgid) && !asks(socket) {
        return false;
    }
    // Of several buffers it is not: adding them up takes stack, of which a program and
    // what it calls may use 512 bytes together, and that is near (Linux before 6.13).
    let Some(first) = call.buffer() else {
        return false;
    };
    if first.length < u64::from(bytes) {
        return false;
    }
    if compare_and_swap(&raw mut new_socket.deferred_len, 0, NewSocket::BUSY) != 0 {
        return false;
    }
    if !is_of(new_socket, socket, inode) {
        compare_and_swap(&raw mut new_socket.deferred_len, NewSocket::BUSY, 0);
        return false;
    }
    new_socket.time_ns = stamp.time_ns;
    new_socket.room = first.length;
    new_socket.tgid = stamp.tgid;
    new_socket.tid = stamp.tid;
    new_socket.number = call.number();
    new_socket.fd = call.fd();
    let good = take_head(new_socket, first.base, bytes);
    let state = if good { u64::from(bytes) } else { 0 };
    // An accept on another CPU may have put another socket here.
    if compare_and_swap(&raw mut new_socket.deferred_len, NewSocket::BUSY, state) != NewSocket::BUSY
        || !good
    {
        return false;
    }
    // Another thread may just have taken the connection up: then nobody told this.
    is_of(new_socket, socket, inode)
        || compare_and_swap(&raw mut new_socket.deferred_len, state, NewSocket::BUSY) != state
}

/// [`is_wanted`], with the stack that it takes given back.
#[inline(never)]
fn asks(socket: Socket) -> bool {
    is_wanted(socket)
}

/// Copies so many bytes from there, if they are a request's whole head and nothing
/// else (RFC 9112 section 2.1).
#[inline(always)]
fn take_head(new_socket: &mut NewSocket, from: u64, bytes: u32) -> bool {
    let length = hide_bounds(bytes);
    if length > DEFERRED_MAX as u64 {
        return false;
    }
    // Two checks: of one the compiler makes a subtraction, and older kernels do not
    // learn from that what the number itself is.
    let length = hide_bounds(length) as usize;
    if length < 4 {
        return false;
    }
    let to = (&raw mut new_socket.bytes).cast::<u8>();
    // SAFETY: within the array (checked above); the helper checks the source.
    if unsafe { probe_read_user(to.cast(), length as u32, from as *const _) } != 0 {
        return false;
    }
    // SAFETY: as above; eight bytes of many more, whatever is behind the head.
    let (start, end) = unsafe {
        (
            core::ptr::read_unaligned(to.cast::<u64>()),
            core::ptr::read_unaligned(to.add(length - 4).cast::<[u8; 4]>()),
        )
    };
    end == *b"\r\n\r\n" && looks_like_head::<Rx>(start, bytes)
}

/// A sample of a head that was kept.
#[repr(C)]
struct DeferredHead {
    sample: Sample,
    data: [u8; DEFERRED_MAX],
}

/// Tells of what was kept, as if it happened now; `false` if that cannot be known any
/// more. The connection is not used by anyone else yet.
#[inline(never)]
pub(crate) fn flush_deferred(
    cookie: u64,
    new_socket: &mut NewSocket,
    connection: &mut Connection,
) -> bool {
    let (socket, inode) = (new_socket.socket, new_socket.inode);
    let bytes = deferred_len(new_socket);
    // Once, should another CPU come here too; and nothing is kept from now on.
    if bytes > DEFERRED_MAX as u64
        || compare_and_swap(&raw mut new_socket.deferred_len, bytes, NewSocket::BUSY) != bytes
    {
        return false;
    }
    if bytes == 0 {
        // An accept on another CPU may have put another socket here, over what was kept.
        // SAFETY: a field of a live map value, read at once.
        return unsafe { (&raw const new_socket.inode).read_volatile() } == connection.inode;
    }
    let stamp = Stamp {
        time_ns: new_socket.time_ns,
        tgid: new_socket.tgid,
        tid: new_socket.tid,
    };
    let (fd, number, room) = (new_socket.fd, new_socket.number, new_socket.room);
    // SAFETY: the array has more than eight bytes.
    let start =
        unsafe { core::ptr::read_unaligned((&raw const new_socket.bytes).cast::<[u8; 8]>()) };
    connection.fd = fd;
    connection.tracked_ns = stamp.time_ns;
    connection.tgid = stamp.tgid;
    connection.received = bytes;
    connection.first_received = start;
    connection.receive_flags |= flag::HEAD_SEEN | flag::BODY_NEXT;
    connection.calls[0] = CallEntry {
        time_ns: stamp.time_ns,
        offered: room,
        result: bytes as i32,
        tid: stamp.tid,
        number: number as u16,
        sending: 0,
        used: 1,
        fd,
    };
    connection.call_count = 1;
    let Some(mut entry) = RECORDS.reserve::<DeferredHead>(0) else {
        count(Stat::RingFull);
        // The next record's number says that this one is missing.
        fetch_add_u32(&raw mut connection.seq, 1);
        return is_of(new_socket, Socket(Address(socket)), inode);
    };
    let head = entry.as_mut_ptr();
    // SAFETY: both are as large as the array.
    unsafe { copy((&raw mut (*head).data), &new_socket.bytes) };
    if !is_of(new_socket, Socket(Address(socket)), inode)
        || deferred_len(new_socket) != NewSocket::BUSY
    {
        entry.discard(0);
        return false;
    }
    let sample = Sample {
        header: header(Kind::Sample, cookie, connection, stamp),
        // As in `UserBuf::none`.
        offset: hide_bounds(0_u64),
        opposite: hide_bounds(0_u64),
        moved: bytes as u32,
        len: bytes as u32,
        sending: 0,
        flags: connection.receive_flags,
        from_start: 1,
        tail: 0,
        fd,
        number,
    };
    // SAFETY: the entry is as large as a DeferredHead, which begins with a sample.
    unsafe { (&raw mut (*head).sample).write(sample) };
    entry.submit(wake(stamp));
    true
}
