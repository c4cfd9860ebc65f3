//! Puts the copied pieces together and keeps them until a finding asks, or
//! until none can any more.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use detector_common::{REGISTER_WORDS, StackPiece};

use super::{maps::Maps, stack_memory::StackMemory};

/// How long one is kept, nanoseconds: an ending waits two seconds at most until
/// it is judged.
const KEPT_NS: u64 = 10_000_000_000;

/// How old what a process had mapped may be where a stack comes that nobody asked for
/// yet, nanoseconds: to look keeps the process from mapping and unmapping meanwhile.
const FRESH_NS: u64 = 1_000_000_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Most stacks, 64 KiB each at most.
    pub stacks: usize,
    /// Most processes of which it is remembered what they had mapped.
    pub processes: usize,
    /// Most stacks that are being resolved at a time.
    pub resolving: usize,
    /// Most places whose names are remembered.
    pub places: usize,
    /// Resident memory, bytes, that this process may come to by reading programs'
    /// tables and debug information; what would take more is not read.
    pub memory: Option<u64>,
}

impl Room {
    /// For a watch that ends soon.
    pub const AMPLE: Self = Self {
        stacks: 512,
        processes: 256,
        resolving: 256,
        places: 4096,
        memory: None,
    };

    /// For one that goes on for months, in so much resident memory.
    #[must_use]
    pub fn within(bytes: u64) -> Self {
        Self {
            stacks: 64,
            processes: 64,
            resolving: 64,
            places: 1024,
            memory: Some(bytes),
        }
    }
}

/// A stack as it was copied.
#[derive(Clone, Debug)]
pub struct Copied {
    pub(super) pid: u32,
    pub(super) registers: Box<[u64; REGISTER_WORDS]>,
    pub(super) memory: StackMemory,
    /// What the process had mapped; `None` if it was gone before anyone asked.
    pub(super) maps: Option<Arc<Maps>>,
    /// When that was.
    maps_ns: u64,
    /// That was before the stack was copied, and the process is gone: what it mapped since
    /// is not known.
    pub(super) outdated: bool,
}

/// The stacks that were copied lately.
#[derive(Debug)]
pub struct Copies {
    room: Room,
    /// By thread and time.
    kept: HashMap<(u32, u64), Copied>,
    order: VecDeque<(u32, u64)>,
    maps: HashMap<u32, Known>,
}

/// What a process had mapped, and when.
#[derive(Debug)]
struct Known {
    time_ns: u64,
    maps: Arc<Maps>,
    /// What it had between that look and the one before ([`Maps::between`]).
    between: Arc<Maps>,
}

impl Known {
    /// As far as it is known of that time: before the look, or at the look or after.
    fn at(&self, time_ns: u64) -> Arc<Maps> {
        match time_ns <= self.time_ns {
            true => self.between.clone(),
            false => self.maps.clone(),
        }
    }
}

impl Copies {
    /// Keeps so much.
    #[must_use]
    pub fn new(room: Room) -> Self {
        Self {
            room,
            kept: HashMap::new(),
            order: VecDeque::new(),
            maps: HashMap::new(),
        }
    }

    /// Keeps so much from now on.
    pub fn resize(&mut self, room: Room) {
        self.room = room;
    }

    /// Remembers what a process has mapped now: it may be gone when the first stack is
    /// read. It may have just begun, with most of its libraries yet to come: this look
    /// does for no stack that another can be had for.
    pub fn know(&mut self, pid: u32) {
        self.look(pid, 0);
    }

    fn look(&mut self, pid: u32, now_ns: u64) {
        let Some(maps) = Maps::of(pid) else { return };
        if self.maps.len() >= self.room.processes && !self.maps.contains_key(&pid) {
            self.maps.clear();
        }
        let maps = Arc::new(maps);
        let before = self.maps.get(&pid).map(|known| &known.maps);
        let known = Known {
            time_ns: now_ns,
            between: before.map_or_else(|| maps.clone(), |before| maps.between(before)),
            maps,
        };
        self.maps.insert(pid, known);
    }

