//! Whether an instruction before an address is a call: a return address always
//! is behind one. What is not, no stack holds; it is a sign that the program's
//! file is not what ran, or that the stack is not what its tables say.

/// Bytes before an address that are needed: the longest call without prefixes.
pub(super) const BEFORE: usize = 7;

/// Whether code whose last bytes are these ends with a call.
///
/// Intel SDM volume 2: `E8` with a 32-bit displacement, or `FF /2`.
#[cfg(target_arch = "x86_64")]
pub(super) fn ends_with_call(code: &[u8]) -> bool {
    let back = |count: usize| code.len().checked_sub(count).and_then(|at| code.get(at..));
    if back(5).is_some_and(|bytes| bytes.first() == Some(&0xe8)) {
        return true;
    }
    (2..=BEFORE).any(|length| {
        back(length).is_some_and(|bytes| match *bytes {
            [0xff, modrm, ref rest @ ..] => {
                modrm >> 3 & 7 == 2 && 2 + operand(modrm, rest) == length
            }
            _ => false,
        })
    })
}

/// Bytes of the operand that follow a ModRM byte.
#[cfg(target_arch = "x86_64")]
fn operand(modrm: u8, rest: &[u8]) -> usize {
    let (mode, base) = (modrm >> 6, modrm & 7);
    let scaled = mode != 3 && base == 4;
    let displacement = match mode {
        0 if base == 5 => 4,
        0 if scaled && rest.first().is_some_and(|byte| byte & 7 == 5) => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    usize::from(scaled) + displacement
}

/// Whether code whose last bytes are these ends with a call.
///
/// Arm ARM, C6.2: BL, BLR, and BLR with pointer authentication.
#[cfg(target_arch = "aarch64")]
pub(super) fn ends_with_call(code: &[u8]) -> bool {
    last_word(code).is_some_and(|word| {
        word >> 26 == 0b10_0101
            || word & 0xffff_fc1f == 0xd63f_0000
            || word & 0xfeff_f800 == 0xd63f_0800
    })
}

/// Whether code whose last bytes are these ends with a system call.
pub(super) fn ends_with_system_call(code: &[u8]) -> bool {
    if cfg!(target_arch = "aarch64") {
        // SVC with any immediate.
        return last_word(code).is_some_and(|word| word & 0xffe0_001f == 0xd400_0001);
    }
    code.ends_with(&[0x0f, 0x05])
}

fn last_word(code: &[u8]) -> Option<u32> {
    code.last_chunk().copied().map(u32::from_le_bytes)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn calls_in_all_forms() {
        for call in [
            &[0xe8, 1, 2, 3, 4][..],
            // call *%rax; call *(%rax); call *8(%rax); call *%r11
            &[0xff, 0xd0],
            &[0xff, 0x10],
            &[0xff, 0x50, 8],
            &[0x41, 0xff, 0xd3],
            // call *0x1234(%rip); call *8(%rsp); call *(%rax,%rbx,8)
            &[0xff, 0x15, 0x34, 0x12, 0, 0],
            &[0xff, 0x54, 0x24, 8],
            &[0xff, 0x14, 0xd8],
            // call *0x100(,%rbx,8); call *0x100(%rax,%rbx,8)
            &[0xff, 0x14, 0xdd, 0, 1, 0, 0],
            &[0xff, 0x94, 0xd8, 0, 1, 0, 0],
        ] {
            let code = [&[0x90; 3], call].concat();
            assert!(ends_with_call(&code), "{call:x?}");
        }
    }

    #[test]
    fn what_is_no_call() {
        for code in [
            &[][..],
            &[0xe8],
            // jmp *%rax; push (%rax); mov; ret
            &[0x90, 0x90, 0xff, 0xe0],
            &[0x90, 0x90, 0xff, 0x30],
            &[0x48, 0x89, 0xe5],
            &[0x90, 0x90, 0xc3],
            // A call with a byte behind it.
            &[0xff, 0xd0, 0x90],
        ] {
            assert!(!ends_with_call(code), "{code:x?}");
        }
        assert!(ends_with_system_call(&[0xb8, 0x30, 0x0f, 0x05]));
        assert!(!ends_with_system_call(&[0x05]));
    }
}
