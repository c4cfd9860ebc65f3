//! Where connections are kept: in slots, and those that find theirs taken in a
//! hash map.

use detector_common::{Connection, Slot, Stat};

use crate::{
    atomic::{compare_and_swap, fetch_add},
    config::config,
    kernel::copy,
    maps::{CONNECTIONS, SLOTS, count},
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
    // SAFETY: a live map value. All of a free slot is zeros ([`remove`]).
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

/// All of a connection but its cookie.
#[repr(C)]
struct Rest([u64; size_of::<Connection>() / 8 - 1]);

/// What the rest of a free slot is.
#[unsafe(no_mangle)]
static NOTHING: Rest = Rest([0; size_of::<Connection>() / 8 - 1]);

/// Keeps the connection no longer. Nobody else may be using its socket: the last
/// reference goes away.
#[inline(always)]
pub(crate) fn remove(cookie: u64) {
    let Some(slot) = slot(cookie) else { return };
    // SAFETY: a live map value.
    let connection = unsafe { &raw mut (*slot).connection };
    // SAFETY: as above.
    if unsafe { (&raw const (*connection).cookie).read_volatile() } == cookie {
        // The cookie goes last: from then on the slot may become another's.
        // SAFETY: as above; behind the cookie is the rest.
        unsafe {
            let rest = connection.cast::<u64>().add(1).cast::<Rest>();
            copy(rest, &NOTHING);
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
