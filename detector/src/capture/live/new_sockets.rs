//! Sockets that were not used yet, as the kernel side notes them
//! (`detector-ebpf/src/new_socket.rs`).

use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::Map;
use detector_common::NewSocket;

use super::{CaptureError, shared::Mapping};

const NAME: &str = "NEW_SOCKETS";

/// What the kernel side notes: 8 MiB, in this process's memory only while it is changed, as
/// that is seldom.
pub(super) struct NewSockets(Map);

impl NewSockets {
    /// # Errors
    ///
    /// If the map is another than is expected, or cannot be had in memory.
    pub(super) fn new(map: Map) -> Result<Self, CaptureError> {
        let this = Self(map);
        this.in_memory()?;
        Ok(this)
    }

    fn in_memory(&self) -> Result<Mapping<NewSocket>, CaptureError> {
        Mapping::of(&self.0, NAME)
    }

    /// Forgets all that are no connections yet.
    ///
    /// # Errors
    ///
    /// If it cannot be had in memory; then nothing is forgotten.
    pub(super) fn forget(&self) -> Result<(), CaptureError> {
        let new_sockets = self.in_memory()?;
        for new_socket in (0..new_sockets.len()).filter_map(|index| new_sockets.get(index)) {
            // SAFETY: a live value; both sides write these fields at once.
            let (socket, name) = unsafe {
                (
                    AtomicU64::from_ptr(&raw mut (*new_socket.as_ptr()).socket),
                    AtomicU64::from_ptr(&raw mut (*new_socket.as_ptr()).synthetic_cookie),
                )
            };
            // One with a name is a connection already, which is found by it.
            if name.load(Ordering::Relaxed) != 0 {
                continue;
            }
            if socket.load(Ordering::Relaxed) != 0 {
                socket.store(0, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
