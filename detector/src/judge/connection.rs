//! One connection's life, from its first record to its end.

use std::cell::RefCell;

use detector_common::{
    Connection as Counters, End, EndKind, Hint, Open, Reset, Sample, flag, seen,
};

use super::{
    by_process::{First, Use, service},
    closing::Closed,
    finding::{Address, Finding, Role},
    flaw::{By, Flaw, Flawed},
    looks::{Look, Looks, Traced},
    outgoing::{Reads, Sent},
    protocol::speaks,
    sequence::Sequence,
    streams::Streams,
    tally::Tally,
    unjudged::Unjudged,
    verdict::{
        Verdict, at_risk, cut_by_peer, failed, is_read, left, may_be_taken_back, noted,
        peer_is_gone, peer_is_there, place, verdict,
    },
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
    /// The last such ending of each process whose threads share their descriptors: a call
    /// that was in progress may hold the socket, and nothing else.
    let_go: Vec<End>,
    /// When the last record was made.
    last_ns: u64,
    concluded: bool,
    /// Whether what was received before the last sampled call was seen.
    reads: Reads,
    /// The peer was told to speak HTTP.
    introduced: bool,
    /// It was shut down, or closed, and a reset that comes then takes back its response.
    closed: Option<Box<Closed>>,
    /// One that came before its ending was judged.
    reset: Option<Box<Reset>>,
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

    /// The address of a peer that answered with HTTP, once.
    pub(super) fn take_server(&mut self) -> Option<Address> {
        let streams = self.streams.as_ref()?;
        if self.introduced || !streams.answers().heard() {
            return None;
        }
        self.introduced = true;
        place(&self.open.as_ref()?.socket).1
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
            self.await_reset(&ending, findings);
        }
        false
    }

    /// The socket does not exist any more, and no record tells of its end.
    pub(super) fn release(
        &mut self,
        counters: Option<&Counters>,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) {
        if self.ending.is_none()
            && let Some(counters) = counters
            && counters.end_flags & flag::LAST_CALL != 0
            && let Some(closing) = self.let_go.pop()
        {
            // What held it after that was a call in progress, which has returned.
            self.ending = Some(Box::new(closing));
        }
        self.finish(counters, tally, findings);
    }

    /// The kernel sent a reset.
    pub(super) fn reset(&mut self, reset: Reset, findings: &mut Vec<Finding>) {
        match self.closed.take() {
            Some(closed) => findings.extend(closed.taken_back(&reset)),
            None => self.reset = Some(Box::new(reset)),
        }
    }

    /// What a reset that comes later takes back.
    pub(super) fn take_closed(&mut self) -> Option<Closed> {
        self.closed.take().map(|closed| *closed)
    }

    /// Keeps the response that was sent whole, if this ending may take it back yet;
    /// `true` if there is one.
    fn await_reset(&mut self, end: &End, findings: &mut Vec<Finding>) -> bool {
        let may_be = !self.sequence.lost() && may_be_taken_back(end);
        let Some(streams) = self.streams.as_ref().filter(|_| may_be) else {
            return false;
        };
        let Some(finding) = response_at_risk(streams, end) else {
            return false;
        };
        let closed = Closed {
            finding: *finding,
            answered: streams.request_was_read(end.connection.received),
            peer_is_there: peer_is_there(end),
        };
        match self.reset.take() {
            Some(reset) => findings.extend(closed.taken_back(&reset)),
            None => self.closed = Some(Box::new(closed)),
        }
        true
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
        if let Some(reason) = spoiled(counters) {
            tally.miss(reason);
            return;
        }
        self.hear(counters, tally);
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
                let finding = noted(&flawed, open, counters, counters.sent_ns);
                findings.push(self.qualified(finding));
            } else if self.may_stop(&flawed, counters, false) {
                tally.miss(Unjudged::EarlyResponse);
            } else {
                tally.messages_judged += 1;
                tally.peer_endings += 1;
                let finding = cut_by_peer(&flawed, open, counters, counters.sent_ns);
                findings.push(self.qualified(finding));
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
                let spoiled = sample.flags & (flag::PACKETS | flag::OUT_OF_BAND) != 0;
                if !self.concluded && !self.sequence.lost() && !spoiled {
                    let looks = Looks::new(self.traced.is_some().then_some(looks));
                    self.sample(&sample, &bytes, looks, tally);
                }
            }
            Record::End(end) => return self.end(end, tally, findings),
            // Not numbered: it comes by another way.
            Record::Reset(_) => {}
        }
        false
    }

    fn sample(&mut self, sample: &Sample, bytes: &Bytes, looks: Looks<'_>, tally: &mut Tally) {
        let streams = self
            .streams
            .get_or_insert_with(|| Streams::new(sample.from_start == 1));
        let moved = u64::from(sample.moved);
        if sample.sending == 0 {
            streams.receive(sample.offset, moved, &bytes.start, looks, tally);
            return;
        }
        self.reads = Reads::of(sample.flags);
        let sent = Sent {
            offset: sample.offset,
            moved,
            data: &bytes.start,
            tail: &bytes.tail,
            received: sample.opposite,
            unseen: unseen(sample.flags),
            reads: self.reads,
            connected: sample.flags & flag::CONNECTED != 0 || sample.from_start != 1,
            begins_call: sample.flags & flag::MID_CALL == 0,
            edited: sample.flags & flag::EDITED != 0,
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
        if self.sequence.lost() || spoiled(counters).is_some() {
            return;
        }
        let noted: Vec<_> = flaws
            .iter()
            .map(|flawed| noted(flawed, open, counters, now_ns))
            .collect();
        for (flawed, finding) in flaws.iter().zip(noted) {
            // The others were counted when they were whole.
            tally.messages_judged += u64::from(flawed.flaw == Flaw::Desync);
            findings.push(self.qualified(finding));
        }
    }

    /// The finding with what the rest of the connection says of it.
    fn qualified(&self, mut finding: Finding) -> Finding {
        let Some(streams) = &self.streams else {
            return finding;
        };
        let answered = match finding.message.role {
            Role::Request => streams.answers().heard(),
            Role::Response => streams.asked(),
        };
        finding.alone = !answered;
        finding.rests_on_reads = !answered && self.reads.is_of_log();
        finding.reads_hidden = !answered && self.reads == Reads::Hidden;
        finding
    }

    /// Whether this side may stop sending this request: a final response began, or something
    /// lies `unread`, or no byte of the body was sent (a server may answer before it has read the
    /// whole request, and a client may wait for its leave: RFC 9110 section 10.1.1, RFC 9112
    /// section 9.5).
    fn may_stop(&self, flawed: &Flawed, counters: &Counters, unread: bool) -> bool {
        let only_interim = self.streams.as_ref().is_some_and(|streams| {
            let answers = streams.answers();
            answers.only_interim(flawed.received, counters.received)
        });
        let message = &flawed.message;
        let waits = message
            .head_bytes
            .is_some_and(|length| counters.sent <= message.head_offset + length);
        message.role == Role::Request && (!only_interim || waits || unread)
    }

    /// Of a peer whose answer was not sampled, its first bytes tell.
    fn hear(&mut self, counters: &Counters, tally: &mut Tally) {
        if let Some(streams) = &mut self.streams
            && counters.first_received.starts_with(b"HTTP/1.")
        {
            streams.outgoing.hear(tally);
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
            && spoiled(counters).is_none()
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
            if end.connection.send_flags & flag::LET_GO != 0 {
                self.let_go
                    .retain(|earlier| earlier.header.tgid != end.header.tgid);
                self.let_go.push(*end);
            }
            if !self.concluded && peer_is_gone(&end) {
                // Whoever holds it besides can send no more.
                self.ending.get_or_insert(end);
            }
            return false;
        }
        if end.kind == EndKind::Returned as u32 {
            end = self.let_go_by(end);
        }
        let counters = end.connection;
        let ending = self.ending.take().unwrap_or_else(|| end.clone());
        self.conclude(&ending, &counters, tally, findings);
        self.closed = None;
        if self.reset.is_some() && EndKind::from_number(ending.kind) == Some(EndKind::Shutdown) {
            // Between the shutdown and the close.
            self.await_reset(&ending, findings);
        }
        self.risk(&end, tally, findings);
        true
    }

    /// The ending by which the last descriptor went away, as a call that was in progress
    /// then left the socket when it returned: that process's, if it made one.
    fn let_go_by(&mut self, returned: Box<End>) -> Box<End> {
        let own = |end: &End| end.header.tgid == returned.header.tgid;
        let at = self.let_go.iter().position(own);
        let last = self.let_go.len().checked_sub(1);
        let Some(at) = at.or(last) else {
            return returned;
        };
        let mut closing = self.let_go.swap_remove(at);
        closing.references = 1;
        closing.connection = returned.connection;
        closing.socket = returned.socket;
        Box::new(closing)
    }

    /// A response that was sent whole, and whose end takes it back, or may.
    fn risk(&mut self, end: &End, tally: &mut Tally, findings: &mut Vec<Finding>) {
        let Some(streams) = &self.streams else { return };
        let received = end.connection.received;
        let at_risk = at_risk(end, streams.request_was_read(received));
        if self.sequence.lost() || spoiled(&end.connection).is_some() {
            return;
        }
        if at_risk == Some(false) {
            // Of MPTCP what is unread is not known.
            let due = streams.request_is_due(received) || !is_read(end, seen::QUEUES);
            let told = is_read(end, seen::RESETS);
            if self.await_reset(end, findings) && !told {
                self.closed = None;
                if due {
                    self.unjudge(Unjudged::ResetNotSeen, tally);
                }
            }
            return;
        }
        if let Some(finding) = response_at_risk(streams, end) {
            if at_risk.is_none() {
                self.unjudge(Unjudged::NoTimes, tally);
            } else {
                findings.push(self.qualified(*finding));
            }
        }
    }

    /// A message that was counted when it was whole is not judged.
    fn unjudge(&self, reason: Unjudged, tally: &mut Tally) {
        tally.messages_judged = tally.messages_judged.saturating_sub(1);
        tally.miss(reason);
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
        if let Some(reason) = spoiled(counters) {
            tally.miss(reason);
            return;
        }
        self.hear(counters, tally);
        let left = peer_is_gone(ending);
        let unseen = unseen(counters.send_flags);
        let flawed = self
            .streams
            .as_mut()
            .and_then(|streams| streams.end(counters.sent, unseen, left, tally));
        self.note(counters, ending.header.time_ns, tally, findings);
        if let Some(flawed) = flawed {
            let received = &ending.connection;
            let unread = ending.socket.unread > 0 || is_read(ending, seen::INPUT);
            let may_stop =
                self.may_stop(&flawed, received, unread) || self.may_stop(&flawed, counters, false);
            match verdict(&flawed, ending, counters, may_stop) {
                Verdict::Short(finding) => {
                    // One that is too long was counted when it was whole.
                    tally.messages_judged += u64::from(flawed.flaw != Flaw::Overrun);
                    findings.push(self.qualified(*finding));
                }
                Verdict::ByPeer(finding) => {
                    tally.messages_judged += 1;
                    tally.peer_endings += 1;
                    findings.push(self.qualified(*finding));
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
        let unseen = unseen(counters.send_flags) && !begins_otherwise(counters);
        tally.miss(match speaks(&counters.first_sent) {
            Unjudged::NotHttp if unseen => Unjudged::NotObserved,
            Unjudged::NotHttp if counters.from_start == 0 => Unjudged::MidStream,
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

/// Why nothing is judged of a connection, whatever its bytes are.
fn spoiled(counters: &Counters) -> Option<Unjudged> {
    let flags = counters.send_flags | counters.receive_flags;
    if flags & flag::PACKETS != 0 {
        Some(Unjudged::NotStream)
    } else {
        (flags & flag::OUT_OF_BAND != 0).then_some(Unjudged::OutOfBand)
    }
}

/// Whether the first bytes sent were seen, and begin no message: what may begin one is
/// sampled.
fn begins_otherwise(counters: &Counters) -> bool {
    counters.first_sent.iter().any(|byte| *byte != 0) && counters.send_flags & flag::HEAD_SEEN == 0
}

/// The last response, if it was sent whole, as one that this ending puts at risk.
fn response_at_risk(streams: &Streams, end: &End) -> Option<Box<Finding>> {
    let flawed = streams.outgoing.at_risk(end.connection.sent)?;
    match verdict(&flawed, end, &end.connection, false) {
        Verdict::Short(finding) if flawed.message.role == Role::Response => Some(finding),
        _ => None,
    }
}

/// Whether bytes went out that nobody looked at.
fn unseen(send_flags: u32) -> bool {
    send_flags & (flag::UNINSPECTED | flag::UNREADABLE) != 0
}
