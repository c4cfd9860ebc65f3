//! The memory that this process itself takes.

use std::fs;

/// Resident memory, bytes (proc(5)); 0 if it is not known.
pub(crate) fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&text, "VmRSS:") * 1024
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Gives back to the system what was freed. Starting up takes some 15 MiB for a
/// moment, that of reading the kernel's types; naming a stack as much as the
/// program has debug information.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has large pieces given back at once when they are freed, for months: glibc
/// otherwise keeps those up to the size of the largest so far (mallopt(3)). musl
/// gives them back by itself.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: both take numbers, and may be called at any time. What fails leaves
    // it as it was.
    unsafe {
        const BYTES: libc::c_int = 128 << 10;
        libc::mallopt(libc::M_MMAP_THRESHOLD, BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory() {
        assert!(resident() > 1 << 20);
        trim();
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), 1234);
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), 0);
    }
}
