//! Where in the stream of sent bytes each message begins and ends.
//!
//! Everything is decided by offset: a message begins where the one before it
//! ended, and what looks like a head anywhere else is a body's. Where a
//! boundary is not known (joined in mid-stream, bytes not seen), a head is
//! believed only with witnesses; see [`Trust`].

use super::{
    chunks::{Followed, follow},
    finding::{Message, Role},
    requests::{HEAD_LIMIT, Request, Requests},
    tally::{Tally, Unjudged},
};
use crate::http::{ChunkDecoder, Framing, Head, Parsed, StartLine, framing, parse};

/// A message with Content-Length that is being sent.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) message: Message,
    /// Offset of its first body byte.
    pub(super) start: u64,
    /// Offset behind its last body byte.
    pub(super) end: u64,
    /// It certainly has a body: it answers no HEAD.
    pub(super) has_body: bool,
    /// Bytes received when its head was sent.
    pub(super) received: u64,
}

/// How sure it is that messages begin where they are taken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Seen from the first byte, or confirmed since.
    Proven,
    /// A head began a write after a request had been received, but nothing
    /// says that a body did not. It is confirmed when its length is borne out:
    /// the next head begins exactly there, begins a write, and answers another
    /// request (the number of request heads is kept here).
    Provisional { requests: u64 },
}

#[derive(Debug)]
enum Place {
    /// The next message begins at this offset.
    Boundary(u64),
    /// A head began at this offset; its bytes so far.
    Head(u64, Vec<u8>),
    /// In a message with a promised length.
    Body(Body),
    /// In a chunked message whose next byte is at this offset.
    Chunks(u64, ChunkDecoder),
    /// Not known, until a head is believed.
    Unknown,
    /// HTTP framing ended, or the body lasts until the connection ends.
    Over,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The call may hold more.
    More,
    /// The call is done with.
    Done,
    /// The place in the stream was lost.
    Lost,
}

/// A call that sent bytes, as far as it was sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// Offset of its first byte.
    pub(super) offset: u64,
    /// Bytes that it sent.
    pub(super) moved: u64,
    /// The first of them.
    pub(super) data: &'a [u8],
    /// Bytes received by then.
    pub(super) received: u64,
    /// Bytes went out on this connection that were not looked at.
    pub(super) unseen: bool,
}

impl Sent<'_> {
    fn end(&self) -> u64 {
        self.offset + self.moved
    }
}

/// The stream of sent bytes of one connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    place: Place,
    trust: Trust,
    messages: u64,
    /// What the messages are, once one was seen.
    role: Option<Role>,
    told: bool,
    joined: bool,
    /// Request heads that had been received when a response head was last
    /// found, or missed.
    answered: u64,
    /// Offset behind the last byte that a sample told of.
    reached: u64,
}

impl Outgoing {
    pub(super) fn new(fresh: bool) -> Self {
        Self {
            place: if fresh {
                Place::Boundary(0)
            } else {
                Place::Unknown
            },
            trust: Trust::Proven,
            messages: 0,
            role: None,
            told: false,
            joined: false,
            answered: 0,
            reached: 0,
        }
    }

    /// Whether nothing was made of the bytes: no message, and no reason why.
    pub(super) fn silent(&self) -> bool {
        self.messages == 0 && !self.told
    }

    /// Takes a sampled call.
    pub(super) fn take(&mut self, sent: Sent<'_>, requests: &mut Requests, tally: &mut Tally) {
        self.reached = self.reached.max(sent.end());
        let mut first = true;
        // Each turn moves on by at least a head, or stops.
        loop {
            match self.turn(sent, requests, tally) {
                Turn::More => {}
                // A call may begin anew where the place was lost before it, not
                // where it was lost in its middle.
                Turn::Lost if first => {}
                Turn::Lost | Turn::Done => return,
            }
            first = false;
        }
    }

