//! Counts what sockets accepted and delivered, and samples heads.
//!
//! The hooks are the kernel's own tracepoints at the one place that all sends
//! and receives of a socket pass (net/socket.c), whatever the system call:
//! they name the socket itself. A descriptor looked up at the end of a call
//! may by then be another's (closed and reused by another thread while the
//! call was blocked); the socket cannot be mistaken. They cost nothing on
//! calls that are no socket's.
//!
//! The key is the socket's cookie: never reused, so a socket whose end was not
//! seen leaves an idle entry, not one that a later socket would inherit.

use aya_ebpf::{
    helpers::{bpf_get_socket_cookie, bpf_ktime_get_ns, bpf_probe_read_user},
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use detector_common::{
    CALL_RING, CallEntry, Connection, Kind, SAMPLE_LEN, SEND_SAMPLE_LEN, Sample, Stat, flag,
};

use crate::{
    atomic::{fetch_add, fetch_add_u32},
    births::take_birth,
    kernel::{Address, Socket, descriptors},
    maps::{CONNECTIONS, RECEIVE_SCRATCH, SEND_SCRATCH, Scratch, config, count, watched},
    memory::{Piece, SystemCall, field, forget},
    ring::{Moment, current, header, output},
};

/// `MSG_PEEK`: the bytes stay in the queue and will be received again.
/// `MSG_ERRQUEUE`: they are no bytes of the stream. `MSG_TRUNC`: they are thrown
/// away, not copied (include/linux/socket.h, tcp(7)).
const PEEK: i32 = 2;
const ERRQUEUE: i32 = 0x2000;
const TRUNC: i32 = 0x20;

/// Errors that say that the peer is gone (errno(3)); any other, such as
/// `EAGAIN`, says nothing about it.
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;
const ETIMEDOUT: i32 = 110;

/// A head longer than this is followed no further; the judge says so.
const HEAD_LIMIT: u64 = 64 << 10;

/// An entry as it begins.
#[unsafe(no_mangle)]
static EMPTY: Connection = Connection::EMPTY;

/// `sock_send_length`: `(struct sock *sk, int ret, int flags)`, called once by
/// `sock_sendmsg` for each send, errors included. Linux 6.3 and later;
/// `sendfile` and `splice` pass here from 6.5. Checked: 6.18.
#[btf_tracepoint(function = "sock_send_length")]
fn send_length(context: BtfTracePointContext) -> i32 {
    let result: i32 = context.arg(1);
    let Some((cookie, sk, connection)) = connection_of(&context) else {
        return 0;
    };
    // SAFETY: a live map value; other CPUs may write it at the same time,
    // which only counters that are added to atomically have to survive.
    let connection = unsafe { &mut *connection };
    let mut call = SystemCall::of(sk);
    let moment = call.moment();
    if call.is_mmsg() {
        if connection.mmsg_tid != moment.tid {
            connection.mmsg_tid = moment.tid;
            connection.mmsg_sent = 0;
        }
        call.at_message(connection.mmsg_sent);
        connection.mmsg_sent += 1;
    }
    let (offered, first) = call.offered();
    if result <= 0 {
        if gone(result) {
            connection.send_errno = result.unsigned_abs();
        }
        enter_send(connection, &call, offered, result, moment);
        return 0;
    }
    let moved = result as u32;
    let offset = fetch_add(&raw mut connection.sent, u64::from(moved));
    connection.sent_ns = moment.time_ns;
    if call.is_file() {
        // One sendfile is many sends; its own end enters it in the ring. A file
        // may hold anything, a whole response too.
        connection.send_flags |= flag::OPAQUE;
        if moved > SEND_SAMPLE_LEN as u32 {
            connection.send_flags &= !flag::HEAD_OPEN;
        }
        return 0;
    }
    enter_send(connection, &call, offered, result, moment);
    if !call.has_memory() {
        connection.send_flags |= flag::OPAQUE;
        return 0;
    }
    let known = first.length.min(u64::from(moved)) as u32;
    let Some(start) = start_of_bytes(first, known) else {
        connection.send_flags |= flag::UNREADABLE;
        return 0;
    };
    if offset == 0 {
        connection.first_sent = start.to_le_bytes();
    }
    let begins = may_begin_message(start, known, true);
    if begins || continues(connection.send_flags, connection.send_head, offset) {
        if begins {
            connection.send_head = offset;
            connection.send_flags |= flag::HEAD_SEEN;
        }
        if let Some(scratch) = SEND_SCRATCH.get_ptr_mut(0) {
            // SAFETY: this CPU's scratch, this program's alone.
            let scratch = unsafe { &mut *scratch };
            let bytes = Bytes {
                offset,
                moved,
                sending: true,
            };
            sample(scratch, cookie, connection, &call, bytes, moment);
        }
    }
    0
}

/// `sock_recv_length`: `(struct sock *sk, int ret, int flags)`. Linux 6.3 and
/// later. Checked: 6.18.
#[btf_tracepoint(function = "sock_recv_length")]
fn recv_length(context: BtfTracePointContext) -> i32 {
    let result: i32 = context.arg(1);
    let flags: i32 = context.arg(2);
    let Some((cookie, sk, connection)) = connection_of(&context) else {
        return 0;
    };
    // SAFETY: as in send_length.
    let connection = unsafe { &mut *connection };
    if flags & (PEEK | ERRQUEUE) != 0 {
        return 0;
    }
    let call = SystemCall::of(sk);
    let moment = call.moment();
    let (room, first) = call.offered();
    if result < 0 {
        if gone(result) {
            connection.receive_errno = result.unsigned_abs();
            enter(connection, &call, room, result, moment, false);
        }
        // EAGAIN is how every non-blocking reader ends; not worth an entry.
        return 0;
    }
    enter(connection, &call, room, result, moment, false);
    if result == 0 {
        if room != 0 {
            connection.receive_flags |= flag::EOF;
        }
        return 0;
    }
    let moved = result as u32;
    let offset = fetch_add(&raw mut connection.received, u64::from(moved));
    if !call.has_memory() || flags & TRUNC != 0 {
        connection.receive_flags |= flag::OPAQUE;
        return 0;
    }
    let known = first.length.min(u64::from(moved)) as u32;
    let Some(start) = start_of_bytes(first, known) else {
        connection.receive_flags |= flag::UNREADABLE;
        return 0;
    };
    if offset == 0 {
        connection.first_received = start.to_le_bytes();
    }
    let begins = may_begin_message(start, known, false);
    if begins || continues(connection.receive_flags, connection.receive_head, offset) {
        if begins {
            connection.receive_head = offset;
            connection.receive_flags |= flag::HEAD_SEEN;
        }
        if let Some(scratch) = RECEIVE_SCRATCH.get_ptr_mut(0) {
            // SAFETY: this CPU's scratch, this program's alone.
            let scratch = unsafe { &mut *scratch };
            let bytes = Bytes {
                offset,
                moved,
                sending: false,
            };
            sample(scratch, cookie, connection, &call, bytes, moment);
        }
    }
    0
}

/// `syscalls:sys_exit_sendfile64`: the call's own result, 0 when the file was
/// shorter than asked for, which passes no send at all. The bytes were counted
/// as they went; this is for the timeline and for what was stranded.
#[tracepoint]
fn exit_sendfile(context: TracePointContext) -> u32 {
    let (tgid, _) = current();
    if !watched(tgid) {
        return 0;
    }
    // SAFETY: `ret` is at byte 16 of the record (its format file).
    let Ok(result) = (unsafe { context.read_at::<i64>(16) }) else {
        return 0;
    };
    let call = SystemCall::ending();
    let Some(connection) = tracked_of(&call) else {
        return 0;
    };
    // SAFETY: as in send_length.
    let connection = unsafe { &mut *connection };
    enter_send(
        connection,
        &call,
        call.file_count(),
        result as i32,
        call.moment(),
    );
    0
}

/// `syscalls:sys_exit_sendmmsg`: the next one begins with its first message
/// again.
#[tracepoint]
fn exit_sendmmsg(_context: TracePointContext) -> u32 {
    // Whoever makes it: a tracked socket is counted for all.
    if let Some(connection) = tracked_of(&SystemCall::ending()) {
        // SAFETY: as in send_length.
        unsafe { (*connection).mmsg_sent = 0 };
    }
    0
}

/// The tracked socket behind the call's descriptor, at its end. The descriptor
/// may be another's by then; what rests on this must not decide a verdict.
#[inline(always)]
fn tracked_of(call: &SystemCall) -> Option<*mut Connection> {
    let socket = descriptors()?.file(call.fd())?.socket()?;
    CONNECTIONS.get_ptr_mut(&socket.cookie())
}

/// The entry of the socket that the tracepoint names, made if the process is
/// watched and the socket may carry HTTP. A socket that is tracked is counted
/// whoever uses it: bytes that an unwatched process sends on it are its too.
#[inline(always)]
fn connection_of(context: &BtfTracePointContext) -> Option<(u64, Socket, *mut Connection)> {
    let sk: *mut core::ffi::c_void = context.arg(0);
    let socket = Socket(Address(sk as u64));
    let cookie_at = config!(fields.sock_cookie);
    // Read directly, which costs a tenth of asking the helper.
    // SAFETY: a field of the tracepoint's argument; the verifier checks the
    // offset.
    let cookie: u64 = unsafe { field(sk.cast(), cookie_at) };
    if cookie != 0
        && let Some(found) = CONNECTIONS.get_ptr_mut(&cookie)
    {
        return Some((cookie, socket, found));
    }
    let (tgid, _) = current();
    if !watched(tgid) {
        return None;
    }
    let family = socket.stream_family()?;
    if !socket.has_file() {
        return None;
    }
    if SystemCall::of(socket).is_compat() {
        count(Stat::Compat);
        return None;
    }
    // SAFETY: the tracepoint's argument is a live socket.
    let cookie = unsafe { bpf_get_socket_cookie(sk) };
    let fresh = take_birth(socket);
    // BPF_NOEXIST: another thread's entry, made meanwhile, stays.
    let made = CONNECTIONS.insert(&cookie, &EMPTY, 1).is_ok();
    let Some(found) = CONNECTIONS.get_ptr_mut(&cookie) else {
        count(Stat::ConnectionsFull);
        return None;
    };
    if made {
        count(Stat::Connections);
        // SAFETY: a live map value.
        let connection = unsafe { &mut *found };
        connection.family = family;
        connection.tgid = tgid;
        connection.fresh = u32::from(fresh);
        // SAFETY: takes no argument and cannot fail.
        connection.born_ns = unsafe { bpf_ktime_get_ns() };
    }
    Some((cookie, socket, found))
}

#[inline(always)]
fn gone(result: i32) -> bool {
    result == -EPIPE || result == -ECONNRESET || result == -ETIMEDOUT
}

/// Enters a send in the ring and remembers it as the last.
#[inline(always)]
fn enter_send(
    connection: &mut Connection,
    call: &SystemCall,
    offered: u64,
    result: i32,
    moment: Moment,
) {
    connection.last_offered = offered;
    connection.last_result = i64::from(result);
    enter(connection, call, offered, result, moment, true);
}

#[inline(always)]
fn enter(
    connection: &mut Connection,
    call: &SystemCall,
    offered: u64,
    result: i32,
    moment: Moment,
    sending: bool,
) {
    let fd = call.fd();
    if fd >= 0 {
        connection.fd = fd;
    }
    let slot = fetch_add_u32(&raw mut connection.call_count, 1) as usize % CALL_RING;
    connection.calls[slot] = CallEntry {
        time_ns: moment.time_ns,
        offered,
        result,
        tid: moment.tid,
        number: call.number as u16,
        sending: u8::from(sending),
        used: 1,
        fd,
    };
}

/// The first eight bytes that the call moved, as far as its first piece holds
/// them (`known`); zeros behind.
#[inline(always)]
fn start_of_bytes(first: Piece, known: u32) -> Option<u64> {
    if known == 0 {
        return Some(0);
    }
    // SAFETY: the helper checks the address.
    if let Ok(start) = unsafe { bpf_probe_read_user(first.base as *const u64) } {
        return Some(if known >= 8 {
            start
        } else {
            start & ((1 << (known * 8)) - 1)
        });
    }
    // Fewer than eight bytes may be mapped there.
    // SAFETY: the helper checks the address.
    if let Ok(start) = unsafe { bpf_probe_read_user(first.base as *const u8) } {
        return Some(u64::from(start));
    }
    count(Stat::Unreadable);
    None
}

/// Whether bytes that start so may be a message's. What matters is that no head
/// is missed; what only looks like one is told apart by the judge, by its
/// offset.
#[inline(always)]
fn may_begin_message(start: u64, known: u32, sending: bool) -> bool {
    let start = start as u32;
    // Heads written in small pieces: what is there has to fit.
    let mask = match known {
        0 => 0,
        1 => 0xff,
        2 => 0xffff,
        3 => 0xff_ffff,
        _ => 0xffff_ffff,
    };
    let begins = |bytes: [u8; 4]| (start ^ u32::from_le_bytes(bytes)) & mask == 0;
    if !sending {
        // Any method: RFC 9110 section 9.1 asks for a token, and those that
        // are registered are of capitals (and M-SEARCH's kind of a dash).
        let [a, b, c, _] = start.to_le_bytes();
        let capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'-' || byte == 0;
        return capital(a) && capital(b) && capital(c);
    }
    // Bodies go this way as a rule: only what servers and clients do send.
    begins(*b"HTTP")
        || begins(*b"GET ")
        || begins(*b"POST")
        || begins(*b"HEAD")
        || begins(*b"PUT ")
        || begins(*b"DELE")
        || begins(*b"OPTI")
        || begins(*b"PATC")
        || begins(*b"CONN")
        || begins(*b"TRAC")
        || begins(*b"PROP")
        || begins(*b"REPO")
        || begins(*b"MKCO")
        || begins(*b"COPY")
        || begins(*b"MOVE")
        || begins(*b"LOCK")
        || begins(*b"UNLO")
        || begins(*b"SEAR")
        || begins(*b"QUER")
        || begins(*b"PURG")
}

/// Whether bytes at `offset` may still belong to the head that began at `head`.
#[inline(always)]
fn continues(flags: u32, head: u64, offset: u64) -> bool {
    flags & flag::HEAD_OPEN != 0 && offset.wrapping_sub(head) < HEAD_LIMIT
}

/// Bytes that a call moved.
#[derive(Clone, Copy)]
struct Bytes {
    offset: u64,
    moved: u32,
    sending: bool,
}

/// Sends the start of what the call moved.
#[inline(always)]
fn sample(
    scratch: &mut Scratch,
    cookie: u64,
    connection: &mut Connection,
    call: &SystemCall,
    bytes: Bytes,
    moment: Moment,
) {
    let Bytes {
        offset,
        moved,
        sending,
    } = bytes;
    let flags = if sending {
        &mut connection.send_flags
    } else {
        &mut connection.receive_flags
    };
    let limit = if sending { SEND_SAMPLE_LEN } else { SAMPLE_LEN } as u32;
    let length = match call.gather(scratch, moved.min(limit)) {
        Some(length) => length,
        None => {
            count(Stat::Unreadable);
            *flags |= flag::UNREADABLE;
            0
        }
    };
    // More than a sample is taken to have passed the head.
    if moved > limit || (length == moved && ends_head(scratch, length)) {
        *flags &= !flag::HEAD_OPEN;
    } else {
        *flags |= flag::HEAD_OPEN;
    }
    let flags = *flags;
    scratch.sample = Sample {
        header: header(Kind::Sample, cookie, connection, moment),
        offset,
        opposite: if sending {
            connection.received
        } else {
            connection.sent
        },
        moved,
        len: length,
        sending: u32::from(sending),
        flags,
        fresh: connection.fresh,
        pad: 0,
        fd: call.fd(),
        number: call.number,
    };
    let length = forget(length) as usize;
    if length > SAMPLE_LEN {
        return;
    }
    let total = size_of::<Sample>() + length;
    // SAFETY: the scratch is the fixed part and more than SAMPLE_LEN bytes.
    let record = unsafe { core::slice::from_raw_parts((&raw const *scratch).cast::<u8>(), total) };
    output(record, moment);
}

/// Whether the sampled bytes end with an empty line: a head that was written
/// on its own is then complete.
#[inline(always)]
fn ends_head(scratch: &Scratch, length: u32) -> bool {
    let end = forget(length) as usize;
    if end < 4 || end > SAMPLE_LEN {
        return false;
    }
    // SAFETY: 4 <= end <= SAMPLE_LEN (checked above).
    let last: [u8; 4] = unsafe {
        core::ptr::read_unaligned((&raw const scratch.data).cast::<u8>().add(end - 4).cast())
    };
    last == *b"\r\n\r\n"
}
