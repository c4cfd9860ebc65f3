//! What has to be in place before anything is loaded.

use std::{io, path::Path};

use rustix::{
    mount::{MountFlags, mount},
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, capabilities},
};

use super::CaptureError;

/// Where tracefs may be (Documentation/trace/ftrace.rst).
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Inode number of the first process namespace (`PROC_PID_INIT_INO`,
/// include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Where a kernel says how far it is locked down (kernel_lockdown(7)).
pub(super) const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// Checks privileges and namespaces; mounts tracefs if it is missing.
pub(super) fn check() -> Result<(), CaptureError> {
    if !has(CapabilitySet::BPF) || !has(CapabilitySet::PERFMON) {
        return Err(CaptureError::Privilege);
    }
    pid_namespace()?;
    lockdown()?;
    bpf()?;
    descriptors()?;
    tracefs()
}

/// Descriptors that a watch takes: programs, maps, links and the files that are read now
/// and then. Where the kernel refuses one, what it is for would seem not to be there.
const DESCRIPTORS: u64 = 128;

/// As many as are enough whatever else is open.
const ENOUGH: u64 = 1024;

/// Checks that enough files may be open, and allows it where that is ours to do. A
/// command that is run has what we were given (`Prepared::new`).
pub(super) fn descriptors() -> Result<(), CaptureError> {
    let limits = getrlimit(Resource::Nofile);
    let needed = DESCRIPTORS + open_descriptors();
    let most = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    if most(limits.current) >= needed {
        return Ok(());
    }
    let allowed = most(limits.maximum);
    let raised = Rlimit {
        current: Some(allowed.min(ENOUGH.max(needed))),
        ..limits
    };
    if allowed < needed || setrlimit(Resource::Nofile, raised).is_err() {
        return Err(CaptureError::Descriptors {
            needed,
            limit: allowed,
            enough: ENOUGH.max(needed),
        });
    }
    Ok(())
}

/// Descriptors that are open now.
fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

/// Whether we have a capability, by itself or as a part of CAP_SYS_ADMIN, from
/// which CAP_BPF and CAP_PERFMON were split (capabilities(7); Linux 5.8).
pub(super) fn has(capability: CapabilitySet) -> bool {
    let split = CapabilitySet::BPF | CapabilitySet::PERFMON;
    capabilities(None).is_ok_and(|sets| {
        sets.effective.contains(capability)
            || (split.contains(capability) && sets.effective.contains(CapabilitySet::SYS_ADMIN))
    })
}

/// Checks that process numbers are the kernel's.
pub(super) fn pid_namespace() -> Result<(), CaptureError> {
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(namespace) if namespace != Path::new(FIRST_PID_NAMESPACE) => {
            Err(CaptureError::PidNamespace)
        }
        _ => Ok(()),
    }
}

/// Checks that bpf(2) may be called, by calling it for a command that there is not:
/// with the capabilities that is `EINVAL`.
fn bpf() -> Result<(), CaptureError> {
    // SAFETY: of an attribute of no bytes, nothing is read.
    let refused = unsafe { libc::syscall(libc::SYS_bpf, -1, std::ptr::null::<u8>(), 0) };
    let error = io::Error::last_os_error();
    if refused != 0 && error.kind() == io::ErrorKind::PermissionDenied {
        return Err(CaptureError::Filtered);
    }
    Ok(())
}

/// Checks that programs may read the kernel's structures: locked down to
/// confidentiality it refuses `bpf_probe_read_kernel`, and tracefs. Not known where
/// securityfs is not mounted.
pub(super) fn lockdown() -> Result<(), CaptureError> {
    match std::fs::read_to_string(LOCKDOWN) {
        Ok(text) if text.contains("[confidentiality]") => Err(CaptureError::Lockdown),
        _ => Ok(()),
    }
}

/// Finds tracefs, or mounts it.
pub(super) fn tracefs() -> Result<(), CaptureError> {
    let present = |folder: &str| Path::new(folder).join("events/syscalls").is_dir();
    if TRACEFS.into_iter().any(present) {
        return Ok(());
    }
    // Mounted, and only root may look into it.
    if std::fs::read_dir(TRACEFS[0])
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    {
        return Err(CaptureError::TracefsUnreadable);
    }
    mount("tracefs", TRACEFS[0], "tracefs", MountFlags::empty(), None)
        .map_err(|error| CaptureError::Tracefs(error.into()))?;
    if present(TRACEFS[0]) {
        return Ok(());
    }
    Err(CaptureError::Tracefs(io::Error::new(
        io::ErrorKind::NotFound,
        "this kernel has no system call tracepoints (CONFIG_FTRACE_SYSCALLS)",
    )))
}