    /// What was being sent when `sent` bytes in all had been accepted and the
    /// stream ended: a message that is short, if that is certain.
    pub(super) fn end(&mut self, sent: u64, unseen: bool, tally: &mut Tally) -> Option<Body> {
        self.complete(sent, unseen, tally);
        let place = std::mem::replace(&mut self.place, Place::Over);
        match place {
            Place::Unknown | Place::Over => {}
            _ if self.trust != Trust::Proven => self.miss(Unjudged::MidStream, tally),
            Place::Body(body) if body.has_body => return Some(body),
            Place::Body(_) => self.miss(Unjudged::MethodUnknown, tally),
            Place::Head(..) => self.miss(Unjudged::HeadCut, tally),
            Place::Chunks(..) => self.miss(Unjudged::Chunked, tally),
            Place::Boundary(at) if sent > at && self.messages > 0 => {
                self.miss(Unjudged::Unaccounted, tally);
            }
            Place::Boundary(_) => {}
        }
        None
    }

    /// The watch ends with the connection open and `sent` bytes accepted; a
    /// message that is not whole is not judged, for this reason.
    pub(super) fn leave_open(
        &mut self,
        sent: u64,
        unseen: bool,
        reason: Unjudged,
        tally: &mut Tally,
    ) {
        // The counters may be older than the last sample.
        let sent = sent.max(self.reached);
        self.complete(sent, unseen, tally);
        match std::mem::replace(&mut self.place, Place::Over) {
            Place::Unknown | Place::Over => {}
            _ if self.trust != Trust::Proven => self.miss(Unjudged::MidStream, tally),
            Place::Body(_) | Place::Head(..) | Place::Chunks(..) => self.miss(reason, tally),
            Place::Boundary(at) if sent > at && self.messages > 0 => {
                self.miss(Unjudged::Unaccounted, tally);
            }
            Place::Boundary(_) => {}
        }
    }

    /// Counts the message in progress as whole once its bytes were accepted.
    /// `unseen` bytes may have been another head instead of a body.
    fn complete(&mut self, sent: u64, unseen: bool, tally: &mut Tally) {
        if let Place::Body(body) = &mut self.place {
            // Had they been another head, it would have been sampled.
            body.has_body |= sent > body.start && !unseen;
            if (body.has_body && sent >= body.end) || sent == body.end {
                self.place = Place::Boundary(body.end);
                self.judged(tally);
            }
        }
    }

    fn judged(&self, tally: &mut Tally) {
        // One that is not yet believed is counted when it is confirmed.
        if self.trust == Trust::Proven {
            tally.messages_judged += 1;
        }
    }

    fn lose(&mut self, reason: Unjudged, requests: &mut Requests, tally: &mut Tally) {
        requests.response_missed();
        self.answered = requests.heads();
        // What was only provisional was not to be relied on in the first place.
        let reason = if self.trust == Trust::Proven {
            reason
        } else {
            Unjudged::MidStream
        };
        self.miss(reason, tally);
        self.place = Place::Unknown;
        self.trust = Trust::Proven;
    }

    fn miss(&mut self, reason: Unjudged, tally: &mut Tally) {
        self.told = true;
        // Told once for a connection.
        let again = reason == Unjudged::MidStream && std::mem::replace(&mut self.joined, true);
        if !again {
            tally.miss(reason);
        }
    }

