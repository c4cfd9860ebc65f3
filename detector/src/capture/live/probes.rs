//! Kprobes, and whether they work; so for functions that are traced in place of calls.

use std::{
    fs, io,
    os::unix::net::UnixStream,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use detector_common::Probe;

/// What events on functions are made of.
const EVENTS: &str = "/sys/bus/event_source/devices/kprobe/type";

/// `0` where all have been switched off (Documentation/trace/kprobes.rst).
const SWITCH: &str = "/sys/kernel/debug/kprobes/enabled";

/// Whether this kernel has them.
pub(super) fn are_there() -> bool {
    // Not there: debugfs is not mounted, as on most, or not ours to read.
    let off = fs::read_to_string(SWITCH).is_ok_and(|state| state.trim() == "0");
    Path::new(EVENTS).exists() && !off
}

/// Makes the call that the probe is for, if it is to be noted in `hits`.
///
/// # Errors
///
/// If the probe was not called: a compiler may have put the function into its callers.
pub(super) fn check(probe: Probe, hits: Option<&AtomicU64>) -> io::Result<()> {
    let Some(hits) = hits else {
        return Ok(());
    };
    make(probe)?;
    if hits.load(Ordering::Relaxed) & probe.bit() == 0 {
        return Err(io::Error::other("the kernel does not call it"));
    }
    Ok(())
}

/// Makes a call that changes nothing.
fn make(probe: Probe) -> io::Result<()> {
    /// No descriptor.
    const NONE: libc::c_long = -1;
    const NOTHING: libc::c_long = 0;
    let call = match probe {
        Probe::Shutdown => libc::SYS_shutdown,
        Probe::Close => libc::SYS_close,
        // From the last to the first.
        Probe::CloseRange => libc::SYS_close_range,
        #[cfg(target_arch = "x86_64")]
        Probe::Dup2 => libc::SYS_dup2,
        #[cfg(not(target_arch = "x86_64"))]
        Probe::Dup2 => return Err(io::ErrorKind::Unsupported.into()),
        Probe::Dup3 => libc::SYS_dup3,
        Probe::Connect => libc::SYS_connect,
        Probe::Sendmmsg => libc::SYS_sendmmsg,
        Probe::Sendfile => libc::SYS_sendfile,
        Probe::Install => return UnixStream::pair().map(drop),
        Probe::Fork => {
            let thread = thread::Builder::new().spawn(|| {})?;
            return thread
                .join()
                .map_err(|_panic| io::Error::other("a thread that does nothing failed"));
        }
    };
    // SAFETY: none of these calls does anything but fail, for want of a descriptor (or
    // of a range that begins before it ends); no memory is named.
    let result = unsafe { libc::syscall(call, NONE, NOTHING, NOTHING, NOTHING) };
    if result == 0 {
        return Err(io::Error::other("a call without a descriptor worked"));
    }
    Ok(())
}
