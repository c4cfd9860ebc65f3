//! Where messages begin.

use super::{GET, judged, ok};
use crate::judge::{Cause, Record, Unjudged, wire::Wire};

#[test]
fn keep_alive_is_followed_by_offset() {
    let mut wire = Wire::new();
    for _ in 0..3 {
        wire.receive(GET).send(&ok(5000), 0).body(2500).body(2500);
    }
    let finding = wire
        .receive(GET)
        .send(&ok(9000), 0)
        .body(1)
        .shutdown()
        .close()
        .one();
    assert_eq!((finding.promised, finding.sent), (Some(9000), Some(1)));
    assert_eq!(wire.judge.tally().messages_judged, 4);
}

#[test]
fn a_head_over_several_writes_is_one_head() {
    let mut wire = Wire::new();
    wire.receive(GET);
    for byte in ok(1000) {
        wire.send(&[byte], 0);
    }
    let tally = wire.body(1000).close().none();
    assert_eq!(judged(&tally), (1, vec![]));
}

#[test]
fn small_pipelined_responses_in_one_write_are_told_apart() {
    let mut wire = Wire::new();
    let mut both = ok(5);
    both.extend_from_slice(b"hello");
    both.extend_from_slice(&ok(1000));
    wire.receive(&[GET, GET].concat()).send(&both, 10);
    let finding = wire.close().one();
    assert_eq!((finding.promised, finding.sent), (Some(1000), Some(10)));
    assert_eq!(wire.judge.tally().messages_judged, 2);
}

#[test]
fn a_body_that_looks_like_heads_is_a_body() {
    let log = ok(3).repeat(40);
    let length = log.len() as u64;
    let mut wire = Wire::new();
    for _ in 0..5 {
        wire.receive(GET).send(&ok(length), 0);
        // In pieces that each begin as a head does.
        for line in log.chunks(ok(3).len()) {
            wire.send(line, 0);
        }
    }
    let tally = wire.shutdown().close().none();
    assert_eq!(judged(&tally), (5, vec![]));
}

#[test]
fn a_body_that_looks_like_heads_can_be_short() {
    let mut wire = Wire::new();
    wire.receive(GET)
        .send(&ok(1000), 0)
        .send(&ok(3), 0)
        .send(&ok(3), 0);
    let finding = wire.close().one();
    assert_eq!(
        (finding.promised, finding.sent),
        (Some(1000), Some(2 * ok(3).len() as u64))
    );
}

#[test]
fn joined_in_mid_stream_nothing_is_believed_at_once() {
    let mut wire = Wire::joined();
    // A body that looks like a head, then its end.
    let tally = wire.send(&ok(1000), 10).close().none();
    assert_eq!(judged(&tally), (0, vec![("mid-stream", 1)]));
    // Even if a request came first.
    let mut wire = Wire::joined();
    let tally = wire.receive(GET).send(&ok(1000), 10).close().none();
    assert_eq!(judged(&tally), (0, vec![("mid-stream", 1)]));
}

#[test]
fn joined_in_mid_stream_a_length_that_is_borne_out_is_believed() {
    let mut wire = Wire::joined();
    wire.body(12345);
    wire.receive(GET).send(&ok(1000), 1000);
    wire.receive(GET).send(&ok(1000), 10);
    let finding = wire.shutdown().close().one();
    assert_eq!((finding.promised, finding.sent), (Some(1000), Some(10)));
    assert_eq!(judged(wire.judge.tally()), (2, vec![("mid-stream", 1)]));
}

#[test]
fn a_boundary_that_was_not_seen_is_counted() {
    let mut wire = Wire::new();
    let tally = wire
        .receive(GET)
        .send(&ok(5000), 0)
        .body(10_000)
        .close()
        .none();
    assert_eq!(judged(&tally), (1, vec![("unaccounted", 1)]));
    // The kernel side was told in time where it is.
    let mut wire = Wire::new();
    wire.hints = true;
    let finding = wire
        .receive(GET)
        .send(&ok(5000), 0)
        .body(10_000)
        .close()
        .one();
    assert_eq!(
        (finding.cause, finding.sent),
        (Cause::Overrun, Some(10_000))
    );
}

