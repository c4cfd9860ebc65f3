//! Begins a message by its head.

use super::{Last, Outgoing, Place, Sent, Trust, Turn};
use crate::{
    http::{Framing, Head, StartLine, framing},
    judge::{
        body::Body,
        chunks::Chunked,
        finding::{Framing as Framed, Message, Role},
        requests::{Request, Requests},
        tally::Tally,
        unjudged::Unjudged,
    },
};

impl Outgoing {
    /// A message with this head begins at `start`. `after` are the bytes seen
    /// behind its head.
    pub(super) fn begin(
        &mut self,
        start: u64,
        head: &Head,
        after: &[u8],
        sent: Sent<'_>,
        requests: &mut Requests,
        tally: &mut Tally,
    ) -> Turn {
        let response = matches!(head.start, StartLine::Response { .. });
        if response && self.is_unasked(requests) {
            self.exclude(tally);
            return Turn::Done;
        }
        let body_start = start + head.len;
        let interim = framing(head, None) == Framing::Interim;
        let (role, status, request) = match &head.start {
            StartLine::Request { method, target } => (
                Role::Request,
                None,
                Some(Request {
                    method: method.clone(),
                    target: target.clone(),
                    certain: true,
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
        let method_known = request.as_ref().is_some_and(|request| request.certain);
        self.messages += 1;
        self.role = Some(role);
        tally.responses += u64::from(response);
        if !response {
            self.asked = Some(sent.received);
        }
        self.connecting = (!response && method == Some("CONNECT")).then_some(sent.received);
        if let Trust::Provisional { requests: seen } = &mut self.trust {
            *seen = requests.heads();
        }
        self.answered = requests.heads();
        // Told only where it is no guess.
        let (method, target) = request
            .filter(|_| method_known)
            .map(|request| (request.method, request.target))
            .unzip();
        let edited = sent.edited && after.is_empty();
        let has_body = (method_known && !edited) || !after.is_empty();
        let message = |framing| Message {
            role,
            framing,
            status,
            method,
            target,
            head_offset: start,
            head_bytes: Some(head.len),
        };
        match framing {
            Framing::Interim => self.place = Place::Boundary(body_start),
            Framing::NoBody => {
                self.place = Place::Boundary(body_start);
                self.judged(tally);
                // What follows it is an overrun, if it is no message.
                self.last = (self.trust == Trust::Proven).then(|| {
                    Last::Sized(Body {
                        message: message(Framed::ContentLength),
                        start: body_start,
                        end: body_start,
                        has_body: method_known,
                        received: sent.received,
                        suspect: false,
                        unclear: false,
                        edited: sent.edited,
                        stalled: false,
                    })
                });
            }
            Framing::ContentLength(length) => {
                let Some(end) = body_start.checked_add(length) else {
                    self.lose(Unjudged::Malformed, requests, tally);
                    return Turn::Done;
                };
                let unseen = after.is_empty() && sent.end() > body_start;
                if !method_known && (unseen || sent.response_at(body_start, after)) {
                    self.lose(Unjudged::MethodUnknown, requests, tally);
                    return Turn::Done;
                }
                self.place = Place::Body(Body {
                    message: message(Framed::ContentLength),
                    start: body_start,
                    end,
                    has_body,
                    edited,
                    received: sent.received,
                    suspect: false,
                    unclear: false,
                    stalled: false,
                });
            }
            Framing::Chunked => {
                if !method_known && sent.response_at(body_start, after) {
                    self.lose(Unjudged::MethodUnknown, requests, tally);
                    return Turn::Done;
                }
                let message = message(Framed::Chunked);
                let mut chunked = Chunked::new(message, body_start, has_body, sent.received);
                chunked.edited = edited;
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

    /// What is sent on this connection is no message, whatever it looks like.
    pub(super) fn exclude(&mut self, tally: &mut Tally) {
        self.place = Place::Over;
        self.miss(self.no_message(), tally);
    }
}
