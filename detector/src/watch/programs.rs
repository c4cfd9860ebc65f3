//! What is known of the processes whose records came, asked for while they run.

use std::collections::{HashMap, hash_map::Entry};

use crate::{capture::live::process, origin::Origin};

/// Most processes that are remembered.
const MOST: usize = 4096;

/// What is known of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) exe: Option<String>,
    pub(super) origin: Origin,
}

impl Program {
    fn of(pid: u32) -> Self {
        Self {
            exe: process::exe(pid),
            origin: Origin::of(pid),
        }
    }
}

/// The programs of processes.
#[derive(Debug, Default)]
pub(super) struct Programs {
    known: HashMap<u32, Program>,
}

impl Programs {
    /// Takes note of a process; `true` if it was not known.
    pub(super) fn see(&mut self, pid: u32) -> bool {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        match self.known.entry(pid) {
            Entry::Vacant(place) => {
                place.insert(Program::of(pid));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The same of one that was just started, or runs another program now.
    pub(super) fn meet(&mut self, pid: u32) {
        self.known.insert(pid, Program::of(pid));
    }

    /// As it was when the process was first seen.
    pub(super) fn seen(&self, pid: u32) -> Program {
        self.known.get(&pid).cloned().unwrap_or_default()
    }

    /// As it is now, or as it was when the process was first seen.
    pub(super) fn now(&self, pid: u32) -> Program {
        let (now, seen) = (Program::of(pid), self.seen(pid));
        Program {
            exe: now.exe.or(seen.exe),
            // One that ended is in no group, or in the root.
            origin: if now.origin == Origin::default() {
                seen.origin
            } else {
                now.origin
            },
        }
    }
}
