//! One connection's life, from its first record to its end.

use detector_common::{Connection as Counters, End, EndKind, flag};

use super::{
    finding::Finding,
    outgoing::{Outgoing, Sent, speaks},
    requests::Requests,
    sequence::Sequence,
    tally::{Tally, Unjudged},
    verdict::{Verdict, verdict},
};
use crate::capture::Record;

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    sequence: Sequence,
    streams: Option<Streams>,
    /// The first ending; it waits until calls that were in progress are back.
    ending: Option<Box<End>>,
    /// The process that exits, and its descriptors of this socket so far.
    exits: (u32, u32),
    /// One of several descriptors was closed.
    shared: bool,
    concluded: bool,
}

#[derive(Debug)]
struct Streams {
    outgoing: Outgoing,
    requests: Requests,
}

impl Streams {
    fn new(fresh: bool) -> Self {
        Self {
            outgoing: Outgoing::new(fresh),
            requests: Requests::new(fresh),
        }
    }
}

impl Connection {
    /// Takes a record; `true` if the connection is over.
    pub(super) fn take(
        &mut self,
        record: Record,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) -> bool {
        self.sequence.push(record);
        self.advance(tally, findings)
    }

    /// Whether a process that held it by several descriptors ended it.
    pub(super) fn held_by_several(&self) -> bool {
        self.exits.1 > 1
    }

    /// Since when the connection waits to be settled, `CLOCK_MONOTONIC`
    /// nanoseconds.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        let ending = self.ending.as_ref().map(|end| end.header.time_ns);
        ending
            .into_iter()
            .chain(self.sequence.held_since_ns())
            .min()
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
        if self.settle(counters, tally, findings) || self.concluded {
            return;
        }
        let Some(counters) = counters else { return };
        if self.sequence.lost() {
            self.lose(tally);
            return;
        }
        let reason = if self.shared {
            Unjudged::Shared
        } else {
            Unjudged::InProgress
        };
        if let Some(streams) = &mut self.streams {
            streams.outgoing.leave_open(counters.sent, reason, tally);
        }
        self.classify(counters, tally);
    }

    fn advance(&mut self, tally: &mut Tally, findings: &mut Vec<Finding>) -> bool {
        while let Some(record) = self.sequence.pop() {
            match record {
                Record::Sample(sample, data) => {
                    if self.concluded || self.sequence.lost() {
                        continue;
                    }
                    let streams = self
                        .streams
                        .get_or_insert_with(|| Streams::new(sample.fresh == 1));
                    let moved = u64::from(sample.moved);
                    if sample.sending == 1 {
                        let sent = Sent {
                            offset: sample.offset,
                            moved,
                            data: &data,
                            received: sample.opposite,
                        };
                        streams.outgoing.take(sent, &mut streams.requests, tally);
                    } else {
                        streams.requests.take(sample.offset, moved, &data);
                    }
                }
                Record::End(end) => {
                    if self.end(end, tally, findings) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// This side ended it, or one descriptor of it; `true` if it is over.
    fn end(&mut self, end: Box<End>, tally: &mut Tally, findings: &mut Vec<Finding>) -> bool {
        let last = match EndKind::from_number(end.kind) {
            Some(EndKind::Shutdown) => {
                if !self.concluded {
                    self.ending.get_or_insert(end);
                }
                return false;
            }
            Some(EndKind::Exit) => {
                // A process may hold a socket by several descriptors; each of
                // them tells of the references there were before any went.
                let process = end.header.tgid;
                let before = if self.exits.0 == process {
                    self.exits.1
                } else {
                    0
                };
                self.exits = (process, before + 1);
                self.exits.1 == end.references
            }
            Some(_) => end.references == 1,
            None => false,
        };
        if !last {
            self.shared = true;
            return false;
        }
        let counters = end.connection;
        let ending = self.ending.take().unwrap_or(end);
        self.conclude(&ending, &counters, tally, findings);
        true
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
        if self.sequence.lost() {
            self.lose(tally);
            return;
        }
        self.concluded = true;
        let short = self
            .streams
            .as_mut()
            .and_then(|streams| streams.outgoing.end(counters.sent, tally));
        if let Some(body) = short {
            match verdict(&body, ending, counters) {
                Verdict::Short(finding) => {
                    tally.messages_judged += 1;
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
        let unseen = counters.send_flags & (flag::OPAQUE | flag::UNREADABLE) != 0;
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
