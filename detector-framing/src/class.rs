//! Classes of bytes, one at a time and eight at a time.
//!
//! A mask has the highest bit set of each byte that is meant. Where a function says that
//! the lowest one counts, those above it may be wrong (a borrow), the lowest is exact, and
//! no bit at all is exact too.

/// The lowest bit of each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Whether a byte may stand in a method or a field name: `tchar`, RFC 9110 section 5.6.2.
#[inline(always)]
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether a byte may stand in a field value or a reason phrase: RFC 9110 section 5.5.
#[inline(always)]
pub(crate) const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether a byte may stand in a target as it is read here: visible, or not ASCII.
#[inline(always)]
pub(crate) const fn is_target(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// The lowest byte.
#[inline(always)]
pub(crate) const fn low_byte(word: u64) -> u8 {
    let [byte, ..] = word.to_le_bytes();
    byte
}

#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ ONES.wrapping_mul(byte as u64);
    other.wrapping_sub(ONES) & !other & HIGH
}

#[inline(always)]
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES.wrapping_mul(limit as u64)) & !word & HIGH
}

/// Control bytes, HTAB too, and DEL. The lowest counts.
#[inline(always)]
pub(crate) const fn controls(word: u64) -> u64 {
    below(word, b' ') | equal(word, 0x7f)
}

/// What is no visible ASCII byte. The lowest counts.
#[inline(always)]
pub(crate) const fn invisible(word: u64) -> u64 {
    below(word, b'!') | equal(word, 0x7f) | (word & HIGH)
}

/// Bytes of at least `least` (at most 0x80), where none of the word's is above 0x7f.
#[inline(always)]
const fn from(word: u64, least: u8) -> u64 {
    (word & !HIGH).wrapping_add(ONES.wrapping_mul(0x80_u8.wrapping_sub(least) as u64)) & HIGH
}

/// What is neither an ASCII letter nor a digit nor a hyphen: of most field names, the colon.
/// Exact.
#[inline(always)]
pub(crate) const fn not_in_names(word: u64) -> u64 {
    let lower = word | (ONES << 5);
    let letters = from(lower, b'a') & !from(lower, b'z' + 1);
    let digits = from(word, b'0') & !from(word, b'9' + 1);
    let hyphens = from(word, b'-') & !from(word, b'-' + 1);
    HIGH & (!(letters | digits | hyphens) | word)
}

/// The place of a mask's lowest byte, from 0; 8 where there is none.
#[inline(always)]
pub(crate) const fn lowest(mask: u64) -> u32 {
    mask.trailing_zeros() >> 3
}

/// The eight bytes as lower-case letters, as far as they are letters.
#[inline(always)]
pub(crate) const fn lower(word: u64) -> u64 {
    word | (ONES << 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte at each place among bytes that are not meant.
    fn agrees(mask: fn(u64) -> u64, is: impl Fn(u8) -> bool, neutral: u8) {
        for byte in 0..=u8::MAX {
            for place in 0..8_usize {
                for around in [neutral, b'a', b'Z', b'-', b'9'] {
                    let mut bytes = [around; 8];
                    bytes[place] = byte;
                    let first = bytes.iter().position(|byte| is(*byte)).unwrap_or(8);
                    let found = lowest(mask(u64::from_le_bytes(bytes)));
                    assert_eq!(
                        found as usize, first,
                        "{byte:#x} at {place} among {around:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn words_agree_with_bytes() {
        agrees(controls, |byte| byte < b' ' || byte == 0x7f, b' ');
        agrees(controls, |byte| byte < b' ' || byte == 0x7f, 0xff);
        agrees(invisible, |byte| byte <= b' ' || byte >= 0x7f, b'!');
        let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        agrees(not_in_names, |byte| !name(byte), b'x');
    }
}
