//! How this side ends connections, one descriptor at a time; many at once in `close/fd_table.rs`.
//!
//! All hooks are before the deed: by the end of a close the number may be
//! another socket's, and only before it does the socket still say what the
//! peer had done (`sk_shutdown`, `sk_state`, `sk_err`).

pub(crate) use detector_common::BY_URING;
use detector_common::{Connection, End, EndKind, Kind, SocketInfo, StackCopy, Stat, family, flag};

use crate::{
    atomic::{fetch_add_u32, set_bits_u32},
    close::fd_table::table_holders,
    close::stack::{Amount, Circumstances, choose_copy, copy_stack},
    connections::{find, remove},
    kernel::{File, Socket, copy, name_current_thread, open_file},
    maps::{RECORDS, count},
    new_socket::closing_before_use,
    processes::is_watched,
    ring::{Stamp, current, header, wake},
    syscall::SyscallArgs,
    track::{is_ready, lose_order},
    verifier::{hide_value, zero},
};

/// `SHUT_RD` ends nothing that we owe; 1 is `SHUT_WR`.
const SHUT_RD: u32 = 0;
const SHUT_RDWR: u32 = 2;

#[inline(always)]
pub(crate) fn on_shutdown(call: &impl SyscallArgs) -> u32 {
    let (tgid, _) = current();
    if !is_watched(tgid) {
        return 0;
    }
    let (Ok(fd), Ok(how)) = (call.first(), call.second()) else {
        return 0;
    };
    // Ints: the upper half of a register is anything.
    shut(fd as i32, how as u32, 0);
    0
}

/// A shutdown of this descriptor. `by`: 0 or [`BY_URING`].
#[inline(always)]
pub(crate) fn shut(fd: i32, how: u32, by: u32) {
    if how > SHUT_RDWR {
        return;
    }
    let Some((file, socket)) = socket_of(fd) else {
        return;
    };
    // It ends for all who have it.
    let Some((cookie, connection)) = ending_of(socket, 1) else {
        return;
    };
    if how == SHUT_RD {
        connection.end_flags |= flag::SHUT_RD;
        return;
    }
    if connection.end_flags & flag::SHUT_WR != 0 {
        return;
    }
    connection.end_flags |= flag::SHUT_WR;
    let both = how == SHUT_RDWR;
    if socket.has_peer_closed() && connection.end_flags & flag::SHUT_RD == 0 {
        // Nothing can be owed to who is gone, and the record of the close, which comes
        // next as a rule, tells that it was: most connections end so.
        connection.end_flags |= flag::PEER_CLOSED | if both { flag::SHUT_RD } else { 0 };
        return;
    }
    let ending = CloseEvent {
        kind: EndKind::Shutdown,
        how: how | by,
        references: file.references(),
        wait_status: 0,
        walk: 0,
        fd,
        by_call: by & BY_URING == 0,
    };
    ending.emit(cookie, connection, socket);
    if both {
        connection.end_flags |= flag::SHUT_RD;
    }
}

#[inline(always)]
pub(crate) fn on_close(call: &impl SyscallArgs) -> u32 {
    let (tgid, _) = current();
    if !is_watched(tgid) {
        return 0;
    }
    let Ok(fd) = call.first() else {
        return 0;
    };
    let Some((file, socket)) = socket_of(fd as i32) else {
        return 0;
    };
    release(file, socket, EndKind::Close, 0, fd as i32);
    0
}

/// `O_CLOEXEC`, the only flag of dup3 (generic to x86-64 and arm64).
const O_CLOEXEC: u32 = 0o2_000_000;

#[inline(always)]
pub(crate) fn on_dup3(call: &impl SyscallArgs) -> u32 {
    match call.third() {
        Ok(flags) if flags as u32 & !O_CLOEXEC == 0 => on_dup2(call),
        _ => 0,
    }
}

#[inline(always)]
pub(crate) fn on_dup2(call: &impl SyscallArgs) -> u32 {
    let (tgid, _) = current();
    if !is_watched(tgid) {
        return 0;
    }
    let (Ok(old), Ok(new)) = (call.first(), call.second()) else {
        return 0;
    };
    let (old, new) = (old as i32, new as i32);
    if old == new || open_file(old).is_none() {
        return 0;
    }
    if let Some((file, socket)) = socket_of(new) {
        release(file, socket, EndKind::Replace, 0, new);
    }
    0
}

#[inline(always)]
pub(crate) fn socket_of(fd: i32) -> Option<(File, Socket)> {
    let file = open_file(fd)?;
    Some((file, file.socket()?))
}

#[inline(always)]
pub(crate) fn tracked(cookie: u64) -> Option<&'static mut Connection> {
    if cookie == 0 {
        return None;
    }
    let connection = find(cookie)?;
    // SAFETY: a live map value; the fields that several CPUs write at once
    // are added to atomically.
    Some(unsafe { &mut *connection })
}

/// The connection of a socket that is ended, as the last of so many references to it is,
/// and its cookie or what stands for that. None where one of several goes away while
/// another CPU is just taking the connection up, or before: who has the others does that,
/// and it is as if this one had never been.
#[inline(always)]
pub(crate) fn ending_of(socket: Socket, references: u32) -> Option<(u64, &'static mut Connection)> {
    let mut cookie = socket.cookie();
    if let Some(connection) = tracked(cookie) {
        if !is_ready(connection) {
            // SAFETY: a live map value, a field that is written at once.
            let taker = unsafe { (&raw const connection.tgid).read_volatile() };
            if has_other_references(references, taker) {
                return None;
            }
            lose_order(connection);
        }
        return Some((cookie, connection));
    }
    let connection = closing_before_use(socket, references, &mut cookie);
    if connection.is_null() {
        return None;
    }
    // SAFETY: a live map value, as in tracked.
    Some((cookie, unsafe { &mut *connection }))
}

