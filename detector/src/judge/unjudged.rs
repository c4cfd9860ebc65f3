//! Why something was not judged.

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
    /// for longest: what it sends next is as if joined in mid-stream. Or too many were
    /// closed with a response on its way, and a reset took back that of one which was
    /// not kept. Counted per connection.
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
