//! What user space told at load, as constants in the code.

/// One value of the configuration, before its tables: a constant that user
/// space puts into the instruction (`detector_common::CONSTANT_MARK`). A `u64`,
/// so that offsets are added without being widened first.
macro_rules! config {
    ($($field:ident).+) => {{
        const AT: usize = core::mem::offset_of!(detector_common::Config, $($field).+);
        const { assert!(AT < detector_common::CONSTANTS) };
        let value: u64;
        // SAFETY: moves a number into a register.
        unsafe {
            core::arch::asm!(
                "{value} = {constant}",
                value = out(reg) value,
                constant = const detector_common::CONSTANT_MARK + AT as u32,
                options(pure, nomem, nostack, preserves_flags)
            )
        };
        value
    }};
}
pub(crate) use config;

/// Whether the running kernel has the field.
macro_rules! has {
    ($($field:ident).+) => {
        $crate::config::config!($($field).+) != detector_common::NO_FIELD as u64
    };
}
pub(crate) use has;