    /// Takes a piece.
    pub fn take(&mut self, piece: &StackPiece, now_ns: u64) {
        let key = (piece.tid, piece.time_ns);
        if let Some(copied) = self.kept.get_mut(&key) {
            copied.memory.push(piece.address, piece.bytes());
            return;
        }
        self.forget(now_ns);
        // The process may be gone when a finding asks.
        let since_ns = piece.time_ns.saturating_sub(FRESH_NS);
        let known = self.known_since(piece.tgid, since_ns, now_ns);
        let maps = known.map(|known| known.at(piece.time_ns));
        let maps_ns = known.map_or(0, |known| known.time_ns);
        let mut memory = StackMemory::default();
        memory.push(piece.address, piece.bytes());
        let copied = Copied {
            pid: piece.tgid,
            registers: Box::new(piece.registers),
            memory,
            maps,
            maps_ns,
            outdated: false,
        };
        self.kept.insert(key, copied);
        self.order.push_back(key);
    }

    /// The stack of this thread at this time, once.
    pub fn remove(&mut self, tid: u32, time_ns: u64, now_ns: u64) -> Option<Copied> {
        let mut copied = self.kept.remove(&(tid, time_ns))?;
        // A process that was gone when the stack came is not the one that has its number.
        if copied.maps.is_some() && copied.maps_ns < time_ns {
            match self.known_since(copied.pid, time_ns, now_ns) {
                Some(known) if known.time_ns >= time_ns => {
                    copied.maps = Some(known.between.clone());
                }
                _ => copied.outdated = true,
            }
        }
        Some(copied)
    }

    /// What a process has mapped, as of then or later where it still runs: looked at once
    /// for all stacks of a round.
    fn known_since(&mut self, pid: u32, since_ns: u64, now_ns: u64) -> Option<&Known> {
        let known = self.maps.get(&pid);
        if known.is_none_or(|known| known.time_ns < since_ns) {
            self.look(pid, now_ns);
        }
        self.maps.get(&pid)
    }

