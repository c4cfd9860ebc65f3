//! A connection as the kernel side sees it, for tests of the judge.

use detector_common::{
    BODY_START, Connection as Counters, EDGE_END, EDGE_START, End, EndKind, Header, Kind, Open,
    Pod as _, Reset, SAMPLE_LEN, Sample, family, flag, seen,
};

use super::{Finding, Judge, Tally};
use crate::capture::{Bytes, Record};

/// A connection as the kernel side sees it: samples what it would sample.
pub(super) struct Wire {
    pub(super) judge: Judge,
    pub(super) counters: Counters,
    pub(super) socket_state: u8,
    pub(super) socket_shutdown: u8,
    /// Bytes of the head that is open in each direction.
    send_open: Option<Vec<u8>>,
    receive_open: Option<Vec<u8>>,
    head_seen: bool,
    /// As `flag::BODY_NEXT` and `flag::PLAIN`.
    body_next: bool,
    plain: bool,
    /// As `flag::BODY_SEEN`.
    body_seen: bool,
    announced: bool,
    /// The judge's hints arrive at once, instead of too late.
    pub(super) hints: bool,
    boundary: u64,
    /// Below so many received bytes nothing before it is looked at.
    quiet: u64,
    pub(super) unread: u32,
    peer: u8,
    pub(super) cookie: u64,
    /// `SO_LINGER` 0.
    pub(super) linger: bool,
    pub(super) unacknowledged: u32,
    pub(super) unsent: u32,
    /// What was read of the socket (`detector_common::seen`).
    pub(super) seen: u32,
    /// The walk over descriptors that makes the endings.
    pub(super) walk: u32,
    /// Added to the time of what comes.
    pub(super) later_ns: u64,
    /// Records that are lost on their way.
    pub(super) lose: Vec<u32>,
    /// The thread that makes the endings.
    pub(super) tid: u32,
    /// Records held back, to come in another order.
    pub(super) hold: bool,
    pub(super) held: Vec<Record>,
}

pub(super) const COOKIE: u64 = 77;

impl Wire {
    pub(super) fn new() -> Self {
        let mut counters = Counters::EMPTY;
        counters.from_start = 1;
        counters.family = family::INET;
        counters.fd = 7;
        Self {
            judge: Judge::new(),
            counters,
            socket_state: 1,
            socket_shutdown: 0,
            send_open: None,
            receive_open: None,
            head_seen: false,
            body_next: false,
            plain: false,
            body_seen: false,
            announced: false,
            hints: false,
            boundary: 0,
            quiet: 0,
            unread: 0,
            peer: 1,
            cookie: COOKIE,
            linger: false,
            unacknowledged: 0,
            unsent: 0,
            seen: seen::QUEUES | seen::LINGER | seen::RESETS,
            walk: 0,
            later_ns: 0,
            lose: Vec::new(),
            tid: 43,
            hold: false,
            held: Vec::new(),
        }
    }

    /// One that this side connected, to the peer with this last byte in its address.
    pub(super) fn connected(&mut self, peer: u8) -> &mut Self {
        self.counters.send_flags |= flag::CONNECTED;
        self.peer = peer;
        self
    }

    /// Bytes that are received and not looked at.
    pub(super) fn receive_unseen(&mut self, moved: u64) -> &mut Self {
        self.counters.received += moved;
        self.counters.receive_flags |= flag::UNINSPECTED;
        self
    }

    /// Of a log that does not show that strace was asked for what receives.
    pub(super) fn untraced() -> Self {
        let mut wire = Self::new();
        wire.counters.send_flags |= flag::UNTRACED_RECEIVES;
        wire
    }

    pub(super) fn joined() -> Self {
        let mut wire = Self::new();
        wire.counters.from_start = 0;
        wire
    }

