//! Reads kernel structures at the offsets that user space found in the
//! running kernel's BTF (`detector/src/capture/live/fields.rs`).
//!
//! Structures and fields as of Linux 6.18; where an older kernel differs, the
//! field's comment in `detector_common::Fields` says so.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel,
    bpf_probe_read_kernel_buf,
    generated::{bpf_get_current_comm, bpf_probe_read_kernel as probe_read_kernel},
};
use detector_common::{CONSTANT_MARK, SocketInfo, Stat, UNIX_PATH_LEN, family, seen};

use crate::{
    config::{config, has},
    maps::count,
    verifier::hide_bounds,
};

/// A kernel address. Never dereferenced: read through the helper that
/// survives a bad one.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) u64);

/// A type of which zeros are a value.
pub(crate) trait Number: Copy {}

impl Number for u8 {}
impl Number for u16 {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for i32 {}
impl<const N: usize> Number for [u8; N] {}

impl Address {
    /// The value of type `T` at `offset` bytes from here.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u64) -> Option<T> {
        // SAFETY: the helper checks the address and fails cleanly.
        unsafe { bpf_probe_read_kernel((self.0 + offset) as *const T) }.ok()
    }

    /// The same, or zeros where it cannot be read. Without a branch, of which the
    /// verifier would follow both ways; and without a call, where the kernel can give a
    /// type to an address (`task.rs` says what a call costs).
    #[inline(always)]
    pub(crate) fn read_or_zero<T: Number>(self, offset: u64) -> T {
        if size_of::<T>() == align_of::<T>() && size_of::<T>() <= 8 && has!(rdonly_cast) {
            // SAFETY: as the first register, which has eight bytes; a load through such
            // a pointer gives 0 where there is no memory (BPF_PROBE_MEM,
            // kernel/bpf/verifier.c).
            return unsafe { field(as_registers(self.0 + offset), 0) };
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper checks the address, and fills what it cannot read with
        // zeros (bpf_probe_read_kernel_common, kernel/trace/bpf_trace.c), which are
        // a value of T.
        unsafe {
            let to = value.as_mut_ptr().cast();
            probe_read_kernel(to, size_of::<T>() as u32, (self.0 + offset) as *const _);
            value.assume_init()
        }
    }

    /// The address that is stored there; `None` for a null pointer.
    #[inline(always)]
    pub(crate) fn follow(self, offset: u64) -> Option<Self> {
        let next: u64 = self.read_or_zero(offset);
        (next != 0).then_some(Self(next))
    }
}

/// An address as one of registers (`bpf_rdonly_cast`, kernel/bpf/helpers.c; Linux 6.2):
/// the verifier puts a move in place of the call, and lets be read through that pointer.
/// Only where `has!(rdonly_cast)`.
#[inline(always)]
pub(crate) fn as_registers(address: u64) -> *const u8 {
    const CALL: usize = core::mem::offset_of!(detector_common::Config, rdonly_cast);
    let structure = config!(registers.structure);
    let registers: *const u8;
    // SAFETY: user space puts the kernel function's number in the place of the mark; it
    // takes what is in r1 and r2, gives back r0, and spoils what any call may.
    unsafe {
        core::arch::asm!(
            "call {function}",
            function = const CONSTANT_MARK + CALL as u32,
            inlateout("r1") address => _,
            inlateout("r2") structure => _,
            lateout("r0") registers,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
    registers
}

/// The running task.
#[inline(always)]
pub(crate) fn current_task() -> Address {
    // SAFETY: takes no argument and cannot fail.
    Address(unsafe { bpf_get_current_task() })
}

/// Writes the running thread's name, as `/proc/PID/comm` tells it, ended by a zero, or
/// zeros.
///
/// # Safety
///
/// `to` may be written; it need not hold anything before.
#[inline(always)]
pub(crate) unsafe fn name_current_thread(to: *mut [u8; 16]) {
    // SAFETY: promised by the caller; the helper fills the whole array, with zeros if it
    // fails (kernel/bpf/helpers.c).
    unsafe { bpf_get_current_comm(to.cast(), size_of::<[u8; 16]>() as u32) };
}

/// Which descriptors a process has (`struct fdtable`).
#[derive(Clone, Copy)]
pub(crate) struct DescriptorTable {
    open: Address,
    close_on_exec: Address,
    pub(crate) size: u32,
}

/// The current process's.
#[inline(always)]
pub(crate) fn descriptors() -> Option<DescriptorTable> {
    let table = current_task()
        .follow(config!(fields.task_files))?
        .follow(config!(fields.files_fdt))?;
    Some(DescriptorTable {
        open: table.follow(config!(fields.fdtable_open_fds))?,
        close_on_exec: table.follow(config!(fields.fdtable_close_on_exec))?,
        size: table.read(config!(fields.fdtable_max_fds))?,
    })
}

/// The open file behind a descriptor of the current process.
#[inline(always)]
pub(crate) fn open_file(fd: i32) -> Option<File> {
    let number = u32::try_from(fd).ok()?;
    let (files_at, table_at) = (config!(fields.task_files), config!(fields.files_fdt));
    let (size_at, array_at) = (config!(fields.fdtable_max_fds), config!(fields.fdtable_fd));
    // As far as the verifier knows the types: that costs no call.
    // SAFETY: fields of the running task, and of what they point to; the verifier
    // checks the offsets.
    let (size, array) = unsafe {
        let task: *const u8 = bpf_get_current_task_btf().cast();
        let files: *const u8 = field(task, files_at);
        if files.is_null() {
            return None;
        }
        let table: *const u8 = field(files, table_at);
        if table.is_null() {
            return None;
        }
        (field::<u32>(table, size_at), field::<u64>(table, array_at))
    };
    if number >= size {
        return None;
    }
    Address(array + u64::from(number) * 8).follow(0).map(File)
}

/// Reads a field through a pointer whose type the verifier knows.
///
/// # Safety
///
/// The structure has a field of type `T` at the offset.
#[inline(always)]
pub(crate) unsafe fn field<T>(structure: *const u8, offset: u64) -> T {
    // SAFETY: promised by the caller, checked by the verifier.
    unsafe { core::ptr::read_volatile(structure.add(offset as usize).cast::<T>()) }
}

impl DescriptorTable {
    /// Which of the descriptors 64·`word` to 64·`word`+63 are open, a bit
    /// each.
    #[inline(always)]
    pub(crate) fn open_word(&self, word: u32) -> u64 {
        self.word(self.open, word)
    }

    /// Which of them are closed by an exec.
    #[inline(always)]
    pub(crate) fn close_on_exec_word(&self, word: u32) -> u64 {
        self.word(self.close_on_exec, word)
    }

    #[inline(always)]
    fn word(&self, bitmap: Address, word: u32) -> u64 {
        if word * 64 >= self.size {
            return 0;
        }
        Address(bitmap.0 + u64::from(word) * 8).read_or_zero(0)
    }
}

/// A `struct file`.
#[derive(Clone, Copy)]
pub(crate) struct File(pub(crate) Address);

/// `S_IFMT` and `S_IFSOCK` (inode(7)).
const TYPE_MASK: u16 = 0o170_000;
const TYPE_SOCKET: u16 = 0o140_000;

impl File {
    /// The socket, if it is one.
    #[inline(always)]
    pub(crate) fn socket(self) -> Option<Socket> {
        let inode = self.0.follow(config!(fields.file_inode))?;
        let mode: u16 = inode.read_or_zero(config!(fields.inode_mode));
        if mode & TYPE_MASK != TYPE_SOCKET {
            return None;
        }
        self.0
            .follow(config!(fields.file_private))?
            .follow(config!(fields.socket_sk))
            .map(Socket)
    }

    /// The socket and its inode number, of a file that is one.
    #[inline(always)]
    pub(crate) fn accepted(self) -> Option<(Socket, u64)> {
        let socket = self.0.follow(config!(fields.file_private))?;
        let inode = socket.read(config!(fields.socket_inode) + config!(fields.inode_number))?;
        let sk = socket.follow(config!(fields.socket_sk))?;
        Some((Socket(sk), inode))
    }

    /// References to it: descriptors in any process, descriptors on their way
    /// through a Unix socket, calls in progress in multi-threaded processes.
    #[inline(always)]
    pub(crate) fn references(self) -> u32 {
        let counter: u64 = self
            .0
            .read(config!(fields.file_references))
            .unwrap_or(u64::MAX);
        // `f_ref` counts from 0 for one reference, `f_count` from 1.
        (counter as u32)
            .wrapping_add(1)
            .wrapping_sub(config!(fields.file_one_reference) as u32)
    }
}

/// A `struct sock`.
#[derive(Clone, Copy)]
pub(crate) struct Socket(pub(crate) Address);

/// `SOCK_STREAM`, `SOCK_SEQPACKET`, `IPPROTO_TCP`, `IPPROTO_MPTCP`.
pub(crate) const STREAM: u16 = 1;
pub(crate) const SEQPACKET: u16 = 5;
pub(crate) const TCP: u16 = 6;
pub(crate) const MPTCP: u16 = 262;

/// The TCP states in which the peer's FIN was received, a bit each: TIME_WAIT,
/// CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING (include/net/tcp_states.h).
const FIN_RECEIVED: u32 = 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11;

/// `SEND_SHUTDOWN`, the same with `RCV_SHUTDOWN` and, as a bit, `SOCK_LINGER`
/// (include/net/sock.h).
const SEND_SHUTDOWN: u8 = 2;
const SHUTDOWN_MASK: u8 = 3;
const SOCK_LINGER: u64 = 1 << 4;

impl Socket {
    /// Its cookie; 0 while nobody asked for one, hence while it is not
    /// tracked.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        self.0.read_or_zero(config!(fields.sock_cookie))
    }

    #[inline(always)]
    pub(crate) fn family(self) -> u16 {
        self.0.read_or_zero(config!(fields.sock_family))
    }

    /// The file that processes have it by.
    #[inline(always)]
    pub(crate) fn file(self) -> Option<File> {
        self.0
            .follow(config!(fields.sock_socket))?
            .follow(config!(fields.socket_file))
            .map(File)
    }

    /// The family, if it is a byte stream that may carry HTTP: TCP over IPv4
    /// or IPv6 (also MPTCP), or a Unix stream socket.
    #[inline(always)]
    pub(crate) fn stream_family(self) -> Option<u16> {
        let family = self.family();
        let kind: u16 = self.0.read_or_zero(config!(fields.sock_type));
        if kind != STREAM {
            return None;
        }
        match family {
            family::UNIX => Some(family),
            family::INET | family::INET6 => {
                let protocol: u16 = self.0.read_or_zero(config!(fields.sock_protocol));
                (protocol == TCP || protocol == MPTCP).then_some(family)
            }
            _ => None,
        }
    }

    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        self.0.read_or_zero(config!(fields.sock_state))
    }

    /// Not connected yet: `TCP_CLOSE`, which unconnected Unix sockets are in
    /// too, or `TCP_SYN_SENT` (include/net/tcp_states.h).
    #[inline(always)]
    pub(crate) fn is_unconnected(self) -> bool {
        let state = self.state();
        state == 7 || state == 2
    }

    /// A Unix socket whose peer has closed: that sets both bits (`unix_release_sock`,
    /// net/unix/af_unix.c). One may be our own doing.
    #[inline(always)]
    pub(crate) fn has_peer_closed(self) -> bool {
        let shutdown: u8 = self.0.read_or_zero(config!(fields.sock_shutdown));
        shutdown & SHUTDOWN_MASK == SHUTDOWN_MASK && self.family() == family::UNIX
    }

    /// Inode number of the socket file; 0 once the socket has none.
    #[inline(always)]
    pub(crate) fn inode(self) -> u64 {
        // struct socket is the first member of struct socket_alloc, whose
        // second is the inode (include/net/sock.h).
        self.0
            .follow(config!(fields.sock_socket))
            .map_or(0, |socket| {
                socket.read_or_zero(config!(fields.socket_inode) + config!(fields.inode_number))
            })
    }

    /// Its state into `info`, whatever that held; with `place` also what does not
    /// change: addresses, peer and inode.
    #[inline(always)]
    pub(crate) fn describe(self, info: &mut SocketInfo, place: bool) {
        // SAFETY: a whole SocketInfo that is ours to write; zeros are a value.
        unsafe { clear((&raw mut *info).cast(), size_of::<SocketInfo>() / 8) };
        info.family = self.family();
        info.state = self.0.read_or_zero(config!(fields.sock_state));
        info.shutdown = self.0.read_or_zero(config!(fields.sock_shutdown));
        info.error = self.0.read_or_zero(config!(fields.sock_err));
        if info.family != family::UNIX {
            self.describe_queues(info);
        } else if has!(fields.sock_receive_queue_len)
            && self
                .0
                .read_or_zero::<u32>(config!(fields.sock_receive_queue_len))
                != 0
        {
            info.seen |= seen::INPUT;
        }
        if place {
            self.describe_place(info);
        }
    }

    #[inline(always)]
    fn describe_place(self, info: &mut SocketInfo) {
        info.inode = self.inode();
        match info.family {
            family::UNIX => self.describe_unix(info),
            family::INET => {
                let local: [u8; 4] = self.0.read_or_zero(config!(fields.sock_saddr));
                let peer: [u8; 4] = self.0.read_or_zero(config!(fields.sock_daddr));
                copy4(&mut info.local, local);
                copy4(&mut info.peer, peer);
                (info.local_port, info.peer_port) = self.ports();
            }
            family::INET6 => {
                if has!(fields.sock_v6_saddr) {
                    info.local = self.0.read_or_zero(config!(fields.sock_v6_saddr));
                    info.peer = self.0.read_or_zero(config!(fields.sock_v6_daddr));
                }
                (info.local_port, info.peer_port) = self.ports();
            }
            _ => {}
        }
    }

    /// Local and remote port of an internet socket, in host byte order; 0 for
    /// one that it has not.
    #[inline(always)]
    pub(crate) fn ports(self) -> (u16, u16) {
        let local: u16 = self.0.read_or_zero(config!(fields.sock_num));
        let peer: u16 = self.0.read_or_zero(config!(fields.sock_dport));
        let local = if local == 0 && has!(fields.inet_sport) {
            u16::from_be(self.0.read_or_zero(config!(fields.inet_sport)))
        } else {
            local
        };
        (local, u16::from_be(peer))
    }

    /// What a close would do to bytes that are on their way, of a TCP socket. Those of
    /// an MPTCP socket are in the sockets below it: [`seen`] says that they were not read.
    #[inline(always)]
    fn describe_queues(self, info: &mut SocketInfo) {
        if !has!(fields.tcp_rcv_nxt) {
            return;
        }
        if config!(sees_resets) != 0 {
            info.seen |= seen::RESETS;
        }
        let flags: u64 = self.0.read_or_zero(config!(fields.sock_flags));
        let time: u64 = self
            .0
            .read(config!(fields.sock_linger_time))
            .unwrap_or(u64::MAX);
        info.reset = u8::from(flags & SOCK_LINGER != 0 && time == 0);
        info.seen |= seen::LINGER;
        if self.protocol() != TCP {
            return;
        }
        info.seen |= seen::QUEUES;
        let number = |field| self.0.read_or_zero::<u32>(field);
        let received = number(config!(fields.tcp_rcv_nxt));
        let read = number(config!(fields.tcp_copied_seq));
        let queued = received.wrapping_sub(read);
        // A FIN takes a number too. It is counted a stamp before the socket
        // says so (tcp_data_queue, then tcp_fin): one byte that may be one is
        // none.
        // By the state: our own shutdown sets RCV_SHUTDOWN too.
        let ended = FIN_RECEIVED >> (info.state & 15) & 1 == 1 || queued == 1;
        let unread = queued.wrapping_sub(u32::from(ended));
        // Numbers wrap (RFC 9293 section 3.4).
        info.unread = if unread as i32 > 0 { unread } else { 0 };
        // Our own FIN is no byte of a response.
        let fin = u32::from(info.shutdown & SEND_SHUTDOWN != 0);
        (info.unacknowledged, info.unsent) = self.pending(fin);
    }

    #[inline(always)]
    pub(crate) fn protocol(self) -> u16 {
        self.0.read_or_zero(config!(fields.sock_protocol))
    }

    /// Bytes of a TCP socket that the peer has not acknowledged, and those of them that
    /// were not sent; less so many that are none.
    #[inline(always)]
    pub(crate) fn pending(self, less: u32) -> (u32, u32) {
        let number = |field| self.0.read_or_zero::<u32>(field);
        let written = number(config!(fields.tcp_write_seq)).wrapping_sub(less);
        let left = |from: u32| {
            let bytes = written.wrapping_sub(from);
            if bytes as i32 > 0 { bytes } else { 0 }
        };
        (
            left(number(config!(fields.tcp_snd_una))),
            left(number(config!(fields.tcp_snd_nxt))),
        )
    }

    /// Whether a TCP socket has moved nothing but so many bytes, by the kernel's own
    /// counts: then they are the first. (A socket that was restored with `TCP_REPAIR`
    /// counts from there.)
    #[inline(always)]
    pub(crate) fn moved_only(self, sent: u32, received: u32) -> bool {
        if !has!(fields.tcp_bytes_sent) || !has!(fields.tcp_rcv_nxt) || self.protocol() != TCP {
            return false;
        }
        let number = |field| self.0.read_or_zero::<u32>(field);
        // The lower halves: more than 4 GiB are a multiple of that with next to no chance.
        let total = |field| self.0.read_or_zero::<u64>(field) as u32;
        let unread = number(config!(fields.tcp_rcv_nxt))
            .wrapping_sub(number(config!(fields.tcp_copied_seq)));
        let read = total(config!(fields.tcp_bytes_received)).wrapping_sub(unread);
        let unsent =
            number(config!(fields.tcp_write_seq)).wrapping_sub(number(config!(fields.tcp_snd_nxt)));
        let written = total(config!(fields.tcp_bytes_sent))
            .wrapping_sub(total(config!(fields.tcp_bytes_retrans)))
            .wrapping_add(unsent);
        read == received && written == sent
    }

    /// The MPTCP socket that this TCP socket is a part of.
    #[inline(always)]
    pub(crate) fn whole(self) -> Option<Self> {
        if !has!(fields.tcp_is_mptcp)
            || self.0.read_or_zero::<u8>(config!(fields.tcp_is_mptcp)) == 0
        {
            return None;
        }
        let whole = self
            .0
            .follow(config!(fields.tcp_ulp_data))?
            .follow(config!(fields.subflow_conn))
            .map(Self)?;
        (whole.protocol() == MPTCP).then_some(whole)
    }

    /// Bytes of an MPTCP socket that were not acknowledged, and those of them that were
    /// not given to a TCP socket, less what may be the end's own number.
    #[inline(always)]
    pub(crate) fn mptcp_pending(self) -> (u32, u32) {
        let number = |field| self.0.read_or_zero::<u64>(field);
        let written = number(config!(fields.mptcp_write_seq)).wrapping_sub(1);
        let left = |from: u64| {
            let bytes = written.wrapping_sub(from);
            if (1..=i32::MAX as u64).contains(&bytes) {
                bytes as u32
            } else {
                0
            }
        };
        (
            left(number(config!(fields.mptcp_snd_una))),
            left(number(config!(fields.mptcp_snd_nxt))),
        )
    }

    #[inline(always)]
    fn describe_unix(self, info: &mut SocketInfo) {
        if has!(fields.sock_peer_pid)
            && let Some(pid) = self.0.follow(config!(fields.sock_peer_pid))
        {
            info.peer_pid = pid.read_or_zero(config!(fields.pid_number));
        }
        if !has!(fields.unix_addr) {
            return;
        }
        let mut named = self.0.follow(config!(fields.unix_addr));
        if named.is_none() && has!(fields.unix_peer) {
            // Whoever connects has no name as a rule: then the peer's.
            named = self
                .0
                .follow(config!(fields.unix_peer))
                .and_then(|peer| peer.follow(config!(fields.unix_addr)));
            info.path_of_peer = u8::from(named.is_some());
        }
        let Some(address) = named else {
            return;
        };
        // The length counts sun_family, the two bytes before the path.
        let length: u32 = address.read_or_zero(config!(fields.unix_addr_len));
        // Forgotten, so that the comparison below is of the very number that is used:
        // Linux 6.1's verifier does not carry bounds over to a copy.
        let wanted = hide_bounds(u64::from(
            length.saturating_sub(2).min(UNIX_PATH_LEN as u32),
        ));
        if wanted == 0 || wanted > UNIX_PATH_LEN as u64 {
            return;
        }
        let wanted = wanted as usize;
        let path = (address.0 + config!(fields.unix_addr_name) + 2) as *const u8;
        // SAFETY: the helper checks the address; the slice is within the array.
        let read = unsafe { bpf_probe_read_kernel_buf(path, &mut info.unix_path[..wanted]) };
        if read.is_ok() {
            info.unix_path_len = wanted as u16;
        }
    }
}

#[inline(always)]
fn copy4(to: &mut [u8; 16], from: [u8; 4]) {
    to[0] = from[0];
    to[1] = from[1];
    to[2] = from[2];
    to[3] = from[3];
}

/// Writes so many words of zeros, each by itself: what the compiler puts together becomes
/// a loop over bytes, and to copy zeros from elsewhere reads as much memory again, which
/// is cold as a rule.
///
/// # Safety
///
/// They are writable, and eight bytes aligned.
#[inline(always)]
pub(crate) unsafe fn clear(words: *mut u64, count: usize) {
    for at in 0..count {
        // SAFETY: promised by the caller.
        unsafe { words.add(at).write_volatile(0) };
    }
}

/// Copies a value by one call of the kernel's: the compiler would make it a
/// loop over bytes, and the verifier would walk that on every path.
///
/// # Safety
///
/// `to` is writable and as large as `T`.
#[inline(always)]
pub(crate) unsafe fn copy<T>(to: *mut T, from: &T) {
    // SAFETY: promised by the caller; `from` is a whole `T`.
    let failed =
        unsafe { probe_read_kernel(to.cast(), size_of::<T>() as u32, (from as *const T).cast()) };
    // It cannot fail: both are memory of this program.
    if failed != 0 {
        count(Stat::Unreadable);
    }
}
