//! Which bytes are a message: a response only behind a request, a request for certain only
//! with an answer.

use detector_common::{EndKind, seen};

use super::{GET, HEAD, judged, ok};
use crate::judge::{Cause, Fault, wire::Wire};

const PUT: &[u8] = b"PUT /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn printed_responses_are_none() {
    // Short, whole, too long; one way and with other bytes received before.
    for more in [300, 1000, 1500] {
        for received in [&b""[..], b"STOR file\r\n", b"T", b"HTTP/1.1 200 OK\r\n\r\n"] {
            for kind in [EndKind::Close, EndKind::Exit] {
                let mut wire = Wire::new();
                if !received.is_empty() {
                    wire.receive(received);
                }
                let tally = wire.send(&ok(1000), more).end(kind, 1, 9).none();
                assert_eq!(judged(&tally), (0, vec![("not-http", 1)]), "{received:?}");
            }
        }
    }
    // In several calls, and with more heads.
    let mut wire = Wire::new();
    for part in [
        &b"HTTP/1.1 200 OK\r\n"[..],
        b"Content-Length: 9\r\n\r\n",
        b"abc",
    ] {
        wire.send(part, 0);
    }
    let tally = wire.send(&ok(5), 1).close().none();
    assert_eq!(judged(&tally), (0, vec![("not-http", 1)]));
    // The first bytes of one.
    let tally = Wire::new().send(b"HTTP/1.1 200 O", 0).close().none();
    assert_eq!(judged(&tally), (0, vec![("not-http", 1)]));
}

#[test]
fn where_reads_were_not_seen_it_is_not_known() {
    let mut wire = Wire::new();
    wire.receive_unseen(40).send(&ok(1000), 300);
    assert_eq!(judged(&wire.close().none()), (0, vec![("not-observed", 1)]));
    // A request that was seen is one.
    let mut wire = Wire::new();
    wire.receive(GET).receive_unseen(40).send(&ok(1000), 300);
    assert_eq!(wire.close().one().cause, Cause::PrematureClose);
}

#[test]
fn printed_requests_are_none() {
    for more in [300, 1000] {
        let tally = Wire::new().send(PUT, more).close().none();
        assert_eq!(judged(&tally), (0, vec![("not-http", 1)]));
    }
    let tally = Wire::new().send(GET, 0).send(GET, 0).close().none();
    assert_eq!(judged(&tally), (0, vec![("not-http", 1)]));
    // With an answer they are some.
    let mut wire = Wire::new();
    let finding = wire.send(PUT, 300).receive(CONTINUE).close().one();
    assert_eq!(finding.fault, Fault::Local);
    let mut wire = Wire::new();
    wire.send(GET, 0).receive(NO_CONTENT).send(GET, 0);
    assert_eq!(judged(&wire.close().none()), (2, vec![]));
    // The watch ends before it.
    let (findings, tally) = Wire::new().send(GET, 0).finish_open();
    assert_eq!(
        (findings.len(), judged(&tally)),
        (0, (0, vec![("in-progress", 1)]))
    );
}

#[test]
fn an_upload_without_an_answer_is_local_where_the_peer_speaks_http() {
    let mut wire = Wire::new();
    let finding = wire.connected(1).send(PUT, 300).close().one();
    assert_eq!(
        (finding.cause, finding.fault),
        (Cause::PrematureClose, Fault::Unknown)
    );
    for (peer, fault) in [(1, Fault::Local), (2, Fault::Unknown)] {
        let mut first = Wire::new();
        first.connected(1).send(GET, 0).receive(NO_CONTENT).close();
        let mut wire = first.another();
        let finding = wire.connected(peer).send(PUT, 300).close().one();
        assert_eq!(finding.fault, fault);
    }
}

#[test]
fn a_byte_is_no_head() {
    for bytes in [&b"T"[..], b"G", b"GET", b"H", b"P", b"C", b"HTTP"] {
        let tally = Wire::new().send(bytes, 0).close().none();
        assert_eq!(judged(&tally), (0, vec![("not-http", 1)]), "{bytes:?}");
        let tally = Wire::new().connected(1).send(bytes, 0).close().none();
        assert_eq!(judged(&tally), (0, vec![("not-http", 1)]), "{bytes:?}");
    }
    let tally = Wire::new().connected(1).send(b"GET /a", 0).close().none();
    assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
    let tally = Wire::new().receive(GET).send(b"HT", 0).close().none();
    assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
}

#[test]
fn an_interim_answer_lets_no_client_stop() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    let upload = |answers: &[&[u8]]| {
        let mut wire = Wire::new();
        wire.connected(1).send(PUT, 0);
        for answer in answers {
            wire.receive(answer);
        }
        wire.body(400);
        wire
    };
    for answers in [
        vec![CONTINUE],
        vec![b"HTTP/1.1 102 Processing\r\n\r\n"],
        vec![hints, CONTINUE],
    ] {
        let finding = upload(&answers).close().one();
        assert_eq!(
            (finding.cause, finding.fault, finding.sent),
            (Cause::PrematureClose, Fault::Local, Some(400))
        );
        let finding = upload(&answers).end(EndKind::Exit, 1, 9).one();
        assert_eq!(finding.cause, Cause::ProcessExit);
    }
    let early = (0, vec![("early-response", 1)]);
    for answers in [vec![&refused[..]], vec![CONTINUE, refused]] {
        assert_eq!(judged(&upload(&answers).close().none()), early);
    }
    // It lies unread, or is waited for before a byte of the body.
    let mut unread = upload(&[CONTINUE]);
    unread.unread = 40;
    assert_eq!(judged(&unread.close().none()), early);
    let mut unix = upload(&[CONTINUE]);
    unix.seen |= seen::INPUT;
    assert_eq!(judged(&unix.close().none()), early);
    let mut waits = Wire::new();
    waits.connected(1).send(PUT, 0).receive(CONTINUE);
    assert_eq!(judged(&waits.close().none()), early);
}

