//! Random heads and streams: httparse agrees, splits change nothing, skipping and reading
//! agree, and every byte makes progress.
#![allow(clippy::panic, clippy::cast_possible_truncation)]

mod oracle;
mod walk;

use detector_framing::{
    Event, Framer, Framing, HeadParser, Lost, Method, Need, Outstanding, Parsed, ProxyHeader,
    Slice, Turn, may_begin_message, proxy_header,
};
use proptest::{collection::vec, prelude::*, sample::select};
use walk::Pass;

/// What heads are made of, whole or broken.
const PARTS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 404\n",
    b"HTTP/1.1  204  No  Content\r\n",
    b"HTTP/",
    b"1.1",
    b" ",
    b"GET / HTTP/1.1\r\n",
    b"HEAD /a?b HTTP/1.0\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"POST ",
    b"/\xc3\xa9",
    b"\xe2\x82\xac",
    b"Content-Length: 10\r\n",
    b"Content-Length:",
    b"content-length : 5\r\n",
    b"Content-Type: text/html; charset=utf-8\r\n",
    b"5",
    b"18446744073709551615",
    b"00",
    b",",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\n",
    b"Transfer-Encoding",
    b"chunked",
    b"Expect: 100-continue\r\n",
    b"X-A: b\r\n",
    b"content-length:00000123\n",
    b"Content-Length: 123456789\r\n",
    b"Content-Length: 12345678 \r\n",
    b"Transfer-Encoding:Chunked\n",
    b"Transfer-Encoding: chunked \r\n",
    b"Content-Lengthy: 5\r\n",
    b"Content-Range: x\r\n",
    b"PROPFIND ",
    b"OPTIONS * HTTP/1.1\r\n",
    b"REPORTS * HTTP/1.1\n",
    b"HTTP/1.1 200\n",
    b"HTTP/1.1 20",
    b"abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"A-Very-Long-Name-Of-A-Field-In-A-Head: and a value that is longer than sixty-four bytes are\r\n",
    b"Server: nginx\r\n",
    b"Date: Tue, 01 Dec 2026 10:00:00 GMT\r\n",
    b"X_Y: \xff\x80\r\n",
    b"no colon\r\n",
    b"tab:\tx\ty\r\n",
    b": nothing\r\n",
    b" folded\r\n",
    b"\tfolded\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\x7f",
    b":",
    b"a",
    b"\x01",
];

/// Parts in a row, with a few bytes changed.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let parts = vec(select(PARTS), 1..12).prop_map(|parts| parts.concat());
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (parts, changes, any::<bool>()).prop_map(|(mut bytes, changes, whole)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if whole {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    })
}

/// Feeds the bytes in pieces that end at these places.
fn in_pieces(bytes: &[u8], cuts: &[prop::sample::Index]) -> Parsed {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut parser = HeadParser::default();
    let mut begin = 0;
    for end in ends {
        match parser.feed(&bytes[begin..end]) {
            Parsed::Partial => begin = end,
            parsed => return parsed,
        }
    }
    Parsed::Partial
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn heads_are_decided_as_httparse_does(bytes in bytes()) {
        prop_assert_eq!(HeadParser::default().feed(&bytes), oracle::parse(&bytes));
    }

    #[test]
    fn splits_of_a_head_change_nothing(bytes in bytes(), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        prop_assert_eq!(HeadParser::default().feed(&bytes), in_pieces(&bytes, &cuts));
    }
}

/// A message, as it is sent.
#[derive(Clone, Debug)]
enum Body {
    Length(usize),
    Chunks(Vec<usize>),
    None,
}

fn message() -> impl Strategy<Value = (Method, Body, bool)> {
    let method = select(&[Method::Other, Method::Head, Method::Connect][..2]);
    let body = prop_oneof![
        (0..3000_usize).prop_map(Body::Length),
        vec(1..400_usize, 0..5).prop_map(Body::Chunks),
        Just(Body::None),
    ];
    (method, body, any::<bool>())
}

