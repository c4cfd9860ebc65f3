//! The programs, a row each, in the order in which they are attached.

use detector_common::Probe;

use super::row::{Function, Hook, Row, row};

/// The function behind a system call.
macro_rules! call {
    ($name:literal) => {
        if cfg!(target_arch = "aarch64") {
            concat!("__arm64_sys_", $name)
        } else {
            concat!("__x64_sys_", $name)
        }
    };
}

const BEGINNINGS: &str = "shows where connections begin";
const CHILDREN: &str = "shows new children";
const CLOSE: &str = "shows close()";
const CLOSE_RANGE: &str = "shows close_range()";
const DUP2: &str = "shows dup2() over a socket";
const DUP3: &str = "shows dup3() over a socket";
const EXEC: &str = "shows sockets that an exec closes";
const EXIT: &str = "shows the end of a process";
const RECEIVED: &str = "counts received bytes";
const SENDFILE: &str = "shows what sendfile returned";
const RESETS: &str = "shows resets that take a response back";
const SENDMMSG: &str = "tells one sendmmsg from the next";
const SENT: &str = "counts sent bytes";
const SHUTDOWN: &str = "shows shutdown()";
const SUBMISSION: &str = "shows where io_uring's bytes are, and its close";

/// Where `sched_prepare_exec` is missing, if functions can be traced.
const CLOSE_ON_EXEC: Row = row(
    "close_on_exec",
    Hook::Start(Function {
        name: "do_close_on_exec",
        instead_of: "sched_prepare_exec",
        call: None,
    }),
    EXEC,
    "6.10",
)
.optional();

/// What `io_uring_submit_req` was called before.
const SUBMIT_SQE: Row = row(
    "uring_submit_sqe",
    Hook::Typed("io_uring_submit_sqe"),
    SUBMISSION,
    "6.0",
)
.optional();

/// Those that show how connections end. They are attached before
/// [`COUNTING`]: a socket is counted only from when its end would be seen.
pub(super) const CLOSING: &[Row] = &[
    row(
        "enter_shutdown",
        Hook::Syscall("sys_enter_shutdown"),
        SHUTDOWN,
        "4.7",
    )
    .or_nonpreemptible(&SHUTDOWN_PROBE)
    .without_perf(&SHUTDOWN_CALL),
    row(
        "enter_close",
        Hook::Syscall("sys_enter_close"),
        CLOSE,
        "4.7",
    )
    .or_nonpreemptible(&CLOSE_PROBE)
    .without_perf(&CLOSE_CALL),
    row(
        "enter_close_range",
        Hook::Syscall("sys_enter_close_range"),
        CLOSE_RANGE,
        "5.9",
    )
    .or_nonpreemptible(&CLOSE_RANGE_PROBE)
    .without_perf(&CLOSE_RANGE_CALL),
    row("enter_dup2", Hook::Syscall("sys_enter_dup2"), DUP2, "4.7")
        .or_nonpreemptible(&DUP2_PROBE)
        .without_perf(&DUP2_CALL)
        .only_on_x86_64(),
    row("enter_dup3", Hook::Syscall("sys_enter_dup3"), DUP3, "4.7")
        .or_nonpreemptible(&DUP3_PROBE)
        .without_perf(&DUP3_CALL),
    row(
        "prepare_exec",
        Hook::Typed("sched_prepare_exec"),
        EXEC,
        "6.10",
    )
    .optional()
    .or(&CLOSE_ON_EXEC)
    .or_nonpreemptible(&EXEC_EVENT),
    row(
        "process_exit",
        Hook::Typed("sched_process_exit"),
        EXIT,
        "5.5",
    )
    .or_nonpreemptible(&EXIT_EVENT),
    row("fork", Hook::Typed("sched_process_fork"), CHILDREN, "5.5").or_nonpreemptible(&FORK_PROBE),
    row(
        "uring_submit",
        Hook::Typed("io_uring_submit_req"),
        SUBMISSION,
        "6.3",
    )
    .optional()
    .or(&SUBMIT_SQE),
    row(
        "uring_queue",
        Hook::Typed("io_uring_queue_async_work"),
        "shows shutdown by io_uring",
        "6.0",
    )
    .optional(),
    row("send_reset", Hook::Typed(SEND_RESET), RESETS, "4.16")
        .optional()
        .or_nonpreemptible(&RESET_EVENT),
    row(
        "exit_sendmmsg",
        Hook::Syscall("sys_exit_sendmmsg"),
        SENDMMSG,
        "4.7",
    )
    .or_nonpreemptible(&SENDMMSG_PROBE)
    .without_perf(&SENDMMSG_CALL),
    row(
        "exit_sendfile",
        Hook::Syscall("sys_exit_sendfile64"),
        SENDFILE,
        "4.7",
    )
    .without_perf(&SENDFILE_CALL),
];

