//! Which processes are watched by their number (`detector_common::process_bit`).

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use detector_common::process_bit;

use super::shared::Shared;

/// The map of processes, a bit each.
pub(super) struct Processes {
    words: Shared<AtomicU64>,
    /// A word that had a bit set when it was looked at last.
    set: Cell<usize>,
}

impl Processes {
    pub(super) fn new(words: Shared<AtomicU64>) -> Self {
        let set = Cell::new(0);
        Self { words, set }
    }

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
        for index in 0..self.words.len() {
            let bits = self.bits(index);
            if bits == 0 {
                continue;
            }
            let first = u32::try_from(index).unwrap_or(u32::MAX) * u64::BITS;
            all.extend(
                (0..u64::BITS)
                    .filter(|bit| bits >> bit & 1 == 1)
                    .map(|bit| first + bit),
            );
        }
        all
    }

    /// Whether there is one. It is asked many times a second: mostly it is where it
    /// was.
    pub(super) fn any(&self) -> bool {
        if self.bits(self.set.get()) != 0 {
            return true;
        }
        let found = (0..self.words.len()).find(|index| self.bits(*index) != 0);
        if let Some(index) = found {
            self.set.set(index);
        }
        found.is_some()
    }

    fn bits(&self, index: usize) -> u64 {
        self.word(index).map_or(0, |it| it.load(Ordering::Relaxed))
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: a live value, which both sides access atomically.
        self.words.get(index).map(|word| unsafe { word.as_ref() })
    }
}
