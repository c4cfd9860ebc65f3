//! Which processes are watched.

use detector_common::process_bit;

use crate::{
    atomic::{clear_bits, set_bits},
    config::config,
    maps::PROCESSES,
};

/// Whether a process is watched.
#[inline(always)]
pub(crate) fn is_watched(tgid: u32) -> bool {
    if config!(watch_all) != 0 {
        return u64::from(tgid) != config!(own_tgid);
    }
    is_member(tgid)
}

/// Whether it is one of those that are watched by their number.
#[inline(always)]
pub(crate) fn is_member(tgid: u32) -> bool {
    let (word, bit) = process_bit(tgid);
    // SAFETY: a live map value, eight bytes that are written at once.
    PROCESSES
        .get_ptr(word)
        .is_some_and(|word| unsafe { word.read_volatile() } & bit != 0)
}

/// Makes it one.
#[inline(always)]
pub(crate) fn join(tgid: u32) {
    let (word, bit) = process_bit(tgid);
    if let Some(word) = PROCESSES.get_ptr_mut(word) {
        set_bits(word, bit);
    }
}

/// It is one no longer: its number may become another's.
#[inline(always)]
pub(crate) fn leave(tgid: u32) {
    let (word, bit) = process_bit(tgid);
    if let Some(word) = PROCESSES.get_ptr_mut(word) {
        clear_bits(word, bit);
    }
}
