//! Where in the stream of sent bytes each message begins and ends.
//!
//! Everything is decided by offset: a message begins where the one before it
//! ended, and what looks like a head anywhere else is a body's. Where a
//! boundary is not known (joined in mid-stream, bytes not seen), a head is
//! believed only with witnesses; see [`Trust`].
//!
//! | file | what it does |
//! | --- | --- |
//! | `sent.rs`  | a call that sent bytes, as far as it was seen |
//! | `turn.rs`  | takes a call, from one place in the stream to the next |
//! | `begin.rs` | begins a message by its head |
//! | `cut.rs`   | a message of whose head a part was seen |
//! | `end.rs`   | what is left when the stream ends, or stops |

mod begin;
mod cut;
mod end;
mod sent;
mod turn;

use self::cut::Cut;
pub(super) use self::sent::{Reads, Sent};
use super::{
    body::Body,
    chunks::Chunked,
    finding::Role,
    flaw::{Flaw, Flawed},
    requests::Requests,
    tally::Tally,
    unjudged::Unjudged,
};
use crate::http::{after_empty_lines, may_be_request, may_be_response};

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

/// What speaks for a message that begins too early, besides that it looks so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// A request was read since the head of the one in progress was sent.
    RequestSince,
    /// Nothing yet: the request that it may answer was read before (pipelined).
    None,
}

#[derive(Clone, Debug)]
enum Place {
    /// The next message begins at this offset.
    Boundary(u64),
    /// A head began at this offset; its bytes so far.
    Head(u64, Vec<u8>),
    /// In a message with a promised length.
    Body(Body),
    /// The same, but it is not known where its head ends.
    Cut(Cut),
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

/// The last message with a body that was sent whole.
#[derive(Clone, Debug)]
enum Last {
    /// With Content-Length.
    Sized(Body),
    /// Chunked, up to this offset.
    Chunked(Box<Chunked>, u64),
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
    /// It was counted as a connection that speaks something else, or was not seen.
    excluded: bool,
    /// Whether what was received before the last call was seen.
    reads: Reads,
    /// As in [`Sent::connected`].
    connected: bool,
    /// The peer answered with HTTP.
    heard: bool,
    /// Requests that were sent whole and count once the peer answers: until then they may
    /// be none.
    withheld: u64,
    /// Bytes received when the last request was sent: its answer begins there.
    asked: Option<u64>,
    /// The last request was a CONNECT; bytes received when it was sent.
    connecting: Option<u64>,
    /// The peer switched protocols.
    switched: bool,
    /// Request heads that had been received when a response head was last
    /// found, or missed.
    answered: u64,
    /// Offset behind the last byte that a sample told of.
    reached: u64,
    /// Offset at which that sample began.
    reached_from: u64,
    last: Option<Last>,
    /// The last head began with a call, not in the midst of one.
    head_begins_call: bool,
    /// Behind a body that may hold the next message came bytes that are none.
    refuted: bool,
    /// The place was lost, if only once.
    lost: bool,
    /// What was found wrong and not yet taken.
    flaws: Vec<Flawed>,
}

impl Outgoing {
    pub(super) fn new(from_start: bool) -> Self {
        Self {
            place: if from_start {
                Place::Boundary(0)
            } else {
                Place::Unknown
            },
            trust: Trust::Proven,
            messages: 0,
            role: None,
            told: false,
            joined: false,
            excluded: false,
            reads: Reads::Seen,
            connected: false,
            heard: false,
            withheld: 0,
            asked: None,
            connecting: None,
            switched: false,
            answered: 0,
            reached: 0,
            reached_from: 0,
            last: None,
            head_begins_call: false,
            refuted: false,
            lost: false,
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
            reached_from: at,
            ..Self::new(true)
        }
    }

    /// Offset behind the last byte that a sample told of.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// What the messages are, once one was seen.
    pub(super) fn role(&self) -> Option<Role> {
        self.role
    }

