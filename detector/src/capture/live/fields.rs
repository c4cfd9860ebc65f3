//! The configuration that the kernel side gets at load.

use detector_common::{
    Arguments, CALLS, Config, Direction, Fields, NO_FIELD, OPERATION_LIMIT, OPERATIONS, RECEIVES,
    Registers, SYSCALL_LIMIT,
};

use super::{
    btf::{Btf, BtfError},
    hooks,
    options::Scope,
};

/// What is read of io_uring's requests (io_uring/{net,rw,openclose}.h and
/// include/linux/io_uring_types.h; checked: 6.18).
const URING: [(&str, &str); 15] = [
    ("io_kiocb", "file"),
    ("io_kiocb", "opcode"),
    ("io_kiocb", "flags"),
    ("io_kiocb", "cqe.fd"),
    ("io_kiocb", "ctx"),
    ("io_ring_ctx", "submit_state.link.head"),
    ("io_sr_msg", "buf"),
    ("io_sr_msg", "len"),
    ("io_sr_msg", "flags"),
    ("io_sr_msg", "msg_flags"),
    ("io_rw", "addr"),
    ("io_rw", "len"),
    ("io_shutdown", "how"),
    ("io_close", "fd"),
    ("io_close", "file_slot"),
];

/// The kernel's own counts of a TCP socket's bytes (include/linux/tcp.h; Linux 4.19):
/// whether it has moved any before it was first seen.
const COUNTED: [(&str, &str); 3] = [
    ("tcp_sock", "bytes_sent"),
    ("tcp_sock", "bytes_retrans"),
    ("tcp_sock", "bytes_received"),
];

/// What is read of MPTCP sockets and of the TCP sockets that they consist of
/// (net/mptcp/protocol.h; checked: 6.18).
const MULTIPATH: [(&str, &str); 6] = [
    ("tcp_sock", "is_mptcp"),
    ("inet_connection_sock", "icsk_ulp_data"),
    ("mptcp_subflow_context", "conn"),
    ("mptcp_sock", "write_seq"),
    ("mptcp_sock", "snd_nxt"),
    ("mptcp_sock", "snd_una"),
];

/// What can be done without, as the beginning of a sentence, and the fields that
/// it takes: where one is missing none of them is read.
const FEATURES: [(&str, &[(&str, &str)]); 6] = [
    (
        "delivery-at-risk",
        &[
            ("sock", "sk_lingertime"),
            ("sock_common", "skc_flags"),
            ("tcp_sock", "rcv_nxt"),
            ("tcp_sock", "copied_seq"),
            ("tcp_sock", "snd_una"),
            ("tcp_sock", "write_seq"),
            ("tcp_sock", "snd_nxt"),
        ],
    ),
    (
        "the peer's process of a Unix socket",
        &[("sock", "sk_peer_pid"), ("pid", "numbers"), ("upid", "nr")],
    ),
    (
        "what lies unread in a Unix socket",
        &[("sock", "sk_receive_queue.qlen")],
    ),
    (
        "the path of a Unix socket",
        &[
            ("unix_sock", "addr"),
            ("unix_sock", "peer"),
            ("unix_address", "len"),
            ("unix_address", "name"),
        ],
    ),
    (
        "the addresses of an IPv6 socket",
        &[
            ("sock_common", "skc_v6_daddr"),
            ("sock_common", "skc_v6_rcv_saddr"),
        ],
    ),
    ("what io_uring moves", &URING),
];

/// What is not seen because this kernel lacks a field; each in words.
pub(super) fn lacking(btf: &Btf) -> Vec<String> {
    FEATURES
        .iter()
        .filter_map(|(what, names)| {
            let missing = names
                .iter()
                .find(|(structure, path)| btf.field(structure, path).is_err())?;
            let (structure, path) = missing;
            Some(format!(
                "{what}: this kernel's BTF has no field {structure}.{path}"
            ))
        })
        .collect()
}

