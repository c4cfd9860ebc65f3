//! Both directions of a connection; and, where the bytes sent can be read in
//! two ways, both readings until one is refuted.
//!
//! A call that begins with a response's head in the middle of a promised body
//! is either a body that looks so (a log, an archive), or the next response on
//! a connection whose last was left short. It is taken for the second only with
//! two witnesses: a request was read since, and what follows fits the new head
//! and not the old: bytes that the promised body cannot have behind it, or the
//! end of the connection before its end.
//!
//! A head that stands just where the promised bytes end, or such a place that was not
//! seen, refutes neither while the second reading fits too: a body that holds a
//! response looks the same. It is counted as unaccounted.
//!
//! Where all requests were read before (pipelined), more is asked for: bytes that
//! the promised body cannot have behind it, and a new message that ended just
//! where the next began, or where the connection ended. A connection that ended
//! before the promised bytes is such a witness too where one new message ended just
//! where the next began, the last one where the connection did, and they answer all
//! that was asked, no more and no less. Otherwise the old reading holds.

use detector_common::Hint;

use super::{
    answers::Answers,
    finding::Role,
    flaw::Flawed,
    looks::Looks,
    outgoing::{Outgoing, Sent, Witness},
    requests::Requests,
    tally::Tally,
    unjudged::Unjudged,
};

#[derive(Debug)]
pub(super) struct Streams {
    pub(super) outgoing: Outgoing,
    requests: Requests,
    answers: Answers,
    rival: Option<Box<Rival>>,
}

/// The reading in which the next message began early.
#[derive(Debug)]
struct Rival {
    outgoing: Outgoing,
    requests: Requests,
    /// What is counted if it is the right one, and if it is not.
    tally: Tally,
    other_tally: Tally,
    /// The message that was then left short.
    flawed: Flawed,
    /// Messages in the other reading when this one began.
    messages: u64,
    witness: Witness,
    /// One of its messages ended just where the next began.
    borne_out: bool,
}

impl Rival {
    /// Whether there was a request for each of its responses.
    fn answers_requests(&self) -> bool {
        self.requests.unanswered().is_some()
    }

    /// Whether a message of its was sent whole.
    fn has_whole(&self) -> bool {
        self.tally.messages_judged > 0
    }
}

impl Streams {
    pub(super) fn new(from_start: bool) -> Self {
        Self {
            outgoing: Outgoing::new(from_start),
            requests: Requests::new(from_start),
            answers: Answers::default(),
            rival: None,
        }
    }

    /// What the messages that it sends are, once one was seen.
    pub(super) fn role(&self) -> Option<Role> {
        self.outgoing.role()
    }

    /// Takes a call that sent bytes.
    pub(super) fn send(&mut self, sent: Sent<'_>, tally: &mut Tally) {
        self.begin_rival(&sent, tally);
        let Some(rival) = &mut self.rival else {
            self.outgoing.take(sent, &mut self.requests, tally);
            return;
        };
        let before = rival.outgoing.messages();
        let whole = rival.has_whole();
        let refuted = self.outgoing.refuted();
        rival
            .outgoing
            .take(sent, &mut rival.requests, &mut rival.tally);
        self.outgoing
            .take(sent, &mut self.requests, &mut rival.other_tally);
        let went_on = self.outgoing.messages() > rival.messages;
        let refuted = refuted || self.outgoing.refuted();
        let fits = rival.outgoing.knows_its_place() && rival.answers_requests();
        if rival.witness == Witness::None {
            // The next began where the length of one said.
            let borne_out = fits && whole && rival.outgoing.messages() > before;
            rival.borne_out |= borne_out;
            if refuted && borne_out {
                self.decide(true, tally);
            } else if went_on || !fits {
                self.decide(false, tally);
            }
        } else if went_on || !rival.outgoing.knows_its_place() {
            // A message where the promised bytes end, whether it begins with a call
            // or not, may be of the rival's body, or begin in both readings.
            let both = went_on && fits;
            self.decide(false, tally);
            if both {
                self.outgoing
                    .lose(Unjudged::Unaccounted, &mut self.requests, tally);
            }
        } else if !rival.answers_requests() {
            self.decide(false, tally);
        } else if refuted {
            self.decide(true, tally);
        }
    }

    /// Begins a second reading where this call may be the next response.
    fn begin_rival(&mut self, sent: &Sent<'_>, tally: &mut Tally) {
        // One with two witnesses is kept until it is decided.
        let known = self.rival.as_ref().map(|rival| rival.witness);
        if known == Some(Witness::RequestSince) {
            return;
        }
        let Some((flawed, witness)) = self.outgoing.contradicted(sent, &self.requests) else {
            return;
        };
        match &mut self.rival {
            Some(_) if witness == Witness::None => return,
            Some(rival) if rival.has_whole() && rival.outgoing.rests_at(sent.offset) => {
                // The next response, where its length said.
                rival.witness = witness;
                return;
            }
            Some(_) => self.decide(false, tally),
            None => {}
        }
        self.rival = Some(Box::new(Rival {
            outgoing: Outgoing::from(sent.offset, &self.requests),
            requests: self.requests.clone(),
            tally: Tally::default(),
            other_tally: Tally::default(),
            flawed,
            messages: self.outgoing.messages(),
            witness,
            borne_out: false,
        }));
    }

