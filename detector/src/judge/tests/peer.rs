//! What the peer had done.

use detector_common::{EndKind, family, flag, seen, tcp_state};

use super::{GET, judged, ok};
use crate::judge::{
    Cause, Fault,
    wire::{COOKIE, Wire},
};

const POST: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 7\r\n\r\n";

#[test]
fn a_close_that_sends_a_reset_puts_the_response_at_risk() {
    // What was sent the peer may have, acknowledged or not; what was not it has not.
    for (unacknowledged, unsent, fault) in [
        (0, 0, Fault::Unknown),
        (300, 0, Fault::Unknown),
        (300, 200, Fault::Local),
    ] {
        let mut wire = Wire::new();
        wire.receive(POST).send(&ok(1000), 1000);
        wire.unread = 7;
        (wire.unacknowledged, wire.unsent) = (unacknowledged, unsent);
        let finding = wire.shutdown().close().one();
        assert_eq!(
            (finding.cause, finding.fault, finding.unread),
            (Cause::DeliveryAtRisk, fault, Some(7))
        );
        assert_eq!(finding.ending.unsent, Some(unsent));
        assert_eq!(finding.missing(), Some(0));
    }
    let post = POST;
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
        wire.counters.end_flags |= flag::PEER_CLOSED | flag::SHUT_WR | flag::SHUT_RD;
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

/// A response that was sent whole, with so much of it on its way when it is closed.
fn refused(pending: (u32, u32)) -> Wire {
    let mut wire = Wire::new();
    wire.receive(POST).send(&ok(1000), 1000);
    (wire.unacknowledged, wire.unsent) = pending;
    wire
}

#[test]
fn a_reset_behind_the_close_takes_back_what_was_not_received() {
    for (answers, pending, fault) in [
        (true, (900, 500), Some(Fault::Local)),
        (true, (900, 0), Some(Fault::Unknown)),
        // All had come.
        (true, (0, 0), None),
    ] {
        let mut wire = refused((1000, 800));
        let (findings, tally) = wire.shutdown().close().reset(5, answers, pending).finish();
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.cause, finding.fault, finding.ending.unsent))
            .collect();
        let wanted = fault.map(|fault| (Cause::DeliveryAtRisk, fault, Some(pending.1)));
        assert_eq!(found, Vec::from_iter(wanted));
        assert_eq!(judged(&tally), (1, vec![]));
    }
    // No reset: nothing. One that comes long after is another's affair.
    assert_eq!(judged(&refused((1000, 800)).close().none()), (1, vec![]));
    let mut late = refused((1000, 800));
    assert_eq!(
        judged(&late.close().reset(60_000_000_000, true, (9, 9)).none()),
        (1, vec![])
    );
    // It is told once.
    let mut twice = refused((1000, 800));
    twice
        .close()
        .reset(5, true, (9, 9))
        .reset(6, true, (9, 9))
        .one();
}

/// Of very many that are closed at once the oldest are not kept: a reset on one of them
/// is counted.
#[test]
fn resets_behind_very_many_closes_are_found_or_counted() {
    let mut wire = refused((1000, 800));
    for _ in 0..600 {
        wire.close();
        wire = wire.another();
        wire.receive(POST).send(&ok(1000), 1000);
        (wire.unacknowledged, wire.unsent) = (1000, 800);
    }
    wire.close();
    let last = wire.cookie;
    wire.cookie = COOKIE;
    wire.reset(5, true, (900, 500));
    // Another time it is no news.
    wire.reset(6, true, (900, 500));
    // That one had received all.
    wire.cookie += 1;
    wire.reset(7, true, (0, 0));
    wire.cookie = last;
    let (findings, tally) = wire.reset(8, true, (900, 500)).finish();
    assert_eq!(findings.len(), 1);
    assert_eq!(judged(&tally), (600, vec![("evicted", 1)]));
}

