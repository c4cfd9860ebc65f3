//! What has to be in place before anything is loaded.

use std::{io, path::Path};

use rustix::{
    mount::{MountFlags, mount},
    process::geteuid,
    thread::{CapabilitySet, capabilities},
};

use super::CaptureError;

/// Where tracefs may be (Documentation/trace/ftrace.rst).
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Inode number of the first process namespace (`PROC_PID_INIT_INO`,
/// include/linux/proc_ns.h).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Checks privileges and namespaces; mounts tracefs if it is missing.
pub(super) fn check() -> Result<(), CaptureError> {
    if !privileged() {
        return Err(CaptureError::Privilege);
    }
    if std::fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns != Path::new(FIRST_PID_NAMESPACE))
    {
        return Err(CaptureError::PidNamespace);
    }
    tracefs().map_err(CaptureError::Tracefs)
}

/// Root, or the capabilities that loading, attaching and reading need
/// (capabilities(7); CAP_BPF and CAP_PERFMON: Linux 5.8).
fn privileged() -> bool {
    if geteuid().is_root() {
        return true;
    }
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

fn tracefs() -> io::Result<()> {
    let present = |folder: &str| Path::new(folder).join("events/syscalls").is_dir();
    if TRACEFS.into_iter().any(present) {
        return Ok(());
    }
    mount("tracefs", TRACEFS[0], "tracefs", MountFlags::empty(), None)?;
    if present(TRACEFS[0]) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "this kernel has no system call tracepoints (CONFIG_FTRACE_SYSCALLS)",
    ))
}