/// Those that count. `sendfile` and `splice` pass the second only from 6.5 on
/// (it is older itself), so that is what is asked for; before, and where it is
/// missing, those of `functions.rs` take their place.
pub(super) const COUNTING: &[Row] = &[
    row(
        "recv_length",
        Hook::Typed("sock_recv_length"),
        RECEIVED,
        "6.5",
    )
    .or_nonpreemptible(&RECV_EVENT),
    row("send_length", Hook::Typed("sock_send_length"), SENT, "6.5").or_nonpreemptible(&SEND_EVENT),
];

/// The record of `sock:sock_send_length` and `sock:sock_recv_length`.
pub(in crate::capture::live) const MESSAGE: &str = "trace_event_raw_sock_msg_length";

/// The tracepoint where the kernel sends a reset.
pub(super) const SEND_RESET: &str = "tcp_send_reset";

/// Its record; older kernels share one with other tracepoints.
pub(in crate::capture::live) const RESET: &str = "trace_event_raw_tcp_send_reset";

pub(super) fn is_of_resets(program: &str) -> bool {
    ["send_reset", "reset_event"].contains(&program)
}

// What is attached where typed tracepoints may be preempted
// (`detector-ebpf/src/hooks/count_perf.rs`).
const RECV_EVENT: Row = row(
    "recv_event",
    Hook::Event("sock", "sock_recv_length", MESSAGE),
    RECEIVED,
    "6.5",
);
const SEND_EVENT: Row = row(
    "send_event",
    Hook::Event("sock", "sock_send_length", MESSAGE),
    SENT,
    "6.5",
);
const RESET_EVENT: Row = row(
    "reset_event",
    Hook::Event("tcp", SEND_RESET, RESET),
    RESETS,
    "4.16",
)
.optional();
const EXEC_EVENT: Row = row(
    "exec_event",
    Hook::Event(
        "sched",
        "sched_prepare_exec",
        "trace_event_raw_sched_prepare_exec",
    ),
    EXEC,
    "6.10",
)
.optional();
const EXIT_EVENT: Row = row(
    "exit_event",
    // The structure is that of a class of tracepoints, whose name has changed.
    Hook::Event("sched", "sched_process_exit", "trace_entry"),
    EXIT,
    "5.5",
);

// The same of system calls and of forks (`detector-ebpf/src/hooks/syscalls_kprobe.rs`).
const SHUTDOWN_PROBE: Row = row(
    "shutdown_probe",
    Hook::Probe(call!("shutdown"), Probe::Shutdown),
    SHUTDOWN,
    "4.17",
);
const CLOSE_PROBE: Row = row(
    "close_probe",
    Hook::Probe(call!("close"), Probe::Close),
    CLOSE,
    "4.17",
);
const CLOSE_RANGE_PROBE: Row = row(
    "close_range_probe",
    Hook::Probe(call!("close_range"), Probe::CloseRange),
    CLOSE_RANGE,
    "5.9",
);
const DUP2_PROBE: Row = row(
    "dup2_probe",
    Hook::Probe(call!("dup2"), Probe::Dup2),
    DUP2,
    "4.17",
);
const DUP3_PROBE: Row = row(
    "dup3_probe",
    Hook::Probe(call!("dup3"), Probe::Dup3),
    DUP3,
    "4.17",
);
const CONNECT_PROBE: Row = row(
    "connect_probe",
    Hook::Probe(call!("connect"), Probe::Connect),
    BEGINNINGS,
    "4.17",
);
const SENDMMSG_PROBE: Row = row(
    "sendmmsg_probe",
    Hook::Probe(call!("sendmmsg"), Probe::Sendmmsg),
    SENDMMSG,
    "4.17",
);
const INSTALL_PROBE: Row = row(
    "install_probe",
    Hook::Probe("fd_install", Probe::Install),
    BEGINNINGS,
    "2.6",
);
const FORK_PROBE: Row = row(
    "fork_probe",
    Hook::Probe("wake_up_new_task", Probe::Fork),
    CHILDREN,
    "2.6",
);

