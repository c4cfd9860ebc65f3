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
    BIRTHS as BIRTHS_LEN, Birth, CallEntry, Connection, KEPT, Kind, Sample, Stat, family, flag,
};

use crate::{
    atomic::{compare_and_swap, fetch_add_u32},
    bytes::may_begin_message,
    config::config,
    connections::find,
    endings::is_one_of_several,
    filter::passes,
    kernel::{Address, File, STREAM, Socket, copy, open_file},
    maps::{BIRTHS, RECORDS, count},
    memory::{Given, SystemCall, calls_only, is_compat},
    opening::{Named, Stream, adopt, inode_of, is_wanted},
    ring::{Moment, current, header, wake},
    scratch::Receives,
    verifier::{forget as unbounded, unknown, zero_of},
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
        is_born(fd as i32, true, Socket::is_unconnected, tgid);
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
        is_born(one, false, |_| true, tgid);
        is_born(other, false, |_| true, tgid);
    }
    0
}

#[inline(always)]
fn is_born(fd: i32, connected: bool, new: impl Fn(Socket) -> bool, owner: u32) {
    if let Some(file) = open_file(fd) {
        is_born_as(file, connected, new, owner);
    }
}

/// A file that was accepted in this call, by whichever process.
#[inline(always)]
pub(crate) fn is_accepted_as(file: File) {
    let (tgid, _) = current();
    if passes(tgid) {
        is_born_as(file, false, |_| true, tgid);
    } else {
        is_born_as(file, false, is_remembered_for_all, NOBODY);
    }
}

#[inline(always)]
pub(crate) fn is_born_as(file: File, connected: bool, new: impl Fn(Socket) -> bool, owner: u32) {
    let Some(socket) = file.socket() else {
        return;
    };
    if new(socket) && socket.stream_family().is_some() {
        remember(socket, socket.inode(), connected, owner);
    }
}

#[inline(always)]
fn place(inode: u64) -> Option<*mut Birth> {
    BIRTHS.get_ptr_mut((inode & (u64::from(BIRTHS_LEN) - 1)) as u32)
}

/// The entry of a socket, whose inode number is never 0. It may make way for another's
/// while it is used, by an accept on another CPU so many files later.
#[inline(always)]
pub(crate) fn born(socket: Socket, inode: u64) -> Option<&'static mut Birth> {
    let born = place(inode)?;
    // SAFETY: a live map value.
    let born = unsafe { &mut *born };
    is_of(born, socket, inode).then_some(born)
}

#[inline(always)]
fn is_of(born: &Birth, socket: Socket, inode: u64) -> bool {
    // SAFETY: as above; each is written at once.
    let (of, number) = unsafe {
        (
            (&raw const born.socket).read_volatile(),
            (&raw const born.inode).read_volatile(),
        )
    };
    of == socket.0.0 && number == inode && inode != 0
}

#[inline(always)]
fn remember(socket: Socket, inode: u64, connected: bool, owner: u32) {
    let Some(born) = place(inode) else { return };
    // SAFETY: a live map value; each is written at once.
    let (before, name) = unsafe {
        (
            (&raw const (*born).socket).read_volatile(),
            (&raw const (*born).name).read_volatile(),
        )
    };
    if before != 0 && before != socket.0.0 && name != 0 && find(name).is_some() {
        // That connection is found by nothing else; this one is joined midway.
        return;
    }
    // SAFETY: a live map value. Should another CPU write a birth here at the same
    // time, what is left may be neither's, and is then taken for none.
    unsafe {
        (&raw mut (*born).socket).write_volatile(0);
        (&raw mut (*born).inode).write_volatile(inode);
        (&raw mut (*born).kept).write_volatile(0);
        (&raw mut (*born).tgid).write_volatile(owner);
        (&raw mut (*born).name).write_volatile(0);
        (&raw mut (*born).connected).write_volatile(u64::from(connected));
        (&raw mut (*born).socket).write_volatile(socket.0.0);
    }
}

/// Frees the entry: the socket is a connection now, or is not known from its first
/// byte any more.
#[inline(always)]
pub(crate) fn forget(born: &mut Birth) {
    // SAFETY: a field of a live map value, written at once.
    unsafe { (&raw mut born.socket).write_volatile(0) };
}

