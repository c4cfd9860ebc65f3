//! Connections by the names of their sockets.

use std::{collections::HashMap, net::SocketAddr};

use super::socket_name::SocketName;

/// Cookies by inode number and by addresses.
#[derive(Debug, Default)]
pub(super) struct NameIndex {
    inodes: HashMap<u64, u64>,
    pairs: HashMap<(SocketAddr, SocketAddr), u64>,
}

impl NameIndex {
    /// Returns the cookie under this name.
    pub(super) fn find(&self, name: &SocketName) -> Option<u64> {
        let inode = name.inode.and_then(|inode| self.inodes.get(&inode));
        let pair = || self.pairs.get(&(name.local?, name.peer?));
        inode.or_else(pair).copied()
    }

    pub(super) fn insert(&mut self, name: &SocketName, cookie: u64) {
        if let Some(inode) = name.inode {
            self.inodes.insert(inode, cookie);
        }
        if let (Some(local), Some(peer)) = (name.local, name.peer) {
            self.pairs.insert((local, peer), cookie);
        }
    }

    /// Removes the name, unless another connection has it by now.
    pub(super) fn remove(&mut self, name: &SocketName, cookie: u64) {
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

    /// Removes the name, whichever connection has it.
    pub(super) fn clear(&mut self, name: &SocketName) {
        if let Some(inode) = name.inode {
            self.inodes.remove(&inode);
        }
        if let (Some(local), Some(peer)) = (name.local, name.peer) {
            self.pairs.remove(&(local, peer));
        }
    }
}