/// Both directions of a conversation, and where each response ends.
fn conversation(messages: &[(Method, Body, bool)]) -> (Outstanding, Vec<u8>, Vec<usize>) {
    let mut outstanding = Outstanding::default();
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for (method, body, interim) in messages {
        assert!(outstanding.push(*method));
        if *interim {
            bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        }
        // A body that looks like heads.
        let fill = |bytes: &mut Vec<u8>, length| {
            let heads = b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".iter();
            bytes.extend(heads.cycle().take(length));
        };
        match body {
            Body::Length(length) => {
                let head = format!("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: {length}\r\n\r\n");
                bytes.extend_from_slice(head.as_bytes());
                if *method != Method::Head {
                    fill(&mut bytes, *length);
                }
            }
            Body::Chunks(sizes) => {
                bytes.extend_from_slice(b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n");
                if *method != Method::Head {
                    for size in sizes {
                        bytes.extend_from_slice(format!("{size:x};a=b\r\n").as_bytes());
                        fill(&mut bytes, *size);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\nTrailer: z\r\n\r\n");
                }
            }
            Body::None => bytes.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        }
        ends.push(bytes.len());
    }
    (outstanding, bytes, ends)
}

/// Follows the stream through pieces; returns where messages ended. `skips`: what needs no
/// reading is passed over, also beyond the end of a piece.
fn follow(
    bytes: &[u8],
    cuts: &[prop::sample::Index],
    skips: bool,
    mut outstanding: Outstanding,
) -> Vec<usize> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut framer, mut messages) = (Framer::default(), Vec::new());
    let mut begin = 0;
    for end in ends {
        let piece = &bytes[begin..end];
        let length = piece.len() as u32;
        let mut at = 0;
        while at < length {
            let turn = match framer.need() {
                Need::Skip(left) if skips => {
                    let here = left.min(u64::from(length - at));
                    let (passed, event) = framer.skip(here);
                    Turn {
                        at: at + passed as u32,
                        event,
                    }
                }
                _ => {
                    let method = outstanding.oldest().unwrap_or_default();
                    framer.turn(&Slice(piece), at, length, method)
                }
            };
            assert!(turn.at > at, "no progress at {at} of {length}");
            at = turn.at;
            let place = begin + at as usize;
            match turn.event {
                Event::None => {}
                Event::Head(head, framing) => {
                    if head.is_final_response() {
                        outstanding.pop();
                    }
                    if framing == Framing::NoBody {
                        messages.push(place);
                    }
                }
                Event::End => messages.push(place),
                Event::Lost(why) => panic!("{why:?} at {place}"),
            }
        }
        begin = end;
    }
    assert!(framer.is_at_boundary());
    messages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn streams_are_followed_to_the_byte_through_any_split(
        messages in vec(message(), 0..8),
        cuts in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (outstanding, bytes, ends) = conversation(&messages);
        prop_assert_eq!(follow(&bytes, &cuts, false, outstanding), ends.clone());
        prop_assert_eq!(follow(&bytes, &cuts, true, outstanding), ends);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_stream_is_the_same_through_any_split_read_or_skipped(
        streams in vec(stream(), 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = streams.concat();
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        let whole = walk::pieces(&bytes, &[], Pass::Read);
        prop_assert_eq!(&walk::pieces(&bytes, &ends, Pass::Read), &whole);
        prop_assert_eq!(&walk::pieces(&bytes, &ends, Pass::Skip), &whole);
    }
}

/// What connections begin with, whole or broken.
const STARTS: &[&[u8]] = &[
    b"",
    b"P",
    b"PROXY ",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 40312 80\r\n",
    b"\r\n\r\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cabcdefghijkl",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_connection_begins_the_same_through_any_split(
        start in select(STARTS),
        rest in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = [start, &rest].concat();
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        let whole = walk::from(Framer::at_start(), &bytes, &[], Pass::Read);
        prop_assert_eq!(&walk::from(Framer::at_start(), &bytes, &ends, Pass::Read), &whole);
        prop_assert_eq!(&walk::from(Framer::at_start(), &bytes, &ends, Pass::Skip), &whole);
        // The header is the one that is found in the first bytes when they are whole.
        let header = match proxy_header(&bytes) {
            ProxyHeader::Whole(length) => length.min(bytes.len()),
            ProxyHeader::Partial => bytes.len(),
            // What began as one is no head either, from a later byte on.
            ProxyHeader::None if [&b"PROXY "[..], b"\r\n\r\n\0"].iter().any(|start| bytes.starts_with(start)) => {
                prop_assert_eq!(whole.last().map(|(_, event)| *event), Some(Event::Lost(Lost::NotHead)));
                return Ok(());
            }
            ProxyHeader::None => 0,
        };
        let events = walk::pieces(&bytes[header..], &[], Pass::Read);
        let events: Vec<_> = events.into_iter().map(|(at, event)| (at + header, event)).collect();
        prop_assert_eq!(whole, events);
    }

    #[test]
    fn a_message_may_begin_where_its_first_bytes_say_so(bytes in vec(select(FIRST), 0..26)) {
        let expected = || {
            let is_status = bytes.iter().zip(b"HTTP/").all(|(one, other)| one == other);
            if !bytes.is_empty() && is_status {
                return true;
            }
            for (place, byte) in bytes.iter().take(20).enumerate() {
                match byte {
                    b' ' => return place >= 3,
                    b'A'..=b'Z' | b'-' => {}
                    _ => return false,
                }
            }
            !bytes.is_empty()
        };
        prop_assert_eq!(may_begin_message(&bytes), expected());
    }
}

/// What methods are made of, mostly.
const FIRST: &[u8] =
    b"HTTP/HTTP/GETPOST-ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ a\0\xc1";

/// A message, whole or broken.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![bytes(), select(WHOLE).prop_map(<[u8]>::to_vec)]
}

/// Messages that lead through every state.
const WHOLE: &[&[u8]] = &[
    b"\r\nPOST /\xc3\xa9\xe2\x82\xac\xe0\xa0\x80\xed\x9f\xbf\xf0\x9f\x98\x80\xf1\x80\x80\x80\xf4\x80\x80\x80 \
      HTTP/1.1\r\nContent-Length: 12 , 12\r\nTransfer-Encoding: gzip, chunked \r\n\
      Expect: 100-continue\r\nX: a\r\n\r\n4;b=c\r\nabcd\r\n0\r\nT: x\r\n\r\n",
    b"HTTP/1.1  200  OK\r\nServer : a\r\n b\nno field\r\nContent-Length :\r\n 3\r\n\r\nabc",
    b"HTTP/1.0 200\r\nTransfer-Encoding: chunked\n\na\n0123456789\n0\n\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204\n\nHTTP/1.1 404 Not Found\r\n\r\nabc",
    b"HEAD / HTTP/1.0\r\nExpect: 100-continue, x\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
];

/// In every state that a beginning of [`WHOLE`] leads to: every byte, and every three of
/// those that decide something. No panic, always progress, and the same in any split.
#[test]
fn every_byte_makes_progress_in_every_state() {
    const DECIDE: &[u8] = b"\0\t\n\r +-.,/019:;ACGHTacehnptx\x7f\x80\xc3\xed\xff";
    for whole in WHOLE {
        for length in 0..whole.len() {
            let mut framer = Framer::default();
            drop(walk::piece(
                &mut framer,
                &whole[..length],
                0,
                Pass::Read,
                Method::Other,
            ));
            for byte in 0..=u8::MAX {
                drop(walk::piece(
                    &mut framer.clone(),
                    &[byte],
                    0,
                    Pass::Read,
                    Method::Other,
                ));
            }
            for number in 0..DECIDE.len().pow(3) {
                let bytes =
                    [0, 1, 2].map(|digit| DECIDE[number / DECIDE.len().pow(digit) % DECIDE.len()]);
                let (mut one, mut other) = (framer, framer);
                let together = walk::piece(&mut one, &bytes, 0, Pass::Read, Method::Other);
                let mut apart = Vec::new();
                for (at, byte) in bytes.iter().enumerate() {
                    apart.extend(walk::piece(
                        &mut other,
                        &[*byte],
                        at,
                        Pass::Skip,
                        Method::Other,
                    ));
                }
                assert_eq!(together, apart, "{:?}, then {bytes:?}", &whole[..length]);
                assert_eq!(one.need(), other.need());
            }
        }
    }
}
