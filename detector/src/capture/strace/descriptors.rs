//! Who has which descriptors: tables, shared by the threads of a process and
//! copied by fork(2).

use std::collections::{BTreeMap, HashSet};

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A socket, by its cookie.
    Socket(u64),
    /// Anything else.
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) what: What,
    /// An exec closes it.
    pub(super) close_on_exec: bool,
}

/// A table of descriptors.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) slots: BTreeMap<i32, Slot>,
    /// The threads that are known to share it.
    pub(super) threads: HashSet<u32>,
    /// All threads that share it are known: its process was made in the log.
    pub(super) exact: bool,
    /// The wait status that `exit_group` announced.
    pub(super) exiting: Option<u32>,
    /// Threads of which the log has no line yet.
    pub(super) unheard: HashSet<u32>,
    /// A line without a thread's number came while there were such threads.
    pub(super) nameless: bool,
    /// Bytes may be moved that no line tells of.
    pub(super) blind: bool,
}

/// A call that has begun.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) name: Vec<u8>,
    pub(super) arguments: Vec<u8>,
    /// The socket that it sends on.
    pub(super) sends_on: Option<u64>,
    /// What it does was done when it began.
    pub(super) done: bool,
}

/// A thread.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub(super) table: u32,
    /// The process, where it is known not to be the thread itself.
    pub(super) process: u32,
    pub(super) pending: Option<Pending>,
    /// Its first line.
    pub(super) first: u64,
    /// It was made in the log.
    pub(super) made: bool,
    pub(super) comm: [u8; 16],
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Descriptors {
    pub(super) tables: BTreeMap<u32, Table>,
    pub(super) threads: BTreeMap<u32, Thread>,
    next: u32,
}

impl Descriptors {
    /// The thread, made with a table of its own if it is not known.
    pub(super) fn thread(&mut self, tid: u32, line: u64) -> &mut Thread {
        if !self.threads.contains_key(&tid) {
            let table = self.add(Table::default());
            self.join(tid, table, tid, line, false);
        }
        self.threads.entry(tid).or_insert_with(|| Thread {
            table: 0,
            process: tid,
            pending: None,
            first: line,
            made: false,
            comm: [0; 16],
        })
    }

    /// Adds a table.
    pub(super) fn add(&mut self, table: Table) -> u32 {
        self.next += 1;
        self.tables.insert(self.next, table);
        self.next
    }

    /// A thread that has this table.
    pub(super) fn join(&mut self, tid: u32, table: u32, process: u32, line: u64, made: bool) {
        if let Some(table) = self.tables.get_mut(&table) {
            table.threads.insert(tid);
        }
        self.threads.insert(
            tid,
            Thread {
                table,
                process,
                pending: None,
                first: line,
                made,
                comm: [0; 16],
            },
        );
    }

    /// The table of a thread.
    pub(super) fn table_of(&mut self, tid: u32) -> Option<&mut Table> {
        let table = self.threads.get(&tid)?.table;
        self.tables.get_mut(&table)
    }

    pub(super) fn slot(&self, tid: u32, fd: i32) -> Option<Slot> {
        let table = self.threads.get(&tid)?.table;
        self.tables.get(&table)?.slots.get(&fd).copied()
    }

    pub(super) fn set(&mut self, tid: u32, fd: i32, what: What, close_on_exec: bool) {
        if let Some(table) = self.table_of(tid) {
            table.slots.insert(
                fd,
                Slot {
                    what,
                    close_on_exec,
                },
            );
        }
    }

    pub(super) fn remove(&mut self, tid: u32, fd: i32) -> Option<Slot> {
        self.table_of(tid)?.slots.remove(&fd)
    }

    /// The tables, besides this thread's, in which the descriptor is a socket.
    pub(super) fn others_with(&self, tid: u32, fd: i32) -> Vec<(u32, u64)> {
        let own = self.threads.get(&tid).map(|thread| thread.table);
        self.tables
            .iter()
            .filter(|(id, _)| Some(**id) != own)
            .filter_map(|(id, table)| match table.slots.get(&fd)?.what {
                What::Socket(cookie) => Some((*id, cookie)),
                What::File => None,
            })
            .collect()
    }
}
