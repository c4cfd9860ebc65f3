//! Heads, rule by rule.
#![allow(clippy::panic)]

use detector_framing::{
    Coding, Framing, Head, HeadParser, Lengths, Method, Parsed, Start, framing,
};

/// The bytes whole, and one by one: both have to agree.
fn parse(text: &str) -> Parsed {
    let whole = HeadParser::default().feed(text.as_bytes());
    let mut parser = HeadParser::default();
    let mut apart = Parsed::Partial;
    for byte in text.bytes() {
        apart = parser.feed(&[byte]);
        if apart != Parsed::Partial {
            break;
        }
    }
    assert_eq!(whole, apart, "{text:?}");
    whole
}

fn head(text: &str) -> Head {
    match parse(text) {
        Parsed::Complete(head) => head,
        other => panic!("{text:?} is {other:?}"),
    }
}

/// Of a response with these field lines.
fn response(lines: &str) -> Head {
    head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"))
}

#[test]
fn a_state_is_small() {
    assert_eq!(size_of::<HeadParser>(), 40);
    assert_eq!(size_of::<detector_framing::ChunkDecoder>(), 16);
    assert_eq!(size_of::<detector_framing::Framer>(), 72);
}

/// RFC 9112 section 2.1.
#[test]
fn a_head_ends_behind_its_empty_line() {
    let head = head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(head.length, 38);
    assert_eq!(head.start, Start::Response(200));
    assert_eq!(head.lengths, Lengths::One(5));
}

/// RFC 9112 section 2.2.
#[test]
fn bare_line_feeds_end_lines_and_empty_lines_stand_before() {
    let found = head("HTTP/1.1 200 OK\nContent-Length: 7\n\nbody");
    assert_eq!((found.length, found.lengths), (35, Lengths::One(7)));
    let found = head("\r\n\n\rGET / HTTP/1.1\r\n\r\n");
    assert_eq!(
        (found.length, found.start),
        (22, Start::Request(Method::Other))
    );
}

/// RFC 9112 section 3, RFC 9110 section 9.1.
#[test]
fn methods_are_told_apart_and_are_case_sensitive() {
    for (text, method) in [
        ("HEAD", Method::Head),
        ("CONNECT", Method::Connect),
        ("HEADER", Method::Other),
        ("HEA", Method::Other),
        ("head", Method::Other),
        ("CONNECTED", Method::Other),
        ("HTTP", Method::Other),
        ("H", Method::Other),
        ("M-SEARCH", Method::Other),
    ] {
        let found = head(&format!("{text} /a HTTP/1.1\r\n\r\n"));
        assert_eq!(found.start, Start::Request(method), "{text}");
        assert_eq!(method, Method::named(text));
    }
}

#[test]
fn the_beginning_of_a_head_is_partial() {
    for text in [
        "",
        "\r\n",
        "H",
        "HTTP/",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "GET / HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\r\n\r",
        "HTTP/1.1 200\r\nX: a\r\n",
    ] {
        assert_eq!(parse(text), Parsed::Partial, "{text:?}");
    }
}

/// RFC 9112 sections 3 and 4: no version, no status, no token, no target.
#[test]
fn other_things_are_not_heads() {
    for text in [
        "HTTP/9 hello\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1200 OK\r\n\r\n",
        "HTTP/1.1 200 O\u{1}K\r\n",
        "HTTP/1.1 200 OK\rX",
        "GET\r\n\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET /\r\n\r\n",
        "GET /a b HTTP/1.1\r\n",
        "G(T / HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nbad name: x\r\n",
        "GET / HTTP/1.1\r\nname : x\r\n",
        "GET / HTTP/1.1\r\nX: a\r\n folded\r\n",
        "GET / HTTP/1.1\r\n: x\r\n",
        "GET / HTTP/1.1\r\nX: a\u{0}\r\n",
        "HTTP/1.1 200 OK\r\nX: a\u{0}\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb",
    ] {
        assert_eq!(parse(text), Parsed::Invalid, "{text:?}");
    }
}

