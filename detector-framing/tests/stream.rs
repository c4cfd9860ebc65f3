//! One message behind the other: RFC 9112 section 9.3.
#![allow(clippy::panic)]

mod walk;

use detector_framing::{Event, Framer, Framing, Lost, Method, Need, Slice};
use walk::{Pass, piece};

/// A framer behind these bytes, and their last event.
fn behind(bytes: &str, method: Method) -> (Framer, Event) {
    let mut framer = Framer::default();
    let events = piece(&mut framer, bytes.as_bytes(), 0, Pass::Read, method);
    (
        framer,
        events.last().map_or(Event::None, |(_, event)| *event),
    )
}

fn need(bytes: &str) -> Need {
    behind(bytes, Method::Other).0.need()
}

/// Offsets where messages end, whole and by skipping.
fn ends(bytes: &str) -> Vec<usize> {
    let [read, skipped] = [Pass::Read, Pass::Skip].map(|pass| {
        let events = walk::pieces(bytes.as_bytes(), &[], pass);
        let ends = events.into_iter().filter(|(_, event)| match event {
            Event::End => true,
            Event::Head(_, framing) => *framing == Framing::NoBody,
            Event::Lost(why) => panic!("{why:?}"),
            Event::None => false,
        });
        ends.map(|(at, _)| at).collect::<Vec<_>>()
    });
    assert_eq!(read, skipped);
    read
}

/// RFC 9112 section 6.3, items 1, 4, 6 and 7.
#[test]
fn what_is_needed_next_follows_from_the_head() {
    assert_eq!(need(""), Need::Read);
    assert_eq!(need("HTTP/1.1 200 OK\r\nContent-Le"), Need::Read);
    assert_eq!(
        need("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
        Need::Skip(7)
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(need(chunked), Need::Read);
    assert_eq!(need(&format!("{chunked}1f\r\nab")), Need::Skip(29));
    assert_eq!(need(&format!("{chunked}2\r\nab")), Need::Read);
    assert_eq!(need("HTTP/1.1 200 OK\r\n\r\n"), Need::Skip(u64::MAX));
    assert_eq!(need("HTTP/1.1 101 Fine\r\n\r\n"), Need::Skip(u64::MAX));
    assert_eq!(need("not, HTTP"), Need::Skip(u64::MAX));
    assert_eq!(need("HTTP/1.1 204 X\r\n\r\n"), Need::Read);
}

/// RFC 9112 section 9.3.2, RFC 9110 section 15.2.
#[test]
fn messages_follow_one_another() {
    let first = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let interim = "HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let empty = "\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
    let stream = format!("{first}{interim}{chunked}{empty}");
    let middle = first.len() + interim.len() + chunked.len();
    assert_eq!(ends(&stream), [first.len(), middle, stream.len()]);
    let requests = "GET / HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(ends(requests), [18, requests.len()]);
}

/// RFC 9112 section 6.3, items 1 and 2.
#[test]
fn the_method_that_is_answered_decides() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for (method, framing, next) in [
        (Method::Other, Framing::ContentLength(5), Need::Skip(5)),
        (Method::Head, Framing::NoBody, Need::Read),
        (Method::Connect, Framing::Tunnel, Need::Skip(u64::MAX)),
    ] {
        let (framer, event) = behind(head, method);
        assert!(matches!(event, Event::Head(_, found) if found == framing));
        assert_eq!(framer.need(), next);
        assert_eq!(framer.is_at_boundary(), method == Method::Head);
    }
}

/// RFC 9112 section 2.2.
#[test]
fn a_boundary_is_before_a_message_and_its_empty_lines() {
    for (bytes, boundary) in [
        ("", true),
        ("\r\n", true),
        ("H", false),
        ("GET / HTTP/1.1\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", true),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
    ] {
        assert_eq!(
            behind(bytes, Method::Other).0.is_at_boundary(),
            boundary,
            "{bytes:?}"
        );
    }
}

/// RFC 9112 section 2.2 (no head), sections 6.3 and 7.1.
#[test]
fn a_stream_is_lost_with_its_reason() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (bytes, why) in [
        ("hello\r\n".to_owned(), Lost::NotHead),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n".to_owned(),
            Lost::Malformed,
        ),
        (format!("{chunked}x"), Lost::NotChunked),
        (format!("{chunked}1\r\na\r\nHTTP/1.1 "), Lost::NoSize),
    ] {
        let (framer, event) = behind(&bytes, Method::Other);
        assert_eq!(event, Event::Lost(why), "{bytes:?}");
        assert!(!framer.is_at_boundary());
    }
}

#[test]
fn bytes_that_had_to_be_read_are_not_skipped() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (bytes, unseen) in [
        ("", 1),
        ("GET / HT", 3),
        (chunked, 1),
        (&format!("{chunked}2"), 1),
        // Chunk data and its line's end may pass, the next size may not.
        (&format!("{chunked}2\r\nab"), 3),
        (&format!("{chunked}0\r\n"), 2),
    ] {
        let (framer, _) = behind(bytes, Method::Other);
        let mut unchanged = framer;
        assert_eq!(unchanged.skip(0), (0, Event::None));
        assert_eq!(unchanged, framer);
        let mut skipped = framer;
        assert_eq!(
            skipped.skip(unseen),
            (unseen, Event::Lost(Lost::Unseen)),
            "{bytes:?}"
        );
    }
}

