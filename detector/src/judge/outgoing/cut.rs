//! A message of whose head a part was seen, in a call of which not all bytes
//! were: a log that shows a few bytes of each call (strace's `-s`).
//!
//! Where its head ends is not known, so neither is how many of the bytes are
//! its body's. But if fewer bytes were accepted in all, head included, than the
//! body was to have, it is short wherever the head ends.

use super::{Outgoing, Place, Sent, Trust};
use crate::{
    http::{Framing, StartLine, after_empty_lines, framing, is_response, parse_seen},
    judge::{
        finding::{Framing as Framed, Message, Role},
        flaw::{Flaw, Flawed},
        requests::{HEAD_LIMIT, Request, Requests},
        tally::Tally,
        unjudged::Unjudged,
    },
};

/// A message whose Content-Length was seen and the end of its head was not.
///
/// That no `Transfer-Encoding` follows it is taken from RFC 9112 section 6.2:
/// no sender may have both.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Cut {
    message: Message,
    /// Offset of its first byte.
    start: u64,
    /// Body bytes.
    promised: u64,
    /// It certainly has a body: it answers no HEAD.
    pub(in crate::judge) has_body: bool,
    /// Bytes received when its head was sent.
    received: u64,
}

impl Cut {
    /// Whether the message may be whole when bytes up to the offset `sent` were
    /// accepted.
    pub(in crate::judge) fn may_be_whole(&self, sent: u64) -> bool {
        sent.saturating_sub(self.start) >= self.promised
    }

    /// It ended when bytes up to the offset `sent` were accepted.
    pub(in crate::judge) fn flawed(self, sent: u64) -> Flawed {
        Flawed {
            flaw: Flaw::Short,
            message: self.message,
            promised: Some(self.promised),
            sent: None,
            sent_with_head: Some(sent.saturating_sub(self.start)),
            received: self.received,
            by: None,
        }
    }
}

impl Outgoing {
    /// A head begins at `start` of which these bytes were seen, and not its
    /// end.
    pub(super) fn cut_head(
        &mut self,
        start: u64,
        seen: &[u8],
        sent: Sent<'_>,
        requests: &mut Requests,
        tally: &mut Tally,
    ) {
        let response = is_response(after_empty_lines(seen));
        if response && self.is_unasked(requests) {
            return self.exclude(tally);
        }
        let cut = self.seen_head(start, seen, sent, requests);
        match cut.filter(|cut| !cut.may_be_whole(sent.end())) {
            Some(cut) => {
                requests.response_missed();
                self.answered = requests.heads();
                self.lost = true;
                self.place = Place::Cut(cut);
            }
            None => self.lose(Unjudged::HeadCut, requests, tally),
        }
    }

    fn seen_head(
        &mut self,
        start: u64,
        seen: &[u8],
        sent: Sent<'_>,
        requests: &mut Requests,
    ) -> Option<Cut> {
        if self.trust != Trust::Proven {
            return None;
        }
        let head = parse_seen(seen)?;
        let (role, status, request) = match head.start.clone() {
            StartLine::Request { method, target } => {
                let certain = true;
                let request = Request {
                    method,
                    target,
                    certain,
                };
                (Role::Request, None, Some(request))
            }
            StartLine::Response { status } => (Role::Response, Some(status), requests.answer()),
        };
        let request = request.filter(|request| request.certain);
        let method = request.as_ref().map(|request| request.method.as_str());
        let Framing::ContentLength(promised) = framing(&head, method) else {
            return None;
        };
        // More than any head has.
        let long = sent.moved > HEAD_LIMIT as u64 && sent.offset == start;
        self.messages += 1;
        self.role = Some(role);
        let has_body = request.is_some() || long;
        let (method, target) = request
            .map(|request| (request.method, request.target))
            .unzip();
        Some(Cut {
            message: Message {
                role,
                framing: Framed::ContentLength,
                status,
                method,
                target,
                head_offset: start,
                head_bytes: None,
            },
            start,
            promised,
            has_body,
            received: sent.received,
        })
    }
}
