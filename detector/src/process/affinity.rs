//! Leaves the CPUs that watched processes are confined to (taskset(1), cpuset(7)) to
//! them. Elsewhere the scheduler gives a watch the CPU of a process that waits for a
//! moment as if it were free: what was in its caches is then gone, and its turn comes
//! later.

use std::fs;

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// The CPUs that a watch may run on.
pub(crate) struct Affinity {
    /// All of them, where it keeps off some.
    all: Option<CpuSet>,
}

impl Affinity {
    /// Keeps this thread, and those that it starts, off the CPUs of these processes, where
    /// it may run on enough others. Where the kernel refuses that, it stays as it is.
    pub(crate) fn without(pids: &[u32]) -> Self {
        let mut theirs = CpuSet::new();
        for thread in pids.iter().flat_map(|pid| threads(*pid)) {
            // One that has just ended has none.
            if let Ok(set) = sched_getaffinity(Some(thread)) {
                add(&mut theirs, &set);
            }
        }
        let own = sched_getaffinity(None).ok();
        let left = own.filter(|own| {
            rest(own, &theirs).is_some_and(|rest| sched_setaffinity(None, &rest).is_ok())
        });
        Self { all: left }
    }

    /// Takes them all, from now on: what is not read in time is lost.
    pub(crate) fn hurry(&mut self) {
        if let Some(all) = self.all.take()
            && sched_setaffinity(None, &all).is_err()
        {}
    }
}

fn threads(pid: u32) -> impl Iterator<Item = Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(|task| Pid::from_raw(task.file_name().to_str()?.parse().ok()?))
}

/// The CPUs of a set, counted from 0.
fn cpus(set: &CpuSet) -> impl Iterator<Item = usize> {
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu))
}

fn add(to: &mut CpuSet, others: &CpuSet) {
    for cpu in cpus(others) {
        to.set(cpu);
    }
}

/// Those of our own that others do not have; `None` if they have none of ours, or most: a
/// watch that is pressed together would lose events.
fn rest(own: &CpuSet, theirs: &CpuSet) -> Option<CpuSet> {
    let mut rest = CpuSet::new();
    for cpu in cpus(own).filter(|cpu| !theirs.is_set(*cpu)) {
        rest.set(cpu);
    }
    let (left, had) = (rest.count(), own.count());
    (left < had && 2 * left >= had).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(of: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        of.iter().for_each(|cpu| set.set(*cpu));
        set
    }

    #[test]
    fn what_is_left_is_at_least_half() {
        let left = |own: &[usize], theirs: &[usize]| {
            rest(&set(own), &set(theirs)).map(|rest| cpus(&rest).collect::<Vec<_>>())
        };
        assert_eq!(left(&[0, 1], &[0]), Some(vec![1]));
        assert_eq!(left(&[0, 1, 2, 3, 65], &[1, 65]), Some(vec![0, 2, 3]));
        // Confined to nothing, or to most.
        assert_eq!(left(&[0, 1], &[0, 1]), None);
        assert_eq!(left(&[0, 1, 2], &[0, 1]), None);
        // On other CPUs than ours.
        assert_eq!(left(&[0, 1], &[2]), None);
        assert_eq!(left(&[0], &[0]), None);
    }

    #[test]
    fn a_process_has_its_threads() {
        let mut threads = threads(std::process::id());
        assert!(threads.any(|thread| thread == rustix::thread::gettid()));
    }
}
