//! Classes of bytes, one at a time and eight at a time.
//!
//! A mask has the highest bit set of each byte that is meant. Where a function says that
//! the lowest one counts, those above it may be wrong (a borrow), the lowest is exact, and
//! no bit at all is exact too.

use crate::Window;

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

/// What is neither a capital nor a hyphen: of most methods, the blank behind. Exact.
#[inline(always)]
pub(crate) const fn not_in_methods(word: u64) -> u64 {
    let letters = from(word, b'A') & !from(word, b'Z' + 1);
    let hyphens = from(word, b'-') & !from(word, b'-' + 1);
    HIGH & (!(letters | hyphens) | word)
}

/// What is not a decimal digit. Exact.
#[inline(always)]
pub(crate) const fn not_digits(word: u64) -> u64 {
    let digits = from(word, b'0') & !from(word, b'9' + 1);
    HIGH & (!digits | word)
}

/// What is not a hexadecimal digit. Exact.
#[inline(always)]
pub(crate) const fn not_hex(word: u64) -> u64 {
    let lower = word | (ONES << 5);
    let letters = from(lower, b'a') & !from(lower, b'f' + 1);
    not_digits(word) & (!letters | word)
}

/// The number that the first `count` bytes are, of 1 to 8 decimal digits.
#[inline(always)]
pub(crate) const fn decimal(word: u64, count: u32) -> u64 {
    // Each step joins two neighbours: digits, numbers below 100, numbers below 10,000.
    let digits = last(word & ONES.wrapping_mul(15), count);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

/// The number that the first `count` bytes are, of 1 to 8 hexadecimal digits.
#[inline(always)]
pub(crate) const fn hexadecimal(word: u64, count: u32) -> u64 {
    let letters = (word >> 6) & ONES;
    let digits = (word & ONES.wrapping_mul(15)).wrapping_add(letters.wrapping_mul(9));
    let digits = last(digits, count);
    let pairs = (digits << 4 | digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs << 8 | pairs >> 16) & 0x0000_ffff_0000_ffff;
    (fours << 16 | fours >> 32) & 0xffff_ffff
}

/// The first `count` bytes as the last ones, zeros before them.
#[inline(always)]
const fn last(word: u64, count: u32) -> u64 {
    word.wrapping_shl(64_u32.wrapping_sub(count.wrapping_mul(8)))
}

/// The first `count` bytes, zeros behind them.
#[inline(always)]
pub(crate) const fn before(word: u64, count: u32) -> u64 {
    match count {
        0..=7 => word & !u64::MAX.wrapping_shl(count.wrapping_mul(8)),
        _ => word,
    }
}

/// The bytes behind the first `count`, at most 7; zeros behind them.
#[inline(always)]
pub(crate) const fn behind(word: u64, count: u32) -> u64 {
    word.wrapping_shr(count.wrapping_mul(8))
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

/// How many bytes from `at` on, at most eight times `WORDS`, stand before the first of a
/// class.
#[inline(always)]
pub(crate) fn run<const WORDS: usize, W: Window>(
    window: &W,
    at: u32,
    end: u32,
    class: fn(u64) -> u64,
) -> u32 {
    let mut passed: u32 = 0;
    for _ in 0..WORDS {
        let found = lowest(class(window.word(at.wrapping_add(passed))));
        passed = passed.wrapping_add(found);
        if found < 8 {
            break;
        }
    }
    window.keep(passed).min(end.wrapping_sub(at))
}

/// The length of a line's end that stands first: CR LF, or LF (RFC 9112 section 2.2); 0
/// where none does.
#[inline(always)]
pub(crate) const fn line_ending(word: u64) -> u32 {
    match word.to_le_bytes() {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    }
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
        let method = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        agrees(not_in_methods, |byte| !method(byte), b'X');
        agrees(not_digits, |byte| !byte.is_ascii_digit(), b'5');
        agrees(not_hex, |byte| !byte.is_ascii_hexdigit(), b'F');
    }

    #[test]
    fn words_are_numbers() {
        for count in 1..=8 {
            for text in [
                "00000000", "12345678", "99999999", "90000000", "00000009", "40302010",
            ] {
                let word = u64::from_le_bytes(text.as_bytes().try_into().unwrap());
                let digits = &text[..count];
                let count = u32::try_from(count).unwrap();
                assert_eq!(Ok(decimal(word, count)), digits.parse());
                assert_eq!(
                    Ok(hexadecimal(word, count)),
                    u64::from_str_radix(digits, 16)
                );
            }
            for text in ["abcdefAB", "CDEFffff", "F0000000", "0A0b0C0d", "ffffffff"] {
                let word = u64::from_le_bytes(text.as_bytes().try_into().unwrap());
                let number = hexadecimal(word, u32::try_from(count).unwrap());
                assert_eq!(Ok(number), u64::from_str_radix(&text[..count], 16));
            }
        }
    }

    #[test]
    fn a_run_stops_at_the_first_byte_and_at_the_end() {
        for stop in 0..80_u8 {
            let mut text = [b'x'; 80];
            text[usize::from(stop)] = b'\r';
            let stop = u32::from(stop);
            for (at, end) in [(0, 80), (3, 80), (0, 9), (5, 33)] {
                let found = run::<8, _>(&crate::Slice(&text), at, end, controls);
                let stop = if stop < at { end } else { stop.min(end) };
                assert_eq!(found, (stop - at).min(64), "{stop} from {at} to {end}");
            }
        }
    }
}
