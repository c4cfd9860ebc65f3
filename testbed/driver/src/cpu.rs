//! Keeping a thread on one CPU, so that two processes must take turns.

use std::io;
use std::thread;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Keeps the calling thread, and the threads and processes that it starts from now on, on the CPU
/// with this number (counted from 0).
///
/// # Errors
/// `EINVAL` if there is no such CPU or this process may not use it.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

/// The same of the main thread of another process, one that has no others.
///
/// # Errors
/// As [`pin_to_cpu`]; `ESRCH` if there is no such process.
pub fn pin_process(pid: u32, cpu: usize) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    if cpu >= CpuSet::MAX_CPU {
        return Err(invalid());
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(Some(pid.ok_or_else(invalid)?), &only)?)
}

/// Runs `work` in a thread of its own that is kept on `cpu`, and returns what it returned.
///
/// The caller's own affinity stays as it is. A process started by `work` inherits the restriction
/// before its first instruction, which is why nothing here needs a hook between fork and exec.
///
/// # Errors
/// Those of [`pin_to_cpu`]; `work` has not run then. A panic in `work` is passed on.
pub fn on_cpu<T: Send>(cpu: usize, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            pin_to_cpu(cpu)?;
            Ok(work())
        });
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
