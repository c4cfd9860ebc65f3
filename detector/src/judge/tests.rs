//! What is and what is not reported, as a list of facts.

use detector_common::{EndKind, family, flag, tcp_state};

use super::{
    wire::{COOKIE, Wire},
    *,
};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const HEAD: &[u8] = b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n";

fn ok(length: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn judged(tally: &Tally) -> (u64, Vec<(&'static str, u64)>) {
    let missed = tally
        .unjudged
        .iter()
        .map(|(reason, count)| (reason.name(), *count))
        .collect();
    (tally.messages_judged, missed)
}

#[test]
fn a_shutdown_before_the_promised_bytes_is_reported() {
    let mut wire = Wire::new();
    let finding = wire
        .receive(GET)
        .send(&ok(1000), 300)
        .shutdown()
        .close()
        .one();
    assert_eq!(finding.cause, Cause::PrematureShutdown);
    assert_eq!(finding.fault, Fault::Local);
    assert_eq!(
        (finding.promised, finding.sent, finding.missing()),
        (Some(1000), Some(300), Some(700))
    );
    assert_eq!(finding.message.method.as_deref(), Some("GET"));
    assert_eq!(finding.message.target.as_deref(), Some("/a"));
    assert_eq!(finding.message.status, Some(200));
}

#[test]
fn a_whole_response_is_not() {
    let mut wire = Wire::new();
    let tally = wire
        .receive(GET)
        .send(&ok(1000), 300)
        .body(700)
        .shutdown()
        .close()
        .none();
    assert_eq!(judged(&tally), (1, vec![]));
}

#[test]
fn one_byte_short_is_short() {
    let mut wire = Wire::new();
    let finding = wire.receive(GET).send(&ok(1000), 0).body(999).close().one();
    assert_eq!(
        (finding.cause, finding.missing()),
        (Cause::PrematureClose, Some(1))
    );
}

#[test]
fn a_response_of_which_no_body_byte_was_sent_is_short() {
    let mut wire = Wire::new();
    let finding = wire.receive(GET).send(&ok(1000), 0).close().one();
    assert_eq!((finding.sent, finding.stranded), (Some(0), Some(0)));
}

#[test]
fn what_the_last_call_offered_and_the_kernel_did_not_take_is_stranded() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.counters.last_offered = 700;
    wire.counters.last_result = -11;
    assert_eq!(wire.shutdown().close().one().stranded, Some(700));
}

#[test]
fn a_signal_that_ends_the_process_is_in_the_finding() {
    let mut wire = Wire::new();
    let finding = wire
        .receive(GET)
        .send(&ok(1000), 300)
        .end(EndKind::Exit, 1, 9)
        .one();
    assert_eq!(finding.cause, Cause::ProcessExit);
    assert_eq!(finding.ending.kind, EndingKind::Exit { wait_status: 9 });
}

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
    let mut wire = Wire::new();
    assert_eq!(
        judged(&wire.send(&ok(1000), 0).close().none()),
        (0, vec![("method-unknown", 1)])
    );
    // With a body byte it cannot have answered HEAD.
    let mut wire = Wire::new();
    assert_eq!(wire.send(&ok(1000), 1).close().one().message.method, None);
    // Another response at once: both may have answered HEAD.
    let mut wire = Wire::new();
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
fn chunked_responses_that_were_seen_whole_keep_the_place() {
    let mut wire = Wire::new();
    wire.receive(GET);
    wire.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        0,
    );
    wire.send(b"0\r\n\r\n", 0);
    let finding = wire.receive(GET).send(&ok(100), 0).body(1).close().one();
    assert_eq!(finding.promised, Some(100));
    assert_eq!(wire.judge.tally().messages_judged, 2);
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

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_chunked_body_without_its_end_is_unterminated() {
    for body in [
        &b""[..],
        b"5\r\nhe",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0\r\n",
        b"5\r\nhello\r\n0\r\nX: y\r\n",
    ] {
        let mut wire = Wire::new();
        wire.receive(GET).send(CHUNKED, 0);
        for byte in body {
            wire.send(&[*byte], 0);
        }
        let finding = wire.shutdown().close().one();
        assert_eq!(finding.cause, Cause::UnterminatedChunked, "{body:?}");
        assert_eq!((finding.promised, finding.missing()), (None, None));
        assert_eq!(finding.message.framing, Framing::Chunked);
    }
}

#[test]
fn a_chunked_body_with_its_end_is_whole() {
    for body in [&b"0\r\n\r\n"[..], b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"] {
        let mut wire = Wire::new();
        wire.receive(GET).send(CHUNKED, 0);
        for byte in body {
            wire.send(&[*byte], 0);
        }
        assert_eq!(judged(&wire.close().none()), (1, vec![]));
    }
}

#[test]
fn large_chunks_are_followed_by_their_edges() {
    let mut wire = Wire::new();
    wire.receive(GET).send(CHUNKED, 0);
    let mut chunk = b"4e20\r\n".to_vec();
    chunk.extend([b'x'; 20_000]);
    chunk.extend(b"\r\n");
    wire.send(&chunk, 0).send(&chunk, 0);
    let mut last = chunk.clone();
    last.extend(b"0\r\n\r\n");
    assert_eq!(judged(&wire.send(&last, 0).close().none()), (1, vec![]));
    let mut wire = Wire::new();
    wire.receive(GET).send(CHUNKED, 0).send(&chunk, 0);
    assert_eq!(wire.close().one().cause, Cause::UnterminatedChunked);
}

#[test]
fn a_chunk_larger_than_any_stream_is_followed() {
    let mut wire = Wire::new();
    wire.receive(GET).send(CHUNKED, 0);
    wire.send(b"ffffffffffffffff\r\nhello", 0);
    assert_eq!(wire.close().one().cause, Cause::UnterminatedChunked);
}

#[test]
fn chunks_of_which_the_sizes_were_not_seen_end_as_their_last_bytes_say() {
    let many = b"3e8\r\n".iter().chain(&[b'x'; 1000]).chain(b"\r\n");
    let many: Vec<u8> = many.copied().collect::<Vec<_>>().repeat(20);
    let mut wire = Wire::new();
    wire.receive(GET).send(CHUNKED, 0).send(&many, 0);
    assert_eq!(wire.close().one().cause, Cause::UnterminatedChunked);
    // What ends as the last chunk does may be data that does.
    let mut wire = Wire::new();
    wire.receive(GET).send(CHUNKED, 0);
    wire.send(&[&many[..], b"0\r\n\r\n"].concat(), 0);
    assert_eq!(judged(&wire.close().none()), (0, vec![("chunked", 1)]));
    // Another response may have begun in between.
    let mut wire = Wire::new();
    wire.receive(&[GET, GET].concat())
        .send(CHUNKED, 0)
        .send(&many, 0);
    assert_eq!(judged(&wire.close().none()), (0, vec![("chunked", 1)]));
}

#[test]
fn a_chunked_answer_to_head_has_no_body() {
    let mut wire = Wire::new();
    wire.receive(HEAD).send(CHUNKED, 0);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
    let mut wire = Wire::new();
    wire.send(CHUNKED, 0);
    assert_eq!(
        judged(&wire.close().none()),
        (0, vec![("method-unknown", 1)])
    );
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
fn no_progress_is_told_once_and_accuses_nobody() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let counters = wire.counters;
    assert_eq!(wire.judge.owing().collect::<Vec<_>>(), [COOKIE]);
    for _ in 0..2 {
        wire.judge.stall(COOKIE, &counters, 5_000_000_000);
    }
    let (findings, _) = (wire.judge.take_findings(), ());
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(
        (finding.cause, finding.fault, finding.ending.kind),
        (Cause::Stalled, Fault::Unknown, EndingKind::Open)
    );
    assert_eq!(finding.missing(), Some(700));
    // It ends well.
    wire.body(700);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
    // Whole and idle is no stall.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 1000);
    assert_eq!(wire.judge.owing().count(), 0);
}

#[test]
fn a_close_that_sends_a_reset_puts_the_response_at_risk() {
    let post = b"POST /a HTTP/1.1\r\nContent-Length: 7\r\n\r\n";
    let mut wire = Wire::new();
    wire.receive(post).send(&ok(1000), 1000);
    wire.unread = 7;
    let finding = wire.shutdown().close().one();
    assert_eq!(
        (finding.cause, finding.fault, finding.unread),
        (Cause::DeliveryAtRisk, Fault::Local, 7)
    );
    assert_eq!(finding.missing(), Some(0));
    // Long after, what was acknowledged is taken to have been read.
    let mut wire = Wire::new();
    wire.receive(post).send(&ok(1000), 1000);
    wire.unread = 7;
    wire.counters.sent_ns = 1;
    wire.later_ns = 2_000_000_000;
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
    // What is short is told as short, once.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 900);
    wire.unread = 7;
    assert_eq!(wire.close().one().cause, Cause::PrematureClose);
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
fn a_peer_that_is_gone_is_the_one_who_cut() {
    let mut reset = Wire::new();
    reset.receive(GET).send(&ok(1000), 300);
    reset.socket_state = tcp_state::CLOSE;
    let mut broken = Wire::new();
    broken.receive(GET).send(&ok(1000), 300);
    broken.counters.send_errno = 32;
    let mut unix = Wire::new();
    unix.counters.family = family::UNIX;
    unix.receive(GET).send(&ok(1000), 300);
    unix.socket_shutdown = 3;
    for mut wire in [reset, broken, unix] {
        let finding = wire.close().one();
        assert_eq!(
            (finding.cause, finding.fault),
            (Cause::PeerClosed, Fault::Peer)
        );
        assert_eq!(wire.judge.tally().peer_endings, 1);
    }
}

#[test]
fn a_peer_that_reset_is_counted_once_whoever_holds_the_socket() {
    let cut = |wire: &mut Wire| {
        wire.receive(GET)
            .send(&ok(1000), 300)
            .counters
            .receive_errno = 104
    };
    // A descriptor of two is closed, and the other at some time.
    let mut wire = Wire::new();
    cut(&mut wire);
    let finding = wire.end(EndKind::Close, 2, 0).close().one();
    assert_eq!(finding.cause, Cause::PeerClosed);
    assert_eq!(wire.judge.tally().peer_endings, 1);
    assert_eq!(judged(wire.judge.tally()), (1, vec![]));
    // Or never: it was still open when the watch ended.
    for closes in [true, false] {
        let mut wire = Wire::new();
        cut(&mut wire);
        if closes {
            wire.end(EndKind::Close, 2, 0);
        }
        let (findings, tally) = wire.finish_open();
        let causes: Vec<_> = findings.iter().map(|finding| finding.cause).collect();
        assert_eq!(causes, [Cause::PeerClosed]);
        assert_eq!(tally.peer_endings, 1);
        assert_eq!(judged(&tally), (1, vec![]));
    }
    // What was whole was not cut.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 1000).counters.send_errno = 32;
    wire.end(EndKind::Close, 2, 0);
    let (findings, tally) = wire.finish_open();
    assert_eq!((findings.len(), tally.peer_endings), (0, 0));
    assert_eq!(judged(&tally), (1, vec![]));
}

#[test]
fn a_half_close_is_no_proof_that_the_peer_left() {
    let mut eof = Wire::new();
    eof.counters.family = family::UNIX;
    eof.receive(GET).send(&ok(1000), 300);
    eof.counters.receive_flags |= flag::EOF;
    let mut fin = Wire::new();
    fin.receive(GET).send(&ok(1000), 300);
    fin.socket_state = tcp_state::CLOSE_WAIT;
    for mut wire in [eof, fin] {
        let finding = wire.shutdown().close().one();
        assert_eq!(
            (finding.cause, finding.fault),
            (Cause::PrematureShutdown, Fault::Unknown)
        );
        assert!(
            finding
                .timeline
                .iter()
                .any(|entry| entry.call == "peer half-closed")
        );
    }
}

#[test]
fn bytes_of_a_send_that_was_blocked_at_the_shutdown_count() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300).shutdown();
    // It returns after the shutdown, with the rest.
    wire.counters.sent += 700;
    let counters = wire.counters;
    wire.judge.settle(COOKIE, Some(&counters));
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
    // Or with a part of it.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300).shutdown();
    wire.counters.sent += 200;
    let counters = wire.counters;
    wire.judge.settle(COOKIE, Some(&counters));
    assert_eq!(wire.one().sent, Some(500));
}

