//! Follows a chunked body through calls that were seen in part.

use super::{
    finding::Message,
    looks::{Look, Looks},
    outgoing::Sent,
};
use crate::http::{ChunkDecoder, ChunkPart, Chunks};

/// Where the body is after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// It ended at this offset.
    Ended(u64),
    /// It goes on after the call.
    Within,
    /// It cannot be followed: bytes that matter were not seen.
    Lost,
    /// The bytes are not those of a chunked body.
    Refuted,
    /// Behind whole chunks is no other, nor the last.
    Broken,
}

/// Bytes that one call moved, of which the first and the last were seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Offset of the first.
    pub(super) offset: u64,
    /// Offset behind the last.
    pub(super) end: u64,
    /// The first of them.
    pub(super) start: &'a [u8],
    /// The last of them; empty where `start` holds them.
    pub(super) tail: &'a [u8],
}

/// Where the next byte of a trailer section's line is (RFC 9112 section 7.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// At its start, or of a chunk's size line.
    #[default]
    Start,
    /// In a field's name.
    Name,
    /// Behind the name, or in a chunk extension.
    Rest,
    /// The line is no field: the next message begins here, and this one lacks its end.
    NoField,
}

impl Line {
    fn next(self, byte: u8, part: ChunkPart) -> Self {
        match (self, part, byte) {
            (Self::NoField, ..) => Self::NoField,
            (_, ChunkPart::Framing, b'\n') => Self::Start,
            (_, ChunkPart::Framing, _) => Self::Rest,
            // A folded line (section 5.2).
            (Self::Start, ChunkPart::Text, b' ' | b'\t') => Self::Rest,
            // A start line has these before any colon.
            (Self::Start | Self::Name, ChunkPart::Text, b' ' | b'/') => Self::NoField,
            (Self::Start | Self::Name, ChunkPart::Text, b':') => Self::Rest,
            (Self::Start | Self::Name, ChunkPart::Text, _) => Self::Name,
            (Self::Rest, ChunkPart::Text, _) => Self::Rest,
        }
    }
}

/// How far a chunked body was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    decoder: ChunkDecoder,
    line: Line,
}

impl Progress {
    /// As [`ChunkDecoder::data_left`].
    pub(super) fn data_left(&self) -> u64 {
        self.decoder.data_left()
    }

    /// As [`ChunkDecoder::skip`].
    fn skip(&mut self, bytes: u64) -> bool {
        self.decoder.skip(bytes)
    }

    /// Reads bytes that were seen, the first at offset `base`; gives how many.
    fn feed(&mut self, base: u64, bytes: &[u8], looks: Looks<'_>) -> (Chunks, usize) {
        let line = &mut self.line;
        let (chunks, length) = self.decoder.feed_parts(bytes, |place, part| {
            let byte = bytes.get(place).copied().unwrap_or_default();
            let before = std::mem::replace(line, line.next(byte, part));
            // What told that it is a field, or none.
            let tells = *line != before && matches!(*line, Line::Rest | Line::NoField);
            let part = if tells { ChunkPart::Framing } else { part };
            looks.add(Look::Chunk {
                at: base + place as u64,
                part,
            });
        });
        if self.line == Line::NoField {
            return (Chunks::Invalid, length);
        }
        (chunks, length)
    }
}

/// Follows a body whose next byte is at offset `at` through a call.
pub(super) fn follow(
    at: u64,
    decoder: &mut Progress,
    seen: Seen<'_>,
    looks: Looks<'_>,
) -> Followed {
    if let Some(unseen) = seen.offset.checked_sub(at)
        && !decoder.skip(unseen)
    {
        return Followed::Lost;
    }
    let from = at.max(seen.offset);
    let start = usize::try_from(from - seen.offset)
        .ok()
        .and_then(|skip| seen.start.get(skip..))
        .unwrap_or_default();
    match decoder.feed(from, start, looks) {
        (Chunks::Done, length) => return Followed::Ended(from + length as u64),
        (Chunks::Invalid, _) => return Followed::Refuted,
        (Chunks::NoSize, _) => return Followed::Broken,
        (Chunks::More, _) => {}
    }
    let after = from + start.len() as u64;
    let Some(tail_at) = seen.end.checked_sub(seen.tail.len() as u64) else {
        return Followed::Lost;
    };
    match tail_at.checked_sub(after) {
        Some(unseen) if decoder.skip(unseen) => {}
        _ => return Followed::Lost,
    }
    match decoder.feed(tail_at, seen.tail, looks) {
        (Chunks::Done, length) => Followed::Ended(tail_at + length as u64),
        (Chunks::Invalid, _) => Followed::Refuted,
        (Chunks::NoSize, _) => Followed::Broken,
        (Chunks::More, _) => Followed::Within,
    }
}

