//! A socket of the log: what the kernel side would keep of it, and the records
//! that it would send.

use std::net::{IpAddr, SocketAddr};

use detector_common::{
    CALL_RING, CallEntry, Connection as Counters, End, EndKind, Header, Kind, Open, Pod as _,
    Sample, SocketInfo, UNIX_PATH_LEN, family, flag, seen, tcp_state,
};

use super::{
    arguments::constant, payload::Payload, peer_address::PeerAddress, peers::PeerState,
    socket_name::SocketName,
};
use crate::{
    capture::{Bytes, Record},
    http::{is_response, may_begin_message},
};

/// What a line comes to.
#[derive(Clone, Debug)]
pub enum Step {
    /// A record, as live capture gives them.
    Record(Box<Seen>),
    /// This side shut the connection down and no call is in progress: with its
    /// counters.
    Settle(u64, Box<Counters>),
    /// Nothing more that the log tells of the connection can be relied on.
    Lost(u64),
    /// The connection's end is in no line; with its last counters.
    Unseen(u64, Box<Counters>),
}

/// A record, and what only a log tells.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The record.
    pub record: Record,
    /// Bytes that its call offered, where a line tells.
    pub offered: Option<u64>,
    /// The line was shortened by hand.
    pub by_hand: bool,
}

/// Who makes a call, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallStamp {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// The log's time, nanoseconds; 0 if there is none.
    pub(super) time_ns: u64,
    /// The same where it is good for intervals, else 0.
    pub(super) fine_ns: u64,
    pub(super) comm: [u8; 16],
}

/// A call on a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u16,
    pub(super) fd: i32,
    /// Bytes that it moved, or a negative errno; `None` if that is not known.
    pub(super) result: Option<i32>,
}

/// Errors that say that the peer is gone (errno(3)).
const GONE: [i32; 3] = [-32, -104, -110];

#[derive(Clone, Debug)]
pub(super) struct Socket {
    pub(super) cookie: u64,
    pub(super) counters: Counters,
    pub(super) name: SocketName,
    /// Descriptors that refer to it, as far as the log tells.
    pub(super) references: u32,
    /// There may be others.
    pub(super) shared: bool,
    /// The line it was opened in.
    pub(super) born: u64,
    /// Sends that have begun and not returned.
    pub(super) sending: u32,
    /// Where the next bytes are that matter (`detector_common::Hint`).
    pub(super) boundary: u64,
    /// Nothing that is told of it can be relied on.
    pub(super) lost: bool,
    /// How often the log was in doubt when it was opened.
    pub(super) doubts: u64,
    /// What would be told if it is a socket; `None` once it is known to be.
    pub(super) maybe: Option<Vec<Step>>,
    /// What the log tells of the other end.
    pub(super) peer: PeerState,
    /// Where this side connected it to.
    pub(super) server: PeerAddress,
    /// The log may not tell of all that is received.
    pub(super) untraced: bool,
    announced: bool,
    reset: bool,
    peer_gone: bool,
    peer_half_closed: bool,
    /// A call said that bytes lie unread in it, and none has read since.
    readable: bool,
}

impl Socket {
    pub(super) fn new(cookie: u64, born: u64, doubts: u64) -> Self {
        Self {
            cookie,
            counters: Counters::EMPTY,
            name: SocketName::default(),
            references: 1,
            shared: false,
            born,
            sending: 0,
            boundary: 0,
            lost: false,
            doubts,
            maybe: None,
            peer: PeerState::There,
            server: PeerAddress::default(),
            untraced: false,
            announced: false,
            reset: false,
            peer_gone: false,
            peer_half_closed: false,
            readable: false,
        }
    }

    /// Whether bytes were moved.
    pub(super) fn announced(&self) -> bool {
        self.announced
    }

    /// Whether what the log shows of it may be reported.
    pub(super) fn is_reportable(&self) -> bool {
        self.announced && !self.lost && self.maybe.is_none()
    }

    /// A request was received from its first byte, and nothing was sent.
    pub(super) fn got_request(&self) -> bool {
        let first = &self.counters.first_received;
        self.counters.sent == 0
            && self.counters.received > 0
            && may_begin_message(first)
            && !is_response(first)
    }

