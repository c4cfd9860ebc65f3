//! Where in the stream of sent bytes each message begins and ends.
//!
//! Everything is decided by offset: a message begins where the one before it
//! ended, and what looks like a head anywhere else is a body's. Where a
//! boundary is not known (joined in mid-stream, bytes not seen), a head is
//! believed only with witnesses; see [`Trust`].

use super::{
    body::Body,
    chunks::{Chunked, Followed, Seen},
    finding::{Framing as Framed, Message, Role},
    flaw::{By, Flaw, Flawed},
    requests::{HEAD_LIMIT, Request, Requests},
    tally::{Tally, Unjudged},
};
use crate::http::{Framing, Head, Parsed, StartLine, after_empty_lines, framing, parse};

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

#[derive(Clone, Debug)]
enum Place {
    /// The next message begins at this offset.
    Boundary(u64),
    /// A head began at this offset; its bytes so far.
    Head(u64, Vec<u8>),
    /// In a message with a promised length.
    Body(Body),
    /// In a chunked message.
    Chunks(Box<Chunked>),
    /// Behind this message came bytes that are no message.
    Overrun(Body),
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

/// A call that sent bytes, or a part of one, as far as it was sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// Offset of its first byte.
    pub(super) offset: u64,
    /// Bytes that it sent.
    pub(super) moved: u64,
    /// The first of them.
    pub(super) data: &'a [u8],
    /// The last of them, where `data` does not hold them.
    pub(super) tail: &'a [u8],
    /// Bytes received by then.
    pub(super) received: u64,
    /// Bytes went out on this connection that were not looked at.
    pub(super) unseen: bool,
    /// It is the call's beginning.
    pub(super) begins_call: bool,
    /// Which call it is.
    pub(super) by: By,
}

impl Sent<'_> {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.moved
    }

    /// What was seen of it from this offset on, if that was seen.
    fn from(&self, at: u64) -> Option<&[u8]> {
        let part = |start: u64, bytes| {
            let skip = usize::try_from(at.checked_sub(start)?).ok()?;
            <[u8]>::get(bytes, skip..).filter(|seen| !seen.is_empty())
        };
        let tail_at = self.end().saturating_sub(self.tail.len() as u64);
        part(self.offset, self.data).or_else(|| part(tail_at, self.tail))
    }

    pub(super) fn seen(&self) -> Seen<'_> {
        Seen {
            offset: self.offset,
            end: self.end(),
            start: self.data,
            tail: self.tail,
        }
    }
}

/// The last message that was sent whole.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) flawed: Flawed,
    /// Offset behind its last byte.
    pub(super) end: u64,
}