    /// Takes a call that received bytes.
    pub(super) fn receive(
        &mut self,
        offset: u64,
        moved: u64,
        data: &[u8],
        looks: Looks<'_>,
        tally: &mut Tally,
    ) {
        let heard = self.answers.heard();
        let asked = self.outgoing.asked();
        self.answers.take(offset, moved, data, asked, looks);
        if self.answers.heard() && !heard {
            tally.heard += 1;
            self.outgoing.hear(tally);
        }
        let connected = self
            .outgoing
            .connecting()
            .is_some_and(|from| self.answers.accepted_since(from));
        if connected || self.answers.switched() {
            self.outgoing.switch();
        }
        self.requests.take(offset, moved, data, looks);
        if let Some(rival) = &mut self.rival {
            rival.requests.take(offset, moved, data, looks);
        }
    }

    /// The stream ended after `sent` bytes in all; `left`: as the peer was gone.
    pub(super) fn end(
        &mut self,
        sent: u64,
        unseen: bool,
        left: bool,
        tally: &mut Tally,
    ) -> Option<Flawed> {
        // Samples that tell of more than was sent are no proof of anything.
        let reached = self.outgoing.reached() <= sent;
        let short = self.outgoing.is_short(sent) && reached;
        if self.rival_needs_proof() {
            let refuted = self.outgoing.refuted() || (short && self.rival_answers_all());
            let fits = reached && refuted && self.rival_rests_at(sent);
            self.decide(fits, tally);
        } else {
            if !short && self.rival_rests_at(sent) {
                // Both fit.
                tally.miss(Unjudged::Unaccounted);
            }
            // Short in both readings.
            self.decide(short, tally);
        }
        self.outgoing
            .end(sent, unseen, left, &mut self.requests, tally)
    }

    /// The watch ends with the connection open.
    pub(super) fn leave_open(
        &mut self,
        sent: u64,
        unseen: bool,
        reason: Unjudged,
        tally: &mut Tally,
    ) {
        let wrong = if self.rival_needs_proof() {
            self.outgoing.refuted()
        } else {
            self.outgoing.is_short(sent)
        };
        self.decide(wrong && self.rival_rests_at(sent), tally);
        self.outgoing.leave_open(sent, unseen, reason, tally);
    }

    /// The responses that were received.
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Whether a request may have been received.
    pub(super) fn asked(&self) -> bool {
        self.requests.asked()
    }

    fn rival_rests_at(&self, sent: u64) -> bool {
        self.rival
            .as_ref()
            .is_some_and(|rival| rival.outgoing.rests_at(sent))
    }

    /// Whether the rival's messages bear each other out, one for each request.
    fn rival_answers_all(&self) -> bool {
        self.rival
            .as_ref()
            .is_some_and(|rival| rival.borne_out && rival.requests.unanswered() == Some(0))
    }

    /// Whether only a message of its that is whole speaks for the rival.
    fn rival_needs_proof(&self) -> bool {
        self.rival
            .as_ref()
            .is_some_and(|rival| rival.witness == Witness::None)
    }

    /// Keeps one reading.
    fn decide(&mut self, rival: bool, tally: &mut Tally) {
        let Some(other) = self.rival.take() else {
            return;
        };
        if !rival {
            tally.add(&other.other_tally);
            if other.outgoing.refuted() || other.requests.excess() {
                self.outgoing.trust_body();
            }
            return;
        }
        tally.add(&other.tally);
        self.outgoing = other.outgoing;
        self.requests = other.requests;
        self.outgoing.push_flaw(other.flawed);
    }

    /// Whether the bytes received end where a request does, and all are
    /// answered.
    pub(super) fn request_was_read(&self, received: u64) -> bool {
        self.requests.rest_at(received)
    }

    /// Whether bytes of a request are still to come.
    pub(super) fn request_is_due(&self, received: u64) -> bool {
        self.requests.is_due(received)
    }

    /// The next bytes that matter ([`Outgoing::next_boundary`]).
    pub(super) fn hint(&self) -> Hint {
        let next = self.outgoing.next_boundary();
        match &self.rival {
            Some(rival) => Hint {
                next: next.min(rival.outgoing.next_boundary()),
                whole: false,
                quiet: 0,
            },
            None => Hint {
                next,
                whole: self.outgoing.is_whole_at_boundary(),
                quiet: self.outgoing.quiet(&self.requests),
            },
        }
    }
}
