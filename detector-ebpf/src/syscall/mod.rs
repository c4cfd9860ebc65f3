//! Reads what the system call that is running was given: its registers and,
//! through them, the process's buffers.
//!
//! On x86-64 the argument registers survive to the end of the call; on arm64
//! x0 is in `orig_x0`. The pages were just used by the kernel, so they are
//! resident; a read that fails all the same is counted.

mod iovec;

use aya_ebpf::{
    helpers::bpf_probe_read_user,
    programs::{FEntryContext, ProbeContext, TracePointContext},
};
use detector_common::{
    Arguments, FLAGS_FOURTH, FLAGS_THIRD, OPERATION, OUT_OF_BAND, RECEIVES, SYSCALL_LIMIT,
};

pub(crate) use self::iovec::Gather;
use self::iovec::{VectorSum, add_vectors};

use crate::{
    config::{config, has},
    hooks::uring,
    kernel::{Socket, field, open_file},
    ring::Stamp,
    task::Task,
    verifier::{hide_bounds, hide_value},
};

/// What moves bytes through a socket: the system call that is running in the
/// current task, or an operation of io_uring.
#[derive(Clone, Copy)]
pub(crate) struct SystemCall {
    /// See [`Self::number`] and [`marks`].
    number: u32,
    /// An [`Arguments`] code. As wide as the others: a structure with padding is
    /// copied byte by byte.
    arguments: u32,
    /// The descriptor, or -1 where there is none.
    fd: i32,
    /// Of the buffer, of the vectors, or of the message's header.
    pointer: u64,
    /// Of the buffer in bytes, or of the vectors their number.
    length: u64,
    /// Of a `sendmmsg`: the number of the message being sent.
    message: u32,
}

/// Of a table's entry, the [`Arguments`].
const KIND: u8 = !(RECEIVES | FLAGS_THIRD | FLAGS_FOURTH);

/// In [`SystemCall::number`], above what a number has: 1 where the last byte that the
/// call sends is in no stream.
const MARKS_SHIFT: u32 = 16;

/// The same number as the structure has it.
#[inline(always)]
const fn code(arguments: Arguments) -> u32 {
    arguments.code() as u32
}

/// `PF_IO_WORKER` and `PF_KTHREAD` (include/linux/sched.h).
const PF_IO_WORKER: u32 = 0x10;
const PF_KTHREAD: u32 = 0x20_0000;

/// A register. Evaluated each time: keep what is used often.
macro_rules! register {
    ($registers:expr, $name:ident) => {{
        let at = config!(registers.$name);
        // SAFETY: the pointer is to a whole struct pt_regs; the verifier checks
        // the offset against its BTF.
        unsafe { field::<u64>($registers, at) }
    }};
}

/// Code segment of 32-bit tasks on x86-64 (`__USER32_CS`,
/// arch/x86/include/asm/segment.h).
const USER32_CS: u64 = 0x23;

/// `MSG_FASTOPEN` (include/linux/socket.h), and what stands for it in [`marks`].
const FAST_OPEN_SHIFT: u32 = 29;
const FAST_OPEN_MARK: u32 = 1 << 1;

/// What matters of a send's flags: [`OUT_OF_BAND`] and [`FAST_OPEN_MARK`].
#[inline(always)]
const fn marks(flags: u32) -> u32 {
    flags & OUT_OF_BAND | flags >> FAST_OPEN_SHIFT << 1 & FAST_OPEN_MARK
}

/// Offered bytes that are not known.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// A piece of user memory, laid out as `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct UserBuf {
    pub(crate) base: u64,
    pub(crate) length: u64,
}

impl UserBuf {
    /// No bytes. The compiler is not to know: zeros it would write by a loop over bytes.
    #[inline(always)]
    fn none() -> Self {
        Self {
            base: hide_bounds(0_u64),
            length: hide_bounds(0_u64),
        }
    }
}

/// Whether the current task is a 32-bit program: its arguments mean something
/// else.
#[inline(always)]
pub(crate) fn is_compat() -> bool {
    has!(registers.code_segment)
        && register!(Task::current().registers(), code_segment) & 0xffff == USER32_CS
}

