//! Takes a log line by line and gives the records that the kernel side would
//! have made of the same calls.
//!
//! | file | what it does |
//! | --- | --- |
//! | `lines.rs` | lines: whose they are, and what they tell |
//! | `interrupted_line.rs` | lines in which strace has put a message |
//! | `calls.rs` | calls that begin in one line and end in another |
//! | `threads.rs` | threads and processes: their first line, and their end |

mod calls;
mod interrupted_line;
mod lines;
mod threads;

use std::collections::BTreeSet;

use detector_common::{Connection as Counters, flag};

pub(super) use self::calls::Resumed;
use self::interrupted_line::InterruptedLine;
use super::{
    clock::{Clock, Meaning},
    closed::ClosedConnections,
    descriptors::{Descriptors, What},
    epoll::Epoll,
    evidence::{Evidence, Sure},
    numbers::Numbers,
    programs::Programs,
    sharing::Sharing,
    socket::{Socket, Step},
    socket_name::SocketName,
    sockets::Sockets,
    string_limit::StringLimit,
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
    pub(super) sockets: Sockets,
    pub(super) epoll: Epoll,
    pub(super) counts: Counts,
    /// Unreadable lines before the first that could be read.
    before: Option<u64>,
    /// A call of the fork family was seen.
    pub(super) forks: bool,
    walks: u32,
    interrupted: InterruptedLine,
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
    /// The call that ends, if it began in an earlier line.
    pub(super) resumed: Option<Resumed>,
    pub(super) string_limit: StringLimit,
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
        self.sockets.were_opened() || self.evidence.has_net() || self.evidence.copies() == Sure::Yes
    }

    /// Takes what the lines so far came to.
    pub fn take_steps(&mut self) -> std::vec::Drain<'_, Step> {
        self.sockets.take_steps()
    }

    /// Whether the lines so far came to something.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        self.sockets.has_steps()
    }

    /// The next bytes of this connection that matter are at this offset.
    pub fn hint(&mut self, cookie: u64, boundary: u64) {
        if let Some(socket) = self.sockets.get_mut(cookie) {
            socket.boundary = boundary;
        }
    }

    /// The counters of a connection, as they are now.
    #[must_use]
    pub fn counters(&self, cookie: u64) -> Option<&Counters> {
        self.sockets.get(cookie).map(|socket| &socket.counters)
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
        if self.interrupted.take().is_some() {
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
        for cookie in self.sockets.cookies() {
            self.sockets.check(cookie);
            if let Some(socket) = self.sockets.get(cookie)
                && (socket.was_shut() || socket.references == 0)
                && socket.sending > 0
            {
                self.counts.interrupted += 1;
                self.sockets.distrust(cookie);
            }
        }
        let counts = &mut self.counts;
        let open = self.sockets.drain().filter_map(|(cookie, socket)| {
            counts.unknown_descriptors += u64::from(socket.maybe.is_some());
            socket.is_reportable().then_some((cookie, socket.counters))
        });
        open.collect()
    }

    /// A socket that was not known before.
    pub(super) fn add_socket(&mut self, name: SocketName) -> u64 {
        self.sockets.add(name, self.counts.lines)
    }

    /// A descriptor of the socket is gone, with a record.
    pub(super) fn release(&mut self, cookie: u64) {
        let receives = self.shows_receives();
        if let Some(socket) = self.sockets.release(cookie, receives) {
            self.note_closed(&socket);
        }
    }

    /// A send is over that was in progress.
    fn finish_send(&mut self, cookie: u64) {
        let receives = self.shows_receives();
        if let Some(socket) = self.sockets.finish_send(cookie, receives) {
            self.note_closed(&socket);
        }
    }

    /// What sends is traced, so what receives is: both are in the same classes.
    fn shows_receives(&self) -> bool {
        self.evidence.sends() == Sure::Yes
    }

    fn note_closed(&mut self, socket: &Socket) {
        self.counts.unknown_descriptors += u64::from(socket.maybe.is_some());
        if socket.announced() {
            self.closed.add(socket);
            let unanswered = socket.is_reportable() && socket.got_request();
            self.counts.unanswered += u64::from(unanswered);
        }
    }

    /// The descriptor is another's by now, and no line told of its end.
    pub(super) fn close_unseen(&mut self, tid: u32, fd: i32) {
        if let Some(thread) = self.descriptors.threads.get(&tid) {
            self.closed.opened(thread.table, fd);
        }
        let Some(slot) = self.descriptors.remove(tid, fd) else {
            return;
        };
        let What::Socket(cookie) = slot.what else {
            return;
        };
        self.sockets.check(cookie);
        if let Some(socket) = self.sockets.get_mut(cookie) {
            self.counts.unseen_ends += u64::from(socket.announced() && !socket.lost);
            socket.shared = true;
            socket.counters.end_flags |= flag::UNSEEN_END;
        }
        self.release(cookie);
    }
}
