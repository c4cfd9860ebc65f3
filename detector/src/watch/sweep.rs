//! Lets go of sockets that do not exist any more and whose end was not seen.

use std::collections::{HashMap, HashSet};

use super::{
    clock::monotonic_ns,
    engine::Engine,
    look::{Found, Look},
};

/// How often sockets are looked for that are gone, nanoseconds; less often where
/// looking takes long ([`Found::due_ns`]).
const EVERY: u64 = 3_000_000_000;

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

impl Engine {
    pub(super) fn sweep(&mut self) {
        let now = monotonic_ns();
        let Some(look) = self.sweep.look.take() else {
            if now >= self.sweep.due {
                self.begin_sweep(now);
            }
            return;
        };
        match look.end() {
            Ok(Found {
                asked,
                existing,
                due_ns,
                ..
            }) => {
                self.sweep.due = self.sweep.due.max(due_ns);
                if let Some(existing) = existing {
                    self.end_sweep(asked, &existing);
                }
            }
            Err(look) => self.sweep.look = Some(look),
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
            sweep.look = Look::begin(asked, false);
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
