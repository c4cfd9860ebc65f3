//! Takes a log line by line and gives the records that the kernel side would
//! have made of the same calls.
//!
//! | file | what it does |
//! | --- | --- |
//! | `lines.rs` | lines: whose they are, and what they tell |
//! | `calls.rs` | calls that begin in one line and end in another |
//! | `threads.rs` | threads and processes: their first line, and their end |
//! | `sockets.rs` | the sockets that are known, by cookie and by name |

mod calls;
mod lines;
mod sockets;
mod threads;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use detector_common::Connection as Counters;

use super::{
    clock::{Clock, Meaning},
    closed::ClosedConnections,
    descriptors::Descriptors,
    evidence::{Evidence, Sure},
    numbers::Numbers,
    peers::Peers,
    programs::Programs,
    sharing::Sharing,
    socket::{Socket, Step},
};

/// What was read, and what could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines in all.
    pub lines: u64,
    /// Lines that tell of a call, a signal or an end.
    pub understood: u64,
    /// Lines that are none of strace's, or torn.
    pub unreadable: u64,
    /// The first of those, from 1.
    pub first_unreadable: u64,
    /// Lines that say that others were left out.
    pub elided: u64,
    /// Lines that somebody shortened.
    pub by_hand: u64,
    /// Calls on sockets of which a string was changed by hand.
    pub edited: u64,
    /// The line of the first of those, from 1.
    pub first_edited: u64,
    /// Bytes that were shown of the longest string: strace was asked for so many (`-s`).
    pub longest: u64,
    /// Calls on sockets of whose bytes strace was asked for a part only (`-s`).
    pub cut: u64,
    /// Those of them of which a string was changed by hand.
    pub cut_by_edit: u64,
    /// Those of them that begin a message, and show no end of its head.
    pub cut_heads: u64,
    /// Bytes that were shown of the longest of them.
    pub longest_cut_head: u64,
    /// Calls on sockets that show an address in place of the bytes that they moved.
    pub addresses: u64,
    /// Connections that moved bytes.
    pub connections: u64,
    /// Descriptors that may be sockets with messages on them; nothing says so.
    pub unknown_descriptors: u64,
    /// Connections whose descriptors several processes or threads may share or
    /// not: the log does not tell.
    pub ambiguous: u64,
    /// Threads that were made and of which there is no line: not traced.
    pub untraced: u64,
    /// Connections whose descriptors were others' without a line of their end.
    pub unseen_ends: u64,
    /// Processes that were made, in a log that does not follow them.
    pub untraced_processes: u64,
    /// Calls that may move bytes that no line tells of (io_uring, aio).
    pub unseen_calls: u64,
    /// Calls that strace made up (`-e inject`).
    pub injected: u64,
    /// Bytes that were sent beside the stream (`MSG_OOB`).
    pub out_of_band: u64,
    /// Connections that ended on which a request was received, and nothing sent.
    pub unanswered: u64,
    /// Sends that did not return before their process ended.
    pub interrupted: u64,
}

/// A log, as far as it was read.
#[derive(Debug, Default)]
pub struct Replay {
    pub(super) clock: Clock,
    pub(super) descriptors: Descriptors,
    pub(super) numbers: Numbers,
    pub(super) programs: Programs,
    pub(super) sockets: HashMap<u64, Socket>,
    inodes: HashMap<u64, u64>,
    pairs: HashMap<(SocketAddr, SocketAddr), u64>,
    peers: Peers,
    /// Which socket an epoll event is about: by descriptor and data.
    pub(super) watched: HashMap<(u32, i32, u64), u64>,
    pub(super) counts: Counts,
    pub(super) steps: Vec<Step>,
    /// How often the log was in doubt.
    pub(super) doubts: u64,
    /// A call of the fork family was seen.
    pub(super) forks: bool,
    next: u64,
    walks: u32,
    /// The beginning of a line that a message of strace's interrupted.
    carried: Vec<u8>,
    /// The thread whose lines have no number, once it is known.
    nameless: Option<u32>,
    /// The log is one of several (`-ff`): other threads are in others.
    pub(super) apart: bool,
    /// Threads that have begun to make another, and may have done so.
    makers: BTreeSet<u32>,
    /// Processes that were made.
    pub(super) children: u64,
    /// Which calls strace was asked for.
    pub(super) evidence: Evidence,
    /// Connections that ended.
    pub(super) closed: ClosedConnections,
    /// Connections that others may have sent on.
    pub(super) sharing: Sharing,
    /// Threads share their descriptors.
    pub(super) threads: bool,
    /// A call ends that began in an earlier line.
    pub(super) resuming: bool,
    /// The socket that it sends on, whatever its descriptor's number is by now.
    pub(super) sends_on: Option<u64>,
    /// Bytes that strings show which strace cut, and how often it was so many.
    pub(super) limit: (usize, u32),
    /// Threads that strace let go of, in the last lines.
    detached: Vec<u32>,
}