    fn turn(&mut self, sent: Sent<'_>, requests: &mut Requests, tally: &mut Tally) -> Turn {
        match &mut self.place {
            Place::Over => Turn::Done,
            Place::Boundary(at) => {
                let at = *at;
                if at >= sent.end() {
                    return Turn::Done;
                }
                let seen = at
                    .checked_sub(sent.offset)
                    .and_then(|skip| sent.data.get(usize::try_from(skip).ok()?..))
                    .filter(|seen| !seen.is_empty());
                match seen {
                    Some(seen) => self.head(at, seen.to_vec(), sent, requests, tally),
                    None => {
                        let reason = match (self.messages, sent.unseen) {
                            (0, true) => Unjudged::NotObserved,
                            (0, false) => Unjudged::NotHttp,
                            _ => Unjudged::Unaccounted,
                        };
                        self.lose(reason, requests, tally);
                        Turn::Lost
                    }
                }
            }
            Place::Head(start, bytes) => {
                let (start, mut bytes) = (*start, std::mem::take(bytes));
                if start + bytes.len() as u64 != sent.offset {
                    self.lose(Unjudged::HeadCut, requests, tally);
                    return Turn::Lost;
                }
                bytes.extend_from_slice(sent.data);
                if bytes.len() > HEAD_LIMIT {
                    self.lose(Unjudged::HeadCut, requests, tally);
                    return Turn::Done;
                }
                self.head(start, bytes, sent, requests, tally)
            }
            Place::Body(body) => {
                if !body.has_body && is_response(sent.data) {
                    if sent.offset == body.start {
                        // It may answer HEAD, and this is the next response.
                        self.lose(Unjudged::MethodUnknown, requests, tally);
                        return Turn::Lost;
                    }
                    // The length is borne out.
                    body.has_body |= sent.offset == body.end;
                }
                self.complete(sent.end(), sent.unseen, tally);
                match self.place {
                    Place::Boundary(_) => Turn::More,
                    _ => Turn::Done,
                }
            }
            Place::Chunks(at, decoder) => {
                let (at, mut decoder) = (*at, *decoder);
                match follow(at, &mut decoder, sent.offset, sent.end(), sent.data) {
                    Followed::Ended(after) => {
                        self.place = Place::Boundary(after);
                        self.judged(tally);
                        Turn::More
                    }
                    Followed::Within => {
                        self.place = Place::Chunks(sent.end(), decoder);
                        Turn::Done
                    }
                    Followed::Lost => {
                        self.lose(Unjudged::Chunked, requests, tally);
                        Turn::Lost
                    }
                }
            }
            Place::Unknown => {
                let response = matches!(parse(sent.data), Parsed::Complete(head)
                    if matches!(head.start, StartLine::Response { .. }));
                if !response || requests.heads() <= self.answered {
                    return Turn::Done;
                }
                self.trust = Trust::Provisional {
                    requests: requests.heads(),
                };
                self.place = Place::Boundary(sent.offset);
                if !self.told {
                    self.miss(Unjudged::MidStream, tally);
                }
                Turn::More
            }
        }
    }

    /// Parses a head that begins at `start`, whose bytes so far end with what
    /// was seen of this call.
    fn head(
        &mut self,
        start: u64,
        bytes: Vec<u8>,
        sent: Sent<'_>,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        let seen_whole = start + bytes.len() as u64 == sent.end();
        match self.parse(&bytes) {
            Parsed::Complete(head) => {
                self.confirm(start == sent.offset, requests, tally);
                let after = usize::try_from(head.len)
                    .ok()
                    .and_then(|len| bytes.get(len..));
                self.begin(
                    start,
                    &head,
                    after.unwrap_or_default(),
                    sent,
                    requests,
                    tally,
                )
            }
            Parsed::Partial if seen_whole => {
                self.place = Place::Head(start, bytes);
                Turn::Done
            }
            Parsed::Partial => {
                self.lose(Unjudged::HeadCut, requests, tally);
                Turn::Done
            }
            Parsed::Invalid => {
                if self.messages == 0 {
                    self.place = Place::Over;
                    self.miss(speaks(&bytes), tally);
                } else {
                    self.lose(Unjudged::Unaccounted, requests, tally);
                }
                Turn::Done
            }
        }
    }

    /// A side that sent responses sends no requests: bytes that could begin
    /// one are then no head.
    fn parse(&self, bytes: &[u8]) -> Parsed {
        let response = bytes
            .iter()
            .zip(b"HTTP/")
            .all(|(byte, letter)| byte == letter);
        match self.role {
            Some(role) if (role == Role::Response) != response => Parsed::Invalid,
            _ => parse(bytes),
        }
    }

