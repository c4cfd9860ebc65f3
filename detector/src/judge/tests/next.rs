//! The next response too early, and bytes too many.

use super::{CHUNKED, GET, judged, ok};
use crate::judge::{
    Cause, EndingKind, Fault, Framing, Unjudged,
    wire::{COOKIE, Wire},
};

#[test]
fn bytes_beyond_the_promise_are_an_overrun() {
    let mut wire = Wire::new();
    let finding = wire.receive(GET).send(&ok(10), 20).close().one();
    assert_eq!(finding.cause, Cause::Overrun);
    assert_eq!((finding.promised, finding.sent), (Some(10), Some(20)));
    // It goes on until the next response begins.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(10), 20).body(30);
    wire.receive(GET).send(&ok(5), 5);
    let finding = wire.close().one();
    assert_eq!((finding.promised, finding.sent), (Some(10), Some(50)));
    assert_eq!(finding.ending.kind, EndingKind::Next { call: 1 });
    // Empty lines are not counted (RFC 9112 section 2.2).
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(10), 10).send(b"\r\n", 0);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}

#[test]
fn a_next_response_within_the_promised_bytes_is_a_desync() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.receive(GET).send(&ok(500), 500);
    wire.receive(GET).send(&ok(5), 5);
    let finding = wire.close().one();
    assert_eq!(
        (finding.cause, finding.fault),
        (Cause::Desync, Fault::Local)
    );
    assert_eq!((finding.promised, finding.sent), (Some(1000), Some(300)));
    assert_eq!(judged(wire.judge.tally()), (3, vec![]));
}

#[test]
fn a_desync_shows_at_the_end_too() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.receive(GET).send(&ok(500), 500);
    let finding = wire.close().one();
    assert_eq!((finding.cause, finding.sent), (Cause::Desync, Some(300)));
    // Open and at rest.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.receive(GET).send(&ok(500), 500);
    let (findings, tally) = wire.finish_open();
    assert_eq!(findings.len(), 1);
    assert_eq!(judged(&tally), (2, vec![]));
    // Both are short.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.receive(GET).send(&ok(500), 100);
    let causes: Vec<_> = {
        let (findings, _) = wire.close().finish();
        findings.iter().map(|finding| finding.cause).collect()
    };
    assert_eq!(causes, [Cause::Desync, Cause::PrematureClose]);
}

#[test]
fn a_pipelined_response_within_the_promised_bytes_is_a_desync_if_nothing_else_fits() {
    const HEAD: u64 = b"HTTP/1.1 200 OK\r\nContent-Length: 800\r\n\r\n".len() as u64;
    let two = [GET, GET].concat();
    let sizes = |wire: &mut Wire| {
        let (findings, _) = wire.close().finish();
        findings
            .iter()
            .map(|finding| (finding.cause, finding.sent))
            .collect::<Vec<_>>()
    };
    // More than was promised, and it ends where the second response does.
    let mut wire = Wire::new();
    wire.receive(&two).send(&ok(1000), 300).send(&ok(800), 800);
    let finding = wire.close().one();
    assert_eq!((finding.cause, finding.sent), (Cause::Desync, Some(300)));
    assert_eq!(judged(wire.judge.tally()), (2, vec![]));
    // Where a third begins.
    let mut wire = Wire::new();
    wire.receive(&two).send(&ok(1000), 300).send(&ok(800), 800);
    wire.receive(GET).send(&ok(5), 5);
    let finding = wire.close().one();
    assert_eq!((finding.cause, finding.sent), (Cause::Desync, Some(300)));
    assert_eq!(judged(wire.judge.tally()), (3, vec![]));
    // All of three are read before.
    let mut wire = Wire::new();
    let three = [GET, GET, GET].concat();
    wire.receive(&three).send(&ok(1000), 300);
    wire.send(&ok(800), 800).send(&ok(5), 5);
    let finding = wire.close().one();
    assert_eq!((finding.cause, finding.sent), (Cause::Desync, Some(300)));
    assert_eq!(judged(wire.judge.tally()), (3, vec![]));
    // The second is short itself: it may be a body that looks so.
    let mut wire = Wire::new();
    wire.receive(&two).send(&ok(1000), 300).send(&ok(9000), 800);
    assert_eq!(
        sizes(&mut wire),
        [(Cause::Overrun, Some(300 + HEAD + 1 + 800))]
    );
    // The first is short in both readings.
    let mut wire = Wire::new();
    wire.receive(&two).send(&ok(1000), 300).send(&ok(500), 500);
    assert_eq!(
        sizes(&mut wire),
        [(Cause::PrematureClose, Some(300 + HEAD + 500))]
    );
    // And what follows fits the new heads alone, each to the byte.
    let mut wire = Wire::new();
    wire.receive(&three).send(&ok(1000), 300);
    wire.send(&ok(90), 90).send(&ok(80), 80);
    let finding = wire.close().one();
    assert_eq!((finding.cause, finding.sent), (Cause::Desync, Some(300)));
    assert_eq!(judged(wire.judge.tally()), (3, vec![]));
    // More was asked for, or the last is not whole: a body may look so.
    for (asked, last) in [(4, 80), (3, 70)] {
        let mut wire = Wire::new();
        wire.receive(&GET.repeat(asked)).send(&ok(1000), 300);
        wire.send(&ok(90), 90).send(&ok(80), last);
        let heads = [ok(90), ok(80)].concat().len() as u64;
        assert_eq!(
            sizes(&mut wire),
            [(Cause::PrematureClose, Some(300 + heads + 90 + last))]
        );
    }
    // Nothing else was asked for.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300).send(&ok(800), 800);
    assert_eq!(sizes(&mut wire), [(Cause::Overrun, Some(300 + HEAD + 800))]);
    // A body that looks like a response, sent whole, and the next response.
    let mut wire = Wire::new();
    let inner = ok(800).len() as u64 + 800;
    wire.receive(&three).send(&ok(300 + inner), 300);
    wire.send(&ok(800), 800).send(&ok(5), 5).send(&ok(6), 6);
    assert_eq!(judged(&wire.close().none()), (3, vec![]));
    // A short one behind such a body, whose next response is asked for later.
    let mut wire = Wire::new();
    wire.receive(&two).send(&ok(2000), 100).send(&ok(400), 300);
    wire.receive(GET).send(&ok(5), 5);
    assert_eq!(
        sizes(&mut wire),
        [(Cause::Desync, Some(100 + ok(400).len() as u64 + 300))]
    );
}

