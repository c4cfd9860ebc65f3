//! Follows one direction of a connection, and keeps of its samples what may be
//! framing. What a message is rests with the judge: where several readings are
//! possible, what matters in any of them is kept.

use super::head::HeadBlank;
use crate::http::{
    ChunkDecoder, ChunkPart, Chunks, Framing, Parsed, StartLine, after_empty_lines, framing, parse,
};

/// Longest head that is put together from several samples, as in the judge.
const HEAD_LIMIT: usize = 128 << 10;

/// Most readings that are followed at a time.
const READINGS: usize = 16;

/// The first words of requests: a line that goes on in another sample is kept
/// only behind one of them.
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"PATCH ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"TRACE ",
];

/// Where a reading of the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A message begins at this offset.
    Start(u64),
    /// A head began at this offset; its bytes so far.
    Head(u64, Vec<u8>, HeadBlank),
    /// In a chunked body; the offset of the next byte.
    Chunks(u64, ChunkDecoder),
}

/// One sample.
pub(super) struct Piece<'a> {
    pub(super) offset: u64,
    pub(super) moved: u64,
    pub(super) start: &'a [u8],
    pub(super) tail: &'a [u8],
}

impl Piece<'_> {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.moved)
    }

    fn tail_at(&self) -> u64 {
        self.end().saturating_sub(self.tail.len() as u64)
    }
}