/// In time or too late, by a call of more than is looked at.
#[test]
fn an_overrun_soon_behind_its_head_is_seen_in_large_calls() {
    for (promised, first, second) in [
        (10, 10_000, 0),
        (10, 4096, 0),
        (4000, 1 << 20, 0),
        (10, 0, 4097),
        (10, 0, 10_000),
        (1000, 0, 1 << 20),
        (30, 20, 10_000),
        (1000, 900, 65_536),
    ] {
        for hints in [false, true] {
            let mut wire = Wire::new();
            wire.hints = hints;
            wire.receive(GET).send(&ok(promised), first);
            if second > 0 {
                wire.body(second);
            }
            let finding = wire.close().one();
            assert_eq!(
                (finding.cause, finding.sent),
                (Cause::Overrun, Some(first + second)),
                "{promised} {first} {second}"
            );
        }
    }
}

#[test]
fn pipelined_responses_across_calls_are_told_apart_where_the_boundary_is_known() {
    let mut stream = ok(9000);
    stream.extend(std::iter::repeat_n(b'x', 9000));
    stream.extend(ok(9000));
    let mut wire = Wire::new();
    wire.hints = true;
    wire.receive(&[GET, GET].concat());
    for call in stream.chunks(6000) {
        wire.send(call, 0);
    }
    let finding = wire.body(100).close().one();
    assert_eq!((finding.promised, finding.sent), (Some(9000), Some(100)));
    assert_eq!(wire.judge.tally().messages_judged, 2);
}

/// What looks like a response in a body is looked at only if a request came that
/// it could answer.
#[test]
fn a_response_within_a_body_needs_a_request() {
    let mut wire = Wire::new();
    wire.hints = true;
    wire.receive(GET).send(&ok(1000), 100);
    let records = wire.counters.seq;
    wire.send(&ok(5), 5);
    assert_eq!(wire.counters.seq, records, "no request: not looked at");
    wire.receive(GET).send(&ok(5), 5);
    assert!(
        wire.counters.seq > records + 1,
        "it may answer that request"
    );
    let finding = wire.close().one();
    assert_eq!(
        (finding.cause, finding.promised, finding.sent),
        (
            Cause::Desync,
            Some(1000),
            Some(100 + ok(5).len() as u64 + 5)
        )
    );
}

/// Requests that came at once, and a client's own, are no reason to look away.
#[test]
fn a_body_is_quiet_only_while_no_request_is_open() {
    let mut wire = Wire::new();
    wire.hints = true;
    wire.receive(&[GET, GET].concat()).send(&ok(1000), 100);
    let records = wire.counters.seq;
    wire.send(&ok(5), 5);
    assert_eq!(wire.counters.seq, records + 1, "it may answer the second");
}

#[test]
fn a_head_of_100_kib_is_a_head() {
    let filler = "x".repeat(100 << 10);
    let head = format!("HTTP/1.1 200 OK\r\nX: {filler}\r\nContent-Length: 10\r\n\r\n");
    let mut wire = Wire::new();
    let finding = wire.receive(GET).send(head.as_bytes(), 5).close().one();
    assert_eq!((finding.promised, finding.sent), (Some(10), Some(5)));
    let mut wire = Wire::new();
    wire.receive(GET);
    for piece in head.as_bytes().chunks(7000) {
        wire.send(piece, 0);
    }
    assert_eq!(wire.body(5).close().one().sent, Some(5));
}

#[test]
fn several_threads_that_write_at_once_leave_the_order_unknown() {
    let mut wire = Wire::new();
    wire.hold = true;
    wire.receive(GET).send(&ok(5), 5);
    wire.receive(GET).send(&ok(5), 5);
    wire.close();
    let mut records = std::mem::take(&mut wire.held);
    if let Some(Record::Sample(sample, _)) = records.get_mut(4) {
        sample.offset -= 3;
    }
    for record in records {
        wire.judge.take(record);
    }
    assert_eq!(wire.none().missed(Unjudged::Overlapping), 1);
}

#[test]
fn an_open_connection_with_a_missed_boundary_is_counted() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(5000), 0).body(10_000);
    assert_eq!(judged(&wire.finish_open().1), (1, vec![("unaccounted", 1)]));
}
