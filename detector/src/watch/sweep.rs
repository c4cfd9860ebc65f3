//! Lets go of sockets that do not exist any more and whose end was not seen.

use std::{
    collections::{HashMap, HashSet},
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

use super::{engine::Engine, monotonic_ns};
use crate::capture::live::sockets;

/// How often sockets are looked for that are gone, nanoseconds; less often where
/// looking takes long, at most this part of the time.
const EVERY: u64 = 3_000_000_000;
const PART: u64 = 50;

/// How long nothing may be heard of a socket before it is looked for too, and
/// how often, nanoseconds.
const IDLE: u64 = 60_000_000_000;

/// What is remembered from one sweep to the next.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When sockets that are gone are looked for again, and those that may be.
    due: u64,
    idle_due: u64,
    /// Those that were there the last time.
    held: HashSet<u64>,
    look: Option<Look>,
}

/// A look at all sockets of the host, in a thread of its own: where there are very
/// many it takes long, and meanwhile records go on.
#[derive(Debug)]
struct Look {
    /// Connections that may be gone, with the inode numbers of their sockets.
    asked: HashMap<u64, u64>,
    begun: u64,
    /// Which exist; `None` if that cannot be told.
    found: Receiver<Option<HashSet<u64>>>,
}

impl Look {
    /// Begins one; `None` if there is no thread for it.
    fn begin(asked: HashMap<u64, u64>) -> Option<Self> {
        let inodes: HashSet<_> = asked.values().copied().collect();
        let (sender, found) = channel();
        let thread = thread::Builder::new().name("sockets".to_owned());
        let began = thread.spawn(move || {
            // If nobody waits for it any more, the watch has ended.
            if sender.send(sockets::existing(&inodes)).is_err() {}
        });
        began.ok().map(|_| Self {
            asked,
            begun: monotonic_ns(),
            found,
        })
    }
}

impl Engine {
    pub(super) fn sweep(&mut self) {
        let now = monotonic_ns();
        let Some(look) = self.sweep.look.take() else {
            if now >= self.sweep.due {
                self.begin_sweep(now);
            }
            return;
        };
        match look.found.try_recv() {
            Ok(existing) => {
                let took = now.saturating_sub(look.begun);
                self.sweep.due = look.begun + EVERY.max(took.saturating_mul(PART));
                if let Some(existing) = existing {
                    self.end_sweep(look.asked, &existing);
                }
            }
            Err(TryRecvError::Empty) => self.sweep.look = Some(look),
            Err(TryRecvError::Disconnected) => {}
        }
    }

    fn begin_sweep(&mut self, now: u64) {
        let sweep = &mut self.sweep;
        sweep.due = now + EVERY;
        // Those that were there the last time too: a socket that is being
        // closed right now tells by itself.
        let idle = now.saturating_sub(IDLE);
        let all = now >= sweep.idle_due;
        if all {
            sweep.idle_due = now + IDLE;
        }
        let judge = &self.judge;
        let held = judge
            .held()
            .filter(|(_, held)| held.shared || (all && held.last_ns < idle));
        let mut asked = HashMap::new();
        let mut shared = HashSet::new();
        for (cookie, held) in held {
            if held.shared {
                shared.insert(cookie);
            }
            if !held.shared || sweep.held.contains(&cookie) {
                let counters = self.live.connection(cookie);
                asked.insert(cookie, counters.map_or(0, |counters| counters.inode));
            }
        }
        sweep.held = shared;
        if !asked.is_empty() {
            sweep.look = Look::begin(asked);
        }
    }

    fn end_sweep(&mut self, asked: HashMap<u64, u64>, existing: &HashSet<u64>) {
        // The counters first: where there are none any more, the record of the
        // end was made before.
        let asked: Vec<_> = asked
            .into_iter()
            .filter(|(_, inode)| !existing.contains(inode))
            .map(|(cookie, inode)| (cookie, inode, self.live.connection(cookie)))
            .collect();
        self.drain();
        let ending: HashSet<_> = self.judge.waiting().map(|(cookie, _)| cookie).collect();
        for (cookie, inode, counters) in asked {
            let exists = match &counters {
                // One whose number was not known was not looked for.
                Some(counters) => counters.inode == 0 || counters.inode != inode,
                None => ending.contains(&cookie),
            };
            if !exists {
                self.judge.release(cookie, counters.as_ref());
                self.live.forget(cookie);
            }
        }
    }
}
