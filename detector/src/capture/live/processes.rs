//! Which processes are watched by their number (`detector_common::process_bit`).

use std::sync::atomic::{AtomicU64, Ordering};

use detector_common::process_bit;

use super::shared::Shared;

/// The map of processes, a bit each.
pub(super) struct Processes(pub(super) Shared<AtomicU64>);

impl Processes {
    /// Watches a process, with all its threads. A number that no process can have
    /// is of none.
    pub(super) fn join(&self, tgid: u32) {
        let (index, bit) = process_bit(tgid);
        if let Some(word) = self.word(index as usize) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Watches it no longer.
    pub(super) fn leave(&self, tgid: u32) {
        let (index, bit) = process_bit(tgid);
        if let Some(word) = self.word(index as usize) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Those that are watched now.
    pub(super) fn all(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for index in 0..self.0.len() {
            let bits = self.word(index).map_or(0, |it| it.load(Ordering::Relaxed));
            let first = u32::try_from(index).unwrap_or(u32::MAX) * u64::BITS;
            all.extend(
                (0..u64::BITS)
                    .filter(|bit| bits >> bit & 1 == 1)
                    .map(|bit| first + bit),
            );
        }
        all
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: a live value, which both sides access atomically.
        self.0.get(index).map(|word| unsafe { word.as_ref() })
    }
}
