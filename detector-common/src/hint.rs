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
}

/// Slots of the `HINTS` map, a `u64` each; a power of two.
pub const HINT_SLOTS: u32 = 1 << 17;

const SLOT_BITS: u32 = HINT_SLOTS.trailing_zeros();
/// Offsets up to 128 TiB.
const OFFSET_BITS: u32 = 47;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
const WHOLE: u64 = 1 << OFFSET_BITS;
const TAG_SHIFT: u32 = OFFSET_BITS + 1;

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

    /// The value of the slot of this connection.
    #[must_use]
    pub const fn value(self, cookie: u64) -> u64 {
        let next = if self.next > Self::NEVER {
            Self::NEVER
        } else {
            self.next
        };
        tag(cookie) | next | if self.whole { WHOLE } else { 0 }
    }

    /// What the slot's value tells of this connection; nothing (offset 0) if it
    /// is another's, or none.
    #[must_use]
    #[inline(always)]
    pub const fn of(cookie: u64, value: u64) -> Self {
        if value >> TAG_SHIFT == tag(cookie) >> TAG_SHIFT {
            Self {
                next: value & OFFSET_MASK,
                whole: value & WHOLE != 0,
            }
        } else {
            Self {
                next: 0,
                whole: false,
            }
        }
    }
}
