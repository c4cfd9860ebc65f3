//! Random histories of what may be no message, and of uploads: sockets on which nothing was
//! asked, clients whose peers answer with interim and final responses, bytes beside the
//! stream.

use detector_common::{EndKind, flag, seen};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{History, cases, cut, history};
use crate::judge::{Cause, Fault, Role, Unjudged, wire::Wire};

/// How a client's socket came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Connected,
    /// Accepted, or one of a pair.
    Other,
}

/// A request with a body, and what came back for it.
#[derive(Clone, Debug)]
struct Upload {
    origin: Origin,
    length: usize,
    /// Bytes of the body that are sent.
    kept: Index,
    cuts: Vec<Index>,
    /// Statuses of the interim responses, and how many bytes of the stream went before each.
    interim: Vec<(u16, Index)>,
    /// A final response, and likewise; the client may not have read it.
    last: Option<(u16, Index)>,
    ending: EndKind,
    /// Something is received first that is no response.
    greeted: bool,
}

fn upload() -> impl Strategy<Value = Upload> {
    (
        prop_oneof![2 => Just(Origin::Connected), 1 => Just(Origin::Other)],
        1..20_000usize,
        any::<Index>(),
        vec(any::<Index>(), 0..6),
        vec(
            (prop_oneof![Just(100), Just(102), Just(103)], any::<Index>()),
            0..3,
        ),
        prop::option::weighted(
            0.4,
            (prop_oneof![Just(200), Just(401), Just(413)], any::<Index>()),
        ),
        prop_oneof![Just(EndKind::Close), Just(EndKind::Exit)],
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(origin, length, kept, cuts, interim, last, ending, greeted)| Upload {
                origin,
                length,
                kept,
                cuts,
                interim,
                last,
                ending,
                greeted,
            },
        )
}

impl Upload {
    /// Plays it; gives the body's bytes that were sent, and whether a final response was
    /// read.
    fn play(&self) -> (Wire, usize, bool) {
        let mut wire = Wire::new();
        if self.origin == Origin::Connected {
            wire.connected(1);
        }
        if self.greeted {
            wire.receive(b"220 ready\r\n");
        }
        let head = format!("PUT /a HTTP/1.1\r\nContent-Length: {}\r\n\r\n", self.length);
        let kept = self.kept.index(self.length + 1);
        let mut bytes = head.into_bytes();
        let head = bytes.len();
        bytes.extend(std::iter::repeat_n(b'q', kept));
        let calls = cut(&bytes, &self.cuts);
        let mut answers: Vec<_> = self
            .interim
            .iter()
            .map(|(status, at)| (at.index(calls.len() + 1), *status))
            .collect();
        // In the order in which a server sends them; none before the request.
        answers.sort_by_key(|(at, _)| *at);
        let last = self.last.map(|(status, at)| {
            let least = answers.last().map_or(0, |(at, _)| *at);
            (least.max(at.index(calls.len() + 1)), status)
        });
        answers.extend(last);
        let mut answers = answers.into_iter().peekable();
        for (number, call) in calls.iter().enumerate() {
            wire.send(call, 0);
            // An answer comes once the head was sent.
            let sent: usize = calls.iter().take(number + 1).map(|call| call.len()).sum();
            while sent >= head
                && let Some((_, status)) = answers.next_if(|(at, _)| *at <= number + 1)
            {
                answer(&mut wire, status);
            }
        }
        for (_, status) in answers {
            answer(&mut wire, status);
        }
        wire.end(self.ending, 1, 9);
        (wire, kept, self.last.is_some())
    }
}

/// What a socket received on which nothing was asked, if it received anything.
fn greeting() -> impl Strategy<Value = Option<&'static [u8]>> {
    prop::option::of(prop_oneof![
        Just(&b"STOR file\r\n"[..]),
        Just(&b"T"[..]),
        Just(&b"\x16\x03\x01ab"[..]),
    ])
}

/// A byte beside the stream, or packets in place of one.
fn aside() -> impl Strategy<Value = u32> {
    prop_oneof![Just(flag::PACKETS), Just(flag::OUT_OF_BAND)]
}