/// Whether the current task moves bytes by system calls only: it is not the kernel's
/// and does not use io_uring, whose operations are told apart once ([`uring`]).
#[inline(always)]
pub(crate) fn calls_only() -> bool {
    let task = Task::current();
    let (flags_at, io_uring_at) = (config!(fields.task_flags), config!(fields.task_io_uring));
    // SAFETY: fields of the running task; the verifier checks the offsets.
    let flags: u32 = unsafe { field(task.0, flags_at) };
    if flags & (PF_KTHREAD | PF_IO_WORKER) != 0 {
        return false;
    }
    if !has!(fields.task_io_uring) {
        return true;
    }
    // SAFETY: as above.
    let context: u64 = unsafe { field(task.0, io_uring_at) };
    context == 0
}

impl SystemCall {
    /// The call in which the socket `sk` sends or receives, and who makes it.
    ///
    /// A task that uses io_uring may do that on its way out of any other call,
    /// and kernel threads in none: then the registers say nothing of it. For `zero`
    /// see [`hide_value`].
    #[inline(always)]
    pub(crate) fn of(sk: Socket, sending: bool, zero: u64) -> (Self, Stamp) {
        let task = Task::current();
        let (tgid_at, pid_at) = (config!(fields.task_tgid), config!(fields.task_pid));
        let (flags_at, io_uring_at) = (config!(fields.task_flags), config!(fields.task_io_uring));
        // SAFETY: fields of the running task; the verifier checks the offsets.
        let (tgid, tid, flags): (u32, u32, u32) = unsafe {
            (
                field(task.0, tgid_at),
                field(task.0, pid_at),
                field(task.0, flags_at),
            )
        };
        let stamp = Stamp::at(tgid, tid);
        let registers = task.registers_by_address();
        let mut this = Self::in_registers(registers);
        let number = this.number as usize;
        let kernel = flags & (PF_KTHREAD | PF_IO_WORKER) != 0;
        if !kernel && number < SYSCALL_LIMIT {
            // SAFETY: the index is below the array's length (checked above).
            let code = unsafe {
                core::ptr::read_volatile(
                    (&raw const crate::maps::CONFIG.arguments)
                        .cast::<u8>()
                        .add(number),
                )
            };
            // A thread that waits in a read may be sending for io_uring.
            if sending == (code & RECEIVES == 0) {
                this.arguments = u32::from(code & KIND);
                let fourth = register!(registers, arg3) as u32;
                this.number |= this.marks(code, fourth) << MARKS_SHIFT;
            }
        } else {
            this.number &= (1 << MARKS_SHIFT) - 1;
        }
        if has!(fields.task_io_uring) {
            // SAFETY: as above.
            let context: u64 = unsafe { field(task.0, io_uring_at) };
            if context != 0 || kernel {
                // Of a copy: what has no address stays in registers.
                let mut other = this;
                // Before the ways part further.
                other.hide_values(zero);
                let kernel = hide_value(u32::from(kernel), zero) as u32;
                other.or_operation(sk, tid, sending, kernel);
                this = other;
            }
        }
        if this.is(Arguments::Opaque) {
            this.fd = -1;
        }
        this.hide_values(zero);
        (this, stamp)
    }

    /// Hides from the verifier what it knows of the call ([`hide_value`]).
    #[inline(always)]
    pub(crate) fn hide_values(&mut self, zero: u64) {
        self.arguments = hide_value(self.arguments, zero) as u32;
        self.number = hide_value(self.number, zero) as u32;
        self.fd = hide_value(self.fd as u32, zero) as i32;
        self.pointer = hide_value(self.pointer, zero);
        self.length = hide_value(self.length, zero);
        self.message = hide_value(self.message, zero) as u32;
    }

    /// The registers, taken for those of a call of unknown kind.
    #[inline(always)]
    fn in_registers(registers: *const u8) -> Self {
        Self {
            number: {
                let at = config!(registers.number);
                // SAFETY: as register! does; on arm64 the field has four bytes.
                unsafe { field(registers, at) }
            },
            arguments: code(Arguments::Opaque),
            fd: register!(registers, arg0) as i32,
            pointer: register!(registers, arg1),
            length: register!(registers, arg2),
            message: 0,
        }
    }

