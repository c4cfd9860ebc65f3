//! A second opinion: random but truthful histories of connections, of which the
//! generator knows what was cut short. The judge has to agree, or to say that
//! it did not judge; and whatever happens to the records, it must not accuse.

use detector_common::EndKind;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    Finding, Unjudged,
    wire::{COOKIE, Wire},
};
use crate::capture::Record;

/// What a response's body is made of.
#[derive(Clone, Copy, Debug)]
enum Filling {
    Plain,
    /// Heads, one after the other.
    Heads,
}

/// One response, to one request.
#[derive(Clone, Debug)]
struct Exchange {
    method: &'static str,
    status: u16,
    interim: bool,
    length: usize,
    filling: Filling,
}

/// A connection from its first byte to its end.
#[derive(Clone, Debug)]
struct History {
    exchanges: Vec<Exchange>,
    /// All requests come at once.
    pipelined: bool,
    /// Where the sent bytes are cut into calls.
    cuts: Vec<Index>,
    /// How much of the last response is sent, if not all.
    short: Option<Index>,
    ending: EndKind,
    /// How much of the first head is sent before the watch begins.
    joined: bool,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (
        prop_oneof![5 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST")],
        prop_oneof![6 => Just(200), 1 => Just(304), 1 => Just(204), 1 => Just(206)],
        prop::bool::weighted(0.1),
        prop_oneof![2 => 0..20usize, 3 => 20..3000usize, 2 => 3000..20_000usize],
        prop_oneof![3 => Just(Filling::Plain), 1 => Just(Filling::Heads)],
    )
        .prop_map(|(method, status, interim, length, filling)| Exchange {
            method,
            status,
            interim,
            length,
            filling,
        })
}

fn history() -> impl Strategy<Value = History> {
    (
        vec(exchange(), 1..6),
        prop::bool::weighted(0.3),
        vec(any::<Index>(), 0..12),
        prop::option::weighted(0.7, any::<Index>()),
        prop_oneof![
            Just(EndKind::Shutdown),
            Just(EndKind::Close),
            Just(EndKind::CloseRange),
            Just(EndKind::Exit)
        ],
        prop::bool::weighted(0.15),
    )
        .prop_map(
            |(exchanges, pipelined, cuts, short, ending, joined)| History {
                exchanges,
                pipelined,
                cuts,
                short,
                ending,
                joined,
            },
        )
}

impl Exchange {
    fn request(&self) -> Vec<u8> {
        let length = if self.method == "POST" {
            "Content-Length: 3\r\n\r\nabc"
        } else {
            "\r\n"
        };
        format!(
            "{} /{} HTTP/1.1\r\nHost: x\r\n{length}",
            self.method, self.length
        )
        .into_bytes()
    }

    fn has_body(&self) -> bool {
        self.method != "HEAD" && self.status != 204 && self.status != 304
    }

    /// Head and body, and where the body begins.
    fn response(&self) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        if self.interim {
            bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        }
        let head = format!(
            "HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n",
            self.status, self.length
        );
        bytes.extend_from_slice(head.as_bytes());
        let start = bytes.len();
        if self.has_body() {
            let piece: &[u8] = match self.filling {
                Filling::Plain => b"x",
                Filling::Heads => b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            };
            bytes.extend(piece.iter().copied().cycle().take(self.length));
        }
        (bytes, start)
    }
}

/// What the generator knows to be short: promised and accepted body bytes.
type Truth = Option<(u64, u64)>;

impl History {
    /// Plays it; the records are held back in the wire.
    fn play(&self) -> (Wire, Truth) {
        let mut wire = if self.joined {
            Wire::joined()
        } else {
            Wire::new()
        };
        wire.hold = true;
        let mut truth = None;
        if self.pipelined {
            let all: Vec<u8> = self.exchanges.iter().flat_map(Exchange::request).collect();
            wire.receive(&all);
        }
        let mut pending = Vec::new();
        for (number, exchange) in self.exchanges.iter().enumerate() {
            if !self.pipelined {
                wire.receive(&exchange.request());
            }
            let (mut bytes, start) = exchange.response();
            let last = number + 1 == self.exchanges.len();
            if last && let Some(short) = self.short {
                // At least the head goes out.
                let kept = start + short.index(bytes.len() - start + 1);
                if kept < bytes.len() {
                    truth = Some((exchange.length as u64, (kept - start) as u64));
                    bytes.truncate(kept);
                }
            }
            pending.extend_from_slice(&bytes);
            if !self.pipelined || last {
                for call in cut(&pending, &self.cuts) {
                    wire.send(call, 0);
                }
                pending.clear();
            }
        }
        wire.end(self.ending, 1, 0);
        if self.ending == EndKind::Shutdown {
            wire.close();
        }
        (wire, truth)
    }
}

