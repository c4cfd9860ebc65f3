//! The last reference to a socket, where a call in progress has it.
//!
//! A call of a process whose threads share the descriptors holds its file until it
//! returns (`fdget`, include/linux/file.h). Where another thread closes the descriptor
//! meanwhile, or puts another file in its place, the connection ends when the call
//! returns, and by no call that names it.

use aya_ebpf::{macros::map, maps::HashMap};
use detector_common::{EndKind, flag};

use crate::{
    atomic::fetch_add_u32,
    close::descriptor::{CloseEvent, is_released, tracked},
    close::fd_table::table_holders,
    connections::remove,
    kernel::{Socket, open_file},
    ring::current,
    syscall::{SystemCall, calls_only},
};

/// A socket that only a call in progress holds.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Last {
    pub(crate) cookie: u64,
    /// The address of its `struct sock`.
    pub(crate) socket: u64,
}

/// Those held by calls that may move more bytes before they return, by thread.
#[map]
static LAST_CALLS: HashMap<u32, Last> = HashMap::with_max_entries(1024, 1);

/// Entries of that map: 0 nearly always.
#[unsafe(no_mangle)]
static mut LAST_CALLS_MADE: u32 = 0;

/// Bytes were moved, or not, by a call that is about to return, of a socket that was let
/// go of: ends the connection if nothing else holds it.
#[inline(never)]
pub(crate) fn before_return(cookie: u64, socket: Socket) {
    let Some(file) = socket.file() else { return };
    // What io_uring holds is not told from what a call does.
    if file.references() != 1 || !calls_only() {
        return;
    }
    let (fd, several) = SystemCall::mover();
    let held = match fd {
        // A call holds a reference where the descriptor could go away.
        Some(fd) => open_file(fd).is_some_and(|open| open.0.0 == file.0.0),
        // With a table that is shared each call holds one, so that no descriptor does.
        None => table_holders() <= 1,
    };
    if held {
        return;
    }
    if !several {
        close_held(cookie, socket);
        return;
    }
    if let Some(connection) = tracked(cookie) {
        connection.end_flags |= flag::LAST_CALL;
        let (_, tid) = current();
        let last = Last {
            cookie,
            socket: socket.0.0,
        };
        if LAST_CALLS.insert(&tid, &last, 1).is_ok() {
            // SAFETY: a number that is only added to.
            fetch_add_u32(&raw mut LAST_CALLS_MADE, 1);
        }
    }
}

/// What the call of this thread, which ends, held alone.
#[inline(always)]
pub(crate) fn last_call(tid: u32) -> Option<Last> {
    // SAFETY: a number that is written at once.
    if unsafe { (&raw const LAST_CALLS_MADE).read_volatile() } == 0 {
        return None;
    }
    take(tid)
}

#[inline(always)]
fn take(tid: u32) -> Option<Last> {
    let found = LAST_CALLS.get_ptr(&tid)?;
    // SAFETY: a live map value.
    let last = unsafe { *found };
    if LAST_CALLS.remove(&tid).is_ok() {
        // Two's complement: one less.
        fetch_add_u32(&raw mut LAST_CALLS_MADE, u32::MAX);
    }
    Some(last)
}

/// The call that alone held the socket moves no more bytes.
#[inline(never)]
pub(crate) fn close_held(cookie: u64, socket: Socket) {
    let Some(connection) = tracked(cookie) else {
        return;
    };
    if is_released(connection) {
        return;
    }
    let ending = CloseEvent {
        kind: EndKind::Returned,
        how: 0,
        references: 1,
        wait_status: 0,
        walk: 0,
        fd: -1,
        by_call: false,
    };
    ending.emit(cookie, connection, socket);
    remove(cookie);
}
