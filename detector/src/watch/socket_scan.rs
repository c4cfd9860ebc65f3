//! A look at which sockets exist, in a thread of its own: where there are very many it
//! takes long, and meanwhile records go on.

use std::{
    collections::{HashMap, HashSet},
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

use super::clock::monotonic_ns;
use crate::capture::live::{queues, sockets};

/// At most this part of the time is spent looking for one purpose.
const PART: u64 = 50;

/// One that has begun.
#[derive(Debug)]
pub(super) struct SocketScan {
    asked: HashMap<u64, u64>,
    found: Receiver<Answer>,
}

/// What a look's thread tells.
#[derive(Debug, Default)]
struct Answer {
    existing: Option<HashSet<u64>>,
    queues: HashMap<u64, u16>,
    due_ns: u64,
}

/// What it came to.
#[derive(Debug)]
pub(super) struct ScanResult {
    /// The connections that were asked for, by cookie, with the inode numbers of their
    /// sockets.
    pub(super) asked: HashMap<u64, u64>,
    /// The inode numbers of those that exist; `None` if that cannot be told.
    pub(super) existing: Option<HashSet<u64>>,
    /// How full their send queues are, by inode number, where that was asked for and is
    /// known (`detector_common::send_queue`).
    pub(super) queues: HashMap<u64, u16>,
    /// When another may begin, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) due_ns: u64,
}

impl SocketScan {
    /// Begins one for these connections, by cookie, with the inode numbers of their
    /// sockets; `None` if there is no thread for it. `queues`: how full their send queues
    /// are is asked for too.
    pub(super) fn begin(asked: HashMap<u64, u64>, queues: bool) -> Option<Self> {
        let inodes: HashSet<_> = asked.values().copied().collect();
        let (sender, found) = channel();
        let thread = thread::Builder::new().name("sockets".to_owned());
        let began = thread.spawn(move || {
            let begun = monotonic_ns();
            let existing = sockets::existing(&inodes);
            let queues = match queues {
                true => queues::send_queues(&inodes),
                false => HashMap::new(),
            };
            let took = monotonic_ns().saturating_sub(begun);
            let answer = Answer {
                existing,
                queues,
                due_ns: begun + took.saturating_mul(PART),
            };
            // If nobody waits for it any more, the watch has ended.
            if sender.send(answer).is_err() {}
        });
        began.ok().map(|_| Self { asked, found })
    }

    /// What it came to, if it is over; else itself.
    pub(super) fn end(self) -> Result<ScanResult, Self> {
        let answer = match self.found.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return Err(self),
            Err(TryRecvError::Disconnected) => Answer::default(),
        };
        Ok(ScanResult {
            asked: self.asked,
            existing: answer.existing,
            queues: answer.queues,
            due_ns: answer.due_ns,
        })
    }
}
