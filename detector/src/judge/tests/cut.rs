//! Heads of which a part was seen.

use super::{GET, HEAD, judged, ok};
use crate::judge::{Cause, wire::Wire};

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
        let mut wire = Wire::untraced();
        if let Some(request) = request {
            wire.receive(request);
        }
        let tally = wire.send_seen(SEEN, 100).close().none();
        assert_eq!(judged(&tally), (0, vec![("head-cut", 1)]));
    }
}

#[test]
fn more_bytes_than_any_head_has_are_a_body() {
    let mut wire = Wire::untraced();
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
