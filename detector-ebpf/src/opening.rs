//! Takes up connections: an entry when a watched process first uses one, and
//! the record that says which it is when it first sends.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_socket_cookie};
use detector_common::{Connection, Kind, Open, Stat, family, flag};

use crate::{
    births::take_birth,
    config::config,
    connections::{find, make},
    filter::takes_up,
    kernel::{Address, MPTCP, STREAM, Socket, TCP, field},
    maps::{RECORDS, count},
    memory::is_compat,
    processes::watched,
    ring::{Moment, current, header, wake},
};

/// The entry of the socket that the hook names, made if the process is watched
/// and the socket may carry HTTP. A socket that is tracked is counted whoever
/// uses it: bytes that an unwatched process sends on it are its too.
#[inline(always)]
pub(crate) fn connection_of(sk: *const u8) -> Option<(u64, Socket, *mut Connection)> {
    let socket = Socket(Address(sk as u64));
    let cookie_at = config!(fields.sock_cookie);
    // Read directly, which costs a tenth of asking the helper.
    // SAFETY: a field of the tracepoint's argument; the verifier checks the
    // offset.
    let mut cookie: u64 = unsafe { field(sk, cookie_at) };
    if cookie != 0
        && let Some(found) = find(cookie)
    {
        return Some((cookie, socket, found));
    }
    let (tgid, _) = current();
    let taken = if config!(filters) == 0 {
        watched(tgid)
    } else {
        takes_up(tgid, socket)
    };
    if !taken {
        return None;
    }
    let found = take_up(sk, &mut cookie);
    (!found.is_null()).then_some((cookie, socket, found))
}

/// What is read of a socket through a pointer whose type the verifier knows:
/// that costs no call.
#[derive(Clone, Copy)]
struct Stream {
    family: u16,
    inode: u64,
}

impl Stream {
    /// The socket, if it is a byte stream that may carry HTTP: TCP over IPv4 or
    /// IPv6 (also MPTCP), or a Unix stream socket; and if a process has it as a
    /// descriptor: the kernel's own (network file systems) have no file, and are
    /// nobody's here.
    #[inline(always)]
    fn of(sk: *const u8) -> Option<Self> {
        let (family_at, type_at) = (config!(fields.sock_family), config!(fields.sock_type));
        let (protocol_at, socket_at) = (config!(fields.sock_protocol), config!(fields.sock_socket));
        let (file_at, inode_at) = (config!(fields.socket_file), config!(fields.file_inode));
        let number_at = config!(fields.inode_number);
        // SAFETY: fields of the tracepoint's argument; the verifier checks the
        // offsets.
        let (family, kind, protocol, socket) = unsafe {
            (
                field::<u16>(sk, family_at),
                field::<u16>(sk, type_at),
                field::<u16>(sk, protocol_at),
                field::<*const u8>(sk, socket_at),
            )
        };
        let tcp = protocol == TCP || protocol == MPTCP;
        let internet = family == family::INET || family == family::INET6;
        if kind != STREAM || !(family == family::UNIX || (internet && tcp)) || socket.is_null() {
            return None;
        }
        // SAFETY: as above; reading through a null pointer gives 0.
        let file: *const u8 = unsafe { field(socket, file_at) };
        if file.is_null() {
            return None;
        }
        // SAFETY: as above.
        let inode = unsafe { field(field::<*const u8>(file, inode_at), number_at) };
        Some(Self { family, inode })
    }
}

/// Makes the entry, and tells the socket's cookie; null if the socket is none
/// of ours. A function of its own, as whatever is rare: the way that every call
/// goes through is then short, and more often in the CPU's caches.
#[inline(never)]
fn take_up(sk: *const u8, found_cookie: &mut u64) -> *mut Connection {
    let nothing = core::ptr::null_mut();
    let Some(stream) = Stream::of(sk) else {
        return nothing;
    };
    if is_compat() {
        count(Stat::Compat);
        return nothing;
    }
    // SAFETY: the hook's argument is a live socket.
    let cookie = unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) };
    *found_cookie = cookie;
    let fresh = take_birth(Socket(Address(sk as u64)), stream.inode);
    let Some((found, made)) = make(cookie) else {
        return nothing;
    };
    if made {
        count(Stat::Connections);
        let moment = Moment::now();
        // SAFETY: a live map value.
        let connection = unsafe { &mut *found };
        connection.family = stream.family;
        connection.inode = stream.inode;
        connection.tgid = moment.tgid;
        connection.fresh = u32::from(fresh);
        connection.born_ns = moment.time_ns;
    }
    found
}

/// Says which connection it is. When it sends its first bytes, not before: what
/// sends nothing owes nothing, and a server that is slow to read its request
/// loses other races than before.
#[inline(never)]
pub(crate) fn describe(cookie: u64, connection: &mut Connection, socket: Socket) {
    connection.send_flags |= flag::DESCRIBED;
    let moment = Moment::now();
    let header = header(Kind::Open, cookie, connection, moment);
    let Some(mut entry) = RECORDS.reserve::<Open>(0) else {
        count(Stat::RingFull);
        return;
    };
    let open = entry.as_mut_ptr();
    // SAFETY: the entry is as large as an Open; every field is written before
    // it is submitted.
    unsafe {
        (*open).header = header;
        (*open).comm = bpf_get_current_comm().unwrap_or([0; 16]);
        socket.describe(&mut (*open).socket, true);
    }
    entry.submit(wake(moment));
}
