//! What each call does to descriptors and sockets.
//!
//! | file | what it does |
//! | --- | --- |
//! | `transfer.rs` | bytes that calls move |
//! | `open.rs` | new descriptors |
//! | `resolve.rs` | which socket a descriptor is |
//! | `close.rs` | shutdown, and descriptors that go away or become several |
//! | `fork_exec.rs` | processes and threads that are made, and execs |
//! | `peer_events.rs` | what poll(2) and epoll(7) say of the peer |

mod close;
mod fork_exec;
mod open;
mod peer_events;
mod resolve;
mod transfer;

use detector_common::{EndKind, family, flag};

use super::{
    arguments::{Arguments, arguments, elements, field, has_flag, is_constant, number, unnamed},
    calls::{Data, Does, does},
    descriptors::{Table, What},
    peer_address::PeerAddress,
    programs::executed,
    replay::Replay,
    result::{Outcome, Returned, outcome},
    socket::family_of,
    socket_name::{ParsedName, SocketName, parse_name},
};

/// A descriptor as an argument has it: `7<socket:[310716]>`.
fn descriptor(argument: &[u8]) -> Option<(i32, &[u8])> {
    let end = memchr::memchr(b'<', argument).unwrap_or(argument.len());
    let (digits, annotation) = argument.split_at_checked(end)?;
    let fd = i32::try_from(number(digits)?).ok()?;
    Some((fd, annotation))
}

/// Whether the first argument is a descriptor, and nothing is done without.
fn takes_descriptor(does: Does) -> bool {
    matches!(
        does,
        Does::Send(..)
            | Does::Receive(..)
            | Does::Connect
            | Does::Shutdown
            | Does::Close
            | Does::Dup
            | Does::DupOver
            | Does::Fcntl
            | Does::SetOption
            | Does::GetOption
    )
}

/// The flags of an epoll event, and what the program knows it by. strace before 4.13
/// writes `{EPOLLIN, {u32=5, u64=5}}`, since 5.12 or so `{events=EPOLLIN, data=0x5}`.
fn epoll_event(event: &[u8]) -> (Option<&[u8]>, Option<u64>) {
    let mut parts = elements(event);
    let (first, second) = (parts.next(), parts.next());
    let flags = field(event, "events").or(first);
    let data = field(event, "data").or(second);
    let data = data.and_then(|data| field(data, "u64").or(Some(data)));
    (flags, data.and_then(number))
}

/// Whether an annotation may be a socket's, at a glance.
fn glance(annotation: &[u8]) -> bool {
    !matches!(annotation, [b'<', b'/' | b'p' | b'a', ..])
}

impl Replay {
    /// A call that is told of whole: `rest` is what is behind the parenthesis
    /// that opens its arguments.
    pub(super) fn call(&mut self, tid: u32, name: &[u8], rest: &[u8]) {
        let Some(does) = does(name) else { return };
        // No descriptor, as shells close them: the call fails (EBADF).
        if takes_descriptor(does) && unnamed(rest).starts_with(b"-") {
            return;
        }
        // Most of what is read and written are files.
        if let Does::Receive(_, false) | Does::Send(Data::Buffer | Data::Iovec, false) = does
            && self.resumed.is_none_or(|call| call.sends_on.is_none())
            && self.is_file(tid, rest)
        {
            return;
        }
        let Some((arguments, behind)) = arguments(rest) else {
            return self.garbled();
        };
        let Some(outcome) = outcome(behind) else {
            return self.garbled();
        };
        if outcome.is_injected() {
            return self.injected(tid, does, &outcome);
        }
        let read = self.act(tid, name, does, &arguments, &outcome);
        if read.is_none() {
            // Whoever shortened it may have left out what matters.
            self.garbled();
        }
    }

    /// Whether the first argument is certainly no socket.
    fn is_file(&mut self, tid: u32, rest: &[u8]) -> bool {
        let rest = unnamed(rest);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(fd) = rest.get(..digits).and_then(number) else {
            return false;
        };
        let Ok(fd) = i32::try_from(fd) else {
            return false;
        };
        let slot = self.descriptors.slot(tid, fd).map(|slot| slot.what);
        match (rest.get(digits), slot) {
            (Some(b'<'), Some(What::Socket(_))) => false,
            (Some(b'<'), _) => rest
                .get(digits..)
                .is_some_and(|annotation| !glance(annotation)),
            (_, slot) => slot == Some(What::File),
        }
    }

