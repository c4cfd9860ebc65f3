//! Connections that were open before the watch, had sent bytes, and ended without a
//! call that it saw, such as a server's that is killed while it waits for the rest of
//! what it sends: whether a message was cut short is not known, and that is counted.

use std::{
    collections::{HashMap, HashSet},
    thread::sleep,
    time::Duration,
};

use super::{clock::monotonic_ns, engine::Engine};
use crate::{
    capture::{
        Record,
        live::{cgroup::Cgroup, established::established, process, sockets},
    },
    judge::OpenBefore,
};

/// How often it is looked which are gone, nanoseconds.
const EVERY: u64 = 30_000_000_000;

/// How long a process may take to let go of its sockets when it ends.
const PATIENCE: Duration = Duration::from_millis(20);
const TIMES: usize = 10;

/// Those of which nothing was seen so far, by inode number.
#[derive(Debug, Default)]
pub(super) struct Before {
    open: HashMap<u64, OpenBefore>,
    due: u64,
}

impl Before {
    /// A record tells of a connection: what became of it the judge says.
    pub(super) fn see(&mut self, record: &Record) {
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
}

impl Engine {
    /// Takes note of the connections that these processes have open; of all where there
    /// are none.
    pub(super) fn look_before(&mut self, pids: &[u32]) {
        let all;
        let pids = if pids.is_empty() {
            all = process::all();
            &all
        } else {
            pids
        };
        let filter = &self.settings.live.filter;
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
        self.before.open = open
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
        self.before.due = monotonic_ns() + EVERY;
    }

    /// Counts those that are gone, now and then.
    pub(super) fn note_gone(&mut self) {
        if !self.before.open.is_empty() && monotonic_ns() >= self.before.due {
            self.before.due = monotonic_ns() + EVERY;
            self.count_gone();
        }
    }

    /// The same at the end of the watch.
    pub(super) fn note_gone_last(&mut self) {
        for _ in 0..TIMES {
            self.count_gone();
            let ending = |it: &OpenBefore| process::check(it.pid).is_err();
            if !self.before.open.values().any(ending) {
                return;
            }
            sleep(PATIENCE);
        }
    }

    fn count_gone(&mut self) {
        let asked: HashSet<_> = self.before.open.keys().copied().collect();
        if asked.is_empty() {
            return;
        }
        // Where that cannot be told, none is counted.
        let Some(existing) = sockets::existing(&asked) else {
            return;
        };
        // What was recorded of their ends is taken first.
        self.drain();
        let mut gone: Vec<_> = asked.difference(&existing).copied().collect();
        gone.sort_unstable();
        for inode in gone {
            if let Some(before) = self.before.open.remove(&inode) {
                self.judge.open_before(before);
            }
        }
    }
}
