//! Puts a connection's records in order and notices what is missing.

use std::collections::BTreeMap;

use crate::capture::Record;

/// Most records that are held back for one that is late.
const HELD: usize = 64;

/// The records of one connection, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    next: u32,
    held: BTreeMap<u32, Record>,
    held_since_ns: Option<u64>,
    lost: bool,
}

impl Sequence {
    /// Takes a record in; [`Self::pop`] gives those whose turn it is. Gives one
    /// back that came too late.
    pub(super) fn push(&mut self, record: Record) -> Option<Record> {
        let header = record.header();
        let (seq, time_ns) = (header.seq, header.time_ns);
        if seq < self.next {
            // Given up as lost, and now here: what came after was already
            // judged without it.
            self.lost = true;
            return Some(record);
        }
        if seq > self.next {
            self.held_since_ns.get_or_insert(time_ns);
        }
        self.held.insert(seq, record);
        if self.held.len() > HELD {
            self.give_up();
        }
        None
    }

    /// The next record, if it is here.
    pub(super) fn pop(&mut self) -> Option<Record> {
        let record = self.held.remove(&self.next)?;
        self.next = self.next.wrapping_add(1);
        if self.held.is_empty() {
            self.held_since_ns = None;
            // An empty one keeps room for eleven records, of each connection.
            self.held = BTreeMap::new();
        }
        Some(record)
    }

    /// Goes on without what is missing.
    pub(super) fn give_up(&mut self) {
        if let Some((&first, _)) = self.held.first_key_value()
            && first != self.next
        {
            self.lost = true;
            self.next = first;
        }
    }

    /// Since when records are held back for one that is missing.
    pub(super) fn held_since_ns(&self) -> Option<u64> {
        self.held_since_ns
    }

    /// The kernel had numbered so many records before those that came were
    /// taken.
    pub(super) fn expect(&mut self, numbered: u32) {
        if numbered > self.next {
            self.lost = true;
        }
    }

    /// Whether all of so many records were taken.
    pub(super) fn took_all(&self, numbered: u32) -> bool {
        self.next == numbered && self.held.is_empty()
    }

    /// What came so far cannot be relied on.
    pub(super) fn doubt(&mut self) {
        self.lost = true;
    }

    /// Whether a record is missing.
    pub(super) fn lost(&self) -> bool {
        self.lost
    }
}
