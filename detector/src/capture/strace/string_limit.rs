//! The length at which strace cuts strings (`-s`), as the log shows it.

/// So many strings that are cut at one length show strace's own.
const ALIKE: u32 = 3;

/// The length at which strings were cut, and how often it was this one.
#[derive(Debug, Default)]
pub(super) struct StringLimit {
    bytes: usize,
    times: u32,
}

impl StringLimit {
    /// Notes a string that was cut at this length. Returns whether several others were
    /// cut at another: then this one was changed.
    pub(super) fn is_unlike(&mut self, bytes: usize) -> bool {
        if bytes == self.bytes {
            self.times = self.times.saturating_add(1);
            return false;
        }
        if self.times >= ALIKE {
            return true;
        }
        (self.bytes, self.times) = (bytes, 1);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_elsewhere_is_unlike_the_others() {
        let mut limit = StringLimit::default();
        assert!(!limit.is_unlike(32) && !limit.is_unlike(40) && !limit.is_unlike(40));
        assert!(!limit.is_unlike(40));
        assert!(limit.is_unlike(32) && !limit.is_unlike(40) && limit.is_unlike(41));
    }
}
