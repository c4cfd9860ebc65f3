//! Where a chunked body ends: RFC 9112 section 7.1.

use crate::{Window, class::low_byte};

/// What a piece of the body brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// The body goes on.
    More,
    /// The body, trailer section included, ended.
    Done,
    /// This is no chunked body.
    Invalid,
    /// It was one, and where the next chunk's size has to stand is a byte with which
    /// none begins, however leniently it is read.
    NoSize,
}

/// What a byte is that is not chunk data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPart {
    /// It tells where chunks begin and end.
    Framing,
    /// It belongs to an extension or a trailer field.
    Text,
}

/// Where in the body the next byte stands.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At the first digit of a size.
    #[default]
    Size = 0,
    /// Behind a digit.
    Digits,
    /// In a chunk extension, up to the line's end (section 7.1.1).
    Extension,
    /// Behind the CR of a size line.
    SizeLf,
    Data,
    /// At the line's end behind chunk data.
    DataEnd,
    DataLf,
    /// In the trailer section (section 7.1.2), at the start of a line.
    Line,
    Trailer,
    /// Behind the CR of the empty line.
    LastLf,
}

/// Follows a chunked body, split anywhere. A `#[repr(C)]` value of 16 bytes that starts as
/// zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkDecoder {
    /// The size that is being read, or bytes of chunk data that are still to come.
    left: u64,
    state: State,
    /// A chunk came, and the line's end behind it was seen.
    behind_chunk: bool,
}

impl ChunkDecoder {
    /// Reads the next bytes of the body. Returns what they brought and how many of them
    /// were read: behind the end of the body stands something else.
    #[must_use]
    pub fn feed(&mut self, piece: &[u8]) -> (Chunks, usize) {
        self.feed_parts(piece, |_, _| {})
    }

    /// The same; calls `part` with the place in the piece of each byte that is not chunk
    /// data, and with what it is.
    #[must_use]
    pub fn feed_parts(
        &mut self,
        piece: &[u8],
        mut part: impl FnMut(usize, ChunkPart),
    ) -> (Chunks, usize) {
        let mut rest = piece;
        let read = |rest: &[u8]| piece.len().saturating_sub(rest.len());
        while let Some((byte, behind)) = rest.split_first() {
            if self.state == State::Data {
                let data = usize::try_from(self.left).unwrap_or(usize::MAX);
                let data = data.min(rest.len());
                self.pass_data(data as u64);
                rest = rest.get(data..).unwrap_or_default();
                continue;
            }
            let at = read(rest);
            rest = behind;
            let before = self.state;
            match self.byte(*byte) {
                broken @ (Chunks::Invalid | Chunks::NoSize) => return (broken, read(rest)),
                chunked => {
                    let in_text = matches!(before, State::Extension | State::Line | State::Trailer);
                    let text = in_text && !matches!(byte, b'\r' | b'\n');
                    part(
                        at,
                        if text {
                            ChunkPart::Text
                        } else {
                            ChunkPart::Framing
                        },
                    );
                    if chunked == Chunks::Done {
                        return (chunked, read(rest));
                    }
                }
            }
        }
        (Chunks::More, piece.len())
    }

    /// Reads on from offset `at` of a piece that ends at `end`, one byte at least. Returns
    /// where to go on. Bounded: the rest of a chunk, or one byte.
    #[inline(always)]
    pub fn turn<W: Window>(&mut self, window: &W, at: u32, end: u32) -> (u32, Chunks) {
        if at >= end {
            return (at, Chunks::More);
        }
        if self.state == State::Data {
            let here = end.saturating_sub(at);
            let data = u32::try_from(self.left).unwrap_or(u32::MAX).min(here);
            self.pass_data(u64::from(data));
            return (at.saturating_add(data), Chunks::More);
        }
        let chunked = self.byte(low_byte(window.word(at)));
        (at.saturating_add(1), chunked)
    }

    /// Returns how many bytes of chunk data are still to come; 0 where something else is.
    #[inline(always)]
    #[must_use]
    pub const fn data_left(&self) -> u64 {
        match self.state {
            State::Data => self.left,
            _ => 0,
        }
    }

    /// Passes over bytes that were not seen: `true` if they can only have been chunk data
    /// and the line's end behind it.
    #[must_use]
    pub const fn skip(&mut self, bytes: u64) -> bool {
        // Bytes up to the line's end, and how many of its own have passed.
        let (left, passed) = match self.state {
            State::Data => (self.left, 0),
            State::DataEnd => (0, 0),
            State::DataLf => (0, 1),
            _ => return bytes == 0,
        };
        let Some(behind) = bytes.checked_sub(left) else {
            self.left = left.saturating_sub(bytes);
            return true;
        };
        let state = match behind.saturating_add(passed) {
            0 => State::DataEnd,
            1 => State::DataLf,
            2 => {
                // It may have been a bare line feed, and a byte of what follows.
                self.behind_chunk = false;
                State::Size
            }
            _ => return false,
        };
        (self.left, self.state) = (0, state);
        true
    }

    #[inline(always)]
    const fn pass_data(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 {
            self.state = State::DataEnd;
        }
    }

    /// Reads one byte that is not chunk data.
    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Chunks {
        let next = match (self.state, byte) {
            (State::Size | State::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.left >> 60 != 0 {
                    return Chunks::Invalid;
                }
                self.left = self.left << 4 | digit(byte);
                State::Digits
            }
            (State::Digits | State::Extension, b'\r') => State::SizeLf,
            (State::Digits, b';' | b' ' | b'\t') => State::Extension,
            (State::Digits | State::Extension | State::SizeLf, b'\n') if self.left == 0 => {
                State::Line
            }
            (State::Digits | State::Extension | State::SizeLf, b'\n') => State::Data,
            (State::Extension, _) => State::Extension,
            (State::DataEnd, b'\r') => State::DataLf,
            (State::DataEnd | State::DataLf, b'\n') => State::Size,
            (State::Line, b'\r') => State::LastLf,
            (State::Line | State::LastLf, b'\n') => return Chunks::Done,
            (State::Trailer, b'\n') => State::Line,
            (State::Line | State::Trailer, _) => State::Trailer,
            _ => return self.broken(byte),
        };
        self.behind_chunk |= matches!(self.state, State::DataEnd | State::DataLf);
        self.state = next;
        Chunks::More
    }

    /// What a byte says that cannot stand where it does. Some readers take white space or
    /// a sign before a number.
    #[inline(always)]
    fn broken(&self, byte: u8) -> Chunks {
        let sign = byte.is_ascii_whitespace() || byte == b'+' || byte == b'-';
        match self.state {
            State::Size if self.behind_chunk && !sign => Chunks::NoSize,
            _ => Chunks::Invalid,
        }
    }
}

/// The value of a hexadecimal digit.
#[inline(always)]
const fn digit(byte: u8) -> u64 {
    let low = (byte & 15) as u64;
    match byte {
        b'0'..=b'9' => low,
        _ => low.wrapping_add(9),
    }
}
