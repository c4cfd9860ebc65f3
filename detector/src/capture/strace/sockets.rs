//! The sockets that are known, by cookie and by name, and what becomes of them.

use std::collections::HashMap;

use detector_common::{EndKind, flag};

use super::{
    name_index::NameIndex,
    payload::Payload,
    peers::{Endpoint, PeerState, Peers},
    socket::{Call, CallStamp, Socket, Step},
    socket_name::SocketName,
};

/// Sockets, by cookie and by name, and the steps that the lines so far came to.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    by_cookie: HashMap<u64, Socket>,
    names: NameIndex,
    peers: Peers,
    steps: Vec<Step>,
    /// How many there were; the last cookie.
    opened: u64,
    /// How often the log was in doubt.
    doubts: u64,
}

impl Sockets {
    pub(super) fn get(&self, cookie: u64) -> Option<&Socket> {
        self.by_cookie.get(&cookie)
    }

    pub(super) fn get_mut(&mut self, cookie: u64) -> Option<&mut Socket> {
        self.by_cookie.get_mut(&cookie)
    }

    pub(super) fn contains(&self, cookie: u64) -> bool {
        self.by_cookie.contains_key(&cookie)
    }

    /// Returns all cookies, in order.
    pub(super) fn cookies(&self) -> Vec<u64> {
        let mut cookies: Vec<_> = self.by_cookie.keys().copied().collect();
        cookies.sort_unstable();
        cookies
    }

