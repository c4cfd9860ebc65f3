//! Messages that end too early, and those that do not.

use detector_common::EndKind;

use super::{GET, judged, ok};
use crate::judge::{
    Cause, EndingKind, Fault, Role,
    wire::{COOKIE, Wire},
};

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
fn an_upload_that_is_cut_short_is_reported_unless_it_was_answered() {
    let post = b"POST /up HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
    let mut wire = Wire::new();
    let finding = wire.connected(1).send(post, 300).close().one();
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
