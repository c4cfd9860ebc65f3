//! Which connections others than the threads that are seen may send on.
//!
//! A copy of a descriptor that went to a process of which there is no line may have
//! sent what seems to be missing, before a shutdown too.

use std::collections::{HashMap, HashSet};

use super::bounded_set::BoundedSet;

/// Most connections of which it is kept which children have them.
const MOST: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// The children that a connection was copied to.
    copied: HashMap<u64, Vec<u32>>,
    /// Children of which there is no line yet.
    unheard: HashSet<u32>,
    /// There were more connections than are kept.
    many: bool,
    /// Connections that were sent to other processes (`SCM_RIGHTS`), and whose copies
    /// were not received in the log: how many.
    passed: HashMap<u64, u32>,
    /// Those on which a process that has no line that says so may have sent.
    doubted: BoundedSet,
}

impl Sharing {
    /// A child of which there is no line has these connections too.
    pub(super) fn copied(&mut self, child: u32, cookies: &[u64]) {
        if cookies.is_empty() {
            return;
        }
        self.unheard.insert(child);
        for cookie in cookies {
            if self.copied.len() < MOST {
                self.copied.entry(*cookie).or_default().push(child);
            } else {
                self.many = true;
            }
        }
    }

    /// There is a line of this process or thread.
    pub(super) fn heard(&mut self, tid: u32) {
        if self.unheard.remove(&tid) && self.unheard.is_empty() {
            self.copied.clear();
            self.many = false;
        }
    }

    /// A descriptor of it was sent away.
    pub(super) fn passed(&mut self, cookie: u64) {
        if self.passed.len() >= MOST && !self.passed.contains_key(&cookie) {
            // Too many are kept: this one may be another's for good.
            self.doubted.insert(cookie);
            return;
        }
        *self.passed.entry(cookie).or_default() += 1;
    }

    /// One that was sent was received.
    pub(super) fn received(&mut self, cookie: u64) {
        if let Some(count) = self.passed.get_mut(&cookie) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.passed.remove(&cookie);
            }
        }
    }

    /// Another process may have sent on it.
    pub(super) fn doubt(&mut self, cookie: u64) {
        self.doubted.insert(cookie);
    }

    /// Whether others than those that are seen may have sent on it.
    pub(super) fn has(&self, cookie: u64) -> bool {
        let unheard = |child: &u32| self.unheard.contains(child);
        self.doubted.contains(cookie)
            || self.passed.contains_key(&cookie)
            || (self.many && !self.unheard.is_empty())
            || self
                .copied
                .get(&cookie)
                .is_some_and(|children| children.iter().any(unheard))
    }
}