/// A target is UTF-8, as httparse has it; what it is not is known at its end.
#[test]
fn targets_are_utf_8() {
    let with = |target: &[u8]| [b"GET /", target, b" HTTP/1.1\r\n\r\n"].concat();
    for whole in ["\u{e9}", "\u{20ac}", "\u{10ffff}", "\u{d7ff}"] {
        let parsed = HeadParser::default().feed(&with(whole.as_bytes()));
        assert!(matches!(parsed, Parsed::Complete(_)), "{whole:?}");
    }
    for broken in [
        &b"\x80"[..],
        b"\xc3",
        b"\xc3a\x80",
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
    ] {
        let parsed = HeadParser::default().feed(&with(broken));
        assert_eq!(parsed, Parsed::Invalid, "{broken:?}");
        let begun = [b"GET /", broken].concat();
        assert_eq!(HeadParser::default().feed(&begun), Parsed::Partial);
    }
}

/// RFC 9112 section 5.1 and 5.2, as responses of old have it.
#[test]
fn responses_may_have_several_spaces_folded_lines_and_white_space_before_the_colon() {
    let lines = "X: a\r\n b\r\nContent-Length \t: 7\r\nY:\r\n\r\n";
    let found = head(&format!("HTTP/1.1   200   OK\r\n{lines}"));
    assert_eq!(
        (found.start, found.lengths),
        (Start::Response(200), Lengths::One(7))
    );
    assert_eq!(
        response("Content-Length:\r\n 7\r\n").lengths,
        Lengths::One(7)
    );
    assert_eq!(
        response("Content-Length: 7\r\n \r\n").lengths,
        Lengths::One(7)
    );
    assert_eq!(
        response("Content-Length: 7\r\n 8\r\n").lengths,
        Lengths::Invalid
    );
    assert_eq!(
        response("Transfer-Encoding: gzip,\r\n\tchunked\r\n").coding,
        Coding::Chunked
    );
}

/// As httparse is told to do (`ignore_invalid_headers_in_responses`).
#[test]
fn lines_of_a_response_that_are_no_field_are_passed_over() {
    for line in [
        "no colon\r\n",
        " Content-Length: 9\r\n",
        "a b: Content-Length: 9\r\n",
        "Content-Length: 9\u{1}\r\n",
        "Content-Length: 9\r\n \u{1}\r\n",
        "(\u{1}\u{7f}\r\n",
        ": 9\n",
    ] {
        let found = response(&format!("{line}Content-Length: 7\r\n"));
        assert_eq!(found.lengths, Lengths::One(7), "{line:?}");
    }
}

/// RFC 9110 section 5.1.
#[test]
fn names_are_in_any_case() {
    assert_eq!(
        response("cOnTeNt-LeNgTh:    7  \r\n").lengths,
        Lengths::One(7)
    );
    assert_eq!(
        response("TRANSFER-ENCODING:CHUNKED\r\n").coding,
        Coding::Chunked
    );
    for other in [
        "Content-Lengths: 7",
        "Content-Lengt: 7",
        "Content_Length: 7",
        "Content-Length5: 7",
    ] {
        assert_eq!(
            response(&format!("{other}\r\n")).lengths,
            Lengths::Absent,
            "{other}"
        );
    }
}

/// RFC 9110 section 8.6.
#[test]
fn equal_lengths_are_one_and_different_ones_are_invalid() {
    let lengths = |lines: &str| response(lines).lengths;
    assert_eq!(
        lengths("Content-Length: 7\r\nContent-Length: 7\r\n"),
        Lengths::One(7)
    );
    assert_eq!(lengths("Content-Length: 7 ,\t7\r\n"), Lengths::One(7));
    assert_eq!(
        lengths("Content-Length: 007\r\nContent-Length: 7\r\n"),
        Lengths::One(7)
    );
    assert_eq!(
        lengths("Content-Length: 18446744073709551615\r\n"),
        Lengths::One(u64::MAX)
    );
    for invalid in [
        "Content-Length: 7\r\nContent-Length: 8\r\n",
        "Content-Length: 7, 8\r\n",
        "Content-Length: 7,\r\n",
        "Content-Length: ,7\r\n",
        "Content-Length: +7\r\n",
        "Content-Length: 7 7\r\n",
        "Content-Length: 7x\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999\r\n",
    ] {
        assert_eq!(lengths(invalid), Lengths::Invalid, "{invalid:?}");
    }
}

