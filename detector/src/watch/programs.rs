//! What is known of the processes whose records came, asked for while they run.

use std::collections::{HashMap, hash_map::Entry};

use super::clock::monotonic_ns;
use crate::{capture::live::process, judge::Finding, origin::Origin, report::Identity};

/// Most processes that are remembered.
const MOST: usize = 4096;

/// Most threads of one.
const MOST_THREADS: usize = 64;

/// What is known of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// Its file, where that is known.
    pub(crate) exe: Option<String>,
    /// Where it belongs.
    pub(crate) origin: Origin,
    /// The first thread's name when that was read.
    comm: Option<String>,
    /// When that was, nanoseconds as the records'.
    at: u64,
    /// Threads that it had before, other than the first.
    threads: Vec<u32>,
}

impl Program {
    pub(super) fn of(pid: u32) -> Self {
        // Before it is read: what it is known to be is so since then at the latest.
        let at = monotonic_ns();
        let threads = process::threads(pid, MOST_THREADS);
        Self {
            exe: process::exe(pid),
            origin: Origin::of(pid),
            comm: process::comm(pid),
            at,
            threads,
        }
    }

    /// The program of the process that this finding is about: not what ran before
    /// it, where it was read too early, before an exec.
    fn exe_of(&self, finding: &Finding) -> Option<&str> {
        let exe = self.exe.as_deref()?;
        let first = finding
            .timeline
            .iter()
            .filter_map(|call| call.time_ns)
            .min();
        let used = first.is_some_and(|first| first <= self.at);
        // An exec ends all threads but the one that makes it, which becomes the first.
        let goes_on = self.threads.contains(&finding.tid);
        // A script's name is that of no program; threads have names of their own.
        let comm = self.comm.as_deref()?;
        let name = exe.rsplit('/').next().unwrap_or(exe);
        let same = comm == finding.comm && name.starts_with(comm);
        (used || goes_on || same).then_some(exe)
    }
}

/// The programs of processes.
#[derive(Debug, Default)]
pub(super) struct Programs {
    known: HashMap<u32, Program>,
}

impl Programs {
    /// Takes note of a process, of which records came that are read since `now_ns`;
    /// `true` if it was not known, or runs another program than it did.
    pub(super) fn observe(&mut self, pid: u32, now_ns: u64) -> bool {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        match self.known.entry(pid) {
            Entry::Vacant(place) => {
                place.insert(Program::of(pid));
                true
            }
            Entry::Occupied(mut place) if place.get().at < now_ns => {
                let at = monotonic_ns();
                // One that ended is what it was.
                let Some(exe) = process::exe(pid) else {
                    return false;
                };
                if place.get().exe.as_ref() == Some(&exe) {
                    place.get_mut().at = at;
                    return false;
                }
                place.insert(Program::of(pid));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The same of one that was just started, or runs another program now.
    pub(super) fn on_process(&mut self, pid: u32) {
        self.known.insert(pid, Program::of(pid));
    }

    /// The program behind a finding, as it was when records of it were read.
    pub(super) fn seen(&self, finding: &Finding) -> Option<String> {
        let seen = self.known.get(&finding.pid)?;
        seen.exe_of(finding).map(str::to_owned)
    }

    /// What was known last of the process with this number.
    pub(super) fn identity(&self, pid: u32) -> Identity {
        let known = self.known.get(&pid);
        Identity {
            pid: Some(pid),
            tid: None,
            comm: known.and_then(|known| known.comm.clone()),
            exe: known.and_then(|known| known.exe.clone()),
        }
    }

    /// The program behind a finding, as it is `now`, or as it was.
    pub(super) fn now(&self, finding: &Finding, now: &Program) -> Program {
        let seen = self.known.get(&finding.pid);
        Program {
            exe: now.exe.clone().or_else(|| self.seen(finding)),
            // One that ended is in no group, or in the root.
            origin: match seen {
                Some(seen) if now.origin == Origin::default() => seen.origin.clone(),
                _ => now.origin.clone(),
            },
            ..now.clone()
        }
    }
}
