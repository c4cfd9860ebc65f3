//! Messages that end too early, and those that do not.

use detector_common::{CALL_RING, CALLS, CallEntry, EndKind, send_queue};

use super::{GET, judged, ok};
use crate::judge::{
    Cause, EndingKind, Fault, Role, SendQueue,
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

/// Enters a call that sent in the counters, as the kernel side does.
fn enter(wire: &mut Wire, name: &str, offered: u64, result: i32) {
    let number = CALLS.iter().find(|call| call.name == name);
    let slot = wire.counters.call_count as usize % CALL_RING;
    wire.counters.call_count += 1;
    wire.counters.calls[slot] = CallEntry {
        time_ns: 0,
        offered,
        result,
        tid: 43,
        number: number.expect("a call").number(),
        sending: 1,
        used: 1,
        fd: 7,
    };
    (wire.counters.last_offered, wire.counters.last_result) = (offered, result);
}

#[test]
fn a_send_behind_the_own_shutdown_leaves_nothing_over() {
    // Of one that was in progress it is told what it left.
    for (in_progress, stranded) in [(false, 0), (true, 500)] {
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 300);
        enter(&mut wire, "sendto", 340, 340);
        wire.shutdown();
        if in_progress {
            wire.counters.sent += 200;
            enter(&mut wire, "write", 700, 200);
        }
        for name in ["sendto", "writev", "sendto"] {
            enter(&mut wire, name, 54, -32);
        }
        wire.counters.send_errno = 32;
        assert_eq!(wire.close().one().stranded, Some(stranded));
    }
}

#[test]
fn what_a_file_had_left_is_known_at_its_end() {
    let all = (1 << 63) - (1 << 16);
    for (name, offered, result, stranded) in [
        ("sendfile", all, 0, Some(0)),
        ("sendfile", all, 300, None),
        ("sendfile", 300, 300, Some(0)),
        ("sendfile", 700, -11, Some(700)),
        ("sendfile", all, -11, None),
        ("splice", 65_536, 300, None),
        ("splice", 65_536, 0, Some(0)),
        ("splice", 700, -11, None),
        ("sendto", 1000, 300, Some(700)),
    ] {
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 300);
        enter(&mut wire, name, offered, result);
        let finding = wire.shutdown().close().one();
        assert_eq!(finding.stranded, stranded, "{name} {offered} {result}");
    }
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
    let mut counters = wire.counters;
    counters.send_queue = send_queue::FULL;
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
    assert_eq!(finding.send_queue, Some(SendQueue::Full));
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
