//! One direction of a connection: one message behind the other.

use crate::{
    ChunkDecoder, Chunks, Framing, Head, HeadParser, Method, Parsed, Start, Window,
    class::low_byte,
    framing,
    proxy::{Proxied, ProxyParser},
};

/// What a [`Framer`] needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The next bytes, to be read.
    Read,
    /// So many bytes may pass unread; [`u64::MAX`] for all that come.
    Skip(u64),
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing to tell.
    None,
    /// A head is whole. With [`Framing::NoBody`] and [`Framing::Interim`] the message is.
    Head(Head, Framing),
    /// The message's body ended.
    End,
    /// The stream cannot be followed any further.
    Lost(Lost),
}

/// Why a stream cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Where a message has to begin is something else.
    NotHead,
    /// The fields of the head contradict each other ([`Framing::Malformed`]).
    Malformed,
    /// The body is no chunked one.
    NotChunked,
    /// Behind a chunk is no size ([`Chunks::NoSize`]).
    NoSize,
    /// Bytes were not seen that had to be read.
    Unseen,
}

/// Where to go on, and what came of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The offset in the piece of the first byte that was not read.
    pub at: u32,
    /// What came of it.
    pub event: Event,
}

#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place(u8);

impl Place {
    /// In a head, or before one.
    const HEAD: Self = Self(0);
    const BODY: Self = Self(1);
    const CHUNKS: Self = Self(2);
    const UNTIL_CLOSE: Self = Self(3);
    const TUNNEL: Self = Self(4);
    const LOST: Self = Self(5);
    /// At the start of a connection: a header of the PROXY protocol may stand here.
    const START: Self = Self(6);
    /// In the rest of such a header.
    const PROXY_HEADER: Self = Self(7);
}

/// Follows one direction. A `#[repr(C)]` value of 72 bytes; zeros are before a message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framer {
    head: HeadParser,
    chunks: ChunkDecoder,
    /// Bytes of a body, or of a header of the PROXY protocol, that are still to come.
    left: u64,
    place: Place,
    proxy: ProxyParser,
    padding: [u8; 3],
}

impl Framer {
    /// Returns a framer of a connection's first bytes: a header of the PROXY protocol may
    /// stand before the first message.
    #[must_use]
    pub fn at_start() -> Self {
        Self {
            place: Place::START,
            ..Self::default()
        }
    }

    /// Returns what is needed next.
    #[inline(always)]
    #[must_use]
    pub const fn need(&self) -> Need {
        match self.place {
            Place::START | Place::HEAD => Need::Read,
            Place::BODY | Place::PROXY_HEADER => Need::Skip(self.left),
            Place::CHUNKS => match self.chunks.data_left() {
                0 => Need::Read,
                left => Need::Skip(left),
            },
            _ => Need::Skip(u64::MAX),
        }
    }

