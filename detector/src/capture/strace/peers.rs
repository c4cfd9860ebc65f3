//! The two ends of a connection, where the log has both: what one did the other was
//! told by the kernel.

use std::{collections::HashMap, net::SocketAddr};

use hashlink::LinkedHashMap;

use super::socket_name::SocketName;

/// Most ends that are kept of which the other was not seen yet: of connections that
/// wait to be accepted.
const MOST: usize = 1 << 14;

/// What the log tells of the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PeerState {
    /// Nothing.
    #[default]
    There,
    /// It was shut down, for sending (it will send no more), for receiving, or both.
    Shut { sends: bool, receives: bool },
    /// Its last descriptor is gone, so far as the log tells.
    Closed {
        /// Others may have it, or what it did is not known.
        unsure: bool,
        /// It sends a reset, whatever it left unread (`SO_LINGER`).
        resets: bool,
        /// Bytes that it received, where it is known; if it was sent more, it sends a
        /// reset (RFC 9293 section 3.6.1, RFC 2525 section 2.17).
        received: Option<u64>,
    },
}

/// One end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    /// Of a Unix socket, its inode.
    Inode(u64),
    /// Its own address and the peer's.
    Pair(SocketAddr, SocketAddr),
}

impl Endpoint {
    /// The end with this name, and the other.
    pub(super) fn both(name: &SocketName) -> Option<(Self, Self)> {
        if let (Some(inode), Some(peer)) = (name.inode, name.peer_inode) {
            return Some((Self::Inode(inode), Self::Inode(peer)));
        }
        // A socket for both kinds of IP has the same addresses in another form.
        let plain =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (local, peer) = (plain(name.local?), plain(name.peer?));
        (local != peer).then_some((Self::Pair(local, peer), Self::Pair(peer, local)))
    }
}

/// All with a name that says what the other is.
#[derive(Debug, Default)]
pub(super) struct Peers {
    living: HashMap<Endpoint, u64>,
    /// Those that are gone, and of which the other was not seen yet; the oldest first.
    gone: LinkedHashMap<Endpoint, PeerState>,
}

impl Peers {
    /// This socket is known as this end now; what the other is, if it is gone.
    pub(super) fn named(
        &mut self,
        (own, other): (Endpoint, Endpoint),
        cookie: u64,
    ) -> Option<PeerState> {
        self.living.insert(own, cookie);
        // That was another's of the same name.
        self.gone.remove(&own);
        self.gone.remove(&other)
    }

    /// The socket that is this end.
    pub(super) fn living(&self, side: Endpoint) -> Option<u64> {
        self.living.get(&side).copied()
    }

    /// The socket is gone; `how`, if the other end may have yet to be seen.
    pub(super) fn left(
        &mut self,
        (own, other): (Endpoint, Endpoint),
        cookie: u64,
        how: Option<PeerState>,
    ) {
        if self.living.get(&own) != Some(&cookie) {
            return;
        }
        self.living.remove(&own);
        let Some(how) = how.filter(|_| !self.living.contains_key(&other)) else {
            return;
        };
        self.gone.insert(own, how);
        if self.gone.len() > MOST {
            self.gone.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_are_gone_the_last_are_kept() {
        let mut peers = Peers::default();
        let both = |number: u64| (Endpoint::Inode(2 * number), Endpoint::Inode(2 * number + 1));
        let swapped = |number| (both(number).1, both(number).0);
        let how = PeerState::Shut {
            sends: true,
            receives: true,
        };
        let most = MOST as u64;
        for number in 0..=most {
            peers.named(both(number), number);
            peers.left(both(number), number, Some(how));
        }
        assert!(peers.living.is_empty() && peers.gone.len() == MOST);
        assert_eq!(peers.named(swapped(0), most + 1), None);
        assert_eq!(peers.named(swapped(1), most + 2), Some(how));
        // It is told once.
        assert_eq!(peers.gone.len(), MOST - 1);
        // Of one that was there, and was told, nothing is kept.
        peers.named(both(most + 1), most + 3);
        peers.named(swapped(most + 1), most + 4);
        peers.left(both(most + 1), most + 3, Some(how));
        peers.left(swapped(most + 1), most + 4, None);
        assert_eq!((peers.living.len(), peers.gone.len()), (2, MOST - 1));
        // What was told makes room: the oldest stays.
        peers.named(both(most + 5), most + 5);
        peers.left(both(most + 5), most + 5, Some(how));
        assert_eq!(peers.gone.len(), MOST);
        assert_eq!(peers.named(swapped(2), most + 6), Some(how));
    }
}