/// A chunked message that is being sent.
#[derive(Clone, Debug)]
pub(super) struct Chunked {
    pub(super) message: Message,
    /// Offset of its first body byte.
    pub(super) start: u64,
    /// It certainly has a body: it answers no HEAD.
    pub(super) has_body: bool,
    /// As [`super::body::Body::edited`].
    pub(super) edited: bool,
    /// Bytes received when its head was sent.
    pub(super) received: u64,
    /// The offset of the next byte and what it is, while every byte that
    /// matters was seen.
    pub(super) exact: Option<(u64, Progress)>,
    tail: Tail,
    /// Bytes came that are none of a chunked body.
    pub(super) refuted: bool,
    /// Bytes came where a chunk's size has to stand: nothing behind them can be its
    /// end.
    pub(super) broken: bool,
    pub(super) stalled: bool,
}

impl Chunked {
    pub(super) fn new(message: Message, start: u64, has_body: bool, received: u64) -> Self {
        Self {
            message,
            start,
            has_body,
            edited: false,
            received,
            exact: Some((start, Progress::default())),
            tail: Tail::default(),
            refuted: false,
            broken: false,
            stalled: false,
        }
    }

    /// Takes a call that sent a part of it.
    pub(super) fn take(&mut self, sent: &Sent<'_>) -> Followed {
        self.tail.take(sent);
        sent.looks.add(Look::LineEnds);
        let Some((at, mut decoder)) = self.exact else {
            return Followed::Lost;
        };
        self.has_body |= sent.end() > self.start && !sent.unseen;
        let followed = follow(at, &mut decoder, sent.seen(), sent.looks);
        self.broken = followed == Followed::Broken && !sent.unseen;
        self.refuted = matches!(followed, Followed::Broken | Followed::Refuted);
        self.exact = match followed {
            Followed::Within => Some((sent.end().max(at), decoder)),
            _ => None,
        };
        followed
    }

    /// Whether the bytes up to this offset are known to lack the end of the
    /// body; `None` if that is not known.
    pub(super) fn unterminated(&self, sent: u64) -> Option<bool> {
        if self.broken {
            return Some(true);
        }
        if let Some((at, mut decoder)) = self.exact {
            // Its end would have been found.
            return match sent.checked_sub(at) {
                Some(unseen) if decoder.skip(unseen) => Some(true),
                _ => None,
            };
        }
        self.tail
            .ends_message(sent)
            .filter(|ends| !ends)
            .map(|_| true)
    }

    /// Whether a body may have ended at this offset.
    pub(super) fn may_end(&self, at: u64) -> bool {
        self.tail.ends_message(at) == Some(true)
    }
}

/// The last bytes that were sent.
#[derive(Clone, Debug, Default)]
struct Tail {
    /// Offset behind the last.
    at: u64,
    bytes: Vec<u8>,
}

impl Tail {
    /// Bytes that are kept: an empty line with the line end before it.
    const KEPT: usize = 4;

    fn take(&mut self, sent: &Sent<'_>) {
        let whole = sent.data.len() as u64 == sent.moved;
        if !whole || sent.offset != self.at {
            self.bytes.clear();
        }
        self.bytes
            .extend_from_slice(if whole { sent.data } else { sent.tail });
        let extra = self.bytes.len().saturating_sub(Self::KEPT);
        self.bytes.drain(..extra);
        self.at = sent.end();
    }

    /// Whether the bytes up to this offset end with an empty line, as a chunked
    /// body does, its trailer section included (RFC 9112 section 7.1); `None`
    /// if that is not known.
    fn ends_message(&self, at: u64) -> Option<bool> {
        if self.at != at {
            return None;
        }
        match self.bytes[..] {
            [.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n'] => Some(true),
            [.., b'\r', b'\n'] | [b'\n'] if self.bytes.len() < 3 => None,
            [] => None,
            _ => Some(false),
        }
    }
}
