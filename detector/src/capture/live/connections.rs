//! The kernel side's counters of connections: in slots that are in this process's
//! memory too, and of those that found theirs taken in a hash map
//! (`detector_common::Slot`).

use std::{
    collections::HashMap,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::{
    Pod,
    maps::{self, Map, MapData},
};
use detector_common::{Connection, Slot};

use super::{CaptureError, shared::Shared};

#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Value(Connection);

// SAFETY: Connection is Pod: repr(C), integers only, no padding.
unsafe impl Pod for Value {}

/// Both maps.
pub(super) struct Connections {
    slots: Shared<Slot>,
    elsewhere: maps::HashMap<MapData, u64, Value>,
    /// Entries that the hash map has room for.
    room_elsewhere: u32,
}

impl Connections {
    /// # Errors
    ///
    /// If they are other maps, or if the kernel refuses.
    pub(super) fn new(slots: Map, elsewhere: Map) -> Result<Self, CaptureError> {
        let slots = Shared::new(slots, "SLOTS")?;
        let room_elsewhere = match &elsewhere {
            Map::HashMap(map) => map.info()?.max_entries(),
            _ => return Err(CaptureError::Object("CONNECTIONS")),
        };
        let elsewhere = maps::HashMap::try_from(elsewhere)?;
        Ok(Self {
            slots,
            elsewhere,
            room_elsewhere,
        })
    }

    /// The counters of a socket; `None` once it was closed.
    pub(super) fn get(&self, cookie: u64) -> Option<Connection> {
        let slot = self.slot(cookie)?;
        self.here(slot)
            .filter(|connection| connection.cookie == cookie)
            .or_else(|| {
                any_elsewhere(slot).then_some(())?;
                self.elsewhere.get(&cookie, 0).ok().map(|value| value.0)
            })
    }

    /// Those of all sockets, by cookie.
    pub(super) fn all(&self) -> HashMap<u64, Connection> {
        let here = (0..self.slots.len())
            .filter_map(|index| self.here(self.slots.get(index)?))
            .map(|connection| (connection.cookie, connection));
        let elsewhere = self.elsewhere.iter().filter_map(Result::ok);
        here.chain(elsewhere.map(|(cookie, value)| (cookie, value.0)))
            .collect()
    }

    /// How many there are, and how many there can be at most.
    pub(super) fn fill(&self) -> (usize, u32) {
        let slots = self.slots.len();
        let here = (0..slots)
            .filter_map(|index| self.slots.get(index))
            .filter(|slot| cookie_of(*slot).load(Ordering::Relaxed) != 0);
        let elsewhere = self.elsewhere.keys().filter(Result::is_ok);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let room = slots.saturating_add(self.room_elsewhere);
        (here.count() + elsewhere.count(), room)
    }

    /// Forgets a socket that is gone, if it is still kept: as the kernel side does
    /// at an ending (`detector-ebpf/src/connections.rs`).
    pub(super) fn forget(&mut self, cookie: u64) {
        let Some(slot) = self.slot(cookie) else {
            return;
        };
        let owner = cookie_of(slot);
        if owner.load(Ordering::Acquire) == cookie {
            let rest = slot.cast::<u64>().as_ptr().wrapping_add(1);
            // SAFETY: the rest of the connection, behind its cookie. Nobody else
            // uses it: its socket is gone, and nobody takes the slot as long as the
            // cookie is there.
            unsafe { rest.write_bytes(0, size_of::<Connection>() / size_of::<u64>() - 1) };
            owner.store(0, Ordering::Release);
        } else if any_elsewhere(slot) && self.elsewhere.remove(&cookie).is_ok() {
            elsewhere_of(slot).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Lets go of a socket that is still in use: what it does from now on is told as
    /// that of one joined in mid-stream.
    pub(super) fn let_go(&mut self, cookie: u64) {
        let Some(slot) = self.slot(cookie) else {
            return;
        };
        if cookie_of(slot).load(Ordering::Acquire) != cookie {
            // The kernel side may be writing to the entry: it is freed later.
            self.forget(cookie);
            return;
        }
        // A slot cannot be emptied under the kernel side's hands. What it has counted
        // stays; its records are numbered anew.
        let connection = slot.cast::<Connection>().as_ptr();
        // SAFETY: fields of a live value: one that the kernel side only reads once it
        // is set, and one that it accesses atomically.
        let (from_start, seq) = unsafe {
            (
                AtomicU32::from_ptr(&raw mut (*connection).from_start),
                AtomicU32::from_ptr(&raw mut (*connection).seq),
            )
        };
        from_start.store(0, Ordering::Relaxed);
        seq.store(0, Ordering::Relaxed);
    }

    fn slot(&self, cookie: u64) -> Option<NonNull<Slot>> {
        let mask = u64::try_from(self.slots.len()).ok()?.checked_sub(1)?;
        self.slots.get(usize::try_from(cookie & mask).ok()?)
    }

    /// The connection that has a slot.
    fn here(&self, slot: NonNull<Slot>) -> Option<Connection> {
        let owner = cookie_of(slot);
        let cookie = owner.load(Ordering::Acquire);
        if cookie == 0 {
            return None;
        }
        // SAFETY: a live value; any bytes are one, should they change meanwhile, as
        // those of a socket that is in use do.
        let connection = unsafe { (&raw const (*slot.as_ptr()).connection).read_volatile() };
        // Else it was closed, and perhaps taken by another, while this was read.
        (owner.load(Ordering::Acquire) == cookie && connection.cookie == cookie)
            .then_some(connection)
    }
}

/// The cookie of the connection that has a slot, or 0.
fn cookie_of<'a>(slot: NonNull<Slot>) -> &'a AtomicU64 {
    // SAFETY: the first field of a live value, which both sides access atomically.
    unsafe { slot.cast::<AtomicU64>().as_ref() }
}

/// How many connections of this slot's are in the hash map.
fn elsewhere_of<'a>(slot: NonNull<Slot>) -> &'a AtomicU64 {
    // SAFETY: a field of a live value, which both sides access atomically.
    unsafe { AtomicU64::from_ptr(&raw mut (*slot.as_ptr()).elsewhere) }
}

/// Whether the hash map need be asked. That is a system call, and worse: while one
/// that reads or writes such a map is preempted, the kernel leaves out the programs of
/// perf's tracepoints on that CPU (`bpf_disable_instrumentation`, include/linux/bpf.h).
fn any_elsewhere(slot: NonNull<Slot>) -> bool {
    elsewhere_of(slot).load(Ordering::Acquire) != 0
}