#[test]
fn whose_doing_a_later_reset_is_may_not_be_known() {
    let fault = |change: fn(&mut Wire), answers| {
        let mut wire = refused((1000, 800));
        change(&mut wire);
        wire.close();
        // Not the thread that closed.
        wire.tid = 99;
        wire.reset(5, answers, (900, 500)).one().fault
    };
    assert_eq!(fault(|_| (), true), Fault::Local);
    // The kernel gave it up by itself.
    assert_eq!(fault(|_| (), false), Fault::Unknown);
    // The peer had ended its side; or it took nothing for long.
    assert_eq!(
        fault(|wire| wire.socket_state = tcp_state::CLOSE_WAIT, true),
        Fault::Unknown
    );
    let waited = |wire: &mut Wire| {
        wire.counters.sent_ns = 1;
        wire.later_ns = 2_000_000_000;
    };
    assert_eq!(fault(waited, true), Fault::Unknown);
    // A peer that was gone already lost nothing by it.
    let mut gone = refused((1000, 800));
    gone.socket_state = tcp_state::CLOSE;
    assert_eq!(
        judged(&gone.close().reset(5, true, (900, 500)).none()),
        (1, vec![])
    );
}

/// What is received behind a shutdown in both directions is answered by a reset, with the
/// socket still open.
#[test]
fn a_reset_behind_a_shutdown_is_told_before_the_close() {
    let mut wire = refused((1000, 800));
    wire.shutdown().reset(5, true, (900, 500));
    wire.socket_state = tcp_state::CLOSE;
    let finding = wire.close().one();
    assert_eq!(
        (finding.cause, finding.fault),
        (Cause::DeliveryAtRisk, Fault::Local)
    );
    // The shutdown was judged already.
    let mut wire = refused((1000, 800));
    wire.shutdown();
    let counters = wire.counters;
    wire.judge.settle(COOKIE, Some(&counters));
    wire.reset(5, true, (900, 500));
    assert_eq!(wire.judge.take_findings().len(), 1);
    wire.socket_state = tcp_state::CLOSE;
    assert_eq!(judged(&wire.close().none()), (1, vec![]));
}

/// Of MPTCP the ending's own reset tells what it took back.
#[test]
fn what_was_not_read_of_a_socket_the_reset_tells() {
    let closed = |linger: bool| {
        let mut wire = refused((0, 0));
        wire.seen = seen::LINGER | seen::RESETS;
        wire.linger = linger;
        wire.close();
        wire
    };
    for (linger, pending, fault) in [
        (false, (900, 500), Fault::Local),
        (false, (0, 0), Fault::Unknown),
        (true, (0, 0), Fault::Unknown),
    ] {
        let finding = closed(linger).reset(5, false, pending).one();
        assert_eq!(
            (finding.cause, finding.fault),
            (Cause::DeliveryAtRisk, fault)
        );
        assert_eq!((finding.unread, finding.reset), (None, Some(linger)));
    }
    assert_eq!(judged(&closed(true).none()), (1, vec![]));
}

#[test]
fn resets_that_are_not_told_are_counted() {
    let counted = |request: &[u8], pending, seen| {
        let mut wire = Wire::new();
        wire.receive(request).send(&ok(1000), 1000);
        (wire.unacknowledged, wire.unsent) = pending;
        wire.seen = seen;
        judged(&wire.close().none())
    };
    let tcp = seen::QUEUES | seen::LINGER;
    let not_seen = (0, vec![("reset-not-seen", 1)]);
    let chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
    assert_eq!(counted(POST, (900, 0), tcp), not_seen);
    assert_eq!(counted(chunked, (900, 0), tcp), not_seen);
    assert_eq!(counted(GET, (0, 0), seen::LINGER), not_seen, "MPTCP");
    // Nothing is due, or nothing can be lost.
    let waits = b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    let read = [POST, b"1234567"].concat();
    let whole = (1, vec![]);
    assert_eq!(counted(POST, (0, 0), tcp), whole);
    assert_eq!(counted(waits, (900, 0), tcp), whole);
    assert_eq!(counted(&read, (900, 0), tcp), whole);
    assert_eq!(counted(GET, (900, 0), tcp), whole);
    // A log.
    assert_eq!(counted(POST, (0, 0), 0), whole);
}
