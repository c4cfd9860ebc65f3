//! Lets go of sockets that do not exist any more and whose end was not seen.

use std::collections::{HashMap, HashSet};

use super::{
    intake::Intake,
    socket_scan::{ScanResult, SocketScan},
};

/// How often sockets are looked for that are gone, nanoseconds; less often where
/// looking takes long ([`ScanResult::due_ns`]).
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
    look: Option<SocketScan>,
}

impl Sweep {
    /// Begins a sweep when it is time for one, and ends the one that has found something.
    pub(super) fn poll(&mut self, intake: &mut Intake, now_ns: u64) {
        let Some(look) = self.look.take() else {
            if now_ns >= self.due {
                self.begin(intake, now_ns);
            }
            return;
        };
        match look.end() {
            Ok(ScanResult {
                asked,
                existing,
                due_ns,
                ..
            }) => {
                self.due = self.due.max(due_ns);
                if let Some(existing) = existing {
                    end(intake, asked, &existing);
                }
            }
            Err(look) => self.look = Some(look),
        }
    }

    fn begin(&mut self, intake: &Intake, now_ns: u64) {
        self.due = now_ns + EVERY;
        // Those that were there the last time too: a socket that is being
        // closed right now tells by itself.
        let idle = now_ns.saturating_sub(IDLE);
        let all = now_ns >= self.idle_due;
        if all {
            self.idle_due = now_ns + IDLE;
        }
        let held = intake
            .judge()
            .held()
            .filter(|(_, held)| held.shared || (all && held.last_ns < idle));
        let mut asked = HashMap::new();
        let mut shared = HashSet::new();
        for (cookie, held) in held {
            if held.shared {
                shared.insert(cookie);
            }
            if !held.shared || self.held.contains(&cookie) {
                let counters = intake.live().connection(cookie);
                asked.insert(cookie, counters.map_or(0, |counters| counters.inode));
            }
        }
        self.held = shared;
        if !asked.is_empty() {
            self.look = SocketScan::begin(asked, false);
        }
    }
}

fn end(intake: &mut Intake, asked: HashMap<u64, u64>, existing: &HashSet<u64>) {
    // The counters first: where there are none any more, the record of the
    // end was made before.
    let asked: Vec<_> = asked
        .into_iter()
        .filter(|(_, inode)| !existing.contains(inode))
        .map(|(cookie, inode)| (cookie, inode, intake.live().connection(cookie)))
        .collect();
    intake.drain();
    let waiting = intake.judge().waiting();
    let ending: HashSet<_> = waiting.map(|(cookie, _)| cookie).collect();
    for (cookie, inode, counters) in asked {
        let exists = match &counters {
            // One whose number was not known was not looked for.
            Some(counters) => counters.inode == 0 || counters.inode != inode,
            None => ending.contains(&cookie),
        };
        if !exists {
            intake.release(cookie, counters.as_ref());
        }
    }
}
