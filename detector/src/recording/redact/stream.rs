//! Keeps of a sample what the judge read ([`Look`]), and of that only framing.

use super::head::{HeadRedactor, redact_byte};
use crate::{
    http::{ChunkPart, Protocol, after_empty_lines, is_response, may_be_response},
    judge::Look,
};

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

/// One sample.
pub(super) struct Piece<'a> {
    pub(super) offset: u64,
    pub(super) moved: u64,
    pub(super) start: &'a [u8],
    pub(super) tail: &'a [u8],
}

impl Piece<'_> {
    fn tail_at(&self) -> u64 {
        let end = self.offset.saturating_add(self.moved);
        end.saturating_sub(self.tail.len() as u64)
    }

    /// The bytes from one offset to another, as far as they are here.
    fn part(&self, at: u64, end: u64) -> &[u8] {
        let part = |base: u64, bytes| {
            let from = usize::try_from(at.checked_sub(base)?).ok()?;
            let to = usize::try_from(end.checked_sub(base)?).ok()?;
            <[u8]>::get(bytes, from..to)
        };
        part(self.offset, self.start)
            .or_else(|| part(self.tail_at(), self.tail))
            .unwrap_or_default()
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

/// A head that goes on in the next sample.
#[derive(Debug)]
struct Open {
    start: u64,
    bytes: Vec<u8>,
    redactor: HeadRedactor,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Stream {
    show_query: bool,
    open: Vec<Open>,
    /// It begins with a PROXY header of version 1, which is a line.
    proxy_line: bool,
}

impl Stream {
    pub(super) fn new(show_query: bool) -> Self {
        Self {
            show_query,
            open: Vec::new(),
            proxy_line: false,
        }
    }

    /// What may be kept of the next sample.
    pub(super) fn take(&mut self, piece: &Piece<'_>, looks: &[Look]) -> Kept {
        let mut kept = Kept {
            start: vec![0; piece.start.len()],
            tail: vec![0; piece.tail.len()],
        };
        let before = std::mem::take(&mut self.open);
        for look in looks {
            match *look {
                Look::Head { start, at, end } => {
                    self.head(&before, start, piece, at..end, &mut kept);
                }
                Look::NoHead { start, at, end } => {
                    no_head(&before, start, piece, at..end, &mut kept)
                }
                Look::Proxy { at, end } => {
                    kept.keep(piece, at, self.proxy(at, piece.part(at, end)));
                }
                Look::Begins { at, end } => {
                    let bytes = piece.part(at, end);
                    let mut redactor = HeadRedactor::new(self.show_query);
                    if !may_be_response(after_empty_lines(bytes)) {
                        redactor.hide();
                    }
                    kept.keep(piece, at, redactor.run(bytes));
                }
                Look::Chunk { at, part } => {
                    let bytes = piece.part(at, at + 1).iter();
                    let byte = bytes.map(|byte| match part {
                        ChunkPart::Framing => *byte,
                        ChunkPart::Text => redact_byte(*byte),
                    });
                    kept.keep(piece, at, byte);
                }
                Look::LineEnds => line_ends(piece, &mut kept),
            }
        }
        kept
    }

    /// A PROXY header, or a part of it, that is at this offset of the stream: without
    /// addresses.
    fn proxy(&mut self, at: u64, bytes: &[u8]) -> Vec<u8> {
        if at == 0 {
            self.proxy_line = bytes.first() == Some(&b'P');
        }
        if !self.proxy_line {
            // Signature, command and length.
            let fixed = usize::try_from(16_u64.saturating_sub(at)).unwrap_or(0);
            return bytes.iter().copied().take(fixed).collect();
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        let word = usize::try_from(6_u64.saturating_sub(at)).unwrap_or(0);
        let line = bytes.iter().take(length).enumerate();
        line.map(|(place, byte)| match byte {
            b'\r' | b'\n' => *byte,
            byte if place < word => *byte,
            byte => redact_byte(*byte),
        })
        .collect()
    }

    /// A head, or a part of it.
    fn head(
        &mut self,
        before: &[Open],
        start: u64,
        piece: &Piece<'_>,
        here: std::ops::Range<u64>,
        kept: &mut Kept,
    ) {
        let seen = piece.part(here.start, here.end);
        let earlier = earlier(before, start, here.start);
        let (mut bytes, mut redactor) = match earlier {
            Some(open) => (open.bytes.clone(), open.redactor.clone()),
            None => (Vec::new(), HeadRedactor::new(self.show_query)),
        };
        bytes.extend_from_slice(seen);
        let line = after_empty_lines(&bytes);
        let known = may_be_response(line) || METHODS.iter().any(|word| begins(line, word));
        if !known && !line.contains(&b'\n') {
            redactor.hide();
        }
        kept.keep(piece, here.start, redactor.run(seen));
        if !self.open.iter().any(|open| open.start == start) {
            self.open.push(Open {
                start,
                bytes,
                redactor,
            });
        }
    }
}

/// What came of a head in earlier samples.
fn earlier(before: &[Open], start: u64, at: u64) -> Option<&Open> {
    before
        .iter()
        .find(|open| open.start == start && start + open.bytes.len() as u64 == at)
}

/// No head: what tells another protocol, or one that is refused.
fn no_head(
    before: &[Open],
    start: u64,
    piece: &Piece<'_>,
    here: std::ops::Range<u64>,
    kept: &mut Kept,
) {
    let earlier = earlier(before, start, here.start);
    let mut bytes = earlier.map(|open| open.bytes.clone()).unwrap_or_default();
    let known = bytes.len();
    let seen = piece.part(here.start, here.end);
    bytes.extend_from_slice(seen);
    // Bytes that go on without a line end are not looked at by the judge.
    if let Some(end) = seen.iter().position(|byte| *byte == b'\n')
        && known > 0
    {
        kept.keep(piece, here.start + end as u64, [b'\n']);
    }
    let line = after_empty_lines(&bytes);
    let length = bytes.len() - line.len() + preface(line);
    if let Some(told) = bytes.get(known..length) {
        kept.keep(piece, here.start, told.iter().copied());
    }
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

/// Whether the bytes begin with a word, or are its beginning.
fn begins(bytes: &[u8], word: &[u8]) -> bool {
    bytes.iter().zip(word).all(|(byte, letter)| byte == letter)
}

/// How many of the first bytes tell what a stream speaks that is no HTTP/1.
pub(super) fn preface(bytes: &[u8]) -> usize {
    match Protocol::of(bytes) {
        Protocol::Tls => 2,
        Protocol::Http2 => 8,
        Protocol::Other if is_response(bytes) => 5,
        Protocol::Other => 0,
    }
}