    pub(super) fn was_shut(&self) -> bool {
        self.counters.end_flags & flag::SHUT_WR != 0
    }

    /// The peer cannot receive any more.
    pub(super) fn peer_is_gone(&mut self) {
        if self.announced {
            self.peer_gone = true;
        }
    }

    /// The peer will send no more.
    pub(super) fn peer_has_half_closed(&mut self) {
        self.peer_half_closed = true;
    }

    /// Bytes lie unread in it.
    pub(super) fn is_readable(&mut self) {
        self.readable = true;
    }

    pub(super) fn set_reset(&mut self, reset: bool) {
        self.reset = reset;
    }

    /// A call that sent bytes, or tried to.
    pub(super) fn send(
        &mut self,
        call: Call,
        mut payload: Payload,
        moment: CallStamp,
        steps: &mut Vec<Step>,
    ) {
        let Some(result) = call.result else { return };
        let offered = payload.offered.unwrap_or(u64::MAX);
        self.counters.last_offered = offered;
        self.counters.last_result = result;
        self.enter(call, offered, result, moment, true);
        let Ok(moved) = u32::try_from(result) else {
            if GONE.contains(&result) {
                self.counters.send_errno = result.unsigned_abs();
            }
            return;
        };
        if moved == 0 {
            return;
        }
        self.announce(moment, steps);
        let offset = self.counters.sent;
        self.counters.sent += u64::from(moved);
        self.counters.sent_ns = moment.fine_ns;
        payload.keep(u64::from(moved));
        if offset == 0 {
            first(&mut self.counters.first_sent, &payload);
        }
        if payload.seen.first().is_none_or(|(start, _)| *start > 0) {
            self.counters.send_flags |= flag::UNINSPECTED;
        }
        let begins = payload
            .seen
            .first()
            .is_some_and(|(start, bytes)| *start == 0 && may_begin_message(bytes));
        if begins || self.boundary < self.counters.sent {
            self.sample(call, payload, offset, moved, true, moment, steps);
        }
    }

    /// A call that received bytes, or tried to. `peeks`: they stay where they
    /// are.
    pub(super) fn receive(
        &mut self,
        call: Call,
        mut payload: Payload,
        moment: CallStamp,
        steps: &mut Vec<Step>,
    ) {
        let Some(result) = call.result else { return };
        self.readable = false;
        let room = payload.offered.unwrap_or(u64::MAX);
        let Ok(moved) = u32::try_from(result) else {
            if GONE.contains(&result) {
                self.counters.receive_errno = result.unsigned_abs();
                self.enter(call, room, result, moment, false);
            }
            return;
        };
        self.enter(call, room, result, moment, false);
        if moved == 0 {
            if room != 0 && self.counters.end_flags & flag::SHUT_RD == 0 {
                self.counters.receive_flags |= flag::EOF;
                self.peer_half_closed = true;
            }
            return;
        }
        self.announce(moment, steps);
        let offset = self.counters.received;
        self.counters.received += u64::from(moved);
        payload.keep(u64::from(moved));
        if offset == 0 {
            first(&mut self.counters.first_received, &payload);
        }
        if payload.seen.is_empty() {
            self.counters.receive_flags |= flag::UNINSPECTED;
        }
        self.sample(call, payload, offset, moved, false, moment, steps);
    }

    /// This side ends it, or one descriptor of it.
    pub(super) fn end(
        &mut self,
        kind: EndKind,
        (how, wait_status, walk): (u32, u32, u32),
        fd: i32,
        moment: CallStamp,
        steps: &mut Vec<Step>,
    ) {
        if !self.announced {
            return;
        }
        let mut end = End::zeroed();
        end.header = self.header(Kind::End, moment);
        end.kind = kind as u32;
        end.how = how;
        // A send that has not returned holds it too.
        end.references = self.references + u32::from(self.shared || self.sending > 0);
        end.wait_status = wait_status;
        end.fd = fd;
        end.walk = walk;
        end.comm = moment.comm;
        end.connection = self.counters;
        end.socket = self.info();
        self.give(Record::End(Box::new(end)), None, false, steps);
    }