    /// What matters of the flags, which the table's entry says where to find ([`marks`]).
    /// Of numbers, without a branch.
    #[inline(always)]
    fn marks(&self, code: u8, fourth: u32) -> u32 {
        let third = u32::from(code & FLAGS_THIRD != 0) * marks(self.length as u32);
        let fourth = u32::from(code & FLAGS_FOURTH != 0) * marks(fourth);
        third | fourth
    }

    /// Whether the last byte that it sends is in no stream (`MSG_OOB`).
    #[inline(always)]
    pub(crate) fn is_urgent(&self) -> bool {
        self.number >> MARKS_SHIFT & OUT_OF_BAND != 0
    }

    /// Whether it connects the socket first (`MSG_FASTOPEN`, tcp(7)).
    #[inline(always)]
    pub(crate) fn connects(&self) -> bool {
        self.number >> MARKS_SHIFT & FAST_OPEN_MARK != 0
    }

    /// Its number, as in `detector_common::CallEntry`.
    #[inline(always)]
    pub(crate) fn number(&self) -> u32 {
        self.number & ((1 << MARKS_SHIFT) - 1)
    }

    /// The descriptor that the call that runs was given, if it moves bytes through that,
    /// and whether it may do so in several pieces.
    #[inline(always)]
    pub(crate) fn mover() -> (Option<i32>, bool) {
        let call = Self::in_registers(Task::current().registers());
        let number = call.number as usize;
        if number >= SYSCALL_LIMIT {
            return (None, true);
        }
        // SAFETY: as in of.
        let entry = unsafe {
            core::ptr::read_volatile(
                (&raw const crate::maps::CONFIG.arguments)
                    .cast::<u8>()
                    .add(number),
            )
        };
        let kind = u32::from(entry & KIND);
        if kind == code(Arguments::Opaque) {
            return (None, true);
        }
        let several = kind == code(Arguments::File) || kind == code(Arguments::Mmsghdr);
        (Some(call.fd), several)
    }

    /// An operation of io_uring. `flags`: a send's, as in `msghdr`.
    #[inline(always)]
    pub(crate) fn operation(code: u8, arguments: u8, fd: i32, bytes: UserBuf, flags: u32) -> Self {
        Self {
            number: u32::from(OPERATION) | u32::from(code) | marks(flags) << MARKS_SHIFT,
            arguments: u32::from(arguments),
            fd,
            pointer: bytes.base,
            length: bytes.length,
            message: 0,
        }
    }

    /// Becomes the operation of io_uring that is running, if one is; else stays
    /// the system call only if that names the socket.
    #[inline(never)]
    fn or_operation(&mut self, sk: Socket, tid: u32, sending: bool, kernel: u32) {
        if let Some(operation) = uring::operation(sk, tid, sending, kernel != 0) {
            *self = operation;
        } else if !self.names(sk) {
            self.arguments = code(Arguments::Opaque);
            self.number = self.number();
        }
    }

    /// Whether the call's descriptor is this socket.
    #[inline(always)]
    fn names(&self, sk: Socket) -> bool {
        open_file(self.fd)
            .and_then(|file| file.socket())
            .is_some_and(|socket| socket.0.0 == sk.0.0)
    }

    /// The system call of the tracepoint that runs, at its end.
    #[inline(always)]
    pub(crate) fn ending() -> Self {
        Self {
            arguments: code(Arguments::File),
            ..Self::in_registers(Task::current().registers())
        }
    }

    #[inline(always)]
    fn is(&self, arguments: Arguments) -> bool {
        self.arguments == code(arguments)
    }

    /// Whether the bytes it moves are in user memory that can be looked at.
    #[inline(always)]
    pub(crate) fn has_memory(&self) -> bool {
        !self.is(Arguments::Opaque) && !self.is(Arguments::File)
    }

    /// Whether it sends several messages; the one being sent is then named with
    /// [`Self::at_message`].
    #[inline(always)]
    pub(crate) fn is_mmsg(&self) -> bool {
        self.is(Arguments::Mmsghdr)
    }

    /// Looks at this message of a `sendmmsg`.
    #[inline(always)]
    pub(crate) fn at_message(&mut self, message: u32) {
        self.message = message;
    }

