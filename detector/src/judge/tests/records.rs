//! Records that are late, lost or the last.

use super::{GET, judged, ok};
use crate::{
    capture::Record,
    judge::{
        Unjudged,
        wire::{COOKIE, Wire},
    },
};

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
fn what_ended_while_the_watch_ended_is_not_lost() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(10), 10);
    let before = wire.counters;
    wire.close();
    wire.judge.finish([(COOKIE, before)]);
    assert_eq!(judged(wire.judge.tally()), (1, vec![]));
}

/// Calls of several threads may come late, but no byte is sent twice: then an
/// offset is wrong, and what was made of it no proof.
#[test]
fn calls_that_overlap_within_a_body_are_noticed() {
    let judged_with = |wrong: u64| {
        let mut wire = Wire::new();
        wire.hold = true;
        wire.receive(GET).send(&ok(1000), 5);
        wire.send(b"xx", 0).send(b"x", 0).close();
        let mut records = std::mem::take(&mut wire.held);
        // The call of two bytes.
        let sample = records.iter_mut().rev().find_map(|record| match record {
            Record::Sample(sample, _) if sample.moved == 2 => Some(sample),
            _ => None,
        });
        sample.expect("sampled").offset += wrong;
        for record in records {
            wire.judge.take(record);
        }
        let (findings, _) = wire.finish();
        (findings.len(), judged(wire.judge.tally()))
    };
    assert_eq!(judged_with(0), (1, (1, vec![])));
    assert_eq!(judged_with(1), (0, (0, vec![("overlapping", 1)])));
}
