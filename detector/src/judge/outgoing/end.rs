//! What is left when the stream ends, or stops.

use super::{Outgoing, Place, Trust, flawed};
use crate::{
    http::after_empty_lines,
    judge::{
        body::bodiless,
        chunks::Chunked,
        finding::Role,
        flaw::{Flaw, Flawed},
        requests::Requests,
        tally::Tally,
        unjudged::Unjudged,
    },
};

impl Outgoing {
    /// Whether a message is owed bytes for certain, and that was not told.
    pub(in crate::judge) fn stalls(&self, sent: u64) -> bool {
        self.trust == Trust::Proven
            && match &self.place {
                Place::Body(body) => {
                    body.has_body && !body.suspect && sent < body.end && !body.stalled
                }
                Place::Chunks(chunked) => {
                    // What is broken may have gone on with another message.
                    let goes_on = chunked.has_body && !chunked.broken;
                    goes_on && !chunked.stalled && chunked.unterminated(sent) == Some(true)
                }
                _ => false,
            }
    }

    /// No byte was accepted for long: the message that is owed some, told once.
    pub(in crate::judge) fn stall(&mut self, sent: u64) -> Option<Flawed> {
        if !self.stalls(sent) {
            return None;
        }
        match &mut self.place {
            Place::Body(body) => {
                body.stalled = true;
                Some(body.flawed(Flaw::Stalled, sent, None))
            }
            Place::Chunks(chunked) => {
                chunked.stalled = true;
                Some(flawed(chunked, Flaw::Stalled))
            }
            _ => None,
        }
    }

    /// Whether [`Self::stall`] may have something to tell.
    pub(in crate::judge) fn owes(&self) -> bool {
        match &self.place {
            Place::Body(body) => !body.stalled,
            Place::Chunks(chunked) => !chunked.stalled,
            _ => false,
        }
    }

    /// What was being sent when `sent` bytes in all had been accepted and the
    /// stream ended: a message that is short, or long, if that is certain. `left`: the
    /// peer was gone.
    pub(in crate::judge) fn end(
        &mut self,
        sent: u64,
        unseen: bool,
        left: bool,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Option<Flawed> {
        if sent < self.reached {
            self.overlap(requests, tally);
        }
        self.complete(sent, unseen, tally);
        let place = std::mem::replace(&mut self.place, Place::Over);
        if self.is_unproven() {
            self.miss(Unjudged::NotHttp, tally);
            return None;
        }
        match place {
            Place::Unknown | Place::Over => {}
            _ if self.trust != Trust::Proven => self.miss(Unjudged::MidStream, tally),
            Place::Body(body) if body.suspect => self.miss(Unjudged::Unaccounted, tally),
            Place::Body(body) if body.has_body => {
                return Some(body.flawed(Flaw::Short, sent, None));
            }
            Place::Body(body) => self.miss(bodiless(body.edited), tally),
            Place::Cut(cut) if cut.has_body && !cut.may_be_whole(sent) => {
                return Some(cut.flawed(sent));
            }
            Place::Cut(_) => self.miss(Unjudged::HeadCut, tally),
            // Empty lines between messages are to be ignored (RFC 9112 section
            // 2.2).
            Place::Head(_, bytes) if after_empty_lines(&bytes).is_empty() => {}
            Place::Head(_, bytes) if self.messages == 0 && !self.may_be_head(&bytes, requests) => {
                self.miss(self.no_message(), tally);
            }
            // Nothing was promised yet that a finding could tell of. The first line tells
            // that it is a message.
            Place::Head(_, bytes) if left && after_empty_lines(&bytes).contains(&b'\n') => {
                self.told = true;
                tally.messages_judged += 1;
                tally.peer_endings += 1;
            }
            Place::Head(..) => self.miss(Unjudged::HeadCut, tally),
            Place::Chunks(chunked) if !chunked.has_body => {
                self.miss(bodiless(chunked.edited), tally);
            }
            Place::Chunks(chunked) => match chunked.unterminated(sent) {
                Some(true) if self.nothing_followed(&chunked, requests) => {
                    return Some(flawed(&chunked, Flaw::Unterminated));
                }
                _ => self.miss(Unjudged::Chunked, tally),
            },
            Place::Overrun(body) => return Some(body.flawed(Flaw::Overrun, sent, None)),
            Place::Boundary(at) if sent > at && self.messages > 0 => {
                self.miss(self.unseen_next(), tally);
            }
            Place::Boundary(_) => {}
        }
        None
    }

    /// Why bytes behind the last message were not judged, of which none was seen.
    fn unseen_next(&self) -> Unjudged {
        if self.switched || self.connecting.is_some() {
            Unjudged::Tunnel
        } else {
            Unjudged::Unaccounted
        }
    }

    /// Whether no other message can have begun behind a chunked one whose end
    /// was not followed byte by byte: its request was the last.
    fn nothing_followed(&self, chunked: &Chunked, requests: &Requests) -> bool {
        let answered = requests.unanswered() == Some(0) && requests.heads() == self.answered;
        chunked.exact.is_some() || (chunked.message.role == Role::Response && answered)
    }

    /// Whether a promised length would not be reached with so many bytes.
    pub(in crate::judge) fn is_short(&self, sent: u64) -> bool {
        match &self.place {
            Place::Body(body) => sent < body.end,
            Place::Chunks(chunked) => chunked.unterminated(sent) == Some(true),
            _ => false,
        }
    }

    /// Whether bytes were seen that cannot be what they were taken for.
    pub(in crate::judge) fn refuted(&self) -> bool {
        match &self.place {
            Place::Overrun(_) => true,
            Place::Chunks(chunked) => chunked.refuted,
            Place::Over => self.messages == 0,
            _ => self.refuted,
        }
    }

    /// The watch ends with the connection open and `sent` bytes accepted; a
    /// message that is not whole is not judged, for this reason.
    pub(in crate::judge) fn leave_open(
        &mut self,
        sent: u64,
        unseen: bool,
        reason: Unjudged,
        tally: &mut Tally,
    ) {
        // The counters may be older than the last sample.
        let sent = sent.max(self.reached);
        self.complete(sent, unseen, tally);
        let place = std::mem::replace(&mut self.place, Place::Over);
        if self.is_unproven() {
            // The answer may be still to come.
            if !std::mem::replace(&mut self.excluded, true) {
                self.told = true;
                tally.miss(reason);
            }
            return;
        }
        match place {
            Place::Unknown | Place::Over => {}
            _ if self.trust != Trust::Proven => self.miss(Unjudged::MidStream, tally),
            Place::Head(_, bytes) if after_empty_lines(&bytes).is_empty() => {}
            Place::Body(_) | Place::Cut(_) | Place::Head(..) | Place::Chunks(_) => {
                self.miss(reason, tally);
            }
            Place::Overrun(body) => self.flaws.push(body.flawed(Flaw::Overrun, sent, None)),
            Place::Boundary(at) if sent > at && self.messages > 0 => {
                self.miss(self.unseen_next(), tally);
            }
            Place::Boundary(_) => {}
        }
    }
}