impl Replay {
    /// The log is one thread's of several (`-ff`): what the others did is not
    /// in it.
    pub fn is_one_of_several(&mut self) {
        self.apart = true;
    }

    /// strace was asked for every call that matters, somebody says.
    pub fn is_all_traced(&mut self) {
        self.evidence = Evidence::all();
    }

    /// Which calls strace was asked for.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// Whether nothing speaks for another process or descriptor that held a
    /// connection when it ended, in a log that does not tell of all of them.
    #[must_use]
    pub fn had_one_holder(&self, cookie: u64) -> bool {
        self.closed.had_one_holder(cookie)
    }

    /// Whether others than the threads that are seen may have sent on a connection,
    /// or somebody went on with it after its end.
    #[must_use]
    pub fn is_in_doubt(&self, cookie: u64) -> bool {
        self.sharing.has(cookie) || self.closed.went_on(cookie)
    }

    /// Whether lines to come may show that somebody goes on with a connection whose
    /// last descriptor was closed: another thread, whose descriptors are not the same
    /// any more.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        self.threads
    }

    /// Whether any call was on a socket, or none was made.
    #[must_use]
    pub fn has_sockets(&self) -> bool {
        self.next > 0 || self.evidence.has_net() || self.evidence.copies() == Sure::Yes
    }

    /// Takes what the lines so far came to.
    pub fn take_steps(&mut self) -> std::vec::Drain<'_, Step> {
        self.steps.drain(..)
    }

    /// Whether the lines so far came to something.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The next bytes of this connection that matter are at this offset.
    pub fn hint(&mut self, cookie: u64, boundary: u64) {
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.boundary = boundary;
        }
    }

    /// The counters of a connection, as they are now.
    #[must_use]
    pub fn counters(&self, cookie: u64) -> Option<&Counters> {
        self.sockets.get(&cookie).map(|socket| &socket.counters)
    }

    /// The path of the program that a process ran when last heard of, where the
    /// log tells it.
    #[must_use]
    pub fn program(&self, pid: u32) -> Option<&str> {
        self.programs.of(pid)
    }

    /// The log's time now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// What was read.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What times in records mean.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.clock.meaning()
    }

    /// Nanoseconds that the log covers.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.clock.covered()
    }

    /// The log is over: gives the connections that are open, with their
    /// counters, after the last steps.
    pub fn finish(&mut self) -> Vec<(u64, Counters)> {
        if !self.carried.is_empty() {
            self.carried.clear();
            self.unreadable();
        }
        let exiting: Vec<_> = self
            .descriptors
            .tables
            .iter()
            .filter_map(|(table, state)| Some((*table, state.exiting?)))
            .collect();
        for (table, status) in exiting {
            let tid = self
                .descriptors
                .tables
                .get(&table)
                .and_then(|table| table.threads.iter().min().copied());
            let moment = self.moment(tid.unwrap_or(0));
            self.end_table(table, status, moment);
        }
        // Threads that were made, in a log of one that has no numbers: what they did
        // with the sockets is in no line.
        for table in self.descriptors.tables.values_mut() {
            if table.nameless {
                self.counts.untraced += table.unheard.len() as u64;
                table.unheard.clear();
            }
        }
        // Lines have numbers as soon as two are traced, and each line with -o.
        if !self.evidence.follows_children() && !self.apart {
            self.counts.untraced_processes = self.children;
        }
        let mut cookies: Vec<_> = self.sockets.keys().copied().collect();
        cookies.sort_unstable();
        for cookie in &cookies {
            self.check(*cookie);
            if let Some(socket) = self.sockets.get(cookie)
                && (socket.was_shut() || socket.references == 0)
                && socket.sending > 0
            {
                self.counts.interrupted += 1;
                self.distrust(*cookie);
            }
        }
        cookies
            .into_iter()
            .filter_map(|cookie| {
                let socket = self.sockets.remove(&cookie)?;
                self.count_maybe(&socket);
                let told = socket.announced() && !socket.lost && socket.maybe.is_none();
                told.then_some((cookie, socket.counters))
            })
            .collect()
    }
}
