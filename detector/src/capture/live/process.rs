//! What `/proc` says of processes (proc(5)).

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::filter::COMM_BYTES;

/// Why a process cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is none.
    #[error("no process {0}: see ps -e for those that run")]
    None(u32),
    /// It is a thread.
    #[error("{0} is a thread of process {1}: watch the process, --pid {1}")]
    Thread(u32, u32),
}

/// Checks that `pid` is a process that runs.
///
/// # Errors
///
/// If there is none, if it ended, or if it is one of a process's threads.
pub fn check(pid: u32) -> Result<(), ProcessError> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).map_err(|_| ProcessError::None(pid))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    if field("State:").is_some_and(|state| state.starts_with(['Z', 'X'])) {
        return Err(ProcessError::None(pid));
    }
    match field("Tgid:").and_then(|tgid| tgid.parse().ok()) {
        Some(tgid) if tgid != pid => Err(ProcessError::Thread(pid, tgid)),
        _ => Ok(()),
    }
}

/// A process's command name, `/proc/PID/comm`.
#[must_use]
pub fn comm(pid: u32) -> Option<String> {
    let text = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(text.trim_ascii_end()).into_owned())
}

/// Whether a process, or a thread of one, has this name now; as much of it as
/// the kernel keeps.
#[must_use]
pub fn any_named(name: &str) -> bool {
    processes().into_iter().any(|(pid, _)| is_named(pid, name))
}

/// The same of one process and its threads.
#[must_use]
pub fn is_named(pid: u32, name: &str) -> bool {
    let kept = name.as_bytes().get(..COMM_BYTES).unwrap_or(name.as_bytes());
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().any(|task| {
        fs::read(task.path().join("comm")).is_ok_and(|comm| comm.trim_ascii_end() == kept)
    })
}

/// A process's program, `/proc/PID/exe`.
#[must_use]
pub fn exe(pid: u32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// Threads of a process other than its first, as they are now; `most` at most.
#[must_use]
pub fn threads(pid: u32, most: usize) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks
        .into_iter()
        .flatten()
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .filter(|tid| *tid != pid)
        .take(most)
        .collect()
}

/// The processes that descend from `roots`, as they are now.
#[must_use]
pub fn descendants(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in processes() {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut open = roots.to_vec();
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// The process that started this one, if both run the same program: a master, whose
/// worker this is.
#[must_use]
pub fn master(pid: u32) -> Option<u32> {
    let program = exe(pid)?;
    let master = parent(&Path::new("/proc").join(pid.to_string()))?;
    (exe(master)? == program).then_some(master)
}

/// Every process, as they are now.
#[must_use]
pub fn all() -> Vec<u32> {
    processes().into_iter().map(|(pid, _)| pid).collect()
}

/// The folder of a process's control group (version 2), where it is usually mounted.
#[must_use]
pub fn cgroup(pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new("/sys/fs/cgroup").join(path))
}

/// Every process and its parent.
fn processes() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent(&entry.path())?))
        })
        .collect()
}

/// The fourth field of `/proc/PID/stat`; the second, in parentheses, may hold
/// anything.
fn parent(folder: &Path) -> Option<u32> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_has_a_name() {
        let own = std::process::id();
        assert!(check(own).is_ok());
        assert!(comm(own).is_some_and(|name| !name.is_empty()));
        assert!(exe(own).is_some_and(|path| path.starts_with('/')));
    }

    #[test]
    fn its_threads_are_those_beside_the_first() {
        let own = std::process::id();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv().is_ok());
        // The one that runs this test and the one that waits, at least.
        assert!(threads(own, 64).len() >= 2);
        assert!(!threads(own, 64).contains(&own));
        assert_eq!(threads(own, 1).len(), 1);
        drop(sender);
        assert!(thread.join().is_ok());
    }

    #[test]
    fn a_number_that_is_no_process_is_told_so() {
        // Above the highest number that Linux gives (4,194,304).
        assert!(matches!(check(4_194_305), Err(ProcessError::None(_))));
    }

    #[test]
    fn a_thread_is_told_from_its_process() {
        let tid = std::thread::spawn(|| {
            let tid = rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .unsigned_abs();
            check(tid)
        })
        .join();
        assert!(
            matches!(tid, Ok(Err(ProcessError::Thread(_, process))) if process == std::process::id())
        );
    }

    #[test]
    fn a_child_is_found_below_its_parent() -> std::io::Result<()> {
        let mut child = std::process::Command::new("sleep").arg("30").spawn()?;
        let found = descendants(&[std::process::id()]);
        child.kill()?;
        child.wait()?;
        assert!(found.contains(&child.id()));
        Ok(())
    }
}
