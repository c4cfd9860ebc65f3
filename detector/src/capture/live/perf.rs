//! Perf's events, by which its tracepoints and kprobes are attached.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use rustix::io::Errno;

/// `struct perf_event_attr` (include/uapi/linux/perf_event.h), the first 64 bytes of it
/// (`PERF_ATTR_SIZE_VER0`), which every kernel takes.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    /// Period, sample and read formats, flags, wake-ups, breakpoints: none.
    rest: [u64; 6],
}

/// `PERF_TYPE_SOFTWARE`, `PERF_COUNT_SW_DUMMY` and `PERF_FLAG_FD_CLOEXEC` (the same).
const SOFTWARE: u32 = 1;
const DUMMY: u64 = 9;
const CLOEXEC: libc::c_ulong = 8;

/// Whether `perf_event_open` opens events for us, by opening one that counts nothing. It is
/// refused for want of capabilities (`EACCES`), by a seccomp filter (`EPERM`, `ENOSYS`), or
/// not there at all. Any other error is told where events are needed.
pub(super) fn is_permitted() -> bool {
    let attributes = Attributes {
        kind: SOFTWARE,
        size: 64,
        config: DUMMY,
        ..Attributes::default()
    };
    const OURS: libc::pid_t = 0;
    const ANY_CPU: libc::c_int = -1;
    const NO_GROUP: libc::c_int = -1;
    // SAFETY: the structure is as long as it says and lives through the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            OURS,
            ANY_CPU,
            NO_GROUP,
            CLOEXEC,
        )
    };
    if fd < 0 {
        let error = std::io::Error::last_os_error().raw_os_error();
        return ![Errno::ACCESS, Errno::PERM, Errno::NOSYS]
            .map(|refusal| Some(refusal.raw_os_error()))
            .contains(&error);
    }
    if let Ok(fd) = RawFd::try_from(fd) {
        // SAFETY: the kernel just gave it to us, and nobody else has it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    true
}
