//! What the daemon itself uses (proc(5)).

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

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
    fn a_process_has_time_and_descriptors() {
        assert!(cpu() > Duration::ZERO);
        let before = descriptors();
        let file = fs::File::open("/dev/null");
        // Other tests open files too, in this process.
        assert!(file.is_ok() && before > 2);
    }
}
