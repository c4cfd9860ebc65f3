//! What the peer had done.

use detector_common::{EndKind, family, flag, tcp_state};

use super::{GET, judged, ok};
use crate::judge::{Cause, Fault, wire::Wire};

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
fn a_peer_that_had_left_before_a_shutdown_stays_gone() {
    let cut = || {
        let mut wire = Wire::new();
        wire.counters.family = family::UNIX;
        wire.receive(GET).send(&ok(1000), 300);
        wire.socket_shutdown = 3;
        // Both ways, so that the socket itself tells no more who did what.
        wire.counters.end_flags |= flag::LEFT | flag::SHUT_WR | flag::SHUT_RD;
        wire
    };
    let finding = cut().close().one();
    assert_eq!(
        (finding.cause, finding.fault),
        (Cause::PeerClosed, Fault::Peer)
    );
    // The descriptor stays open to the end of the watch.
    let (findings, tally) = cut().finish_open();
    let causes: Vec<_> = findings.iter().map(|finding| finding.cause).collect();
    assert_eq!((causes, tally.peer_endings), (vec![Cause::PeerClosed], 1));
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
fn a_unix_socket_that_can_send_no_more_may_be_either_sides_doing() {
    let mut wire = Wire::new();
    wire.counters.family = family::UNIX;
    wire.receive(GET).send(&ok(1000), 300);
    wire.socket_shutdown = 2;
    assert_eq!(wire.close().one().fault, Fault::Unknown);
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

/// A server that writes its head line by line.
#[test]
fn a_head_that_the_peer_did_not_wait_for_is_the_peers() {
    let head = b"HTTP/1.1 200 OK\r\nServer: x\r\n";
    let mut wire = Wire::new();
    wire.receive(GET).send(head, 0).counters.send_errno = 32;
    let tally = wire.close().none();
    assert_eq!((judged(&tally), tally.peer_endings), ((1, vec![]), 1));
    // Not where it had only ended its own side, nor where this side broke it off.
    for half_closed in [true, false] {
        let mut wire = Wire::new();
        wire.receive(GET).send(head, 0);
        if half_closed {
            wire.socket_state = tcp_state::CLOSE_WAIT;
        }
        let tally = wire.close().none();
        let expected = (0, vec![("head-cut", 1)]);
        assert_eq!((judged(&tally), tally.peer_endings), (expected, 0));
    }
}

#[test]
fn an_unread_next_request_puts_nothing_at_risk() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 1000);
    wire.unread = 28;
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}
