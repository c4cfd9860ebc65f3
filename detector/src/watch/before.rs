//! Connections that were open before the watch, had sent bytes, and ended without a
//! call that it saw, such as a server's that is killed while it waits for the rest of
//! what it sends: whether a message was cut short is not known, and that is counted.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::clock::monotonic_ns;
use crate::{
    capture::{
        Record,
        live::{Filter, cgroup::Cgroup, established::established, process, sockets},
    },
    judge::OpenBefore,
};

/// How often it is looked which are gone, nanoseconds.
const EVERY: u64 = 30_000_000_000;

/// How long a process may take to let go of its sockets when it ends.
pub(super) const PATIENCE: Duration = Duration::from_millis(20);
pub(super) const TIMES: usize = 10;

/// Those of which nothing was seen so far, by inode number.
#[derive(Debug, Default)]
pub(super) struct Before {
    open: HashMap<u64, OpenBefore>,
    due: u64,
}

impl Before {
    /// The connections that these processes have open, as far as they pass the filter;
    /// all where there are none.
    pub(super) fn look(pids: &[u32], filter: &Filter) -> Self {
        let all;
        let pids = if pids.is_empty() {
            all = process::all();
            &all
        } else {
            pids
        };
        let own = std::process::id();
        let passing: Vec<_> = pids
            .iter()
            .copied()
            .filter(|pid| *pid != own)
            .filter(|pid| {
                let name = || process::comm(*pid).unwrap_or_default();
                let group = process::cgroup(*pid);
                let within =
                    |it: &Cgroup| group.as_ref().is_some_and(|at| at.starts_with(&it.path));
                (filter.comms.is_empty() || filter.comms.contains(&name()))
                    && (filter.cgroups.is_empty() || filter.cgroups.iter().any(within))
            })
            .collect();
        let open = established(&passing).into_iter().filter(|it| {
            filter.ports.is_empty()
                || it
                    .ports
                    .is_some_and(|(a, b)| filter.ports.contains(&a) || filter.ports.contains(&b))
        });
        let open = open
            .map(|it| {
                let before = OpenBefore {
                    pid: it.pid,
                    comm: process::comm(it.pid),
                    port: it.ports.map(|(local, peer)| local.min(peer)),
                    path: it.path,
                };
                (it.inode, before)
            })
            .collect();
        Self {
            open,
            due: monotonic_ns() + EVERY,
        }
    }

    /// A record tells of a connection: what became of it the judge says.
    pub(super) fn observe(&mut self, record: &Record) {
        if self.open.is_empty() {
            return;
        }
        let inode = match record {
            Record::Open(open) => open.socket.inode,
            Record::End(end) if end.connection.sent > 0 => end.connection.inode,
            // Of one that only received the judge says nothing.
            Record::End(_) | Record::Sample(..) | Record::Reset(_) => return,
        };
        self.open.remove(&inode);
    }

    /// Whether it is time to look which are gone; then it is not for a while.
    pub(super) fn is_due(&mut self, now_ns: u64) -> bool {
        let is_due = !self.open.is_empty() && now_ns >= self.due;
        if is_due {
            self.due = now_ns + EVERY;
        }
        is_due
    }

    /// Whether a process that has some is ending.
    pub(super) fn has_ending(&self) -> bool {
        let ending = |it: &OpenBefore| process::check(it.pid).is_err();
        self.open.values().any(ending)
    }

    /// The inode numbers of those that are gone; `None` where that cannot be told, or
    /// none is left: then none is counted.
    pub(super) fn gone(&self) -> Option<Vec<u64>> {
        let asked: HashSet<_> = self.open.keys().copied().collect();
        if asked.is_empty() {
            return None;
        }
        let existing = sockets::existing(&asked)?;
        let mut gone: Vec<_> = asked.difference(&existing).copied().collect();
        gone.sort_unstable();
        Some(gone)
    }

    /// Takes those of these that no record has told of meanwhile.
    pub(super) fn take(&mut self, gone: &[u64]) -> Vec<OpenBefore> {
        gone.iter()
            .filter_map(|inode| self.open.remove(inode))
            .collect()
    }
}
