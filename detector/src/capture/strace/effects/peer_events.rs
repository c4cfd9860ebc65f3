//! What poll(2) and epoll(7) say of the peer.

use crate::capture::strace::{
    arguments::{constant, number},
    descriptors::What,
    replay::Replay,
};

impl Replay {
    /// What poll(2) says of the peer.
    pub(super) fn peer_event(&mut self, tid: u32, fd: i32, flags: &[u8]) {
        if let Some(slot) = self.descriptors.slot(tid, fd)
            && let What::Socket(cookie) = slot.what
        {
            self.peer_event_on(cookie, flags);
        }
    }

    pub(super) fn peer_event_on(&mut self, cookie: u64, flags: &[u8]) {
        let Some(socket) = self.sockets.get_mut(cookie) else {
            return;
        };
        // With `-X raw`: poll(2), the same in epoll(7). POLLIN and POLLRDNORM are set at
        // the peer's end too.
        let bits = number(flags).unwrap_or(0);
        if bits & 0x18 != 0 {
            socket.peer_is_gone();
        } else if bits & 0x2000 != 0 {
            socket.peer_has_half_closed();
        }
        if bits & 0x41 != 0 {
            socket.is_readable();
        }
        let names = constant(flags);
        for flag in names.split(|byte| *byte == b'|') {
            if flag.ends_with(b"RDHUP") {
                socket.peer_has_half_closed();
            } else if flag.ends_with(b"HUP") || flag.ends_with(b"ERR") {
                socket.peer_is_gone();
            } else if flag.ends_with(b"LLIN") || flag.ends_with(b"RDNORM") {
                socket.is_readable();
            }
        }
    }
}