    /// A head was found where the message before it said.
    fn confirm(&mut self, begins_write: bool, requests: &Requests, tally: &mut Tally) {
        if let Trust::Provisional { requests: before } = self.trust
            && self.messages > 0
            && begins_write
            && requests.heads() > before
        {
            self.trust = Trust::Proven;
            // The message that was borne out.
            tally.messages_judged += 1;
        }
    }

    /// A message with this head begins at `start`. `after` are the bytes seen
    /// behind its head.
    fn begin(
        &mut self,
        start: u64,
        head: &Head,
        after: &[u8],
        sent: Sent<'_>,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        let body_start = start + head.len;
        let interim = framing(head, None) == Framing::Interim;
        let certain = requests.certain();
        let (role, status, request) = match &head.start {
            StartLine::Request { method, target } => (
                Role::Request,
                None,
                Some(Request {
                    method: method.clone(),
                    target: target.clone(),
                }),
            ),
            StartLine::Response { status } => (
                Role::Response,
                Some(*status),
                if interim { None } else { requests.answer() },
            ),
        };
        let method = request.as_ref().map(|request| request.method.as_str());
        let framing = framing(head, method);
        let method_known = role == Role::Request || (certain && request.is_some());
        self.messages += 1;
        self.role = Some(role);
        if let Trust::Provisional { requests: seen } = &mut self.trust {
            *seen = requests.heads();
        }
        self.answered = requests.heads();
        // Told only where it is no guess.
        let (method, target) = request
            .filter(|_| method_known)
            .map(|request| (request.method, request.target))
            .unzip();
        match framing {
            Framing::Interim => self.place = Place::Boundary(body_start),
            Framing::NoBody => {
                self.place = Place::Boundary(body_start);
                self.judged(tally);
            }
            Framing::ContentLength(length) => {
                let Some(end) = body_start.checked_add(length) else {
                    self.lose(Unjudged::Malformed, requests, tally);
                    return Turn::Done;
                };
                let unseen = after.is_empty() && sent.end() > body_start;
                if !method_known && (unseen || is_response(after)) {
                    self.lose(Unjudged::MethodUnknown, requests, tally);
                    return Turn::Done;
                }
                self.place = Place::Body(Body {
                    message: Message {
                        role,
                        status,
                        method,
                        target,
                        head_offset: start,
                        head_bytes: head.len,
                    },
                    start: body_start,
                    end,
                    has_body: method_known || !after.is_empty(),
                    received: sent.received,
                });
            }
            Framing::Chunked => {
                self.place = Place::Chunks(body_start, ChunkDecoder::default());
            }
            Framing::UntilClose => {
                self.miss(Unjudged::UntilClose, tally);
                self.place = Place::Over;
            }
            Framing::Tunnel => {
                self.miss(Unjudged::Tunnel, tally);
                self.place = Place::Over;
            }
            Framing::Malformed => {
                self.miss(Unjudged::Malformed, tally);
                self.place = Place::Over;
            }
        }
        match self.place {
            Place::Over => Turn::Done,
            _ => Turn::More,
        }
    }
}

/// Whether the bytes begin as a response does, or are the first of such.
fn is_response(data: &[u8]) -> bool {
    !data.is_empty()
        && data
            .iter()
            .zip(b"HTTP/1.")
            .all(|(byte, letter)| byte == letter)
        && !matches!(parse(data), Parsed::Invalid)
}

/// What a connection speaks whose first bytes are no HTTP/1 head.
pub(super) fn speaks(first: &[u8]) -> Unjudged {
    match first {
        // A TLS record: handshake, change, alert or data, version 3.x (RFC
        // 8446 section 5.1).
        [0x14..=0x17, 3, ..] => Unjudged::Encrypted,
        // RFC 9113 section 3.4.
        _ if first.starts_with(b"PRI * HT") => Unjudged::Http2,
        _ => Unjudged::NotHttp,
    }
}
