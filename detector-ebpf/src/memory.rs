//! Reads what the system call that is running was given: its registers and,
//! through them, the process's buffers.
//!
//! On x86-64 the argument registers survive to the end of the call; on arm64
//! x0 is in `orig_x0`. The pages were just used by the kernel, so they are
//! resident; a read that fails all the same is counted.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::{
    helpers::{
        bpf_get_current_task_btf, bpf_probe_read_user, bpf_task_pt_regs,
        generated::{bpf_for_each_map_elem, bpf_probe_read_user as probe_read_user},
    },
    macros::map,
    maps::Array,
};
use detector_common::{Arguments, NO_FIELD, SAMPLE_LEN, SYSCALL_LIMIT};

use crate::{
    kernel::{Socket, descriptors},
    maps::{Scratch, config},
    ring::Moment,
};

/// The system call that is running in the current task.
#[derive(Clone, Copy)]
pub(crate) struct SystemCall {
    pub(crate) number: u32,
    /// An [`Arguments`] code.
    arguments: u8,
    registers: *const u8,
    task: *const u8,
    /// Of a `sendmmsg`: the number of the message being sent.
    message: u32,
}

/// `PF_IO_WORKER` and `PF_KTHREAD` (include/linux/sched.h).
const PF_IO_WORKER: u32 = 0x10;
const PF_KTHREAD: u32 = 0x20_0000;

/// Reads a field through a pointer whose type the verifier knows.
///
/// # Safety
///
/// The structure has a field of type `T` at the offset.
#[inline(always)]
pub(crate) unsafe fn field<T>(structure: *const u8, offset: u32) -> T {
    // SAFETY: promised by the caller, checked by the verifier.
    unsafe { core::ptr::read_volatile(structure.add(offset as usize).cast::<T>()) }
}

/// Code segment of 32-bit tasks on x86-64 (`__USER32_CS`,
/// arch/x86/include/asm/segment.h).
const USER32_CS: u64 = 0x23;

/// Offered bytes that are not known.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// I/O vectors read at once, and how many batches follow the first: together
/// `UIO_MAXIOV` (1,024) vectors.
const VECTOR_BATCH: usize = 8;
const VECTOR_BATCHES: u32 = 127;

/// A piece of user memory, laid out as `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) base: u64,
    pub(crate) length: u64,
}

const NO_PIECE: Piece = Piece { base: 0, length: 0 };

impl SystemCall {
    /// The call in which the socket `sk` sends or receives.
    /// bpf_task_pt_regs: Linux 5.15 and later.
    ///
    /// A task that uses io_uring may do that on its way out of any other call,
    /// and kernel threads in none: then the registers say nothing of it.
    #[inline(always)]
    pub(crate) fn of(sk: Socket) -> Self {
        // SAFETY: the helper cannot fail; the pointer is to the running task.
        let task = unsafe { bpf_get_current_task_btf() };
        // SAFETY: the helper cannot fail for the current task.
        let registers = unsafe { bpf_task_pt_regs(task) } as *const u8;
        let mut this = Self {
            number: 0,
            arguments: 0,
            registers,
            task: task.cast(),
            message: 0,
        };
        let number = this.register(config!(registers.number)) as u32 as usize;
        this.number = number as u32;
        let (flags_at, io_uring_at) = (config!(fields.task_flags), config!(fields.task_io_uring));
        // SAFETY: a field of the running task; the verifier checks the offset.
        let flags: u32 = unsafe { field(task.cast(), flags_at) };
        if number >= SYSCALL_LIMIT || flags & (PF_KTHREAD | PF_IO_WORKER) != 0 {
            return this;
        }
        // SAFETY: the index is below the array's length (checked above).
        this.arguments = unsafe {
            core::ptr::read_volatile(
                (&raw const crate::maps::CONFIG.arguments)
                    .cast::<u8>()
                    .add(number),
            )
        };
        if io_uring_at != NO_FIELD {
            // SAFETY: as above.
            let context: u64 = unsafe { field(task.cast(), io_uring_at) };
            if context != 0 && !this.names(sk) {
                this.arguments = Arguments::Opaque.code();
            }
        }
        this
    }