    /// Whether it moves a file's bytes.
    #[inline(always)]
    pub(crate) fn is_file(&self) -> bool {
        self.is(Arguments::File)
    }

    /// The descriptor, or -1 for calls that have none.
    #[inline(always)]
    pub(crate) fn fd(&self) -> i32 {
        self.fd
    }

    /// The number of the call that runs.
    #[inline(always)]
    pub(crate) fn running() -> u32 {
        let at = config!(registers.number);
        // SAFETY: as in in_registers.
        unsafe { field(Task::current().registers(), at) }
    }

    /// The running call's fourth argument: few calls' matters.
    #[inline(always)]
    pub(crate) fn fourth() -> u64 {
        register!(Task::current().registers(), arg3)
    }

    /// Whether it comes with control data: with kernel TLS that may say that the
    /// bytes are no data of the stream (Documentation/networking/tls.rst).
    #[inline(always)]
    pub(crate) fn has_control(&self) -> bool {
        if !self.is(Arguments::Msghdr) && !self.is(Arguments::Mmsghdr) {
            return false;
        }
        let pointer = self.pointer + u64::from(self.message) * 64;
        // struct user_msghdr: controllen 40.
        // SAFETY: the helper checks the address.
        let length = unsafe { bpf_probe_read_user((pointer + 40) as *const u64) };
        length != Ok(0)
    }

    /// The bytes that the call offered, if it was given one buffer of them.
    #[inline(always)]
    pub(crate) fn buffer(&self) -> Option<UserBuf> {
        self.is(Arguments::Buffer).then_some(UserBuf {
            base: self.pointer,
            length: self.length,
        })
    }

    /// Bytes that the call offered, and the first piece of them.
    #[inline(always)]
    pub(crate) fn offered(&self) -> (u64, UserBuf) {
        if let Some(piece) = self.buffer() {
            return (piece.length, piece);
        }
        if self.is(Arguments::File) {
            return (Self::fourth(), UserBuf::none());
        }
        if !self.has_memory() {
            return (UNKNOWN, UserBuf::none());
        }
        let mut sum = VectorSum {
            // As in `UserBuf::none`.
            vectors: hide_bounds(0_u64),
            count: hide_bounds(0_u64),
            total: UNKNOWN,
            first: UserBuf::none(),
        };
        // Each by itself: a copy of the whole takes stack.
        add_vectors(
            self.arguments,
            self.pointer,
            self.length,
            self.message,
            &mut sum,
        );
        (sum.total, sum.first)
    }
}

/// What a system call was given, as the hook at its beginning tells. (A `Result` as the
/// helper gives it: of an `Option` the compiler copies what was not read.)
pub(crate) trait SyscallArgs {
    fn first(&self) -> Result<u64, i32>;
    fn second(&self) -> Result<u64, i32>;
    fn third(&self) -> Result<u64, i32>;
}

/// By its tracepoint's record: eight bytes each
/// (events/syscalls/sys_enter_shutdown/format).
impl SyscallArgs for TracePointContext {
    #[inline(always)]
    fn first(&self) -> Result<u64, i32> {
        // SAFETY: within the tracepoint's record, here and below.
        unsafe { self.read_at(16) }
    }

    #[inline(always)]
    fn second(&self) -> Result<u64, i32> {
        // SAFETY: as above.
        unsafe { self.read_at(24) }
    }

    #[inline(always)]
    fn third(&self) -> Result<u64, i32> {
        // SAFETY: as above.
        unsafe { self.read_at(32) }
    }
}

/// By the registers of its entry into the kernel: of these, a hook on its function is
/// given the address, in another place on each architecture.
macro_rules! by_registers {
    ($context:ty) => {
        impl SyscallArgs for $context {
            #[inline(always)]
            fn first(&self) -> Result<u64, i32> {
                Ok(register!(Task::current().registers(), arg0))
            }

            #[inline(always)]
            fn second(&self) -> Result<u64, i32> {
                Ok(register!(Task::current().registers(), arg1))
            }

            #[inline(always)]
            fn third(&self) -> Result<u64, i32> {
                Ok(register!(Task::current().registers(), arg2))
            }
        }
    };
}

by_registers!(ProbeContext);
by_registers!(FEntryContext);