    #[expect(clippy::too_many_arguments, reason = "what a sample holds")]
    fn sample(
        &mut self,
        call: Call,
        payload: Payload,
        offset: u64,
        moved: u32,
        sending: bool,
        moment: CallStamp,
        steps: &mut Vec<Step>,
    ) {
        let fitted = if payload.is_fitted() { flag::EDITED } else { 0 };
        let mut pieces = payload.seen.into_iter().peekable();
        while let Some((start, bytes)) = pieces.next() {
            let until = pieces.peek().map_or(u64::from(moved), |(next, _)| *next);
            let mut sample = Sample::zeroed();
            sample.header = self.header(Kind::Sample, moment);
            sample.offset = offset + start;
            sample.opposite = if sending {
                self.counters.received
            } else {
                self.counters.sent
            };
            sample.moved = u32::try_from(until.saturating_sub(start)).unwrap_or(moved);
            sample.len = u32::try_from(bytes.len()).unwrap_or(moved);
            sample.sending = u32::from(sending);
            sample.flags = if sending {
                let hidden = self.counters.receive_flags & flag::UNINSPECTED != 0;
                let unread = self.untraced || hidden;
                self.counters.send_flags
                    | (u32::from(unread) * flag::UNTRACED_RECEIVES)
                    | (u32::from(hidden) * flag::UNSEEN_RECEIVES)
            } else {
                self.counters.receive_flags
            } | if start > 0 { flag::MID_CALL } else { 0 }
                | fitted;
            sample.from_start = self.counters.from_start;
            sample.fd = call.fd;
            sample.number = u32::from(call.number);
            let bytes = Bytes {
                start: bytes,
                tail: Vec::new(),
            };
            self.give(
                Record::Sample(sample, bytes),
                payload.offered,
                payload.by_hand,
                steps,
            );
        }
    }