#[test]
fn skipping_stops_where_a_message_ends() {
    let (mut framer, _) = behind(
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        Method::Other,
    );
    assert_eq!(framer.skip(5), (5, Event::None));
    assert_eq!(framer.need(), Need::Skip(2));
    assert_eq!(framer.skip(100), (2, Event::End));
    assert!(framer.is_at_boundary());
    // Until the connection ends, everything passes.
    let (mut framer, _) = behind("HTTP/1.0 200 OK\r\n\r\n", Method::Other);
    assert_eq!(framer.skip(u64::MAX), (u64::MAX, Event::None));
    assert_eq!(framer.turn(&Slice(b"abc"), 0, 3, Method::Other).at, 3);
}

/// The largest length there is (RFC 9110 section 8.6 sets no limit) and an empty piece.
#[test]
fn a_length_may_take_64_bits_and_a_piece_may_be_empty() {
    let length = u64::MAX;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let (mut framer, _) = behind(&head, Method::Other);
    assert_eq!(framer.skip(length - 1), (length - 1, Event::None));
    let turn = framer.turn(&Slice(b""), 0, 0, Method::Other);
    assert_eq!((turn.at, turn.event), (0, Event::None));
    assert_eq!(framer.skip(1), (1, Event::End));
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a connection's first bytes come to, whole and byte by byte.
fn from_start(bytes: &[u8]) -> Vec<(usize, Event)> {
    let mut framer = Framer::at_start();
    let whole = piece(&mut framer, bytes, 0, Pass::Read, Method::Other);
    for pass in [Pass::Read, Pass::Skip] {
        let (mut apart, mut events) = (Framer::at_start(), Vec::new());
        for (at, byte) in bytes.iter().enumerate() {
            events.extend(piece(&mut apart, &[*byte], at, pass, Method::Other));
        }
        assert_eq!(whole, events, "{bytes:?}");
        assert_eq!(framer.need(), apart.need(), "{bytes:?}");
    }
    whole
}

/// doc/proxy-protocol.txt, sections 2.1 and 2.2.
#[test]
fn a_proxy_header_stands_before_the_first_message() {
    let head = b"GET / HTTP/1.1\r\n\r\n";
    let long = [&b"PROXY TCP6 "[..], &[b'f'; 94], b"\r\n"].concat();
    for header in [
        &b""[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 40312 80\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY \r\r\n",
        &long,
        &[SIGNATURE, &[0x20, 0, 0, 0]].concat(),
        &[SIGNATURE, &[0x21, 0x11, 0, 12], b"GET / HTTP/1"].concat(),
        &[SIGNATURE, &[0x21, 0x11, 1, 0], &[b'\n'; 256]].concat(),
        // No header, but a part of what one begins with.
        b"\r\n\r\n",
        b"\r\n\n",
        b"\r\r\n\r\n",
    ] {
        let bytes = [header, head].concat();
        let events = from_start(&bytes);
        let &[(at, Event::Head(found, Framing::NoBody))] = &events[..] else {
            panic!("{events:?} of {header:?}");
        };
        assert_eq!(at, bytes.len());
        let empty = header.iter().all(|byte| b"\r\n".contains(byte));
        let own = if empty { bytes.len() } else { head.len() };
        assert_eq!(found.length as usize, own);
    }
}

#[test]
fn methods_that_begin_as_a_proxy_header_does_are_methods() {
    for method in ["P", "POST", "PR", "PROPFIND", "PROX", "PROXY", "PROXYING"] {
        for (target, is_head) in [("/", true), ("/\r", false)] {
            let bytes = format!("{method} {target} HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
            let events = from_start(bytes.as_bytes());
            let last = events.last().map(|(_, event)| *event);
            let expected = match is_head && method != "PROXY" {
                true => Event::End,
                false => Event::Lost(Lost::NotHead),
            };
            assert_eq!(last, Some(expected), "{bytes:?}");
        }
    }
}

#[test]
fn a_broken_proxy_header_is_no_head() {
    let long = [&b"PROXY TCP6 "[..], &[b'f'; 95], b"\r\n"].concat();
    for broken in [
        &b"\r\n\r\n\0\r\nQUIT "[..],
        b"\r\n\r\n\0GET / HTTP/1.1\r\n\r\n",
        &long,
    ] {
        let events = from_start(broken);
        assert_eq!(events.len(), 1, "{broken:?}");
        assert_eq!(events[0].1, Event::Lost(Lost::NotHead), "{broken:?}");
    }
    // Behind the first message there is none.
    let mut framer = Framer::default();
    let events = piece(
        &mut framer,
        b"PROXY UNKNOWN\r\n",
        0,
        Pass::Read,
        Method::Other,
    );
    assert_eq!(
        events.last().map(|(_, event)| *event),
        Some(Event::Lost(Lost::NotHead))
    );
}

#[test]
fn a_proxy_header_is_no_boundary() {
    for (bytes, boundary) in [
        (&b""[..], true),
        (b"P", false),
        (b"\r\n", true),
        (b"\r\n\r\n\0", false),
        (b"PROXY UNKNOWN\r", false),
        (b"PROXY UNKNOWN\r\n", true),
    ] {
        let mut framer = Framer::at_start();
        let events = piece(&mut framer, bytes, 0, Pass::Read, Method::Other);
        assert_eq!(events, [], "{bytes:?}");
        assert_eq!(framer.is_at_boundary(), boundary, "{bytes:?}");
        assert_eq!(framer.skip(1), (1, Event::Lost(Lost::Unseen)));
    }
    let mut framer = Framer::at_start();
    let header = [SIGNATURE, &[0x21, 0x11, 0, 12]].concat();
    assert_eq!(
        piece(&mut framer, &header, 0, Pass::Read, Method::Other),
        []
    );
    assert_eq!(framer.need(), Need::Skip(12));
    assert!(!framer.is_at_boundary());
    assert_eq!(framer.skip(100), (12, Event::None));
    assert!(framer.is_at_boundary());
}
