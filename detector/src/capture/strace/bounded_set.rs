//! A set of connections that cannot grow for ever.

use std::collections::HashSet;

/// Most connections that a set names.
const MOST: usize = 1 << 18;

/// Connections of which something speaks against a finding, by cookie. Where there are
/// more of them than are kept, it is all connections: what is not known accuses nobody.
#[derive(Debug, Default)]
pub(super) struct BoundedSet {
    cookies: HashSet<u64>,
    all: bool,
}

impl BoundedSet {
    pub(super) fn insert(&mut self, cookie: u64) {
        if self.cookies.len() < MOST {
            self.cookies.insert(cookie);
        } else if !self.cookies.contains(&cookie) {
            self.all = true;
        }
    }

    pub(super) fn contains(&self, cookie: u64) -> bool {
        self.all || self.cookies.contains(&cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_all() {
        let mut named = BoundedSet::default();
        for cookie in 0..MOST as u64 {
            named.insert(cookie);
        }
        named.insert(1);
        assert!(named.contains(1) && !named.contains(u64::MAX));
        named.insert(u64::MAX);
        assert!(named.contains(MOST as u64 + 7));
    }
}