    /// Who makes it, and when it is.
    #[inline(always)]
    pub(crate) fn moment(&self) -> Moment {
        let (tgid_at, pid_at) = (config!(fields.task_tgid), config!(fields.task_pid));
        // SAFETY: fields of the running task; the verifier checks the offsets.
        let (tgid, tid) = unsafe { (field(self.task, tgid_at), field(self.task, pid_at)) };
        Moment::at(tgid, tid)
    }

    /// Whether the call's descriptor is this socket.
    #[inline(always)]
    fn names(&self, sk: Socket) -> bool {
        descriptors()
            .and_then(|table| table.file(self.fd()))
            .and_then(|file| file.socket())
            .is_some_and(|socket| socket.0.0 == sk.0.0)
    }

    /// The system call of the tracepoint that runs, at its end.
    #[inline(always)]
    pub(crate) fn ending() -> Self {
        // SAFETY: as in `of`.
        let task = unsafe { bpf_get_current_task_btf() };
        // SAFETY: as in `of`.
        let registers = unsafe { bpf_task_pt_regs(task) } as *const u8;
        Self {
            number: 0,
            arguments: Arguments::File.code(),
            registers,
            task: task.cast(),
            message: 0,
        }
        .numbered()
    }

    #[inline(always)]
    fn numbered(mut self) -> Self {
        self.number = self.register(config!(registers.number)) as u32;
        self
    }

    /// A 32-bit program: its arguments mean something else.
    #[inline(always)]
    pub(crate) fn is_compat(&self) -> bool {
        config!(registers.code_segment) != NO_FIELD
            && self.register(config!(registers.code_segment)) & 0xffff == USER32_CS
    }

    #[inline(always)]
    fn register(&self, offset: u32) -> u64 {
        // SAFETY: the helper's result points to a whole struct pt_regs; the
        // verifier checks the offset against its BTF.
        unsafe { core::ptr::read_volatile(self.registers.add(offset as usize).cast::<u64>()) }
    }

    #[inline(always)]
    fn is(&self, arguments: Arguments) -> bool {
        self.arguments == arguments.code()
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
        if self.is(Arguments::Opaque) {
            -1
        } else {
            self.register(config!(registers.arg0)) as i32
        }
    }

    /// Where the I/O vectors are, and how many.
    #[inline(always)]
    fn vectors(&self) -> Option<(u64, u64)> {
        let pointer = self.register(config!(registers.arg1));
        if self.is(Arguments::Iovec) {
            return Some((pointer, self.register(config!(registers.arg2))));
        }
        // struct mmsghdr is a user_msghdr and a length: 64 bytes.
        let pointer = pointer + u64::from(self.message) * 64;
        // struct user_msghdr: name 0, namelen 8, iov 16, iovlen 24.
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user((pointer + 16) as *const (u64, u64)) }.ok()
    }

    /// The count that a [`Arguments::File`] call asks for.
    #[inline(always)]
    pub(crate) fn file_count(&self) -> u64 {
        self.register(config!(registers.arg3))
    }

    /// Bytes that the call offered, and the first piece of them.
    #[inline(always)]
    pub(crate) fn offered(&self) -> (u64, Piece) {
        if self.is(Arguments::Buffer) {
            let length = self.register(config!(registers.arg2));
            let base = self.register(config!(registers.arg1));
            return (length, Piece { base, length });
        }
        if self.is(Arguments::File) {
            return (self.file_count(), NO_PIECE);
        }
        if !self.has_memory() {
            return (UNKNOWN, NO_PIECE);
        }
        let Some((vectors, count)) = self.vectors() else {
            return (UNKNOWN, NO_PIECE);
        };
        let mut sum = VectorSum {
            vectors,
            count,
            total: 0,
            first: NO_PIECE,
        };
        sum.add_batch(0);
        if count > VECTOR_BATCH as u64 {
            // SAFETY: a map of this program, a callback of the form that the
            // helper asks for, and a context that outlives the call.
            unsafe {
                bpf_for_each_map_elem(
                    (&raw const BATCHES).cast_mut().cast(),
                    add_batch as *mut c_void,
                    (&raw mut sum).cast(),
                    0,
                )
            };
        }
        (sum.total, sum.first)
    }

    /// Gathers the first `wanted` bytes that the call moved into the scratch;
    /// returns how many there are, or `None` if memory could not be read.
    #[inline(always)]
    pub(crate) fn gather(&self, scratch: &mut Scratch, wanted: u32) -> Option<u32> {
        let wanted = wanted.min(SAMPLE_LEN as u32);
        if self.is(Arguments::Buffer) {
            let from = self.register(config!(registers.arg1));
            return read_piece(scratch, 0, wanted, from).then_some(wanted);
        }
        let (vectors, count) = self.vectors()?;
        let mut filled = 0u32;
        for index in 0..VECTOR_BATCH as u64 {
            if index >= count || filled >= wanted || filled >= SAMPLE_LEN as u32 {
                break;
            }
            // SAFETY: the helper checks the address.
            let vector: Piece =
                unsafe { bpf_probe_read_user((vectors + index * 16) as *const Piece) }.ok()?;
            let left = u64::from(wanted - filled);
            let piece = vector.length.min(left) as u32;
            if piece > SAMPLE_LEN as u32 {
                break;
            }
            if piece > 0 && !read_piece(scratch, filled, piece, vector.base) {
                return None;
            }
            filled += piece;
        }
        Some(filled)
    }
}