/// What is kept of a sample; the rest is zeros, which begin nothing.
pub(super) struct Kept {
    pub(super) start: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

impl Kept {
    /// Keeps bytes that begin at this offset of the stream.
    fn keep(&mut self, piece: &Piece<'_>, at: u64, bytes: impl IntoIterator<Item = u8>) {
        let (base, original, room) = if at < piece.offset + piece.start.len() as u64 {
            (piece.offset, piece.start, &mut self.start)
        } else {
            (piece.tail_at(), piece.tail, &mut self.tail)
        };
        let Some(skip) = at
            .checked_sub(base)
            .and_then(|skip| usize::try_from(skip).ok())
        else {
            return;
        };
        let places = room.iter_mut().zip(original).skip(skip);
        for ((place, original), byte) in places.zip(bytes) {
            // One reading may keep what another only needs to be valid.
            if byte == *original || *place == 0 {
                *place = byte;
            }
        }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Stream {
    sending: bool,
    show_query: bool,
    /// What this side sends, once a head was seen: responses, or requests.
    responses: Option<bool>,
    readings: Vec<Place>,
}

impl Stream {
    pub(super) fn new(sending: bool, fresh: bool, show_query: bool) -> Self {
        Self {
            sending,
            show_query,
            responses: None,
            readings: fresh.then_some(Place::Start(0)).into_iter().collect(),
        }
    }

    /// What may be kept of the next sample.
    pub(super) fn take(&mut self, piece: &Piece<'_>) -> Kept {
        let mut kept = Kept {
            start: vec![0; piece.start.len()],
            tail: vec![0; piece.tail.len()],
        };
        self.begin_reading(piece);
        let mut todo = std::mem::take(&mut self.readings);
        todo.reverse();
        let mut readings = Vec::new();
        let mut seen = Vec::new();
        while let Some(reading) = todo.pop() {
            // Two that meet are one.
            if let Place::Start(at) = reading {
                if seen.contains(&at) {
                    continue;
                }
                seen.push(at);
            }
            match self.follow(reading, piece, &mut kept) {
                Next::Behind(next, body) => {
                    // It may answer HEAD, and this is the next response.
                    if let Some(body) = body
                        && self.sending
                        && (from(piece, body).is_some_and(is_response) || body == piece.end())
                    {
                        todo.push(Place::Start(body));
                    }
                    todo.extend(next);
                }
                Next::Open(reading) => {
                    if !readings.contains(&reading) {
                        readings.push(reading);
                    }
                }
                Next::None => {}
            }
        }
        while readings.len() > READINGS {
            readings.remove(1);
        }
        self.readings = readings;
        if self.sending {
            line_ends(piece, &mut kept);
        }
        kept
    }

    /// A sample may begin a message wherever it lies: behind bytes that are
    /// missing, with a response that comes too early.
    fn begin_reading(&mut self, piece: &Piece<'_>) {
        let begins = if self.sending {
            self.responses != Some(false) && is_response(piece.start)
        } else {
            self.readings.is_empty() && matches!(parse(piece.start), Parsed::Complete(_))
        };
        let reading = Place::Start(piece.offset);
        if begins && !self.readings.contains(&reading) {
            self.readings.push(reading);
        }
    }

    /// Follows a reading to its next place.
    fn follow(&mut self, reading: Place, piece: &Piece<'_>, kept: &mut Kept) -> Next {
        match reading {
            Place::Start(at) if at >= piece.end() => Next::Open(Place::Start(at)),
            Place::Start(at) => match from(piece, at) {
                Some(seen) => self.head(at, Vec::new(), None, seen, piece, kept),
                None => Next::None,
            },
            Place::Head(start, bytes, blank) => {
                let known = start.saturating_add(bytes.len() as u64) == piece.offset;
                if !known || bytes.len() + piece.start.len() > HEAD_LIMIT {
                    return Next::None;
                }
                self.head(start, bytes, Some(blank), piece.start, piece, kept)
            }
            Place::Chunks(at, _) if at >= piece.end() => Next::Open(reading),
            Place::Chunks(at, decoder) => match chunks(at, decoder, piece, kept) {
                Some(start @ Place::Start(_)) => Next::Behind(Some(start), None),
                Some(place) => Next::Open(place),
                None => Next::None,
            },
        }
    }

    /// A head that begins at `start`, of which `before` came earlier and `seen`
    /// is here.
    fn head(
        &mut self,
        start: u64,
        before: Vec<u8>,
        blank: Option<HeadBlank>,
        seen: &[u8],
        piece: &Piece<'_>,
        kept: &mut Kept,
    ) -> Next {
        let (at, known) = (start + before.len() as u64, before.len());
        let mut bytes = before;
        bytes.extend_from_slice(seen);
        let line = after_empty_lines(&bytes);
        let response = line.iter().zip(b"HTTP/").all(|(a, b)| a == b);
        let empty = line.is_empty();
        let wrong = self.sending && self.responses.is_some_and(|known| known != response);
        let parsed = match (empty, wrong) {
            (true, _) => Parsed::Partial,
            (false, true) => Parsed::Invalid,
            (false, false) => parse(&bytes),
        };
        let mut blank = blank.unwrap_or_else(|| HeadBlank::new(self.show_query));
        let whole = line.contains(&b'\n');
        if !response && !whole && !METHODS.iter().any(|word| begins(line, word)) {
            blank.hide();
        }
        match parsed {
            Parsed::Complete(head) => {
                let length = usize::try_from(head.len).unwrap_or(bytes.len());
                let here = bytes.get(known..length).unwrap_or_default();
                kept.keep(piece, at, here.iter().map(|byte| blank.step(*byte)));
                self.responses
                    .get_or_insert(matches!(head.start, StartLine::Response { .. }));
                let after = start.saturating_add(head.len);
                match framing(&head, None) {
                    Framing::Interim | Framing::NoBody => {
                        Next::Behind(Some(Place::Start(after)), None)
                    }
                    Framing::ContentLength(length) => {
                        let end = after.checked_add(length).map(Place::Start);
                        Next::Behind(end, Some(after))
                    }
                    Framing::Chunked => {
                        let place = Place::Chunks(after, ChunkDecoder::default());
                        Next::Behind(Some(place), Some(after))
                    }
                    Framing::UntilClose => Next::Behind(None, Some(after)),
                    Framing::Tunnel | Framing::Malformed => Next::None,
                }
            }
            Parsed::Partial => {
                kept.keep(piece, at, seen.iter().map(|byte| blank.step(*byte)));
                Next::Open(Place::Head(start, bytes, blank))
            }
            Parsed::Invalid => {
                // What tells another protocol, or a head that is refused.
                let empty_lines = bytes.len() - line.len();
                let kept_length = empty_lines + preface(line);
                if let Some(here) = bytes.get(known..kept_length) {
                    kept.keep(piece, at, here.iter().copied());
                }
                Next::None
            }
        }
    }
}

/// What a place came to.
enum Next {
    /// It goes on there; a head's body begins at the offset.
    Behind(Option<Place>, Option<u64>),
    /// It goes on in the next sample.
    Open(Place),
    /// It cannot be followed.
    None,
}

/// Follows a chunked body through a sample, as the judge does.
fn chunks(at: u64, mut decoder: ChunkDecoder, piece: &Piece<'_>, kept: &mut Kept) -> Option<Place> {
    if let Some(unseen) = piece.offset.checked_sub(at)
        && !decoder.skip(unseen)
    {
        return None;
    }
    let mut feed = |decoder: &mut ChunkDecoder, base: u64, bytes: &[u8]| {
        decoder.feed_parts(bytes, |place, part| {
            let Some(byte) = bytes.get(place) else { return };
            let byte = match part {
                ChunkPart::Framing => *byte,
                ChunkPart::Text => b'x',
            };
            kept.keep(piece, base + place as u64, [byte]);
        })
    };
    let from = at.max(piece.offset);
    let start = usize::try_from(from - piece.offset)
        .ok()
        .and_then(|skip| piece.start.get(skip..))
        .unwrap_or_default();
    match feed(&mut decoder, from, start) {
        Chunks::Done(length) => return Some(Place::Start(from + length as u64)),
        Chunks::Invalid => return None,
        Chunks::More => {}
    }
    let after = from + start.len() as u64;
    let unseen = piece.tail_at().checked_sub(after)?;
    if !decoder.skip(unseen) {
        return None;
    }
    match feed(&mut decoder, piece.tail_at(), piece.tail) {
        Chunks::Done(length) => Some(Place::Start(piece.tail_at() + length as u64)),
        Chunks::Invalid => None,
        Chunks::More => Some(Place::Chunks(piece.end().max(at), decoder)),
    }
}

/// What was seen from this offset on.
fn from<'a>(piece: &Piece<'a>, at: u64) -> Option<&'a [u8]> {
    let part = |base: u64, bytes: &'a [u8]| {
        let skip = usize::try_from(at.checked_sub(base)?).ok()?;
        bytes.get(skip..).filter(|seen| !seen.is_empty())
    };
    part(piece.offset, piece.start).or_else(|| part(piece.tail_at(), piece.tail))
}