#[test]
fn one_message_is_one_finding() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300).shutdown();
    let counters = wire.counters;
    wire.judge.settle(COOKIE, Some(&counters));
    wire.shutdown().close();
    wire.one();
}

#[test]
fn a_close_of_one_of_several_descriptors_ends_nothing() {
    let mut wire = Wire::new();
    wire.receive(GET)
        .send(&ok(1000), 300)
        .end(EndKind::Close, 2, 0);
    wire.body(700);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
    // Another process still holds it when the watch ends.
    let mut wire = Wire::new();
    wire.receive(GET)
        .send(&ok(1000), 300)
        .end(EndKind::Close, 2, 0);
    let (findings, tally) = wire.finish_open();
    assert_eq!(
        (findings, judged(&tally)),
        (vec![], (0, vec![("shared", 1)]))
    );
}

#[test]
fn a_process_that_held_a_socket_twice_ends_it_once() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.end(EndKind::Exit, 2, 0).end(EndKind::Exit, 2, 0);
    assert_eq!(wire.one().cause, Cause::ProcessExit);
    // Once of twice: somebody else holds the other.
    let mut wire = Wire::new();
    wire.receive(GET)
        .send(&ok(1000), 300)
        .end(EndKind::Exit, 2, 0);
    let (findings, _) = wire.finish_open();
    assert_eq!(findings, []);
}

