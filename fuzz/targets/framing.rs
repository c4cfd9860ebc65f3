//! `detector-framing` against httparse and the decoder of 0.1.0: the same decision over the
//! same bytes, whole, in two pieces, and with bytes unseen.
#![no_main]

use detector_framing::{
    ChunkDecoder, ChunkPart, Chunks, Coding, Event, Framer, Framing, HeadParser, Lengths, Lost,
    Method, Need, Parsed, ProxyHeader, Slice, Start, proxy_header,
};
use libfuzzer_sys::fuzz_target;
use truncwatch::http;
use truncwatch_fuzz::oracle::{self, Step};

fuzz_target!(|bytes: &[u8]| {
    // The first byte tells where the rest is split, and which method it answers.
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let cut = bytes.len() * usize::from(*first) / 255;
    let method = ["GET", "HEAD", "CONNECT"][usize::from(*first) % 3];
    let found = HeadParser::default().feed(bytes);
    let body = match (found, oracle::parse(bytes)) {
        (Parsed::Partial, oracle::Parsed::Partial) | (Parsed::Invalid, oracle::Parsed::Invalid) => {
            bytes
        }
        (Parsed::Complete(head), oracle::Parsed::Complete(expected)) => {
            same(&head, &expected);
            words(bytes, &expected);
            bytes.get(head.length as usize..).unwrap_or_default()
        }
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    };
    assert_eq!(found, head_in_pieces(bytes, cut));
    chunks(body, cut.min(body.len()));
    let (middle, at_start) = (oracle::steps(bytes, method), from_start(bytes, method));
    for (cut, skips) in [(bytes.len(), false), (cut, false), (cut, true)] {
        let method = Method::named(method);
        assert_eq!(steps(Framer::default(), bytes, cut, skips, method), middle);
        assert_eq!(
            steps(Framer::at_start(), bytes, cut, skips, method),
            at_start
        );
    }
});

/// What a connection's first bytes come to: a header of the PROXY protocol may stand there.
fn from_start(bytes: &[u8], method: &str) -> Vec<Step> {
    let header = match (proxy_header(bytes), oracle::proxy_header(bytes)) {
        (ProxyHeader::Whole(found), oracle::ProxyHeader::Whole(length)) if found == length => {
            length.min(bytes.len())
        }
        (ProxyHeader::Partial, oracle::ProxyHeader::Partial) => bytes.len(),
        (ProxyHeader::None, oracle::ProxyHeader::None) => 0,
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    };
    // A line that is too long for a header is not read again as a request of the method
    // PROXY: `methods_that_begin_as_a_proxy_header_does_are_methods`.
    if header == 0 && bytes.starts_with(b"PROXY ") {
        return vec![Step::NotHead];
    }
    let mut steps = oracle::steps(&bytes[header..], method);
    for step in &mut steps {
        if let Step::Head(at, _) | Step::End(at) = step {
            *at += header;
        }
    }
    steps
}

/// The words of the start line, which the crate does not keep.
fn words(bytes: &[u8], expected: &oracle::Head) {
    let http::Parsed::Complete(head) = http::parse(bytes) else {
        panic!("no head");
    };
    match (&head.start, &expected.start) {
        (
            http::StartLine::Request { method, target },
            oracle::StartLine::Request {
                method: other,
                target: elsewhere,
            },
        ) => assert_eq!((method, target), (other, elsewhere)),
        (http::StartLine::Response { status }, oracle::StartLine::Response { status: other }) => {
            assert_eq!(status, other)
        }
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    }
}

/// What the framer says of the stream, in two pieces, reading all or skipping what it may.
fn steps(mut framer: Framer, bytes: &[u8], cut: usize, skips: bool, method: Method) -> Vec<Step> {
    let (first, second) = bytes.split_at(cut);
    let mut steps = Vec::new();
    for (begin, piece) in [(0, first), (cut, second)] {
        // What is behind a piece may be anything, also what is to come.
        let window = Slice(if skips { &bytes[begin..] } else { piece });
        let (mut at, end) = (0, Slice(piece).len());
        while at < end {
            let before = at;
            let event;
            (at, event) = match framer.need() {
                Need::Skip(left) if skips => {
                    let (passed, event) = framer.skip(left.min(u64::from(end - at)));
                    (at + passed as u32, event)
                }
                _ => {
                    let turn = framer.turn(&window, at, end, method);
                    (turn.at, turn.event)
                }
            };
            assert!(at > before && at <= end, "no progress");
            let behind = begin + at as usize;
            steps.push(match event {
                Event::None => continue,
                Event::Head(_, framing) => Step::Head(behind, named(framing)),
                Event::End => Step::End(behind),
                Event::Lost(Lost::NotHead) => Step::NotHead,
                Event::Lost(Lost::Malformed) => Step::Malformed,
                Event::Lost(Lost::NotChunked) => Step::NotChunked,
                Event::Lost(Lost::NoSize) => Step::NoSize,
                Event::Lost(Lost::Unseen) => panic!("what had to be read was skipped"),
            });
        }
    }
    steps
}