#[inline(always)]
fn kept(born: &Birth) -> u64 {
    // SAFETY: a field of a live map value, written at once.
    unsafe { (&raw const born.kept).read_volatile() }
}

/// The connection of a socket that is ended and is none yet, if it has received; else null.
/// If it is one of several it stays none: who has the others takes it up. `name`: its
/// cookie if somebody asked for one, else 0; then what stands for it. What the hooks of
/// endings are given is no pointer of which a cookie could be made.
#[inline(never)]
pub(crate) fn ended(socket: Socket, references: u32, name: &mut u64) -> *mut Connection {
    let nothing = core::ptr::null_mut();
    let inode = socket.inode();
    let Some(born) = born(socket, inode) else {
        return nothing;
    };
    if born.name == 0 {
        let kept = kept(born);
        let Some(family) = socket.stream_family() else {
            return nothing;
        };
        if kept == 0 || kept == Birth::BUSY || is_one_of_several(references, born.tgid) {
            return nothing;
        }
        if *name == 0 {
            *name = Birth::NAMED | inode;
        }
        let stream = Stream {
            family,
            inode,
            packets: 0,
        };
        if adopt(*name, stream, Some(born), false).is_null() {
            return nothing;
        }
        born.name = *name;
    }
    *name = born.name;
    find(*name).unwrap_or(nothing)
}

/// What stands for the cookie of a socket that has none.
#[inline(always)]
pub(crate) fn name_of(socket: Socket) -> Option<u64> {
    let name = born(socket, socket.inode())?.name;
    (name != 0).then_some(name)
}

/// What a process that is not watched does to a socket that may be a watched one's.
/// `true` if that has received already: then it counts, whoever uses it. Else the
/// bytes that pass now do not, and what comes later does not begin the stream.
#[inline(always)]
pub(crate) fn is_handed_on<N: Named>(sk: N) -> bool {
    let Some(born) = inode_of(sk).and_then(|inode| born(sk.socket(), inode)) else {
        return false;
    };
    let kept = kept(born) != 0;
    if !kept {
        forget(born);
    }
    kept
}

/// The socket's first receive, if it is one: keeps it where that can be done, and is
/// then `true`. What follows does all else. `thrown_away`: the bytes were not copied.
#[inline(always)]
pub(crate) fn is_kept<N: Named>(sk: N, result: i32, thrown_away: bool) -> bool {
    // What makes no cookies is on kernels on which it may be preempted here.
    if !N::MAKES {
        return false;
    }
    let cookie: u64 = sk.read(config!(fields.sock_cookie));
    // Else the verifier follows what it learns of these here through all that comes
    // behind.
    let zero = zero_of(cookie);
    let bytes = unknown(result as u32, zero) as u32;
    let copied = unknown(thrown_away, zero) == 0;
    copied && (4..=KEPT as u32).contains(&bytes) && cookie == 0 && keep(sk, bytes)
}

