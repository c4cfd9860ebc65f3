//! What io_uring does: operations that no system call makes.
//!
//! Their bytes are counted where all are (`count.rs`); here is what those
//! hooks do not tell: where in memory the bytes are, and which operations end
//! a connection.
//!
//! A request that is issued while it is submitted is recognised by its thread.
//! One that waits (for the socket, for another it is linked to, for a worker)
//! is not: what it sends counts, and is not looked at.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use detector_common::{Arguments, EndKind, OPERATION_LIMIT, RECEIVES, flag};

use crate::{
    close::descriptor::{BY_URING, ending_of, release, shut, socket_of},
    config::{config, has},
    filter::passes,
    kernel::{Address, File, Socket},
    maps::SUBMITTED,
    processes::is_watched,
    ring::current,
    syscall::{SystemCall, UserBuf},
};

/// `enum io_uring_op` (include/uapi/linux/io_uring.h).
const CLOSE: u8 = 19;
const SHUTDOWN: u8 = 34;
/// Those whose request is a `struct io_rw`: readv, writev, the fixed ones, read
/// and write. All others in the table are a `struct io_sr_msg`.
const OF_FILES: [u8; 6] = [1, 2, 4, 5, 22, 23];

/// Flags of a request that are those of its submission (`IOSQE_*`,
/// io_uring_enter(2)).
const FIXED_FILE: u64 = 1;
/// It waits: drain, link, hard link, async.
const WAITS: u64 = 2 | 4 | 8 | 16;
/// `IORING_SEND_VECTORIZED`: the buffer is I/O vectors (Linux 6.17).
const SEND_VECTORIZED: u16 = 1 << 5;
/// The kernel picks the buffer.
const BUFFER_SELECT: u64 = 32;

/// `io_uring_submit_req`: `(struct io_kiocb *req)`, when a request was taken
/// from the ring and before it is issued. Linux 6.3 and later. Checked: 6.18.
#[btf_tracepoint(function = "io_uring_submit_req")]
fn uring_submit(context: BtfTracePointContext) -> i32 {
    on_submit(Address(context.arg::<u64>(0)))
}

/// `io_uring_submit_sqe`: `(struct io_kiocb *req, bool force_nonblock)`, its name
/// before 6.3; with these arguments since 6.0. Checked: 6.1.
#[btf_tracepoint(function = "io_uring_submit_sqe")]
fn uring_submit_sqe(context: BtfTracePointContext) -> i32 {
    on_submit(Address(context.arg::<u64>(0)))
}

#[inline(always)]
fn on_submit(request: Address) -> i32 {
    let (tgid, tid) = current();
    if !has!(fields.req_file) || !passes(tgid) {
        return 0;
    }
    let Some(code) = request.read::<u8>(config!(fields.req_opcode)) else {
        return 0;
    };
    if code == CLOSE {
        close(request);
    } else if arguments(code) != 0 && !waits(request) {
        // An LRU map: it is never full. Should it fail, the bytes of this
        // operation are not looked at.
        if SUBMITTED.insert(&tid, &request.0, 0).is_ok() {
            return 0;
        }
    }
    // Absent is as good as removed.
    if SUBMITTED.remove(&tid).is_err() {}
    0
}

/// `io_uring_queue_async_work`: `(struct io_kiocb *req, int rw)`, when a
/// request goes to a worker: as every shutdown does, after those that it was
/// linked to. Linux 5.5 and later, with these arguments since 6.0.
#[btf_tracepoint(function = "io_uring_queue_async_work")]
fn uring_queue(context: BtfTracePointContext) -> i32 {
    let (tgid, _) = current();
    if !has!(fields.req_file) || !is_watched(tgid) {
        return 0;
    }
    let request = Address(context.arg::<u64>(0));
    if request.read::<u8>(config!(fields.req_opcode)) != Some(SHUTDOWN) {
        return 0;
    }
    let flags: u64 = request.read_or_zero(config!(fields.req_flags));
    let (Some(fd), Some(how)) = (
        request.read::<i32>(config!(fields.req_fd)),
        request.read::<u32>(config!(fields.shutdown_how)),
    ) else {
        return 0;
    };
    // A registered file's number is no descriptor: its socket ends unseen, and
    // is told as one that did not end.
    if flags & FIXED_FILE == 0 {
        shut(fd, how, BY_URING);
    }
    0
}

