//! Takes a log line by line and gives the records that the kernel side would
//! have made of the same calls.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use detector_common::{Connection as Counters, EndKind, flag};

use super::{
    calls::{Does, does},
    clock::{Clock, Meaning},
    descriptors::{Descriptors, Pending, Thread, What},
    line::{Event, line},
    lines::LineText,
    programs::Programs,
    socket::{Moment, Socket, Step},
    socket_name::SocketName,
};

/// What was read, and what could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines in all.
    pub lines: u64,
    /// Lines that tell of a call, a signal or an end.
    pub understood: u64,
    /// Lines that are none of strace's, or torn.
    pub unreadable: u64,
    /// The first of those, from 1.
    pub first_unreadable: u64,
    /// Lines that say that others were left out.
    pub elided: u64,
    /// Lines that somebody shortened.
    pub by_hand: u64,
    /// Calls on sockets of whose bytes strace was asked for a part only (`-s`).
    pub cut: u64,
    /// Connections that moved bytes.
    pub connections: u64,
    /// Descriptors that may be sockets with messages on them; nothing says so.
    pub unknown_descriptors: u64,
    /// Connections whose descriptors several processes or threads may share or
    /// not: the log does not tell.
    pub ambiguous: u64,
    /// Threads that were made and of which there is no line: not traced.
    pub untraced: u64,
    /// Calls that may move bytes that no line tells of (io_uring, aio).
    pub unseen_calls: u64,
    /// Sends that did not return before their process ended.
    pub interrupted: u64,
}

/// A log, as far as it was read.
#[derive(Debug, Default)]
pub struct Replay {
    pub(super) clock: Clock,
    pub(super) descriptors: Descriptors,
    pub(super) programs: Programs,
    pub(super) sockets: HashMap<u64, Socket>,
    inodes: HashMap<u64, u64>,
    pairs: HashMap<(SocketAddr, SocketAddr), u64>,
    /// Which socket an epoll event is about: by descriptor and data.
    pub(super) watched: HashMap<(u32, i32, u64), u64>,
    pub(super) counts: Counts,
    pub(super) steps: Vec<Step>,
    /// How often the log was in doubt.
    pub(super) doubts: u64,
    /// A call of the fork family was seen.
    pub(super) forks: bool,
    next: u64,
    walks: u32,
    /// The beginning of a line that a message of strace's interrupted.
    carried: Vec<u8>,
    /// The thread whose lines have no number, once it is known.
    nameless: Option<u32>,
    /// The log is one of several (`-ff`): other threads are in others.
    pub(super) apart: bool,
    /// Threads that have begun to make another, and may have done so.
    makers: BTreeSet<u32>,
}

impl Replay {
    /// The log is one thread's of several (`-ff`): what the others did is not
    /// in it.
    pub fn is_one_of_several(&mut self) {
        self.apart = true;
    }

    /// Takes the next line; what it comes to is in [`Self::take_steps`].
    pub fn line(&mut self, text: LineText<'_>) {
        self.counts.lines += 1;
        let LineText::Whole(text) = text else {
            self.unreadable();
            return;
        };
        if self.carried.is_empty() {
            if let Some(before) = interrupted(text) {
                self.carried = before.to_vec();
            } else {
                self.whole(text);
            }
            return;
        }
        let mut whole = std::mem::take(&mut self.carried);
        whole.extend_from_slice(text);
        match interrupted(&whole) {
            Some(before) => {
                whole.truncate(before.len());
                self.carried = whole;
            }
            None => self.whole(&whole),
        }
    }