    /// Lets go of what is too old, or too much.
    fn forget(&mut self, now_ns: u64) {
        while let Some(oldest) = self.order.front()
            && (self.order.len() >= self.room.stacks || oldest.1.saturating_add(KEPT_NS) < now_ns)
        {
            self.kept.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use detector_common::Pod as _;

    use super::*;

    fn piece(tid: u32, time_ns: u64, address: u64) -> StackPiece {
        let mut piece = StackPiece::zeroed();
        piece.tgid = std::process::id();
        (piece.tid, piece.time_ns, piece.address) = (tid, time_ns, address);
        piece.length = piece.data.len() as u64;
        piece
    }

    #[test]
    fn pieces_of_two_threads_are_kept_apart() {
        let mut copies = Copies::new(Room::within(64 << 20));
        copies.take(&piece(1, 50, 0x1000), 60);
        copies.take(&piece(2, 50, 0x9000), 60);
        copies.take(&piece(1, 50, 0x2000), 60);
        let one = copies.remove(1, 50, 60);
        assert_eq!(one.as_ref().map(|copied| copied.memory.span()), Some(8192));
        assert!(one.is_some_and(|copied| copied.maps.is_some()));
        assert!(copies.remove(1, 50, 60).is_none());
        assert!(copies.remove(2, 50, 60).is_some());
    }

    #[test]
    fn what_is_mapped_is_looked_at_when_a_finding_asks() {
        const OWN: u32 = 7;
        let mut copies = Copies::new(Room::within(64 << 20));
        let looked_at = |copies: &Copies| copies.maps.values().map(|known| known.time_ns).max();
        // The look at its beginning is not enough.
        copies.know(std::process::id());
        let first = 2 * FRESH_NS;
        for time in [first, first + FRESH_NS / 2, first + FRESH_NS] {
            copies.take(&piece(OWN, time, 0), time + 10);
            assert_eq!(looked_at(&copies), Some(first + 10));
        }
        let asked = first + FRESH_NS + 20;
        let copied = copies.remove(OWN, first + FRESH_NS / 2, asked);
        assert!(copied.is_some_and(|copied| !copied.outdated));
        assert_eq!(looked_at(&copies), Some(asked));
        // That was after this one too.
        assert!(copies.remove(OWN, first + FRESH_NS, asked + 10).is_some());
        assert_eq!(looked_at(&copies), Some(asked));
        copies.take(&piece(OWN, 5 * FRESH_NS, 0), 5 * FRESH_NS + 10);
        assert_eq!(looked_at(&copies), Some(5 * FRESH_NS + 10));
    }

    /// A shell that runs another program when it is told to, and then that.
    fn two_programs() -> std::io::Result<std::process::Child> {
        std::process::Command::new("sh")
            .args(["-c", "read line; exec sleep 60"])
            .stdin(std::process::Stdio::piped())
            .spawn()
    }

    /// Until its code is mapped, which comes after its name.
    fn wait_for(pid: u32, program: &str) {
        let is_there = |maps: Maps| maps.names().iter().any(|name| name.ends_with(program));
        while !Maps::of(pid).is_some_and(is_there) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn names(copied: Option<Copied>) -> Option<Vec<String>> {
        copied?.maps.map(|maps| maps.names())
    }

    #[test]
    fn another_program_s_code_is_not_taken_for_it() -> std::io::Result<()> {
        let mut child = two_programs()?;
        let tgid = child.id();
        wait_for(tgid, "sh");
        let of = |time| StackPiece {
            tgid,
            ..piece(1, time, 0)
        };
        let mut copies = Copies::new(Room::within(64 << 20));
        copies.take(&of(50), 60);
        copies.take(&of(70), 80);
        drop(child.stdin.take());
        wait_for(tgid, "sleep");
        // Read only when the other program runs; the second so late that it is looked at.
        copies.take(&of(90), FRESH_NS + 100);
        copies.take(&of(FRESH_NS + 70), FRESH_NS + 105);
        let shell = names(copies.remove(1, 50, FRESH_NS + 110));
        assert!(shell.is_some_and(|names| names.iter().any(|name| name.ends_with("sh"))));
        for time in [70, 90, FRESH_NS + 70] {
            let names = names(copies.remove(1, time, FRESH_NS + 110)).unwrap_or_default();
            assert!(
                !names.iter().any(|name| name.ends_with("sleep")),
                "{names:?}"
            );
        }
        // Of one that is gone there is what was.
        copies.take(&of(2 * FRESH_NS), 2 * FRESH_NS + 10);
        copies.take(&of(2 * FRESH_NS + 20), 2 * FRESH_NS + 30);
        child.kill()?;
        child.wait()?;
        let last = copies.remove(1, 2 * FRESH_NS + 20, 3 * FRESH_NS);
        assert!(last.as_ref().is_some_and(|last| last.outdated));
        let last = names(last);
        assert!(last.is_some_and(|names| names.iter().any(|name| name.ends_with("sleep"))));
        copies.maps.clear();
        copies.take(&of(4 * FRESH_NS), 4 * FRESH_NS);
        assert_eq!(names(copies.remove(1, 4 * FRESH_NS, 4 * FRESH_NS)), None);
        Ok(())
    }

    #[test]
    fn no_more_are_kept_than_are_of_use() {
        let mut copies = Copies::new(Room::within(64 << 20));
        for time in 0..2000 {
            copies.take(&piece(1, time, 0), time);
        }
        assert!(copies.kept.len() <= 64 && copies.order.len() <= 64);
        copies.take(&piece(1, 2 * KEPT_NS, 0), 2 * KEPT_NS);
        assert_eq!(copies.kept.len(), 1);
    }
}
