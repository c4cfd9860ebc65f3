//! The running task, and the registers of its entry into the kernel.

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_task_pt_regs};

use crate::{
    config::{config, has},
    kernel::{Address, as_registers, field},
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
        as_registers(stack + at)
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
    let registers = number(Task::current().registers() as u64);
    let at = registers.wrapping_sub(number(stack));
    if registers != 0 {
        // SAFETY: as in registers_by_address.
        unsafe { (&raw mut REGISTERS_AT).write_volatile(at) };
    }
    at
}

/// The same number, read back from memory: to the verifier it is then one. With what it
/// takes for a pointer it does not calculate (a typed one on Linux 6.12), or finds that
/// the result is one (a `void *` on 7.3).
#[inline(always)]
fn number(pointer: u64) -> u64 {
    Address(&raw const pointer as u64).read_or_zero(0)
}
