//! The running task, and the registers of its entry into the kernel.

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_task_pt_regs};
use detector_common::CONSTANT_MARK;

use crate::{
    config::{config, has},
    kernel::{Address, field},
};

/// The running task, as a pointer whose type the verifier knows.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) *const u8);

impl Task {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: the helper cannot fail; the pointer is to the running task.
        Self(unsafe { bpf_get_current_task_btf() }.cast())
    }

    /// The registers of its entry into the kernel. bpf_task_pt_regs: Linux 5.15.
    #[inline(always)]
    pub(crate) fn registers(self) -> *const u8 {
        // SAFETY: the helper cannot fail for the current task.
        unsafe { bpf_task_pt_regs(self.0.cast_mut().cast()) as *const u8 }
    }

    /// The same without a call, where the kernel can give a type to an address. On AMD's
    /// CPUs it returns from each call by a jump that is always guessed wrong
    /// (Documentation/admin-guide/hw-vuln/srso.rst): a send makes as few as it can.
    #[inline(always)]
    pub(crate) fn registers_by_address(self) -> *const u8 {
        if !has!(rdonly_cast) {
            return self.registers();
        }
        let stack_at = config!(fields.task_stack);
        // SAFETY: a field of the running task; the verifier checks the offset.
        let stack: u64 = unsafe { field(self.0, stack_at) };
        // SAFETY: a number that is written at once, and only ever the same one.
        let mut at = unsafe { (&raw const REGISTERS_AT).read_volatile() };
        if at == 0 {
            at = find_registers(stack);
        }
        cast(stack + at)
    }
}

/// Where the registers are on the stack of a task that is in the kernel, in bytes from
/// the stack's start: the same for all, but told by nothing that can be read
/// (`THREAD_SIZE`, `TOP_OF_KERNEL_STACK_PADDING`). 0 until it was asked for.
#[unsafe(no_mangle)]
static mut REGISTERS_AT: u64 = 0;

/// Asks for that. A function of its own, which gives back a number that the verifier
/// does not know: it does not go on twice.
#[inline(never)]
fn find_registers(stack: u64) -> u64 {
    let registers = Task::current().registers();
    // Read back, it is a number: with such a pointer Linux 6.12 does not calculate.
    let registers: u64 = Address(&raw const registers as u64).read_or_zero(0);
    let at = registers.wrapping_sub(stack);
    if registers != 0 {
        // SAFETY: as in registers_by_address.
        unsafe { (&raw mut REGISTERS_AT).write_volatile(at) };
    }
    at
}

/// `bpf_rdonly_cast` (kernel/bpf/helpers.c; Linux 6.2): the registers that are at this
/// address. The verifier puts a move in place of the call.
#[inline(always)]
fn cast(address: u64) -> *const u8 {
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