    pub(super) fn header(&mut self, kind: Kind) -> Header {
        let seq = self.counters.seq;
        self.counters.seq += 1;
        Header {
            kind: kind as u32,
            seq,
            cookie: self.cookie,
            time_ns: 1_000_000 * u64::from(seq + 1) + self.later_ns,
            tgid: 42,
            tid: self.tid,
        }
    }

    pub(super) fn deliver(&mut self, record: Record) {
        if self.lose.contains(&record.header().seq) {
            return;
        }
        if self.hold {
            self.held.push(record);
        } else {
            self.judge.take(record);
            if let Some((_, hint)) = self.judge.take_hints().pop() {
                (self.boundary, self.quiet) = (hint.next, hint.quiet);
            }
        }
    }

    /// One send of these bytes followed by `more` bytes of body.
    pub(super) fn send(&mut self, bytes: &[u8], more: u64) -> &mut Self {
        let moved = bytes.len() as u64 + more;
        let offset = self.counters.sent;
        self.counters.sent += moved;
        self.counters.sent_ns = 500_000 * u64::from(self.counters.seq + 1);
        self.counters.last_offered = moved;
        self.counters.last_result = i32::try_from(moved).unwrap_or(i32::MAX);
        if offset == 0 {
            for (to, from) in self.counters.first_sent.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
        self.announce();
        self.sample(bytes, moved, offset, true);
        self
    }

    /// One send of so many bytes, of which a log shows these first ones.
    pub(super) fn send_seen(&mut self, seen: &[u8], moved: u64) -> &mut Self {
        let offset = self.counters.sent;
        self.counters.sent += moved;
        self.announce();
        self.emit(seen, &[], offset, moved, true, false);
        self
    }

    /// One receive of so many bytes, likewise.
    pub(super) fn receive_seen(&mut self, seen: &[u8], moved: u64) -> &mut Self {
        let offset = self.counters.received;
        self.counters.received += moved;
        self.announce();
        self.emit(seen, &[], offset, moved, false, false);
        self
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> &mut Self {
        let moved = bytes.len() as u64;
        let offset = self.counters.received;
        self.counters.received += moved;
        if offset == 0 {
            for (to, from) in self.counters.first_received.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
        self.announce();
        self.sample(bytes, moved, offset, false);
        self
    }

    /// What the kernel side would sample of a call (`detector-ebpf`,
    /// `sampling/`), without the judge's hints unless they are wanted.
    fn sample(&mut self, bytes: &[u8], moved: u64, offset: u64, sending: bool) {
        let whole: Vec<u8> = bytes
            .iter()
            .copied()
            .chain(std::iter::repeat(b'x'))
            .take(usize::try_from(moved).unwrap_or(usize::MAX).min(1 << 20))
            .collect();
        let quiet = self.hints && sending && offset > 0 && self.send_open.is_none();
        if quiet && self.boundary >= offset + moved && self.counters.received < self.quiet {
            return;
        }
        let words: &[&str] = if sending {
            &["HTTP", "GET ", "POST", "HEAD", "CONN", "PUT "]
        } else {
            &["GET ", "POST", "HEAD", "CONN", "PUT "]
        };
        let begins = words.iter().any(|word| {
            let length = bytes.len().min(4);
            length > 0 && word.as_bytes().get(..length) == bytes.get(..length)
        });
        // The first response, and interim ones.
        let interim = bytes.get(9) == Some(&b'1');
        let answer = !sending && bytes.starts_with(b"HTTP") && (offset == 0 || interim);
        let begins = begins || answer;
        let open = if sending {
            &mut self.send_open
        } else {
            &mut self.receive_open
        };
        if begins {
            *open = Some(Vec::new());
        }
        if open.is_some() {
            self.head(&whole, 0, offset, sending);
            return;
        }
        if !sending || !self.head_seen {
            return;
        }
        if std::mem::take(&mut self.body_next) {
            self.plain = whole.len() >= 8 && !may_be_size(&whole);
        }
        let next = if self.hints { self.boundary } else { 0 };
        let length = whole.len();
        let later = std::mem::replace(&mut self.body_seen, true);
        if next >= offset + moved || (self.plain && length > SAMPLE_LEN && next <= offset && later)
        {
            return;
        }
        if next > offset {
            self.send_open = Some(Vec::new());
            let skip = usize::try_from(next - offset).unwrap_or(length);
            self.head(&whole, skip, offset, sending);
        } else if length <= SAMPLE_LEN {
            self.emit(&whole, &[], offset, moved, sending, false);
        } else {
            let shown = if self.plain { BODY_START } else { EDGE_START };
            let start = whole.get(..shown).unwrap_or_default();
            let tail = whole.get(length - EDGE_END..).unwrap_or_default();
            self.emit(start, tail, offset, moved, sending, false);
        }
    }

    /// Samples a head from the byte `skip` of a call on, until it ends.
    fn head(&mut self, whole: &[u8], skip: usize, offset: u64, sending: bool) {
        self.head_seen |= sending;
        let mut at = skip;
        loop {
            let rest = whole.get(at..).unwrap_or_default();
            let window = rest.get(..SAMPLE_LEN.min(rest.len())).unwrap_or_default();
            let open = if sending {
                &mut self.send_open
            } else {
                &mut self.receive_open
            };
            let mut so_far = open.take().unwrap_or_default();
            so_far.extend_from_slice(window);
            let ended = end_of_head(&so_far).is_some();
            let more = !ended && rest.len() > window.len();
            if sending {
                (self.body_next, self.plain, self.body_seen) = (false, false, false);
            }
            if !ended {
                *open = Some(so_far);
            } else if sending {
                // Where the head ends, among the bytes of this window.
                let end = so_far.len() - window.len();
                let end = end_of_head(&so_far).map_or(0, |ended| ended - end);
                match rest.get(end..) {
                    Some([]) => self.body_next = true,
                    _ => {
                        let body = window.get(end..).unwrap_or_default();
                        self.plain =
                            body.len() >= 8 && !may_be_size(body) && !body.starts_with(b"HTTP");
                    }
                }
            }
            let tells = if more { window.len() } else { rest.len() };
            let tail = if !more && rest.len() >= window.len() + EDGE_END {
                rest.get(rest.len() - EDGE_END..).unwrap_or_default()
            } else {
                &[]
            };
            self.emit(
                window,
                tail,
                offset + at as u64,
                tells as u64,
                sending,
                at > 0,
            );
            at += window.len();
            if !more {
                return;
            }
        }
    }

    fn emit(
        &mut self,
        start: &[u8],
        tail: &[u8],
        offset: u64,
        moved: u64,
        sending: bool,
        within: bool,
    ) {
        let mut sample = Sample::zeroed();
        sample.header = self.header(Kind::Sample);
        sample.offset = offset;
        sample.opposite = if sending {
            self.counters.received
        } else {
            self.counters.sent
        };
        sample.moved = u32::try_from(moved).unwrap_or(u32::MAX);
        sample.len = u32::try_from(start.len()).unwrap_or(u32::MAX);
        sample.tail = u32::try_from(tail.len()).unwrap_or(u32::MAX);
        sample.sending = u32::from(sending);
        sample.from_start = self.counters.from_start;
        let unseen = self.counters.receive_flags & (flag::UNINSPECTED | flag::UNREADABLE) != 0;
        sample.flags = self.counters.send_flags
            | if within { flag::MID_CALL } else { 0 }
            | if unseen { flag::UNSEEN_RECEIVES } else { 0 };
        sample.number = 1;
        let bytes = Bytes {
            start: start.to_vec(),
            tail: tail.to_vec(),
        };
        self.deliver(Record::Sample(sample, bytes));
    }

    /// The connection's first record.
    fn announce(&mut self) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        let mut open = Open::zeroed();
        open.header = self.header(Kind::Open);
        open.socket.family = self.counters.family;
        open.socket.peer_port = 80;
        open.socket.peer[3] = self.peer;
        self.deliver(Record::Open(Box::new(open)));
    }

    pub(super) fn body(&mut self, bytes: u64) -> &mut Self {
        self.send(b"", bytes)
    }

    pub(super) fn end(&mut self, kind: EndKind, references: u32, wait_status: u32) -> &mut Self {
        let mut end = End::zeroed();
        end.header = self.header(Kind::End);
        end.kind = kind as u32;
        end.how = 1;
        end.references = references;
        end.wait_status = wait_status;
        end.fd = 7;
        end.connection = self.counters;
        end.socket.family = self.counters.family;
        end.socket.state = self.socket_state;
        end.socket.shutdown = self.socket_shutdown;
        end.socket.unread = self.unread;
        end.socket.reset = u8::from(self.linger);
        end.socket.unacknowledged = self.unacknowledged;
        end.socket.unsent = self.unsent;
        end.socket.seen = self.seen;
        end.walk = self.walk;
        self.deliver(Record::End(Box::new(end)));
        self
    }

    pub(super) fn shutdown(&mut self) -> &mut Self {
        self.end(EndKind::Shutdown, 1, 0)
    }

    pub(super) fn close(&mut self) -> &mut Self {
        self.end(EndKind::Close, 1, 0)
    }

    /// The kernel sends a reset so many nanoseconds after the last record, in answer to
    /// what the peer sent or not, with so much unacknowledged and unsent.
    pub(super) fn reset(&mut self, after: u64, answers: bool, pending: (u32, u32)) -> &mut Self {
        let mut reset = Reset::zeroed();
        reset.header = self.header(Kind::Reset);
        self.counters.seq -= 1;
        reset.header.seq = 0;
        reset.header.time_ns += after;
        (reset.unacknowledged, reset.unsent) = pending;
        reset.answers = u32::from(answers);
        self.judge.take(Record::Reset(reset));
        self
    }

    /// The end of the watch with the socket still open.
    /// Another connection, of which nothing is known, before the same judge.
    pub(super) fn another(self) -> Self {
        Self {
            judge: self.judge,
            cookie: self.cookie + 1,
            ..Self::new()
        }
    }

    pub(super) fn finish_open(&mut self) -> (Vec<Finding>, Tally) {
        self.judge.finish([(self.cookie, self.counters)]);
        (self.judge.take_findings(), self.judge.tally().clone())
    }

    /// The end of the watch after the socket was closed.
    pub(super) fn finish(&mut self) -> (Vec<Finding>, Tally) {
        self.judge.finish([]);
        (self.judge.take_findings(), self.judge.tally().clone())
    }

    pub(super) fn none(&mut self) -> Tally {
        let (findings, tally) = self.finish();
        assert_eq!(findings, []);
        tally
    }

    pub(super) fn one(&mut self) -> Finding {
        let (mut findings, tally) = self.finish();
        assert_eq!(findings.len(), 1, "{findings:?} {tally:?}");
        findings.swap_remove(0)
    }
}

/// The records of a response of which 300 of 1,000 bytes were sent.
pub(crate) fn short_response() -> Vec<Record> {
    let mut wire = Wire::new();
    wire.hold = true;
    wire.receive(b"GET /a HTTP/1.1\r\n\r\n")
        .send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 300)
        .shutdown()
        .close();
    wire.held
}

/// The byte behind the empty line that ends a head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find_map(|at| match bytes.get(at..)? {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Whether a chunk's size may begin so, as the kernel side has it.
fn may_be_size(bytes: &[u8]) -> bool {
    let digits = bytes
        .iter()
        .take(8)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let end = bytes.get(digits).copied().unwrap_or_default();
    digits == 8 || (digits > 0 && b"\r\n; \t".contains(&end))
}