/// RFC 9112 section 6.1.
#[test]
fn the_last_transfer_coding_decides() {
    let coding = |value: &str| response(&format!("Transfer-Encoding: {value}\r\n")).coding;
    assert_eq!(coding("chunked"), Coding::Chunked);
    assert_eq!(coding("gzip, Chunked \t"), Coding::Chunked);
    assert_eq!(coding("gzip"), Coding::Other);
    assert_eq!(coding("chunked, gzip"), Coding::Other);
    assert_eq!(coding("chunked,"), Coding::Other);
    assert_eq!(coding("chunked x"), Coding::Other);
    assert_eq!(coding("chunkedx"), Coding::Other);
    assert_eq!(coding(""), Coding::Other);
    assert_eq!(
        coding("gzip\r\nTransfer-Encoding: chunked"),
        Coding::Chunked
    );
    assert_eq!(coding("chunked\r\nTransfer-Encoding: gzip"), Coding::Other);
    assert_eq!(response("").coding, Coding::None);
}

/// RFC 9110 section 10.1.1.
#[test]
fn a_request_may_wait_for_leave() {
    let waits = |lines: &str| head(&format!("PUT / HTTP/1.1\r\n{lines}\r\n")).waits;
    assert!(waits("Expect: 100-continue\r\n"));
    assert!(waits("expect: 100-Continue \r\nExpect: x\r\n"));
    assert!(!waits("Expect: 100-continue, x\r\n"));
    assert!(!waits("Expected: 100-continue\r\n"));
    assert!(!waits(""));
}

#[test]
fn a_head_may_have_any_number_of_lines_of_any_length() {
    for lines in [1, 64, 300, 5000] {
        let fields = "X-Field: a value of some length\r\n".repeat(lines);
        let long = format!("Y: {}\r\n", "y".repeat(lines));
        for start in ["HTTP/1.1 200 OK", "PUT / HTTP/1.1"] {
            let text = format!("{start}\r\n{fields}{long}Content-Length: 7\r\n\r\n");
            assert_eq!(head(&text).lengths, Lengths::One(7));
            assert_eq!(head(&text).length as usize, text.len());
        }
    }
}

/// RFC 9112 section 6.3, item by item.
#[test]
fn bodies_of_responses() {
    let length = "Content-Length: 9\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (status, lines, method, expected) in [
        ("200", length, Method::Other, Framing::ContentLength(9)),
        ("206", length, Method::Other, Framing::ContentLength(9)),
        ("200", length, Method::Head, Framing::NoBody),
        ("404", length, Method::Head, Framing::NoBody),
        ("204", length, Method::Other, Framing::NoBody),
        ("304", length, Method::Other, Framing::NoBody),
        (
            "200",
            "Content-Length: 0\r\n",
            Method::Other,
            Framing::NoBody,
        ),
        ("200", chunked, Method::Other, Framing::Chunked),
        (
            "200",
            "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n",
            Method::Other,
            Framing::Chunked,
        ),
        (
            "200",
            "Transfer-Encoding: gzip\r\n",
            Method::Other,
            Framing::UntilClose,
        ),
        ("200", "", Method::Other, Framing::UntilClose),
        ("100", "", Method::Other, Framing::Interim),
        ("103", length, Method::Head, Framing::Interim),
        ("101", "", Method::Other, Framing::Tunnel),
        ("200", length, Method::Connect, Framing::Tunnel),
        ("204", "", Method::Connect, Framing::Tunnel),
        ("407", length, Method::Connect, Framing::ContentLength(9)),
        (
            "200",
            "Content-Length: 9, 8\r\n",
            Method::Other,
            Framing::Malformed,
        ),
    ] {
        let head = head(&format!("HTTP/1.1 {status} X\r\n{lines}\r\n"));
        assert_eq!(
            framing(&head, method),
            expected,
            "{status} {lines:?} to {method:?}"
        );
    }
}

/// RFC 9112 section 6.3, items 4 to 7.
#[test]
fn bodies_of_requests() {
    for (lines, expected) in [
        ("", Framing::NoBody),
        ("Content-Length: 0\r\n", Framing::NoBody),
        ("Content-Length: 9\r\n", Framing::ContentLength(9)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: gzip\r\n", Framing::Malformed),
        ("Content-Length: x\r\n", Framing::Malformed),
    ] {
        let head = head(&format!("POST / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(framing(&head, Method::Other), expected, "{lines:?}");
    }
}
