//! Registers, by the numbers that DWARF gives them.
//!
//! Sources: System V ABI, AMD64 supplement, figure 3.36; DWARF for the Arm
//! 64-bit Architecture, section 4.1; the kernel's `struct pt_regs`
//! (arch/{x86,arm64}/include/asm/ptrace.h).

use detector_common::REGISTER_WORDS;

/// Registers that are followed.
const COUNT: usize = 32;

/// The architecture that this is compiled for, and that runs.
mod arch {
    #[cfg(target_arch = "x86_64")]
    mod named {
        /// rsp.
        pub(crate) const STACK_POINTER: u16 = 7;
        /// Where the program counter is in `pt_regs`.
        pub(crate) const PROGRAM_COUNTER: usize = 16;
        /// Where each register is in `pt_regs`, by DWARF number from 0: rax,
        /// rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15.
        pub(crate) const PLACES: [usize; 16] =
            [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0];
        /// Those that a function gives back as they were: rbx, rbp, r12 to r15.
        pub(crate) const PRESERVED: &[u16] = &[3, 6, 12, 13, 14, 15];
        /// All bits of an address are the address.
        pub(crate) const ADDRESS_BITS: u64 = u64::MAX;
    }
    #[cfg(target_arch = "aarch64")]
    mod named {
        /// sp.
        pub(crate) const STACK_POINTER: u16 = 31;
        /// Where the program counter is in `pt_regs`.
        pub(crate) const PROGRAM_COUNTER: usize = 32;
        /// Where each register is in `pt_regs`: x0 to x30, sp.
        pub(crate) const PLACES: [usize; 32] = {
            let mut places = [0; 32];
            let mut at = 0;
            while at < 32 {
                places[at] = at;
                at += 1;
            }
            places
        };
        /// Those that a function gives back as they were: x19 to x29; and x30,
        /// where the return address stays if nobody says otherwise.
        pub(crate) const PRESERVED: &[u16] = &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30];
        /// Above them a return address may carry a signature (pointer
        /// authentication).
        pub(crate) const ADDRESS_BITS: u64 = (1 << 48) - 1;
    }
    pub(crate) use named::*;
}

pub(super) use arch::{ADDRESS_BITS, STACK_POINTER};

/// Registers of a frame; `None` where a value is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registers([Option<u64>; COUNT]);

impl Registers {
    /// Those at an entry into the kernel, and the program counter.
    pub(super) fn at_entry(words: &[u64; REGISTER_WORDS]) -> (Self, u64) {
        let mut values = [None; COUNT];
        for (value, place) in values.iter_mut().zip(arch::PLACES) {
            *value = words.get(place).copied();
        }
        let counter = words.get(arch::PROGRAM_COUNTER).copied().unwrap_or(0);
        (Self(values), counter)
    }

    pub(super) fn get(&self, number: u16) -> Option<u64> {
        self.0.get(usize::from(number)).copied().flatten()
    }

    pub(super) fn set(&mut self, number: u16, to: Option<u64>) {
        if let Some(value) = self.0.get_mut(usize::from(number)) {
            *value = to;
        }
    }

    /// Those of the caller of which nothing is said: preserved ones are as they
    /// are, the others are anything.
    pub(super) fn preserved(&self) -> Self {
        let mut caller = Self([None; COUNT]);
        for number in arch::PRESERVED {
            caller.set(*number, self.get(*number));
        }
        caller
    }
}
