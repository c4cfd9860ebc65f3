//! A second opinion: random but truthful histories of connections, of which the
//! generator knows what was cut short. The judge has to agree, or to say that
//! it did not judge; and whatever happens to the records, it must not accuse.

pub(super) mod nature;

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use detector_common::{EDGE_END, EndKind, SAMPLE_LEN, Sample};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    Finding, Unjudged,
    wire::{COOKIE, Wire},
};
use crate::{
    capture::Record,
    recording::{About, Frame, Input, Reader, RecordedJudge, Writer, unpacked},
};

/// What a response's body is made of.
#[derive(Clone, Copy, Debug)]
enum Filling {
    Pod,
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
    /// In chunks of so many bytes at most; with a trailer section or without.
    chunked: Option<(usize, bool)>,
}

/// What is wrong with one of the responses.
#[derive(Clone, Debug)]
enum Fault {
    /// The last ends so far behind its head, or not.
    Short(Index),
    /// So many bytes follow the last.
    Long(usize),
    /// This one ends so far behind its head, and the next follows.
    Desync(Index, Index),
}

/// A connection from its first byte to its end.
#[derive(Clone, Debug)]
struct History {
    exchanges: Vec<Exchange>,
    /// All requests come at once.
    pipelined: bool,
    /// Where the sent bytes are cut into calls.
    cuts: Vec<Index>,
    fault: Option<Fault>,
    /// Another descriptor of the socket is closed on the way.
    closed_copy: bool,
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
        prop_oneof![3 => Just(Filling::Pod), 1 => Just(Filling::Heads)],
        prop::option::weighted(0.3, (1..6000usize, any::<bool>())),
    )
        .prop_map(
            |(method, status, interim, length, filling, chunked)| Exchange {
                method,
                status,
                interim,
                length,
                filling,
                chunked,
            },
        )
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => any::<Index>().prop_map(Fault::Short),
        1 => (1..9000usize).prop_map(Fault::Long),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(which, at)| Fault::Desync(which, at)),
    ]
}

fn history() -> impl Strategy<Value = History> {
    (
        vec(exchange(), 1..6),
        prop::bool::weighted(0.3),
        vec(any::<Index>(), 0..12),
        prop::option::weighted(0.7, fault()),
        prop::bool::weighted(0.2),
        prop_oneof![
            Just(EndKind::Shutdown),
            Just(EndKind::Close),
            Just(EndKind::CloseRange),
            Just(EndKind::Exit)
        ],
        prop::bool::weighted(0.15),
    )
        .prop_map(
            |(exchanges, pipelined, cuts, fault, closed_copy, ending, joined)| History {
                exchanges,
                pipelined,
                cuts,
                fault,
                closed_copy,
                ending,
                joined,
            },
        )
}

