//! Bytes that calls move.

use detector_common::flag;

use super::descriptor;
use crate::capture::strace::{
    arguments::{self, Arguments, annotation, elements, field, has_flag, is_constant, number},
    calls::{self, Data},
    descriptors::What,
    payload::{Payload, messages, payload},
    replay::Replay,
    result::{Outcome, Returned},
    socket::{Call, begins_message},
};

/// Most steps that are kept for a descriptor of which it is not known whether it
/// is a socket.
const MOST_HELD: usize = 256;

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
        // A look that finds the end finds that the peer has closed.
        let finds_end = moved == Some(0) && !has_flag(flags, "MSG_ERRQUEUE");
        if !sends && not_moved(flags) && !finds_end {
            return Some(());
        }
        // On a descriptor of which nothing is known: what begins as a message
        // does is kept until it is known.
        let sends_on = self.sends_on.filter(|_| sends);
        let known = sends_on.is_some()
            || self.descriptors.slot(tid, fd).is_some()
            || !annotation.is_empty();
        if sends && !known && moved.is_none_or(|moved| moved > 0) {
            self.doubts_number(tid, fd);
            if !self.resuming
                && let Some(thread) = self.descriptors.threads.get(&tid)
            {
                self.gone.sent_on(thread.table, fd);
            }
        }
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
                    self.doubts_of.received(cookie);
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
                    if moved.is_none_or(|moved| moved >= 0) {
                        self.doubts_of.passed(cookie);
                    }
                }
            }
        }
        self.check(cookie);
        if has_flag(flags, "MSG_OOB") && moved.is_none_or(|moved| moved > 0) {
            // Its last byte is in no stream.
            self.counts.out_of_band += 1;
            if let Some(socket) = self.sockets.get_mut(&cookie) {
                socket.counters.send_flags |= flag::OUT_OF_BAND;
            }
        }
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
            let cut = payload.cut && moved.is_some_and(|moved| moved > 0);
            self.counts.cut += u64::from(cut);
            let head = payload.seen.first().is_none_or(|(start, bytes)| {
                *start == 0
                    && begins_message(bytes)
                    && memchr::memmem::find(bytes, b"\r\n\r\n").is_none()
            });
            if cut && head {
                self.counts.cut_heads += 1;
                let shown = payload.seen.first().map_or(0, |(_, bytes)| bytes.len());
                self.counts.longest_cut_head = self.counts.longest_cut_head.max(shown as u64);
            }
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
    pub(in crate::capture::strace) fn begins_send(
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
            text
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
        if let Some(socket) = self.sockets.get_mut(&cookie) {
            socket.sending += 1;
        }
        Some(cookie)
    }
}

/// The descriptors in `SCM_RIGHTS` (unix(7)).
fn passed(control: &[u8]) -> Vec<(i32, &[u8])> {
    elements(control)
        .filter(|message| {
            field(message, "cmsg_type").is_some_and(|kind| is_constant(kind, "SCM_RIGHTS", 1))
        })
        .filter_map(|message| field(message, "cmsg_data"))
        .flat_map(elements)
        .filter_map(descriptor)
        .collect()
}