/// Looks up every field that the kernel side reads.
///
/// # Errors
///
/// [`BtfError::NoField`] for the first one that this kernel does not have and
/// that nothing can do without.
pub(super) fn fields(btf: &Btf) -> Result<Fields, BtfError> {
    let field = |structure, path| btf.field(structure, path);
    // 6.13 replaced file.f_count, which is 1 for one reference, by file.f_ref,
    // which is 0 for one (include/linux/file_ref.h).
    let (file_references, file_one_reference) = match field("file", "f_ref.refcnt.counter") {
        Ok(offset) => (offset, 0),
        Err(_) => (field("file", "f_count.counter")?, 1),
    };
    // All of a feature's, or none.
    let optional = |structure: &str, path: &str| {
        let whole = FEATURES
            .iter()
            .filter(|(_, names)| names.contains(&(structure, path)))
            .flat_map(|(_, names)| *names)
            .all(|(structure, path)| btf.field(structure, path).is_ok());
        btf.field(structure, path)
            .ok()
            .filter(|_| whole)
            .unwrap_or(NO_FIELD)
    };
    // Without being named as missing: what they serve is seen another way, or is not there.
    let all_or_none = |names: &[(&str, &str)], structure: &str, path: &str| {
        let whole = names
            .iter()
            .all(|(structure, path)| btf.field(structure, path).is_ok());
        btf.field(structure, path)
            .ok()
            .filter(|_| whole)
            .unwrap_or(NO_FIELD)
    };
    let counted = |structure, path| all_or_none(&COUNTED, structure, path);
    let multipath = |structure, path| all_or_none(&MULTIPATH, structure, path);
    let v6 = |path| optional("sock_common", path);
    let uring = optional;
    let message = |path| field(hooks::MESSAGE, path).unwrap_or(NO_FIELD);
    let reset = |path| field(hooks::RESET, path).unwrap_or(NO_FIELD);
    let pid_numbers = optional("pid", "numbers");
    // Where stacks end: without these more is copied than is of use.
    let thread_pointer = if cfg!(target_arch = "aarch64") {
        "thread.uw.tp_value"
    } else {
        "thread.fsbase"
    };
    let start_stack = field("mm_struct", "start_stack").unwrap_or(NO_FIELD);
    Ok(Fields {
        task_files: field("task_struct", "files")?,
        task_signal: field("task_struct", "signal")?,
        task_exit_code: field("task_struct", "exit_code")?,
        task_tgid: field("task_struct", "tgid")?,
        task_pid: field("task_struct", "pid")?,
        task_group_leader: field("task_struct", "group_leader")?,
        task_comm: field("task_struct", "comm")?,
        task_flags: field("task_struct", "flags")?,
        task_io_uring: field("task_struct", "io_uring").unwrap_or(NO_FIELD),
        task_stack: field("task_struct", "stack").unwrap_or(NO_FIELD),
        task_thread_pointer: field("task_struct", thread_pointer).unwrap_or(NO_FIELD),
        task_mm: if start_stack == NO_FIELD {
            NO_FIELD
        } else {
            field("task_struct", "mm")?
        },
        mm_start_stack: start_stack,
        signal_live: field("signal_struct", "live.counter")?,
        signal_threads: field("signal_struct", "nr_threads")?,
        files_count: field("files_struct", "count.counter")?,
        files_fdt: field("files_struct", "fdt")?,
        fdtable_max_fds: field("fdtable", "max_fds")?,
        fdtable_fd: field("fdtable", "fd")?,
        fdtable_open_fds: field("fdtable", "open_fds")?,
        fdtable_close_on_exec: field("fdtable", "close_on_exec")?,
        file_inode: field("file", "f_inode")?,
        file_private: field("file", "private_data")?,
        file_references,
        file_one_reference,
        inode_mode: field("inode", "i_mode")?,
        inode_number: field("inode", "i_ino")?,
        socket_file: field("socket", "file")?,
        socket_sk: field("socket", "sk")?,
        sock_family: field("sock_common", "skc_family")?,
        sock_state: field("sock_common", "skc_state")?,
        sock_cookie: field("sock_common", "skc_cookie.counter")?,
        sock_daddr: field("sock_common", "skc_daddr")?,
        sock_saddr: field("sock_common", "skc_rcv_saddr")?,
        sock_dport: field("sock_common", "skc_dport")?,
        sock_num: field("sock_common", "skc_num")?,
        inet_sport: field("inet_sock", "inet_sport").unwrap_or(NO_FIELD),
        sock_v6_daddr: v6("skc_v6_daddr"),
        sock_v6_saddr: v6("skc_v6_rcv_saddr"),
        sock_type: field("sock", "sk_type")?,
        sock_protocol: field("sock", "sk_protocol")?,
        sock_shutdown: field("sock", "sk_shutdown")?,
        sock_err: field("sock", "sk_err")?,
        sock_socket: field("sock", "sk_socket")?,
        sock_linger_time: optional("sock", "sk_lingertime"),
        sock_flags: optional("sock_common", "skc_flags"),
        tcp_rcv_nxt: optional("tcp_sock", "rcv_nxt"),
        tcp_copied_seq: optional("tcp_sock", "copied_seq"),
        tcp_snd_una: optional("tcp_sock", "snd_una"),
        tcp_write_seq: optional("tcp_sock", "write_seq"),
        tcp_snd_nxt: optional("tcp_sock", "snd_nxt"),
        tcp_bytes_sent: counted("tcp_sock", "bytes_sent"),
        tcp_bytes_retrans: counted("tcp_sock", "bytes_retrans"),
        tcp_bytes_received: counted("tcp_sock", "bytes_received"),
        tcp_is_mptcp: multipath("tcp_sock", "is_mptcp"),
        tcp_ulp_data: multipath("inet_connection_sock", "icsk_ulp_data"),
        subflow_conn: multipath("mptcp_subflow_context", "conn"),
        mptcp_write_seq: multipath("mptcp_sock", "write_seq"),
        mptcp_snd_nxt: multipath("mptcp_sock", "snd_nxt"),
        mptcp_snd_una: multipath("mptcp_sock", "snd_una"),
        req_file: uring("io_kiocb", "file"),
        req_opcode: uring("io_kiocb", "opcode"),
        req_flags: uring("io_kiocb", "flags"),
        req_fd: uring("io_kiocb", "cqe.fd"),
        req_ctx: uring("io_kiocb", "ctx"),
        ctx_link_head: uring("io_ring_ctx", "submit_state.link.head"),
        sr_buffer: uring("io_sr_msg", "buf"),
        sr_length: uring("io_sr_msg", "len"),
        sr_flags: uring("io_sr_msg", "flags"),
        sr_message_flags: uring("io_sr_msg", "msg_flags"),
        rw_address: uring("io_rw", "addr"),
        rw_length: uring("io_rw", "len"),
        shutdown_how: uring("io_shutdown", "how"),
        close_fd: uring("io_close", "fd"),
        close_slot: uring("io_close", "file_slot"),
        sock_peer_pid: optional("sock", "sk_peer_pid"),
        sock_receive_queue_len: optional("sock", "sk_receive_queue.qlen"),
        unix_addr: optional("unix_sock", "addr"),
        unix_peer: optional("unix_sock", "peer"),
        unix_addr_len: optional("unix_address", "len"),
        unix_addr_name: optional("unix_address", "name"),
        pid_number: if pid_numbers == NO_FIELD {
            NO_FIELD
        } else {
            pid_numbers + optional("upid", "nr")
        },
        socket_inode: field("socket_alloc", "vfs_inode")?,
        message_sk: message("sk"),
        message_result: message("ret"),
        message_flags: message("flags"),
        reset_sk: reset("skaddr"),
        reset_cause: reset("skbaddr"),
    })
}

