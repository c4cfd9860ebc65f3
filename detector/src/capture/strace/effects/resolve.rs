//! Which socket a descriptor is.

use super::glance;
use crate::capture::strace::{
    descriptors::What,
    replay::Replay,
    socket_name::{ParsedName, SocketName, parse_name},
};

impl Replay {
    /// The socket behind a descriptor, made if it is not known. `certain`: only
    /// sockets take the call.
    pub(super) fn resolve(
        &mut self,
        tid: u32,
        fd: i32,
        annotation: &[u8],
        certain: bool,
    ) -> Option<u64> {
        let slot = self.descriptors.slot(tid, fd).map(|slot| slot.what);
        let name = if annotation.is_empty() {
            ParsedName::Nothing
        } else if glance(annotation) {
            parse_name(annotation)
        } else {
            ParsedName::NoSocket
        };
        match (name, slot) {
            (ParsedName::NoSocket, Some(What::Socket(_))) => {
                self.close_unseen(tid, fd);
                None
            }
            (ParsedName::NoSocket, _) => None,
            (ParsedName::Nothing, Some(What::Socket(cookie))) => {
                if certain {
                    self.is_socket(cookie);
                }
                Some(cookie)
            }
            (ParsedName::Nothing, Some(What::File)) if !certain => None,
            (ParsedName::Nothing, _) => {
                let cookie = self.joins(tid, fd, SocketName::default());
                if !certain && let Some(socket) = self.sockets.get_mut(cookie) {
                    socket.maybe = Some(Vec::new());
                }
                Some(cookie)
            }
            (ParsedName::Socket(name), Some(What::Socket(cookie))) => {
                if self
                    .sockets
                    .get(cookie)
                    .is_some_and(|socket| socket.name.may_be(&name))
                {
                    self.is_socket(cookie);
                    self.sockets.learn(cookie, &name);
                    return Some(cookie);
                }
                self.close_unseen(tid, fd);
                self.finds(tid, fd, *name)
            }
            (ParsedName::Socket(name), _) => self.finds(tid, fd, *name),
        }
    }

    /// A descriptor that is new here, of a socket with a name.
    pub(super) fn finds(&mut self, tid: u32, fd: i32, name: SocketName) -> Option<u64> {
        if name.no_stream {
            return None;
        }
        match self.sockets.by_name(&name) {
            Some(cookie) => {
                self.adopts(tid, fd, cookie);
                self.sockets.learn(cookie, &name);
                Some(cookie)
            }
            None => Some(self.joins(tid, fd, name)),
        }
    }

    /// A socket that was open before the log began, or before it was traced.
    pub(super) fn joins(&mut self, tid: u32, fd: i32, name: SocketName) -> u64 {
        // What was in progress when it was closed is no use after it.
        if self.resumed.is_none() {
            self.closed.used(&name);
        }
        let cookie = self.add_socket(name);
        if let Some(socket) = self.sockets.get_mut(cookie) {
            // Who else has it is not known.
            socket.shared = true;
        }
        self.descriptors.set(tid, fd, What::Socket(cookie), false);
        self.doubt_blind(tid, fd, cookie);
        if self.may_have_missed_calls() {
            self.sockets.distrust(cookie);
        }
        cookie
    }

    /// A thread uses a socket that another had: they share their descriptors,
    /// or it was passed on.
    pub(super) fn adopts(&mut self, tid: u32, fd: i32, cookie: u64) {
        let born = self.sockets.get(cookie).map_or(0, |socket| socket.born);
        let owner = self
            .descriptors
            .others_with(tid, fd)
            .into_iter()
            .find(|(_, other)| *other == cookie)
            .map(|(table, _)| table);
        let older = self
            .descriptors
            .threads
            .get(&tid)
            .is_some_and(|thread| !thread.made && (thread.first < born || self.forks));
        if let Some(owner) = owner
            && older
        {
            // It was there when the socket was opened, and is no later child.
            self.merges(tid, owner);
            return;
        }
        if let Some(socket) = self.sockets.get_mut(cookie) {
            socket.references += 1;
            socket.shared = true;
        }
        self.close_unseen(tid, fd);
        self.descriptors.set(tid, fd, What::Socket(cookie), false);
    }

    /// The thread turns out to share this table.
    pub(super) fn merges(&mut self, tid: u32, into: u32) {
        let Some(from) = self
            .descriptors
            .threads
            .get(&tid)
            .map(|thread| thread.table)
        else {
            return;
        };
        let Some(old) = self.descriptors.tables.remove(&from) else {
            return;
        };
        for thread in &old.threads {
            self.closed.is_known(*thread);
            if let Some(thread) = self.descriptors.threads.get_mut(thread) {
                thread.table = into;
            }
        }
        let mut gone = Vec::new();
        if let Some(table) = self.descriptors.tables.get_mut(&into) {
            table.threads.extend(&old.threads);
            self.threads = true;
            table.exact = false;
            table.blind |= old.blind;
            for (fd, slot) in old.slots {
                if let Some(kept) = table.slots.get(&fd) {
                    if let What::Socket(cookie) = slot.what {
                        gone.push((cookie, kept.what == slot.what));
                    }
                } else {
                    table.slots.insert(fd, slot);
                }
            }
        }
        for (cookie, same) in gone {
            if !same && let Some(socket) = self.sockets.get_mut(cookie) {
                socket.shared = true;
            }
            self.release(cookie);
        }
    }

    /// It is a socket, by a call that only sockets take.
    pub(super) fn is_socket(&mut self, cookie: u64) {
        self.counts.connections += u64::from(self.sockets.confirm(cookie));
    }
}
