//! What the judge tells the kernel side: where in the stream of sent bytes of a
//! connection the next bytes are that matter.
//!
//! Bytes before that offset are a body's: they need no look. The call that
//! sends the byte there is sampled from it on. A hint is only ever a help: it
//! may come too late, or make way for another connection's, and then more is
//! sampled, not less.

/// Slots of the `HINTS` map, a `u64` each; a power of two.
pub const HINT_SLOTS: u32 = 1 << 17;

const SLOT_BITS: u32 = HINT_SLOTS.trailing_zeros();
/// Offsets up to 256 TiB.
const OFFSET_BITS: u32 = 48;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

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
    (cookie >> SLOT_BITS) << OFFSET_BITS
}

/// The value of the slot: the next bytes that matter are at this offset.
#[must_use]
pub const fn hint(cookie: u64, boundary: u64) -> u64 {
    let offset = if boundary > OFFSET_MASK {
        OFFSET_MASK
    } else {
        boundary
    };
    tag(cookie) | offset
}

/// The offset that the slot's value tells for this connection; 0 if it tells of
/// another, or of none.
#[must_use]
#[inline(always)]
pub const fn hint_boundary(cookie: u64, value: u64) -> u64 {
    if value & !OFFSET_MASK == tag(cookie) {
        value & OFFSET_MASK
    } else {
        0
    }
}
