//! Connections that are let go of, or in doubt.

use super::{GET, judged, ok};
use crate::{
    capture::Record,
    judge::{
        Judge, Unjudged,
        wire::{COOKIE, Wire},
    },
};

/// The records of a connection, as those of another at another time.
fn as_of(records: &[Record], cookie: u64, time_ns: u64) -> Vec<Record> {
    let mut records = records.to_vec();
    for record in &mut records {
        let header = match record {
            Record::Sample(sample, _) => &mut sample.header,
            Record::Open(open) => &mut open.header,
            Record::End(end) => &mut end.header,
            Record::Reset(reset) => &mut reset.header,
        };
        (header.cookie, header.time_ns) = (cookie, time_ns);
    }
    records
}

#[test]
fn too_many_connections_cost_those_that_are_idle_and_owe_nothing() {
    let mut idle = Wire::new();
    idle.hold = true;
    idle.receive(GET).send(&ok(10), 0).body(10);
    let mut owing = Wire::new();
    owing.hold = true;
    owing.receive(GET).send(&ok(1000), 300);
    let mut judge = Judge::new();
    // The first is the oldest, and owes bytes.
    let mut records = as_of(&owing.held, 100, 1);
    for cookie in 1..=32 {
        records.extend(as_of(&idle.held, cookie, 1000 - cookie));
    }
    for record in records {
        judge.take(record);
    }
    assert_eq!(judge.evict(33), Vec::<u64>::new());
    assert_eq!(judge.evict(32), [32, 31, 30]);
    assert_eq!(judge.tally().missed(Unjudged::Evicted), 3);
    assert!(judge.knows(100) && judge.open() == 30);
}

#[test]
fn a_connection_that_was_let_go_is_not_accused() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    assert_eq!(wire.judge.evict(0), [COOKIE]);
    // The kernel side may have written more before it forgot the connection.
    let tally = wire.shutdown().close().none();
    assert_eq!(tally.missed(Unjudged::Evicted), 1);
}

#[test]
fn what_was_not_seen_leaves_open_connections_in_doubt_and_no_later_ones() {
    let mut wire = Wire::new();
    wire.receive(GET).send(&ok(1000), 300);
    wire.judge.doubt_open();
    let tally = wire.shutdown().close().none();
    assert_eq!(judged(&tally), (0, vec![("lost-events", 1)]));
    let mut wire = Wire::new();
    wire.judge.doubt_open();
    wire.receive(GET).send(&ok(1000), 300).close().one();
}
