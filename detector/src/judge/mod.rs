//! Decides which messages were cut short. Pure: records in, findings out; no
//! I/O, no clock of its own, no async.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `sequence.rs`   | the order of a connection's records, and whether one is missing |
//! | `requests.rs`   | which request a response answers |
//! | `answers.rs`    | what came back for the requests that this side sends |
//! | `chunks.rs`     | where a chunked body ends, from calls seen in part |
//! | `body.rs`, `flaw.rs` | a message that is being sent, and what may be wrong with it |
//! | `streams.rs`    | both directions, and two readings where the bytes allow them |
//! | `outgoing/`     | where in the stream of sent bytes each message begins and ends |
//! | `looks.rs`      | which bytes were read, for a recording |
//! | `protocol.rs`   | what a connection speaks that is not HTTP/1 |
//! | `closing.rs`    | which responses a later reset took back |
//! | `connection.rs` | one connection's life, from its first record to its end |
//! | `verdict.rs`    | who ended it, with what cause and fault |
//! | `finding.rs`    | what a finding says |
//! | `tally.rs`      | what was judged, and what was not, by reason |
//! | `by_process.rs` | the same by process and service, of a bounded number |

mod answers;
mod body;
mod by_process;
mod chunks;
mod closing;
mod connection;
mod finding;
mod flaw;
mod looks;
mod outgoing;
mod protocol;
mod requests;
mod sequence;
mod streams;
mod tally;
mod unjudged;
mod verdict;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod wire;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
};

use detector_common::{Connection as Counters, Hint, Reset};

use self::{by_process::Use, closing::Closing, connection::Connection};
pub use self::{
    by_process::{ByProcess, Judged, OpenBefore, Service},
    connection::Held,
    finding::{
        Address, Cause, Ending, EndingKind, Fault, Finding, Framing, Message, Role, SendQueue,
        TimelineEntry,
    },
    looks::{Look, Traced},
    tally::Tally,
    unjudged::Unjudged,
};
use crate::capture::Record;

/// Judges the connections whose records it is given.
#[derive(Debug, Default)]
pub struct Judge {
    /// In boxes: a table that grows is there twice for a moment, and keeps its size.
    connections: HashMap<u64, Box<Connection>>,
    tally: Tally,
    findings: Vec<Finding>,
    released: Vec<u64>,
    hints: Vec<(u64, Hint)>,
    flawed: Vec<u64>,
    ended: Recent<u64>,
    /// Peers that answered with HTTP.
    servers: Recent<Address>,
    closing: Closing,
    /// Records whose turn came are kept, with what was read of them.
    trace: bool,
    traced: Vec<Traced>,
}

impl Judge {
    /// A judge that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same; [`Judge::take_traced`] gives what it read.
    #[must_use]
    pub fn traced() -> Self {
        Self {
            trace: true,
            ..Self::default()
        }
    }

    /// Takes the records whose turn came since the last call, and which of
    /// their bytes were read.
    pub fn take_traced(&mut self) -> Vec<Traced> {
        std::mem::take(&mut self.traced)
    }

    /// Takes the next record. Records of one connection may come slightly out
    /// of order (several CPUs write them); their numbers put them right.
    pub fn take(&mut self, record: Record) {
        let cookie = record.header().cookie;
        if let Record::Reset(reset) = record {
            return self.reset(cookie, reset);
        }
        if self.ended.contains(&cookie) {
            return;
        }
        let connection = self
            .connections
            .entry(cookie)
            .or_insert_with(|| Box::new(Connection::new(self.trace)));
        let before = self.findings.len();
        let over = connection.take(record, &mut self.tally, &mut self.findings);
        self.tally
            .credit(|| connection.used(), since(&self.findings, before));
        self.traced.append(&mut connection.take_traced());
        if let Some(hint) = connection.take_hint() {
            self.hints.push((cookie, hint));
        }
        if let Some(server) = connection.take_server() {
            self.servers.insert(server);
        }
        if connection.has_flaws() && self.flawed.last() != Some(&cookie) {
            self.flawed.push(cookie);
        }
        if over {
            if connection.held_by_several() {
                self.released.push(cookie);
            }
            if let Some(closed) = connection.take_closed() {
                self.closing.insert(cookie, closed);
            }
            self.remove(cookie);
        }
    }

