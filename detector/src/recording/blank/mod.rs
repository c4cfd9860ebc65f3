//! Takes out of records what is not to be kept: of heads the values of all
//! fields but those of framing, reasons and queries, and all bytes of bodies.
//!
//! | file | what it does |
//! | --- | --- |
//! | `head.rs`   | what of a head is framing |
//! | `stream.rs` | where in a stream heads and the sizes of chunks are |
//!
//! What is taken out becomes other bytes, as many, that the judge takes for the
//! same: a head stays as valid as it was, the bytes of bodies become zeros.

mod head;
mod stream;

use detector_common::Connection as Counters;

use self::stream::{Piece, Stream, preface};
use crate::capture::{Bytes, Record};

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Blank {
    show_query: bool,
    streams: Option<(Stream, Stream)>,
}

impl Blank {
    pub(super) fn new(show_query: bool) -> Self {
        Self {
            show_query,
            streams: None,
        }
    }

    /// The record as it may be kept; those of one connection come in order.
    pub(super) fn record(&mut self, mut record: Record) -> Record {
        match &mut record {
            Record::Sample(sample, bytes) => {
                let show_query = self.show_query;
                let fresh = sample.fresh == 1;
                let (sent, received) = self.streams.get_or_insert_with(|| {
                    (
                        Stream::new(true, fresh, show_query),
                        Stream::new(false, fresh, show_query),
                    )
                });
                let stream = if sample.sending == 0 { received } else { sent };
                let kept = stream.take(&Piece {
                    offset: sample.offset,
                    moved: u64::from(sample.moved),
                    start: &bytes.start,
                    tail: &bytes.tail,
                });
                *bytes = Bytes {
                    start: kept.start,
                    tail: kept.tail,
                };
            }
            Record::End(end) => end.connection = counters(&end.connection),
            Record::Open(_) => {}
        }
        record
    }
}

/// A record of which nothing is known: no byte of a message is kept.
pub(super) fn whole(mut record: Record) -> Record {
    match &mut record {
        Record::Sample(_, bytes) => {
            bytes.start.fill(0);
            bytes.tail.fill(0);
        }
        Record::End(end) => end.connection = counters(&end.connection),
        Record::Open(_) => {}
    }
    record
}

/// Counters as they may be kept.
pub(super) fn counters(counters: &Counters) -> Counters {
    let mut kept = *counters;
    for first in [&mut kept.first_sent, &mut kept.first_received] {
        let length = preface(first.as_slice());
        first.iter_mut().skip(length).for_each(|byte| *byte = 0);
    }
    kept
}