/// The stream of sent bytes of one connection.
#[derive(Clone, Debug)]
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
    whole: Option<Whole>,
    /// The message with Content-Length that ended at the boundary.
    ended: Option<Body>,
    /// The last head began with a call, not in the midst of one.
    head_begins_call: bool,
    /// What was found wrong and not yet taken.
    flaws: Vec<Flawed>,
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
            whole: None,
            ended: None,
            head_begins_call: false,
            flaws: Vec::new(),
        }
    }

    /// A stream in which a response begins at `at`, whatever came before.
    pub(super) fn from(at: u64, requests: &Requests) -> Self {
        Self {
            place: Place::Boundary(at),
            role: Some(Role::Response),
            told: true,
            answered: requests.heads(),
            reached: at,
            ..Self::new(true)
        }
    }

    /// Offset behind the last byte that a sample told of.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Messages found so far.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether the head of the last began with a call.
    pub(super) fn head_begins_call(&self) -> bool {
        self.head_begins_call
    }

    /// Whether something was found wrong since it was last taken.
    pub(super) fn has_flaws(&self) -> bool {
        !self.flaws.is_empty()
    }

    /// What was found wrong since the last call.
    pub(super) fn take_flaws(&mut self) -> Vec<Flawed> {
        std::mem::take(&mut self.flaws)
    }

    /// Adds what was found wrong elsewhere.
    pub(super) fn push_flaw(&mut self, flawed: Flawed) {
        self.flaws.push(flawed);
    }

    /// The last message that was sent whole, if nothing was sent after it.
    pub(super) fn whole(&self, sent: u64) -> Option<&Flawed> {
        let whole = self.whole.as_ref().filter(|whole| whole.end == sent)?;
        Some(&whole.flawed)
    }

    /// The offset of the next bytes that matter: 0 where every byte does,
    /// [`u64::MAX`] where only what looks like a head does.
    pub(super) fn next_boundary(&self) -> u64 {
        match &self.place {
            Place::Boundary(at) => *at,
            Place::Head(..) => 0,
            Place::Body(body) => body.end,
            Place::Chunks(chunked) => chunked
                .exact
                .map_or(0, |(at, decoder)| at + decoder.data_left()),
            Place::Overrun(_) | Place::Unknown | Place::Over => u64::MAX,
        }
    }

    /// Whether a message was sent whole up to this offset and none begun.
    pub(super) fn rests_at(&self, sent: u64) -> bool {
        matches!(self.place, Place::Boundary(at) if at == sent)
    }

    /// Whether the place in the stream is still known.
    pub(super) fn knows_its_place(&self) -> bool {
        !matches!(self.place, Place::Unknown | Place::Over | Place::Overrun(_))
    }

    /// The message that is being sent, left short, if this call is within its
    /// body and begins as the next response would.
    pub(super) fn contradicted(&self, sent: &Sent<'_>, requests: &Requests) -> Option<Flawed> {
        // Second witness: a request was read since the head was sent, which
        // this may answer.
        let read_since = requests.heads() > self.answered
            && requests.unanswered().is_some_and(|count| count > 0);
        if self.trust != Trust::Proven
            || self.role != Some(Role::Response)
            || !read_since
            || !sent.begins_call
            || !is_response(sent.data)
        {
            return None;
        }
        match &self.place {
            Place::Body(body)
                if body.has_body
                    && !body.suspect
                    && (body.start..body.end).contains(&sent.offset) =>
            {
                Some(body.flawed(Flaw::Desync, sent.offset, Some(sent.by)))
            }
            Place::Chunks(chunked) if chunked.has_body && chunked.exact.is_some() => Some(Flawed {
                by: Some(sent.by),
                ..flawed(chunked, Flaw::Desync)
            }),
            _ => None,
        }
    }

    /// No byte was accepted for long: the message that is owed some, told once.
    pub(super) fn stall(&mut self, sent: u64) -> Option<Flawed> {
        if self.trust != Trust::Proven {
            return None;
        }
        match &mut self.place {
            Place::Body(body)
                if body.has_body && !body.suspect && sent < body.end && !body.stalled =>
            {
                body.stalled = true;
                Some(body.flawed(Flaw::Stalled, sent, None))
            }
            Place::Chunks(chunked)
                if chunked.has_body
                    && !chunked.stalled
                    && chunked.unterminated(sent) == Some(true) =>
            {
                chunked.stalled = true;
                Some(flawed(chunked, Flaw::Stalled))
            }
            _ => None,
        }
    }

    /// Whether [`Self::stall`] may have something to tell.
    pub(super) fn owes(&self) -> bool {
        match &self.place {
            Place::Body(body) => !body.stalled,
            Place::Chunks(chunked) => !chunked.stalled,
            _ => false,
        }
    }

    /// Whether nothing was made of the bytes: no message, and no reason why.
    pub(super) fn silent(&self) -> bool {
        self.messages == 0 && !self.told
    }

    /// Takes a sampled call.
    pub(super) fn take(&mut self, sent: Sent<'_>, requests: &mut Requests, tally: &mut Tally) {
        if sent.offset < self.reached && !self.within_body(&sent) {
            self.overlap(requests, tally);
        }
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

    /// Whether a call that is late lies within a body, whose bytes may come in
    /// any order.
    fn within_body(&self, sent: &Sent<'_>) -> bool {
        sent.end() <= self.reached
            && matches!(&self.place, Place::Body(body)
                if body.start <= sent.offset && sent.end() <= body.end && !body.suspect)
    }

    /// The message in progress has no bytes but its own, after all.
    pub(super) fn trust_body(&mut self) {
        if let Place::Body(body) = &mut self.place {
            body.suspect = false;
        }
    }

    /// The place in the stream is not known any more, for this reason.
    pub(super) fn give_up(&mut self, reason: Unjudged, requests: &mut Requests, tally: &mut Tally) {
        self.lose(reason, requests, tally);
    }

    /// Calls overlap: several threads wrote at once, and which bytes came first
    /// is not known.
    fn overlap(&mut self, requests: &mut Requests, tally: &mut Tally) {
        if !matches!(self.place, Place::Unknown | Place::Over) {
            self.lose(Unjudged::Overlapping, requests, tally);
        }
        self.whole = None;
    }

    /// What was being sent when `sent` bytes in all had been accepted and the
    /// stream ended: a message that is short, or long, if that is certain.
    pub(super) fn end(
        &mut self,
        sent: u64,
        unseen: bool,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Option<Flawed> {
        if sent < self.reached {
            self.overlap(requests, tally);
        }
        self.complete(sent, unseen, tally);
        let place = std::mem::replace(&mut self.place, Place::Over);
        match place {
            Place::Unknown | Place::Over => {}
            _ if self.trust != Trust::Proven => self.miss(Unjudged::MidStream, tally),
            Place::Body(body) if body.suspect => self.miss(Unjudged::Unaccounted, tally),
            Place::Body(body) if body.has_body => {
                return Some(body.flawed(Flaw::Short, sent, None));
            }
            Place::Body(_) => self.miss(Unjudged::MethodUnknown, tally),
            // Empty lines between messages are to be ignored (RFC 9112 section
            // 2.2).
            Place::Head(_, bytes) if after_empty_lines(&bytes).is_empty() => {}
            Place::Head(..) => self.miss(Unjudged::HeadCut, tally),
            Place::Chunks(chunked) if !chunked.has_body => {
                self.miss(Unjudged::MethodUnknown, tally);
            }
            Place::Chunks(chunked) => match chunked.unterminated(sent) {
                Some(true) if self.nothing_followed(&chunked, requests) => {
                    return Some(flawed(&chunked, Flaw::Unterminated));
                }
                _ => self.miss(Unjudged::Chunked, tally),
            },
            Place::Overrun(body) => return Some(body.flawed(Flaw::Overrun, sent, None)),
            Place::Boundary(at) if sent > at && self.messages > 0 => {
                self.miss(Unjudged::Unaccounted, tally);
            }
            Place::Boundary(_) => {}
        }
        None
    }

    /// Whether no other message can have begun behind a chunked one whose end
    /// was not followed byte by byte: its request was the last.
    fn nothing_followed(&self, chunked: &Chunked, requests: &Requests) -> bool {
        let answered = requests.unanswered() == Some(0) && requests.heads() == self.answered;
        chunked.exact.is_some() || (chunked.message.role == Role::Response && answered)
    }

    /// Whether a promised length would not be reached with so many bytes.
    pub(super) fn is_short(&self, sent: u64) -> bool {
        match &self.place {
            Place::Body(body) => sent < body.end,
            Place::Chunks(chunked) => chunked.unterminated(sent) == Some(true),
            _ => false,
        }
    }

    /// Whether bytes were seen that cannot be what they were taken for.
    pub(super) fn refuted(&self) -> bool {
        match &self.place {
            Place::Overrun(_) => true,
            Place::Chunks(chunked) => chunked.refuted,
            Place::Over => self.messages == 0,
            _ => false,
        }
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
            Place::Head(_, bytes) if after_empty_lines(&bytes).is_empty() => {}
            Place::Body(_) | Place::Head(..) | Place::Chunks(_) => self.miss(reason, tally),
            Place::Overrun(body) => self.flaws.push(body.flawed(Flaw::Overrun, sent, None)),
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
                self.whole = Some(Whole {
                    flawed: body.flawed(Flaw::AtRisk, body.end, None),
                    end: body.end,
                });
                self.ended = Some(body.clone());
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
                self.head_begins_call = at == sent.offset && sent.begins_call;
                match sent.from(at) {
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
                body.suspect |= sent.begins_call
                    && (body.start..body.end).contains(&sent.offset)
                    && body.message.role == Role::Response
                    && requests.heads() > self.answered
                    && is_response(sent.data);
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
            Place::Chunks(chunked) => {
                let at_size = chunked
                    .exact
                    .is_some_and(|(at, decoder)| at == sent.offset && decoder.at_size());
                let may_have_ended = chunked.exact.is_none() && chunked.may_end(sent.offset);
                match chunked.take(&sent) {
                    Followed::Ended(after) => {
                        self.whole = Some(Whole {
                            flawed: flawed(chunked, Flaw::AtRisk),
                            end: after,
                        });
                        self.place = Place::Boundary(after);
                        self.judged(tally);
                        Turn::More
                    }
                    Followed::Within => Turn::Done,
                    Followed::Lost | Followed::Refuted => {
                        self.lost_chunks(sent, at_size, may_have_ended, requests, tally)
                    }
                }
            }
            Place::Overrun(body) => {
                // It goes on until the next response begins.
                let answers = requests.heads() > self.answered;
                if !(sent.begins_call && answers && is_final_response(sent.data)) {
                    return Turn::Done;
                }
                let flawed = body.flawed(Flaw::Overrun, sent.offset, Some(sent.by));
                self.flaws.push(flawed);
                self.place = Place::Boundary(sent.offset);
                self.trust = Trust::Provisional {
                    requests: requests.heads(),
                };
                Turn::More
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

    /// A call cannot be followed through a chunked body.
    fn lost_chunks(
        &mut self,
        sent: Sent<'_>,
        at_size: bool,
        may_have_ended: bool,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        let Place::Chunks(chunked) = &self.place else {
            return Turn::Done;
        };
        let read_since = requests.heads() > self.answered;
        let next = sent.begins_call && is_final_response(sent.data);
        if next && at_size && !chunked.has_body && is_response(sent.data) {
            self.lose(Unjudged::MethodUnknown, requests, tally);
            return Turn::Lost;
        }
        if next && may_have_ended && read_since {
            let answered = self.answered;
            self.lose(Unjudged::Chunked, requests, tally);
            self.answered = answered;
            return Turn::Lost;
        }
        Turn::Done
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
                self.confirm(self.head_begins_call, requests, tally);
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
                let overrun = self.ended.take().filter(|body| {
                    body.end == start
                        && body.has_body
                        && !body.suspect
                        && self.trust == Trust::Proven
                });
                if let Some(body) = overrun {
                    self.place = Place::Overrun(body);
                } else if self.messages == 0 {
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
        let response = after_empty_lines(bytes)
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
        let message = |framing| Message {
            role,
            framing,
            status,
            method,
            target,
            head_offset: start,
            head_bytes: head.len,
        };
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
                    message: message(Framed::ContentLength),
                    start: body_start,
                    end,
                    has_body: method_known || !after.is_empty(),
                    received: sent.received,
                    suspect: false,
                    stalled: false,
                });
            }
            Framing::Chunked => {
                if !method_known && is_response(after) {
                    self.lose(Unjudged::MethodUnknown, requests, tally);
                    return Turn::Done;
                }
                let chunked = Chunked::new(
                    message(Framed::Chunked),
                    body_start,
                    method_known || !after.is_empty(),
                    sent.received,
                );
                self.place = Place::Chunks(Box::new(chunked));
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

fn flawed(chunked: &Chunked, flaw: Flaw) -> Flawed {
    Flawed {
        flaw,
        message: chunked.message.clone(),
        promised: None,
        sent: None,
        received: chunked.received,
        by: None,
    }
}

/// Whether the bytes begin with the whole head of a response that is not an
/// interim one.
fn is_final_response(data: &[u8]) -> bool {
    matches!(parse(data), Parsed::Complete(head)
        if matches!(head.start, StartLine::Response { .. })
            && framing(&head, None) != Framing::Interim)
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
