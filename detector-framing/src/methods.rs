//! Which request a response answers: they come back in order (RFC 9112 section 9.3.2).

/// A request's method, as far as it decides how its response is framed (RFC 9112 section
/// 6.3).
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Any other one.
    #[default]
    Other = 0,
    /// Its response has no body.
    Head = 1,
    /// A successful response begins a tunnel.
    Connect = 2,
}

impl Method {
    /// The method that is kept as this number.
    #[inline(always)]
    pub(crate) const fn of(number: u8) -> Self {
        match number {
            1 => Self::Head,
            2 => Self::Connect,
            _ => Self::Other,
        }
    }

    /// What a method's name says (methods are case-sensitive: RFC 9110 section 9.1).
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// The methods of requests whose responses are still to come, the oldest first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Two bits each, the oldest lowest.
    methods: u64,
    count: u64,
}

impl Outstanding {
    /// So many are kept at most.
    pub const MOST: u64 = 32;

    /// Adds a request; `false` if there is no room for it.
    #[inline(always)]
    #[must_use]
    pub fn push(&mut self, method: Method) -> bool {
        let count = self.count;
        if count >= Self::MOST {
            return false;
        }
        let at = count.wrapping_mul(2) & 63;
        self.methods |= u64::from(method as u8) << at;
        self.count = count.wrapping_add(1);
        true
    }

    /// Returns the method of the oldest.
    #[inline(always)]
    #[must_use]
    pub const fn oldest(&self) -> Option<Method> {
        if self.count == 0 {
            return None;
        }
        let [lowest, ..] = self.methods.to_le_bytes();
        Some(Method::of(lowest & 3))
    }

    /// Takes the oldest away: its final response began.
    #[inline(always)]
    pub const fn pop(&mut self) {
        self.methods >>= 2;
        self.count = self.count.saturating_sub(1);
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_in_order() {
        let mut outstanding = Outstanding::default();
        let methods = [Method::Head, Method::Other, Method::Connect, Method::Other];
        for method in methods.iter().cycle().take(32) {
            assert!(outstanding.push(*method));
        }
        assert!(!outstanding.push(Method::Head), "there is no room");
        for method in methods.iter().cycle().take(32) {
            assert_eq!(outstanding.oldest(), Some(*method));
            outstanding.pop();
        }
        assert_eq!(outstanding, Outstanding::default());
        outstanding.pop();
        assert_eq!(outstanding.oldest(), None);
    }
}
