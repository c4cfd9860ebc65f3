//! What was judged, and what was not.

use std::collections::BTreeMap;

use super::{
    by_process::{ByProcess, Use},
    finding::Finding,
};

/// The reasons with their names, a row each: docs/json.md explains them.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $reason:ident = $name:literal,)+) => {
        /// Why a message, or what a connection carried, was not judged.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Unjudged {
            $($(#[doc = $doc])+ $reason,)+
        }

        impl Unjudged {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$reason),+];

            /// Its name in summaries.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Joined when it was already under way; judged again from the first
    /// message whose beginning is certain. Counted per connection.
    MidStream = "mid-stream",
    /// TLS. Counted per connection.
    Encrypted = "encrypted",
    /// The HTTP/2 preface. Counted per connection.
    Http2 = "http2",
    /// Another protocol. Counted per connection.
    NotHttp = "not-http",
    /// Its bytes went by a call whose memory is not looked at (`splice`, some of
    /// io_uring's operations) or could not be read, or its end was made by one
    /// that is not seen. Counted per connection.
    NotObserved = "not-observed",
    /// The body lasts until the connection ends (RFC 9112 section 6.3 item 8):
    /// no length was promised. Counted per message.
    UntilClose = "until-close",
    /// Chunked, and bytes that tell where it ends were not seen. Counted per
    /// message.
    Chunked = "chunked",
    /// A Unix socket of packets (`SOCK_SEQPACKET`): its bytes are no stream. Counted
    /// per connection.
    NotStream = "not-stream",
    /// A byte was sent or received that is in no stream (`MSG_OOB`): which bytes are
    /// the messages' is not known from there on. Counted per connection.
    OutOfBand = "out-of-band",
    /// After a 101 or a 2xx to CONNECT. Counted per connection.
    Tunnel = "tunnel",
    /// Framing fields that contradict each other or are no numbers. Counted
    /// per message.
    Malformed = "malformed",
    /// A head of which not all bytes were seen. Counted per message.
    HeadCut = "head-cut",
    /// A boundary between messages that lies where no bytes were seen. Counted
    /// each time.
    Unaccounted = "unaccounted",
    /// Several threads sent at once: which bytes came first is not known.
    /// Counted each time.
    Overlapping = "overlapping",
    /// A response without body to a request whose method was not seen: it may
    /// answer HEAD. Counted per message.
    MethodUnknown = "method-unknown",
    /// A request that was cut short when its response had begun: the server
    /// may have asked for that. Counted per message.
    EarlyResponse = "early-response",
    /// Ended here while another process or descriptor still held the socket.
    /// Counted per message.
    Shared = "shared",
    /// Sent whole, and then ended so that the kernel sends a reset; no time tells
    /// whether the peer may have had the time to read it (a log). Counted per
    /// message.
    NoTimes = "no-times",
    /// Sent whole and then closed while the peer was still to send the rest of its
    /// request, and a reset that the kernel sends for that is not told. Counted per
    /// message.
    ResetNotSeen = "reset-not-seen",
    /// Still being sent when the watch ended. Counted per message.
    InProgress = "in-progress",
    /// A record of the connection was lost. Counted per connection.
    LostEvents = "lost-events",
    /// There were too many connections, and of those that were idle it had been
    /// for longest: what it sends next is as if joined in mid-stream. Counted
    /// per connection.
    Evicted = "evicted",
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

    /// Those of traffic that may have been HTTP; what is `not-http` is known to be none.
    pub const MAYBE_HTTP: [Self; 4] = [
        Self::Encrypted,
        Self::Http2,
        Self::MidStream,
        Self::NotObserved,
    ];
}

/// Counts over the whole watch.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Messages that were proved whole or cut short.
    pub messages_judged: u64,
    /// Messages that the peer cut short, reported or not.
    pub peer_endings: u64,
    /// Responses that were sent, judged or not.
    pub responses: u64,
    /// Connections on which this side sent requests and was answered with HTTP.
    pub heard: u64,
    /// What was not judged, by reason.
    pub unjudged: BTreeMap<Unjudged, u64>,
    /// Connections that the judge knew, whose end never came: they were judged or counted
    /// before that.
    pub ends_missed: u64,
    /// The same by process, of the connections of this tally's judge.
    pub by_process: ByProcess,
    /// As many messages of [`Self::messages_judged`] are in it.
    credited: u64,
    /// Reasons that are not in it yet.
    uncredited: Vec<Unjudged>,
}

impl Tally {
    /// Adds to the counts by process what was counted since the last time, on a
    /// connection that is used so; `findings` were made meanwhile.
    pub(super) fn credit(&mut self, used: impl FnOnce() -> Use, findings: &[Finding]) {
        let changed = self.messages_judged != self.credited || !self.uncredited.is_empty();
        if !changed && findings.is_empty() {
            return;
        }
        let used = used();
        let mut judged = self.messages_judged.saturating_sub(self.credited);
        let taken_back = self.credited.saturating_sub(self.messages_judged);
        self.credited = self.messages_judged;
        for finding in findings {
            self.by_process.found(finding);
            // Who ended it need not be who sent what came before.
            if judged > 0 && finding.pid != used.pid {
                judged -= 1;
                self.by_process.add(finding.pid, [0; 16], 1);
            }
        }
        if judged > 0 {
            self.by_process.add(used.pid, used.comm, judged);
        }
        if taken_back > 0 {
            self.by_process.take_back(used.pid, taken_back);
        }
        for reason in self.uncredited.drain(..) {
            self.by_process.miss(&used, reason);
        }
    }

    /// Adds what another counted, but for the counts by process.
    pub fn add(&mut self, other: &Self) {
        self.messages_judged += other.messages_judged;
        self.peer_endings += other.peer_endings;
        self.responses += other.responses;
        self.heard += other.heard;
        self.ends_missed += other.ends_missed;
        self.uncredited.extend(&other.uncredited);
        for (reason, count) in &other.unjudged {
            *self.unjudged.entry(*reason).or_default() += count;
        }
    }

    /// One more that was not judged.
    pub fn miss(&mut self, reason: Unjudged) {
        *self.unjudged.entry(reason).or_default() += 1;
        self.uncredited.push(reason);
    }

    /// Connections with lost records: those that the judge knew, and of so many whose end
    /// was lost (`Stat::EndsLost`) those that it did not.
    #[must_use]
    pub fn lost_events(&self, ends_lost: u64) -> u64 {
        self.missed(Unjudged::LostEvents) + ends_lost.saturating_sub(self.ends_missed)
    }

    /// How many were not judged for this reason.
    #[must_use]
    pub fn missed(&self, reason: Unjudged) -> u64 {
        self.unjudged.get(&reason).copied().unwrap_or(0)
    }
}