#[test]
fn what_is_in_progress_at_the_end_of_the_watch_is_not_judged() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let (findings, tally) = wire.finish_open();
    assert_eq!(
        (findings, judged(&tally)),
        (vec![], (0, vec![("in-progress", 1)]))
    );
    // Whole and idle: judged.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 1000);
    assert_eq!(judged(&wire.finish_open().1), (1, vec![]));
}

#[test]
fn any_lost_record_leaves_the_connection_unjudged() {
    // Request, head, second request, second head, shutdown, close.
    for lost in 0..6 {
        let mut wire = Wire::new();
        wire.lose = vec![lost];
        wire.receive(GET)
            .send(&ok(50), 50)
            .receive(GET)
            .send(&ok(1000), 300);
        wire.shutdown().close();
        let (findings, tally) = wire.finish();
        assert_eq!(findings, [], "record {lost} lost");
        assert_eq!(tally.missed(Unjudged::LostEvents), 1, "record {lost} lost");
    }
}

#[test]
fn records_in_another_order_are_put_right() {
    for swapped in 0..4 {
        let mut wire = Wire::new();
        wire.hold = true;
        wire.receive(GET)
            .send(&ok(50), 50)
            .receive(GET)
            .send(&ok(1000), 300)
            .close();
        let mut records = std::mem::take(&mut wire.held);
        records.swap(swapped, swapped + 1);
        for record in records {
            wire.judge.take(record);
        }
        let finding = wire.one();
        assert_eq!(
            (finding.promised, finding.sent),
            (Some(1000), Some(300)),
            "swapped {swapped}"
        );
    }
}