/// Looks up what is read of io_uring.
///
/// # Errors
///
/// [`BtfError::NoField`] for the first field that this kernel does not have.
pub(super) fn uring(btf: &Btf) -> Result<(), BtfError> {
    URING
        .iter()
        .try_for_each(|(structure, path)| btf.field(structure, path).map(drop))
}

/// Looks up the registers that hold a system call's number and arguments.
///
/// # Errors
///
/// [`BtfError::NoField`] if the kernel's `struct pt_regs` is not this
/// architecture's.
pub(super) fn registers(btf: &Btf) -> Result<Registers, BtfError> {
    let field = |path| btf.field("pt_regs", path);
    let structure = btf.structure("pt_regs").unwrap_or(NO_FIELD);
    if cfg!(target_arch = "aarch64") {
        // The first argument's register also takes the result; the kernel
        // keeps what it was (arch/arm64/include/asm/ptrace.h).
        let registers = field("regs")?;
        return Ok(Registers {
            number: field("syscallno")?,
            arg0: field("orig_x0")?,
            arg1: registers + 8,
            arg2: registers + 16,
            arg3: registers + 24,
            function_arg0: registers,
            code_segment: NO_FIELD,
            stack_pointer: field("sp")?,
            // x0 to x30, sp, pc and pstate.
            length: 34 * 8,
            structure,
        });
    }
    Ok(Registers {
        number: field("orig_ax")?,
        arg0: field("di")?,
        arg1: field("si")?,
        arg2: field("dx")?,
        arg3: field("r10")?,
        function_arg0: field("di")?,
        code_segment: field("cs")?,
        stack_pointer: field("sp")?,
        // All up to ss.
        length: 21 * 8,
        structure,
    })
}

