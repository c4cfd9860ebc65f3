//! A look at which sockets exist, in a thread of its own: where there are very many it
//! takes long, and meanwhile records go on.

use std::{
    collections::{HashMap, HashSet},
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

use super::monotonic_ns;
use crate::capture::live::sockets;

/// At most this part of the time is spent looking for one purpose.
const PART: u64 = 50;

/// One that has begun.
#[derive(Debug)]
pub(super) struct Look {
    asked: HashMap<u64, u64>,
    /// Which exist, and when another may begin.
    found: Receiver<(Option<HashSet<u64>>, u64)>,
}

/// What it came to.
#[derive(Debug)]
pub(super) struct Found {
    /// The connections that were asked for, by cookie, with the inode numbers of their
    /// sockets.
    pub(super) asked: HashMap<u64, u64>,
    /// The inode numbers of those that exist; `None` if that cannot be told.
    pub(super) existing: Option<HashSet<u64>>,
    /// When another may begin, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) due_ns: u64,
}

impl Look {
    /// Begins one for these connections, by cookie, with the inode numbers of their
    /// sockets; `None` if there is no thread for it.
    pub(super) fn begin(asked: HashMap<u64, u64>) -> Option<Self> {
        let inodes: HashSet<_> = asked.values().copied().collect();
        let (sender, found) = channel();
        let thread = thread::Builder::new().name("sockets".to_owned());
        let began = thread.spawn(move || {
            let begun = monotonic_ns();
            let existing = sockets::existing(&inodes);
            let took = monotonic_ns().saturating_sub(begun);
            // If nobody waits for it any more, the watch has ended.
            if sender
                .send((existing, begun + took.saturating_mul(PART)))
                .is_err()
            {}
        });
        began.ok().map(|_| Self { asked, found })
    }

    /// What it came to, if it is over; else itself.
    pub(super) fn end(self) -> Result<Found, Self> {
        let (existing, due_ns) = match self.found.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => return Err(self),
            Err(TryRecvError::Disconnected) => (None, 0),
        };
        Ok(Found {
            asked: self.asked,
            existing,
            due_ns,
        })
    }
}
