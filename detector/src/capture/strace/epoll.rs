//! Which socket an epoll event is about (epoll(7)).

use std::collections::HashMap;

/// Most registrations that are kept before those of closed sockets go.
const MOST: usize = 1 << 16;

/// The registrations, by table of descriptors, descriptor of the epoll, and data.
#[derive(Debug, Default)]
pub(super) struct Epoll {
    sockets: HashMap<(u32, i32, u64), u64>,
}

impl Epoll {
    /// Notes that events with this data are about that socket. `is_open` says which
    /// sockets still are.
    pub(super) fn register(
        &mut self,
        (table, epoll, data): (u32, i32, u64),
        cookie: u64,
        is_open: impl Fn(u64) -> bool,
    ) {
        if self.sockets.len() >= MOST {
            self.sockets.retain(|_, cookie| is_open(*cookie));
        }
        self.sockets.insert((table, epoll, data), cookie);
    }

    /// Returns the socket that such an event is about.
    pub(super) fn socket(&self, event: (u32, i32, u64)) -> Option<u64> {
        self.sockets.get(&event).copied()
    }
}
