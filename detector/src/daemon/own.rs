//! What the daemon itself uses (proc(5)).

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Resident memory, bytes; 0 if it is not known.
pub(super) fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&text, "VmRSS:") * 1024
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Gives back to the system what was freed. Starting up takes some 15 MiB for a
/// moment, that of reading the kernel's types.
pub(super) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// CPU time of all threads, since the start.
pub(super) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Open descriptors.
pub(super) fn descriptors() -> u64 {
    // The one that lists them is among them.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_time_and_descriptors() {
        assert!(resident() > 1 << 20);
        trim();
        assert!(cpu() > Duration::ZERO);
        let before = descriptors();
        let file = fs::File::open("/dev/null");
        // Other tests open files too, in this process.
        assert!(file.is_ok() && before > 2);
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), 1234);
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), 0);
    }
}