#[test]
fn an_upload_that_is_cut_short_is_reported_unless_it_was_answered() {
    let post = b"POST /up HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
    let mut wire = Wire::new();
    let finding = wire.send(post, 300).close().one();
    assert_eq!(
        (finding.message.role, finding.sent),
        (Role::Request, Some(300))
    );
    let mut wire = Wire::new();
    let tally = wire
        .send(post, 300)
        .receive(b"HTTP/1.1 413 No\r\n\r\n")
        .close()
        .none();
    assert_eq!(judged(&tally), (0, vec![("early-response", 1)]));
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
fn two_walks_by_two_threads_of_one_process_are_not_two_descriptors() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.end(EndKind::Exit, 2, 0);
    wire.tid = 44;
    wire.end(EndKind::Exit, 2, 0);
    assert_eq!(wire.finish_open().0, []);
}

#[test]
fn two_children_that_exit_one_after_the_other_end_nothing() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    for tid in [50, 51] {
        wire.tid = tid;
        wire.end(EndKind::Exit, 2, 0);
    }
    wire.tid = 43;
    wire.body(700);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}

#[test]
fn one_close_range_over_both_descriptors_ends_it() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.end(EndKind::CloseRange, 2, 0)
        .end(EndKind::CloseRange, 2, 0);
    assert_eq!(wire.one().ending.kind, EndingKind::CloseRange);
}