    /// The kernel sent a reset, on a connection that ended or on one that is shut down.
    fn reset(&mut self, cookie: u64, reset: Reset) {
        let before = self.findings.len();
        let mut pid = 0;
        if let Some(connection) = self.connections.get_mut(&cookie) {
            connection.reset(reset, &mut self.findings);
        } else if let Some(closed) = self.closing.take(cookie) {
            self.findings.extend(closed.taken_back(&reset));
        } else if let Some(of) = self.closing.take_let_go(cookie, &reset) {
            pid = of;
            self.tally.messages_judged = self.tally.messages_judged.saturating_sub(1);
            self.tally.miss(Unjudged::Evicted);
        } else {
            return;
        }
        let found = since(&self.findings, before);
        let used = || Use::unknown(found.first().map_or(pid, |finding| finding.pid));
        self.tally.credit(used, found);
        if self.trace {
            self.traced.push((Record::Reset(reset), Vec::new()));
        }
    }

    fn remove(&mut self, cookie: u64) {
        self.connections.remove(&cookie);
        self.ended.insert(cookie);
    }

    /// Takes the connections that ended since the last call and that the kernel
    /// side does not know to be over: sockets that one process held by several
    /// descriptors when it ended.
    pub fn take_released(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.released)
    }

    /// Takes what the kernel side is to be told since the last call: of a
    /// connection, the next sent bytes that matter (`detector_common::Hint`).
    pub fn take_hints(&mut self) -> Vec<(u64, Hint)> {
        std::mem::take(&mut self.hints)
    }

    /// Takes the connections that go on and on which something was found wrong;
    /// [`Judge::note`] makes it a finding.
    pub fn take_flawed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.flawed)
    }

    /// Tells what was found wrong on a connection that goes on; with the
    /// kernel's counters for it as they are now, and the time
    /// (`CLOCK_MONOTONIC` nanoseconds).
    pub fn note(&mut self, cookie: u64, counters: &Counters, now_ns: u64) {
        if let Some(connection) = self.connections.get_mut(&cookie) {
            let before = self.findings.len();
            connection.note(counters, now_ns, &mut self.tally, &mut self.findings);
            self.tally
                .credit(|| connection.used(), since(&self.findings, before));
        }
    }

    /// The connections on which a message is owed bytes, as far as records
    /// tell.
    pub fn owing(&self) -> impl Iterator<Item = u64> {
        self.connections
            .iter()
            .filter(|(_, connection)| connection.owes())
            .map(|(cookie, _)| *cookie)
    }

    /// Whether [`Judge::stall`] would find something.
    #[must_use]
    pub fn stalls(&self, cookie: u64, counters: &Counters) -> bool {
        let connection = self.connections.get(&cookie);
        connection.is_some_and(|connection| connection.stalls(counters))
    }

    /// The kernel accepted no byte on a connection for long; `counters` are its
    /// own for it, `now_ns` is the time.
    pub fn stall(&mut self, cookie: u64, counters: &Counters, now_ns: u64) {
        if let Some(connection) = self.connections.get_mut(&cookie) {
            let before = self.findings.len();
            connection.stall(counters, now_ns, &mut self.tally, &mut self.findings);
            self.tally
                .credit(|| connection.used(), since(&self.findings, before));
        }
    }

    /// The connections that wait for something, shut down but not closed, or
    /// with a gap in their records, and when their wait is over
    /// (`CLOCK_MONOTONIC` nanoseconds).
    pub fn waiting(&self) -> impl Iterator<Item = (u64, u64)> {
        self.connections
            .iter()
            .filter_map(|(cookie, connection)| Some((*cookie, connection.due_ns()?)))
    }

    /// The connections that are open, as far as is known. The end of one may go
    /// unseen: with a process that is not watched, with a call that was still
    /// in progress, or by io_uring.
    pub fn held(&self) -> impl Iterator<Item = (u64, Held)> {
        self.connections
            .iter()
            .map(|(cookie, connection)| (*cookie, connection.held()))
    }

    /// The socket does not exist any more, and its end was not seen. `counters`
    /// are the kernel's last.
    pub fn release(&mut self, cookie: u64, counters: Option<&Counters>) {
        if let Some(mut connection) = self.connections.remove(&cookie) {
            let before = self.findings.len();
            connection.release(counters, &mut self.tally, &mut self.findings);
            self.tally
                .credit(|| connection.used(), since(&self.findings, before));
            self.traced.append(&mut connection.take_traced());
            self.ended.insert(cookie);
        }
    }

    /// Whether a connection is not over.
    #[must_use]
    pub fn knows(&self, cookie: u64) -> bool {
        self.connections.contains_key(&cookie)
    }

    /// The connections that are not over.
    pub fn cookies(&self) -> impl Iterator<Item = u64> {
        self.connections.keys().copied()
    }

    /// Ends the wait of a connection: every record made before is taken by
    /// now. `counters` are the kernel's for it as they are now, `None` if it
    /// keeps none any more.
    pub fn settle(&mut self, cookie: u64, counters: Option<&Counters>) {
        let Some(connection) = self.connections.get_mut(&cookie) else {
            return;
        };
        let before = self.findings.len();
        let over = connection.settle(counters, &mut self.tally, &mut self.findings);
        self.tally
            .credit(|| connection.used(), since(&self.findings, before));
        self.traced.append(&mut connection.take_traced());
        if over {
            self.remove(cookie);
        }
    }

    /// The watch ends: judges what is left by the kernel's counters, one entry
    /// per socket that is still open.
    pub fn finish(&mut self, open: impl IntoIterator<Item = (u64, Counters)>) {
        for (cookie, counters) in open {
            if self.ended.contains(&cookie) {
                continue;
            }
            let mut connection = self.connections.remove(&cookie).unwrap_or_default();
            self.finish_one(&mut connection, Some(&counters));
            self.ended.insert(cookie);
        }
        let mut left: Vec<_> = self.connections.drain().collect();
        // In the same order each time.
        left.sort_unstable_by_key(|(cookie, _)| *cookie);
        for (_, mut connection) in left {
            self.finish_one(&mut connection, None);
        }
    }

    /// Judges what is left of a connection.
    fn finish_one(&mut self, connection: &mut Connection, counters: Option<&Counters>) {
        let before = self.findings.len();
        connection.finish(counters, &mut self.tally, &mut self.findings);
        self.tally
            .credit(|| connection.used(), since(&self.findings, before));
        self.traced.append(&mut connection.take_traced());
    }

    /// Takes the findings made since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.findings);
        for finding in &mut findings {
            // What looks like a request to a peer that never spoke HTTP may be a file that
            // is stored there.
            let known = |peer| self.servers.contains(peer);
            if finding.message.role == Role::Request
                && finding.fault == Fault::Local
                && finding.alone
                && !finding.rests_on_reads
                && !finding.peer.as_ref().is_some_and(known)
            {
                finding.fault = Fault::Unknown;
            }
        }
        findings
    }

    /// A finding that cannot be relied on, because something that the kernel
    /// did was not seen: it is counted as not judged.
    pub fn doubt(&mut self, finding: &Finding) {
        self.tally.messages_judged = self.tally.messages_judged.saturating_sub(1);
        self.tally.miss(Unjudged::LostEvents);
        self.tally.credit(|| Use::unknown(finding.pid), &[]);
    }

    /// Something that the kernel did just now was not seen, on which connection is
    /// not known: none that is open is judged.
    pub fn doubt_open(&mut self) {
        for connection in self.connections.values_mut() {
            connection.doubt();
        }
    }

    /// Lets go of connections where there are more than `most`, of a sixteenth at
    /// once: of those that owe nothing first, and of those that were idle for
    /// longest. What they send from now on is a new connection's, joined in
    /// mid-stream, if the kernel side forgets them too.
    pub fn evict(&mut self, most: usize) -> Vec<u64> {
        if self.connections.len() <= most {
            return Vec::new();
        }
        let mut all: Vec<_> = self
            .connections
            .iter()
            .map(|(cookie, connection)| (connection.owes(), connection.held().last_ns, *cookie))
            .collect();
        all.sort_unstable();
        all.truncate(self.connections.len() - (most - most / 16));
        let cookies: Vec<_> = all.into_iter().map(|(.., cookie)| cookie).collect();
        for cookie in &cookies {
            self.tally.miss(Unjudged::Evicted);
            if let Some(connection) = self.connections.remove(cookie) {
                self.tally.credit(|| connection.used(), &[]);
            }
        }
        cookies
    }

    /// A connection of which nothing was seen is gone: joined in mid-stream, if that.
    pub fn open_before(&mut self, before: &OpenBefore) {
        self.tally.miss(Unjudged::MidStream);
        self.tally.credit(|| before.used(), &[]);
    }

    /// How many connections are not over.
    #[must_use]
    pub fn open(&self) -> usize {
        self.connections.len()
    }

    /// What was judged so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Findings from this number on.
fn since(findings: &[Finding], before: usize) -> &[Finding] {
    findings.get(before..).unwrap_or_default()
}

/// What was added last: connections that ended (a record or a snapshot of one that comes
/// late is not a new connection's), and peers.
#[derive(Debug)]
struct Recent<T> {
    set: HashSet<T>,
    order: VecDeque<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            set: HashSet::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Recent<T> {
    /// How many are kept.
    const KEPT: usize = 8192;

    fn insert(&mut self, one: T) {
        if self.set.insert(one.clone()) {
            self.order.push_back(one);
        }
        if self.order.len() > Self::KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    fn contains(&self, one: &T) -> bool {
        self.set.contains(one)
    }
}