/// Whether other descriptors keep the socket, which this process used last, if it is known.
/// Another process has its own. In this one, whoever shares the descriptor may be in a call
/// of it, and that counts as a reference too (`fdget`, include/linux/file.h).
#[inline(never)]
pub(crate) fn has_other_references(references: u32, user: u32) -> bool {
    let (tgid, _) = current();
    references > 1 && ((user != 0 && user != tgid) || table_holders() == 1)
}

/// Takes the last reference away; `true` if another thread has done so.
#[inline(always)]
pub(crate) fn is_released(connection: &mut Connection) -> bool {
    fetch_add_u32(&raw mut connection.released, 1) & !flag::LET_GO > 0
}

/// Whether a call in progress may hold the last reference.
#[inline(always)]
pub(crate) fn is_let_go(connection: *const Connection) -> bool {
    // SAFETY: a field of a live map value, read at once.
    unsafe { (&raw const (*connection).released).read_volatile() & flag::LET_GO != 0 }
}

/// A descriptor of the socket goes away.
#[inline(always)]
pub(crate) fn release(file: File, socket: Socket, kind: EndKind, how: u32, fd: i32) {
    let ending = CloseEvent {
        kind,
        how,
        references: file.references(),
        wait_status: 0,
        walk: 0,
        fd,
        by_call: how & BY_URING == 0,
    };
    release_one(socket, &ending);
}

/// The same, as the ending tells it.
#[inline(always)]
pub(crate) fn release_one(socket: Socket, ending: &CloseEvent) {
    let references = ending.references;
    let Some((cookie, connection)) = ending_of(socket, references) else {
        return;
    };
    // Else the verifier follows both ways through the whole record.
    if hide_value(references, zero(connection)) as u32 > 1 {
        connection.end_flags |= flag::CLOSED_SHARED;
        if table_holders() > 1 {
            // Not among the flags of a direction, which a call on another CPU may be
            // writing back.
            set_bits_u32(&raw mut connection.released, flag::LET_GO);
        }
    } else if is_released(connection) {
        // Two threads of a process that end together both walk.
        return;
    }
    ending.emit(cookie, connection, socket);
    if references == 1 {
        remove(cookie);
    }
}

pub(crate) struct CloseEvent {
    pub(crate) kind: EndKind,
    pub(crate) how: u32,
    pub(crate) references: u32,
    pub(crate) wait_status: u32,
    pub(crate) walk: u32,
    pub(crate) fd: i32,
    /// The current thread makes it, by a system call that names the
    /// descriptor: then its stack tells who asked for it.
    pub(crate) by_call: bool,
}

impl CloseEvent {
    /// Sends the record, and the stack behind it.
    #[inline(always)]
    pub(crate) fn emit(&self, cookie: u64, connection: &mut Connection, socket: Socket) {
        let stamp = Stamp::now();
        let header = header(Kind::End, cookie, connection, stamp);
        let Some(mut entry) = RECORDS.reserve::<End>(0) else {
            count(Stat::RingFull);
            if self.references == 1 && !matches!(self.kind, EndKind::Shutdown) {
                count(Stat::EndsLost);
            }
            return;
        };
        let end = entry.as_mut_ptr();
        let described = connection.send_flags & flag::DESCRIBED != 0;
        // SAFETY: the entry is as large as an End; every field is written
        // before it is submitted.
        unsafe {
            (*end).header = header;
            (*end).kind = self.kind as u32;
            (*end).how = self.how;
            (*end).references = self.references;
            (*end).wait_status = self.wait_status;
            (*end).fd = self.fd;
            (*end).walk = self.walk;
            name_current_thread(&raw mut (*end).comm);
            copy(&raw mut (*end).connection, connection);
            (*end).connection.send_flags |= (*end).connection.released & flag::LET_GO;
            socket.describe(&mut (*end).socket, !described);
        }
        // SAFETY: described above.
        let (stack, amount) = self.stack(cookie, connection, unsafe { &(*end).socket }, stamp);
        // SAFETY: as above.
        unsafe {
            (*end).stack = stack as u32;
            (*end).pad = 0;
        }
        entry.submit(wake(stamp));
        if stack == StackCopy::Taken {
            copy_stack(stamp, amount);
        }
    }

    /// Whether the stack is copied. Of one of several descriptors it is not: its close
    /// ends nothing, unless what else holds the socket is a call of another thread's.
    #[inline(always)]
    fn stack(
        &self,
        cookie: u64,
        connection: &Connection,
        socket: &SocketInfo,
        stamp: Stamp,
    ) -> (StackCopy, Amount) {
        let shutdown = matches!(self.kind, EndKind::Shutdown);
        let several = self.references > 1 && !is_let_go(connection);
        if !self.by_call || (!shutdown && several) {
            return (StackCopy::None, Amount::NOTHING);
        }
        let discards = socket.unread > 0 || socket.reset != 0;
        let circumstances = Circumstances {
            shutdown,
            on_reset: discards && !shutdown && socket.family != family::UNIX,
        };
        choose_copy(cookie, connection, &circumstances, stamp)
    }
}
