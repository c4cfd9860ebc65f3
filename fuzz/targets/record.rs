//! Records, from the bytes that the kernel side writes to findings.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|row: &[u8]| {
    truncwatch_fuzz::judge(row);
});