    /// The first record, before the first bytes.
    fn announce(&mut self, moment: CallStamp, steps: &mut Vec<Step>) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        self.counters.tracked_ns = moment.time_ns;
        self.counters.tgid = moment.pid;
        self.counters.family = self.name.family;
        let lost = std::mem::replace(&mut self.lost, false);
        let mut open = Open::zeroed();
        open.header = self.header(Kind::Open, moment);
        open.comm = moment.comm;
        open.socket = self.info();
        self.give(Record::Open(Box::new(open)), None, false, steps);
        self.lost = lost;
        if lost && self.maybe.is_none() {
            steps.push(Step::Lost(self.cookie));
        }
    }

    fn header(&mut self, kind: Kind, moment: CallStamp) -> Header {
        let seq = self.counters.seq;
        if !self.lost {
            self.counters.seq = seq.wrapping_add(1);
        }
        Header {
            kind: kind as u32,
            seq,
            cookie: self.cookie,
            time_ns: moment.time_ns,
            tgid: moment.pid,
            tid: moment.tid,
        }
    }

    fn give(&mut self, record: Record, offered: Option<u64>, by_hand: bool, steps: &mut Vec<Step>) {
        if self.lost {
            return;
        }
        let step = Step::Record(Box::new(Seen {
            record,
            offered,
            by_hand,
        }));
        match &mut self.maybe {
            Some(held) => held.push(step),
            None => steps.push(step),
        }
    }

    /// What the log tells of the socket now, as far as it goes.
    fn info(&self) -> SocketInfo {
        let mut info = SocketInfo::EMPTY;
        info.inode = self.name.inode.unwrap_or(0);
        info.family = self.name.family;
        (info.local, info.local_port) = address(self.name.local);
        (info.peer, info.peer_port) = address(self.name.peer.or(self.server.address));
        let path = if self.name.path.is_empty() {
            info.path_of_peer = u8::from(!self.server.path.is_empty());
            &self.server.path
        } else {
            &self.name.path
        };
        let length = path.len().min(UNIX_PATH_LEN);
        for (to, from) in info.unix_path.iter_mut().zip(path) {
            *to = *from;
        }
        info.unix_path_len = u16::try_from(length).unwrap_or(0);
        info.reset = u8::from(self.reset);
        if self.readable {
            // A log does not tell how many bytes, of TCP either.
            info.seen |= seen::INPUT;
        }
        // sk_shutdown's bits: 1 the peer sends no more, 2 we cannot send.
        let (mut gone, mut half_closed) = (self.peer_gone, self.peer_half_closed);
        let unix = self.name.family == family::UNIX;
        match self.peer {
            PeerState::There => {}
            PeerState::Shut { sends, receives } => {
                half_closed |= sends;
                gone |= unix && sends && receives;
                if unix && receives {
                    info.shutdown = 2;
                }
            }
            PeerState::Closed {
                unsure,
                resets,
                received,
            } => {
                let unread = self.counters.from_start == 1
                    && received.is_some_and(|received| received < self.counters.sent);
                half_closed = true;
                gone |= !unsure && (unix || resets || unread);
            }
        }
        if gone {
            info.state = tcp_state::CLOSE;
            info.shutdown = 3;
        } else if half_closed {
            info.state = tcp_state::CLOSE_WAIT;
            info.shutdown |= 1;
        }
        info
    }

    /// What the other end is to be told of this one, while it is open.
    pub(super) fn shut(&self) -> PeerState {
        let flags = self.counters.end_flags;
        let (sends, receives) = (flags & flag::SHUT_WR != 0, flags & flag::SHUT_RD != 0);
        if sends || receives {
            PeerState::Shut { sends, receives }
        } else {
            PeerState::There
        }
    }

    /// The same once its last descriptor is gone. `unseen`: so it seems.
    /// `receives`: strace was asked for all that receives.
    pub(super) fn state_when_closed(&self, unseen: bool, receives: bool) -> PeerState {
        let unsure = unseen || self.lost || self.maybe.is_some();
        let known = receives && self.counters.from_start == 1 && !unsure;
        PeerState::Closed {
            unsure,
            resets: self.reset,
            received: known.then_some(self.counters.received),
        }
    }

    fn enter(&mut self, call: Call, offered: u64, result: i32, moment: CallStamp, sending: bool) {
        self.counters.fd = call.fd;
        // Errors whose names are not known here have no number.
        if result == i32::MIN {
            return;
        }
        let slot = self.counters.call_count as usize % CALL_RING;
        self.counters.call_count = self.counters.call_count.wrapping_add(1);
        if let Some(entry) = self.counters.calls.get_mut(slot) {
            *entry = CallEntry {
                time_ns: moment.fine_ns,
                offered,
                result,
                tid: moment.tid,
                number: call.number,
                sending: u8::from(sending),
                used: 1,
                fd: call.fd,
            };
        }
    }
}

fn first(kept: &mut [u8], payload: &Payload) {
    if let Some((0, bytes)) = payload.seen.first() {
        for (to, from) in kept.iter_mut().zip(bytes) {
            *to = *from;
        }
    }
}

fn address(address: Option<SocketAddr>) -> ([u8; 16], u16) {
    let mut bytes = [0; 16];
    let Some(address) = address else {
        return (bytes, 0);
    };
    match address.ip() {
        IpAddr::V4(ip) => {
            for (to, from) in bytes.iter_mut().zip(ip.octets()) {
                *to = from;
            }
        }
        IpAddr::V6(ip) => bytes = ip.octets(),
    }
    (bytes, address.port())
}

/// `AF_INET` and its like, as the kernel numbers those that carry HTTP; 0 for
/// others.
pub(super) fn family_of(name: &[u8]) -> u16 {
    match constant(name) {
        b"AF_UNIX" | b"AF_LOCAL" | b"AF_FILE" | b"PF_UNIX" | b"PF_LOCAL" | b"PF_FILE" | b"0x1"
        | b"1" => family::UNIX,
        b"AF_INET" | b"PF_INET" | b"0x2" | b"2" => family::INET,
        b"AF_INET6" | b"PF_INET6" | b"0xa" | b"10" => family::INET6,
        _ => 0,
    }
}
