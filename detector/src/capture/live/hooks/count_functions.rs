//! What counts on kernels without the tracepoints that count: the ends of the
//! functions behind which those are (`detector-ebpf/src/hooks/count_fexit.rs`).

use super::row::{Function, Hook, Kernel, Row, row};
use crate::capture::live::CaptureError;

const SENT_4: &str = "counts what IPv4 sockets send";
const SENT_6: &str = "counts what IPv6 sockets send";
const SENT_UNIX: &str = "counts what Unix sockets send";
const RECEIVED_4: &str = "counts what IPv4 sockets receive";
const RECEIVED_6: &str = "counts what IPv6 sockets receive";
const RECEIVED_UNIX: &str = "counts what Unix sockets receive";
const FILE: &str = "counts what sendfile and splice send";

/// A program at the end of a function, in place of `sock_send_length`.
const fn sends(program: &'static str, name: &'static str, purpose: &'static str) -> Row {
    at_end(program, name, "sock_send_length", purpose)
}

/// The same in place of `sock_recv_length`.
const fn receives(program: &'static str, name: &'static str, purpose: &'static str) -> Row {
    at_end(program, name, "sock_recv_length", purpose)
}

const fn at_end(
    program: &'static str,
    name: &'static str,
    instead_of: &'static str,
    purpose: &'static str,
) -> Row {
    let function = Function {
        name,
        instead_of,
        call: None,
    };
    row(program, Hook::End(function), purpose, "6.5")
}

/// Where IPv6 or Unix sockets are not built into the kernel, they are not seen.
pub(super) const COUNTING: &[Row] = &[
    receives("inet_recvmsg", "inet_recvmsg", RECEIVED_4),
    receives("inet6_recvmsg", "inet6_recvmsg", RECEIVED_6).optional(),
    receives("unix_recvmsg", "unix_stream_recvmsg", RECEIVED_UNIX).optional(),
    sends("inet_sendmsg", "inet_sendmsg", SENT_4),
    sends("inet6_sendmsg", "inet6_sendmsg", SENT_6).optional(),
    sends("unix_sendmsg", "unix_stream_sendmsg", SENT_UNIX).optional(),
    sends("inet_sendpage", "inet_sendpage", FILE).if_supported(),
    sends("unix_sendpage", "unix_stream_sendpage", FILE).if_supported(),
];

/// Whether this program is one of them.
pub(in crate::capture::live) fn counts(program: &str) -> bool {
    COUNTING.iter().any(|row| row.is_of(program))
}

/// Whether files are sent past the functions that send all else: up to Linux 6.4.
pub(super) fn send_pages(kernel: Kernel<'_>) -> bool {
    kernel.has_function("inet_sendpage")
}

/// Refuses kernels that have these functions and lack what the programs call.
pub(super) fn check(kernel: Kernel<'_>) -> Result<(), CaptureError> {
    let helper = "bpf_task_pt_regs";
    if kernel.has_function(helper) {
        return Ok(());
    }
    Err(CaptureError::NoHelper {
        helper,
        purpose: "tells what a system call was given",
        since: "5.15",
    })
}
