//! Takes up connections: an entry when a watched process first uses one, and
//! the record that says which it is when it first sends.

use aya_ebpf::helpers::bpf_get_socket_cookie;
use detector_common::{Connection, Kind, NewSocket, Open, Stat, family, flag};

use crate::{
    atomic::fetch_add_u32,
    config::config,
    connections::{find, make},
    filter::may_track,
    hooks::count_perf::count_missing_cookie,
    kernel::{Address, MPTCP, Number, SEQPACKET, STREAM, Socket, TCP, field, name_current_thread},
    maps::{RECORDS, count},
    new_socket::{entry_of, flush_deferred, is_used_by_others, release},
    processes::is_watched,
    ring::{Stamp, current, header, wake},
    syscall::is_compat,
};

/// Bytes that the call has moved, which is in progress.
#[derive(Clone, Copy)]
pub(crate) struct ByteCounts {
    pub(crate) sent: u32,
    pub(crate) received: u32,
}

impl ByteCounts {
    #[inline(always)]
    pub(crate) fn sent(result: i32) -> Self {
        let sent = if result > 0 { result as u32 } else { 0 };
        Self { sent, received: 0 }
    }

    #[inline(always)]
    pub(crate) fn received(result: i32) -> Self {
        let received = if result > 0 { result as u32 } else { 0 };
        Self { sent: 0, received }
    }
}

/// The entry of the socket that the hook names, made if the process is watched
/// and the socket may carry HTTP. A socket that is tracked is counted whoever
/// uses it: bytes that an unwatched process sends on it are its too.
#[inline(always)]
pub(crate) fn lookup_or_track<P: KernelPtr>(
    sk: P,
    moved: ByteCounts,
) -> Option<(u64, Socket, *mut Connection)> {
    let socket = sk.socket();
    // Read, which costs a tenth of asking the helper.
    let mut cookie: u64 = sk.read(config!(fields.sock_cookie));
    if cookie != 0
        && let Some(found) = find(cookie)
    {
        check_order(found);
        return Some((cookie, socket, found));
    }
    if !is_wanted(socket) && !(P::MAKES_COOKIES && is_used_by_others(sk)) {
        return None;
    }
    let found = start_tracking(sk, &mut cookie, moved.sent, moved.received);
    if found.is_null() {
        return None;
    }
    check_order(found);
    Some((cookie, socket, found))
}

/// Counts a record as lost where another CPU is just taking the connection up: what
/// that knows of it comes before this call.
#[inline(always)]
pub(crate) fn check_order(connection: *mut Connection) {
    if !is_ready(connection) {
        lose_order(connection);
    }
}

/// Whether who took the connection up has done so.
#[inline(always)]
pub(crate) fn is_ready(connection: *mut Connection) -> bool {
    // SAFETY: a live map value; the flags are read at once.
    unsafe { (&raw const (*connection).receive_flags).read_volatile() & flag::READY != 0 }
}

/// Counts a record as lost: the next one's number says that it is missing.
#[inline(always)]
pub(crate) fn lose_order(connection: *mut Connection) {
    // SAFETY: a live map value, of which this is only added to.
    fetch_add_u32(unsafe { &raw mut (*connection).seq }, 1);
}

/// Whether a socket that the current process uses is taken up.
#[inline(always)]
pub(crate) fn is_wanted(socket: Socket) -> bool {
    let (tgid, _) = current();
    if config!(filters) == 0 {
        is_watched(tgid)
    } else {
        may_track(tgid, socket)
    }
}

/// A structure of the kernel's as a hook names it.
pub(crate) trait KernelPtr: Copy {
    /// Whether a cookie can be made of it, if it is a socket.
    const MAKES_COOKIES: bool;
    fn socket(self) -> Socket;
    fn read<T: Number>(self, offset: u64) -> T;
    fn follow(self, offset: u64) -> Option<Self>;
    /// The cookie of a socket, made now if it has none and that can be; else 0.
    fn cookie(self) -> u64;
}