#[test]
fn what_ended_while_the_watch_ended_is_not_lost() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(10), 10);
    let before = wire.counters;
    wire.close();
    wire.judge.finish([(COOKIE, before)]);
    assert_eq!(judged(wire.judge.tally()), (1, vec![]));
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
    let mut wire = Wire::new();
    wire.send(&ok(1000), 0);
    wire.counters.send_flags |= flag::OPAQUE;
    wire.body(90);
    assert_eq!(
        judged(&wire.close().none()),
        (0, vec![("method-unknown", 1)])
    );
    // Where the method is known they need not be looked at.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 0);
    wire.counters.send_flags |= flag::OPAQUE;
    wire.body(90);
    assert_eq!(wire.close().one().sent, Some(90));
}

#[test]
fn a_unix_socket_that_can_send_no_more_may_be_either_sides_doing() {
    let mut wire = Wire::new();
    wire.counters.family = family::UNIX;
    wire.receive(GET).send(&ok(1000), 300);
    wire.socket_shutdown = 2;
    assert_eq!(wire.close().one().fault, Fault::Unknown);
}

#[test]
fn an_open_connection_with_a_missed_boundary_is_counted() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(5000), 0).body(10_000);
    assert_eq!(judged(&wire.finish_open().1), (1, vec![("unaccounted", 1)]));
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
    let many = "Set-Cookie: a=b\r\n".repeat(300);
    for head in [
        format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 5\r\n\r\n"),
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

#[test]
fn a_peer_that_ended_first_leaves_the_fault_of_a_reset_unknown() {
    let mut wire = Wire::new();
    let post = b"POST /a HTTP/1.1\r\nContent-Length: 7\r\n\r\n";
    wire.receive(post).send(&ok(1000), 1000);
    wire.unread = 7;
    wire.socket_state = tcp_state::CLOSE_WAIT;
    let finding = wire.close().one();
    assert_eq!(
        (finding.cause, finding.fault),
        (Cause::DeliveryAtRisk, Fault::Unknown)
    );
}

#[test]
fn an_unread_next_request_puts_nothing_at_risk() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 1000);
    wire.unread = 28;
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}

#[test]
fn two_walks_by_one_thread_are_not_one() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.walk = 1;
    wire.end(EndKind::CloseRange, 2, 0);
    wire.walk = 2;
    wire.end(EndKind::CloseRange, 2, 0);
    wire.body(700);
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}

#[test]
fn a_chunked_answer_to_an_unseen_request_may_answer_head() {
    let mut wire = Wire::new();
    wire.send(CHUNKED, 0);
    wire.receive(GET).send(&ok(1000), 1000);
    let tally = wire.close().none();
    assert_eq!(tally.missed(Unjudged::MethodUnknown), 1, "{tally:?}");
}

/// What `strace -s 64` shows of a response.
const SEEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nDate: Sat, 21 N";

#[test]
fn fewer_bytes_in_all_than_promised_are_short_wherever_the_head_ends() {
    let mut wire = Wire::new();
    let finding = wire
        .receive(GET)
        .send_seen(SEEN, 999)
        .shutdown()
        .close()
        .one();
    assert_eq!(finding.cause, Cause::PrematureShutdown);
    assert_eq!(
        (finding.promised, finding.sent, finding.sent_with_head),
        (Some(1000), None, Some(999))
    );
    assert_eq!(
        (finding.missing(), finding.message.head_bytes),
        (None, None)
    );
    assert_eq!(finding.message.method.as_deref(), Some("GET"));
}

