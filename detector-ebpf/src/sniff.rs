//! What the first bytes of a call may be, told from eight of them in a register: bytes
//! are looked at all at once, since the verifier would follow each comparison.

use crate::{scratch::StaticDirection, verifier::hide_bounds};

/// A one in each byte, and the highest bit of each.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// Whether bytes that start so may be a message's. What matters is that no head
/// is missed; what only looks like one is told apart by the judge, by its
/// offset.
#[inline(always)]
pub(crate) fn looks_like_head<D: StaticDirection>(start: u64, known: u32) -> bool {
    let whole = start;
    let start = start as u32;
    // Bodies end here as a rule.
    if known > 0 && !may_be_first::<D>(start as u8) {
        return false;
    }
    // Heads written in small pieces: what is there has to fit.
    let mask = ((1_u64 << (at_most(known, 4) * 8)) - 1) as u32;
    // Without branches, of which the verifier would follow both ways: 1 if the
    // start is this word's, else 0.
    let begins = |word: u32| hide_bounds((start ^ word) & mask).wrapping_sub(1) >> 63;
    if !D::SENDS {
        // What a client reads, and nobody asks for.
        if known >= 4 && begins(u32::from_le_bytes(*b"HTTP")) != 0 {
            return false;
        }
        return may_be_method(whole, known);
    }
    let row = &STARTS[start as usize & 31];
    let mut any = 0;
    for word in row {
        any |= begins(*word);
    }
    hide_bounds(any) != 0
}

/// Whether the bytes that begin a stream may be those of a PROXY header (HAProxy's
/// doc/proxy-protocol.txt): of version 1, as text, or 2.
#[inline(always)]
pub(crate) fn may_be_proxy_header(start: u64, known: u32) -> bool {
    let line = u32::from_le_bytes(*b"PROX");
    known >= 4 && (start as u32 == line || start == u64::from_le_bytes(*b"\r\n\r\n\0\r\nQ"))
}

/// What a message begins with that servers and clients do send, as bodies go this
/// way as a rule; by the lower bits of the first letter.
#[unsafe(no_mangle)]
static STARTS: [[u32; 5]; 32] = {
    let words = b"HTTPGET POSTHEADPUT DELEOPTIPATCCONNTRACPROPREPOMKCOCOPYMOVELOCKUNLOSEARQUERPURG";
    let mut rows = [[0; 5]; 32];
    let mut used = [0; 32];
    let mut at = 0;
    while at < words.len() {
        let row = (words[at] & 31) as usize;
        let word = [words[at], words[at + 1], words[at + 2], words[at + 3]];
        rows[row][used[row]] = u32::from_le_bytes(word);
        used[row] += 1;
        at += 4;
    }
    rows
};

/// Whether one of the words that [`looks_like_head`] knows begins so, or any
/// method.
#[inline(always)]
fn may_be_first<D: StaticDirection>(byte: u8) -> bool {
    if !D::SENDS {
        return byte.is_ascii_uppercase() || byte == b'-';
    }
    const CAPITALS: u32 = {
        let mut capitals = 0;
        let mut letter = 0;
        while letter < 32 {
            if STARTS[letter][0] != 0 {
                capitals |= 1 << letter;
            }
            letter += 1;
        }
        capitals
    };
    byte & 0xe0 == 0x40 && CAPITALS >> (byte & 31) & 1 != 0
}

/// Whether bytes may be a method and the space behind it. RFC 9110 section 9.1
/// asks for a token; those that are registered are of capitals (and
/// M-SEARCH's kind of a dash).
#[inline(always)]
fn may_be_method(start: u64, known: u32) -> bool {
    let within = if known >= 8 {
        u64::MAX
    } else {
        (1 << (known * 8)) - 1
    };
    let ascii = start & !HIGH;
    let from = |least: u8| ascii.wrapping_add((0x80 - least as u64) * ONES);
    let capital = from(b'A') & !from(b'Z' + 1);
    let letters = (capital | equal(start, b'-')) & !start & HIGH;
    // The first byte that is none has to be a space, behind three that are.
    let others = !letters & HIGH & within;
    if others == 0 {
        return true;
    }
    let first = others & others.wrapping_neg();
    first & equal(start, b' ') != 0 && first > 0x80 << 16
}

/// Whether a chunk's size line may begin so (RFC 9112 section 7.1): digits, then
/// its end, space, or an extension.
#[inline(always)]
pub(crate) fn looks_like_chunk_size(start: u64) -> bool {
    let (digits, _) = hexadecimal(start);
    let end = (start >> ((digits & 7) * 8)) as u8;
    digits == 8 || (digits > 0 && matches!(end, b'\r' | b'\n' | b';' | b' ' | b'\t'))
}

/// How many of the eight bytes, from the first on, are hexadecimal digits, and
/// their value.
#[inline(always)]
pub(crate) fn hexadecimal(word: u64) -> (u32, u32) {
    let ascii = word & !HIGH;
    let lower = ascii | (0x20 * ONES);
    // A high bit for each byte that is at least `least`.
    let from = |word: u64, least: u8| word.wrapping_add((0x80 - least as u64) * ONES);
    let numeral = from(ascii, b'0') & !from(ascii, b'9' + 1);
    let letter = from(lower, b'a') & !from(lower, b'f' + 1);
    let others = !((numeral | letter) & !word) & HIGH;
    let digits = if others == 0 { 8 } else { lowest(others) };
    let letters = (letter & !word & HIGH) >> 7;
    let values = (ascii & (0x0f * ONES)).wrapping_add(9 * letters);
    // The first digit is the highest; those behind the last fall away.
    let mut packed = values.swap_bytes() >> (((8 - (digits as u64 & 7)) * 8) & 63);
    packed = (packed | packed >> 4) & 0x00ff_00ff_00ff_00ff;
    packed = (packed | packed >> 8) & 0x0000_ffff_0000_ffff;
    packed |= packed >> 16;
    (digits, packed as u32)
}

/// A high bit for each byte of the word that is `byte`.
#[inline(always)]
pub(crate) fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let other = word ^ (0x0101_0101_0101_0101 * byte as u64);
    !(((other & LOW).wrapping_add(LOW)) | other | LOW)
}

/// The number of the first byte whose high bit is set; one is.
#[inline(always)]
pub(crate) fn lowest(high_bits: u64) -> u32 {
    let below = (high_bits & high_bits.wrapping_neg()).wrapping_sub(1);
    ((below & ONES).wrapping_mul(ONES) >> 56) as u32 - 1
}

/// The smaller number. Without a branch, of which the verifier would follow both
/// ways.
#[inline(always)]
pub(crate) fn at_most(number: u32, most: u32) -> u64 {
    let most = u64::from(most);
    let under = u64::from(number).wrapping_sub(most);
    // All ones if it is below.
    let below = hide_bounds((under.cast_signed() >> 63).cast_unsigned());
    most.wrapping_add(under & below)
}
