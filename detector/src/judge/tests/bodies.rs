//! Messages that have no body, or no promise.

use detector_common::flag;

use super::{GET, HEAD, judged, ok};
use crate::judge::{Unjudged, wire::Wire};

#[test]
fn a_response_to_head_has_no_body() {
    let mut wire = Wire::new();
    let tally = wire.receive(HEAD).send(&ok(1000), 0).close().none();
    assert_eq!(judged(&tally), (1, vec![]));
    // Between others, pipelined.
    let mut wire = Wire::new();
    wire.receive(&[GET, HEAD, GET].concat());
    wire.send(&ok(2), 2).send(&ok(1000), 0).send(&ok(2), 2);
    assert_eq!(judged(&wire.close().none()), (3, vec![]));
}

#[test]
fn a_response_without_body_to_an_unseen_request_is_not_judged() {
    let mut wire = Wire::untraced();
    assert_eq!(
        judged(&wire.send(&ok(1000), 0).close().none()),
        (0, vec![("method-unknown", 1)])
    );
    // With a body byte it cannot have answered HEAD.
    let mut wire = Wire::untraced();
    assert_eq!(wire.send(&ok(1000), 1).close().one().message.method, None);
    // Another response at once: both may have answered HEAD.
    let mut wire = Wire::untraced();
    let tally = wire.send(&ok(1000), 0).send(&ok(1000), 0).close().none();
    assert_eq!(tally.missed(Unjudged::MethodUnknown), 1);
}

#[test]
fn interim_and_bodiless_responses() {
    let mut wire = Wire::new();
    wire.receive(GET)
        .send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 0);
    let tally = wire.send(&ok(10), 10).close().none();
    assert_eq!(judged(&tally), (1, vec![]));
    let mut wire = Wire::new();
    wire.receive(GET).send(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        0,
    );
    wire.receive(GET)
        .send(b"HTTP/1.1 204 No Content\r\n\r\n", 0);
    assert_eq!(judged(&wire.close().none()), (2, vec![]));
}

#[test]
fn what_has_no_promise_is_counted_and_not_judged() {
    let cases: [(&[u8], &[u8], &str); 5] = [
        (GET, b"HTTP/1.0 200 OK\r\n\r\n", "until-close"),
        (GET, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "tunnel"),
        (
            b"CONNECT a:1 HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            "tunnel",
        ),
        (
            GET,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "malformed",
        ),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Le", "head-cut"),
    ];
    for (request, response, reason) in cases {
        let mut wire = Wire::new();
        let tally = wire.receive(request).send(response, 0).close().none();
        assert_eq!(judged(&tally), (0, vec![(reason, 1)]));
    }
}

#[test]
fn what_is_not_http_is_named() {
    let cases: [(&[u8], &[u8], &str); 4] = [
        (
            b"\x16\x03\x01\x02\x00",
            b"\x16\x03\x03\x00\x7a",
            "encrypted",
        ),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\0\0\x12\x04\0\0\0\0\0",
            "http2",
        ),
        (b"ping", b"+PONG\r\n", "not-http"),
        (b"", b"HTTPfoo bar\r\n\r\n", "not-http"),
    ];
    for (received, sent, reason) in cases {
        let mut wire = Wire::new();
        let tally = wire.receive(received).send(sent, 0).close().none();
        assert_eq!(judged(&tally), (0, vec![(reason, 1)]), "{sent:?}");
    }
}

#[test]
fn an_upload_read_by_unsampled_calls_does_not_confuse_the_answer() {
    let mut wire = Wire::new();
    wire.receive(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    wire.counters.received += 100_000;
    wire.send(&ok(10), 10);
    wire.receive(HEAD).send(&ok(10), 0);
    assert_eq!(judged(&wire.close().none()), (2, vec![]));
}

#[test]
fn a_missed_response_leaves_no_method_certain() {
    let mut wire = Wire::new();
    let filler = "x".repeat(5000);
    let long = format!("HTTP/1.1 200 OK\r\nX: {filler}\r\nContent-Length: 10\r\n\r\n0123456789");
    wire.receive(GET).send(long.as_bytes(), 0);
    wire.receive(GET).send(&ok(10), 10);
    // It answers this, not the request whose answer was missed.
    wire.receive(HEAD).send(&ok(1000), 0);
    wire.close().none();
}

#[test]
fn a_head_in_small_pieces_after_a_response_to_head() {
    let mut wire = Wire::new();
    wire.send(&ok(1000), 0);
    wire.send(b"HTTP", 0)
        .send(b"/1.1 204 No Content\r\n\r\n", 0);
    wire.close().none();
}

#[test]
fn bytes_that_nobody_looked_at_are_no_proof_of_a_body() {
    let mut wire = Wire::untraced();
    wire.send(&ok(1000), 0);
    wire.counters.send_flags |= flag::UNINSPECTED;
    wire.body(90);
    assert_eq!(
        judged(&wire.close().none()),
        (0, vec![("method-unknown", 1)])
    );
    // Where the method is known they need not be looked at.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 0);
    wire.counters.send_flags |= flag::UNINSPECTED;
    wire.body(90);
    assert_eq!(wire.close().one().sent, Some(90));
}

#[test]
fn a_request_that_was_not_sampled_leaves_method_and_target_untold() {
    let mut wire = Wire::new();
    wire.receive(b"FROB /x HTTP/1.1\r\n\r\n").receive(GET);
    let message = wire.send(&ok(1000), 5).close().one().message;
    assert_eq!((message.method, message.target), (None, None));
}

#[test]
fn a_length_that_reaches_beyond_all_offsets_is_malformed() {
    let mut wire = Wire::new();
    let tally = wire.receive(GET).send(&ok(u64::MAX), 10).close().none();
    assert_eq!(judged(&tally), (0, vec![("malformed", 1)]));
}

#[test]
fn an_answer_to_nothing_leaves_no_method_certain() {
    let mut wire = Wire::new();
    // Sent at once, before anything is read.
    wire.send(&ok(2), 2).receive(GET);
    wire.receive(HEAD).send(&ok(1000), 0);
    wire.close().none();
}