    /// Removes every socket, in the order of cookies.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, Socket)> {
        let mut all: Vec<_> = std::mem::take(&mut self.by_cookie).into_iter().collect();
        all.sort_unstable_by_key(|(cookie, _)| *cookie);
        all.into_iter()
    }

    /// Whether there was any.
    pub(super) fn were_opened(&self) -> bool {
        self.opened > 0
    }

    /// Takes what the lines so far came to.
    pub(super) fn take_steps(&mut self) -> std::vec::Drain<'_, Step> {
        self.steps.drain(..)
    }

    pub(super) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Adds a socket that was not known before, opened in this line.
    pub(super) fn add(&mut self, name: SocketName, line: u64) -> u64 {
        self.opened += 1;
        let cookie = self.opened;
        let mut socket = Socket::new(cookie, line, self.doubts);
        self.names.insert(&name, cookie);
        if name.packets {
            socket.counters.send_flags |= flag::PACKETS;
        }
        socket.name = name;
        self.by_cookie.insert(cookie, socket);
        self.pair_with_peer(cookie);
        cookie
    }

    /// Returns the socket with a name, if there is one.
    pub(super) fn by_name(&self, name: &SocketName) -> Option<u64> {
        self.names.find(name)
    }

    /// Adds what a line says of a socket.
    pub(super) fn learn(&mut self, cookie: u64, name: &SocketName) {
        let Some(socket) = self.by_cookie.get_mut(&cookie) else {
            return;
        };
        if socket.name == *name {
            return;
        }
        socket.name.learn(name);
        if name.packets {
            socket.counters.send_flags |= flag::PACKETS;
        }
        self.names.insert(&socket.name, cookie);
        self.pair_with_peer(cookie);
    }

    /// Notes a call that sent.
    pub(super) fn send(&mut self, cookie: u64, call: Call, payload: Payload, stamp: CallStamp) {
        if let Some(socket) = self.by_cookie.get_mut(&cookie) {
            socket.send(call, payload, stamp, &mut self.steps);
        }
    }

    /// Notes a call that received.
    pub(super) fn receive(&mut self, cookie: u64, call: Call, payload: Payload, stamp: CallStamp) {
        if let Some(socket) = self.by_cookie.get_mut(&cookie) {
            socket.receive(call, payload, stamp, &mut self.steps);
        }
    }

    /// Notes that this side ends the connection, or one descriptor of it: `detail` is
    /// how it was shut down, the wait status, and the walk.
    pub(super) fn end(
        &mut self,
        cookie: u64,
        kind: EndKind,
        detail: (u32, u32, u32),
        fd: i32,
        stamp: CallStamp,
    ) {
        if let Some(socket) = self.by_cookie.get_mut(&cookie) {
            socket.end(kind, detail, fd, stamp, &mut self.steps);
        }
    }

    /// Notes that the descriptor is a socket's, by a call that only sockets take. Returns
    /// whether that makes it a connection that counts.
    pub(super) fn confirm(&mut self, cookie: u64) -> bool {
        let Some(socket) = self.by_cookie.get_mut(&cookie) else {
            return false;
        };
        let Some(held) = socket.maybe.take() else {
            return false;
        };
        self.steps.extend(held);
        if socket.lost && socket.announced() {
            self.steps.push(Step::Lost(cookie));
        }
        socket.announced()
    }

    /// Notes that a descriptor of the socket is gone, with a record. Returns the socket,
    /// if that was the last. `receives`: the log shows every receive.
    pub(super) fn release(&mut self, cookie: u64, receives: bool) -> Option<Socket> {
        let socket = self.by_cookie.get_mut(&cookie)?;
        socket.references = socket.references.saturating_sub(1);
        // A send that has not returned holds it too.
        if socket.references > 0 || socket.sending > 0 {
            return None;
        }
        let unseen = socket.shared;
        self.remove(cookie, unseen, receives)
    }

    /// Notes that a send is over that was in progress. Returns the socket, if only that
    /// send held it.
    pub(super) fn finish_send(&mut self, cookie: u64, receives: bool) -> Option<Socket> {
        let socket = self.by_cookie.get_mut(&cookie)?;
        socket.sending = socket.sending.saturating_sub(1);
        let (sending, references) = (socket.sending, socket.references);
        self.settle(cookie);
        if sending > 0 || references > 0 {
            return None;
        }
        self.remove(cookie, true, receives)
    }

    /// Removes a socket of which nothing is left; `unseen`: without a record.
    fn remove(&mut self, cookie: u64, unseen: bool, receives: bool) -> Option<Socket> {
        let socket = self.by_cookie.get(&cookie)?;
        if unseen && socket.is_reportable() {
            let counters = Box::new(socket.counters);
            self.steps.push(Step::Unseen(cookie, counters));
        }
        let state = socket.state_when_closed(unseen, receives);
        let alone = matches!(socket.peer, PeerState::Closed { .. });
        let endpoints = endpoints(socket);
        self.set_peer_state(cookie, state);
        if let Some(endpoints) = endpoints {
            self.peers
                .left(endpoints, cookie, (!alone).then_some(state));
        }
        let socket = self.by_cookie.remove(&cookie)?;
        self.names.remove(&socket.name, cookie);
        Some(socket)
    }

    /// Tells the other end of the connection what became of this one.
    fn set_peer_state(&mut self, cookie: u64, state: PeerState) {
        if let Some((own, other)) = self.by_cookie.get(&cookie).and_then(endpoints)
            && self.peers.living(own) == Some(cookie)
            && let Some(other) = self.peers.living(other)
            && let Some(other) = self.by_cookie.get_mut(&other)
        {
            other.peer = state;
        }
    }

    /// Tells the other end that this one was shut down.
    pub(super) fn notify_shutdown(&mut self, cookie: u64) {
        if let Some(socket) = self.by_cookie.get(&cookie) {
            let state = socket.shut();
            self.set_peer_state(cookie, state);
        }
    }

    /// Joins the two ends of a connection, once this one's name is known.
    fn pair_with_peer(&mut self, cookie: u64) {
        let Some((own, other)) = self.by_cookie.get(&cookie).and_then(endpoints) else {
            return;
        };
        if self.peers.living(own) == Some(cookie) {
            return;
        }
        let closed = self.peers.named((own, other), cookie);
        let living = self.peers.living(other);
        let shut = living.and_then(|other| Some(self.by_cookie.get(&other)?.shut()));
        if let Some(state) = shut.or(closed)
            && let Some(socket) = self.by_cookie.get_mut(&cookie)
        {
            socket.peer = state;
        }
        self.notify_shutdown(cookie);
    }

    /// Notes that lines are missing: they may have been about any socket there is.
    pub(super) fn doubt_all(&mut self) {
        self.doubts += 1;
    }

    /// Distrusts a socket if the log was in doubt since the last look at it.
    pub(super) fn check(&mut self, cookie: u64) {
        if let Some(socket) = self.by_cookie.get(&cookie)
            && socket.doubts != self.doubts
        {
            self.distrust(cookie);
        }
    }

    /// The same before this side ends it: whether the other end sent more than it read.
    pub(super) fn check_end(&mut self, cookie: u64) {
        self.check(cookie);
        let Some((_, other)) = self.by_cookie.get(&cookie).and_then(endpoints) else {
            return;
        };
        let other = self.peers.living(other);
        let Some(other) = other.and_then(|other| self.by_cookie.get(&other)) else {
            return;
        };
        let sent = other.counters.sent;
        if let Some(socket) = self.by_cookie.get_mut(&cookie)
            && socket.counters.from_start == 1
            && sent > socket.counters.received
        {
            socket.is_readable();
        }
    }

    /// Notes that nothing more that the log shows of this socket can be relied on.
    pub(super) fn distrust(&mut self, cookie: u64) {
        let Some(socket) = self.by_cookie.get_mut(&cookie) else {
            return;
        };
        if !std::mem::replace(&mut socket.lost, true)
            && socket.announced()
            && socket.maybe.is_none()
        {
            self.steps.push(Step::Lost(cookie));
        }
    }

    /// Has a shutdown judged as soon as no send is in progress.
    pub(super) fn settle(&mut self, cookie: u64) {
        if let Some(socket) = self.by_cookie.get(&cookie)
            && socket.was_shut()
            && socket.sending == 0
            && socket.is_reportable()
        {
            let counters = Box::new(socket.counters);
            self.steps.push(Step::Settle(cookie, counters));
        }
    }
}

fn endpoints(socket: &Socket) -> Option<(Endpoint, Endpoint)> {
    Endpoint::both(&socket.name)
}
