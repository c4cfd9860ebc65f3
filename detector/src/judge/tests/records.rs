//! Records that are late, lost or the last.

use super::{GET, judged, ok};
use crate::judge::{
    Unjudged,
    wire::{COOKIE, Wire},
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