#[test]
fn a_head_of_which_the_end_was_not_seen_is_not_guessed() {
    // So many bytes may be all of it.
    let mut wire = Wire::new();
    let tally = wire
        .receive(GET)
        .send_seen(SEEN, 1000)
        .shutdown()
        .close()
        .none();
    assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
    let mut wire = Wire::new();
    let tally = wire
        .receive(GET)
        .send_seen(SEEN, 500)
        .send_seen(b"x", 500)
        .close()
        .none();
    assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
    // The length itself may go on.
    let mut wire = Wire::new();
    let seen = b"HTTP/1.1 200 OK\r\nContent-Length: 1000";
    let tally = wire.receive(GET).send_seen(seen, 100).close().none();
    assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
    // It answers HEAD, or may.
    for request in [Some(HEAD), None] {
        let mut wire = Wire::new();
        if let Some(request) = request {
            wire.receive(request);
        }
        let tally = wire.send_seen(SEEN, 100).close().none();
        assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
    }
}

#[test]
fn more_bytes_than_any_head_has_are_a_body() {
    let mut wire = Wire::new();
    let seen = b"HTTP/1.1 200 OK\r\nContent-Length: 14991808\r\n";
    let finding = wire.send_seen(seen, 219_264).shutdown().close().one();
    assert_eq!(finding.sent_with_head, Some(219_264));
}

#[test]
fn the_method_of_a_request_is_known_though_its_body_was_not_seen() {
    let mut wire = Wire::new();
    let post = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nppp";
    wire.receive_seen(post, 1063);
    let finding = wire.send(&ok(1000), 10).close().one();
    assert_eq!(finding.message.method.as_deref(), Some("POST"));
}

/// The records of a connection, as those of another at another time.
fn as_of(records: &[Record], cookie: u64, time_ns: u64) -> Vec<Record> {
    let mut records = records.to_vec();
    for record in &mut records {
        let header = match record {
            Record::Sample(sample, _) => &mut sample.header,
            Record::Open(open) => &mut open.header,
            Record::End(end) => &mut end.header,
        };
        (header.cookie, header.time_ns) = (cookie, time_ns);
    }
    records
}

#[test]
fn too_many_connections_cost_those_that_are_idle_and_owe_nothing() {
    let mut idle = Wire::new();
    idle.hold = true;
    idle.receive(GET).send(&ok(10), 0).body(10);
    let mut owing = Wire::new();
    owing.hold = true;
    owing.receive(GET).send(&ok(1000), 300);
    let mut judge = Judge::new();
    // The first is the oldest, and owes bytes.
    let mut records = as_of(&owing.held, 100, 1);
    for cookie in 1..=32 {
        records.extend(as_of(&idle.held, cookie, 1000 - cookie));
    }
    for record in records {
        judge.take(record);
    }
    assert_eq!(judge.evict(33), Vec::<u64>::new());
    assert_eq!(judge.evict(32), [32, 31, 30]);
    assert_eq!(judge.tally().missed(Unjudged::Evicted), 3);
    assert!(judge.knows(100) && judge.open() == 30);
}

#[test]
fn a_connection_that_was_let_go_is_not_accused() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    assert_eq!(wire.judge.evict(0), [COOKIE]);
    // The kernel side may have written more before it forgot the connection.
    let tally = wire.shutdown().close().none();
    assert_eq!(tally.missed(Unjudged::Evicted), 1);
}

#[test]
fn what_was_not_seen_leaves_open_connections_in_doubt_and_no_later_ones() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.judge.doubt_open();
    let tally = wire.shutdown().close().none();
    assert_eq!(judged(&tally), (0, vec![("lost-events", 1)]));
    let mut wire = Wire::new();
    wire.judge.doubt_open();
    wire.receive(GET).send(&ok(1000), 300).close().one();
}
