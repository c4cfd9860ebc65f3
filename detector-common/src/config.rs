//! What user space tells the kernel side at load, as read-only globals: the
//! verifier then knows the values, and a branch that is off costs nothing.

use crate::{OPERATION_LIMIT, Pod};

/// System call numbers that the kernel side's table covers.
pub const SYSCALL_LIMIT: usize = 512;

/// Marks, in the kernel side's code, an instruction that moves a constant into a
/// register in place of one of the first [`CONSTANTS`] bytes of [`Config`]: the
/// value is this plus the field's offset. User space puts the field's value
/// there before it loads the program. As an immediate it costs no load, and
/// no line of a cache that is cold where it matters.
///
/// Positive as an `i32`, and no number that code has otherwise: user space
/// takes every move of a number from here on for one of these.
pub const CONSTANT_MARK: u32 = 0x5eed_0000;

/// Bytes of [`Config`] that can be named so: all before its tables.
pub const CONSTANTS: usize = core::mem::offset_of!(Config, comms);

/// A field that the running kernel does not have. Positive as an `i32`, as all
/// offsets are: the kernel side has them as immediates, which take their sign
/// along.
pub const NO_FIELD: u32 = i32::MAX as u32;

/// Offsets of kernel structure fields, from the running kernel's BTF, in bytes
/// from the start of the structure named first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// `task_struct.files`
    pub task_files: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `task_struct.exit_code`
    pub task_exit_code: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.comm`
    pub task_comm: u32,
    /// `task_struct.thread.fsbase` (x86-64) or `task_struct.thread.uw.tp_value`
    /// (arm64)
    pub task_thread_pointer: u32,
    /// `task_struct.mm`; [`NO_FIELD`] if the next is
    pub task_mm: u32,
    /// `mm_struct.start_stack`
    pub mm_start_stack: u32,
    /// `signal_struct.live.counter`
    pub signal_live: u32,
    /// `signal_struct.nr_threads`
    pub signal_threads: u32,
    /// `files_struct.count.counter`
    pub files_count: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.max_fds`
    pub fdtable_max_fds: u32,
    /// `fdtable.fd`
    pub fdtable_fd: u32,
    /// `fdtable.open_fds`
    pub fdtable_open_fds: u32,
    /// `fdtable.close_on_exec`
    pub fdtable_close_on_exec: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `file.private_data`
    pub file_private: u32,
    /// `file.f_ref.refcnt.counter` (6.13 and later) or `file.f_count.counter`
    pub file_references: u32,
    /// What that counter holds for one reference: 0 for `f_ref`, 1 for
    /// `f_count`.
    pub file_one_reference: u32,
    /// `inode.i_mode`
    pub inode_mode: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `socket.file`
    pub socket_file: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// `sock_common.skc_family`
    pub sock_family: u32,
    /// `sock_common.skc_state`
    pub sock_state: u32,
    /// `sock_common.skc_daddr`
    pub sock_daddr: u32,
    /// `sock_common.skc_rcv_saddr`
    pub sock_saddr: u32,
    /// `sock_common.skc_dport`, network byte order
    pub sock_dport: u32,
    /// `sock_common.skc_num`, host byte order
    pub sock_num: u32,
    /// `inet_sock.inet_sport`, network byte order, which a reset leaves as it is
    pub inet_sport: u32,
    /// `sock_common.skc_v6_daddr`; [`NO_FIELD`] without IPv6
    pub sock_v6_daddr: u32,
    /// `sock_common.skc_v6_rcv_saddr`; [`NO_FIELD`] without IPv6
    pub sock_v6_saddr: u32,
    /// `sock.sk_type`
    pub sock_type: u32,
    /// `sock.sk_protocol`
    pub sock_protocol: u32,
    /// `sock.sk_shutdown`
    pub sock_shutdown: u32,
    /// `sock.sk_err`
    pub sock_err: u32,
    /// `sock.sk_socket`
    pub sock_socket: u32,
    /// `sock.sk_lingertime`
    pub sock_linger_time: u32,
    /// `sock_common.skc_flags`
    pub sock_flags: u32,
    /// `tcp_sock.rcv_nxt`
    pub tcp_rcv_nxt: u32,
    /// `tcp_sock.copied_seq`
    pub tcp_copied_seq: u32,
    /// `tcp_sock.snd_una`
    pub tcp_snd_una: u32,
    /// `tcp_sock.write_seq`
    pub tcp_write_seq: u32,
    /// `tcp_sock.snd_nxt`
    pub tcp_snd_nxt: u32,
    /// `tcp_sock.bytes_sent`; [`NO_FIELD`] if one of the next two is
    pub tcp_bytes_sent: u32,
    /// `tcp_sock.bytes_retrans`
    pub tcp_bytes_retrans: u32,
    /// `tcp_sock.bytes_received`
    pub tcp_bytes_received: u32,
    /// `tcp_sock.is_mptcp`; [`NO_FIELD`] without MPTCP, as all that follow it
    pub tcp_is_mptcp: u32,
    /// `inet_connection_sock.icsk_ulp_data`
    pub tcp_ulp_data: u32,
    /// `mptcp_subflow_context.conn`
    pub subflow_conn: u32,
    /// `mptcp_sock.write_seq`
    pub mptcp_write_seq: u32,
    /// `mptcp_sock.snd_nxt`
    pub mptcp_snd_nxt: u32,
    /// `mptcp_sock.snd_una`
    pub mptcp_snd_una: u32,
    /// `io_kiocb.file`; [`NO_FIELD`] without io_uring, as all that follow it
    pub req_file: u32,
    /// `io_kiocb.opcode`
    pub req_opcode: u32,
    /// `io_kiocb.flags`
    pub req_flags: u32,
    /// `io_kiocb.cqe.fd`
    pub req_fd: u32,
    /// `io_kiocb.ctx`
    pub req_ctx: u32,
    /// `io_ring_ctx.submit_state.link.head`
    pub ctx_link_head: u32,
    /// `io_sr_msg.buf`
    pub sr_buffer: u32,
    /// `io_sr_msg.len`
    pub sr_length: u32,
    /// `io_sr_msg.flags`
    pub sr_flags: u32,
    /// `io_sr_msg.msg_flags`
    pub sr_message_flags: u32,
    /// `io_rw.addr`
    pub rw_address: u32,
    /// `io_rw.len`
    pub rw_length: u32,
    /// `io_shutdown.how`
    pub shutdown_how: u32,
    /// `io_close.fd`
    pub close_fd: u32,
    /// `io_close.file_slot`
    pub close_slot: u32,
    /// `sock.sk_peer_pid`
    pub sock_peer_pid: u32,
    /// `sock.sk_receive_queue.qlen`
    pub sock_receive_queue_len: u32,
    /// `unix_sock.addr`
    pub unix_addr: u32,
    /// `unix_sock.peer`
    pub unix_peer: u32,
    /// `unix_address.len`
    pub unix_addr_len: u32,
    /// `unix_address.name`
    pub unix_addr_name: u32,
    /// `pid.numbers[0].nr`
    pub pid_number: u32,
    /// `socket_alloc.vfs_inode`
    pub socket_inode: u32,
    /// `trace_event_raw_sock_msg_length.sk`; [`NO_FIELD`] before Linux 6.3, as the
    /// two that follow
    pub message_sk: u32,
    /// `trace_event_raw_sock_msg_length.ret`
    pub message_result: u32,
    /// `trace_event_raw_sock_msg_length.flags`
    pub message_flags: u32,
    /// `trace_event_raw_tcp_send_reset.skaddr`; [`NO_FIELD`] where the tracepoint shares
    /// its record with others, as the next
    pub reset_sk: u32,
    /// `trace_event_raw_tcp_send_reset.skbaddr`
    pub reset_cause: u32,
    // Read at every send and receive: next to each other and to what follows.
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.flags`
    pub task_flags: u32,
    /// `task_struct.io_uring`; [`NO_FIELD`] without io_uring
    pub task_io_uring: u32,
    /// `task_struct.stack`; [`NO_FIELD`] if it is not needed ([`Config::rdonly_cast`])
    pub task_stack: u32,
    /// `sock_common.skc_cookie.counter`
    pub sock_cookie: u32,
}

/// Offsets in `struct pt_regs` of the running architecture.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// System call number (`orig_ax`, `syscallno`).
    pub number: u32,
    /// The first argument, as it was at entry (`di`, `orig_x0`).
    pub arg0: u32,
    /// The second argument.
    pub arg1: u32,
    /// The third argument.
    pub arg2: u32,
    /// The fourth argument.
    pub arg3: u32,
    /// The first argument of a function of the kernel's (`di`, `regs[0]`). Its second
    /// is where a system call's is.
    pub function_arg0: u32,
    /// Register that tells a 32-bit task's code segment (`cs`);
    /// [`NO_FIELD`] where there is none.
    pub code_segment: u32,
    /// The stack pointer.
    pub stack_pointer: u32,
    /// Bytes of all those that [`crate::StackPiece::registers`] takes.
    pub length: u32,
    /// The number of `struct pt_regs` among the kernel's types.
    pub structure: u32,
}

/// Bits of [`Config::filters`].
pub mod filter {
    /// By name: [`super::Config::comms`].
    pub const COMM: u32 = 1;
    /// By control group: the `CGROUPS` map.
    pub const CGROUP: u32 = 1 << 1;
    /// By port: the `PORTS` map.
    pub const PORT: u32 = 1 << 2;
}

/// Levels of the control group hierarchy that a filter can name; the root is
/// level 0.
pub const CGROUP_LEVELS: u32 = 32;

/// Names that the filter by name can have.
pub const COMMS: usize = 16;

/// A name as the kernel keeps it (`TASK_COMM_LEN`, 16 bytes, padded with
/// zeros), in words: it is compared on every call of processes that are not
/// watched.
pub type Comm = [u32; 4];

/// All of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Structure fields.
    pub fields: Fields,
    /// Registers.
    pub registers: Registers,
    /// 1: every process is watched; 0: those in the `PROCESSES` map.
    pub watch_all: u32,
    /// 1: children of watched processes are watched.
    pub follow: u32,
    /// Which filters there are, of [`filter`]: a connection is taken up if it
    /// passes all of them.
    pub filters: u32,
    /// 1: every process is looked at by the filters, and one that passes joins
    /// `PROCESSES` when it first uses a socket.
    pub join: u32,
    /// A bit per level of the hierarchy that a group in `CGROUPS` is at.
    pub cgroup_levels: u32,
    /// How many of `comms` there are.
    pub comm_count: u32,
    /// The watching process itself, which is not watched unless it names itself, as
    /// `doctor` does.
    pub own_tgid: u32,
    /// Bytes in the ring buffer at which the reader is woken at once; below
    /// that it comes by itself.
    pub wake_at: u32,
    /// 0: no stacks are copied; 1: so many as [`crate::STACK_BURST`] says; 2: all.
    pub stacks: u32,
    /// Slots for connections ([`crate::SLOTS`], or fewer), less one.
    pub slot_mask: u32,
    /// The numbers of `accept`, `accept4` and `socketpair`, which give new sockets.
    pub accept: u32,
    /// See above.
    pub accept4: u32,
    /// See above.
    pub socketpair: u32,
    /// The number, among the kernel's types, of the function `bpf_rdonly_cast` (Linux
    /// 6.2); [`NO_FIELD`] without it. User space makes the call of a helper with the mark
    /// of this field one of that function.
    pub rdonly_cast: u32,
    /// 1: resets that the kernel sends are told.
    pub sees_resets: u32,
    // Tables, read from memory: all above are constants to the kernel side.
    /// The names that the filter by name passes.
    pub comms: [Comm; COMMS],
    /// Per system call number, an [`crate::Arguments`] code, with
    /// [`crate::RECEIVES`] added for those that receive.
    pub arguments: [u8; SYSCALL_LIMIT],
    /// The same per io_uring operation.
    pub operations: [u8; OPERATION_LIMIT],
}

// SAFETY: repr(C); u32 fields and byte arrays whose lengths are multiples of 4,
// without padding.
unsafe impl Pod for Config {}

impl Config {
    /// Before user space set it.
    // SAFETY: integers and an array of them: zero bytes are a value.
    pub const UNSET: Self = unsafe { core::mem::zeroed() };
}
