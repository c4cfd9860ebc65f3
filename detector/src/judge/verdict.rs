//! Who ended a message that is short, with what cause and fault.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use detector_common::{
    BY_URING, CallEntry, Connection as Counters, End, EndKind, Open, SocketInfo, StackCopy,
    call_name, family, flag, seen, tcp_state,
};

use super::{
    finding::{Address, Cause, Ending, EndingKind, Fault, Finding, SendQueue, TimelineEntry},
    flaw::{Flaw, Flawed},
    unjudged::Unjudged,
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
const GONE: [u32; 2] = [ECONNRESET, EPIPE];

/// How long after its last byte a response may still lie unread at the peer,
/// when all of it was acknowledged.
const UNREAD_NS: u64 = 1_000_000_000;

/// Judges a message that was not what was promised when the connection ended.
/// `may_stop`: this side need not send the rest. `end` is the first ending with the socket as
/// it was just before it;
/// `counters` are the final ones, which hold what calls that were still in
/// progress then brought.
pub(super) fn verdict(flawed: &Flawed, end: &End, counters: &Counters, may_stop: bool) -> Verdict {
    let Some(kind) = ending_kind(end) else {
        return Verdict::Unjudged(Unjudged::LostEvents);
    };
    if may_stop {
        return Verdict::Unjudged(Unjudged::EarlyResponse);
    }
    let peer = peer(end);
    let idle_ns = idle(end.header.time_ns, end.connection.sent_ns);
    let unsent = is_read(end, seen::QUEUES).then_some(end.socket.unsent);
    let owes = matches!(flawed.flaw, Flaw::Short | Flaw::Unterminated);
    let (cause, fault) = match peer {
        Peer::Gone if owes => (Cause::PeerClosed, Fault::Peer),
        Peer::HalfClosed if owes || flawed.flaw == Flaw::AtRisk => {
            (cause(flawed.flaw, kind), Fault::Unknown)
        }
        _ if flawed.flaw == Flaw::AtRisk => (cause(flawed.flaw, kind), loss(unsent, idle_ns)),
        _ => (cause(flawed.flaw, kind), Fault::Local),
    };
    let ending = Ending {
        kind,
        by_uring: end.how & BY_URING != 0,
        time_ns: end.header.time_ns,
        idle_ns,
        unsent: unsent.filter(|_| flawed.flaw == Flaw::AtRisk),
        late: false,
        stack: StackCopy::from_number(end.stack),
    };
    let mut finding = Finding {
        fd: u32::try_from(end.fd).ok(),
        unread: is_read(end, seen::QUEUES).then_some(end.socket.unread),
        reset: (is_read(end, seen::LINGER) || end.socket.reset != 0)
            .then_some(end.socket.reset != 0),
        timeline: timeline(counters, end.header.tid, &ending, peer),
        ..unplaced(flawed, &end.socket, counters, cause, fault, ending)
    };
    finding.stranded = stranded(flawed, LastSend::before(end, counters), finding.missing());
    finding.connection = end.header.cookie;
    (finding.pid, finding.tid) = (end.header.tgid, end.header.tid);
    finding.comm = text(&end.comm);
    if cause == Cause::PeerClosed {
        Verdict::ByPeer(Box::new(finding))
    } else {
        Verdict::Short(Box::new(finding))
    }
}

/// Whose doing it is that a reset took back a response that was accepted whole. What was
/// not sent is lost for certain; what was, the peer may have. Where no byte had been
/// accepted for long it may not have wanted more.
pub(super) fn loss(unsent: Option<u32>, idle_ns: Option<u64>) -> Fault {
    match (unsent, idle_ns) {
        (Some(1..), Some(idle)) if idle < UNREAD_NS => Fault::Local,
        _ => Fault::Unknown,
    }
}

/// Whether the kernel side read that of the socket, one of [`seen`].
pub(super) fn is_read(end: &End, what: u32) -> bool {
    end.socket.seen & what != 0
}

/// Whether only the reset itself tells: what is below an MPTCP socket was not read.
fn tells_later(end: &End) -> bool {
    is_read(end, seen::RESETS) && !is_read(end, seen::QUEUES)
}

/// Whether a reset may yet take back a response that was sent whole, though the ending
/// itself makes none: the peer had not acknowledged all of it, or that is not known.
pub(super) fn may_be_taken_back(end: &End) -> bool {
    let pending = end.socket.unacknowledged > 0 || !is_read(end, seen::QUEUES);
    is_inet(end) && is_read(end, seen::LINGER) && pending && peer(end) != Peer::Gone
}

/// Whether it ended with nothing of the peer's side to be said: no FIN.
pub(super) fn peer_is_there(end: &End) -> bool {
    peer(end) == Peer::There
}

/// Whether a response whose last byte was accepted so long ago may still lie unread at
/// the peer.
pub(super) fn may_lie_unread(idle_ns: Option<u64>) -> bool {
    idle_ns.is_some_and(|idle| idle < UNREAD_NS)
}

fn is_inet(end: &End) -> bool {
    [family::INET, family::INET6].contains(&end.socket.family)
}

/// Whether the ending of a connection, whose last response was sent whole,
/// makes the kernel send a reset while the peer may not have read all of it
/// (`tcp_close`; RFC 9112 section 9.6).
///
/// `answered`: the request was read to its end. What is unread then is another,
/// sent by a peer that may well have read the response.
///
/// `None` where no time tells how long ago its last byte was (a log without).
pub(super) fn at_risk(end: &End, answered: bool) -> Option<bool> {
    let socket = &end.socket;
    let asked_again = answered && socket.unread > 0 && socket.unacknowledged == 0;
    let resets = (socket.unread > 0 || socket.reset != 0) && !asked_again;
    let may_be = is_inet(end) && resets && !tells_later(end) && peer(end) != Peer::Gone;
    if !may_be || socket.unacknowledged > 0 {
        return Some(may_be);
    }
    idle(end.header.time_ns, end.connection.sent_ns).map(|idle| idle < UNREAD_NS)
}

/// A message that is not what was promised, on a connection that goes on.
/// `open` is what it was when it first sent bytes; `now_ns` is the time.
pub(super) fn noted(flawed: &Flawed, open: &Open, counters: &Counters, now_ns: u64) -> Finding {
    let (kind, time_ns) = match flawed.by {
        Some(by) => (EndingKind::Next { call: by.number }, by.time_ns),
        None => (EndingKind::Open, now_ns),
    };
    let ending = Ending {
        kind,
        by_uring: false,
        time_ns,
        idle_ns: flawed
            .by
            .is_none()
            .then(|| idle(now_ns, counters.sent_ns))
            .flatten(),
        unsent: None,
        late: false,
        stack: StackCopy::None,
    };
    let fault = match flawed.flaw {
        Flaw::Stalled => Fault::Unknown,
        _ => Fault::Local,
    };
    let last = counters.calls_in_order().last().map(|call| call.tid);
    Finding {
        connection: open.header.cookie,
        pid: flawed.by.map_or(open.header.tgid, |by| by.pid),
        tid: flawed
            .by
            .map(|by| by.tid)
            .or(last)
            .unwrap_or(open.header.tid),
        fd: u32::try_from(flawed.by.map_or(counters.fd, |by| by.fd)).ok(),
        comm: text(&open.comm),
        timeline: counters.calls_in_order().map(entry).collect(),
        ..unplaced(
            flawed,
            &open.socket,
            counters,
            cause(flawed.flaw, kind),
            fault,
            ending,
        )
    }
}

/// A message that the peer cut short on a connection that nobody here has closed;
/// as for [`noted`].
pub(super) fn cut_by_peer(
    flawed: &Flawed,
    open: &Open,
    counters: &Counters,
    now_ns: u64,
) -> Finding {
    Finding {
        cause: Cause::PeerClosed,
        fault: Fault::Peer,
        ..noted(flawed, open, counters, now_ns)
    }
}

/// The cause that it is, by what is wrong and how it ended.
fn cause(flaw: Flaw, kind: EndingKind) -> Cause {
    match flaw {
        Flaw::Unterminated => Cause::UnterminatedChunked,
        Flaw::Desync => Cause::Desync,
        Flaw::Overrun => Cause::Overrun,
        Flaw::Stalled => Cause::Stalled,
        Flaw::AtRisk => Cause::DeliveryAtRisk,
        Flaw::Short => match kind {
            EndingKind::Exit { .. } => Cause::ProcessExit,
            EndingKind::Shutdown { .. } => Cause::PrematureShutdown,
            _ => Cause::PrematureClose,
        },
    }
}

fn idle(now_ns: u64, sent_ns: u64) -> Option<u64> {
    (sent_ns > 0).then(|| now_ns.saturating_sub(sent_ns))
}

fn ending_kind(end: &End) -> Option<EndingKind> {
    Some(match EndKind::from_number(end.kind)? {
        EndKind::Shutdown => EndingKind::Shutdown {
            both: end.how & !BY_URING == SHUT_RDWR,
        },
        EndKind::Close => EndingKind::Close,
        EndKind::CloseRange => EndingKind::CloseRange,
        EndKind::Replace => EndingKind::Replace,
        EndKind::Exec => EndingKind::Exec,
        EndKind::Exit => EndingKind::Exit {
            wait_status: end.wait_status,
        },
        // By which the descriptor went away is not known.
        EndKind::Returned => return None,
    })
}

/// Whether the peer cannot receive any more, as it was just before this.
pub(super) fn peer_is_gone(end: &End) -> bool {
    peer(end) == Peer::Gone
}

/// Whether a call said that it is so.
pub(super) fn failed(counters: &Counters) -> bool {
    let errors = [counters.send_errno, counters.receive_errno];
    errors.iter().any(|errno| GONE.contains(errno))
}

/// Whether the peer had closed before this side shut the connection down.
pub(super) fn left(counters: &Counters) -> bool {
    counters.end_flags & flag::PEER_CLOSED != 0
}

fn peer(end: &End) -> Peer {
    let (socket, counters) = (&end.socket, &end.connection);
    let failed = failed(counters) || GONE.contains(&socket.error);
    let (gone, half_closed) = match socket.family {
        family::UNIX => {
            // The peer's close sets both bits on ours (unix_release_sock). One
            // may be our own doing, by a call that was not seen.
            let both = RCV_SHUTDOWN | SEND_SHUTDOWN;
            let own_read = counters.end_flags & flag::SHUT_RD != 0;
            let ended = counters.receive_flags & flag::EOF != 0 || socket.shutdown & both != 0;
            (
                left(counters) || (socket.shutdown & both == both && !own_read),
                ended && !own_read,
            )
        }
        // By the state: our own shutdown(SHUT_RD) sets the bit and makes reads
        // return 0 too.
        _ => (
            socket.state == tcp_state::CLOSE,
            tcp_state::FIN_RECEIVED.contains(&socket.state),
        ),
    };
    if failed || gone {
        Peer::Gone
    } else if half_closed {
        Peer::HalfClosed
    } else {
        Peer::There
    }
}

/// A finding without process, descriptor and calls.
fn unplaced(
    flawed: &Flawed,
    socket: &SocketInfo,
    counters: &Counters,
    cause: Cause,
    fault: Fault,
    ending: Ending,
) -> Finding {
    // What comes after the promised bytes, if not an overrun, is not its.
    let sent = match (flawed.flaw, flawed.promised, flawed.sent) {
        (Flaw::Overrun, _, sent) | (_, None, sent) => sent,
        (_, Some(promised), sent) => sent.map(|sent| sent.min(promised)),
    };
    let (local, peer) = place(socket);
    let mut finding = Finding {
        cause,
        fault,
        connection: 0,
        pid: 0,
        tid: 0,
        comm: String::new(),
        fd: None,
        family: socket.family,
        unread: None,
        reset: None,
        inode: (socket.inode != 0).then_some(socket.inode),
        local,
        peer,
        peer_pid: (socket.peer_pid != 0).then_some(socket.peer_pid),
        message: flawed.message.clone(),
        alone: false,
        rests_on_reads: false,
        reads_hidden: false,
        promised: flawed.promised,
        sent,
        sent_with_head: flawed.sent_with_head,
        stranded: None,
        send_queue: SendQueue::from_number(counters.send_queue)
            .filter(|_| flawed.flaw == Flaw::Stalled),
        timeline: Vec::new(),
        ending,
    };
    finding.stranded = stranded(flawed, LastSend::of(counters), finding.missing());
    finding
}

/// What the last send left over, where that is known. `missing`: bytes of the message.
fn stranded(flawed: &Flawed, last: LastSend, missing: Option<u64>) -> Option<u64> {
    // Of the calls after it nothing follows for a message that came before.
    if flawed.by.is_some() {
        return None;
    }
    last.left_over(missing)
}

/// The last call that sent, before this side ended the connection.
#[derive(Clone, Copy, Debug)]
struct LastSend {
    /// [`u64::MAX`] if not known.
    offered: u64,
    result: i32,
    number: Option<u16>,
}

impl LastSend {
    fn of(counters: &Counters) -> Self {
        Self {
            offered: counters.last_offered,
            result: counters.last_result,
            number: last_number(counters),
        }
    }

    /// Behind this side's own shutdown a send fails (EPIPE), and left nothing over. What
    /// was accepted since is that of a call that was in progress.
    fn before(end: &End, counters: &Counters) -> Self {
        let own = &end.connection;
        let since = counters.call_count.wrapping_sub(own.call_count);
        if since == 0 || EndKind::from_number(end.kind) != Some(EndKind::Shutdown) {
            return Self::of(counters);
        }
        let kept = counters.calls_in_order().count();
        let since = usize::try_from(since).unwrap_or(usize::MAX);
        let accepted = counters
            .calls_in_order()
            .skip(kept.saturating_sub(since))
            .filter(|call| call.sending == 1 && call.result > 0)
            .last();
        match accepted {
            Some(call) => Self {
                offered: call.offered,
                result: call.result,
                number: Some(call.number),
            },
            // It is not among those that are kept.
            None if counters.sent > own.sent => Self {
                offered: u64::MAX,
                ..Self::of(own)
            },
            None => Self::of(own),
        }
    }

    /// Bytes that it offered and the kernel did not take; `None` where that is not known.
    fn left_over(self, missing: Option<u64>) -> Option<u64> {
        if self.offered == u64::MAX {
            return None;
        }
        let taken = u64::try_from(self.result).unwrap_or(0);
        let left = self.offered.saturating_sub(taken);
        // These name what they would take of a file or a pipe, not what is there.
        let name = self.number.and_then(call_name);
        match (name, self.result) {
            (Some("sendfile" | "splice"), 0) => Some(0),
            (Some("sendfile" | "splice"), 1..) if left > 0 => None,
            (Some("splice"), ..0) => None,
            // At the end of a file it returns 0, full or not (sendfile(2)).
            (Some("sendfile"), ..0) => Some(left).filter(|left| Some(*left) <= missing),
            _ => Some(left),
        }
    }
}

fn last_number(counters: &Counters) -> Option<u16> {
    counters
        .calls_in_order()
        .filter(|call| call.sending == 1)
        .last()
        .map(|call| call.number)
}

/// The last calls, what the peer had done, and the ending.
fn timeline(counters: &Counters, tid: u32, ending: &Ending, peer: Peer) -> Vec<TimelineEntry> {
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
        time_ns: known_time(ending.time_ns),
        call: ending.kind.name().to_owned(),
        offered: None,
        result: None,
        tid: Some(tid),
    });
    // Calls that were in progress at the ending returned after it.
    entries.sort_by_key(|entry| entry.time_ns.unwrap_or(ending.time_ns));
    entries
}

/// The time, if there is one: a log may have none.
fn known_time(time_ns: u64) -> Option<u64> {
    (time_ns > 0).then_some(time_ns)
}

fn entry(call: &CallEntry) -> TimelineEntry {
    TimelineEntry {
        time_ns: known_time(call.time_ns),
        call: call_name(call.number)
            .map_or_else(|| format!("syscall {}", call.number), str::to_owned),
        offered: (call.offered != u64::MAX).then_some(call.offered),
        result: Some(i64::from(call.result)),
        tid: Some(call.tid),
    }
}

/// This side's address and the peer's.
pub(super) fn place(socket: &SocketInfo) -> (Option<Address>, Option<Address>) {
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
        _ if socket.path_of_peer != 0 => (None, unix_path(socket)),
        _ => (unix_path(socket), None),
    }
}

/// The local path of a Unix socket.
pub(super) fn unix_path(socket: &SocketInfo) -> Option<Address> {
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