    /// Does what the call did; `None` if its arguments are not what they should
    /// be.
    fn act(
        &mut self,
        tid: u32,
        name: &[u8],
        does: Does,
        arguments: &Arguments<'_>,
        outcome: &Outcome<'_>,
    ) -> Option<()> {
        let value = match outcome.returned {
            Returned::Value(value) => Some(value),
            _ => None,
        };
        match does {
            Does::Send(data, certain) => {
                self.moves(tid, name, data, (true, certain), arguments, outcome)
            }
            Does::Receive(data, certain) => {
                self.moves(tid, name, data, (false, certain), arguments, outcome)
            }
            Does::Accept => {
                let Some(value) = value else { return Some(()) };
                let mut socket = match parse_name(outcome.annotation) {
                    ParsedName::Socket(name) => *name,
                    _ => SocketName::default(),
                };
                let address = arguments.at(1);
                if socket.family == 0 {
                    socket.family = field(address, "sa_family").map_or(0, family_of);
                }
                socket.packets |= self.carries_packets(tid, arguments.at(0));
                let close_on_exec = has_flag(arguments.at(3), "SOCK_CLOEXEC");
                self.open_socket(tid, value, socket, close_on_exec)
            }
            Does::Socket => {
                let Some(value) = value else { return Some(()) };
                let family = family_of(arguments.at(0));
                let kind = arguments.at(1);
                let (stream, packets) = nature(kind);
                let packets = packets && family == family::UNIX;
                let close_on_exec = has_flag(kind, "SOCK_CLOEXEC");
                if family == 0 || !(stream || packets) {
                    return self.open_file(tid, value);
                }
                let mut socket = match parse_name(outcome.annotation) {
                    ParsedName::Socket(name) => *name,
                    _ => SocketName::default(),
                };
                socket.family = family;
                socket.packets |= packets;
                self.open_socket(tid, value, socket, close_on_exec)
            }
            Does::Socketpair => {
                if value.is_none() {
                    return Some(());
                }
                let kind = arguments.at(1);
                let (stream, packets) = nature(kind);
                let close_on_exec = has_flag(kind, "SOCK_CLOEXEC");
                for element in elements(arguments.at(3)) {
                    let (fd, annotation) = descriptor(element)?;
                    let fd = u64::try_from(fd).ok()?;
                    if !(stream || packets) {
                        self.open_file(tid, fd)?;
                        continue;
                    }
                    let mut socket = match parse_name(annotation) {
                        ParsedName::Socket(name) => *name,
                        _ => SocketName::default(),
                    };
                    socket.family = family_of(arguments.at(0));
                    socket.packets |= packets;
                    self.open_socket(tid, fd, socket, close_on_exec)?;
                }
                Some(())
            }
            Does::Connect => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                let to = arguments.at(1);
                if field(to, "sa_family").map_or(0, family_of) == 0 {
                    return Some(());
                }
                if let Some(cookie) = self.resolve(tid, fd, annotation, true) {
                    self.connect(cookie, to);
                }
                Some(())
            }
            Does::Shutdown => self.shutdown(tid, arguments, outcome.returned),
            Does::Close => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                if value.is_some_and(|value| value > 0) {
                    return None;
                }
                self.close(tid, fd, annotation, EndKind::Close, 0);
                Some(())
            }
            Does::CloseRange => {
                if outcome.returned == Returned::Value(0) {
                    let first = i32::try_from(number(arguments.at(0))?).unwrap_or(i32::MAX);
                    let last = number(arguments.at(1))
                        .and_then(|last| i32::try_from(last).ok())
                        .unwrap_or(i32::MAX);
                    self.close_range(tid, first, last, arguments.at(2));
                }
                Some(())
            }
            Does::Dup => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                if let Some(value) = value {
                    self.duplicate(tid, (fd, annotation), i32::try_from(value).ok()?, false);
                }
                Some(())
            }
            Does::DupOver => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                let Some(value) = value else { return Some(()) };
                let new = i32::try_from(value).ok()?;
                if new != fd {
                    self.close(tid, new, b"", EndKind::Replace, 0);
                    let close_on_exec = has_flag(arguments.at(2), "O_CLOEXEC");
                    self.duplicate(tid, (fd, annotation), new, close_on_exec);
                }
                Some(())
            }
            Does::Fcntl => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                let Some(value) = value else { return Some(()) };
                let is = |name, value| is_constant(arguments.at(1), name, value);
                let close_on_exec = is("F_DUPFD_CLOEXEC", 1030);
                if close_on_exec || is("F_DUPFD", 0) {
                    let new = i32::try_from(value).ok()?;
                    self.duplicate(tid, (fd, annotation), new, close_on_exec);
                } else if is("F_SETFD", 2) {
                    let close_on_exec = has_flag(arguments.at(2), "FD_CLOEXEC");
                    if let Some(table) = self.descriptors.table_of(tid)
                        && let Some(slot) = table.slots.get_mut(&fd)
                    {
                        slot.close_on_exec = close_on_exec;
                    }
                }
                Some(())
            }
            Does::Fork => {
                if let Some(value) = value
                    && value > 0
                {
                    self.forks = true;
                    let child = u32::try_from(value).ok()?;
                    let text = arguments.all().join(&b", "[..]);
                    self.made(tid, child, name, &text);
                }
                Some(())
            }
            Does::Exec => {
                if outcome.returned == Returned::Value(0) {
                    // Whichever thread made it is the first, and has its number.
                    if let Some(process) = self.process_of(tid) {
                        self.numbers.prove(process, tid);
                        self.numbers.confirm(tid);
                    }
                    self.exec(tid);
                    self.set_program(tid, executed(name, arguments));
                }
                Some(())
            }
            Does::ExitGroup => {
                let status = number(arguments.at(0)).unwrap_or(0) & 0xff;
                let status = u32::try_from(status).ok()? << 8;
                if let Some(table) = self.descriptors.table_of(tid) {
                    table.exiting = Some(status);
                }
                Some(())
            }
            Does::SetOption => {
                let lingers = is_constant(arguments.at(1), "SOL_SOCKET", 1)
                    && is_constant(arguments.at(2), "SO_LINGER", 13);
                if lingers && outcome.returned == Returned::Value(0) {
                    let (fd, annotation) = descriptor(arguments.at(0))?;
                    // Before 4.15 without the prefix.
                    let part = |name: &str, older: &str| {
                        field(arguments.at(3), name)
                            .or_else(|| field(arguments.at(3), older))
                            .and_then(number)
                    };
                    let on = part("l_onoff", "onoff")?;
                    let seconds = part("l_linger", "linger")?;
                    if let Some(cookie) = self.resolve(tid, fd, annotation, true)
                        && let Some(socket) = self.sockets.get_mut(cookie)
                    {
                        socket.set_reset(on != 0 && seconds == 0);
                    }
                }
                Some(())
            }
            Does::GetOption => {
                let gone = [
                    &b"[ECONNRESET]"[..],
                    b"[EPIPE]",
                    b"[ETIMEDOUT]",
                    b"[104]",
                    b"[32]",
                    b"[110]",
                ];
                if arguments.at(2) == b"SO_ERROR" && gone.contains(&arguments.at(3)) {
                    let (fd, _) = descriptor(arguments.at(0))?;
                    self.peer_event(tid, fd, b"ERR");
                }
                Some(())
            }
            Does::EpollControl => {
                let (fd, _) = descriptor(arguments.at(2))?;
                let (epoll, _) = descriptor(arguments.at(0))?;
                let table = self.descriptors.threads.get(&tid)?.table;
                let (_, data) = epoll_event(arguments.at(3));
                if let (Some(data), Some(slot)) = (data, self.descriptors.slot(tid, fd))
                    && let What::Socket(cookie) = slot.what
                {
                    let sockets = &self.sockets;
                    let is_open = |cookie| sockets.contains(cookie);
                    self.epoll.register((table, epoll, data), cookie, is_open);
                }
                Some(())
            }
            Does::EpollWait => {
                let events = arguments.at(1);
                // That a socket can be written to says nothing of its peer.
                let tells = [&b"EPOLLIN"[..], b"RDNORM", b"HUP", b"ERR"]
                    .iter()
                    .any(|flag| memchr::memmem::find(events, flag).is_some());
                if memchr::memmem::find(events, b"EPOLL").is_some() && !tells {
                    return Some(());
                }
                let (epoll, _) = descriptor(arguments.at(0))?;
                let table = self.descriptors.threads.get(&tid)?.table;
                for event in elements(events) {
                    let (flags, data) = epoll_event(event);
                    if let (Some(flags), Some(data)) = (flags, data)
                        && let Some(cookie) = self.epoll.socket((table, epoll, data))
                    {
                        self.peer_event_on(cookie, flags);
                    }
                }
                Some(())
            }
            Does::Poll => {
                let rest = outcome.rest;
                let list = rest
                    .strip_prefix(b"(")
                    .and_then(|rest| memchr::memrchr(b']', rest).and_then(|end| rest.get(..=end)));
                // Very old ones tell it in the arguments.
                for event in elements(list.unwrap_or(arguments.at(0))) {
                    if let (Some(fd), Some(flags)) = (field(event, "fd"), field(event, "revents"))
                        && let Some((fd, _)) = descriptor(fd)
                    {
                        self.peer_event(tid, fd, flags);
                    }
                }
                Some(())
            }
            Does::Opens => {
                let Some(value) = value else { return Some(()) };
                // A pidfd or the like; none of these is a socket.
                self.open_file(tid, value)
            }
            Does::Unseen => {
                let submits = name != b"io_uring_enter" || arguments.at(1) != b"0";
                if submits {
                    self.counts.unseen_calls += 1;
                    self.blind(tid);
                }
                Some(())
            }
            Does::Ring => {
                let Some(value) = value else { return Some(()) };
                // The kernel's own thread takes what is queued: no call says when.
                let flags = field(arguments.at(1), "flags").unwrap_or_default();
                if has_flag(flags, "IORING_SETUP_SQPOLL") {
                    self.counts.unseen_calls += 1;
                    self.blind(tid);
                }
                self.open_file(tid, value)
            }
            Does::Takes => {
                let Some(value) = value else { return Some(()) };
                let of = i32::try_from(number(arguments.at(1))?).ok()?;
                self.copy_descriptor(tid, i32::try_from(value).ok()?, of, outcome.annotation);
                Some(())
            }
            Does::Unshare => {
                if outcome.returned == Returned::Value(0)
                    && has_flag(arguments.at(0), "CLONE_FILES")
                {
                    self.unshare(tid);
                }
                Some(())
            }
            Does::Numbers => {
                self.tells_number(tid, name, arguments, value, outcome);
                Some(())
            }
        }
    }
}

