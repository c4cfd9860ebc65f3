//! Processes and threads that are made, and execs.

use detector_common::EndKind;

use super::sockets_of;
use crate::capture::strace::{
    descriptors::{Table, What},
    replay::Replay,
};

impl Replay {
    /// A process or thread was made, says its maker.
    pub(super) fn made(&mut self, tid: u32, child: u32, name: &[u8], text: &[u8]) {
        if let Some(known) = self.descriptors.threads.get(&child) {
            if !known.made {
                if known.process == child
                    && let Some(maker) = self.process_of(tid)
                {
                    self.programs.inherit(child, maker, false);
                }
                // Its first lines came before its maker's; what it is was not
                // known, and what it did meanwhile is not told apart.
                let table = self
                    .descriptors
                    .threads
                    .get(&tid)
                    .map(|thread| thread.table);
                if let Some(table) = table {
                    self.share(table);
                }
            }
            return;
        }
        self.make(tid, child, name, text);
        self.children += u64::from(self.process_of(child) == Some(child));
        if let Some(table) = self.descriptors.table_of(tid)
            && table.threads.contains(&child)
        {
            table.unheard.insert(child);
        }
    }

    /// The process runs this program from here on.
    pub(super) fn runs(&mut self, tid: u32, program: Option<String>) {
        let Some(pid) = self.process_of(tid) else {
            return;
        };
        let threads = self.descriptors.threads.values();
        let living = threads.map(|thread| thread.process);
        self.programs.set(pid, program, living);
    }

    /// Makes a process or thread.
    pub(in crate::capture::strace) fn make(
        &mut self,
        tid: u32,
        child: u32,
        name: &[u8],
        text: &[u8],
    ) {
        self.forks = true;
        let line = self.counts.lines;
        let Some(maker) = self.descriptors.threads.get(&tid) else {
            return;
        };
        let (table, process, comm) = (maker.table, maker.process, maker.comm);
        let has = |flag: &str| {
            name.starts_with(b"clone") && memchr::memmem::find(text, flag.as_bytes()).is_some()
        };
        if !has("CLONE_THREAD") {
            self.programs.inherit(child, process, true);
        }
        let process = if has("CLONE_THREAD") { process } else { child };
        if has("CLONE_FILES") {
            self.descriptors.join(child, table, process, line, true);
        } else {
            let slots = self
                .descriptors
                .tables
                .get(&table)
                .map(|table| table.slots.clone())
                .unwrap_or_default();
            let copy = Table {
                slots,
                exact: true,
                ..Table::default()
            };
            for cookie in sockets_of(&copy) {
                if let Some(socket) = self.sockets.get_mut(&cookie) {
                    socket.references += 1;
                }
            }
            let copy = self.descriptors.add(copy);
            self.descriptors.join(child, copy, process, line, true);
        }
        if let Some(thread) = self.descriptors.threads.get_mut(&child) {
            thread.comm = comm;
        }
    }

    /// The same for a thread's table.
    pub(super) fn hear_threads(&mut self, tid: u32) {
        if let Some(thread) = self.descriptors.threads.get(&tid) {
            self.hear_all(thread.table);
        }
    }

    /// An exec: what it closes, and the process is its own from then on.
    pub(super) fn executes(&mut self, tid: u32) {
        self.hear_threads(tid);
        let line = self.counts.lines;
        let first = self
            .descriptors
            .threads
            .get(&tid)
            .is_some_and(|thread| thread.first == line);
        let moment = self.moment(tid);
        let Some(table) = self.descriptors.table_of(tid) else {
            return;
        };
        table.exact |= first;
        table.blind = false;
        let closed: Vec<_> = table
            .slots
            .iter()
            .filter(|(_, slot)| slot.close_on_exec)
            .map(|(fd, slot)| (*fd, slot.what))
            .collect();
        for (fd, what) in closed {
            self.descriptors.remove(tid, fd);
            let What::Socket(cookie) = what else { continue };
            self.check(cookie);
            if let Some(socket) = self.sockets.get_mut(&cookie)
                && socket.references == 1
            {
                // What a new child inherited is not worth a record.
                socket.end(EndKind::Exec, (0, 0, 0), fd, moment, &mut self.steps);
            }
            self.let_go(cookie);
        }
    }
}
