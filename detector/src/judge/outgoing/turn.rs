//! Takes a call, from one place in the stream to the next.

use std::borrow::Cow;

use super::{Last, Outgoing, Place, Sent, Trust, Turn, Witness, flawed};
use crate::{
    http::{
        Parsed, ProxyHeader, after_empty_lines, is_response, may_be_response, parse, proxy_header,
    },
    judge::{
        body::bodiless,
        chunks::Followed,
        finding::Role,
        flaw::{Flaw, Flawed},
        looks::Look,
        protocol::speaks,
        requests::{HEAD_LIMIT, Requests},
        tally::Tally,
        unjudged::Unjudged,
    },
};

impl Outgoing {
    pub(super) fn turn(
        &mut self,
        sent: Sent<'_>,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        match &mut self.place {
            Place::Over => Turn::Done,
            Place::Boundary(at) => {
                let at = *at;
                if at >= sent.end() {
                    return Turn::Done;
                }
                if self.switched && self.role == Some(Role::Request) {
                    self.miss(Unjudged::Tunnel, tally);
                    self.place = Place::Over;
                    return Turn::Done;
                }
                self.head_begins_call = at == sent.offset && sent.begins_call;
                match sent.from(at) {
                    Some(seen) => self.head(at, Cow::Borrowed(seen), sent, requests, tally),
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
                // Without the end of a line it is no more a head than it was.
                if sent.data.len() as u64 == sent.moved && !sent.data.contains(&b'\n') {
                    sent.looks.add(Look::Head {
                        start,
                        at: sent.offset,
                        end: sent.end(),
                    });
                    self.place = Place::Head(start, bytes);
                    return Turn::Done;
                }
                self.head(start, Cow::Owned(bytes), sent, requests, tally)
            }
            Place::Body(body) => {
                let read_since = requests.heads() > self.answered;
                let unclear = requests.unanswered().is_none();
                if sent.begins_call
                    && (body.start..body.end).contains(&sent.offset)
                    && body.message.role == Role::Response
                    && (read_since || unclear)
                    && sent.begins_response()
                {
                    body.suspect |= read_since;
                    body.unclear |= unclear;
                }
                if !body.has_body && sent.begins_response() {
                    if sent.offset == body.start {
                        // It may answer HEAD, and this is the next response.
                        let reason = bodiless(body.edited);
                        self.lose(reason, requests, tally);
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
                if !chunked.has_body && sent.offset == chunked.start && sent.begins_response() {
                    // It may answer HEAD, and this is the next response.
                    let reason = bodiless(chunked.edited);
                    self.lose(reason, requests, tally);
                    return Turn::Lost;
                }
                let may_have_ended = chunked.exact.is_none() && chunked.may_end(sent.offset);
                match chunked.take(&sent) {
                    Followed::Ended(after) => {
                        let place = std::mem::replace(&mut self.place, Place::Boundary(after));
                        self.whole(place, after, tally);
                        Turn::More
                    }
                    Followed::Within => Turn::Done,
                    Followed::Lost | Followed::Refuted | Followed::Broken => {
                        self.lost_chunks(sent, may_have_ended, requests, tally)
                    }
                }
            }
            Place::Overrun(body) => {
                // It goes on until the next response begins.
                let answers = requests.heads() > self.answered;
                if !(sent.begins_call && answers && sent.begins_whole_response(false)) {
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
            Place::Cut(cut) => {
                if cut.may_be_whole(sent.end()) {
                    self.lose(Unjudged::HeadCut, requests, tally);
                }
                Turn::Done
            }
            Place::Unknown => {
                if requests.heads() <= self.answered || !sent.begins_whole_response(true) {
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
        may_have_ended: bool,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        let read_since = requests.heads() > self.answered;
        let next = sent.begins_call && sent.begins_whole_response(false);
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
        bytes: Cow<'_, [u8]>,
        sent: Sent<'_>,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        let end = start + bytes.len() as u64;
        let seen_whole = end == sent.end();
        let at = start.max(sent.offset);
        if start == 0 {
            match proxy_header(&bytes) {
                ProxyHeader::Whole(length) => {
                    sent.looks.add(Look::Proxy { at, end });
                    self.place = Place::Boundary(length as u64);
                    return Turn::More;
                }
                ProxyHeader::Partial if seen_whole => {
                    sent.looks.add(Look::Proxy { at, end });
                    self.place = Place::Head(start, bytes.into_owned());
                    return Turn::Done;
                }
                ProxyHeader::Partial | ProxyHeader::None => {}
            }
        }
        let parsed = self.parse(&bytes);
        sent.looks.add(Look::of(&parsed, start, at, end));
        match parsed {
            Parsed::Complete(_) if !self.head_begins_call && self.follows_suspect(start) => {
                self.lose(Unjudged::Unaccounted, requests, tally);
                Turn::Done
            }
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
                self.place = Place::Head(start, bytes.into_owned());
                Turn::Done
            }
            Parsed::Partial => {
                self.cut_head(start, &bytes, sent, requests, tally);
                Turn::Done
            }
            Parsed::Invalid => {
                let overrun = match self.last.take() {
                    Some(Last::Sized(body)) => Some(body),
                    _ => None,
                }
                .filter(|body| {
                    body.end == start
                        && body.has_body
                        && body.message.role == Role::Response
                        && !sent.unseen
                });
                // A head that is refused here is one all the same.
                let is_head = is_response(after_empty_lines(&bytes));
                let answered = |received| sent.received > received;
                if self.connecting.is_some_and(answered) {
                    // The answer to CONNECT was a final one, or this would be a mistake
                    // that nobody has seen.
                    self.miss(Unjudged::Tunnel, tally);
                    self.place = Place::Over;
                } else if is_head && self.messages > 0 {
                    self.lose(Unjudged::Malformed, requests, tally);
                } else if let Some(body) = overrun {
                    if body.suspect || body.unclear {
                        self.refuted = true;
                        self.lose(Unjudged::Unaccounted, requests, tally);
                    } else {
                        self.place = Place::Overrun(body);
                    }
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

    /// Whether the body that ended here may have held the next message: what is
    /// found behind it in the midst of a call may then be a body's.
    fn follows_suspect(&self, start: u64) -> bool {
        matches!(&self.last, Some(Last::Sized(body)) if body.end == start && body.suspect)
    }

    /// A side that sent responses sends no requests: bytes that could begin
    /// one are then no head.
    fn parse(&self, bytes: &[u8]) -> Parsed {
        let line = after_empty_lines(bytes);
        if line.is_empty() {
            return Parsed::Partial;
        }
        let response = may_be_response(line);
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
            self.judged(tally);
        }
    }

    /// The message that is being sent, left short, if this call is within its
    /// body and begins as the next response would; and what else speaks for that.
    pub(in crate::judge) fn contradicted(
        &self,
        sent: &Sent<'_>,
        requests: &Requests,
    ) -> Option<(Flawed, Witness)> {
        // A request that this may answer, read since the head was sent or before.
        let asked = requests.unanswered().is_some_and(|count| count > 0);
        let witness = if requests.heads() > self.answered {
            Witness::RequestSince
        } else {
            Witness::None
        };
        if self.trust != Trust::Proven
            || self.role != Some(Role::Response)
            || !asked
            || !sent.begins_call
            || !sent.begins_response()
        {
            return None;
        }
        let flawed = match &self.place {
            Place::Body(body)
                if body.has_body
                    && !body.suspect
                    && (body.start..body.end).contains(&sent.offset) =>
            {
                Some(body.flawed(Flaw::Desync, sent.offset, Some(sent.by)))
            }
            // In a call that was not looked at it may have ended.
            Place::Chunks(chunked)
                if chunked.has_body
                    && chunked.exact.is_some()
                    && chunked.unterminated(sent.offset) == Some(true) =>
            {
                Some(Flawed {
                    by: Some(sent.by),
                    ..flawed(chunked, Flaw::Desync)
                })
            }
            _ => None,
        };
        Some((flawed?, witness))
    }
}