/// Per system call number of this architecture, where its bytes are.
pub(super) fn arguments() -> [u8; SYSCALL_LIMIT] {
    let mut table = [0; SYSCALL_LIMIT];
    for call in CALLS {
        if let Some(slot) = table.get_mut(usize::from(call.number())) {
            *slot = code(call.arguments, call.direction) | call.flags();
        }
    }
    table
}

fn code(arguments: Arguments, direction: Direction) -> u8 {
    let receives = match direction {
        Direction::Send => 0,
        Direction::Receive => RECEIVES,
    };
    arguments.code() | receives
}

/// Per io_uring operation, where its bytes are and which way they go.
pub(super) fn operations() -> [u8; OPERATION_LIMIT] {
    let mut table = [0; OPERATION_LIMIT];
    for operation in OPERATIONS {
        if let Some(slot) = table.get_mut(usize::from(operation.code)) {
            *slot = code(operation.arguments, operation.direction);
        }
    }
    table
}

/// A system call's number, as the kernel side has them.
fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// The whole configuration.
pub(super) fn config(btf: &Btf, scope: Scope) -> Result<Config, BtfError> {
    let fields = fields(btf)?;
    Ok(Config {
        fields,
        registers: registers(btf)?,
        watch_all: u32::from(scope.watch_all),
        follow: u32::from(scope.follow),
        filters: scope.filters,
        join: u32::from(scope.join),
        cgroup_levels: scope.cgroup_levels,
        comm_count: scope.comm_count,
        comms: scope.comms,
        own_tgid: std::process::id(),
        wake_at: scope.wake_at,
        stacks: scope.stacks as u32,
        slot_mask: scope.slots - 1,
        accept: number(libc::SYS_accept),
        accept4: number(libc::SYS_accept4),
        socketpair: number(libc::SYS_socketpair),
        rdonly_cast: btf
            .function("bpf_rdonly_cast")
            .filter(|_| fields.task_stack != NO_FIELD)
            .unwrap_or(NO_FIELD),
        sees_resets: u32::from(hooks::sees_resets(btf)),
        arguments: arguments(),
        operations: operations(),
    })
}