impl Exchange {
    fn request(&self) -> Vec<u8> {
        let length = if self.method == "POST" {
            "Content-Length: 3\r\n\r\ns$t"
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

    /// What its body looks like on the wire.
    fn body(&self) -> Vec<u8> {
        let piece: &[u8] = match self.filling {
            Filling::Pod => b"q",
            Filling::Heads => b"HTTP/1.1 200 OK\r\nX-Hush: hush\r\nContent-Length: 7\r\n\r\n",
        };
        let data: Vec<u8> = piece.iter().copied().cycle().take(self.length).collect();
        let Some((size, trailer)) = self.chunked else {
            return data;
        };
        let mut body = Vec::new();
        for chunk in data.chunks(size) {
            body.extend(format!("{:x}\r\n", chunk.len()).bytes());
            body.extend(chunk);
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\n");
        if trailer {
            body.extend(b"X-Sum: 1\r\n");
        }
        body.extend(b"\r\n");
        body
    }

    /// Head and body, and where the body begins.
    fn response(&self) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        if self.interim {
            bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        }
        let framing = match self.chunked {
            Some(_) => "Transfer-Encoding: chunked".to_owned(),
            None => format!("Content-Length: {}", self.length),
        };
        let head = format!("HTTP/1.1 {} X\r\n{framing}\r\n\r\n", self.status);
        bytes.extend_from_slice(head.as_bytes());
        let start = bytes.len();
        if self.has_body() {
            bytes.extend(self.body());
        }
        (bytes, start)
    }

    /// What is known of it when its body ends after so many bytes.
    fn known(&self, sent: usize) -> (Option<u64>, Option<u64>) {
        match self.chunked {
            Some(_) => (None, None),
            None => (Some(self.length as u64), Some(sent as u64)),
        }
    }
}

/// What the generator knows to be wrong: promised and accepted body bytes.
type Truth = Vec<(Option<u64>, Option<u64>)>;

impl History {
    /// The exchange that is cut so that the next begins early: one with a body,
    /// followed by another, whose request comes after.
    fn desynced(&self) -> Option<(usize, &Index)> {
        let Some(Fault::Desync(which, at)) = &self.fault else {
            return None;
        };
        let before_last = self
            .exchanges
            .len()
            .checked_sub(1)
            .filter(|count| *count > 0)?;
        let which = which.index(before_last);
        let exchange = self.exchanges.get(which)?;
        let fits = exchange.has_body() && exchange.length > 0 && !self.pipelined;
        fits.then_some((which, at))
    }

    /// Whether the promised bytes of the last response end, in the call that has its
    /// head, where a call is not looked at: behind what is sampled of its beginning,
    /// and it is too short for a sample of its end.
    fn ends_out_of_sight(&self) -> bool {
        let (Some(Fault::Long(extra)), Some(last)) = (&self.fault, self.exchanges.last()) else {
            return false;
        };
        if !last.has_body() || last.chunked.is_some() || last.length == 0 {
            return false;
        }
        let (mut bytes, start) = last.response();
        let end = bytes.len();
        bytes.extend(std::iter::repeat_n(b'=', *extra));
        let mut from = 0;
        cut(&bytes, &self.cuts).iter().any(|call| {
            let begins = from;
            from += call.len();
            (begins..from).contains(&end)
                && start > begins
                && end - begins >= SAMPLE_LEN
                && call.len() < SAMPLE_LEN + EDGE_END
        })
    }

    /// Plays it; the records are held back in the wire, or the judge's hints
    /// are told in time.
    fn play(&self, hold: bool) -> (Wire, Truth) {
        let mut wire = if self.joined {
            Wire::joined()
        } else {
            Wire::new()
        };
        wire.hold = hold;
        wire.hints = !hold;
        let mut truth = Truth::new();
        if self.pipelined {
            let all: Vec<u8> = self.exchanges.iter().flat_map(Exchange::request).collect();
            wire.receive(&all);
        }
        let mut pending = Vec::new();
        let last = self.exchanges.len() - 1;
        for (number, exchange) in self.exchanges.iter().enumerate() {
            if !self.pipelined {
                wire.receive(&exchange.request());
            }
            let (mut bytes, start) = exchange.response();
            let whole = bytes.len();
            let kept = match (&self.fault, self.desynced()) {
                // At least the head goes out.
                (Some(Fault::Short(at)), _) if number == last => {
                    start + at.index(whole - start + 1)
                }
                (_, Some((which, at))) if number == which => start + at.index(whole - start),
                _ => whole,
            };
            if kept < whole {
                truth.push(exchange.known(kept - start));
                bytes.truncate(kept);
            }
            if number == last
                && let Some(Fault::Long(extra)) = self.fault
                && exchange.has_body()
                && exchange.chunked.is_none()
                && exchange.length > 0
            {
                bytes.extend(std::iter::repeat_n(b'=', extra));
                truth.push(exchange.known(whole - start + extra));
            }
            pending.extend_from_slice(&bytes);
            if !self.pipelined || number == last {
                for call in cut(&pending, &self.cuts) {
                    wire.send(call, 0);
                }
                pending.clear();
            }
            if self.closed_copy && number == 0 {
                wire.end(EndKind::Close, 2, 0);
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

fn sizes(findings: &[Finding]) -> Truth {
    findings
        .iter()
        .map(|finding| (finding.promised, finding.sent))
        .collect()
}

/// Whether each finding is one of those that are known, each told once.
fn all_true(found: &Truth, truth: &Truth) -> bool {
    let mut known = truth.clone();
    found.iter().all(|pair| {
        let place = known.iter().position(|other| fits(*pair, *other));
        place.map(|place| known.swap_remove(place)).is_some()
    })
}

/// Whether what was found is what is known; where a head was not seen whole, its
/// body's bytes are not told.
fn fits(found: (Option<u64>, Option<u64>), known: (Option<u64>, Option<u64>)) -> bool {
    found.0 == known.0 && (found.1 == known.1 || found.1.is_none())
}

/// Whether what was found is all that is known, in its order.
fn all_found(found: &Truth, truth: &Truth) -> bool {
    let mut pairs = found.iter().zip(truth);
    found.len() == truth.len() && pairs.all(|(found, known)| fits(*found, *known))
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
            // Where the next call was not sampled, nothing could tell.
            let next = |one: &Sample| {
                records.iter().skip(at + 1).any(|other| {
                    matches!(other, Record::Sample(other, _) if other.sending == one.sending
                        && other.offset == one.offset + u64::from(one.moved))
                })
            };
            let told = matches!(records.get(at), Some(Record::Sample(one, _)) if next(one));
            if told && let Some(Record::Sample(sample, _)) = records.get_mut(at) {
                sample.offset += 1;
            }
        }
    }
    records
}

/// How many histories: 10,000, or as `PROPTEST_CASES` says.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES");
    let asked = asked.ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Nothing is found that is not so, and nothing is missed without a reason.
    #[test]
    fn the_judge_agrees_with_what_is_known(history in history()) {
        let (mut wire, truth) = history.play(true);
        let records = std::mem::take(&mut wire.held);
        let (findings, judged, unjudged) = judge(&mut wire, records);
        let found = sizes(&findings);
        if unjudged == 0 {
            prop_assert!(all_found(&found, &truth), "{:?} is not {:?}", found, truth);
            prop_assert_eq!(judged, history.exchanges.len() as u64);
        } else {
            prop_assert!(all_true(&found, &truth), "{:?} is not {:?}", found, truth);
        }
    }

    /// The same where the kernel side is told in time what to sample.
    #[test]
    fn hints_only_help(history in history()) {
        let (mut wire, truth) = history.play(false);
        let (findings, tally) = wire.finish();
        let found = sizes(&findings);
        if tally.unjudged.is_empty() {
            prop_assert!(all_found(&found, &truth), "{:?} is not {:?}", found, truth);
            prop_assert_eq!(tally.messages_judged, history.exchanges.len() as u64);
        } else {
            prop_assert!(all_true(&found, &truth), "{:?} is not {:?}", found, truth);
        }
    }

    /// Each message that begins its call within reach is judged: without that
    /// the test above could pass by judging nothing.
    #[test]
    fn in_lockstep_from_the_first_byte_all_is_judged(mut history in history()) {
        history.pipelined = false;
        history.joined = false;
        for exchange in &mut history.exchanges {
            // Sizes that lie within large calls are not seen.
            exchange.chunked = exchange.chunked.filter(|_| exchange.length < 2000);
            // The next head would be taken for a trailer field.
            if let Some((size, trailer)) = &mut exchange.chunked {
                *size += 100;
                *trailer = false;
            }
        }
        if let Some(Fault::Long(extra)) = &mut history.fault {
            *extra = *extra % 16 + 1;
        }
        let (mut wire, truth) = history.play(false);
        let (findings, tally) = wire.finish();
        if history.ends_out_of_sight() {
            prop_assert_eq!(sizes(&findings), Truth::new());
            prop_assert_eq!(tally.missed(Unjudged::Unaccounted), 1);
            return Ok(());
        }
        // A next message that fills what the one before promised, to the byte; or
        // one whose body looks like heads: where messages begin is then not
        // known, and counted as such.
        let heads = |exchange: &Exchange| matches!(exchange.filling, Filling::Heads);
        let both_fit = matches!(history.fault, Some(Fault::Desync(..)))
            && (tally.missed(Unjudged::Unaccounted) > 0
                || (!tally.unjudged.is_empty() && history.exchanges.iter().any(heads)));
        if both_fit {
            prop_assert!(all_true(&sizes(&findings), &truth));
            return Ok(());
        }
        prop_assert_eq!(tally.unjudged.len(), 0, "{:?}", tally);
        let found = sizes(&findings);
        prop_assert!(all_found(&found, &truth), "{:?} is not {:?}", found, truth);
        prop_assert_eq!(tally.messages_judged, history.exchanges.len() as u64);
    }

    /// A record dropped, swapped, doubled, or with a wrong offset: put right,
    /// or not judged, but never a finding that is not so.
    #[test]
    fn wrong_records_never_accuse(history in history(), how in 0u8..4, at: Index) {
        let (mut wire, truth) = history.play(true);
        let records = spoil(std::mem::take(&mut wire.held), how, &at);
        let (findings, ..) = judge(&mut wire, records);
        let found = sizes(&findings);
        prop_assert!(all_true(&found, &truth), "{:?} is not {:?}", found, truth);
    }

    /// The watch ends in mid-connection.
    #[test]
    fn an_open_connection_accuses_nobody(history in history(), at: Index) {
        let (mut wire, truth) = history.play(true);
        let records = std::mem::take(&mut wire.held);
        let kept = at.index(records.len());
        for record in records.into_iter().take(kept) {
            if !matches!(record, Record::End(..)) {
                wire.judge.take(record);
            }
        }
        let counters = wire.counters;
        wire.judge.finish([(COOKIE, counters)]);
        // What the stream itself shows: desyncs and overruns.
        let found = sizes(&wire.judge.take_findings());
        prop_assert!(all_true(&found, &truth), "{:?} is not {:?}", found, truth);
    }

    /// What a recording keeps is judged as what was recorded, to the last count,
    /// and holds nothing but framing.
    #[test]
    fn a_recording_is_judged_alike(history in history(), how in prop::option::weighted(0.4, 0u8..4), at: Index) {
        let (mut wire, truth) = history.play(true);
        let mut records = std::mem::take(&mut wire.held);
        if let Some(how) = how {
            records = spoil(records, how, &at);
        }
        let (kept, bytes) = recorded(&records);
        let original = judge(&mut wire, records);
        let mut again = Wire::new();
        let tally = |wire: &Wire| format!("{:?}", wire.judge.tally());
        for input in kept {
            input.give(&mut again.judge);
        }
        let again_judged = judge(&mut again, Vec::new());
        let found = sizes(&again_judged.0);
        prop_assert!(all_true(&found, &truth), "{:?} is not {:?}", found, truth);
        prop_assert_eq!(tally(&wire), tally(&again));
        prop_assert_eq!(original, again_judged);
        for secret in ["Early Hints", "Sum", "Host", "Hush", "hush", "qqqqqq", "======", "\n\r\ns$t"] {
            let held = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            prop_assert!(!held, "{}", secret);
        }
    }
}

/// What a recording of these records holds, and its bytes.
fn recorded(records: &[Record]) -> (Vec<Input>, Vec<u8>) {
    let out = Shared::default();
    let about = About::default();
    let writer = Writer::new(Box::new(out.clone()), about).ok();
    let mut feed = RecordedJudge::new(writer);
    for record in records {
        feed.take(record.clone());
    }
    feed.finish([]);
    let flushed = feed.writer().map(Writer::flush);
    assert!(matches!(flushed, Some(Ok(()))));
    // Packed, it would hold nothing that can be looked for.
    let bytes = unpacked(&out.0.borrow());
    let mut reader = Reader::new(bytes.as_slice()).unwrap_or_else(|error| panic!("{error}"));
    let mut inputs = Vec::new();
    while let Ok(Some(frame)) = reader.next_frame() {
        if let Frame::Input(input) = frame
            && !matches!(input, Input::Finish(_))
        {
            inputs.push(input);
        }
    }
    assert_eq!(reader.torn(), 0);
    (inputs, bytes)
}

/// Memory that is written to and looked at.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
