//! Processes that are not ours to wait for: workers of a server.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to this process.
///
/// # Errors
/// Those of `kill`.
pub fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

/// The processes whose parent is `parent`, in ascending order.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn children_of(parent: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
            continue;
        };
        if parent_of(pid) == Some(parent) {
            children.push(pid);
        }
    }
    children.sort_unstable();
    Ok(children)
}

/// Whether a process is gone, or has closed all that it had open and waits to be reaped.
pub(crate) fn is_dead(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, after_name)| after_name);
    state.is_none_or(|state| state.trim_start().starts_with(['Z', 'X']))
}

/// The fourth field of `/proc/PID/stat` (proc(5)); the second is a name that may contain anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}
