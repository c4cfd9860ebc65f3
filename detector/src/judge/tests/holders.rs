//! Several descriptors of one socket.

use detector_common::{EndKind, flag};

use super::{GET, judged, ok};
use crate::judge::{
    Cause, EndingKind, Fault,
    wire::{COOKIE, Wire},
};

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

/// A thread lets go of the descriptor that another's call is using.
fn let_go(wire: &mut Wire, kind: EndKind, references: u32) {
    wire.counters.send_flags |= flag::LET_GO;
    wire.tid = 50;
    wire.end(kind, references, 0);
    wire.tid = 43;
}

#[test]
fn a_call_that_returns_last_ends_what_another_thread_closed() {
    let kinds = [
        (EndKind::Close, EndingKind::Close),
        (EndKind::Replace, EndingKind::Replace),
        (EndKind::CloseRange, EndingKind::CloseRange),
    ];
    for (kind, told) in kinds {
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 300);
        let_go(&mut wire, kind, 2);
        // What the call brought counts.
        wire.body(400).end(EndKind::Returned, 1, 0);
        let finding = wire.one();
        assert_eq!(
            (finding.cause, finding.fault, finding.sent, finding.tid),
            (Cause::PrematureClose, Fault::Local, Some(700), 50)
        );
        assert_eq!(finding.ending.kind, told);
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 300);
        let_go(&mut wire, kind, 2);
        wire.body(700).end(EndKind::Returned, 1, 0);
        assert_eq!(judged(&wire.none()), (1, vec![]));
    }
}

#[test]
fn the_last_of_two_that_let_go_is_named() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let_go(&mut wire, EndKind::Close, 3);
    let_go(&mut wire, EndKind::Replace, 2);
    let finding = wire.end(EndKind::Returned, 1, 0).one();
    assert_eq!(finding.ending.kind, EndingKind::Replace);
}

/// As with a call that moves several pieces and whose end is not seen.
#[test]
fn a_socket_that_only_a_call_held_is_judged_when_it_is_gone() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let_go(&mut wire, EndKind::Close, 2);
    wire.body(100);
    wire.counters.end_flags |= flag::LAST_CALL;
    wire.judge.release(COOKIE, Some(&wire.counters));
    let finding = wire.one();
    assert_eq!(
        (finding.cause, finding.sent),
        (Cause::PrematureClose, Some(400))
    );
    // While it exists it may go on.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let_go(&mut wire, EndKind::Close, 2);
    wire.counters.end_flags |= flag::LAST_CALL;
    let (findings, tally) = wire.finish_open();
    assert_eq!(
        (findings, judged(&tally)),
        (vec![], (0, vec![("shared", 1)]))
    );
    // Held by who knows whom.
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let_go(&mut wire, EndKind::Close, 2);
    wire.judge.release(COOKIE, Some(&wire.counters));
    assert_eq!(judged(&wire.none()), (0, vec![("shared", 1)]));
}

/// Nobody says by which call.
#[test]
fn a_return_whose_close_was_not_told_is_no_finding() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    let tally = wire.end(EndKind::Returned, 1, 0).none();
    assert_eq!(judged(&tally), (0, vec![("lost-events", 1)]));
}
