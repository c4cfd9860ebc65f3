//! Where connections are kept: in slots, and those that find theirs taken in a
//! hash map.

use detector_common::{CALL_RING, CallEntry, Connection, Slot, Stat};

use crate::{
    atomic::{compare_and_swap, fetch_add},
    config::config,
    kernel::clear,
    maps::{CONNECTIONS, SLOTS, count, remember_ended},
};

/// A connection as it begins.
#[unsafe(no_mangle)]
static EMPTY: Connection = Connection::EMPTY;

/// The slot of a connection, whoever has it.
#[inline(always)]
fn slot(cookie: u64) -> Option<*mut Slot> {
    SLOTS.get_ptr_mut((cookie & config!(slot_mask)) as u32)
}

/// The connection with this cookie, which is not 0, if it is tracked.
#[inline(always)]
pub(crate) fn find(cookie: u64) -> Option<*mut Connection> {
    let slot = slot(cookie)?;
    // SAFETY: a live map value; the cookie is eight bytes that are written at
    // once, and the count is only added to atomically.
    let (here, elsewhere) = unsafe {
        (
            (&raw const (*slot).connection.cookie).read_volatile(),
            (&raw const (*slot).elsewhere).read_volatile(),
        )
    };
    if here == cookie {
        // SAFETY: as above.
        return Some(unsafe { &raw mut (*slot).connection });
    }
    if elsewhere == 0 {
        return None;
    }
    CONNECTIONS.get_ptr_mut(&cookie)
}

/// A place for the connection with this cookie, and whether it was made now:
/// another thread may have been faster. `None`, counted, if there is no room.
#[inline(always)]
pub(crate) fn make(cookie: u64) -> Option<(*mut Connection, bool)> {
    let slot = slot(cookie)?;
    // SAFETY: a live map value. All of a free slot but its calls is zeros ([`remove`]).
    let connection = unsafe { &raw mut (*slot).connection };
    // SAFETY: as above.
    let found = compare_and_swap(unsafe { &raw mut (*connection).cookie }, 0, cookie);
    if found == 0 {
        // SAFETY: as above; it is ours now.
        unsafe { (*connection).fd = -1 };
        return Some((connection, true));
    }
    if found == cookie {
        return Some((connection, false));
    }
    // BPF_NOEXIST: another thread's entry, made meanwhile, stays.
    let made = CONNECTIONS.insert(&cookie, &EMPTY, 1).is_ok();
    if made {
        // SAFETY: a live map value, of which this is only added to.
        fetch_add(unsafe { &raw mut (*slot).elsewhere }, 1);
    }
    let Some(found) = CONNECTIONS.get_ptr_mut(&cookie) else {
        count(Stat::ConnectionsFull);
        return None;
    };
    if made {
        // SAFETY: a live map value.
        unsafe { (*found).cookie = cookie };
    }
    Some((found, made))
}

/// What a free slot keeps of the connection before, in bytes from its beginning: the
/// ring of calls, of which the count, which is 0, says that it is empty.
const CALLS: core::ops::Range<usize> = {
    let start = core::mem::offset_of!(Connection, calls);
    start..start + size_of::<[CallEntry; CALL_RING]>()
};

/// Keeps the connection no longer. Nobody else may be using its socket: the last
/// reference goes away.
#[inline(always)]
pub(crate) fn remove(cookie: u64) {
    remember_ended(cookie);
    let Some(slot) = slot(cookie) else { return };
    // SAFETY: a live map value.
    let connection = unsafe { &raw mut (*slot).connection };
    // SAFETY: as above.
    if unsafe { (&raw const (*connection).cookie).read_volatile() } == cookie {
        // The cookie goes last: from then on the slot may become another's.
        // SAFETY: as above; parts of it, all of which are eight times so many bytes.
        unsafe {
            let words = connection.cast::<u64>();
            clear(words.add(1), CALLS.start / 8 - 1);
            clear(
                words.add(CALLS.end / 8),
                (size_of::<Connection>() - CALLS.end) / 8,
            );
        }
        // SAFETY: as above. A removal that another CPU made is as good.
        compare_and_swap(unsafe { &raw mut (*connection).cookie }, cookie, 0);
        return;
    }
    if CONNECTIONS.remove(&cookie).is_ok() {
        // SAFETY: as above; two's complement: one less.
        fetch_add(unsafe { &raw mut (*slot).elsewhere }, u64::MAX);
    }
}