/// Adds up I/O vectors.
struct VectorSum {
    vectors: u64,
    count: u64,
    total: u64,
    first: Piece,
}

impl VectorSum {
    /// Adds the vectors of one batch; `false` when there are no more.
    #[inline(always)]
    fn add_batch(&mut self, index: u64) -> bool {
        let done = index * VECTOR_BATCH as u64;
        if done >= self.count {
            return false;
        }
        let left = (self.count - done).min(VECTOR_BATCH as u64) as u32;
        let mut batch = [const { MaybeUninit::<Piece>::uninit() }; VECTOR_BATCH];
        for vector in &mut batch {
            // Those that are not there count as empty: all are added, without
            // branches, of which each would double what the verifier walks.
            // SAFETY: a place on the stack.
            unsafe {
                vector
                    .as_mut_ptr()
                    .write_volatile(Piece { base: 0, length: 0 })
            };
        }
        // SAFETY: at most VECTOR_BATCH vectors go into the array of as many;
        // the helper checks the source.
        let failed = unsafe {
            probe_read_user(
                (&raw mut batch).cast(),
                (left & 15) * 16,
                (self.vectors + done * 16) as *const _,
            )
        };
        if failed != 0 {
            self.total = UNKNOWN;
            return false;
        }
        // SAFETY: all were written above.
        let vectors = unsafe { &*(&raw const batch).cast::<[Piece; VECTOR_BATCH]>() };
        for vector in vectors {
            self.total = self.total.wrapping_add(vector.length);
        }
        if index == 0 {
            // Of the first two; behind more empty ones nothing is looked at, and
            // the call is sampled.
            self.first = if vectors[0].length > 0 {
                vectors[0]
            } else {
                vectors[1]
            };
        }
        true
    }
}

/// One entry per batch beyond the first, for its length only: a loop, as in
/// `maps::WORDS`.
#[map]
static BATCHES: Array<u32> = Array::with_max_entries(VECTOR_BATCHES, 0);

unsafe extern "C" fn add_batch(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    sum: *mut VectorSum,
) -> i64 {
    // SAFETY: the helper passes the key of the element and our context.
    let (index, sum) = unsafe { (*key, &mut *sum) };
    i64::from(!sum.add_batch(u64::from(index) + 1))
}

/// Copies `length` bytes of user memory to `at` in the scratch's data.
#[inline(always)]
fn read_piece(scratch: &mut Scratch, at: u32, length: u32, from: u64) -> bool {
    let (at, length) = (forget(at), forget(length));
    if at >= SAMPLE_LEN as u64 || length > SAMPLE_LEN as u64 {
        return false;
    }
    // SAFETY: at < SAMPLE_LEN and length <= SAMPLE_LEN (checked above), the
    // array has twice that; the helper checks the source.
    unsafe {
        let to = (&raw mut scratch.data).cast::<u8>().add(at as usize);
        probe_read_user(to.cast(), length as u32, from as *const _) == 0
    }
}

/// The same number, of which the compiler no longer knows the bounds: it then
/// keeps the check that follows, on the very register that the verifier sees.
#[inline(always)]
pub(crate) fn forget(number: u32) -> u64 {
    let mut number = u64::from(number);
    // SAFETY: copies a register to itself (an empty body would leave two lines
    // of source for one instruction, which the kernel refuses).
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) number, options(nomem, nostack, preserves_flags))
    };
    number
}
