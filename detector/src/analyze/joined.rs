//! Connections that were open before the log began.
//!
//! A log may begin in the middle of a body that looks like a message: as on a
//! live system, a connection that was joined so is judged once a length was
//! borne out. A log, however, tells of the first call too, and that may bear
//! out the length by itself: it begins with a response's head, answers a
//! request that was read since, and offers exactly the bytes that the head
//! promises.
//!
//! A log that was shortened by hand, as in a report of a bug, tells of nothing
//! before its first line because its author saw nothing there worth telling:
//! what begins there as a response does is taken for one.

use std::collections::HashMap;

use crate::{
    capture::{
        Record,
        strace::{Seen, Step},
    },
    http::{Framing, Parsed, StartLine, framing, parse, parse_seen},
};

/// Most records that are kept of a connection until its first call that sends.
const MOST: usize = 64;

/// The connections of which it is not yet known where they begin.
#[derive(Debug, Default)]
pub(super) struct Joined {
    held: HashMap<u64, Vec<Seen>>,
}

impl Joined {
    /// Takes a step and gives on, in order, those whose turn it is.
    pub(super) fn take(&mut self, step: Step, mut give: impl FnMut(Step)) {
        let seen = match step {
            Step::Record(seen) => seen,
            Step::Settle(cookie, _) | Step::Lost(cookie) | Step::Unseen(cookie, _) => {
                self.release(cookie, false, &mut give);
                return give(step);
            }
        };
        let cookie = seen.record.header().cookie;
        match &seen.record {
            Record::Open(_) => {
                self.held.insert(cookie, vec![*seen]);
            }
            Record::Sample(sample, _) if self.held.contains_key(&cookie) => {
                let begins = sample.from_start == 1
                    || (sample.sending == 1 && sample.offset == 0 && self.begins(&seen));
                let decided = sample.from_start == 1 || sample.sending == 1;
                let held = self.held.entry(cookie).or_default();
                held.push(*seen);
                if decided || held.len() > MOST {
                    self.release(cookie, begins, &mut give);
                }
            }
            _ => {
                self.release(cookie, false, &mut give);
                give(Step::Record(seen));
            }
        }
    }

    /// Gives on what is left when the log ends.
    pub(super) fn finish(&mut self, mut give: impl FnMut(Seen)) {
        let mut left: Vec<_> = self.held.drain().collect();
        left.sort_unstable_by_key(|(cookie, _)| *cookie);
        for seen in left.into_iter().flat_map(|(_, held)| held) {
            give(seen);
        }
    }

    fn release(&mut self, cookie: u64, begins: bool, give: &mut impl FnMut(Step)) {
        for mut seen in self.held.remove(&cookie).unwrap_or_default() {
            if begins && let Record::Sample(sample, _) = &mut seen.record {
                sample.from_start = 1;
            }
            give(Step::Record(Box::new(seen)));
        }
    }

    /// Whether the first call that sends begins a message.
    fn begins(&self, first: &Seen) -> bool {
        let Record::Sample(sample, bytes) = &first.record else {
            return false;
        };
        if first.by_hand {
            return parse_seen(&bytes.start)
                .is_some_and(|head| matches!(head.start, StartLine::Response { .. }));
        }
        let held = self.held.get(&sample.header.cookie);
        // The first bytes that were received, and seen.
        let request = held
            .into_iter()
            .flatten()
            .find_map(|seen| match &seen.record {
                Record::Sample(sample, bytes) if sample.offset == 0 => parse_seen(&bytes.start),
                _ => None,
            });
        let Some(StartLine::Request { method, .. }) = request.map(|head| head.start) else {
            return false;
        };
        let Parsed::Complete(head) = parse(&bytes.start) else {
            return false;
        };
        match (&head.start, framing(&head, Some(&method))) {
            (StartLine::Response { .. }, Framing::ContentLength(length)) => {
                first.offered.is_some() && first.offered == head.len.checked_add(length)
            }
            _ => false,
        }
    }
}