// The same where perf's events are refused (`detector-ebpf/src/hooks/syscalls_fentry.rs`).
const SHUTDOWN_CALL: Row = start(
    "shutdown_call",
    call!("shutdown"),
    "sys_enter_shutdown",
    Probe::Shutdown,
    SHUTDOWN,
);
const CLOSE_CALL: Row = start(
    "close_call",
    call!("close"),
    "sys_enter_close",
    Probe::Close,
    CLOSE,
);
const CLOSE_RANGE_CALL: Row = start(
    "close_range_call",
    call!("close_range"),
    "sys_enter_close_range",
    Probe::CloseRange,
    CLOSE_RANGE,
);
const DUP2_CALL: Row = start(
    "dup2_call",
    call!("dup2"),
    "sys_enter_dup2",
    Probe::Dup2,
    DUP2,
)
.only_on_x86_64();
const DUP3_CALL: Row = start(
    "dup3_call",
    call!("dup3"),
    "sys_enter_dup3",
    Probe::Dup3,
    DUP3,
);
const CONNECT_CALL: Row = start(
    "connect_call",
    call!("connect"),
    "sys_enter_connect",
    Probe::Connect,
    BEGINNINGS,
);
const SENDMMSG_CALL: Row = start(
    "sendmmsg_call",
    call!("sendmmsg"),
    "sys_exit_sendmmsg",
    Probe::Sendmmsg,
    SENDMMSG,
);
const INSTALL_CALL: Row = start(
    "install_call",
    "fd_install",
    "sys_exit_accept",
    Probe::Install,
    BEGINNINGS,
);
const SENDFILE_CALL: Row = row(
    "sendfile_call",
    Hook::End(Function {
        name: call!("sendfile64"),
        instead_of: "sys_exit_sendfile64",
        call: Some(Probe::Sendfile),
    }),
    SENDFILE,
    "5.5",
);

const fn start(
    program: &'static str,
    name: &'static str,
    instead_of: &'static str,
    call: Probe,
    purpose: &'static str,
) -> Row {
    let call = Some(call);
    row(
        program,
        Hook::Start(Function {
            name,
            instead_of,
            call,
        }),
        purpose,
        "5.5",
    )
}

/// Makes the cookies of sockets for [`RECV_EVENT`] and [`SEND_EVENT`]. A tracepoint
/// calls its users in the order in which they came; perf is one, since its first event
/// of the tracepoint, whosever that was.
/// Each twice: it is left out where it is preempted itself, and seldom are both.
pub(super) const COOKIES: &[Row] = &[
    receives_cookie("recv_cookie"),
    receives_cookie("recv_cookie_again"),
    sends_cookie("send_cookie"),
    sends_cookie("send_cookie_again"),
];

const fn receives_cookie(program: &'static str) -> Row {
    row(
        program,
        Hook::Typed("sock_recv_length"),
        "tells sockets apart as they receive",
        "6.5",
    )
}

const fn sends_cookie(program: &'static str) -> Row {
    row(
        program,
        Hook::Typed("sock_send_length"),
        "tells sockets apart as they send",
        "6.5",
    )
}

/// Those that tell which connections are seen from their first byte. They are
/// attached after [`COUNTING`]: such a byte must have been counted.
pub(super) const NEW_SOCKETS: &[Row] = &[
    row(
        "exit_accept",
        Hook::Syscall("sys_exit_accept"),
        BEGINNINGS,
        "4.7",
    )
    .or_nonpreemptible(&INSTALL_PROBE)
    .without_perf(&INSTALL_CALL),
    row(
        "exit_accept4",
        Hook::Syscall("sys_exit_accept4"),
        BEGINNINGS,
        "4.7",
    )
    .or_nonpreemptible(&INSTALL_PROBE)
    .without_perf(&INSTALL_CALL),
    row(
        "exit_socketpair",
        Hook::Syscall("sys_exit_socketpair"),
        BEGINNINGS,
        "4.7",
    )
    .or_nonpreemptible(&INSTALL_PROBE)
    .without_perf(&INSTALL_CALL),
    row(
        "enter_connect",
        Hook::Syscall("sys_enter_connect"),
        BEGINNINGS,
        "4.7",
    )
    .or_nonpreemptible(&CONNECT_PROBE)
    .without_perf(&CONNECT_CALL),
];
