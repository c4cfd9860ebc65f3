//! Takes up connections: an entry when a watched process first uses one, and
//! the record that says which it is.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_socket_cookie},
    programs::BtfTracePointContext,
};
use detector_common::{Connection, Kind, Open, Stat};

use crate::{
    births::take_birth,
    filter::takes_up,
    kernel::{Address, Socket},
    maps::{CONNECTIONS, RECORDS, config, count},
    memory::{field, is_compat},
    ring::{Moment, current, header, wake},
};

/// An entry as it begins.
#[unsafe(no_mangle)]
static EMPTY: Connection = Connection::EMPTY;

/// The entry of the socket that the tracepoint names, made if the process is
/// watched and the socket may carry HTTP. A socket that is tracked is counted
/// whoever uses it: bytes that an unwatched process sends on it are its too.
#[inline(always)]
pub(crate) fn connection_of(
    context: &BtfTracePointContext,
) -> Option<(u64, Socket, *mut Connection)> {
    let sk: *mut core::ffi::c_void = context.arg(0);
    let socket = Socket(Address(sk as u64));
    let cookie_at = config!(fields.sock_cookie);
    // Read directly, which costs a tenth of asking the helper.
    // SAFETY: a field of the tracepoint's argument; the verifier checks the
    // offset.
    let cookie: u64 = unsafe { field(sk.cast(), cookie_at) };
    if cookie != 0
        && let Some(found) = CONNECTIONS.get_ptr_mut(&cookie)
    {
        return Some((cookie, socket, found));
    }
    let (tgid, _) = current();
    if !takes_up(tgid, socket) {
        return None;
    }
    let family = socket.stream_family()?;
    if !socket.has_file() {
        return None;
    }
    if is_compat() {
        count(Stat::Compat);
        return None;
    }
    // SAFETY: the tracepoint's argument is a live socket.
    let cookie = unsafe { bpf_get_socket_cookie(sk) };
    let fresh = take_birth(socket);
    // BPF_NOEXIST: another thread's entry, made meanwhile, stays.
    let made = CONNECTIONS.insert(&cookie, &EMPTY, 1).is_ok();
    let Some(found) = CONNECTIONS.get_ptr_mut(&cookie) else {
        count(Stat::ConnectionsFull);
        return None;
    };
    if made {
        count(Stat::Connections);
        // SAFETY: a live map value.
        let connection = unsafe { &mut *found };
        connection.family = family;
        connection.tgid = tgid;
        connection.fresh = u32::from(fresh);
        let moment = Moment::now();
        connection.born_ns = moment.time_ns;
        announce(cookie, connection, socket, moment);
    }
    Some((cookie, socket, found))
}

/// Sends the first record of a connection.
#[inline(always)]
fn announce(cookie: u64, connection: &mut Connection, socket: Socket, moment: Moment) {
    let header = header(Kind::Open, cookie, connection, moment);
    let Some(mut entry) = RECORDS.reserve::<Open>(0) else {
        count(Stat::RingFull);
        return;
    };
    let open = entry.as_mut_ptr();
    // SAFETY: the entry is as large as an Open; every field is written before
    // it is submitted.
    unsafe {
        (*open).header = header;
        (*open).comm = bpf_get_current_comm().unwrap_or([0; 16]);
        socket.describe(&mut (*open).socket);
    }
    entry.submit(wake(moment));
}