    /// Messages found so far.
    pub(super) fn messages(&self) -> u64 {
        self.messages
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

    /// The last message that was sent whole, if nothing was sent after it, as
    /// one that is at risk.
    pub(super) fn at_risk(&self, sent: u64) -> Option<Flawed> {
        match &self.last {
            Some(Last::Sized(body)) if body.end == sent && body.start < sent => {
                Some(body.flawed(Flaw::AtRisk, sent, None))
            }
            Some(Last::Chunked(chunked, end)) if *end == sent => {
                Some(flawed(chunked, Flaw::AtRisk))
            }
            _ => None,
        }
    }

    /// The offset of the next bytes that matter: 0 where every byte does,
    /// [`u64::MAX`] where only what looks like a head does.
    pub(super) fn next_boundary(&self) -> u64 {
        match &self.place {
            Place::Boundary(at) => *at,
            Place::Head(..) => 0,
            Place::Body(body) => body.end,
            Place::Cut(_) => u64::MAX,
            Place::Chunks(chunked) => chunked
                .exact
                .map_or(0, |(at, decoder)| at.saturating_add(decoder.data_left())),
            Place::Overrun(_) | Place::Unknown | Place::Over => u64::MAX,
        }
    }

    /// As long as fewer bytes than these were received, what looks like a head
    /// before [`Self::next_boundary`] changes nothing (`Hint::quiet`).
    pub(super) fn quiet(&self, requests: &Requests) -> u64 {
        match &self.place {
            Place::Over => u64::MAX,
            // Only a response may be taken for left short by the next.
            Place::Body(body) if body.has_body && body.message.role == Role::Request => u64::MAX,
            Place::Body(body) if body.has_body => {
                requests.next_begins().map_or(0, |at| at.saturating_add(1))
            }
            _ => 0,
        }
    }

    /// Whether nothing is owed there.
    pub(super) fn is_whole_at_boundary(&self) -> bool {
        matches!(self.place, Place::Boundary(_) | Place::Body(_))
    }

    /// Whether a message was sent whole up to this offset and none begun.
    pub(super) fn rests_at(&self, sent: u64) -> bool {
        match &self.place {
            Place::Boundary(at) => *at == sent,
            Place::Body(body) => body.end == sent,
            _ => false,
        }
    }

    /// Whether the place in the stream was known all the time.
    pub(super) fn knows_its_place(&self) -> bool {
        let followed = match &self.place {
            Place::Unknown | Place::Over | Place::Overrun(_) | Place::Cut(_) => false,
            Place::Chunks(chunked) => chunked.exact.is_some(),
            _ => true,
        };
        followed && !self.lost
    }

    /// Whether nothing was made of the bytes: no message, and no reason why.
    pub(super) fn silent(&self) -> bool {
        self.messages == 0 && !self.told
    }

    /// The peer answered with HTTP: the requests that were sent are some.
    pub(super) fn hear(&mut self, tally: &mut Tally) {
        if !std::mem::replace(&mut self.heard, true) {
            tally.messages_judged += std::mem::take(&mut self.withheld);
        }
    }

    /// The peer switched protocols: what follows the request is no HTTP.
    pub(super) fn switch(&mut self) {
        self.switched = true;
    }

    /// Bytes received when the last request was sent, if one was.
    pub(super) fn asked(&self) -> Option<u64> {
        self.asked
    }

    /// Bytes that had been received when a CONNECT was sent, if that was the last request.
    pub(super) fn connecting(&self) -> Option<u64> {
        self.connecting
    }

    /// Whether what looks like requests may be something else: no answer came, and this
    /// side did not connect the socket.
    fn is_unproven(&self) -> bool {
        self.role == Some(Role::Request)
            && !self.heard
            && !self.connected
            && !self.reads.is_of_log()
    }

    /// Why bytes that look like messages are not taken for some.
    fn no_message(&self) -> Unjudged {
        match self.reads {
            Reads::Seen | Reads::Untraced => Unjudged::NotHttp,
            Reads::Unseen | Reads::Hidden => Unjudged::NotObserved,
        }
    }

    /// Whether what looks like a response cannot be one: no request was received.
    fn is_unasked(&self, requests: &Requests) -> bool {
        self.messages == 0 && !requests.asked() && !self.reads.is_of_log()
    }

    /// Whether the beginning of a first head is one's, by what else is known.
    fn may_be_head(&self, bytes: &[u8], requests: &Requests) -> bool {
        let line = after_empty_lines(bytes);
        if may_be_response(line) {
            requests.asked() || (self.reads.is_of_log() && line.contains(&b'\n'))
        } else {
            let told = self.connected || self.heard || self.reads.is_of_log();
            told && may_be_request(line)
        }
    }

    /// Takes a sampled call.
    pub(super) fn take(&mut self, sent: Sent<'_>, requests: &mut Requests, tally: &mut Tally) {
        (self.reads, self.connected) = (sent.reads, sent.connected);
        if sent.offset < self.reached && !self.within_body(&sent) {
            self.overlap(requests, tally);
        }
        if sent.end() > self.reached {
            (self.reached_from, self.reached) = (sent.offset, sent.end());
        }
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
    /// any order, but each only once: not among those of the furthest call.
    fn within_body(&self, sent: &Sent<'_>) -> bool {
        sent.end() <= self.reached_from
            && matches!(&self.place, Place::Body(body)
                if body.start <= sent.offset && sent.end() <= body.end && !body.suspect)
    }

    /// The message in progress has no bytes but its own, after all.
    pub(super) fn trust_body(&mut self) {
        if let Place::Body(body) = &mut self.place {
            body.suspect = false;
        }
    }

    /// Calls overlap: several threads wrote at once, and which bytes came first
    /// is not known.
    fn overlap(&mut self, requests: &mut Requests, tally: &mut Tally) {
        if !matches!(self.place, Place::Unknown | Place::Over) {
            self.lose(Unjudged::Overlapping, requests, tally);
        }
        self.last = None;
        // What was made of their offsets is no proof.
        self.flaws.clear();
    }

    /// Counts the message in progress as whole once its bytes were accepted.
    /// `unseen` bytes may have been another head instead of a body.
    fn complete(&mut self, sent: u64, unseen: bool, tally: &mut Tally) {
        if let Place::Body(body) = &mut self.place {
            // Had they been another head, it would have been sampled.
            body.has_body |= sent > body.start && (!unseen || body.edited);
            if (body.has_body && sent >= body.end) || sent == body.end {
                let end = body.end;
                let place = std::mem::replace(&mut self.place, Place::Boundary(end));
                self.whole(place, end, tally);
            }
        }
    }

    /// The message at this place was sent whole, up to the offset `end`.
    fn whole(&mut self, place: Place, end: u64, tally: &mut Tally) {
        self.judged(tally);
        self.last = match place {
            _ if self.trust != Trust::Proven => None,
            Place::Body(body) => Some(Last::Sized(body)),
            Place::Chunks(chunked) => Some(Last::Chunked(chunked, end)),
            _ => None,
        };
    }

    fn judged(&mut self, tally: &mut Tally) {
        // One that is not yet believed is counted when it is confirmed.
        if self.trust != Trust::Proven {
            return;
        }
        if self.is_unproven() {
            self.withheld += 1;
        } else {
            tally.messages_judged += 1;
        }
    }

    /// The place in the stream is not known any more, for this reason.
    pub(super) fn lose(&mut self, reason: Unjudged, requests: &mut Requests, tally: &mut Tally) {
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
        self.lost = true;
    }

    fn miss(&mut self, reason: Unjudged, tally: &mut Tally) {
        self.told = true;
        let reason = if self.is_unproven() {
            self.withheld = 0;
            self.no_message()
        } else {
            reason
        };
        // Told once for a connection.
        let again = match reason {
            Unjudged::MidStream => std::mem::replace(&mut self.joined, true),
            Unjudged::NotHttp | Unjudged::NotObserved => {
                std::mem::replace(&mut self.excluded, true)
            }
            _ => false,
        };
        if !again {
            tally.miss(reason);
        }
    }
}

fn flawed(chunked: &Chunked, flaw: Flaw) -> Flawed {
    Flawed {
        flaw,
        message: chunked.message.clone(),
        promised: None,
        sent: None,
        sent_with_head: None,
        received: chunked.received,
        by: None,
    }
}
