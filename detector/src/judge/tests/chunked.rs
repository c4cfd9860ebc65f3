//! Chunked bodies.

use super::{CHUNKED, GET, HEAD, judged, ok};
use crate::judge::{Cause, Framing, Unjudged, wire::Wire};

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

/// A server that fails in the midst of its body, and says so there (puma does).
#[test]
fn what_is_no_chunk_behind_one_ends_no_body() {
    for error in [
        &b"HTTP/1.1 500 Internal Server Error\r\n\r\n"[..],
        b"oops\r\n\r\n",
    ] {
        let mut wire = Wire::new();
        wire.receive(GET).send(CHUNKED, 0);
        wire.send(b"5\r\nhello\r\n", 0).send(error, 0);
        let finding = wire.close().one();
        assert_eq!(finding.cause, Cause::UnterminatedChunked, "{error:?}");
        // It may have gone on with the next response.
        let mut wire = Wire::new();
        wire.receive(GET).send(CHUNKED, 0);
        wire.send(b"5\r\nhello\r\n", 0).receive(GET).send(error, 0);
        assert_eq!(judged(&wire.close().none()), (0, vec![("chunked", 1)]));
        // It may never have been in chunks.
        let mut wire = Wire::new();
        wire.receive(GET).send(CHUNKED, 0).send(error, 0);
        assert_eq!(judged(&wire.close().none()), (0, vec![("chunked", 1)]));
    }
}

/// The empty line that ends the body is missing.
#[test]
fn the_next_response_is_no_trailer_section() {
    let next = b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n";
    let play = |pieces: &[&[u8]]| {
        let mut wire = Wire::new();
        wire.receive(GET).send(CHUNKED, 0);
        wire.send(b"5\r\nhello\r\n0\r\n", 0).receive(HEAD);
        for piece in pieces {
            wire.send(piece, 0);
        }
        wire.receive(GET).send(CHUNKED, 0);
        wire.send(b"5\r\nhello\r\n0\r\n\r\n", 0).close();
        wire
    };
    let finding = play(&[next]).one();
    assert_eq!((finding.cause, finding.promised), (Cause::Desync, None));
    // In pieces it is not seen that it begins with a call.
    for at in 1..next.len() {
        let (one, other) = next.split_at(at);
        let (findings, tally) = play(&[one, other]).finish();
        let desynced = findings.iter().all(|one| one.cause == Cause::Desync);
        assert!(desynced, "{at}: {findings:?} {tally:?}");
    }
}

#[test]
fn a_chunked_body_with_its_end_is_whole() {
    for body in [
        &b"0\r\n\r\n"[..],
        b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"5;a=b c/d\r\nhello\r\n0;e f\r\nX: y/z\r\n w/v\r\nY:z\r\n\r\n",
    ] {
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
    let mut wire = Wire::untraced();
    wire.send(CHUNKED, 0);
    assert_eq!(
        judged(&wire.close().none()),
        (0, vec![("method-unknown", 1)])
    );
}

#[test]
fn a_chunked_answer_to_an_unseen_request_may_answer_head() {
    let mut wire = Wire::untraced();
    wire.send(CHUNKED, 0);
    wire.receive(GET).send(&ok(1000), 1000);
    let tally = wire.close().none();
    assert_eq!(tally.missed(Unjudged::MethodUnknown), 1, "{tally:?}");
}
