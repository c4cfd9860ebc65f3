//! Bytes that calls move.

use detector_common::flag;

use super::descriptor;
use crate::{
    capture::strace::{
        arguments::{
            self, Arguments, annotation, elements, field, has_flag, is_constant, number, unnamed,
        },
        calls::{self, Data},
        descriptors::What,
        evidence::Sure,
        payload::{Payload, messages, payload},
        replay::Replay,
        result::{Outcome, Returned},
        socket::{Call, Socket},
    },
    http::may_begin_message,
};

/// Most steps that are kept for a descriptor of which it is not known whether it
/// is a socket.
const MOST_HELD: usize = 256;

/// A connection was begun, and nothing taken yet (tcp(7), MSG_FASTOPEN).
const EINPROGRESS: i32 = 115;

impl Replay {
    /// A call moved bytes, or tried to.
    pub(super) fn moves(
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
        // How long recvmmsg had left; a comment.
        let known = outcome.rest.is_empty()
            || outcome.rest.starts_with(b"(left ")
            || outcome.rest.starts_with(b"/* ");
        if moved.is_some_and(|moved| moved >= 0) && !known {
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
                self.sockets.check(cookie);
                let announced = self.is_announced(cookie);
                let payload = payload(data, arguments, None);
                self.sockets.receive(cookie, call, payload, moment);
                self.count_connection(cookie, announced);
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
        // A look that finds the end finds that the peer has closed.
        let finds_end = moved == Some(0) && !has_flag(flags, "MSG_ERRQUEUE");
        if !sends && not_moved(flags) && !finds_end {
            if moved.is_some_and(|moved| moved > 0)
                && !has_flag(flags, "MSG_ERRQUEUE")
                && let Some(slot) = self.descriptors.slot(tid, fd)
                && let What::Socket(cookie) = slot.what
                && let Some(socket) = self.sockets.get_mut(cookie)
            {
                socket.is_readable();
            }
            return Some(());
        }
        // On a descriptor of which nothing is known: what begins as a message
        // does is kept until it is known.
        let sends_on = self
            .resumed
            .filter(|_| sends)
            .and_then(|call| call.sends_on);
        let known = sends_on.is_some()
            || self.descriptors.slot(tid, fd).is_some()
            || !annotation.is_empty();
        if sends && !known && moved.is_none_or(|moved| moved > 0) {
            self.doubt_number(tid, fd);
            if self.resumed.is_none()
                && let Some(thread) = self.descriptors.threads.get(&tid)
            {
                self.closed.sent_on(thread.table, fd);
            }
        }
        let mut all: Vec<(Payload, Option<i32>)> = Vec::new();
        if data == Data::Mmsghdr {
            let count = u64::try_from(moved.unwrap_or(0)).unwrap_or(0);
            match messages(arguments, count, sends) {
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
        if all.iter().any(|(payload, _)| payload.strange) {
            return None;
        }
        if !has_flag(flags, "MSG_TRUNC") && all.iter().any(too_many) {
            return None;
        }
        if !known && !certain {
            let begins = all.first().is_some_and(|(payload, _)| {
                payload.seen.first().is_some_and(|(start, bytes)| {
                    *start == 0 && bytes.len() >= 4 && may_begin_message(bytes)
                })
            });
            if !begins {
                return Some(());
            }
        }
        let mut cookie = match sends_on {
            // Its number may be another's by now.
            Some(cookie) => {
                if certain {
                    self.is_socket(cookie);
                }
                cookie
            }
            None => match self.resolve(tid, fd, annotation, certain) {
                Some(cookie) => cookie,
                None => return Some(()),
            },
        };
        let truncates = !sends && has_flag(flags, "MSG_TRUNC");
        for (payload, _) in &mut all {
            self.cut_alike(payload);
            self.counts.longest = self.counts.longest.max(payload.longest as u64);
        }
        if !truncates && all.iter().any(|(payload, _)| payload.edited) {
            self.counts.edited += 1;
            if self.counts.first_edited == 0 {
                self.counts.first_edited = self.counts.lines;
            }
        }
        if sends {
            self.counts.by_hand += u64::from(all.iter().any(|(payload, _)| payload.by_hand));
            let shut = self.sockets.get(cookie).is_some_and(|socket| {
                socket.was_shut() && socket.sending == 0 && moved.is_some_and(|moved| moved > 0)
            });
            if shut {
                // The kernel takes nothing after that: it is another's number.
                self.close_unseen(tid, fd);
                cookie = self.resolve(tid, fd, annotation, certain)?;
            }
        } else if received.is_some() {
            for (fd, annotation) in passed(arguments.at(1)) {
                self.close_unseen(tid, fd);
                if let Some(cookie) = self.resolve(tid, fd, annotation, false)
                    && let Some(socket) = self.sockets.get_mut(cookie)
                {
                    socket.shared = true;
                    self.sharing.received(cookie);
                }
            }
        }
        if sends {
            for (fd, _) in passed(arguments.at(1)) {
                if let Some(slot) = self.descriptors.slot(tid, fd)
                    && let What::Socket(cookie) = slot.what
                    && let Some(socket) = self.sockets.get_mut(cookie)
                {
                    socket.shared = true;
                    if moved.is_none_or(|moved| moved >= 0) {
                        self.sharing.passed(cookie);
                    }
                }
            }
        }
        self.sockets.check(cookie);
        let begun = moved.is_some_and(|moved| moved > 0 || moved == -EINPROGRESS);
        if sends && begun && has_flag(flags, "MSG_FASTOPEN") {
            let to = match data {
                Data::Msghdr => field(arguments.at(1), "msg_name").unwrap_or_default(),
                _ => arguments.at(4),
            };
            self.connect(cookie, to);
        }
        if has_flag(flags, "MSG_OOB") && moved.is_none_or(|moved| moved > 0) {
            // Its last byte is in no stream.
            self.counts.out_of_band += 1;
            if let Some(socket) = self.sockets.get_mut(cookie) {
                socket.counters.send_flags |= flag::OUT_OF_BAND;
            }
        }
        for (mut payload, moved) in all {
            if truncates {
                payload.seen.clear();
            }
            if moved.is_none() {
                // How much of it was moved no line tells.
                self.counts.interrupted += u64::from(sends);
                if sends {
                    self.sockets.distrust(cookie);
                }
                continue;
            }
            let call = Call {
                number: calls::number(name),
                fd,
                result: moved,
            };
            let Some(socket) = self.sockets.get_mut(cookie) else {
                break;
            };
            let announced = socket.announced();
            let cut = payload.cut && moved.is_some_and(|moved| moved > 0);
            self.counts.cut += u64::from(cut);
            let address = payload.address && moved.is_some_and(|moved| moved > 0);
            self.counts.addresses += u64::from(address);
            self.counts.cut_by_edit += u64::from(cut && payload.edited);
            let head = payload.seen.first().is_none_or(|(start, bytes)| {
                *start == 0
                    && may_begin_message(bytes)
                    && memchr::memmem::find(bytes, b"\r\n\r\n").is_none()
            });
            if cut && head && !payload.edited {
                self.counts.cut_heads += 1;
                let shown = payload.seen.first().map_or(0, |(_, bytes)| bytes.len());
                self.counts.longest_cut_head = self.counts.longest_cut_head.max(shown as u64);
            }
            if sends {
                // What sends is traced, so what receives is: both are in the same classes.
                socket.untraced = self.evidence.sends() != Sure::Yes;
                self.sockets.send(cookie, call, payload, moment);
            } else {
                self.sockets.receive(cookie, call, payload, moment);
            }
            self.count_connection(cookie, announced);
        }
        if self
            .sockets
            .get(cookie)
            .and_then(|socket| socket.maybe.as_ref())
            .is_some_and(|held| held.len() > MOST_HELD)
        {
            // It is no small exchange, and nothing says that it is a socket.
            self.descriptors.set(tid, fd, What::File, false);
            self.release(cookie);
        }
        Some(())
    }

    fn is_announced(&self, cookie: u64) -> bool {
        self.sockets.get(cookie).is_some_and(Socket::announced)
    }

    /// Counts a connection with its first bytes.
    fn count_connection(&mut self, cookie: u64, announced: bool) {
        let socket = self.sockets.get(cookie);
        let is_one = socket.is_some_and(|socket| socket.announced() && socket.maybe.is_none());
        self.counts.connections += u64::from(!announced && is_one);
    }

    /// strace cuts strings at the same length (`-s`): one that was cut elsewhere, when
    /// several were cut there, was changed.
    fn cut_alike(&mut self, payload: &mut Payload) {
        let Some(limit) = payload.limit else { return };
        if self.string_limit.is_unlike(limit) && payload.has_head() {
            payload.distrust();
        }
    }

    /// A send begins whose end is in a later line: the socket it is on.
    pub(in crate::capture::strace) fn begin_send(
        &mut self,
        tid: u32,
        data: Data,
        text: &[u8],
    ) -> Option<u64> {
        let mut whole: Vec<u8>;
        let text = if data == Data::Splice {
            whole = text.trim_ascii_end().to_vec();
            whole.push(b')');
            arguments::arguments(&whole)?.0.at(2)
        } else {
            unnamed(text)
        };
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
        if let Some(socket) = self.sockets.get_mut(cookie) {
            socket.sending += 1;
        }
        Some(cookie)
    }
}

/// The descriptors that a message header passes on: `SCM_RIGHTS` (unix(7)).
fn passed(header: &[u8]) -> Vec<(i32, &[u8])> {
    let rights = |message: &[u8]| {
        field(message, "cmsg_type").is_some_and(|kind| is_constant(kind, "SCM_RIGHTS", 1))
    };
    let messages: Vec<_> = match field(header, "msg_control") {
        Some(control) => elements(control).collect(),
        // Before 4.13 without a name: several, or one.
        None => elements(header)
            .filter(|part| part.starts_with(b"[{cmsg_len=") || part.starts_with(b"{cmsg_len="))
            .flat_map(|part| match part.first() {
                Some(b'[') => elements(part).collect(),
                _ => vec![part],
            })
            .collect(),
    };
    messages
        .into_iter()
        .filter(|message| rights(message))
        .filter_map(|message| field(message, "cmsg_data").or_else(|| elements(message).last()))
        .flat_map(elements)
        .filter_map(descriptor)
        .collect()
}