/// By a pointer whose type the verifier knows: to read through it costs no call.
#[derive(Clone, Copy)]
pub(crate) struct BtfPtr(pub(crate) *const u8);

impl KernelPtr for BtfPtr {
    const MAKES_COOKIES: bool = true;

    #[inline(always)]
    fn socket(self) -> Socket {
        Socket(Address(self.0 as u64))
    }

    #[inline(always)]
    fn read<T: Number>(self, offset: u64) -> T {
        // SAFETY: a field of what the hook was given, or of what that points to; the
        // verifier checks the offset, and reading through a null pointer gives 0.
        unsafe { field(self.0, offset) }
    }

    #[inline(always)]
    fn follow(self, offset: u64) -> Option<Self> {
        // SAFETY: as above.
        let next: *const u8 = unsafe { field(self.0, offset) };
        (!next.is_null()).then_some(Self(next))
    }

    #[inline(always)]
    fn cookie(self) -> u64 {
        // SAFETY: the hook's argument is a live socket.
        unsafe { bpf_get_socket_cookie(self.0.cast_mut().cast()) }
    }
}

/// By its address.
impl KernelPtr for Address {
    const MAKES_COOKIES: bool = false;

    #[inline(always)]
    fn socket(self) -> Socket {
        Socket(self)
    }

    #[inline(always)]
    fn read<T: Number>(self, offset: u64) -> T {
        self.read_or_zero(offset)
    }

    #[inline(always)]
    fn follow(self, offset: u64) -> Option<Self> {
        Self::follow(self, offset)
    }

    #[inline(always)]
    fn cookie(self) -> u64 {
        self.read_or_zero(config!(fields.sock_cookie))
    }
}

/// What is read of a socket.
#[derive(Clone, Copy)]
pub(crate) struct SocketIdentity {
    pub(crate) family: u16,
    pub(crate) inode: u64,
    /// [`flag::PACKETS`] where it is no stream, else 0.
    pub(crate) packets: u32,
}

impl SocketIdentity {
    /// The socket, if it is a byte stream that may carry HTTP: TCP over IPv4 or
    /// IPv6 (also MPTCP), or a Unix stream socket; and if a process has it as a
    /// descriptor: the kernel's own (network file systems) have no file, and are
    /// nobody's here. A Unix socket of packets is counted, and no more.
    #[inline(always)]
    pub(crate) fn of<P: KernelPtr>(sk: P) -> Option<Self> {
        let family: u16 = sk.read(config!(fields.sock_family));
        let kind: u16 = sk.read(config!(fields.sock_type));
        let protocol: u16 = sk.read(config!(fields.sock_protocol));
        let tcp = protocol == TCP || protocol == MPTCP;
        let internet = family == family::INET || family == family::INET6;
        let packets = kind == SEQPACKET && family == family::UNIX;
        let stream = kind == STREAM && (family == family::UNIX || (internet && tcp));
        if !packets && !stream {
            return None;
        }
        let inode = inode_of(sk)?;
        Some(Self {
            family,
            inode,
            packets: if packets { flag::PACKETS } else { 0 },
        })
    }
}

/// The number of a socket's inode, if it has a file.
#[inline(always)]
pub(crate) fn inode_of<P: KernelPtr>(sk: P) -> Option<u64> {
    let inode = sk
        .follow(config!(fields.sock_socket))?
        .follow(config!(fields.socket_file))?
        .follow(config!(fields.file_inode))?;
    Some(inode.read(config!(fields.inode_number)))
}

