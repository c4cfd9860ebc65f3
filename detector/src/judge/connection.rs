//! One connection's life, from its first record to its end.

use std::cell::RefCell;

use detector_common::{Connection as Counters, End, EndKind, Hint, Open, Sample, flag};

use super::{
    by_process::{First, Use, service},
    finding::{Finding, Role},
    flaw::{By, Flaw},
    looks::{Look, Looks, Traced},
    outgoing::Sent,
    protocol::speaks,
    sequence::Sequence,
    streams::Streams,
    tally::{Tally, Unjudged},
    verdict::{Verdict, at_risk, cut_by_peer, failed, left, noted, peer_is_gone, verdict},
};
use crate::capture::{Bytes, Record};

/// How long a shutdown waits before it is judged: a send that was blocked when
/// another thread shut the socket down returns after it, and its bytes count.
const SETTLE_NS: u64 = 150_000_000;

/// The same where others hold the socket, as a blocked send does.
const SETTLE_SHARED_NS: u64 = 2_000_000_000;

/// A socket that is open, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// A descriptor of it was closed while others remained.
    pub shared: bool,
    /// When something was last recorded of it.
    pub last_ns: u64,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    sequence: Sequence,
    /// What it was when it first sent bytes.
    open: Option<Box<Open>>,
    streams: Option<Streams>,
    /// The hint that was given last.
    hinted: Hint,
    /// The first ending; it waits until calls that were in progress are back.
    ending: Option<Box<End>>,
    /// The walks over a process's descriptors that met it, with the thread, and
    /// how often: two processes may be walking at the same time.
    walks: Vec<(u32, u32, u32)>,
    /// One of several descriptors was closed.
    shared: bool,
    /// When the last record was made.
    last_ns: u64,
    concluded: bool,
    /// The process that sent on it last.
    user: u32,
    first: First,
    /// The records whose turn came, where that is wanted.
    traced: Option<Vec<Traced>>,
}

impl Connection {
    /// One of which nothing is known; `trace` as for [`super::Judge::traced`].
    pub(super) fn new(trace: bool) -> Self {
        Self {
            traced: trace.then(Vec::new),
            ..Self::default()
        }
    }

    /// Who uses it for what, for counts by process.
    pub(super) fn used(&self) -> Use {
        let open = self.open.as_deref();
        let role = self.streams.as_ref().and_then(Streams::role);
        Use {
            pid: self.user,
            comm: open.map_or([0; 16], |open| open.comm),
            service: service(open, role, &self.first),
        }
    }

    /// What the counters tell of its use.
    fn met(&mut self, counters: &Counters) {
        self.first = First::of(counters);
        if self.user == 0 {
            self.user = counters.tgid;
        }
    }

