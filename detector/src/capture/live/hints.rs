//! The judge's hints to the kernel side (`detector_common::hint`).

use std::sync::atomic::{AtomicU64, Ordering};

use detector_common::{Hint, hint_slot};

use super::shared::Shared;

/// The map of hints.
pub(super) struct Hints(pub(super) Shared<[AtomicU64; 2]>);

impl Hints {
    /// Tells the next bytes of this connection that matter.
    pub(super) fn tell(&self, cookie: u64, hint: Hint) {
        if let Some(slot) = self.0.get(hint_slot(cookie) as usize) {
            // SAFETY: a live value, which both sides access atomically.
            let [place, silence] = unsafe { slot.as_ref() };
            silence.store(0, Ordering::Release);
            place.store(hint.place(cookie), Ordering::Release);
            silence.store(hint.silence(cookie), Ordering::Release);
        }
    }
}
