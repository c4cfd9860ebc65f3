//! Bytes that are in no stream, sockets that are none, and other protocols.

use detector_common::flag;

use super::{GET, judged, ok};
use crate::judge::wire::Wire;

#[test]
fn a_byte_out_of_band_leaves_what_follows_unjudged() {
    for sends in [true, false] {
        let urgent = |wire: &mut Wire| {
            if sends {
                wire.counters.send_flags |= flag::OUT_OF_BAND;
            } else {
                wire.counters.receive_flags |= flag::OUT_OF_BAND;
            }
        };
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 300);
        urgent(&mut wire);
        wire.body(1);
        let expected = (0, vec![("out-of-band", 1)]);
        assert_eq!(judged(&wire.shutdown().close().none()), expected);
        // Behind a message that was whole.
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 1000);
        urgent(&mut wire);
        wire.send(b"x", 0).receive(GET).send(&ok(1000), 300);
        let expected = (1, vec![("out-of-band", 1)]);
        assert_eq!(judged(&wire.close().none()), expected);
        // And open at the end of the watch.
        let mut wire = Wire::new();
        wire.receive(GET).send(&ok(1000), 300);
        urgent(&mut wire);
        let (findings, tally) = wire.finish_open();
        assert_eq!(findings, []);
        assert_eq!(judged(&tally), (0, vec![("out-of-band", 1)]));
    }
}

#[test]
fn packets_are_no_stream() {
    let packets = || {
        let mut wire = Wire::new();
        wire.counters.send_flags |= flag::PACKETS;
        wire.counters.receive_flags |= flag::PACKETS;
        wire
    };
    let expected = (0, vec![("not-stream", 1)]);
    let tally = packets().receive(GET).send(&ok(1000), 300).close().none();
    assert_eq!(judged(&tally), expected);
    let tally = packets().send(b"\x01\x02", 7000).close().none();
    assert_eq!(judged(&tally), expected);
    let (findings, tally) = packets().send(&ok(10), 9000).finish_open();
    assert_eq!((findings, judged(&tally)), (vec![], expected));
}

#[test]
fn what_begins_as_another_protocol_is_named_though_the_rest_was_not_seen() {
    let first: [(&[u8], &str); 5] = [
        (b"\x01\x01\x00\x01\x00\x08\x00\x00", "not-http"),
        (b"EHLO exa", "not-http"),
        (b"\x16\x03\x01\x02\x00\x01", "encrypted"),
        (b"POST /ab", "not-observed"),
        (b"", "not-observed"),
    ];
    for (bytes, reason) in first {
        let mut wire = Wire::new();
        wire.counters.sent = 60_000;
        for (to, from) in wire.counters.first_sent.iter_mut().zip(bytes) {
            *to = *from;
        }
        wire.counters.send_flags |= flag::UNINSPECTED;
        if bytes.starts_with(b"POST") {
            // Sampled, and the record lost on its way, say.
            wire.counters.send_flags |= flag::HEAD_SEEN;
        }
        assert_eq!(judged(&wire.close().none()), (0, vec![(reason, 1)]));
    }
}
