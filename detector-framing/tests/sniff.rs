//! What a connection speaks, and where a message may begin.

use detector_framing::{
    Protocol, ProxyHeader, is_response, may_be_request, may_be_response, may_begin_message,
    proxy_header,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// RFC 8446 section 5.1, RFC 9113 section 3.4.
#[test]
fn protocols_are_told_by_their_first_bytes() {
    assert_eq!(
        Protocol::of(b"\x16\x03\x01\x02\x00\x01\x00\x01"),
        Protocol::Tls
    );
    assert_eq!(Protocol::of(b"\x17\x03\x03"), Protocol::Tls);
    assert_eq!(Protocol::of(b"\x13\x03\x03"), Protocol::Other);
    assert_eq!(
        Protocol::of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Protocol::Http2
    );
    assert_eq!(Protocol::of(b"PRI * HT"), Protocol::Http2);
    for other in [&b""[..], b"\x16", b"PRI *", b"220 ready"] {
        assert_eq!(Protocol::of(other), Protocol::Other);
    }
}

/// doc/proxy-protocol.txt, sections 2.1 and 2.2.
#[test]
fn both_versions_of_a_proxy_header_are_told_by_their_beginning() {
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 40312 80\r\nGET / HTTP/1.1\r\n";
    assert_eq!(proxy_header(line), ProxyHeader::Whole(41));
    assert_eq!(proxy_header(b"PROXY UNKNOWN\r\n"), ProxyHeader::Whole(15));
    for (behind, length) in [([0x20, 0, 0, 0], 16), ([0x21, 0x11, 0, 12], 28)] {
        let header = [SIGNATURE, &behind].concat();
        assert_eq!(proxy_header(&header), ProxyHeader::Whole(length));
    }
}

/// doc/proxy-protocol.txt, sections 2.1 and 2.2.
#[test]
fn a_part_of_a_proxy_header_is_told_from_something_else() {
    for part in [&b"P"[..], b"PROXY TCP4 1", b"\r\n\r\n\0\r", SIGNATURE] {
        assert_eq!(proxy_header(part), ProxyHeader::Partial, "{part:?}");
    }
    let long = [&b"PROXY "[..], &[b'x'; 200], b"\r\n"].concat();
    for other in [
        &b""[..],
        b"POST / HTTP/1.1",
        b"\r\n",
        b"\r\n\r\nGET /",
        &long,
    ] {
        assert_eq!(proxy_header(other), ProxyHeader::None, "{other:?}");
    }
}

/// RFC 9112 section 4.
#[test]
fn a_response_begins_with_its_line() {
    for (text, is, may) in [
        ("", false, true),
        ("HTTP", false, true),
        ("HTTP/", true, true),
        ("HTTP/1.1 200 OK", true, true),
        ("HTTP 1", false, false),
        ("http/1.1", false, false),
        ("HEAD / ", false, false),
    ] {
        assert_eq!(is_response(text.as_bytes()), is, "{text:?}");
        assert_eq!(may_be_response(text.as_bytes()), may, "{text:?}");
    }
}

/// RFC 9112 section 3.
#[test]
fn a_request_begins_with_its_line() {
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "\r\nPUT /a HTTP/1.0\r\nbad name: x\r\n",
        "GET /\r\n",
        "REPORT /very/long",
        "M-SEARCH * HTTP/1.1\n",
    ] {
        assert!(may_be_request(text.as_bytes()), "{text:?}");
    }
    for text in [
        "",
        "GE",
        "T",
        "USER anonymous\r\n",
        "STOR a b HTTP\r\n",
        "220 ready\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert!(!may_be_request(text.as_bytes()), "{text:?}");
    }
    for text in ["H", "HTTP/", "\r\nHTTP/1.1 200 OK\r\n"] {
        assert!(!may_be_request(text.as_bytes()), "{text:?}");
    }
}

/// RFC 9112 sections 3 and 4.
#[test]
fn a_message_may_begin_with_a_status_line_or_a_method() {
    for text in [
        "H",
        "HTTP/1.1 200",
        "GET ",
        "G",
        "M-SEARCH *",
        "ABCDEFGHIJKLMNOPQRSTUVWX",
    ] {
        assert!(may_begin_message(text.as_bytes()), "{text:?}");
    }
    for text in ["", "HE ", "Get /", "220 ", "\r\nGET /"] {
        assert!(!may_begin_message(text.as_bytes()), "{text:?}");
    }
}
