//! The judge's hints to the kernel side (`detector_common::hint`), in memory
//! that both share: telling one costs a store, no system call.

use std::{
    os::fd::AsFd as _,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;
use detector_common::{HINT_SLOTS, Hint, hint_slot};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The map of hints, in this process's memory.
pub(super) struct Hints {
    slots: NonNull<AtomicU64>,
    /// Keeps the map.
    _map: MapData,
}

// SAFETY: the memory is this value's as long as it lives, and is only accessed
// atomically.
unsafe impl Send for Hints {}

impl Hints {
    const BYTES: usize = HINT_SLOTS as usize * size_of::<AtomicU64>();

    /// Maps it.
    ///
    /// # Errors
    ///
    /// If the kernel refuses (Linux before 5.5).
    pub(super) fn new(map: MapData) -> std::io::Result<Self> {
        // SAFETY: a new mapping, at an address that the kernel picks.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                Self::BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        }?;
        let slots = NonNull::new(memory.cast()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Self { slots, _map: map })
    }

    /// Tells the next bytes of this connection that matter.
    pub(super) fn tell(&self, cookie: u64, hint: Hint) {
        let slot = hint_slot(cookie) as usize;
        // SAFETY: a slot is below HINT_SLOTS, as many as are mapped; the map's
        // memory is aligned to pages.
        let slot = unsafe { self.slots.add(slot).as_ref() };
        slot.store(hint.value(cookie), Ordering::Relaxed);
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        // SAFETY: mapped by new, and nobody has a reference into it.
        let unmapped = unsafe { munmap(self.slots.as_ptr().cast(), Self::BYTES) };
        // It stays until the process ends.
        if unmapped.is_err() {}
    }
}