#[test]
fn bytes_behind_a_response_without_a_body_are_too_many() {
    let not_modified = &b"HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n"[..];
    for (request, response) in [
        (HEAD, &ok(20)[..]),
        (GET, &ok(0)),
        (GET, NO_CONTENT),
        (GET, not_modified),
    ] {
        // With the head, or behind it, at the end and with another request.
        let mut with = Wire::new();
        let both = [response, b"{\"a\": \"bcdefghij\"}"].concat();
        with.receive(request).send(&both, 0);
        let mut behind = Wire::new();
        behind
            .receive(request)
            .send(response, 0)
            .send(b"{\"a\": \"bcdefghij\"}", 0);
        let mut goes_on = Wire::new();
        goes_on
            .receive(request)
            .send(&both, 0)
            .receive(GET)
            .send(&ok(5), 5);
        for mut wire in [with, behind, goes_on] {
            let finding = wire.close().one();
            assert_eq!(
                (finding.cause, finding.promised, finding.sent),
                (Cause::Overrun, Some(0), Some(18))
            );
        }
        // The next response is one, and empty lines are nothing.
        let mut wire = Wire::new();
        wire.receive(request).send(response, 0).send(b"\r\n", 0);
        wire.receive(GET).send(&ok(5), 5);
        assert_eq!(judged(&wire.close().none()), (2, vec![]));
    }
}

#[test]
fn a_client_of_a_tunnel_is_in_one() {
    let upgrade = b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let connect = b"CONNECT a:443 HTTP/1.1\r\n\r\n";
    let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let refused = b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n";
    let accepted = b"HTTP/1.1 200 OK\r\n\r\n";
    for frames in [&b"\x81\x85abcdefghi"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut wire = Wire::new();
        wire.connected(1)
            .send(upgrade, 0)
            .receive(switched)
            .send(frames, 0);
        assert_eq!(judged(&wire.close().none()), (1, vec![("tunnel", 1)]));
        let mut wire = Wire::new();
        wire.connected(1)
            .send(connect, 0)
            .receive(accepted)
            .send(frames, 0);
        assert_eq!(judged(&wire.close().none()), (1, vec![("tunnel", 1)]));
    }
    // The second answer is not looked at.
    let mut wire = Wire::new();
    wire.connected(1)
        .send(connect, 0)
        .receive(refused)
        .send(connect, 0);
    wire.receive(accepted).send(b"\x16\x03\x01abcdefg", 5000);
    assert_eq!(judged(&wire.close().none()), (2, vec![("tunnel", 1)]));
}

#[test]
fn a_body_that_looks_like_a_101_switches_nothing() {
    let upload = b"PUT /b HTTP/1.1\r\nContent-Length: 100\r\n\r\n";
    let looks = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n"[..],
        b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut wire = Wire::new();
        wire.connected(1).send(GET, 0).receive(answer);
        wire.receive(looks).send(upload, 3);
        let finding = wire.close().one();
        assert_eq!((finding.promised, finding.sent), (Some(100), Some(3)));
    }
    // The head of an answer, behind interim ones too, and to a later request.
    let hints = b"HTTP/1.1 103 X\r\n\r\n";
    for before in [&[][..], &[&hints[..]], &[&hints[..], hints]] {
        let mut wire = Wire::new();
        wire.connected(1).send(GET, 0).receive(&ok(0)).send(GET, 0);
        for head in before {
            wire.receive(head);
        }
        wire.receive(looks).send(upload, 3);
        assert_eq!(judged(&wire.close().none()), (2, vec![("tunnel", 1)]));
    }
    // The page of a refusal is no acceptance.
    let mut wire = Wire::new();
    wire.connected(1).send(b"CONNECT a:443 HTTP/1.1\r\n\r\n", 0);
    wire.receive(b"HTTP/1.1 407 X\r\nContent-Length: 19\r\n\r\n");
    wire.receive_seen(b"HTTP/1.1 200 OK\r\n\r\n", 19)
        .send(upload, 3);
    let finding = wire.close().one();
    assert_eq!((finding.promised, finding.sent), (Some(100), Some(3)));
}

#[test]
fn a_head_of_many_lines_is_one() {
    let lines = "X-Field: a value of its own, longer than most\r\n".repeat(300);
    let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 1000\r\n\r\n");
    let mut wire = Wire::new();
    let finding = wire.receive(GET).send(head.as_bytes(), 300).close().one();
    assert_eq!((finding.promised, finding.sent), (Some(1000), Some(300)));
    let request = format!("GET /a HTTP/1.1\r\n{lines}\r\n");
    let mut wire = Wire::new();
    wire.receive(request.as_bytes()).send(&ok(1000), 1000);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}