/// The last bytes of a call tell whether a chunked body may end there, if they
/// are line ends.
fn line_ends(piece: &Piece<'_>, kept: &mut Kept) {
    let whole = piece.start.len() as u64 == piece.moved;
    let (bytes, room) = if whole {
        (piece.start, &mut kept.start)
    } else {
        (piece.tail, &mut kept.tail)
    };
    for (place, byte) in room.iter_mut().zip(bytes).rev().take(4) {
        if b"\r\n".contains(byte) {
            *place = *byte;
        }
    }
}

/// Whether the bytes begin as a response does, or are the first of such.
fn is_response(data: &[u8]) -> bool {
    !data.is_empty() && begins(data, b"HTTP/1.") && !matches!(parse(data), Parsed::Invalid)
}

/// Whether the bytes begin with a word, or are its beginning.
fn begins(bytes: &[u8], word: &[u8]) -> bool {
    bytes.iter().zip(word).all(|(byte, letter)| byte == letter)
}

/// How many of the first bytes tell what a stream speaks that is no HTTP/1.
pub(super) fn preface(bytes: &[u8]) -> usize {
    match bytes {
        // As in the judge's protocol.rs.
        [0x14..=0x17, 3, ..] => 2,
        _ if bytes.starts_with(b"PRI * HT") => 8,
        _ if bytes.starts_with(b"HTTP/") => 5,
        _ => 0,
    }
}
