//! Several descriptors of one socket.

use detector_common::EndKind;

use super::{GET, judged, ok};
use crate::judge::{Cause, EndingKind, wire::Wire};

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
