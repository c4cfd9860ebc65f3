//! What the judge tells the kernel side: where in the stream of sent bytes of a
//! connection the next bytes are that matter.
//!
//! Bytes before that offset are a body's: they need no look. The call that
//! sends the byte there is sampled from it on. A hint is only ever a help: it
//! may come too late, or make way for another connection's, and then more is
//! sampled, not less.

/// A hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// The offset of the next sent bytes that matter: 0 where every byte does,
    /// [`Hint::NEVER`] or more where only what looks like a head does.
    pub next: u64,
    /// At that offset nothing is owed: a message ends there, not a chunk. An
    /// ending there needs no stack.
    pub whole: bool,
    /// As long as fewer bytes than these were received, what looks like a head
    /// before that offset is none: no request is known of that it could answer. 0
    /// where it may be one.
    pub quiet: u64,
}

/// What a slot of the `HINTS` map holds: [`Hint::place`] and [`Hint::silence`].
pub type HintValue = [u64; 2];

/// Slots of the `HINTS` map; a power of two.
pub const HINT_SLOTS: u32 = 1 << 17;

const SLOT_BITS: u32 = HINT_SLOTS.trailing_zeros();
/// Offsets up to 128 TiB.
const OFFSET_BITS: u32 = 47;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
const WHOLE: u64 = 1 << OFFSET_BITS;
const TAG_SHIFT: u32 = OFFSET_BITS + 1;
const QUIET_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// The slot of the connection with this cookie. Cookies are given out in order,
/// so that few connections share one.
#[must_use]
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "masked to 17 bits")]
pub const fn hint_slot(cookie: u64) -> u32 {
    (cookie & (HINT_SLOTS as u64 - 1)) as u32
}

/// What tells apart the connections of a slot.
#[inline(always)]
const fn tag(cookie: u64) -> u64 {
    (cookie >> SLOT_BITS) << TAG_SHIFT
}

impl Hint {
    /// The largest offset.
    pub const NEVER: u64 = OFFSET_MASK;

    /// The first word of the slot of this connection.
    #[must_use]
    pub const fn place(self, cookie: u64) -> u64 {
        let next = if self.next > Self::NEVER {
            Self::NEVER
        } else {
            self.next
        };
        tag(cookie) | next | if self.whole { WHOLE } else { 0 }
    }

    /// The second word. Whoever changes both words makes this one 0 first: with
    /// the place of a message and the silence of the next, a head might not be
    /// looked at.
    #[must_use]
    pub const fn silence(self, cookie: u64) -> u64 {
        let quiet = if self.quiet > QUIET_MASK {
            QUIET_MASK
        } else {
            self.quiet
        };
        tag(cookie) | quiet
    }

    /// What the slot's words tell of this connection; nothing (offset 0) if they
    /// are another's, or none.
    #[must_use]
    #[inline(always)]
    pub const fn of(cookie: u64, value: HintValue) -> Self {
        let [place, silence] = value;
        let mut hint = Self {
            next: 0,
            whole: false,
            quiet: 0,
        };
        if place >> TAG_SHIFT == tag(cookie) >> TAG_SHIFT {
            hint.next = place & OFFSET_MASK;
            hint.whole = place & WHOLE != 0;
        }
        if silence >> TAG_SHIFT == tag(cookie) >> TAG_SHIFT {
            hint.quiet = silence & QUIET_MASK;
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_its_connections_own() {
        let hint = Hint {
            next: 5000,
            whole: true,
            quiet: 77,
        };
        let (one, other) = (3, 3 + u64::from(HINT_SLOTS));
        assert_eq!(hint_slot(one), hint_slot(other));
        let value = [hint.place(one), hint.silence(one)];
        assert_eq!(Hint::of(one, value), hint);
        assert_eq!(Hint::of(other, value), Hint::default());
        // In between, another connection's place, or none's silence.
        let mixed = Hint::of(one, [hint.place(one), hint.silence(other)]);
        assert_eq!((mixed.next, mixed.quiet), (5000, 0));
        let changing = Hint::of(other, [hint.place(other), 0]);
        assert_eq!((changing.next, changing.quiet), (5000, 0));
    }

    #[test]
    fn what_is_too_large_is_for_ever() {
        let forever = Hint {
            next: u64::MAX,
            whole: false,
            quiet: u64::MAX,
        };
        let read = Hint::of(1, [forever.place(1), forever.silence(1)]);
        assert_eq!(read.next, Hint::NEVER);
        assert!(read.quiet > Hint::NEVER);
    }
}