    /// The records whose turn came since the last call.
    pub(super) fn take_traced(&mut self) -> Vec<Traced> {
        self.traced.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes a record; `true` if the connection is over.
    pub(super) fn take(
        &mut self,
        record: Record,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) -> bool {
        self.last_ns = record.header().time_ns;
        if let Some(late) = self.sequence.push(record) {
            self.trace(late, Vec::new());
        }
        self.advance(tally, findings)
    }

    /// Whether a process that held it by several descriptors ended it.
    pub(super) fn held_by_several(&self) -> bool {
        self.walks.iter().any(|(.., met)| *met > 1)
    }

    /// What tells whether it is worth asking if the socket still exists.
    pub(super) fn held(&self) -> Held {
        Held {
            shared: self.shared,
            last_ns: self.last_ns,
        }
    }

    /// Something that the kernel did was not seen, on this connection or another.
    pub(super) fn doubt(&mut self) {
        self.sequence.doubt();
    }

    /// When the wait of the connection is over, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let ending = self.ending.as_ref().map(|end| {
            // A call that is in progress in a process with threads holds a
            // reference.
            let wait = if end.references > 1 {
                SETTLE_SHARED_NS
            } else {
                SETTLE_NS
            };
            end.header.time_ns + wait
        });
        let held = self.sequence.held_since_ns().map(|since| since + SETTLE_NS);
        ending.into_iter().chain(held).min()
    }

    /// Ends the wait; `true` if the connection is over.
    pub(super) fn settle(
        &mut self,
        counters: Option<&Counters>,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) -> bool {
        self.sequence.give_up();
        if self.advance(tally, findings) {
            return true;
        }
        let Some(counters) = counters else {
            // The kernel side forgot it at its end, whose record never came.
            tally.ends_missed += 1;
            self.lose(tally);
            return true;
        };
        self.sequence.expect(counters.seq);
        if let Some(ending) = self.ending.take() {
            self.conclude(&ending, counters, tally, findings);
        }
        false
    }

    /// The watch ends.
    pub(super) fn finish(
        &mut self,
        counters: Option<&Counters>,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(counters) = counters {
            self.met(counters);
        }
        if self.settle(counters, tally, findings) || self.concluded {
            return;
        }
        let Some(counters) = counters else { return };
        if self.sequence.lost() {
            self.lose(tally);
            return;
        }
        if failed(counters) || left(counters) {
            return self.left_by_peer(counters, tally, findings);
        }
        let reason = if counters.end_flags & flag::UNSEEN_END != 0 {
            Unjudged::NotObserved
        } else if self.shared {
            Unjudged::Shared
        } else {
            Unjudged::InProgress
        };
        if let Some(streams) = &mut self.streams {
            let unseen = unseen(counters.send_flags);
            streams.leave_open(counters.sent, unseen, reason, tally);
        }
        self.note(counters, counters.sent_ns, tally, findings);
        self.classify(counters, tally);
    }

    /// The peer reset it, and it was not closed here.
    fn left_by_peer(
        &mut self,
        counters: &Counters,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) {
        let flawed = self.streams.as_mut().and_then(|streams| {
            streams.end(counters.sent, unseen(counters.send_flags), true, tally)
        });
        self.note(counters, counters.sent_ns, tally, findings);
        if let (Some(flawed), Some(open)) = (flawed, &self.open) {
            let owes = matches!(flawed.flaw, Flaw::Short | Flaw::Unterminated);
            if !owes {
                findings.push(noted(&flawed, open, counters, counters.sent_ns));
            } else if flawed.message.role == Role::Request && counters.received > flawed.received {
                tally.miss(Unjudged::EarlyResponse);
            } else {
                tally.messages_judged += 1;
                tally.peer_endings += 1;
                findings.push(cut_by_peer(&flawed, open, counters, counters.sent_ns));
            }
        }
        self.classify(counters, tally);
    }

    fn advance(&mut self, tally: &mut Tally, findings: &mut Vec<Finding>) -> bool {
        while let Some(record) = self.sequence.pop() {
            let copy = self.traced.is_some().then(|| record.clone());
            let looks = RefCell::default();
            let over = self.turn(record, &looks, tally, findings);
            if let Some(record) = copy {
                self.trace(record, looks.into_inner());
            }
            if over {
                return true;
            }
        }
        false
    }

    fn trace(&mut self, record: Record, looks: Vec<Look>) {
        if let Some(traced) = &mut self.traced {
            traced.push((record, looks));
        }
    }

    /// Takes a record whose turn it is; `true` if the connection is over.
    fn turn(
        &mut self,
        record: Record,
        looks: &RefCell<Vec<Look>>,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) -> bool {
        match record {
            Record::Open(open) => {
                self.user = open.header.tgid;
                self.open = Some(open);
            }
            Record::Sample(sample, bytes) => {
                if sample.sending != 0 || self.user == 0 {
                    self.user = sample.header.tgid;
                }
                if !self.concluded && !self.sequence.lost() {
                    let looks = Looks::new(self.traced.is_some().then_some(looks));
                    self.sample(&sample, &bytes, looks, tally);
                }
            }
            Record::End(end) => return self.end(end, tally, findings),
        }
        false
    }

    fn sample(&mut self, sample: &Sample, bytes: &Bytes, looks: Looks<'_>, tally: &mut Tally) {
        let streams = self
            .streams
            .get_or_insert_with(|| Streams::new(sample.fresh == 1));
        let moved = u64::from(sample.moved);
        if sample.sending == 0 {
            streams.receive(sample.offset, moved, &bytes.start, looks);
            return;
        }
        let sent = Sent {
            offset: sample.offset,
            moved,
            data: &bytes.start,
            tail: &bytes.tail,
            received: sample.opposite,
            unseen: unseen(sample.flags),
            begins_call: sample.flags & flag::WITHIN == 0,
            by: By {
                pid: sample.header.tgid,
                tid: sample.header.tid,
                time_ns: sample.header.time_ns,
                number: u16::try_from(sample.number).unwrap_or(u16::MAX),
                fd: sample.fd,
            },
            looks,
        };
        streams.send(sent, tally);
    }

    /// The next bytes that matter, if they are not what the kernel side was told
    /// last.
    pub(super) fn take_hint(&mut self) -> Option<Hint> {
        let next = match &self.streams {
            // Nothing that comes is judged.
            Some(_) if self.sequence.lost() || self.concluded => Hint {
                next: u64::MAX,
                whole: false,
                quiet: u64::MAX,
            },
            Some(streams) => streams.hint(),
            None => return None,
        };
        let known = std::mem::replace(&mut self.hinted, next);
        (next != known).then_some(next)
    }

    /// Whether something was found wrong that [`Self::note`] is to tell.
    pub(super) fn has_flaws(&self) -> bool {
        self.streams
            .as_ref()
            .is_some_and(|streams| streams.outgoing.has_flaws())
    }

    /// Tells what was found wrong with messages while the connection goes on.
    pub(super) fn note(
        &mut self,
        counters: &Counters,
        now_ns: u64,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) {
        let (Some(streams), Some(open)) = (&mut self.streams, &self.open) else {
            return;
        };
        let flaws = streams.outgoing.take_flaws();
        if self.sequence.lost() {
            return;
        }
        for flawed in flaws {
            // The others were counted when they were whole.
            tally.messages_judged += u64::from(flawed.flaw == Flaw::Desync);
            findings.push(noted(&flawed, open, counters, now_ns));
        }
    }

    /// Whether a message is owed bytes, so far as records tell.
    pub(super) fn owes(&self) -> bool {
        !self.concluded
            && self.ending.is_none()
            && !self.sequence.lost()
            && self
                .streams
                .as_ref()
                .is_some_and(|streams| streams.outgoing.owes())
    }

    /// Whether it owes a message bytes for certain, and every record was taken.
    pub(super) fn stalls(&self, counters: &Counters) -> bool {
        self.owes()
            && self.sequence.took_all(counters.seq)
            && self
                .streams
                .as_ref()
                .is_some_and(|streams| streams.outgoing.stalls(counters.sent))
    }

    /// No byte was accepted for long.
    pub(super) fn stall(
        &mut self,
        counters: &Counters,
        now_ns: u64,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) {
        if !self.stalls(counters) {
            return;
        }
        if let Some(streams) = &mut self.streams
            && let Some(flawed) = streams.outgoing.stall(counters.sent)
        {
            streams.outgoing.push_flaw(flawed);
        }
        self.note(counters, now_ns, tally, findings);
    }

    /// This side ended it, or one descriptor of it; `true` if it is over.
    fn end(&mut self, mut end: Box<End>, tally: &mut Tally, findings: &mut Vec<Finding>) -> bool {
        if let Some(open) = &self.open {
            end.socket.place_as(&open.socket);
        }
        let last = match EndKind::from_number(end.kind) {
            Some(EndKind::Shutdown) => {
                if !self.concluded {
                    self.ending.get_or_insert(end);
                }
                return false;
            }
            // One walk over a process's descriptors may meet a socket several
            // times; each time it tells of the references before any went.
            // By thread: two threads that end together may both walk.
            Some(EndKind::Exit | EndKind::CloseRange) => {
                let (tid, walk) = (end.header.tid, end.walk);
                // A thread makes one walk after the other.
                self.walks
                    .retain(|(other, earlier, _)| *other != tid || *earlier == walk);
                let met = match self.walks.iter_mut().find(|(other, ..)| *other == tid) {
                    Some((.., met)) => {
                        *met += 1;
                        *met
                    }
                    None => {
                        self.walks.push((tid, walk, 1));
                        1
                    }
                };
                met == end.references
            }
            Some(_) => end.references == 1,
            None => false,
        };
        if !last {
            self.shared = true;
            if !self.concluded && peer_is_gone(&end) {
                // Whoever holds it besides can send no more.
                self.ending.get_or_insert(end);
            }
            return false;
        }
        let counters = end.connection;
        let ending = self.ending.take().unwrap_or_else(|| end.clone());
        self.conclude(&ending, &counters, tally, findings);
        self.risk(&end, tally, findings);
        true
    }

    /// A response that was sent whole, and whose end takes it back.
    fn risk(&self, end: &End, tally: &mut Tally, findings: &mut Vec<Finding>) {
        let Some(streams) = &self.streams else { return };
        let answered = streams.request_was_read(end.connection.received);
        let at_risk = at_risk(end, answered);
        if self.sequence.lost() || at_risk == Some(false) {
            return;
        }
        if let Some(flawed) = streams.outgoing.at_risk(end.connection.sent)
            && flawed.message.role == Role::Response
            && let Verdict::Short(finding) = verdict(&flawed, end, &end.connection)
        {
            if at_risk.is_none() {
                // Counted when it was whole.
                tally.messages_judged = tally.messages_judged.saturating_sub(1);
                tally.miss(Unjudged::NoTimes);
            } else {
                findings.push(*finding);
            }
        }
    }

    /// Judges what was being sent when it ended.
    fn conclude(
        &mut self,
        ending: &End,
        counters: &Counters,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) {
        if self.concluded {
            return;
        }
        self.met(counters);
        if self.sequence.lost() {
            self.lose(tally);
            return;
        }
        self.concluded = true;
        let left = peer_is_gone(ending);
        let unseen = unseen(counters.send_flags);
        let flawed = self
            .streams
            .as_mut()
            .and_then(|streams| streams.end(counters.sent, unseen, left, tally));
        self.note(counters, ending.header.time_ns, tally, findings);
        if let Some(flawed) = flawed {
            match verdict(&flawed, ending, counters) {
                Verdict::Short(finding) => {
                    // One that is too long was counted when it was whole.
                    tally.messages_judged += u64::from(flawed.flaw != Flaw::Overrun);
                    findings.push(*finding);
                }
                Verdict::ByPeer(finding) => {
                    tally.messages_judged += 1;
                    tally.peer_endings += 1;
                    findings.push(*finding);
                }
                Verdict::Unjudged(reason) => tally.miss(reason),
            }
        }
        self.classify(counters, tally);
    }

    fn lose(&mut self, tally: &mut Tally) {
        if !self.concluded {
            self.concluded = true;
            tally.miss(Unjudged::LostEvents);
        }
    }

    /// Counts a connection on which no message was found by what it speaks.
    fn classify(&self, counters: &Counters, tally: &mut Tally) {
        let silent = self
            .streams
            .as_ref()
            .is_none_or(|streams| streams.outgoing.silent());
        if !silent || counters.sent == 0 {
            return;
        }
        let unseen = unseen(counters.send_flags);
        tally.miss(match speaks(&counters.first_sent) {
            Unjudged::NotHttp if unseen => Unjudged::NotObserved,
            Unjudged::NotHttp if counters.fresh == 0 => Unjudged::MidStream,
            // The preface is the client's; a server answers with frames.
            Unjudged::NotHttp => match speaks(&counters.first_received) {
                Unjudged::Encrypted => Unjudged::Encrypted,
                Unjudged::Http2 => Unjudged::Http2,
                _ => Unjudged::NotHttp,
            },
            reason => reason,
        });
    }
}

/// Whether bytes went out that nobody looked at.
fn unseen(send_flags: u32) -> bool {
    send_flags & (flag::OPAQUE | flag::UNREADABLE) != 0
}