/// The bytes in calls.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts
        .iter()
        .map(|place| place.index(bytes.len().max(1)))
        .collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.dedup();
    places
        .windows(2)
        .filter_map(|pair| bytes.get(*pair.first()?..*pair.last()?))
        .collect()
}

fn sizes(findings: &[Finding]) -> Vec<(u64, u64)> {
    findings
        .iter()
        .map(|finding| (finding.promised.unwrap_or(0), finding.sent.unwrap_or(0)))
        .collect()
}

fn judge(wire: &mut Wire, records: Vec<Record>) -> (Vec<Finding>, u64, u64) {
    for record in records {
        wire.judge.take(record);
    }
    let (findings, tally) = wire.finish();
    (
        findings,
        tally.messages_judged,
        tally.unjudged.values().sum(),
    )
}

/// The same records with one thing wrong.
fn spoil(mut records: Vec<Record>, how: u8, at: &Index) -> Vec<Record> {
    let at = at.index(records.len());
    match how {
        0 => {
            records.remove(at);
        }
        1 if at + 1 < records.len() => records.swap(at, at + 1),
        2 => {
            let copy = records.get(at).cloned();
            records.extend(copy);
        }
        _ => {
            if let Some(Record::Sample(sample, _)) = records.get_mut(at) {
                sample.offset += 1;
            }
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    /// Nothing is found that is not so, and nothing is missed without a reason.
    #[test]
    fn the_judge_agrees_with_what_is_known(history in history()) {
        let (mut wire, truth) = history.play();
        let records = std::mem::take(&mut wire.held);
        let (findings, judged, unjudged) = judge(&mut wire, records);
        let found = sizes(&findings);
        if unjudged == 0 {
            prop_assert_eq!(found, truth.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(judged, history.exchanges.len() as u64);
        } else {
            prop_assert!(found.iter().all(|pair| Some(*pair) == truth), "{:?} is not {:?}", found, truth);
        }
    }

    /// Each message that begins its call within reach is judged: without that
    /// the test above could pass by judging nothing.
    #[test]
    fn in_lockstep_from_the_first_byte_all_is_judged(mut history in history()) {
        history.pipelined = false;
        history.joined = false;
        let (mut wire, truth) = history.play();
        let records = std::mem::take(&mut wire.held);
        let (findings, judged, unjudged) = judge(&mut wire, records);
        prop_assert_eq!(unjudged, 0, "{:?}", wire.judge.tally());
        prop_assert_eq!(sizes(&findings), truth.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(judged, history.exchanges.len() as u64);
    }

    /// A record dropped, swapped, doubled, or with a wrong offset: put right,
    /// or not judged, but never a finding that is not so.
    #[test]
    fn wrong_records_never_accuse(history in history(), how in 0u8..4, at: Index) {
        let (mut wire, truth) = history.play();
        let records = spoil(std::mem::take(&mut wire.held), how, &at);
        let (findings, ..) = judge(&mut wire, records);
        for pair in sizes(&findings) {
            prop_assert_eq!(Some(pair), truth);
        }
    }

    /// The watch ends in mid-connection.
    #[test]
    fn an_open_connection_accuses_nobody(history in history(), at: Index) {
        let (mut wire, _) = history.play();
        let records = std::mem::take(&mut wire.held);
        let kept = at.index(records.len());
        for record in records.into_iter().take(kept) {
            if matches!(record, Record::Sample(..)) {
                wire.judge.take(record);
            }
        }
        let counters = wire.counters;
        wire.judge.finish([(COOKIE, counters)]);
        prop_assert_eq!(wire.judge.take_findings(), vec![]);
        prop_assert!(wire.judge.tally().missed(Unjudged::Malformed) == 0);
    }
}
