//! Who ended a message that is short, with what cause and fault.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use detector_common::{
    CallEntry, Connection as Counters, End, EndKind, SocketInfo, call_by_number, family, flag,
    tcp_state,
};

use super::{
    finding::{Address, Cause, Ending, EndingKind, Fault, Finding, Role, TimelineEntry},
    outgoing::Body,
    tally::Unjudged,
};

/// What becomes of a message that is short.
pub(super) enum Verdict {
    /// A finding against this side, or against nobody.
    Short(Box<Finding>),
    /// The peer's doing.
    ByPeer(Box<Finding>),
    /// Not judged, for this reason.
    Unjudged(Unjudged),
}

/// What the other side had done before this side ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// Nothing.
    There,
    /// It will send no more: a FIN, or `shutdown(SHUT_WR)`. Many clients do
    /// that after their request and still read.
    HalfClosed,
    /// It cannot receive any more.
    Gone,
}

/// `sk_shutdown` bits (include/net/sock.h).
const RCV_SHUTDOWN: u8 = 1;
const SEND_SHUTDOWN: u8 = 2;

/// `SHUT_RDWR` (shutdown(2)).
const SHUT_RDWR: u32 = 2;

/// Errors that end a connection from outside (errno(3)).
const ECONNRESET: u32 = 104;
const EPIPE: u32 = 32;

/// Judges a message that was short when the connection ended. `end` is the
/// first ending with the socket as it was just before it; `counters` are the
/// final ones, which hold what calls that were still in progress then brought.
pub(super) fn verdict(body: &Body, end: &End, counters: &Counters) -> Verdict {
    let Some(kind) = ending_kind(end) else {
        return Verdict::Unjudged(Unjudged::LostEvents);
    };
    // A server may answer before it has read the whole request, and a client
    // may then stop (RFC 9110 section 10.1.1, RFC 9112 section 9.5).
    if body.message.role == Role::Request && end.connection.received > body.received {
        return Verdict::Unjudged(Unjudged::EarlyResponse);
    }
    let peer = peer(end);
    let (cause, fault) = match peer {
        Peer::Gone => (Cause::PeerClosed, Fault::Peer),
        Peer::HalfClosed => (kind.cause(), Fault::Unknown),
        Peer::There => (kind.cause(), Fault::Local),
    };
    let finding = Box::new(finding(body, end, counters, kind, cause, fault, peer));
    if peer == Peer::Gone {
        Verdict::ByPeer(finding)
    } else {
        Verdict::Short(finding)
    }
}

fn ending_kind(end: &End) -> Option<EndingKind> {
    Some(match EndKind::from_number(end.kind)? {
        EndKind::Shutdown => EndingKind::Shutdown {
            both: end.how == SHUT_RDWR,
        },
        EndKind::Close => EndingKind::Close,
        EndKind::CloseRange => EndingKind::CloseRange,
        EndKind::Replace => EndingKind::Replace,
        EndKind::Exec => EndingKind::Exec,
        EndKind::Exit => EndingKind::Exit {
            wait_status: end.wait_status,
        },
    })
}

fn peer(end: &End) -> Peer {
    let (socket, counters) = (&end.socket, &end.connection);
    let failed = [counters.send_errno, counters.receive_errno, socket.error]
        .iter()
        .any(|errno| [ECONNRESET, EPIPE].contains(errno));
    let closed = match socket.family {
        // The peer's close sets both bits on ours (unix_release_sock), its
        // shutdown(SHUT_RD) this one; our own first ending has not set any yet.
        family::UNIX => socket.shutdown & SEND_SHUTDOWN != 0,
        _ => socket.state == tcp_state::CLOSE,
    };
    let half_closed = counters.receive_flags & flag::EOF != 0
        || socket.shutdown & RCV_SHUTDOWN != 0
        || (socket.family != family::UNIX && socket.state == tcp_state::CLOSE_WAIT);
    if failed || closed {
        Peer::Gone
    } else if half_closed {
        Peer::HalfClosed
    } else {
        Peer::There
    }
}