/// Whether a socket of this type is a stream, or carries packets; by its number, as with
/// `-X raw`, too (`SOCK_TYPE_MASK`, include/linux/net.h).
fn nature(kind: &[u8]) -> (bool, bool) {
    match number(kind) {
        Some(kind) => (kind & 0xf == 1, kind & 0xf == 5),
        None => (
            has_flag(kind, "SOCK_STREAM"),
            has_flag(kind, "SOCK_SEQPACKET"),
        ),
    }
}

impl Replay {
    /// Whether the listening socket is one of packets: what it accepts is then one too.
    fn carries_packets(&self, tid: u32, listener: &[u8]) -> bool {
        let Some((fd, _)) = descriptor(listener) else {
            return false;
        };
        let Some(What::Socket(cookie)) = self.descriptors.slot(tid, fd).map(|slot| slot.what)
        else {
            return false;
        };
        self.sockets
            .get(cookie)
            .is_some_and(|socket| socket.name.packets)
    }

    /// This side connects the socket, to there.
    pub(super) fn connect(&mut self, cookie: u64, to: &[u8]) {
        let Some(socket) = self.sockets.get_mut(cookie) else {
            return;
        };
        if socket.announced() {
            return;
        }
        socket.counters.from_start = 1;
        socket.counters.send_flags |= flag::CONNECTED;
        socket.server = PeerAddress::of(to);
        if socket.name.family == 0 {
            socket.name.family = field(to, "sa_family").map_or(0, family_of);
        }
    }

    /// From here on, bytes may be moved on this process's sockets that no line tells
    /// of.
    fn blind(&mut self, tid: u32) {
        let Some(table) = self.descriptors.table_of(tid) else {
            return;
        };
        table.blind = true;
        for cookie in sockets_of(table) {
            self.sockets.distrust(cookie);
        }
    }

    /// A call that strace did not let the kernel do (`-e inject`): what the process
    /// and the kernel have is not the same from here on.
    fn injected(&mut self, tid: u32, does: Does, outcome: &Outcome<'_>) {
        if takes_descriptor(does) || matches!(outcome.returned, Returned::Value(_)) {
            self.counts.injected += 1;
            self.blind(tid);
        }
    }
}

pub(in crate::capture::strace) fn sockets_of(table: &Table) -> Vec<u64> {
    table
        .slots
        .values()
        .filter_map(|slot| match slot.what {
            What::Socket(cookie) => Some(cookie),
            What::File => None,
        })
        .collect()
}