/// Makes the entry, and tells the socket's cookie; null if the socket is none
/// of ours. A function of its own, as whatever is rare: the way that every call
/// goes through is then short, and more often in the CPU's caches.
#[inline(never)]
fn start_tracking<P: KernelPtr>(
    sk: P,
    found_cookie: &mut u64,
    sent: u32,
    received: u32,
) -> *mut Connection {
    let nothing = core::ptr::null_mut();
    let Some(stream) = SocketIdentity::of(sk) else {
        return nothing;
    };
    if is_compat() {
        count(Stat::Compat);
        return nothing;
    }
    let new_socket = entry_of(sk.socket(), stream.inode);
    if let Some(new_socket) = &new_socket
        && new_socket.synthetic_cookie != 0
    {
        *found_cookie = new_socket.synthetic_cookie;
        return find(new_socket.synthetic_cookie).unwrap_or(nothing);
    }
    let cookie = sk.cookie();
    *found_cookie = cookie;
    if !P::MAKES_COOKIES && cookie == 0 {
        // The program that makes it was left out (`hooks/count_perf.rs`). Its birth goes, so that
        // what it sends later is taken for what it is, joined midway.
        new_socket.map(release);
        count_missing_cookie();
        return nothing;
    }
    let Some(new_socket) = new_socket else {
        // It came by a way that no hook shows: from a process that is not watched, by
        // io_uring, or connected as it sends (tcp(7), MSG_FASTOPEN).
        let from_start = stream.family != family::UNIX && sk.socket().moved_only(sent, received);
        return insert(cookie, stream, None, from_start);
    };
    let found = insert(cookie, stream, Some(&mut *new_socket), false);
    release(new_socket);
    found
}

/// Makes the entry; null if there is no room. `from_start`: although its birth was not seen.
#[inline(always)]
pub(crate) fn insert(
    cookie: u64,
    stream: SocketIdentity,
    new_socket: Option<&mut NewSocket>,
    from_start: bool,
) -> *mut Connection {
    let Some((found, made)) = make(cookie) else {
        return core::ptr::null_mut();
    };
    if made {
        let stamp = Stamp::now();
        // SAFETY: a live map value.
        let connection = unsafe { &mut *found };
        // First of all: a close on another CPU asks who this is (`close/descriptor.rs`).
        // SAFETY: a field of it, written at once.
        unsafe { (&raw mut connection.tgid).write_volatile(stamp.tgid) };
        count(Stat::Connections);
        // A call that began before the last owner of this slot was closed may have
        // written to it since.
        connection.from_start = u32::from(from_start);
        // By themselves: what the compiler puts together becomes a loop over bytes.
        // SAFETY: fields of it.
        unsafe {
            (&raw mut connection.received).write_volatile(0);
            (&raw mut connection.sent).write_volatile(0);
        }
        connection.send_flags = stream.packets;
        connection.receive_flags = stream.packets;
        connection.end_flags = 0;
        connection.call_count = 0;
        connection.family = stream.family;
        connection.inode = stream.inode;
        connection.tracked_ns = stamp.time_ns;
        if let Some(new_socket) = new_socket {
            connection.from_start = 1;
            if new_socket.connected != 0 {
                connection.send_flags = flag::CONNECTED;
            }
            if !flush_deferred(cookie, new_socket, connection) {
                connection.from_start = 0;
            }
        }
        connection.receive_flags |= flag::READY;
    }
    found
}

/// Says which connection it is. When it sends its first bytes, not before: what
/// sends nothing owes nothing, and a server that is slow to read its request
/// loses other races than before.
#[inline(never)]
pub(crate) fn describe(cookie: u64, connection: &mut Connection, socket: Socket) {
    connection.send_flags |= flag::DESCRIBED;
    let stamp = Stamp::now();
    let header = header(Kind::Open, cookie, connection, stamp);
    let Some(mut entry) = RECORDS.reserve::<Open>(0) else {
        count(Stat::RingFull);
        return;
    };
    let open = entry.as_mut_ptr();
    // SAFETY: the entry is as large as an Open; every field is written before
    // it is submitted.
    unsafe {
        (*open).header = header;
        name_current_thread(&raw mut (*open).comm);
        socket.describe(&mut (*open).socket, true);
    }
    entry.submit(wake(stamp));
}
