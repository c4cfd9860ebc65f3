//! The sockets that are known, by cookie and by name.

use detector_common::flag;

use crate::capture::strace::{
    descriptors::What,
    evidence::Sure,
    peers::{Endpoint, PeerState},
    replay::Replay,
    socket::{Socket, Step},
    socket_name::SocketName,
};

impl Replay {
    /// A descriptor of the socket is gone, and told so.
    pub(in crate::capture::strace) fn release(&mut self, cookie: u64) {
        let Some(socket) = self.sockets.get_mut(&cookie) else {
            return;
        };
        socket.references = socket.references.saturating_sub(1);
        // A send that has not returned holds it too.
        if socket.references == 0 && socket.sending == 0 {
            let unseen = socket.shared;
            self.remove(cookie, unseen);
        }
    }

    /// Nothing of the socket is left; `unseen`: no record told so.
    pub(super) fn remove(&mut self, cookie: u64, unseen: bool) {
        let Some(socket) = self.sockets.get(&cookie) else {
            return;
        };
        if unseen && socket.announced() && !socket.lost && socket.maybe.is_none() {
            let counters = Box::new(socket.counters);
            self.steps.push(Step::Unseen(cookie, counters));
        }
        // What sends is traced, so what receives is: both are in the same classes.
        let receives = self.evidence.sends() == Sure::Yes;
        let how = socket.closed(unseen, receives);
        let alone = matches!(socket.other, PeerState::Closed { .. });
        let sides = sides(socket);
        self.set_peer_state(cookie, how);
        if let Some(sides) = sides {
            self.peers.left(sides, cookie, (!alone).then_some(how));
        }
        self.forget(cookie);
    }

    /// What became of this end of a connection the other knows.
    fn set_peer_state(&mut self, cookie: u64, how: PeerState) {
        if let Some((own, other)) = self.sockets.get(&cookie).and_then(sides)
            && self.peers.living(own) == Some(cookie)
            && let Some(other) = self.peers.living(other)
            && let Some(other) = self.sockets.get_mut(&other)
        {
            other.other = how;
        }
    }

    /// This end was shut down.
    pub(in crate::capture::strace) fn notify_shutdown(&mut self, cookie: u64) {
        if let Some(socket) = self.sockets.get(&cookie) {
            let how = socket.shut();
            self.set_peer_state(cookie, how);
        }
    }

    /// Which end of a connection the socket is got known.
    fn pair_with_peer(&mut self, cookie: u64) {
        let Some((own, other)) = self.sockets.get(&cookie).and_then(sides) else {
            return;
        };
        if self.peers.living(own) == Some(cookie) {
            return;
        }
        let gone = self.peers.named((own, other), cookie);
        let living = self.peers.living(other);
        let shut = living.and_then(|other| Some(self.sockets.get(&other)?.shut()));
        if let Some(how) = shut.or(gone)
            && let Some(socket) = self.sockets.get_mut(&cookie)
        {
            socket.other = how;
        }
        self.notify_shutdown(cookie);
    }

    fn forget(&mut self, cookie: u64) {
        let Some(socket) = self.sockets.remove(&cookie) else {
            return;
        };
        self.count_maybe(&socket);
        self.unname(&socket.name, cookie);
        if socket.announced() {
            self.closed.add(&socket);
            let unanswered = !socket.lost && socket.maybe.is_none() && socket.got_request();
            self.counts.unanswered += u64::from(unanswered);
        }
    }

    pub(super) fn count_maybe(&mut self, socket: &Socket) {
        if socket.maybe.is_some() {
            self.counts.unknown_descriptors += 1;
        }
    }

    /// The descriptor is another's by now, and no line told of its end.
    pub(in crate::capture::strace) fn close_unseen(&mut self, tid: u32, fd: i32) {
        if let Some(thread) = self.descriptors.threads.get(&tid) {
            self.closed.opened(thread.table, fd);
        }
        let Some(slot) = self.descriptors.remove(tid, fd) else {
            return;
        };
        let What::Socket(cookie) = slot.what else {
            return;
        };
        self.check(cookie);
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            self.counts.unseen_ends += u64::from(socket.announced() && !socket.lost);
            socket.shared = true;
            socket.counters.end_flags |= flag::UNSEEN_END;
        }
        self.release(cookie);
    }

    /// A socket that was not known before.
    pub(in crate::capture::strace) fn add_socket(&mut self, name: SocketName) -> u64 {
        self.next += 1;
        let cookie = self.next;
        let mut socket = Socket::new(cookie, self.counts.lines, self.doubts);
        self.rename(&name, cookie);
        if name.packets {
            socket.counters.send_flags |= flag::PACKETS;
        }
        socket.name = name;
        self.sockets.insert(cookie, socket);
        self.pair_with_peer(cookie);
        cookie
    }

    /// The socket with a name, if there is one.
    pub(in crate::capture::strace) fn by_name(&self, name: &SocketName) -> Option<u64> {
        let inode = name.inode.and_then(|inode| self.inodes.get(&inode));
        let pair = || self.pairs.get(&(name.local?, name.peer?));
        inode.or_else(pair).copied()
    }

    /// Adds what a line says of a socket.
    pub(in crate::capture::strace) fn learn(&mut self, cookie: u64, name: &SocketName) {
        let Some(socket) = self.sockets.get_mut(&cookie) else {
            return;
        };
        if socket.name == *name {
            return;
        }
        socket.name.learn(name);
        if name.packets {
            socket.counters.send_flags |= flag::PACKETS;
        }
        let name = socket.name.clone();
        self.rename(&name, cookie);
        self.pair_with_peer(cookie);
    }

    pub(super) fn rename(&mut self, name: &SocketName, cookie: u64) {
        if let Some(inode) = name.inode {
            self.inodes.insert(inode, cookie);
        }
        if let (Some(local), Some(peer)) = (name.local, name.peer) {
            self.pairs.insert((local, peer), cookie);
        }
    }

    pub(super) fn unname(&mut self, name: &SocketName, cookie: u64) {
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
    pub(in crate::capture::strace) fn check(&mut self, cookie: u64) {
        if let Some(socket) = self.sockets.get(&cookie)
            && socket.doubts != self.doubts
        {
            self.distrust(cookie);
        }
    }

    /// The same before this side ends it: whether the other end sent more than it read.
    pub(in crate::capture::strace) fn check_end(&mut self, cookie: u64) {
        self.check(cookie);
        let Some((_, other)) = self.sockets.get(&cookie).and_then(sides) else {
            return;
        };
        let other = self.peers.living(other);
        let Some(other) = other.and_then(|other| self.sockets.get(&other)) else {
            return;
        };
        let sent = other.counters.sent;
        if let Some(socket) = self.sockets.get_mut(&cookie)
            && socket.counters.from_start == 1
            && sent > socket.counters.received
        {
            socket.is_readable();
        }
    }

    /// Nothing more that is told of this socket can be relied on.
    pub(in crate::capture::strace) fn distrust(&mut self, cookie: u64) {
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
    pub(in crate::capture::strace) fn settle(&mut self, cookie: u64) {
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

fn sides(socket: &Socket) -> Option<(Endpoint, Endpoint)> {
    Endpoint::both(&socket.name)
}
