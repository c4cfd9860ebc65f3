//! Threads and processes: their first line, and their end.

use detector_common::EndKind;

use crate::capture::strace::{
    calls::{Does, does},
    descriptors::{Thread, What},
    effects::sockets_of,
    replay::Replay,
    socket::CallStamp,
};

impl Replay {
    /// A descriptor of this table is about to go away: threads that are not
    /// traced, as it seems, may be writing.
    pub(in crate::capture::strace) fn hear_all(&mut self, table: u32) {
        let Some(table) = self.descriptors.tables.get_mut(&table) else {
            return;
        };
        if !table.nameless || table.unheard.is_empty() {
            return;
        }
        self.counts.untraced += table.unheard.len() as u64;
        table.unheard.clear();
        table.blind = true;
        for cookie in sockets_of(table) {
            self.sockets.distrust(cookie);
        }
    }

    /// The log goes on, and threads that strace let go of do so without it: what
    /// they do with their sockets, and with those that others have too, is in no
    /// line. Where the log ends there, nothing was missed.
    pub(super) fn go_on_untraced(&mut self) {
        for tid in std::mem::take(&mut self.detached) {
            let Some(thread) = self.descriptors.threads.get(&tid) else {
                continue;
            };
            let Some(table) = self.descriptors.tables.get_mut(&thread.table) else {
                continue;
            };
            self.counts.untraced += 1;
            table.blind = true;
            for cookie in sockets_of(table) {
                self.sockets.distrust(cookie);
            }
        }
    }

    /// A thread of which the log had no line before.
    pub(super) fn new_thread(&mut self, tid: u32) {
        let line = self.counts.lines;
        // The one whose lines had no number, now that there are others.
        let makes = |thread: &Thread| {
            thread
                .pending
                .as_ref()
                .is_some_and(|pending| does(&pending.name) == Some(Does::Fork) && !pending.done)
        };
        if let Some(thread) = self.descriptors.threads.get(&0)
            && !makes(thread)
            && let Some(mut thread) = self.descriptors.threads.remove(&0)
        {
            thread.process = tid;
            self.programs.rename(0, tid);
            self.numbers.rename(0, tid);
            if let Some(table) = self.descriptors.tables.get_mut(&thread.table) {
                table.threads.remove(&0);
                table.threads.insert(tid);
            }
            self.descriptors.threads.insert(tid, thread);
            self.nameless = None;
            return;
        }
        // One whose maker has not yet returned from making it.
        let threads = &self.descriptors.threads;
        self.makers
            .retain(|maker| threads.get(maker).is_some_and(makes));
        let mut makers = self.makers.iter().filter_map(|maker| {
            let pending = threads.get(maker)?.pending.as_ref()?;
            Some((*maker, pending.name.clone(), pending.arguments.clone()))
        });
        let maker = match (makers.next(), makers.next()) {
            (Some(maker), None) => Some(maker),
            _ => None,
        };
        drop(makers);
        match maker {
            Some((maker, name, arguments)) => {
                if let Some(thread) = self.descriptors.threads.get_mut(&maker)
                    && let Some(pending) = &mut thread.pending
                {
                    pending.done = true;
                }
                self.make(maker, tid, &name, &arguments);
                self.numbers.presume(tid);
            }
            None => {
                self.programs.forget(tid);
                self.numbers.forget(tid);
                self.descriptors.thread(tid, line);
                if !self.evidence.tells_of_children() {
                    self.closed.stranger(tid, line);
                }
            }
        }
    }

    /// The process of a thread.
    pub(in crate::capture::strace) fn process_of(&self, tid: u32) -> Option<u32> {
        Some(self.descriptors.threads.get(&tid)?.process)
    }

    /// A thread ended.
    pub(super) fn ended(&mut self, tid: u32, status: u32) {
        let moment = self.moment(tid);
        let Some(thread) = self.descriptors.threads.remove(&tid) else {
            return;
        };
        if self.nameless == Some(tid) {
            self.nameless = None;
        }
        if let Some(pending) = &thread.pending {
            self.abandon(pending);
        }
        let numbered = tid != 0;
        let Some(table) = self.descriptors.tables.get_mut(&thread.table) else {
            return;
        };
        table.threads.remove(&tid);
        let killed = status & 0x7f != 0;
        self.evidence.ended(killed);
        if !table.threads.is_empty() {
            return;
        }
        let certain = killed || table.exact || table.exiting.is_some() || !numbered;
        let status = table.exiting.filter(|_| !killed).unwrap_or(status);
        if !certain {
            self.share(thread.table);
        }
        self.end_table(thread.table, status, moment);
    }

    /// The process's number goes to the thread that made an exec.
    pub(super) fn superseded(&mut self, tid: u32, by: u32) {
        let Some(mut thread) = self.descriptors.threads.remove(&by) else {
            return;
        };
        if let Some(table) = self.descriptors.tables.get_mut(&thread.table) {
            table.threads.remove(&by);
            table.threads.insert(tid);
        }
        thread.process = tid;
        self.numbers.prove(tid, tid);
        self.numbers.confirm(tid);
        let before = self.descriptors.threads.insert(tid, thread);
        if let Some(pending) = before.and_then(|thread| thread.pending) {
            self.abandon(&pending);
        }
    }

    /// Others that the log does not tell of may have the table's sockets.
    pub(in crate::capture::strace) fn share(&mut self, table: u32) {
        let Some(table) = self.descriptors.tables.get(&table) else {
            return;
        };
        for slot in table.slots.values() {
            if let What::Socket(cookie) = slot.what
                && let Some(socket) = self.sockets.get_mut(cookie)
            {
                socket.shared = true;
            }
        }
    }

    /// A process ended, and its descriptors with it.
    pub(super) fn end_table(&mut self, table: u32, status: u32, moment: CallStamp) {
        self.hear_all(table);
        let Some(table) = self.descriptors.tables.remove(&table) else {
            return;
        };
        self.walks = self.walks.wrapping_add(1);
        let walk = self.walks;
        // All of a socket's descriptors are met with all of them still open.
        let sockets: Vec<_> = table
            .slots
            .iter()
            .filter_map(|(fd, slot)| match slot.what {
                What::Socket(cookie) => Some((*fd, cookie)),
                What::File => None,
            })
            .collect();
        for (fd, cookie) in &sockets {
            self.sockets.check_end(*cookie);
            self.sockets
                .end(*cookie, EndKind::Exit, (0, status, walk), *fd, moment);
        }
        for (_, cookie) in sockets {
            self.release(cookie);
        }
    }

    /// A walk over several descriptors begins; its number.
    pub(in crate::capture::strace) fn walk(&mut self) -> u32 {
        self.walks = self.walks.wrapping_add(1);
        self.walks
    }
}
