//! New descriptors.

use crate::capture::strace::{descriptors::What, replay::Replay, socket_name::SocketName};

impl Replay {
    /// A new descriptor of a new socket, seen from its first byte.
    pub(super) fn open_socket(
        &mut self,
        tid: u32,
        fd: u64,
        name: SocketName,
        close_on_exec: bool,
    ) -> Option<()> {
        let fd = i32::try_from(fd).ok()?;
        self.close_unseen(tid, fd);
        if name.no_stream {
            self.descriptors.set(tid, fd, What::File, close_on_exec);
            return Some(());
        }
        self.closed.replaced(&name);
        let cookie = self.add_socket(name);
        if let Some(socket) = self.sockets.get_mut(cookie) {
            socket.counters.from_start = 1;
        }
        self.descriptors
            .set(tid, fd, What::Socket(cookie), close_on_exec);
        self.doubt_blind(tid, fd, cookie);
        Some(())
    }

    /// What is to be said against a socket at once: calls that are not seen,
    /// and other processes that may be the same.
    pub(super) fn doubt_blind(&mut self, tid: u32, fd: i32, cookie: u64) {
        if self
            .descriptors
            .table_of(tid)
            .is_some_and(|table| table.blind)
        {
            self.sockets.distrust(cookie);
        }
        if self.apart {
            self.counts.untraced = self.counts.untraced.max(1);
            self.sockets.distrust(cookie);
        }
        // Without `-y` a number says nothing about whose it is.
        let named = self.sockets.get(cookie).is_some_and(|socket| {
            socket.name.inode.is_some()
                || (socket.name.local.is_some() && socket.name.peer.is_some())
        });
        if named {
            return;
        }
        let made = |tid: u32, this: &Self| {
            this.descriptors
                .threads
                .get(&tid)
                .is_some_and(|thread| thread.made)
        };
        if made(tid, self) {
            return;
        }
        for (table, other) in self.descriptors.others_with(tid, fd) {
            let related = self
                .descriptors
                .tables
                .get(&table)
                .is_some_and(|table| table.exact);
            if !related {
                self.counts.ambiguous += 1;
                self.sockets.distrust(other);
                self.sockets.distrust(cookie);
            }
        }
    }

    pub(super) fn open_file(&mut self, tid: u32, fd: u64) -> Option<()> {
        let fd = i32::try_from(fd).ok()?;
        self.close_unseen(tid, fd);
        self.descriptors.set(tid, fd, What::File, false);
        Some(())
    }
}