    /// Whether the next byte begins a message, or an empty line before one.
    #[inline(always)]
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        match self.place {
            Place::START => !self.proxy.has_begun(),
            Place::HEAD => !self.head.has_begun(),
            _ => false,
        }
    }

    /// Reads on from offset `at` of a piece that ends at `end`, one byte at least. A
    /// response answers a request of this method. Bounded, as the parts are.
    #[inline(always)]
    pub fn turn<W: Window>(&mut self, window: &W, at: u32, end: u32, method: Method) -> Turn {
        if self.place == Place::START
            && at < end
            && let Some(event) = self.start(window.word(at), end.wrapping_sub(at))
        {
            let at = at.wrapping_add(1);
            return Turn { at, event };
        }
        let (at, event) = match self.place {
            Place::HEAD => {
                let (at, parsed) = self.head.turn(window, at, end);
                let event = match parsed {
                    Parsed::Partial => Event::None,
                    Parsed::Invalid => self.lose(Lost::NotHead),
                    Parsed::Complete(head) => self.begin_body(head, method),
                };
                (at, event)
            }
            Place::CHUNKS => {
                let (at, chunked) = self.chunks.turn(window, at, end);
                let event = match chunked {
                    Chunks::More => Event::None,
                    Chunks::Done => self.end_message(),
                    Chunks::Invalid => self.lose(Lost::NotChunked),
                    Chunks::NoSize => self.lose(Lost::NoSize),
                };
                (at, event)
            }
            Place::BODY | Place::PROXY_HEADER => {
                let here = u64::from(end.saturating_sub(at));
                let passed = u32::try_from(self.left.min(here)).unwrap_or(0);
                (at.wrapping_add(passed), self.pass_body(u64::from(passed)))
            }
            _ => (end, Event::None),
        };
        Turn { at, event }
    }

    /// Passes over bytes that are not read. Returns how many of them were passed: fewer
    /// where a message ended before them, or where the stream was lost.
    #[inline(always)]
    pub fn skip(&mut self, bytes: u64) -> (u64, Event) {
        match self.place {
            _ if bytes == 0 => (0, Event::None),
            Place::BODY | Place::PROXY_HEADER => {
                let passed = self.left.min(bytes);
                (passed, self.pass_body(passed))
            }
            Place::CHUNKS if self.chunks.skip(bytes) => (bytes, Event::None),
            Place::START | Place::HEAD | Place::CHUNKS => (bytes, self.lose(Lost::Unseen)),
            _ => (bytes, Event::None),
        }
    }

    /// Reads the first byte of a `word` of which `left` bytes are there, where it may be
    /// that of a header of the PROXY protocol. `None` where it is not: it is not read.
    #[inline(always)]
    fn start(&mut self, word: u64, left: u32) -> Option<Event> {
        let before = self.proxy;
        let proxied = match before.may_go_on(word, left) {
            true => self.proxy.byte(low_byte(word)),
            false => Proxied::None,
        };
        match proxied {
            Proxied::Maybe => {}
            Proxied::Whole(0) => self.place = Place::HEAD,
            Proxied::Whole(left) => {
                (self.left, self.place) = (u64::from(left), Place::PROXY_HEADER);
            }
            Proxied::None => {
                let Some(head) = before.as_head() else {
                    return Some(self.lose(Lost::NotHead));
                };
                (self.head, self.place) = (head, Place::HEAD);
                return None;
            }
        }
        Some(Event::None)
    }

    #[inline(always)]
    fn begin_body(&mut self, head: Head, method: Method) -> Event {
        self.head = HeadParser::default();
        let framing = framing(&head, method);
        match framing {
            Framing::NoBody | Framing::Interim => {}
            Framing::ContentLength(length) => (self.place, self.left) = (Place::BODY, length),
            Framing::Chunked => {
                (self.place, self.chunks) = (Place::CHUNKS, ChunkDecoder::default());
            }
            Framing::UntilClose => self.place = Place::UNTIL_CLOSE,
            Framing::Tunnel => self.place = Place::TUNNEL,
            Framing::Malformed => return self.lose(Lost::Malformed),
        }
        Event::Head(head, framing)
    }

    #[inline(always)]
    const fn pass_body(&mut self, bytes: u64) -> Event {
        self.left = self.left.saturating_sub(bytes);
        match (self.left, self.place) {
            (0, Place::PROXY_HEADER) => {
                self.place = Place::HEAD;
                Event::None
            }
            (0, _) => self.end_message(),
            _ => Event::None,
        }
    }

    #[inline(always)]
    const fn end_message(&mut self) -> Event {
        self.place = Place::HEAD;
        Event::End
    }

    #[inline(always)]
    const fn lose(&mut self, why: Lost) -> Event {
        self.place = Place::LOST;
        Event::Lost(why)
    }
}

impl Head {
    /// Whether it answers a request for good: a final response (RFC 9110 section 15).
    #[inline(always)]
    #[must_use]
    pub const fn is_final_response(&self) -> bool {
        match self.start {
            Start::Response(status) => status >= 200 || status < 100 || status == 101,
            Start::Request(_) => false,
        }
    }
}
