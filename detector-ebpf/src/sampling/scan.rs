//! Where a head ends.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_for_each_map_elem, macros::map, maps::Array};
use detector_common::SAMPLE_LEN;

use crate::{
    scratch::{Scratch, StaticDirection, scratch},
    sniff::{equal, lowest},
    verifier::hide_bounds,
};

/// A search for the empty line that ends a head (RFC 9112 section 2.1; a bare
/// line feed counts, section 2.2), eight bytes at a time.
#[derive(Clone, Copy)]
pub(crate) struct Scan {
    length: u32,
    /// The byte behind the empty line; 0 if there is none.
    ended: u32,
}

/// Bytes that are looked at in one turn.
const BLOCK: u32 = 64;

/// One entry per block, for its length only: a loop, as in `maps::WORDS`.
#[map]
static BLOCKS: Array<u32> = Array::with_max_entries(SAMPLE_LEN as u32 / BLOCK, 0);

/// The byte behind the head's end among the first `length` that were gathered;
/// 0 if there is none. `line`: how the bytes before end, and then these.
#[inline(always)]
pub(super) fn scan<D: StaticDirection>(scratch: *mut Scratch, length: u32, line: &mut u32) -> u32 {
    let end = hide_bounds(length) as usize;
    if end == 0 || end > SAMPLE_LEN {
        return 0;
    }
    // SAFETY: at most SAMPLE_LEN (checked above) of twice that, less ten; what
    // lies before the first byte is another field.
    let data = unsafe { (&raw mut (*scratch).data).cast::<u8>() };
    // An empty line that begins in the sample before.
    // SAFETY: as above.
    let (first, second) = unsafe { (*data, *data.add(1)) };
    let feeds = first == b'\n' || (first == b'\r' && end > 1 && second == b'\n');
    if (*line == 1 && feeds) || (*line == 2 && first == b'\n') {
        return if first == b'\n' { 1 } else { 2 };
    }
    // SAFETY: as above. What lies behind is from other samples.
    let (last, before) = unsafe {
        core::ptr::write_unaligned(data.add(end).cast::<u64>(), 0);
        (*data.add(end - 1), *data.add(end).sub(2))
    };
    let feed_before = if end > 1 { before == b'\n' } else { *line == 1 };
    *line = match last {
        b'\n' => 1,
        b'\r' if feed_before => 2,
        _ => 0,
    };
    // SAFETY: a field of this CPU's scratch; a map of this program and a
    // callback of the form that the helper asks for.
    unsafe {
        (&raw mut (*scratch).scan).write_volatile(Scan { length, ended: 0 });
        bpf_for_each_map_elem(
            (&raw const BLOCKS).cast_mut().cast(),
            scan_block::<D> as *mut c_void,
            core::ptr::null_mut(),
            0,
        );
        (&raw const (*scratch).scan.ended).read_volatile()
    }
}

unsafe extern "C" fn scan_block<D: StaticDirection>(
    _map: *mut c_void,
    key: *const u32,
    _value: *mut c_void,
    _context: *mut c_void,
) -> i64 {
    let Some(scratch) = scratch::<D>() else {
        return 1;
    };
    // SAFETY: the helper passes the key of the element; a field of this CPU's
    // scratch.
    let (block, length) = unsafe { (*key, (&raw const (*scratch).scan.length).read_volatile()) };
    let start = (block & (SAMPLE_LEN as u32 / BLOCK - 1)) * BLOCK;
    // SAFETY: start and the 64 bytes from it on are below SAMPLE_LEN.
    let bytes = unsafe {
        (&raw const (*scratch).data)
            .cast::<u8>()
            .add(start as usize)
    };
    for at in (0..BLOCK).step_by(8) {
        if start + at >= length {
            return 1;
        }
        // SAFETY: as above; two bytes more are within the array.
        let word = |behind: usize| unsafe {
            core::ptr::read_unaligned(bytes.add(at as usize + behind).cast::<u64>())
        };
        let feeds = equal(word(0), b'\n');
        if feeds == 0 {
            continue;
        }
        let (next, after) = (word(1), word(2));
        let bare = feeds & equal(next, b'\n');
        let found = bare | (feeds & equal(next, b'\r') & equal(after, b'\n'));
        if found != 0 {
            let two = found & found.wrapping_neg() & bare != 0;
            let ended = start + at + lowest(found) + if two { 2 } else { 3 };
            // SAFETY: as above.
            unsafe { (&raw mut (*scratch).scan.ended).write_volatile(ended) };
            return 1;
        }
    }
    0
}
