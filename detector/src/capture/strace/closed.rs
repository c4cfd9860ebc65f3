//! Connections that ended, so far as the log tells, and what speaks against it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    bounded_set::BoundedSet, name_index::NameIndex, socket::Socket, socket_name::SocketName,
};

/// Most ended connections and strangers that are kept.
const MOST: usize = 1 << 14;

/// What connections that ended may yet be refuted by: that somebody goes on with one,
/// or, in a log that does not tell of all copies and children, was made meanwhile.
#[derive(Debug, Default)]
pub(super) struct ClosedConnections {
    /// The line that each was opened in, by its cookie.
    born: HashMap<u64, u64>,
    names: NameIndex,
    order: VecDeque<(u64, SocketName)>,
    /// The descriptors that were closed, by their tables.
    numbers: HashMap<(u32, i32), u64>,
    /// Those that somebody went on with.
    went_on: BoundedSet,
    /// Threads of unknown origin, by their first line.
    strangers: BTreeMap<u64, u32>,
    /// There were more.
    many: u64,
}

impl ClosedConnections {
    /// This connection ended, so far as the log tells.
    pub(super) fn add(&mut self, socket: &Socket) {
        let (cookie, name) = (socket.cookie, &socket.name);
        if self.order.len() >= MOST
            && let Some((cookie, name)) = self.order.pop_front()
        {
            self.born.remove(&cookie);
            self.names.remove(&name, cookie);
        }
        self.born.insert(cookie, socket.born);
        self.names.insert(name, cookie);
        self.order.push_back((cookie, name.clone()));
    }

    /// Another connection has the name now.
    pub(super) fn replaced(&mut self, name: &SocketName) {
        self.names.clear(name);
    }

    /// This descriptor of it was closed.
    pub(super) fn closed(&mut self, table: u32, fd: i32, cookie: u64) {
        if self.numbers.len() >= MOST {
            self.numbers.clear();
        }
        self.numbers.insert((table, fd), cookie);
    }

    /// The number is another's.
    pub(super) fn opened(&mut self, table: u32, fd: i32) {
        self.numbers.remove(&(table, fd));
    }

    /// Somebody sends on a number that was closed, and not opened since.
    pub(super) fn sent_on(&mut self, table: u32, fd: i32) {
        if let Some(cookie) = self.numbers.remove(&(table, fd)) {
            self.went_on.insert(cookie);
        }
    }

    /// Whether somebody went on with a connection that ended.
    pub(super) fn went_on(&self, cookie: u64) -> bool {
        self.went_on.contains(cookie)
    }

    /// Somebody uses a socket with this name, which was not opened since.
    pub(super) fn used(&mut self, name: &SocketName) {
        if let Some(cookie) = self.names.find(name) {
            self.went_on.insert(cookie);
        }
    }

    /// A thread of which nothing tells whose it is.
    pub(super) fn stranger(&mut self, tid: u32, line: u64) {
        if self.strangers.len() < MOST {
            self.strangers.insert(line, tid);
        } else {
            self.many = line;
        }
    }

    /// It shares another's descriptors: it is a thread, and no child.
    pub(super) fn is_known(&mut self, tid: u32) {
        self.strangers.retain(|_, stranger| *stranger != tid);
    }

    /// Whether nothing speaks for another holder of this connection.
    pub(super) fn had_one_holder(&self, cookie: u64) -> bool {
        let Some(born) = self.born.get(&cookie) else {
            return false;
        };
        let last = self.strangers.keys().next_back().copied().unwrap_or(0);
        !self.went_on.contains(cookie) && last.max(self.many) <= *born
    }
}