/// The kinds that a turn of each of these properties makes, of so many.
pub(in crate::judge) fn kinds() -> impl Strategy<Value = Vec<&'static str>> {
    (upload(), refusal(), greeting(), aside()).prop_map(|(upload, refusal, greeting, aside)| {
        let refused = upload.last.is_some_and(|(status, _)| status >= 400);
        let all = [
            (greeting.is_none(), "never received"),
            (aside == flag::PACKETS, "packets"),
            (aside == flag::OUT_OF_BAND, "out of band"),
            (refusal.mptcp, "MPTCP"),
            (refusal.mptcp && refusal.reset.is_some(), "MPTCP, reset"),
            (refusal.reset.is_some(), "refused and reset"),
            (refusal.reset.is_none(), "refused, no reset"),
            (
                refusal.reset.is_some_and(|(_, unsent)| unsent > 0),
                "unsent",
            ),
            (refusal.chunked, "refused in chunks"),
            (refused, "a client is refused"),
            (!upload.interim.is_empty(), "interim"),
        ];
        all.into_iter()
            .filter_map(|(is, kind)| is.then_some(kind))
            .collect()
    })
}

/// A response that is sent whole while its request's body is still to come.
#[derive(Clone, Debug)]
struct Refusal {
    chunked: bool,
    /// Bytes not acknowledged, and not sent, at the close.
    pending: (u32, u32),
    /// The same when the kernel sends a reset in answer to more of the upload; `None` where
    /// it sends none.
    reset: Option<(u32, u32)>,
    /// The kernel tells of resets.
    told: bool,
    /// Of MPTCP nothing is read of the queues.
    mptcp: bool,
    shut: bool,
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let pending = || {
        (0..2u32, 0..2u32, 1..100_000u32).prop_map(|(some, unsent, bytes)| {
            let bytes = some * bytes;
            (bytes, unsent * (bytes / 2))
        })
    };
    (
        any::<bool>(),
        pending(),
        prop::option::of(pending()),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(|(chunked, pending, reset, told, mptcp, shut)| Refusal {
            chunked,
            pending,
            reset,
            told,
            mptcp,
            shut,
        })
}

impl Refusal {
    /// Plays it; gives the fault, if bytes were taken back for certain.
    fn play(&self) -> (Wire, Option<Fault>) {
        let mut wire = Wire::new();
        let framing = if self.chunked {
            "Transfer-Encoding: chunked"
        } else {
            "Content-Length: 5000000"
        };
        wire.receive(format!("POST /a HTTP/1.1\r\n{framing}\r\n\r\n").as_bytes());
        wire.send(b"HTTP/1.1 413 X\r\nContent-Length: 100000\r\n\r\n", 100_000);
        wire.seen = seen::LINGER;
        if !self.mptcp {
            wire.seen |= seen::QUEUES;
            (wire.unacknowledged, wire.unsent) = self.pending;
        }
        if self.told {
            wire.seen |= seen::RESETS;
        }
        if self.shut {
            wire.shutdown();
        }
        wire.close();
        // A kernel that does not tell of resets tells of none.
        let Some((unacknowledged, unsent)) = self.reset.filter(|_| self.told) else {
            return (wire, None);
        };
        wire.tid += 1;
        wire.reset(5, true, (unacknowledged, unsent));
        // What was acknowledged at the close cannot be taken back, whatever a reset says.
        let may_be = self.mptcp || self.pending.0 > 0;
        let lost = match unsent {
            0 => Fault::Unknown,
            _ => Fault::Local,
        };
        (wire, (may_be && unacknowledged > 0).then_some(lost))
    }
}

fn answer(wire: &mut Wire, status: u16) {
    let length = if status < 200 {
        ""
    } else {
        "Content-Length: 3\r\n"
    };
    let head = format!("HTTP/1.1 {status} X\r\n{length}\r\n");
    wire.receive(head.as_bytes());
    if status >= 200 {
        wire.receive(b"abc");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// An upload is short where no final response came, and its client's doing for certain
    /// where the peer spoke HTTP.
    #[test]
    fn uploads_are_judged_by_what_came_back(upload in upload()) {
        let (mut wire, kept, refused) = upload.play();
        let heard = refused || !upload.interim.is_empty();
        let (findings, tally) = wire.finish();
        let proven = heard || upload.origin == Origin::Connected;
        let short = proven && !refused && kept > 0 && kept < upload.length;
        prop_assert_eq!(findings.len(), usize::from(short), "{:?} {:?}", findings, tally);
        for finding in &findings {
            prop_assert_eq!(finding.message.role, Role::Request);
            prop_assert_eq!(finding.sent, Some(kept as u64));
            prop_assert!(matches!(finding.cause, Cause::PrematureClose | Cause::ProcessExit));
            let fault = if heard { Fault::Local } else { Fault::Unknown };
            prop_assert_eq!(finding.fault, fault);
        }
        let whole = proven && kept == upload.length;
        prop_assert_eq!(tally.messages_judged, u64::from(short || whole), "{:?}", tally);
        let reasons: u64 = tally.unjudged.values().sum();
        prop_assert_eq!(reasons, u64::from(!short && !whole), "{:?}", tally);
    }

    /// The same bytes on a socket on which nothing was asked are no messages.
    #[test]
    fn what_nobody_asked_for_is_no_message(
        history in history(),
        received in greeting(),
    ) {
        let mut wire = unasked(&history, received);
        let (findings, tally) = wire.finish();
        prop_assert_eq!(findings, vec![], "{:?}", tally);
        prop_assert_eq!(tally.messages_judged, 0);
        prop_assert!(tally.unjudged.values().sum::<u64>() > 0);
    }

    /// An upload that is refused before it came: it takes back what the peer had not received
    /// only where the kernel sent a reset.
    #[test]
    fn a_refused_upload_is_at_risk_by_a_reset_alone(refusal in refusal()) {
        let (mut wire, truth) = refusal.play();
        let (findings, tally) = wire.finish();
        let found = findings.first().map(|finding| (finding.cause, finding.fault));
        prop_assert!(findings.len() < 2);
        prop_assert_eq!(found, truth.map(|fault| (Cause::DeliveryAtRisk, fault)), "{:?}", tally);
        let unseen = tally.missed(Unjudged::ResetNotSeen);
        prop_assert!(unseen == 0 || (!refusal.told && findings.is_empty()), "{:?}", tally);
        prop_assert_eq!(tally.messages_judged + unseen, 1, "{:?}", tally);
    }

    /// A byte beside the stream, or packets in place of one, leave the connection unjudged.
    #[test]
    fn bytes_that_are_in_no_stream_accuse_nobody(
        history in history(),
        flags in aside(),
        sent: bool,
    ) {
        let mut wire = Wire::new();
        if sent {
            wire.counters.send_flags |= flags;
        } else {
            wire.counters.receive_flags |= flags;
        }
        for exchange in &history.exchanges {
            wire.receive(&exchange.request());
            let (bytes, _) = exchange.response();
            for call in cut(&bytes, &history.cuts) {
                wire.send(call, 0);
            }
        }
        wire.send(b"=", 0).end(history.ending, 1, 0);
        if history.ending == EndKind::Shutdown {
            wire.close();
        }
        let (findings, tally) = wire.finish();
        prop_assert_eq!(findings, vec![], "{:?}", tally);
    }
}

/// The responses of a history without its requests.
fn unasked(history: &History, received: Option<&[u8]>) -> Wire {
    let mut wire = Wire::new();
    if let Some(received) = received {
        wire.receive(received);
    }
    for exchange in &history.exchanges {
        let (mut bytes, start) = exchange.response();
        if let Some(super::Fault::Short(at)) = &history.fault {
            bytes.truncate(start + at.index(bytes.len() - start + 1));
        }
        for call in cut(&bytes, &history.cuts) {
            wire.send(call, 0);
        }
    }
    wire.end(history.ending, 1, 0);
    if history.ending == EndKind::Shutdown {
        wire.close();
    }
    wire
}
