//! What was judged, and what was not.

use std::collections::BTreeMap;

/// Why a message, or what a connection carried, was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unjudged {
    /// Joined when it was already under way; judged again from the first
    /// message whose beginning is certain. Counted per connection.
    MidStream,
    /// TLS. Counted per connection.
    Encrypted,
    /// The HTTP/2 preface. Counted per connection.
    Http2,
    /// Another protocol. Counted per connection.
    NotHttp,
    /// Its bytes went by a call whose memory is not looked at (`splice`, some of
    /// io_uring's operations) or could not be read, or its end was made by one
    /// that is not seen. Counted per connection.
    NotObserved,
    /// The body lasts until the connection ends (RFC 9112 section 6.3 item 8):
    /// no length was promised. Counted per message.
    UntilClose,
    /// Chunked, and bytes that tell where it ends were not seen. Counted per
    /// message.
    Chunked,
    /// After a 101 or a 2xx to CONNECT. Counted per connection.
    Tunnel,
    /// Framing fields that contradict each other or are no numbers. Counted
    /// per message.
    Malformed,
    /// A head of which not all bytes were seen. Counted per message.
    HeadCut,
    /// A boundary between messages that lies where no bytes were seen. Counted
    /// each time.
    Unaccounted,
    /// Several threads sent at once: which bytes came first is not known.
    /// Counted each time.
    Overlapping,
    /// A response without body to a request whose method was not seen: it may
    /// answer HEAD. Counted per message.
    MethodUnknown,
    /// A request that was cut short when its response had begun: the server
    /// may have asked for that. Counted per message.
    EarlyResponse,
    /// Ended here while another process or descriptor still held the socket.
    /// Counted per message.
    Shared,
    /// Still being sent when the watch ended. Counted per message.
    InProgress,
    /// A record of the connection was lost. Counted per connection.
    LostEvents,
    /// There were too many connections, and of those that were idle it had been
    /// for longest: what it sends next is as if joined in mid-stream. Counted
    /// per connection.
    Evicted,
}

impl Unjudged {
    /// Those that a summary names even when there are none.
    pub const ALWAYS: [Self; 5] = [
        Self::MidStream,
        Self::Encrypted,
        Self::NotHttp,
        Self::UntilClose,
        Self::LostEvents,
    ];

    /// Its name in summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MidStream => "mid-stream",
            Self::Encrypted => "encrypted",
            Self::Http2 => "http2",
            Self::NotHttp => "not-http",
            Self::NotObserved => "not-observed",
            Self::UntilClose => "until-close",
            Self::Chunked => "chunked",
            Self::Tunnel => "tunnel",
            Self::Malformed => "malformed",
            Self::HeadCut => "head-cut",
            Self::Unaccounted => "unaccounted",
            Self::Overlapping => "overlapping",
            Self::MethodUnknown => "method-unknown",
            Self::EarlyResponse => "early-response",
            Self::Shared => "shared",
            Self::InProgress => "in-progress",
            Self::LostEvents => "lost-events",
            Self::Evicted => "evicted",
        }
    }
}

/// Counts over the whole watch.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Messages that were proved whole or cut short.
    pub messages_judged: u64,
    /// Messages that the peer cut short, reported or not.
    pub peer_endings: u64,
    /// What was not judged, by reason.
    pub unjudged: BTreeMap<Unjudged, u64>,
}

impl Tally {
    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        self.messages_judged += other.messages_judged;
        self.peer_endings += other.peer_endings;
        for (reason, count) in &other.unjudged {
            *self.unjudged.entry(*reason).or_default() += count;
        }
    }

    /// One more that was not judged.
    pub fn miss(&mut self, reason: Unjudged) {
        *self.unjudged.entry(reason).or_default() += 1;
    }

    /// How many were not judged for this reason.
    #[must_use]
    pub fn missed(&self, reason: Unjudged) -> u64 {
        self.unjudged.get(&reason).copied().unwrap_or(0)
    }
}
