//! Processes and threads that are made, and execs.

use detector_common::EndKind;

use super::sockets_of;
use crate::capture::strace::{
    arguments::has_flag,
    descriptors::{Table, What},
    replay::Replay,
};

impl Replay {
    /// A process or thread was made, says its maker.
    pub(super) fn made(&mut self, tid: u32, child: u32, name: &[u8], text: &[u8]) {
        if let Some(known) = self.descriptors.threads.get(&child) {
            if known.made {
                self.numbers.confirm(child);
            } else {
                if known.process == child
                    && let Some(maker) = self.process_of(tid)
                {
                    self.programs.inherit(child, maker, false);
                    if is_made_with(name, text, "CLONE_THREAD") {
                        if let Some(thread) = self.descriptors.threads.get_mut(&child) {
                            thread.process = maker;
                        }
                    } else {
                        self.numbers.prove(child, child);
                    }
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
    pub(super) fn set_program(&mut self, tid: u32, program: Option<String>) {
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
        let has = |flag: &str| is_made_with(name, text, flag);
        self.numbers.forget(child);
        if !has("CLONE_THREAD") {
            self.programs.inherit(child, process, true);
            self.numbers.prove(child, child);
        }
        let process = if has("CLONE_THREAD") { process } else { child };
        if has("CLONE_FILES") {
            self.threads = true;
            self.descriptors.join(child, table, process, line, true);
        } else {
            let (copy, cookies) = self.copies(table);
            self.sharing.copied(child, &cookies);
            self.descriptors.join(child, copy, process, line, true);
        }
        if let Some(thread) = self.descriptors.threads.get_mut(&child) {
            thread.comm = comm;
        }
    }

    /// A copy of a table of descriptors, and the sockets in it.
    fn copies(&mut self, table: u32) -> (u32, Vec<u64>) {
        let of = self.descriptors.tables.get(&table);
        let copy = Table {
            slots: of.map(|table| table.slots.clone()).unwrap_or_default(),
            blind: of.is_some_and(|table| table.blind),
            exact: true,
            ..Table::default()
        };
        let cookies = sockets_of(&copy);
        for cookie in &cookies {
            if let Some(socket) = self.sockets.get_mut(*cookie) {
                socket.references += 1;
            }
        }
        (self.descriptors.add(copy), cookies)
    }

    /// The thread has descriptors of its own from here on.
    pub(super) fn unshare(&mut self, tid: u32) {
        self.threads = true;
        let Some(old) = self
            .descriptors
            .threads
            .get(&tid)
            .map(|thread| thread.table)
        else {
            return;
        };
        let Some(table) = self.descriptors.tables.get(&old) else {
            return;
        };
        let alone = table.threads.len() < 2;
        if !table.exact {
            // Others that the log does not tell of have the old ones.
            self.share(old);
        }
        if alone {
            return;
        }
        let (copy, _) = self.copies(old);
        if let Some(table) = self.descriptors.tables.get_mut(&old) {
            table.threads.remove(&tid);
            table.unheard.remove(&tid);
        }
        if let Some(table) = self.descriptors.tables.get_mut(&copy) {
            table.threads.insert(tid);
        }
        if let Some(thread) = self.descriptors.threads.get_mut(&tid) {
            thread.table = copy;
        }
    }

    /// The same for a thread's table.
    pub(super) fn hear_threads(&mut self, tid: u32) {
        if let Some(thread) = self.descriptors.threads.get(&tid) {
            self.hear_all(thread.table);
        }
    }

    /// An exec: what it closes, and the process is its own from then on.
    pub(super) fn exec(&mut self, tid: u32) {
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
        // Both ends of a connection are met with both still open.
        let mut gone = Vec::new();
        for (fd, what) in closed {
            self.descriptors.remove(tid, fd);
            let What::Socket(cookie) = what else { continue };
            self.sockets.check_end(cookie);
            let socket = self.sockets.get(cookie);
            if socket.is_some_and(|socket| socket.references == 1) {
                // What a new child inherited is not worth a record.
                self.sockets
                    .end(cookie, EndKind::Exec, (0, 0, 0), fd, moment);
                gone.push(cookie);
            } else {
                self.release(cookie);
            }
        }
        for cookie in gone {
            self.release(cookie);
        }
    }
}

/// Whether the call of the fork family with these arguments has this flag.
fn is_made_with(name: &[u8], text: &[u8], flag: &str) -> bool {
    let flags = memchr::memmem::find(text, b"flags=").and_then(|start| {
        let flags = text.get(start + 6..)?;
        let end = flags.iter().position(|byte| matches!(byte, b',' | b'}'));
        flags.get(..end.unwrap_or(flags.len()))
    });
    name.starts_with(b"clone") && has_flag(flags.unwrap_or_default(), flag)
}
