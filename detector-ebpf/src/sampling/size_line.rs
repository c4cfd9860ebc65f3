//! Where a chunk's size may be (RFC 9112 section 7.1).

use detector_common::SAMPLE_LEN;

use super::Moved;
use crate::{
    scratch::{StaticDirection, scratch},
    sniff::hexadecimal,
    syscall::SystemCall,
};

/// Bytes that are read of a size line: an empty line's end, seven digits, and
/// the end.
pub(super) const SIZE_LINE: u32 = 12;

/// What stands where a chunk's size may be.
#[derive(Clone, Copy)]
pub(super) enum Line {
    /// The length of the size line in this call, with the end of the chunk before it, and
    /// the size that it gives.
    Size(u32, u32),
    /// The call ends within it: its bytes so far ([`flag::LINE_CUT`]).
    Cut(u64),
    /// No size line, or one with extensions.
    None,
}

/// The size line at this byte of the call. `cut`: what the call before had of it.
/// `behind`: the data of a chunk ends here, so that its line's end has to come first.
#[inline(always)]
pub(super) fn size_line<D: StaticDirection>(
    call: &SystemCall,
    moved: Moved,
    at: u32,
    cut: u64,
    behind: u32,
) -> Line {
    const END: u64 = u16::from_le_bytes(*b"\r\n") as u64;
    let known = moved.bytes.wrapping_sub(at).min(SIZE_LINE);
    // Behind what was gathered of the sample.
    if !call.gather::<D>(at, known, SAMPLE_LEN as u32) {
        return Line::None;
    }
    let Some(scratch) = scratch::<D>() else {
        return Line::None;
    };
    // SAFETY: SAMPLE_LEN and SIZE_LINE more are within the array.
    let word = |behind: usize| unsafe {
        core::ptr::read_unaligned(
            (&raw const (*scratch).data)
                .cast::<u8>()
                .add(SAMPLE_LEN + behind)
                .cast::<u64>(),
        )
    };
    // Behind the bytes of the call before. They are seven at most.
    let before = ((cut >> 56) & 7) as u32;
    let bits = before * 8;
    let (first, second) = (word(0), word(8));
    let start = (cut & (u64::MAX >> 8)) | (first << bits);
    let rest = (first >> 1 >> (63 - bits)) | (second << bits);
    let there = before + known;
    // The end of the chunk before.
    let skipped = if start & 0xffff == END { 2 } else { 0 };
    let line = if skipped > 0 {
        (start >> 16) | (rest << 48)
    } else {
        start
    };
    let misplaced = behind != 0 && skipped == 0;
    let (digits, size) = hexadecimal(line);
    let end = (line >> ((digits & 7) * 8)) as u8;
    let length = skipped + digits + if end == b'\r' { 2 } else { 1 };
    if !misplaced
        && digits > 0
        && digits < 8
        && (end == b'\r' || end == b'\n')
        && length <= there
        && length > before
    {
        return Line::Size(length - before, size);
    }
    if there == 0 || there > 7 {
        return Line::None;
    }
    let bytes = start & ((1 << ((there * 8) & 63)) - 1);
    let line = if bytes & 0xffff == END {
        bytes >> 16
    } else {
        bytes
    };
    let left = if bytes & 0xffff == END {
        there - 2
    } else {
        there
    };
    let (digits, _) = hexadecimal(line);
    let end = (line >> ((digits & 7) * 8)) as u8;
    let begun = digits == left || (digits + 1 == left && digits > 0 && end == b'\r');
    let is_cut = (begun && !misplaced) || bytes == u64::from(b'\r');
    if is_cut {
        Line::Cut(u64::from(there) << 56 | bytes)
    } else {
        Line::None
    }
}
