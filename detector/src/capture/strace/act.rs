//! What each call does to descriptors and sockets.

use detector_common::{EndKind, flag};

use super::{
    arguments::{Arguments, annotation, arguments, elements, field, has_flag, number},
    calls::{self, Data, Does, does},
    descriptors::{Table, What},
    payload::{Payload, messages, payload},
    programs::executed,
    replay::Replay,
    result::{Outcome, Returned, outcome},
    socket::{Call, begins_message, family_of},
    socket_name::{Named, SocketName, named},
};

/// `ENOTCONN` (errno(3)): of a shutdown, the connection is gone.
const ENOTCONN: u32 = 107;

/// shutdown(2).
const SHUT_RDWR: u32 = 2;

/// A descriptor as an argument has it: `7<socket:[310716]>`.
fn descriptor(argument: &[u8]) -> Option<(i32, &[u8])> {
    let end = memchr::memchr(b'<', argument).unwrap_or(argument.len());
    let (digits, annotation) = argument.split_at_checked(end)?;
    let fd = i32::try_from(number(digits)?).ok()?;
    Some((fd, annotation))
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
        // Most of what is read and written are files.
        if let Does::Receive(_, false) | Does::Send(Data::Buffer | Data::Iovec, false) = does
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
        let read = self.act(tid, name, does, &arguments, &outcome);
        if read.is_none() {
            // Whoever shortened it may have left out what matters.
            self.garbled();
        }
    }

    /// Whether the first argument is certainly no socket.
    fn is_file(&mut self, tid: u32, rest: &[u8]) -> bool {
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
                let mut socket = match named(outcome.annotation) {
                    Named::Socket(name) => *name,
                    _ => SocketName::default(),
                };
                let address = arguments.at(1);
                if socket.family == 0 {
                    socket.family = field(address, "sa_family").map_or(0, family_of);
                }
                let close_on_exec = has_flag(arguments.at(3), "SOCK_CLOEXEC");
                self.opens_socket(tid, value, socket, close_on_exec)
            }
            Does::Socket => {
                let Some(value) = value else { return Some(()) };
                let family = family_of(arguments.at(0));
                let kind = arguments.at(1);
                let stream = has_flag(kind, "SOCK_STREAM") || number(kind).is_some();
                let close_on_exec = has_flag(kind, "SOCK_CLOEXEC");
                if family == 0 || !stream {
                    return self.opens_file(tid, value);
                }
                let mut socket = match named(outcome.annotation) {
                    Named::Socket(name) => *name,
                    _ => SocketName::default(),
                };
                socket.family = family;
                self.opens_socket(tid, value, socket, close_on_exec)
            }
            Does::Socketpair => {
                if value.is_none() {
                    return Some(());
                }
                let stream = has_flag(arguments.at(1), "SOCK_STREAM");
                let close_on_exec = has_flag(arguments.at(1), "SOCK_CLOEXEC");
                for element in elements(arguments.at(3)) {
                    let (fd, annotation) = descriptor(element)?;
                    let fd = u64::try_from(fd).ok()?;
                    if !stream {
                        self.opens_file(tid, fd)?;
                        continue;
                    }
                    let mut socket = match named(annotation) {
                        Named::Socket(name) => *name,
                        _ => SocketName::default(),
                    };
                    socket.family = family_of(arguments.at(0));
                    self.opens_socket(tid, fd, socket, close_on_exec)?;
                }
                Some(())
            }
            Does::Connect => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                let family = field(arguments.at(1), "sa_family").map_or(0, family_of);
                if family == 0 {
                    return Some(());
                }
                if let Some(cookie) = self.resolve(tid, fd, annotation, true)
                    && let Some(socket) = self.sockets.get_mut(&cookie)
                    && !socket.announced()
                {
                    socket.counters.fresh = 1;
                    if socket.name.family == 0 {
                        socket.name.family = family;
                    }
                }
                Some(())
            }
            Does::Shutdown => self.shuts(tid, arguments, outcome.returned),
            Does::Close => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                if value.is_some_and(|value| value > 0) {
                    return None;
                }
                self.closes(tid, fd, annotation, EndKind::Close, 0);
                Some(())
            }
            Does::CloseRange => {
                if outcome.returned == Returned::Value(0) {
                    let first = i32::try_from(number(arguments.at(0))?).unwrap_or(i32::MAX);
                    let last = number(arguments.at(1))
                        .and_then(|last| i32::try_from(last).ok())
                        .unwrap_or(i32::MAX);
                    self.closes_range(tid, first, last, arguments.at(2));
                }
                Some(())
            }
            Does::Dup => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                if let Some(value) = value {
                    self.duplicates(tid, (fd, annotation), i32::try_from(value).ok()?, false);
                }
                Some(())
            }
            Does::DupOver => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                let Some(value) = value else { return Some(()) };
                let new = i32::try_from(value).ok()?;
                if new != fd {
                    self.closes(tid, new, b"", EndKind::Replace, 0);
                    let close_on_exec = has_flag(arguments.at(2), "O_CLOEXEC");
                    self.duplicates(tid, (fd, annotation), new, close_on_exec);
                }
                Some(())
            }
            Does::Fcntl => {
                let (fd, annotation) = descriptor(arguments.at(0))?;
                match (arguments.at(1), value) {
                    (command @ (b"F_DUPFD" | b"F_DUPFD_CLOEXEC"), Some(value)) => {
                        let new = i32::try_from(value).ok()?;
                        let close_on_exec = command == b"F_DUPFD_CLOEXEC";
                        self.duplicates(tid, (fd, annotation), new, close_on_exec);
                    }
                    (b"F_SETFD", Some(_)) => {
                        let close_on_exec = has_flag(arguments.at(2), "FD_CLOEXEC");
                        if let Some(table) = self.descriptors.table_of(tid)
                            && let Some(slot) = table.slots.get_mut(&fd)
                        {
                            slot.close_on_exec = close_on_exec;
                        }
                    }
                    _ => {}
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
                    self.executes(tid);
                    self.runs(tid, executed(name, arguments));
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
                if arguments.at(2) == b"SO_LINGER" && outcome.returned == Returned::Value(0) {
                    let (fd, annotation) = descriptor(arguments.at(0))?;
                    let on = field(arguments.at(3), "l_onoff").and_then(number)?;
                    let seconds = field(arguments.at(3), "l_linger").and_then(number)?;
                    if let Some(cookie) = self.resolve(tid, fd, annotation, true)
                        && let Some(socket) = self.sockets.get_mut(&cookie)
                    {
                        socket.set_reset(on != 0 && seconds == 0);
                    }
                }
                Some(())
            }
            Does::GetOption => {
                let gone = [&b"[ECONNRESET]"[..], b"[EPIPE]", b"[ETIMEDOUT]"];
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
                let data = field(arguments.at(3), "data")
                    .and_then(|data| field(data, "u64"))
                    .and_then(number);
                if let (Some(data), Some(slot)) = (data, self.descriptors.slot(tid, fd))
                    && let What::Socket(cookie) = slot.what
                {
                    if self.watched.len() >= MOST_WATCHED {
                        let sockets = &self.sockets;
                        self.watched
                            .retain(|_, cookie| sockets.contains_key(cookie));
                    }
                    self.watched.insert((table, epoll, data), cookie);
                }
                Some(())
            }
            Does::EpollWait => {
                let events = arguments.at(1);
                if memchr::memmem::find(events, b"HUP").is_none()
                    && memchr::memmem::find(events, b"ERR").is_none()
                {
                    return Some(());
                }
                let (epoll, _) = descriptor(arguments.at(0))?;
                let table = self.descriptors.threads.get(&tid)?.table;
                for event in elements(events) {
                    let data = field(event, "data")
                        .and_then(|data| field(data, "u64"))
                        .and_then(number);
                    if let (Some(flags), Some(data)) = (field(event, "events"), data)
                        && let Some(cookie) = self.watched.get(&(table, epoll, data))
                    {
                        self.peer_event_on(*cookie, flags);
                    }
                }
                Some(())
            }
            Does::Poll => {
                let rest = outcome.rest;
                let list = rest
                    .strip_prefix(b"(")
                    .and_then(|rest| memchr::memrchr(b']', rest).and_then(|end| rest.get(..=end)));
                for event in elements(list.unwrap_or_default()) {
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
                self.opens_file(tid, value)
            }
            Does::Unseen => {
                let submits = name != b"io_uring_enter" || arguments.at(1) != b"0";
                if submits {
                    self.counts.unseen_calls += 1;
                    let table = self.descriptors.table_of(tid)?;
                    table.blind = true;
                    let cookies = sockets_of(table);
                    for cookie in cookies {
                        self.lose(cookie);
                    }
                }
                Some(())
            }
            Does::Unshare => {
                if has_flag(arguments.at(0), "CLONE_FILES") {
                    let table = self.descriptors.threads.get(&tid)?.table;
                    self.share(table);
                }
                Some(())
            }
        }
    }

    /// A call moved bytes, or tried to.
    fn moves(
        &mut self,
        tid: u32,
        name: &[u8],
        data: Data,
        (sends, certain): (bool, bool),
        arguments: &Arguments<'_>,
        outcome: &Outcome<'_>,
    ) -> Option<()> {
        let place = if data == Data::Splice && sends { 2 } else { 0 };
        let (fd, annotation) = match descriptor(arguments.at(place)) {
            Some(descriptor) => descriptor,
            // A call on a number that is none fails.
            None if !matches!(outcome.returned, Returned::Value(_)) => return Some(()),
            None => return None,
        };
        let moved = match outcome.returned {
            Returned::Value(value) => Some(i32::try_from(value).ok()?),
            Returned::Error(0) => Some(i32::MIN),
            Returned::Error(errno) => Some(-i32::try_from(errno).ok()?),
            Returned::Unknown => None,
        };
        if moved.is_some_and(|moved| moved >= 0) && !outcome.rest.is_empty() {
            // Two lines in one.
            return None;
        }
        let moment = self.moment(tid);
        if data == Data::Splice {
            // The other way: bytes that were received went to a pipe.
            if let Some((from, from_annotation)) = descriptor(arguments.at(0))
                && let Some(cookie) = self.resolve(tid, from, from_annotation, false)
            {
                let call = Call {
                    number: calls::number(name),
                    fd: from,
                    result: moved,
                };
                self.check(cookie);
                if let Some(socket) = self.sockets.get_mut(&cookie) {
                    socket.receive(
                        call,
                        payload(data, arguments, None),
                        moment,
                        &mut self.steps,
                    );
                }
            }
        }
        let received = (!sends)
            .then_some(moved)
            .flatten()
            .and_then(|moved| u64::try_from(moved).ok());
        let flags = match data {
            Data::Buffer => arguments.at(3),
            Data::Msghdr => arguments.at(2),
            Data::Mmsghdr => arguments.at(3),
            _ => b"",
        };
        let not_moved =
            |flags: &[u8]| has_flag(flags, "MSG_PEEK") || has_flag(flags, "MSG_ERRQUEUE");
        if !sends && not_moved(flags) {
            return Some(());
        }
        // On a descriptor of which nothing is known: what begins as a message
        // does is kept until it is known.
        let known = self.descriptors.slot(tid, fd).is_some() || !annotation.is_empty();
        let mut all: Vec<(Payload, Option<i32>)> = Vec::new();
        if data == Data::Mmsghdr {
            let count = u64::try_from(moved.unwrap_or(0)).unwrap_or(0);
            match messages(arguments, count) {
                Some(messages) => {
                    for (payload, moved) in messages {
                        all.push((payload, Some(i32::try_from(moved).ok()?)));
                    }
                }
                // Their sizes are not shown.
                None => all.push((Payload::default(), None)),
            }
            if count == 0 {
                all = vec![(Payload::default(), moved)];
            }
        } else {
            all.push((payload(data, arguments, received), moved));
        }
        let too_many = |(payload, moved): &(Payload, Option<i32>)| {
            let moved = moved.and_then(|moved| u64::try_from(moved).ok());
            matches!((moved, payload.offered), (Some(moved), Some(offered)) if moved > offered)
        };
        if !has_flag(flags, "MSG_TRUNC") && all.iter().any(too_many) {
            return None;
        }
        if !known && !certain {
            let begins = all.first().is_some_and(|(payload, _)| {
                payload.seen.first().is_some_and(|(start, bytes)| {
                    *start == 0 && bytes.len() >= 4 && begins_message(bytes)
                })
            });
            if !begins {
                return Some(());
            }
        }
        let mut cookie = match self.resolve(tid, fd, annotation, certain) {
            Some(cookie) => cookie,
            None => return Some(()),
        };
        if sends {
            self.counts.by_hand += u64::from(all.iter().any(|(payload, _)| payload.by_hand));
            let shut = self.sockets.get(&cookie).is_some_and(|socket| {
                socket.was_shut() && socket.sending == 0 && moved.is_some_and(|moved| moved > 0)
            });
            if shut {
                // The kernel takes nothing after that: it is another's number.
                self.gone_unseen(tid, fd);
                cookie = self.resolve(tid, fd, annotation, certain)?;
            }
        } else if let Some(control) = field(arguments.at(1), "msg_control")
            && received.is_some()
        {
            for (fd, annotation) in passed(control) {
                self.gone_unseen(tid, fd);
                if let Some(cookie) = self.resolve(tid, fd, annotation, false)
                    && let Some(socket) = self.sockets.get_mut(&cookie)
                {
                    socket.shared = true;
                }
            }
        }
        if sends && let Some(control) = field(arguments.at(1), "msg_control") {
            for (fd, _) in passed(control) {
                if let Some(slot) = self.descriptors.slot(tid, fd)
                    && let What::Socket(cookie) = slot.what
                    && let Some(socket) = self.sockets.get_mut(&cookie)
                {
                    socket.shared = true;
                }
            }
        }
        self.check(cookie);
        let truncates = !sends && has_flag(flags, "MSG_TRUNC");
        for (mut payload, moved) in all {
            if truncates {
                payload.seen.clear();
            }
            if moved.is_none() {
                // How much of it was moved no line tells.
                self.counts.interrupted += u64::from(sends);
                if sends {
                    self.lose(cookie);
                }
                continue;
            }
            let call = Call {
                number: calls::number(name),
                fd,
                result: moved,
            };
            let Some(socket) = self.sockets.get_mut(&cookie) else {
                break;
            };
            let told = socket.announced();
            self.counts.cut += u64::from(payload.cut && moved.is_some_and(|moved| moved > 0));
            if sends {
                socket.send(call, payload, moment, &mut self.steps);
            } else {
                socket.receive(call, payload, moment, &mut self.steps);
            }
            let socket = self.sockets.get(&cookie);
            if !told && socket.is_some_and(|socket| socket.announced() && socket.maybe.is_none()) {
                self.counts.connections += 1;
            }
        }
        if self
            .sockets
            .get(&cookie)
            .and_then(|socket| socket.maybe.as_ref())
            .is_some_and(|held| held.len() > MOST_HELD)
        {
            // It is no small exchange, and nothing says that it is a socket.
            self.descriptors.set(tid, fd, What::File, false);
            self.let_go(cookie);
        }
        Some(())
    }

    /// A send begins whose end is in a later line: the socket it is on.
    pub(super) fn begins_send(&mut self, tid: u32, text: &[u8]) -> Option<u64> {
        let end = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let fd = i32::try_from(number(text.get(..end)?)?).ok()?;
        let behind = text.get(end..)?;
        let annotation = if behind.first() == Some(&b'<') {
            annotation(behind)?
        } else {
            b""
        };
        let slot = self.descriptors.slot(tid, fd);
        if slot.is_none() && annotation.is_empty() {
            return None;
        }
        let cookie = self.resolve(tid, fd, annotation, false)?;
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.sending += 1;
        }
        Some(cookie)
    }

    /// A new descriptor of a new socket, seen from its first byte.
    fn opens_socket(
        &mut self,
        tid: u32,
        fd: u64,
        name: SocketName,
        close_on_exec: bool,
    ) -> Option<()> {
        let fd = i32::try_from(fd).ok()?;
        self.gone_unseen(tid, fd);
        if name.no_stream {
            self.descriptors.set(tid, fd, What::File, close_on_exec);
            return Some(());
        }
        let cookie = self.add_socket(name);
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.counters.fresh = 1;
        }
        self.descriptors
            .set(tid, fd, What::Socket(cookie), close_on_exec);
        self.doubt_blind(tid, fd, cookie);
        Some(())
    }

    /// What is to be said against a socket at once: calls that are not seen,
    /// and other processes that may be the same.
    fn doubt_blind(&mut self, tid: u32, fd: i32, cookie: u64) {
        if self
            .descriptors
            .table_of(tid)
            .is_some_and(|table| table.blind)
        {
            self.lose(cookie);
        }
        if self.apart {
            self.counts.untraced = self.counts.untraced.max(1);
            self.lose(cookie);
        }
        // Without `-y` a number says nothing about whose it is.
        let named = self.sockets.get(&cookie).is_some_and(|socket| {
            socket.name.inode.is_some()
                || (socket.name.local.is_some() && socket.name.peer.is_some())
        });
        if named {
            return;
        }
        let made = |tid: u32, this: &Self| {
            this.descriptors
                .threads
                .get(&tid)
                .is_some_and(|thread| thread.made)
        };
        if made(tid, self) {
            return;
        }
        for (table, other) in self.descriptors.others_with(tid, fd) {
            let related = self
                .descriptors
                .tables
                .get(&table)
                .is_some_and(|table| table.exact);
            if !related {
                self.counts.ambiguous += 1;
                self.lose(other);
                self.lose(cookie);
            }
        }
    }

    fn opens_file(&mut self, tid: u32, fd: u64) -> Option<()> {
        let fd = i32::try_from(fd).ok()?;
        self.gone_unseen(tid, fd);
        self.descriptors.set(tid, fd, What::File, false);
        Some(())
    }

    /// The socket behind a descriptor, made if it is not known. `certain`: only
    /// sockets take the call.
    fn resolve(&mut self, tid: u32, fd: i32, annotation: &[u8], certain: bool) -> Option<u64> {
        let slot = self.descriptors.slot(tid, fd).map(|slot| slot.what);
        let name = if annotation.is_empty() {
            Named::Nothing
        } else if glance(annotation) {
            named(annotation)
        } else {
            Named::NoSocket
        };
        match (name, slot) {
            (Named::NoSocket, Some(What::Socket(_))) => {
                self.gone_unseen(tid, fd);
                None
            }
            (Named::NoSocket, _) => None,
            (Named::Nothing, Some(What::Socket(cookie))) => {
                if certain {
                    self.is_socket(cookie);
                }
                Some(cookie)
            }
            (Named::Nothing, Some(What::File)) if !certain => None,
            (Named::Nothing, _) => {
                let cookie = self.joins(tid, fd, SocketName::default());
                if !certain && let Some(socket) = self.sockets.get_mut(&cookie) {
                    socket.maybe = Some(Vec::new());
                }
                Some(cookie)
            }
            (Named::Socket(name), Some(What::Socket(cookie))) => {
                if self
                    .sockets
                    .get(&cookie)
                    .is_some_and(|socket| socket.name.may_be(&name))
                {
                    self.is_socket(cookie);
                    self.learn(cookie, &name);
                    return Some(cookie);
                }
                self.gone_unseen(tid, fd);
                self.finds(tid, fd, *name)
            }
            (Named::Socket(name), _) => self.finds(tid, fd, *name),
        }
    }

    /// A descriptor that is new here, of a socket with a name.
    fn finds(&mut self, tid: u32, fd: i32, name: SocketName) -> Option<u64> {
        if name.no_stream {
            return None;
        }
        match self.by_name(&name) {
            Some(cookie) => {
                self.adopts(tid, fd, cookie);
                self.learn(cookie, &name);
                Some(cookie)
            }
            None => Some(self.joins(tid, fd, name)),
        }
    }

    /// A socket that was open before the log began, or before it was traced.
    fn joins(&mut self, tid: u32, fd: i32, name: SocketName) -> u64 {
        let cookie = self.add_socket(name);
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            // Who else has it is not known.
            socket.shared = true;
        }
        self.descriptors.set(tid, fd, What::Socket(cookie), false);
        self.doubt_blind(tid, fd, cookie);
        cookie
    }

    /// A thread uses a socket that another had: they share their descriptors,
    /// or it was passed on.
    fn adopts(&mut self, tid: u32, fd: i32, cookie: u64) {
        let born = self.sockets.get(&cookie).map_or(0, |socket| socket.born);
        let owner = self
            .descriptors
            .others_with(tid, fd)
            .into_iter()
            .find(|(_, other)| *other == cookie)
            .map(|(table, _)| table);
        let older = self
            .descriptors
            .threads
            .get(&tid)
            .is_some_and(|thread| !thread.made && (thread.first < born || self.forks));
        if let Some(owner) = owner
            && older
        {
            // It was there when the socket was opened, and is no later child.
            self.merges(tid, owner);
            return;
        }
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.references += 1;
            socket.shared = true;
        }
        self.gone_unseen(tid, fd);
        self.descriptors.set(tid, fd, What::Socket(cookie), false);
    }

    /// The thread turns out to share this table.
    fn merges(&mut self, tid: u32, into: u32) {
        let Some(from) = self
            .descriptors
            .threads
            .get(&tid)
            .map(|thread| thread.table)
        else {
            return;
        };
        let Some(old) = self.descriptors.tables.remove(&from) else {
            return;
        };
        for thread in &old.threads {
            if let Some(thread) = self.descriptors.threads.get_mut(thread) {
                thread.table = into;
            }
        }
        let mut gone = Vec::new();
        if let Some(table) = self.descriptors.tables.get_mut(&into) {
            table.threads.extend(&old.threads);
            table.exact = false;
            table.blind |= old.blind;
            for (fd, slot) in old.slots {
                if let Some(kept) = table.slots.get(&fd) {
                    if let What::Socket(cookie) = slot.what {
                        gone.push((cookie, kept.what == slot.what));
                    }
                } else {
                    table.slots.insert(fd, slot);
                }
            }
        }
        for (cookie, same) in gone {
            if !same && let Some(socket) = self.sockets.get_mut(&cookie) {
                socket.shared = true;
            }
            self.let_go(cookie);
        }
    }

    /// It is a socket, by a call that only sockets take.
    fn is_socket(&mut self, cookie: u64) {
        if let Some(socket) = self.sockets.get_mut(&cookie)
            && let Some(held) = socket.maybe.take()
        {
            self.counts.connections += u64::from(socket.announced());
            self.steps.extend(held);
            if socket.lost && socket.announced() {
                self.steps.push(super::Step::Lost(cookie));
            }
        }
    }

    fn shuts(&mut self, tid: u32, arguments: &Arguments<'_>, returned: Returned) -> Option<()> {
        let (fd, annotation) = descriptor(arguments.at(0))?;
        let how = arguments.at(1);
        let has = |name: &str| memchr::memmem::find(how, name.as_bytes()).is_some();
        let how = if has("SHUT_RDWR") {
            SHUT_RDWR
        } else if has("SHUT_WR") {
            1
        } else if has("SHUT_RD") {
            0
        } else {
            u32::try_from(number(how)?).ok()?
        };
        match returned {
            Returned::Value(1..) => return None,
            Returned::Value(0) | Returned::Unknown | Returned::Error(ENOTCONN) => {}
            _ => return Some(()),
        }
        self.hear_threads(tid);
        let Some(cookie) = self.resolve(tid, fd, annotation, true) else {
            return Some(());
        };
        self.check(cookie);
        let moment = self.moment(tid);
        let socket = self.sockets.get_mut(&cookie)?;
        if how == 0 {
            socket.counters.end_flags |= flag::SHUT_RD;
            return Some(());
        }
        if socket.was_shut() {
            return Some(());
        }
        if returned == Returned::Error(ENOTCONN) {
            socket.peer_is_gone();
        }
        socket.counters.end_flags |= flag::SHUT_WR;
        socket.end(EndKind::Shutdown, (how, 0, 0), fd, moment, &mut self.steps);
        if how == SHUT_RDWR {
            socket.counters.end_flags |= flag::SHUT_RD;
        }
        self.settle(cookie);
        Some(())
    }

    /// A descriptor goes away.
    fn closes(&mut self, tid: u32, fd: i32, annotation: &[u8], kind: EndKind, walk: u32) {
        self.hear_threads(tid);
        if !annotation.is_empty() && glance(annotation) {
            // It may be known by its name, from another thread.
            if let Named::Socket(name) = named(annotation)
                && self.by_name(&name).is_some()
            {
                self.resolve(tid, fd, annotation, false);
            }
        }
        let moment = self.moment(tid);
        let Some(slot) = self.descriptors.remove(tid, fd) else {
            return;
        };
        let What::Socket(cookie) = slot.what else {
            return;
        };
        self.check(cookie);
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            if socket.sending > 0 {
                // A send that has not returned holds it too.
                socket.shared = true;
            }
            socket.end(kind, (0, 0, walk), fd, moment, &mut self.steps);
        }
        self.let_go(cookie);
    }

    fn closes_range(&mut self, tid: u32, first: i32, last: i32, flags: &[u8]) {
        self.hear_threads(tid);
        let marks = has_flag(flags, "CLOSE_RANGE_CLOEXEC");
        let apart = has_flag(flags, "CLOSE_RANGE_UNSHARE");
        let Some(table) = self.descriptors.table_of(tid) else {
            return;
        };
        if first > last {
            return;
        }
        if apart && table.threads.len() > 1 {
            return;
        }
        if marks {
            for (_, slot) in table.slots.range_mut(first..=last) {
                slot.close_on_exec = true;
            }
            return;
        }
        let fds: Vec<_> = table.slots.range(first..=last).map(|(fd, _)| *fd).collect();
        let walk = self.walk();
        // All of a socket's descriptors are met with all of them still open.
        let moment = self.moment(tid);
        let mut gone = Vec::new();
        for fd in fds {
            if let Some(slot) = self.descriptors.remove(tid, fd)
                && let What::Socket(cookie) = slot.what
            {
                self.check(cookie);
                if let Some(socket) = self.sockets.get_mut(&cookie) {
                    socket.end(
                        EndKind::CloseRange,
                        (0, 0, walk),
                        fd,
                        moment,
                        &mut self.steps,
                    );
                }
                gone.push(cookie);
            }
        }
        for cookie in gone {
            self.let_go(cookie);
        }
    }

    fn duplicates(
        &mut self,
        tid: u32,
        (fd, annotation): (i32, &[u8]),
        new: i32,
        close_on_exec: bool,
    ) {
        self.gone_unseen(tid, new);
        let known = self.descriptors.slot(tid, fd).map(|slot| slot.what);
        let what = if annotation.is_empty() {
            known
        } else {
            self.resolve(tid, fd, annotation, false).map(What::Socket)
        };
        match what {
            Some(What::Socket(cookie)) => {
                if let Some(socket) = self.sockets.get_mut(&cookie) {
                    socket.references += 1;
                }
                self.descriptors
                    .set(tid, new, What::Socket(cookie), close_on_exec);
            }
            Some(What::File) => self.descriptors.set(tid, new, What::File, close_on_exec),
            None => {}
        }
    }

    /// A process or thread was made, says its maker.
    fn made(&mut self, tid: u32, child: u32, name: &[u8], text: &[u8]) {
        if let Some(known) = self.descriptors.threads.get(&child) {
            if !known.made {
                if known.process == child
                    && let Some(maker) = self.process_of(tid)
                {
                    self.programs.inherit(child, maker, false);
                }
                // Its first lines came before its maker's; what it is was not
                // known, and what it did meanwhile is not told apart.
                let table = self
                    .descriptors
                    .threads
                    .get(&tid)
                    .map(|thread| thread.table);
                if let Some(table) = table {
                    self.share(table);
                }
            }
            return;
        }
        self.make(tid, child, name, text);
        if let Some(table) = self.descriptors.table_of(tid)
            && table.threads.contains(&child)
        {
            table.unheard.insert(child);
        }
    }

    /// The process runs this program from here on.
    fn runs(&mut self, tid: u32, program: Option<String>) {
        let Some(pid) = self.process_of(tid) else {
            return;
        };
        let threads = self.descriptors.threads.values();
        let living = threads.map(|thread| thread.process);
        self.programs.set(pid, program, living);
    }

    /// Makes a process or thread.
    pub(super) fn make(&mut self, tid: u32, child: u32, name: &[u8], text: &[u8]) {
        self.forks = true;
        let line = self.counts.lines;
        let Some(maker) = self.descriptors.threads.get(&tid) else {
            return;
        };
        let (table, process, comm) = (maker.table, maker.process, maker.comm);
        let has = |flag: &str| {
            name.starts_with(b"clone") && memchr::memmem::find(text, flag.as_bytes()).is_some()
        };
        if !has("CLONE_THREAD") {
            self.programs.inherit(child, process, true);
        }
        let process = if has("CLONE_THREAD") { process } else { child };
        if has("CLONE_FILES") {
            self.descriptors.join(child, table, process, line, true);
        } else {
            let slots = self
                .descriptors
                .tables
                .get(&table)
                .map(|table| table.slots.clone())
                .unwrap_or_default();
            let copy = Table {
                slots,
                exact: true,
                ..Table::default()
            };
            for cookie in sockets_of(&copy) {
                if let Some(socket) = self.sockets.get_mut(&cookie) {
                    socket.references += 1;
                }
            }
            let copy = self.descriptors.add(copy);
            self.descriptors.join(child, copy, process, line, true);
        }
        if let Some(thread) = self.descriptors.threads.get_mut(&child) {
            thread.comm = comm;
        }
    }

    /// The same for a thread's table.
    fn hear_threads(&mut self, tid: u32) {
        if let Some(thread) = self.descriptors.threads.get(&tid) {
            self.hear_all(thread.table);
        }
    }

    /// An exec: what it closes, and the process is its own from then on.
    fn executes(&mut self, tid: u32) {
        self.hear_threads(tid);
        let line = self.counts.lines;
        let first = self
            .descriptors
            .threads
            .get(&tid)
            .is_some_and(|thread| thread.first == line);
        let moment = self.moment(tid);
        let Some(table) = self.descriptors.table_of(tid) else {
            return;
        };
        table.exact |= first;
        table.blind = false;
        let closed: Vec<_> = table
            .slots
            .iter()
            .filter(|(_, slot)| slot.close_on_exec)
            .map(|(fd, slot)| (*fd, slot.what))
            .collect();
        for (fd, what) in closed {
            self.descriptors.remove(tid, fd);
            let What::Socket(cookie) = what else { continue };
            self.check(cookie);
            if let Some(socket) = self.sockets.get_mut(&cookie)
                && socket.references == 1
            {
                // What a new child inherited is not worth a record.
                socket.end(EndKind::Exec, (0, 0, 0), fd, moment, &mut self.steps);
            }
            self.let_go(cookie);
        }
    }

    /// What poll(2) says of the peer.
    fn peer_event(&mut self, tid: u32, fd: i32, flags: &[u8]) {
        if let Some(slot) = self.descriptors.slot(tid, fd)
            && let What::Socket(cookie) = slot.what
        {
            self.peer_event_on(cookie, flags);
        }
    }

    fn peer_event_on(&mut self, cookie: u64, flags: &[u8]) {
        let Some(socket) = self.sockets.get_mut(&cookie) else {
            return;
        };
        for flag in flags.split(|byte| *byte == b'|') {
            if flag.ends_with(b"RDHUP") {
                socket.peer_has_half_closed();
            } else if flag.ends_with(b"HUP") || flag.ends_with(b"ERR") {
                socket.peer_is_gone();
            }
        }
    }
}

/// Most steps that are kept for a descriptor of which it is not known whether it
/// is a socket.
const MOST_HELD: usize = 256;

/// Most epoll registrations that are kept before those of closed sockets go.
const MOST_WATCHED: usize = 1 << 16;

fn sockets_of(table: &Table) -> Vec<u64> {
    table
        .slots
        .values()
        .filter_map(|slot| match slot.what {
            What::Socket(cookie) => Some(cookie),
            What::File => None,
        })
        .collect()
}

/// The descriptors in `SCM_RIGHTS` (unix(7)).
fn passed(control: &[u8]) -> Vec<(i32, &[u8])> {
    elements(control)
        .filter(|message| field(message, "cmsg_type") == Some(b"SCM_RIGHTS"))
        .filter_map(|message| field(message, "cmsg_data"))
        .flat_map(elements)
        .filter_map(descriptor)
        .collect()
}