fn named(framing: Framing) -> oracle::Framing {
    match framing {
        Framing::NoBody => oracle::Framing::NoBody,
        Framing::ContentLength(length) => oracle::Framing::ContentLength(length),
        Framing::Chunked => oracle::Framing::Chunked,
        Framing::UntilClose => oracle::Framing::UntilClose,
        Framing::Interim => oracle::Framing::Interim,
        Framing::Tunnel => oracle::Framing::Tunnel,
        Framing::Malformed => oracle::Framing::Malformed,
    }
}

fn same(head: &detector_framing::Head, expected: &oracle::Head) {
    assert_eq!(u64::from(head.length), expected.len);
    match (head.start, &expected.start) {
        (Start::Request(found), oracle::StartLine::Request { method, .. }) => {
            assert_eq!(found, Method::named(method));
        }
        (Start::Response(found), oracle::StartLine::Response { status }) => {
            assert_eq!(found, *status);
        }
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    }
    let lengths = match expected.content_length {
        oracle::Lengths::Absent => Lengths::Absent,
        oracle::Lengths::One(length) => Lengths::One(length),
        oracle::Lengths::Invalid => Lengths::Invalid,
    };
    let coding = match expected.transfer_encoding {
        None => Coding::None,
        Some(true) => Coding::Chunked,
        Some(false) => Coding::Other,
    };
    assert_eq!((head.lengths, head.coding), (lengths, coding));
    assert_eq!(head.waits, expected.waits);
}

fn head_in_pieces(bytes: &[u8], cut: usize) -> Parsed {
    let (first, second) = bytes.split_at(cut);
    let mut parser = HeadParser::default();
    match parser.feed(first) {
        Parsed::Partial => parser.feed(second),
        parsed => parsed,
    }
}

/// The same end, the same parts, the same after bytes that were not seen.
fn chunks(body: &[u8], cut: usize) {
    let mut parts = Vec::new();
    let mut decoder = ChunkDecoder::default();
    let (found, read) =
        decoder.feed_parts(body, |at, part| parts.push((at, part == ChunkPart::Text)));
    let mut expected_parts = Vec::new();
    let mut expected = oracle::ChunkDecoder::default();
    let told = expected.feed_parts(body, |at, part| {
        expected_parts.push((at, part == oracle::ChunkPart::Text));
    });
    match (found, told) {
        (Chunks::Done, oracle::Chunks::Done(bytes)) => assert_eq!(read, bytes),
        (Chunks::More, oracle::Chunks::More)
        | (Chunks::Invalid, oracle::Chunks::Invalid)
        | (Chunks::NoSize, oracle::Chunks::NoSize) => {}
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    }
    assert_eq!(parts, expected_parts);
    let (first, second) = body.split_at(cut);
    let mut apart = ChunkDecoder::default();
    let pieces = match apart.feed(first) {
        (Chunks::More, _) => apart.feed(second).0,
        (chunks, _) => chunks,
    };
    assert_eq!(found, pieces);
    if found == Chunks::More {
        assert_eq!(decoder, apart);
        assert_eq!(decoder.data_left(), expected.data_left());
        let unseen = cut as u64;
        assert_eq!(decoder.skip(unseen), expected.skip(unseen));
        assert_eq!(decoder.data_left(), expected.data_left());
        // What follows is taken alike.
        let (found, read) = decoder.feed(second);
        match (found, expected.feed(second)) {
            (Chunks::Done, oracle::Chunks::Done(bytes)) => assert_eq!(read, bytes),
            (Chunks::More, oracle::Chunks::More)
            | (Chunks::Invalid, oracle::Chunks::Invalid)
            | (Chunks::NoSize, oracle::Chunks::NoSize) => {}
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }
}
