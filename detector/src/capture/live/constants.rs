//! Puts the configuration's values into the kernel side's instructions, before
//! the kernel is given it (`detector_common::CONSTANT_MARK`).
//!
//! The BPF target of Rust has no relocations for fields of kernel structures;
//! these are truncwatch's own. The verifier then sees constants: it takes out the
//! code of what is off, and no call has to fetch an offset from memory.

use detector_common::{CONSTANT_MARK, CONSTANTS, Config, NO_FIELD, Pod as _};
use object::{Object as _, ObjectSection as _, SectionKind};

/// `BPF_ALU64 | BPF_MOV | BPF_K`: a 64-bit register becomes a 32-bit immediate,
/// with its sign (Documentation/bpf/standardization/instruction-set.rst).
const MOVE: u8 = 0xb7;

/// `BPF_JMP | BPF_CALL`: of a helper by its number, or with [`KERNEL_FUNCTION`] as
/// source register (the upper half of the second byte) of a function of the kernel's
/// by its number among the types (`BPF_PSEUDO_KFUNC_CALL`, include/uapi/linux/bpf.h).
const CALL: u8 = 0x85;
const KERNEL_FUNCTION: u8 = 2 << 4;

/// Bytes of an instruction; the immediate is the last four.
const INSTRUCTION: usize = 8;

/// The object with the values in place of the marks. An object without code that
/// asks for any, such as one of empty programs, stays as it is.
///
/// # Errors
///
/// If it is no ELF file.
pub(super) fn put(object: &[u8], config: &Config) -> Result<Vec<u8>, object::Error> {
    let mut patched = object.to_vec();
    for section in object::File::parse(object)?.sections() {
        let Some((start, length)) = section.file_range() else {
            continue;
        };
        if section.kind() != SectionKind::Text {
            continue;
        }
        let bytes = usize::try_from(start)
            .ok()
            .zip(usize::try_from(length).ok())
            .and_then(|(start, length)| patched.get_mut(start..start.checked_add(length)?));
        for instruction in bytes.unwrap_or_default().chunks_exact_mut(INSTRUCTION) {
            let [code, registers, _, _, immediate @ ..] = instruction else {
                continue;
            };
            let Some(value) = value(immediate, config.bytes()) else {
                continue;
            };
            match *code {
                MOVE => {}
                // Without the function nothing comes by: the verifier takes it out.
                CALL if *value == NO_FIELD.to_le_bytes() => continue,
                CALL => *registers |= KERNEL_FUNCTION,
                _ => continue,
            }
            immediate.copy_from_slice(value);
        }
    }
    Ok(patched)
}

/// The four bytes of the configuration that the immediate stands for, if it is a
/// mark.
fn value<'a>(immediate: &[u8], config: &'a [u8]) -> Option<&'a [u8]> {
    let number = u32::from_le_bytes(immediate.try_into().ok()?);
    let at = usize::try_from(number.checked_sub(CONSTANT_MARK)?).ok()?;
    (at < CONSTANTS).then(|| config.get(at..at + size_of::<u32>()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The object's instructions: other sections may hold bytes that look like some.
    fn code(object: &[u8]) -> Vec<u8> {
        let file = object::File::parse(object).unwrap();
        file.sections()
            .filter(|section| section.kind() == SectionKind::Text)
            .flat_map(|section| section.data().unwrap())
            .copied()
            .collect()
    }

    /// The committed object asks for fields of every kind, and once they are put
    /// in for none.
    #[test]
    fn every_mark_becomes_a_value() {
        let mut config = Config::UNSET;
        config.fields.sock_cookie = 64;
        let marks = |object: &[u8]| {
            code(object)
                .chunks_exact(INSTRUCTION)
                .filter(|bytes| bytes[0] == MOVE && value(&bytes[4..], config.bytes()).is_some())
                .count()
        };
        assert!(marks(super::super::OBJECT) > 100);
        let patched = put(super::super::OBJECT, &config).unwrap();
        assert_eq!(patched.len(), super::super::OBJECT.len());
        assert_eq!(marks(&patched), 0);
    }

    /// Kernel functions are called by their number, and where there is none as they
    /// were: nothing comes by, and the kernel is not asked for it.
    #[test]
    fn calls_are_of_the_kernels_function_if_it_has_one() {
        let calls = |object: &[u8]| {
            code(object)
                .chunks_exact(INSTRUCTION)
                .filter(|bytes| bytes[..2] == [CALL, KERNEL_FUNCTION])
                .filter(|bytes| bytes[4..] == 0x1234_u32.to_le_bytes())
                .count()
        };
        let mut config = Config::UNSET;
        config.rdonly_cast = 0x1234;
        assert!(calls(&put(super::super::OBJECT, &config).unwrap()) > 0);
        config.rdonly_cast = NO_FIELD;
        let without = put(super::super::OBJECT, &config).unwrap();
        let any = code(&without)
            .chunks_exact(INSTRUCTION)
            .any(|bytes| bytes[..2] == [CALL, KERNEL_FUNCTION]);
        assert!(!any);
    }

    #[test]
    fn a_mark_is_an_offset_before_the_tables() {
        let mut config = Config::UNSET;
        config.follow = 7;
        let at = u32::try_from(core::mem::offset_of!(Config, follow)).unwrap();
        let mark = |at: u32| (CONSTANT_MARK + at).to_le_bytes();
        assert_eq!(value(&mark(at), config.bytes()), Some(&[7, 0, 0, 0][..]));
        let tables = u32::try_from(CONSTANTS).unwrap();
        assert_eq!(value(&mark(tables), config.bytes()), None);
        assert_eq!(value(&1u32.to_le_bytes(), config.bytes()), None);
    }
}