#[inline(never)]
fn keep<N: Named>(sk: N, bytes: u32) -> bool {
    let socket = sk.socket();
    let Some(inode) = inode_of(sk) else {
        return false;
    };
    let Some(born) = born(socket, inode) else {
        return false;
    };
    let kind: u16 = sk.read(config!(fields.sock_type));
    if kind != STREAM || !calls_only() || is_compat() {
        return false;
    }
    // SAFETY: a live map value, eight bytes that are written at once.
    let zero = zero_of(unsafe { (&raw const born.inode).read_volatile() });
    let (call, moment) = SystemCall::of(socket, false, zero);
    // Who accepted it is watched; of another it is asked.
    if (config!(filters) != 0 || moment.tgid != born.tgid) && !asks(socket) {
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
    if compare_and_swap(&raw mut born.kept, 0, Birth::BUSY) != 0 {
        return false;
    }
    if !is_of(born, socket, inode) {
        compare_and_swap(&raw mut born.kept, Birth::BUSY, 0);
        return false;
    }
    born.time_ns = moment.time_ns;
    born.room = first.length;
    born.tgid = moment.tgid;
    born.tid = moment.tid;
    born.number = call.number();
    born.fd = call.fd();
    let good = take_head(born, first.base, bytes);
    let state = if good { u64::from(bytes) } else { 0 };
    // An accept on another CPU may have put another socket here.
    if compare_and_swap(&raw mut born.kept, Birth::BUSY, state) != Birth::BUSY || !good {
        return false;
    }
    // Another thread may just have taken the connection up: then nobody told this.
    is_of(born, socket, inode) || compare_and_swap(&raw mut born.kept, state, Birth::BUSY) != state
}

/// [`is_wanted`], with the stack that it takes given back.
#[inline(never)]
fn asks(socket: Socket) -> bool {
    is_wanted(socket)
}

/// Copies so many bytes from there, if they are a request's whole head and nothing
/// else (RFC 9112 section 2.1).
#[inline(always)]
fn take_head(born: &mut Birth, from: u64, bytes: u32) -> bool {
    let length = unbounded(bytes);
    if length > KEPT as u64 {
        return false;
    }
    // Two checks: of one the compiler makes a subtraction, and older kernels do not
    // learn from that what the number itself is.
    let length = unbounded(length) as usize;
    if length < 4 {
        return false;
    }
    let to = (&raw mut born.bytes).cast::<u8>();
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
    end == *b"\r\n\r\n" && may_begin_message::<Receives>(start, bytes)
}

/// A sample of a head that was kept.
#[repr(C)]
struct KeptHead {
    sample: Sample,
    data: [u8; KEPT],
}

/// Tells of what was kept, as if it happened now; `false` if that cannot be known any
/// more. The connection is not used by anyone else yet.
#[inline(never)]
pub(crate) fn hand_over(cookie: u64, born: &mut Birth, connection: &mut Connection) -> bool {
    let (socket, inode) = (born.socket, born.inode);
    let bytes = kept(born);
    // Once, should another CPU come here too; and nothing is kept from now on.
    if bytes > KEPT as u64 || compare_and_swap(&raw mut born.kept, bytes, Birth::BUSY) != bytes {
        return false;
    }
    if bytes == 0 {
        // An accept on another CPU may have put another socket here, over what was kept.
        // SAFETY: a field of a live map value, read at once.
        return unsafe { (&raw const born.inode).read_volatile() } == connection.inode;
    }
    let moment = Moment {
        time_ns: born.time_ns,
        tgid: born.tgid,
        tid: born.tid,
    };
    let (fd, number, room) = (born.fd, born.number, born.room);
    // SAFETY: the array has more than eight bytes.
    let start = unsafe { core::ptr::read_unaligned((&raw const born.bytes).cast::<[u8; 8]>()) };
    connection.fd = fd;
    connection.born_ns = moment.time_ns;
    connection.tgid = moment.tgid;
    connection.received = bytes;
    connection.first_received = start;
    connection.receive_flags |= flag::HEAD_SEEN | flag::BODY_NEXT;
    connection.calls[0] = CallEntry {
        time_ns: moment.time_ns,
        offered: room,
        result: bytes as i32,
        tid: moment.tid,
        number: number as u16,
        sending: 0,
        used: 1,
        fd,
    };
    connection.call_count = 1;
    let Some(mut entry) = RECORDS.reserve::<KeptHead>(0) else {
        count(Stat::RingFull);
        // The next record's number says that this one is missing.
        fetch_add_u32(&raw mut connection.seq, 1);
        return is_of(born, Socket(Address(socket)), inode);
    };
    let head = entry.as_mut_ptr();
    // SAFETY: both are as large as the array.
    unsafe { copy((&raw mut (*head).data), &born.bytes) };
    if !is_of(born, Socket(Address(socket)), inode) || kept(born) != Birth::BUSY {
        entry.discard(0);
        return false;
    }
    let sample = Sample {
        header: header(Kind::Sample, cookie, connection, moment),
        // As in `Piece::none`.
        offset: unbounded(0_u64),
        opposite: unbounded(0_u64),
        moved: bytes as u32,
        len: bytes as u32,
        sending: 0,
        flags: connection.receive_flags,
        fresh: 1,
        tail: 0,
        fd,
        number,
    };
    // SAFETY: the entry is as large as a KeptHead, which begins with a sample.
    unsafe { (&raw mut (*head).sample).write(sample) };
    entry.submit(wake(moment));
    true
}