/// A close that is issued at once; one that waits is not followed.
#[inline(always)]
fn close(request: Address) {
    let slot: u32 = request.read_or_zero(config!(fields.close_slot));
    let Some(fd) = request.read::<i32>(config!(fields.close_fd)) else {
        return;
    };
    if slot != 0 {
        return;
    }
    let Some((file, socket)) = socket_of(fd) else {
        return;
    };
    if !waits(request) {
        release(file, socket, EndKind::Close, BY_URING, fd);
    } else if let Some((_, connection)) = ending_of(socket, 1) {
        connection.end_flags |= flag::UNSEEN_END;
    }
}

/// Whether it may be issued later than it is submitted: others are submitted, and issued,
/// between.
#[inline(always)]
fn waits(request: Address) -> bool {
    let flags: u64 = request.read(config!(fields.req_flags)).unwrap_or(WAITS);
    flags & WAITS != 0 || in_chain(request)
}

/// Whether it is linked to one that was submitted before.
#[inline(always)]
fn in_chain(request: Address) -> bool {
    request
        .follow(config!(fields.req_ctx))
        .and_then(|ring| ring.read::<u64>(config!(fields.ctx_link_head)))
        != Some(0)
}

/// What the table says of an operation: its [`Arguments`], and whether it
/// receives.
#[inline(always)]
fn arguments(code: u8) -> u8 {
    let code = usize::from(code);
    if code >= OPERATION_LIMIT {
        return 0;
    }
    // SAFETY: the index is below the array's length (checked above).
    unsafe {
        core::ptr::read_volatile(
            (&raw const crate::maps::CONFIG.operations)
                .cast::<u8>()
                .add(code),
        )
    }
}

/// The operation with which the thread is moving bytes through this socket, if
/// that is known; it is then done with. `worker`: a thread of the kernel's, for
/// which only the buffers of a request stay where they are.
#[inline(always)]
pub(crate) fn operation(sk: Socket, tid: u32, sending: bool, worker: bool) -> Option<SystemCall> {
    if !has!(fields.req_file) {
        return None;
    }
    let request = SUBMITTED.get_ptr(&tid)?;
    // SAFETY: a live map value.
    let request = Address(unsafe { *request });
    let file = request.follow(config!(fields.req_file))?;
    if File(file).socket()?.0.0 != sk.0.0 {
        return None;
    }
    let code: u8 = request.read(config!(fields.req_opcode))?;
    let mut arguments = arguments(code);
    if sending == (arguments & RECEIVES != 0) {
        return None;
    }
    arguments &= !RECEIVES;
    let flags: u64 = request.read(config!(fields.req_flags))?;
    let fd: i32 = request.read(config!(fields.req_fd))?;
    let mut message_flags = 0;
    let (base, length): (u64, u32) = if OF_FILES.contains(&code) {
        (
            request.read(config!(fields.rw_address))?,
            request.read(config!(fields.rw_length))?,
        )
    } else {
        let more: u16 = request.read(config!(fields.sr_flags))?;
        message_flags = request.read(config!(fields.sr_message_flags))?;
        if more & SEND_VECTORIZED != 0 && arguments == Arguments::Buffer.code() {
            arguments = Arguments::Iovec.code();
        }
        (
            request.read(config!(fields.sr_buffer))?,
            request.read(config!(fields.sr_length))?,
        )
    };
    if SUBMITTED.remove(&tid).is_err() {
        return None;
    }
    let moves = worker && arguments != Arguments::Buffer.code();
    if moves || flags & BUFFER_SELECT != 0 {
        arguments = Arguments::Opaque.code();
    }
    let fd = if flags & FIXED_FILE != 0 { -1 } else { fd };
    let bytes = UserBuf {
        base,
        length: u64::from(length),
    };
    let flags = if sending { message_flags } else { 0 };
    Some(SystemCall::operation(code, arguments, fd, bytes, flags))
}
