//! Chunked bodies: RFC 9112 section 7.1.

use detector_framing::{ChunkDecoder, ChunkPart, Chunks};

/// The same bytes whole, and one by one; with how many of them were read.
fn feed(body: &str) -> (Chunks, usize) {
    let whole = ChunkDecoder::default().feed(body.as_bytes());
    let mut decoder = ChunkDecoder::default();
    let mut apart = (Chunks::More, body.len());
    for (at, byte) in body.bytes().enumerate() {
        let (chunked, _) = decoder.feed(&[byte]);
        if chunked != Chunks::More {
            apart = (chunked, at + 1);
            break;
        }
    }
    assert_eq!(whole, apart, "{body:?}");
    whole
}

/// RFC 9112 sections 7.1 and 7.1.2; bare LF: section 2.2.
#[test]
fn the_last_chunk_and_its_trailer_section_end_the_body() {
    let done = |bytes| (Chunks::Done, bytes);
    assert_eq!(feed("5\r\nhello\r\n0\r\n\r\n"), done(15));
    assert_eq!(
        feed("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nHTTP/1.1"),
        done(25)
    );
    assert_eq!(feed("0\r\n\r\n"), done(5));
    assert_eq!(feed("ffffffffffffffff\r\n").0, Chunks::More);
    assert_eq!(feed("A\r\n0123456789\r\n0\n\n"), done(18));
    assert_eq!(feed("0000000000000000000005\nhello\n0 \r\n\r\n"), done(35));
}

/// RFC 9112 section 8: a body without its last chunk is incomplete.
#[test]
fn anything_less_does_not() {
    for body in [
        "",
        "5",
        "5\r\nhell",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n",
        "0\r\nX: y\r\n",
    ] {
        assert_eq!(feed(body).0, Chunks::More, "{body:?}");
    }
}

/// RFC 9112 section 7.1: a size is `1*HEXDIG`, a line's end follows the data.
#[test]
fn other_things_are_not_chunked() {
    for body in [
        "\r\n",
        "x",
        "5\r\nhelloX",
        "HTTP/1.1 200 OK",
        "fffffffffffffffff\r\n",
        // 2^65 - 2 and 2^64: a size has 64 bits here.
        "1fffffffffffffffe\r\n",
        "10000000000000000\r\n",
        "5\rx",
    ] {
        assert_eq!(feed(body).0, Chunks::Invalid, "{body:?}");
    }
}

/// RFC 9112 section 7.1.
#[test]
fn behind_a_chunk_stands_a_size() {
    for next in ["HTTP/1.1 500", "oops", "x\r\n"] {
        assert_eq!(feed(&format!("5\r\nhello\r\n{next}")).0, Chunks::NoSize);
        assert_eq!(feed(next).0, Chunks::Invalid);
    }
    // Some readers might take these for one.
    for next in ["\r\n0", " 5", "+5", "5 x\r\nX\n0\r"] {
        let read = feed(&format!("5\r\nhello\r\n{next}")).0;
        assert_ne!(read, Chunks::NoSize, "{next:?}");
    }
    let mut decoder = ChunkDecoder::default();
    assert_eq!(decoder.feed(b"10\r\nab").0, Chunks::More);
    // Unseen, a line's end may be one byte or two.
    let mut unseen = decoder;
    assert!(unseen.skip(16));
    assert_eq!(unseen.feed(b"oops").0, Chunks::Invalid);
    let mut unseen = ChunkDecoder::default();
    assert_eq!(unseen.feed(b"1\r\na\r\n10\r\nab").0, Chunks::More);
    assert!(unseen.skip(16));
    assert_eq!(unseen.feed(b"oops").0, Chunks::Invalid);
    assert!(decoder.skip(14));
    assert_eq!(decoder.feed(b"\r\noops").0, Chunks::NoSize);
}

/// RFC 9112 section 7.1: `chunk-data` is as long as its size.
#[test]
fn data_can_be_passed_over_unseen_but_sizes_cannot() {
    let mut decoder = ChunkDecoder::default();
    assert_eq!(decoder.feed(b"10\r\nab").0, Chunks::More);
    assert_eq!(decoder.data_left(), 14);
    assert!(decoder.skip(16));
    assert_eq!(decoder.feed(b"0\r\n\r\n"), (Chunks::Done, 5));
    let mut decoder = ChunkDecoder::default();
    assert_eq!(decoder.feed(b"10\r\nab").0, Chunks::More);
    assert!(!decoder.skip(17));
    // The line's end behind it, or what is left of that.
    for (seen, unseen) in [(&b"2\r\nab"[..], 2), (b"2\r\nab\r", 1), (b"2\r\na", 3)] {
        let mut decoder = ChunkDecoder::default();
        assert_eq!(decoder.feed(seen).0, Chunks::More);
        let mut further = decoder;
        assert!(decoder.skip(unseen));
        assert_eq!(decoder.feed(b"0\r\n\r\n").0, Chunks::Done);
        assert!(!further.skip(unseen + 1));
    }
}

/// RFC 9112 sections 7.1.1 and 7.1.2.
#[test]
fn extensions_and_trailer_fields_are_told_from_framing() {
    let body = b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
    let mut text = Vec::new();
    let (chunked, _) = ChunkDecoder::default().feed_parts(body, |at, part| {
        if part == ChunkPart::Text {
            text.push(body[at]);
        }
    });
    assert_eq!((chunked, &text[..]), (Chunks::Done, &b"a=bX: y"[..]));
}