fn finding(
    body: &Body,
    end: &End,
    counters: &Counters,
    kind: EndingKind,
    cause: Cause,
    fault: Fault,
    peer: Peer,
) -> Finding {
    let promised = body.end - body.start;
    let sent = counters.sent.saturating_sub(body.start).min(promised);
    let taken = u64::try_from(counters.last_result).unwrap_or(0);
    let known = counters.last_offered != u64::MAX;
    let ending = Ending {
        kind,
        time_ns: end.header.time_ns,
        idle_ns: (end.connection.sent_ns > 0)
            .then(|| end.header.time_ns.saturating_sub(end.connection.sent_ns)),
    };
    let (local, remote) = addresses(&end.socket);
    Finding {
        cause,
        fault,
        pid: end.header.tgid,
        tid: end.header.tid,
        comm: text(&end.comm),
        fd: u32::try_from(end.fd).ok(),
        family: end.socket.family,
        inode: (end.socket.inode != 0).then_some(end.socket.inode),
        local,
        peer: remote,
        peer_pid: (end.socket.peer_pid != 0).then_some(end.socket.peer_pid),
        message: body.message.clone(),
        promised,
        sent,
        stranded: known.then(|| counters.last_offered.saturating_sub(taken)),
        timeline: timeline(counters, end, &ending, peer),
        ending,
    }
}

/// The last calls, what the peer had done, and the ending.
fn timeline(counters: &Counters, end: &End, ending: &Ending, peer: Peer) -> Vec<TimelineEntry> {
    let mut entries: Vec<_> = counters.calls_in_order().map(entry).collect();
    if peer != Peer::There {
        let call = if peer == Peer::Gone {
            "peer closed"
        } else {
            "peer half-closed"
        };
        entries.push(TimelineEntry {
            // The kernel tells that it was so, not since when.
            time_ns: None,
            call: call.to_owned(),
            offered: None,
            result: None,
            tid: None,
        });
    }
    entries.push(TimelineEntry {
        time_ns: Some(ending.time_ns),
        call: ending.kind.name().to_owned(),
        offered: None,
        result: None,
        tid: Some(end.header.tid),
    });
    // Calls that were in progress at the ending returned after it.
    entries.sort_by_key(|entry| entry.time_ns.unwrap_or(ending.time_ns));
    entries
}

fn entry(call: &CallEntry) -> TimelineEntry {
    TimelineEntry {
        time_ns: Some(call.time_ns),
        call: call_by_number(call.number).map_or_else(
            || format!("syscall {}", call.number),
            |row| row.name.to_owned(),
        ),
        offered: (call.offered != u64::MAX).then_some(call.offered),
        result: Some(i64::from(call.result)),
        tid: Some(call.tid),
    }
}

fn addresses(socket: &SocketInfo) -> (Option<Address>, Option<Address>) {
    // A socket that was reset has given its port back: not known.
    let inet = |ip: IpAddr, port| (port != 0).then(|| Address::Inet(SocketAddr::new(ip, port)));
    let v4 = |bytes: &[u8; 16]| {
        bytes
            .first_chunk::<4>()
            .map_or(Ipv4Addr::UNSPECIFIED, |four| Ipv4Addr::from(*four))
            .into()
    };
    let v6 = |bytes: &[u8; 16]| Ipv6Addr::from(*bytes).to_canonical();
    match socket.family {
        family::INET => (
            inet(v4(&socket.local), socket.local_port),
            inet(v4(&socket.peer), socket.peer_port),
        ),
        family::INET6 => (
            inet(v6(&socket.local), socket.local_port),
            inet(v6(&socket.peer), socket.peer_port),
        ),
        _ => (unix_path(socket), None),
    }
}

fn unix_path(socket: &SocketInfo) -> Option<Address> {
    let path = socket.unix_path.get(..usize::from(socket.unix_path_len))?;
    let path = match path.split_first()? {
        // Abstract: the name is all that follows, zero bytes too (unix(7)).
        (0, name) => format!("@{}", String::from_utf8_lossy(name).replace('\0', "@")),
        _ => text(path),
    };
    Some(Address::Unix(path))
}

/// Bytes up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
