//! Shutdown, and descriptors that go away or become several.

use detector_common::{EndKind, flag};

use super::{descriptor, glance};
use crate::capture::strace::{
    arguments::{Arguments, has_flag, number},
    descriptors::What,
    replay::Replay,
    result::Returned,
    socket_name::{ParsedName, parse_name},
};

/// `ENOTCONN` (errno(3)): of a shutdown, the connection is gone.
const ENOTCONN: u32 = 107;

/// shutdown(2).
const SHUT_RDWR: u32 = 2;

impl Replay {
    pub(super) fn shutdown(
        &mut self,
        tid: u32,
        arguments: &Arguments<'_>,
        returned: Returned,
    ) -> Option<()> {
        let (fd, annotation) = descriptor(arguments.at(0))?;
        let how = arguments.at(1);
        let has = |name: &str| memchr::memmem::find(how, name.as_bytes()).is_some();
        let how = if has("SHUT_RDWR") {
            SHUT_RDWR
        } else if has("SHUT_WR") {
            1
        } else if has("SHUT_RD") {
            0
        } else {
            // Older ones say it in words: `1 /* send */`.
            let word = how.split(|byte| *byte == b' ').next()?;
            u32::try_from(number(word)?).ok()?
        };
        match returned {
            Returned::Value(1..) => return None,
            Returned::Value(0) | Returned::Unknown | Returned::Error(ENOTCONN) => {}
            _ => return Some(()),
        }
        self.hear_threads(tid);
        let Some(cookie) = self.resolve(tid, fd, annotation, true) else {
            return Some(());
        };
        self.sockets.check_end(cookie);
        let moment = self.moment(tid);
        let socket = self.sockets.get_mut(cookie)?;
        if how == 0 {
            socket.counters.end_flags |= flag::SHUT_RD;
            self.sockets.notify_shutdown(cookie);
            return Some(());
        }
        if socket.was_shut() {
            return Some(());
        }
        if returned == Returned::Error(ENOTCONN) {
            socket.peer_is_gone();
        }
        socket.counters.end_flags |= flag::SHUT_WR;
        let detail = (how, 0, 0);
        self.sockets
            .end(cookie, EndKind::Shutdown, detail, fd, moment);
        if how == SHUT_RDWR {
            let socket = self.sockets.get_mut(cookie)?;
            socket.counters.end_flags |= flag::SHUT_RD;
        }
        self.sockets.notify_shutdown(cookie);
        self.sockets.settle(cookie);
        Some(())
    }

    /// A descriptor goes away.
    pub(super) fn close(&mut self, tid: u32, fd: i32, annotation: &[u8], kind: EndKind, walk: u32) {
        self.hear_threads(tid);
        if !annotation.is_empty() && glance(annotation) {
            // It may be known by its name, from another thread.
            if let ParsedName::Socket(name) = parse_name(annotation) {
                if self.sockets.by_name(&name).is_some() {
                    self.resolve(tid, fd, annotation, false);
                } else {
                    self.closed.used(&name);
                }
            }
        }
        let moment = self.moment(tid);
        let Some(slot) = self.descriptors.remove(tid, fd) else {
            return;
        };
        let What::Socket(cookie) = slot.what else {
            return;
        };
        self.sockets.check_end(cookie);
        self.sockets.end(cookie, kind, (0, 0, walk), fd, moment);
        if let Some(thread) = self.descriptors.threads.get(&tid) {
            self.closed.closed(thread.table, fd, cookie);
        }
        self.release(cookie);
    }

    pub(super) fn close_range(&mut self, tid: u32, first: i32, last: i32, flags: &[u8]) {
        self.hear_threads(tid);
        let flag = |name, value| {
            has_flag(flags, name) || number(flags).is_some_and(|flags| flags & value != 0)
        };
        let marks = flag("CLOSE_RANGE_CLOEXEC", 4);
        if first <= last && flag("CLOSE_RANGE_UNSHARE", 2) {
            self.unshare(tid);
        }
        let Some(table) = self.descriptors.table_of(tid) else {
            return;
        };
        if first > last {
            return;
        }
        if marks {
            for (_, slot) in table.slots.range_mut(first..=last) {
                slot.close_on_exec = true;
            }
            return;
        }
        let fds: Vec<_> = table.slots.range(first..=last).map(|(fd, _)| *fd).collect();
        let walk = self.walk();
        // All of a socket's descriptors are met with all of them still open.
        let moment = self.moment(tid);
        let mut gone = Vec::new();
        for fd in fds {
            if let Some(slot) = self.descriptors.remove(tid, fd)
                && let What::Socket(cookie) = slot.what
            {
                self.sockets.check_end(cookie);
                self.sockets
                    .end(cookie, EndKind::CloseRange, (0, 0, walk), fd, moment);
                gone.push(cookie);
            }
        }
        for cookie in gone {
            self.release(cookie);
        }
    }

    pub(super) fn duplicate(
        &mut self,
        tid: u32,
        (fd, annotation): (i32, &[u8]),
        new: i32,
        close_on_exec: bool,
    ) {
        self.close_unseen(tid, new);
        let known = self.descriptors.slot(tid, fd).map(|slot| slot.what);
        let what = if annotation.is_empty() {
            known
        } else {
            self.resolve(tid, fd, annotation, false).map(What::Socket)
        };
        match what {
            Some(What::Socket(cookie)) => {
                if let Some(socket) = self.sockets.get_mut(cookie) {
                    socket.references += 1;
                }
                self.descriptors
                    .set(tid, new, What::Socket(cookie), close_on_exec);
            }
            Some(What::File) => self.descriptors.set(tid, new, What::File, close_on_exec),
            None if annotation.is_empty() => self.doubt_number(tid, fd),
            None => {}
        }
    }

    /// A process takes a copy of another's descriptor.
    pub(super) fn copy_descriptor(&mut self, tid: u32, new: i32, of: i32, annotation: &[u8]) {
        self.close_unseen(tid, new);
        if let ParsedName::Socket(name) = parse_name(annotation) {
            if let Some(cookie) = self.sockets.by_name(&name) {
                if let Some(socket) = self.sockets.get_mut(cookie) {
                    socket.references += 1;
                    socket.shared = true;
                }
                self.descriptors.set(tid, new, What::Socket(cookie), true);
            } else {
                self.finds(tid, new, *name);
            }
            return;
        }
        if !annotation.is_empty() {
            return;
        }
        // Whose it is no line tells: it may be any with that number.
        let tables = self.descriptors.tables.values();
        let cookies: Vec<_> = tables
            .filter_map(|table| match table.slots.get(&of)?.what {
                What::Socket(cookie) => Some(cookie),
                What::File => None,
            })
            .collect();
        for cookie in cookies {
            self.sharing.doubt(cookie);
            if let Some(socket) = self.sockets.get_mut(cookie) {
                socket.shared = true;
            }
        }
    }

    /// A process of which no line tells where it is from uses a number that no line
    /// opened: it may be a child's copy of another's.
    pub(super) fn doubt_number(&mut self, tid: u32, fd: i32) {
        let from_log = self
            .descriptors
            .threads
            .get(&tid)
            .is_none_or(|thread| thread.made)
            || self
                .descriptors
                .table_of(tid)
                .is_some_and(|table| table.exact);
        if from_log {
            return;
        }
        for (_, cookie) in self.descriptors.others_with(tid, fd) {
            self.sharing.doubt(cookie);
        }
    }
}
