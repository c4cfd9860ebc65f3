//! Takes out of records what is not to be kept: every byte that the judge did
//! not read; of heads all but the start line without its query and reason, and
//! the fields Content-Length, Transfer-Encoding, Connection and Expect; of chunked
//! bodies all but sizes and line ends.
//!
//! | file | what it does |
//! | --- | --- |
//! | `head.rs`   | what of a head is framing |
//! | `stream.rs` | what of a sample is kept |
//!
//! What is taken out becomes other bytes, as many, that the judge takes for the
//! same: a head stays as valid as it was, what was not read becomes zeros.

mod head;
mod stream;

use detector_common::Connection as Counters;

use self::stream::{Piece, Stream, preface};
use crate::{
    capture::{Bytes, Record},
    judge::Look,
};

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Redactor {
    sent: Stream,
    received: Stream,
}

impl Redactor {
    pub(super) fn new(show_query: bool) -> Self {
        Self {
            sent: Stream::new(show_query),
            received: Stream::new(show_query),
        }
    }

    /// The record as it may be kept, of which this was read; those of one
    /// connection come in the judge's order.
    pub(super) fn record(&mut self, mut record: Record, looks: &[Look]) -> Record {
        match &mut record {
            Record::Sample(sample, bytes) => {
                let stream = if sample.sending == 0 {
                    &mut self.received
                } else {
                    &mut self.sent
                };
                let piece = Piece {
                    offset: sample.offset,
                    moved: u64::from(sample.moved),
                    start: &bytes.start,
                    tail: &bytes.tail,
                };
                let kept = stream.take(&piece, looks);
                *bytes = Bytes {
                    start: kept.start,
                    tail: kept.tail,
                };
            }
            Record::End(end) => end.connection = counters(&end.connection),
            Record::Open(_) | Record::Reset(_) => {}
        }
        record
    }
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