    /// Takes what the lines so far came to.
    pub fn take_steps(&mut self) -> std::vec::Drain<'_, Step> {
        self.steps.drain(..)
    }

    /// Whether the lines so far came to something.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The next bytes of this connection that matter are at this offset.
    pub fn hint(&mut self, cookie: u64, boundary: u64) {
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.boundary = boundary;
        }
    }

    /// The counters of a connection, as they are now.
    #[must_use]
    pub fn counters(&self, cookie: u64) -> Option<&Counters> {
        self.sockets.get(&cookie).map(|socket| &socket.counters)
    }

    /// The path of the program that a process ran when last heard of, where the
    /// log tells it.
    #[must_use]
    pub fn program(&self, pid: u32) -> Option<&str> {
        self.programs.of(pid)
    }

    /// The log's time now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// What was read.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What times in records mean.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.clock.meaning()
    }

    /// Nanoseconds that the log covers.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.clock.covered()
    }

    /// The log could not be read to its end.
    pub fn torn(&mut self) {
        self.counts.lines += 1;
        self.unreadable();
    }

    /// The log is over: gives the connections that are open, with their
    /// counters, after the last steps.
    pub fn finish(&mut self) -> Vec<(u64, Counters)> {
        if !self.carried.is_empty() {
            self.carried.clear();
            self.unreadable();
        }
        let exiting: Vec<_> = self
            .descriptors
            .tables
            .iter()
            .filter_map(|(table, state)| Some((*table, state.exiting?)))
            .collect();
        for (table, status) in exiting {
            let tid = self
                .descriptors
                .tables
                .get(&table)
                .and_then(|table| table.threads.iter().min().copied());
            let moment = self.moment(tid.unwrap_or(0));
            self.end_table(table, status, moment);
        }
        let mut cookies: Vec<_> = self.sockets.keys().copied().collect();
        cookies.sort_unstable();
        for cookie in &cookies {
            self.check(*cookie);
            if let Some(socket) = self.sockets.get(cookie)
                && socket.was_shut()
                && socket.sending > 0
            {
                self.counts.interrupted += 1;
                self.lose(*cookie);
            }
        }
        cookies
            .into_iter()
            .filter_map(|cookie| {
                let socket = self.sockets.remove(&cookie)?;
                self.count_maybe(&socket);
                let told = socket.announced() && !socket.lost && socket.maybe.is_none();
                told.then_some((cookie, socket.counters))
            })
            .collect()
    }

    fn unreadable(&mut self) {
        self.counts.unreadable += 1;
        if self.counts.first_unreadable == 0 {
            self.counts.first_unreadable = self.counts.lines;
        }
        // Whatever it was, it may have been about any connection there is.
        self.doubts += 1;
    }

    fn whole(&mut self, text: &[u8]) {
        let line = line(text);
        self.programs.next_line();
        self.clock.take(line.time);
        match line.event {
            Event::Nothing => {
                self.counts.understood +=
                    u64::from(line.pid.is_some() || text.starts_with(b"--- "));
                return;
            }
            Event::Unreadable => return self.unreadable(),
            Event::Elision => {
                self.counts.elided += 1;
                self.doubts += 1;
                return;
            }
            Event::Call(name, _) | Event::Unfinished(name, _) | Event::Resumed(name, _)
                if does(name).is_none() =>
            {
                self.counts.understood += 1;
                self.heard(line.pid);
                return;
            }
            _ => {}
        }
        self.counts.understood += 1;
        let tid = self.heard(line.pid);
        if !line.comm.is_empty()
            && let Some(thread) = self.descriptors.threads.get_mut(&tid)
        {
            thread.comm = [0; 16];
            for (to, from) in thread.comm.iter_mut().take(15).zip(line.comm) {
                *to = *from;
            }
        }
        match line.event {
            Event::Call(name, rest) => self.call(tid, name, rest),
            Event::Unfinished(name, arguments) => self.begin(tid, name, arguments),
            Event::Resumed(name, rest) => self.resume(tid, name, rest),
            Event::Ended(status) => self.ended(tid, status),
            Event::Superseded(by) => self.superseded(tid, by),
            Event::Nothing | Event::Elision | Event::Unreadable => {}
        }
    }

    /// The thread that a line is about, by the number on the line.
    fn heard(&mut self, pid: Option<u32>) -> u32 {
        let line = self.counts.lines;
        let tid = match pid {
            Some(pid) => {
                // It was joined with the others.
                self.apart = false;
                if !self.descriptors.threads.contains_key(&pid) {
                    self.new_thread(pid);
                }
                pid
            }
            None => {
                let mut threads = self.descriptors.threads.keys();
                match (self.nameless, threads.next(), threads.next()) {
                    (_, Some(only), None) => *only,
                    (Some(nameless), ..) => nameless,
                    (None, ..) => 0,
                }
            }
        };
        if pid.is_none() {
            self.nameless = Some(tid);
        }
        let thread = self.descriptors.thread(tid, line);
        let table = thread.table;
        if let Some(table) = self.descriptors.tables.get_mut(&table)
            && !table.unheard.is_empty()
        {
            table.unheard.remove(&tid);
            // Lines have numbers as soon as two are traced: some time after the
            // second was made.
            table.nameless |= pid.is_none();
        }
        tid
    }

    /// A descriptor of this table is about to go away: threads that are not
    /// traced, as it seems, may be writing.
    pub(super) fn hear_all(&mut self, table: u32) {
        let Some(table) = self.descriptors.tables.get_mut(&table) else {
            return;
        };
        if !table.nameless || table.unheard.is_empty() {
            return;
        }
        self.counts.untraced += table.unheard.len() as u64;
        table.unheard.clear();
        table.blind = true;
        let cookies: Vec<_> = table
            .slots
            .values()
            .filter_map(|slot| match slot.what {
                What::Socket(cookie) => Some(cookie),
                What::File => None,
            })
            .collect();
        for cookie in cookies {
            self.lose(cookie);
        }
    }

    /// A thread of which the log had no line before.
    fn new_thread(&mut self, tid: u32) {
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
            }
            None => {
                self.programs.forget(tid);
                self.descriptors.thread(tid, line);
            }
        }
    }

    /// The process of a thread.
    pub(super) fn process_of(&self, tid: u32) -> Option<u32> {
        Some(self.descriptors.threads.get(&tid)?.process)
    }

    /// The moment of a call by this thread.
    pub(super) fn moment(&self, tid: u32) -> Moment {
        let thread = self.descriptors.threads.get(&tid);
        Moment {
            pid: thread.map_or(tid, |thread| thread.process),
            tid,
            time_ns: self.clock.now(),
            fine_ns: self.clock.fine(),
            comm: thread.map_or([0; 16], |thread| thread.comm),
        }
    }

    /// A call begins.
    fn begin(&mut self, tid: u32, name: &[u8], arguments: &[u8]) {
        let mut pending = Pending {
            name: name.to_vec(),
            arguments: arguments.to_vec(),
            sends_on: None,
            done: false,
        };
        match does(name) {
            // By the end of a close the number may be another's.
            Some(Does::Close | Does::CloseRange | Does::ExitGroup) => {
                let mut text = arguments.trim_ascii_end().to_vec();
                text.extend_from_slice(b") = 0");
                self.call(tid, name, &text);
                pending.done = true;
            }
            Some(Does::Fork) => {
                self.makers.insert(tid);
            }
            Some(Does::Send(..)) => {
                pending.sends_on = self.begins_send(tid, arguments);
            }
            _ => {}
        }
        if let Some(thread) = self.descriptors.threads.get_mut(&tid) {
            thread.pending = Some(pending);
        }
    }

    /// A call ends that began in an earlier line.
    fn resume(&mut self, tid: u32, name: &[u8], rest: &[u8]) {
        let pending = self
            .descriptors
            .threads
            .get_mut(&tid)
            .and_then(|thread| thread.pending.take());
        match pending {
            Some(pending) if pending.name == name => {
                let fork = does(name) == Some(Does::Fork);
                if let Some(cookie) = pending.sends_on
                    && let Some(socket) = self.sockets.get_mut(&cookie)
                {
                    socket.sending = socket.sending.saturating_sub(1);
                }
                if !pending.done || fork {
                    let mut text = pending.arguments;
                    text.truncate(text.trim_ascii_end().len());
                    text.extend_from_slice(rest);
                    self.call(tid, name, &text);
                }
                if let Some(cookie) = pending.sends_on {
                    self.settle(cookie);
                }
            }
            // It began before the log did.
            _ => match does(name) {
                Some(Does::Accept) => {
                    let mut text = b"-1".to_vec();
                    text.extend_from_slice(if rest.starts_with(b")") { b"" } else { b", " });
                    text.extend_from_slice(rest.trim_ascii_start());
                    self.call(tid, name, &text);
                }
                Some(Does::Send(..) | Does::Receive(..) | Does::Dup | Does::DupOver) => {
                    self.unreadable();
                }
                _ => {}
            },
        }
    }

    /// A call of which the arguments cannot be read.
    pub(super) fn garbled(&mut self) {
        self.counts.understood -= 1;
        self.unreadable();
    }

    /// A thread ended.
    fn ended(&mut self, tid: u32, status: u32) {
        let moment = self.moment(tid);
        let Some(thread) = self.descriptors.threads.remove(&tid) else {
            return;
        };
        if self.nameless == Some(tid) {
            self.nameless = None;
        }
        let pending = thread.pending.as_ref();
        if let Some(cookie) = pending.and_then(|pending| pending.sends_on) {
            // How much of it was accepted no line tells.
            self.counts.interrupted += 1;
            self.lose(cookie);
        }
        let numbered = tid != 0;
        let Some(table) = self.descriptors.tables.get_mut(&thread.table) else {
            return;
        };
        table.threads.remove(&tid);
        let killed = status & 0x7f != 0;
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
    fn superseded(&mut self, tid: u32, by: u32) {
        let Some(mut thread) = self.descriptors.threads.remove(&by) else {
            return;
        };
        if let Some(table) = self.descriptors.tables.get_mut(&thread.table) {
            table.threads.remove(&by);
            table.threads.insert(tid);
        }
        thread.process = tid;
        self.descriptors.threads.insert(tid, thread);
    }

    /// Others that the log does not tell of may have the table's sockets.
    pub(super) fn share(&mut self, table: u32) {
        let Some(table) = self.descriptors.tables.get(&table) else {
            return;
        };
        for slot in table.slots.values() {
            if let What::Socket(cookie) = slot.what
                && let Some(socket) = self.sockets.get_mut(&cookie)
            {
                socket.shared = true;
            }
        }
    }

    /// A process ended, and its descriptors with it.
    fn end_table(&mut self, table: u32, status: u32, moment: Moment) {
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
            self.check(*cookie);
            if let Some(socket) = self.sockets.get_mut(cookie) {
                socket.end(
                    EndKind::Exit,
                    (0, status, walk),
                    *fd,
                    moment,
                    &mut self.steps,
                );
            }
        }
        for (_, cookie) in sockets {
            self.let_go(cookie);
        }
    }

    /// A walk over several descriptors begins; its number.
    pub(super) fn walk(&mut self) -> u32 {
        self.walks = self.walks.wrapping_add(1);
        self.walks
    }

    /// A descriptor of the socket is gone, and told so.
    pub(super) fn let_go(&mut self, cookie: u64) {
        let Some(socket) = self.sockets.get_mut(&cookie) else {
            return;
        };
        socket.references = socket.references.saturating_sub(1);
        if socket.references > 0 {
            return;
        }
        let unseen = socket.shared && socket.announced() && !socket.lost && socket.maybe.is_none();
        if unseen {
            let counters = Box::new(socket.counters);
            self.steps.push(Step::Unseen(cookie, counters));
        }
        self.forget(cookie);
    }

    fn forget(&mut self, cookie: u64) {
        let Some(socket) = self.sockets.remove(&cookie) else {
            return;
        };
        self.count_maybe(&socket);
        self.unname(&socket.name, cookie);
    }

    fn count_maybe(&mut self, socket: &Socket) {
        if socket.maybe.is_some() {
            self.counts.unknown_descriptors += 1;
        }
    }

    /// The descriptor is another's by now, and no line told of its end.
    pub(super) fn gone_unseen(&mut self, tid: u32, fd: i32) {
        let Some(slot) = self.descriptors.remove(tid, fd) else {
            return;
        };
        let What::Socket(cookie) = slot.what else {
            return;
        };
        self.check(cookie);
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.shared = true;
            socket.counters.end_flags |= flag::UNSEEN_END;
        }
        self.let_go(cookie);
    }

    /// A socket that was not known before.
    pub(super) fn add_socket(&mut self, name: SocketName) -> u64 {
        self.next += 1;
        let cookie = self.next;
        let mut socket = Socket::new(cookie, self.counts.lines, self.doubts);
        self.rename(&name, cookie);
        socket.name = name;
        self.sockets.insert(cookie, socket);
        cookie
    }

    /// The socket with a name, if there is one.
    pub(super) fn by_name(&self, name: &SocketName) -> Option<u64> {
        let inode = name.inode.and_then(|inode| self.inodes.get(&inode));
        let pair = || self.pairs.get(&(name.local?, name.peer?));
        inode.or_else(pair).copied()
    }

    /// Adds what a line says of a socket.
    pub(super) fn learn(&mut self, cookie: u64, name: &SocketName) {
        let Some(socket) = self.sockets.get_mut(&cookie) else {
            return;
        };
        if socket.name == *name {
            return;
        }
        socket.name.learn(name);
        let name = socket.name.clone();
        self.rename(&name, cookie);
    }

    fn rename(&mut self, name: &SocketName, cookie: u64) {
        if let Some(inode) = name.inode {
            self.inodes.insert(inode, cookie);
        }
        if let (Some(local), Some(peer)) = (name.local, name.peer) {
            self.pairs.insert((local, peer), cookie);
        }
    }

    fn unname(&mut self, name: &SocketName, cookie: u64) {
        if let Some(inode) = name.inode
            && self.inodes.get(&inode) == Some(&cookie)
        {
            self.inodes.remove(&inode);
        }
        if let (Some(local), Some(peer)) = (name.local, name.peer)
            && self.pairs.get(&(local, peer)) == Some(&cookie)
        {
            self.pairs.remove(&(local, peer));
        }
    }

    /// Notices what became of a socket since it was last looked at: lines that
    /// could not be read.
    pub(super) fn check(&mut self, cookie: u64) {
        if let Some(socket) = self.sockets.get(&cookie)
            && socket.doubts != self.doubts
        {
            self.lose(cookie);
        }
    }

    /// Nothing more that is told of this socket can be relied on.
    pub(super) fn lose(&mut self, cookie: u64) {
        let Some(socket) = self.sockets.get_mut(&cookie) else {
            return;
        };
        if !std::mem::replace(&mut socket.lost, true)
            && socket.announced()
            && socket.maybe.is_none()
        {
            self.steps.push(Step::Lost(cookie));
        }
    }

    /// A shutdown is judged as soon as no send is in progress.
    pub(super) fn settle(&mut self, cookie: u64) {
        if let Some(socket) = self.sockets.get(&cookie)
            && socket.was_shut()
            && socket.sending == 0
            && !socket.lost
            && socket.maybe.is_none()
            && socket.announced()
        {
            let counters = Box::new(socket.counters);
            self.steps.push(Step::Settle(cookie, counters));
        }
    }
}

/// What is before a message of strace's that interrupts a line: `-f` without
/// `-o` tells of a new process in the midst of the call that makes it.
fn interrupted(text: &[u8]) -> Option<&[u8]> {
    let start = text.trim_ascii_end();
    if !start.ends_with(b" attached") {
        return None;
    }
    let at = memchr::memmem::rfind(start, b"strace: Process ")?;
    text.get(..at).filter(|before| !before.is_empty())
}
