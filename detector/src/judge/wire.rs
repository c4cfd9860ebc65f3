//! A connection as the kernel side sees it, for tests of the judge.

use detector_common::{
    Connection as Counters, End, EndKind, Header, Kind, Plain as _, SAMPLE_LEN, SEND_SAMPLE_LEN,
    Sample, family,
};

use super::{Finding, Judge, Tally};
use crate::capture::Record;

/// A connection as the kernel side sees it: samples what it would sample.
pub(super) struct Wire {
    pub(super) judge: Judge,
    pub(super) counters: Counters,
    pub(super) socket_state: u8,
    pub(super) socket_shutdown: u8,
    pub(super) send_open: bool,
    pub(super) receive_open: bool,
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
        counters.fresh = 1;
        counters.family = family::INET;
        counters.fd = 7;
        Self {
            judge: Judge::new(),
            counters,
            socket_state: 1,
            socket_shutdown: 0,
            send_open: false,
            receive_open: false,
            lose: Vec::new(),
            tid: 43,
            hold: false,
            held: Vec::new(),
        }
    }

    pub(super) fn joined() -> Self {
        let mut wire = Self::new();
        wire.counters.fresh = 0;
        wire
    }

    pub(super) fn header(&mut self, kind: Kind) -> Header {
        let seq = self.counters.seq;
        self.counters.seq += 1;
        Header {
            kind: kind as u32,
            seq,
            cookie: COOKIE,
            time_ns: 1_000_000 * u64::from(seq + 1),
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
        }
    }

    /// One send of these bytes followed by `more` bytes of body.
    pub(super) fn send(&mut self, bytes: &[u8], more: u64) -> &mut Self {
        let moved = bytes.len() as u64 + more;
        let offset = self.counters.sent;
        self.counters.sent += moved;
        self.counters.sent_ns = 500_000 * u64::from(self.counters.seq + 1);
        self.counters.last_offered = moved;
        self.counters.last_result = i64::try_from(moved).unwrap_or(i64::MAX);
        if offset == 0 {
            for (to, from) in self.counters.first_sent.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
        let opposite = self.counters.received;
        self.send_open = self.sample(bytes, moved, offset, opposite, true, self.send_open);
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
        let opposite = self.counters.sent;
        self.receive_open = self.sample(bytes, moved, offset, opposite, false, self.receive_open);
        self
    }

    pub(super) fn sample(
        &mut self,
        bytes: &[u8],
        moved: u64,
        offset: u64,
        opposite: u64,
        sending: bool,
        open: bool,
    ) -> bool {
        let begins = ["HTTP", "GET ", "POST", "HEAD", "CONN"].iter().any(|word| {
            let length = bytes.len().min(4);
            length > 0 && word.as_bytes().get(..length) == bytes.get(..length)
        });
        if !begins && !open {
            return open;
        }
        let limit = if sending { SEND_SAMPLE_LEN } else { SAMPLE_LEN };
        let data: Vec<u8> = bytes
            .iter()
            .copied()
            .chain(std::iter::repeat(b'x'))
            .take(usize::try_from(moved).unwrap_or(usize::MAX).min(limit))
            .collect();
        let mut sample = Sample::zeroed();
        sample.header = self.header(Kind::Sample);
        sample.offset = offset;
        sample.opposite = opposite;
        sample.moved = u32::try_from(moved).unwrap_or(u32::MAX);
        sample.len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        sample.sending = u32::from(sending);
        sample.fresh = self.counters.fresh;
        sample.flags = self.counters.send_flags;
        let closed = moved > limit as u64 || data.ends_with(b"\r\n\r\n");
        self.deliver(Record::Sample(sample, data));
        !closed
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
        self.deliver(Record::End(Box::new(end)));
        self
    }

    pub(super) fn shutdown(&mut self) -> &mut Self {
        self.end(EndKind::Shutdown, 1, 0)
    }

    pub(super) fn close(&mut self) -> &mut Self {
        self.end(EndKind::Close, 1, 0)
    }

    /// The end of the watch with the socket still open.
    pub(super) fn finish_open(&mut self) -> (Vec<Finding>, Tally) {
        self.judge.finish([(COOKIE, self.counters)]);
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
