//! Puts the copied pieces together and keeps them until a finding asks, or
//! until none can any more.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use detector_common::{REGISTER_WORDS, StackPiece};

use super::{maps::Maps, memory::Memory};

/// How long one is kept, nanoseconds: an ending waits two seconds at most until
/// it is judged.
const KEPT_NS: u64 = 10_000_000_000;

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
    pub(super) memory: Memory,
    /// What the process had mapped; `None` if it was gone before anyone asked.
    pub(super) maps: Option<Arc<Maps>>,
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

    /// Remembers what a process has mapped now: it may be gone when the first
    /// stack is read.
    pub fn know(&mut self, pid: u32, now_ns: u64) {
        let Some(maps) = Maps::of(pid) else { return };
        if self.maps.len() >= self.room.processes {
            self.maps.clear();
        }
        let maps = Arc::new(maps);
        let time_ns = now_ns;
        self.maps.insert(pid, Known { time_ns, maps });
    }

    /// Takes a piece.
    pub fn take(&mut self, piece: &StackPiece, now_ns: u64) {
        let key = (piece.tid, piece.time_ns);
        if let Some(copied) = self.kept.get_mut(&key) {
            copied.memory.push(piece.address, piece.bytes());
            return;
        }
        self.forget(now_ns);
        // Once for all stacks that were read together.
        let fresh = self
            .maps
            .get(&piece.tgid)
            .is_some_and(|known| known.time_ns >= piece.time_ns);
        if !fresh {
            self.know(piece.tgid, now_ns);
        }
        let mut memory = Memory::default();
        memory.push(piece.address, piece.bytes());
        let copied = Copied {
            pid: piece.tgid,
            registers: Box::new(piece.registers),
            memory,
            maps: self.maps.get(&piece.tgid).map(|known| known.maps.clone()),
        };
        self.kept.insert(key, copied);
        self.order.push_back(key);
    }

    /// The stack of this thread at this time, once.
    pub fn remove(&mut self, tid: u32, time_ns: u64) -> Option<Copied> {
        self.kept.remove(&(tid, time_ns))
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
    use detector_common::Plain as _;

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
        let one = copies.remove(1, 50);
        assert_eq!(one.as_ref().map(|copied| copied.memory.span()), Some(8192));
        assert!(one.is_some_and(|copied| copied.maps.is_some()));
        assert!(copies.remove(1, 50).is_none());
        assert!(copies.remove(2, 50).is_some());
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