#[test]
fn bytes_that_may_be_the_next_response_are_no_overrun() {
    // A request that was not seen whole may have been another one's beginning.
    let mut wire = Wire::new();
    wire.receive(GET).receive_seen(b"", 40);
    wire.send(&ok(1000), 300).send(&ok(800), 800);
    assert_eq!(judged(&wire.close().none()), (1, vec![("unaccounted", 1)]));
}

#[test]
fn a_body_of_heads_is_no_desync() {
    // A request comes while the body is sent, which looks like responses.
    let log = [&ok(3)[..], b"abc"].concat();
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(log.len() as u64 * 10), 0);
    wire.send(&log, 0).receive(GET);
    for _ in 0..9 {
        wire.send(&log, 0);
    }
    wire.send(&ok(7), 7);
    let tally = wire.close().none();
    assert_eq!(judged(&tally), (2, vec![]));
    // Nothing was asked for meanwhile.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300).send(&ok(500), 500);
    assert_eq!(wire.close().one().cause, Cause::PrematureClose);
}

#[test]
fn a_response_where_a_chunk_is_due_is_a_desync() {
    let mut wire = Wire::new();
    wire.receive(GET)
        .send(CHUNKED, 0)
        .send(b"5\r\nhello\r\n", 0);
    wire.receive(GET).send(&ok(500), 500);
    let finding = wire.close().one();
    assert_eq!(
        (finding.cause, finding.message.framing),
        (Cause::Desync, Framing::Chunked)
    );
}

#[test]
fn a_desync_shows_as_soon_as_the_promised_body_cannot_go_on() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    // More than what is owed.
    wire.receive(GET).send(&ok(5000), 3000).body(2000);
    let counters = wire.counters;
    assert_eq!(wire.judge.take_flawed(), [COOKIE]);
    wire.judge.note(COOKIE, &counters, 1);
    let finding = wire.close().one();
    assert_eq!((finding.cause, finding.sent), (Cause::Desync, Some(300)));
}

#[test]
fn a_body_of_heads_while_requests_come_is_no_desync() {
    let log = [&ok(3)[..], b"abc"].concat();
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(log.len() as u64 * 10), 0);
    wire.receive(GET).receive(GET);
    for _ in 0..10 {
        wire.send(&log, 0);
    }
    wire.close().none();
}

#[test]
fn a_head_that_is_refused_is_no_overrun() {
    for head in [
        "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned(),
    ] {
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(10), 10);
        wire.receive(GET).send(head.as_bytes(), 5);
        let tally = wire.close().none();
        assert_eq!(tally.missed(Unjudged::Malformed), 1, "{tally:?}");
    }
}

#[test]
fn what_a_client_sends_behind_a_request_is_no_overrun() {
    let post = b"POST /up HTTP/1.1\r\nContent-Length: 10\r\n\r\n";
    for behind in [&b"\r\n"[..], b"\x01\x02raw"] {
        let mut wire = Wire::new();
        wire.send(post, 10).send(behind, 0);
        wire.close().none();
        let mut wire = Wire::new();
        wire.send(post, 10).send(behind, 0);
        assert_eq!(wire.finish_open().0, []);
    }
}

/// The next response is sent in two calls, of which the second begins just where the
/// promised bytes of the first end, and looks like a response itself: both readings
/// fit, to the call.
#[test]
fn where_both_readings_fit_neither_is_believed() {
    let inner = ok(7);
    let next = ok(100);
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(300), 200);
    wire.receive(GET).send(&next, 100 - next.len() as u64);
    let rest = next.len() as u64 - inner.len() as u64;
    wire.send(&inner, rest);
    let tally = wire.close().none();
    assert_eq!(judged(&tally), (1, vec![("unaccounted", 1)]));
}
