//! Where a chunked body ends: RFC 9112 section 7.1.

use crate::{
    Window,
    class::{controls, hexadecimal, line_ending, low_byte, lowest, not_hex, run},
};

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
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State(u8);

impl State {
    /// At the first digit of a size.
    const SIZE: Self = Self(0);
    /// Behind a digit.
    const DIGITS: Self = Self(1);
    /// In a chunk extension, up to the line's end (section 7.1.1).
    const EXTENSION: Self = Self(2);
    /// Behind the CR of a size line.
    const SIZE_LF: Self = Self(3);
    const DATA: Self = Self(4);
    /// At the line's end behind chunk data.
    const DATA_END: Self = Self(5);
    const DATA_LF: Self = Self(6);
    /// In the trailer section (section 7.1.2), at the start of a line.
    const LINE: Self = Self(7);
    const TRAILER: Self = Self(8);
    /// Behind the CR of the empty line.
    const LAST_LF: Self = Self(9);
}

/// Follows a chunked body, split anywhere. A `#[repr(C)]` value of 16 bytes that starts as
/// zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkDecoder {
    /// The size that is being read, or bytes of chunk data that are still to come.
    left: u64,
    state: State,
    /// 1 where a chunk came, and the line's end behind it was seen.
    behind_chunk: u8,
    padding: [u8; 6],
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
            if self.state == State::DATA {
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
                    let in_text = matches!(before, State::EXTENSION | State::LINE | State::TRAILER);
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
    /// where to go on. Bounded: the rest of a chunk, a short size line and the line's end
    /// before it, or 64 bytes of text.
    #[inline(always)]
    pub fn turn<W: Window>(&mut self, window: &W, at: u32, end: u32) -> (u32, Chunks) {
        if at >= end {
            return (at, Chunks::More);
        }
        if self.state == State::DATA {
            let here = end.wrapping_sub(at);
            let data = u32::try_from(self.left).unwrap_or(u32::MAX).min(here);
            self.pass_data(u64::from(data));
            return (at.wrapping_add(data), Chunks::More);
        }
        let first = window.word(at);
        let ending = at.wrapping_add(line_ending(first));
        let is_ending = ending > at && ending <= end;
        // Bytes up to here were read by words; where there are none, one byte is read.
        let mut to = at;
        match self.state {
            State::LINE if is_ending => return (ending, Chunks::Done),
            State::DATA_END if is_ending => {
                (self.behind_chunk, self.state) = (1, State::SIZE);
                to = self.pass_size(window, ending, end);
            }
            State::SIZE => to = self.pass_size(window, at, end),
            State::EXTENSION | State::TRAILER => {
                to = at.wrapping_add(run::<2, _>(window, at, end, controls));
            }
            _ => {}
        }
        to = window.keep(to);
        if to > at {
            return (to, Chunks::More);
        }
        let chunked = self.byte(low_byte(first));
        (at.wrapping_add(1), chunked)
    }

    /// Reads a size line of at most eight digits and without extension. Returns where to go
    /// on: at `from` where it has to be read byte by byte.
    #[inline(always)]
    fn pass_size<W: Window>(&mut self, window: &W, from: u32, end: u32) -> u32 {
        let word = window.word(from);
        let length = lowest(not_hex(word));
        let digits_end = from.wrapping_add(length);
        let ending = line_ending(window.word(digits_end));
        let line_end = digits_end.wrapping_add(ending);
        if length == 0 || ending == 0 || line_end > end {
            return from;
        }
        self.left = hexadecimal(word, length);
        self.state = match self.left {
            0 => State::LINE,
            _ => State::DATA,
        };
        line_end
    }

    /// Returns how many bytes of chunk data are still to come; 0 where something else is.
    #[inline(always)]
    #[must_use]
    pub const fn data_left(&self) -> u64 {
        match self.state {
            State::DATA => self.left,
            _ => 0,
        }
    }

    /// Passes over bytes that were not seen: `true` if they can only have been chunk data
    /// and the line's end behind it.
    #[must_use]
    pub const fn skip(&mut self, bytes: u64) -> bool {
        // Bytes up to the line's end, and how many of its own have passed.
        let (left, passed) = match self.state {
            State::DATA => (self.left, 0),
            State::DATA_END => (0, 0),
            State::DATA_LF => (0, 1),
            _ => return bytes == 0,
        };
        let Some(behind) = bytes.checked_sub(left) else {
            self.left = left.saturating_sub(bytes);
            return true;
        };
        let state = match behind.saturating_add(passed) {
            0 => State::DATA_END,
            1 => State::DATA_LF,
            2 => {
                // It may have been a bare line feed, and a byte of what follows.
                self.behind_chunk = 0;
                State::SIZE
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
            self.state = State::DATA_END;
        }
    }

    /// Reads one byte that is not chunk data.
    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Chunks {
        let next = match (self.state, byte) {
            (State::SIZE | State::DIGITS, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.left >> 60 != 0 {
                    return Chunks::Invalid;
                }
                self.left = self.left << 4 | digit(byte);
                State::DIGITS
            }
            (State::DIGITS | State::EXTENSION, b'\r') => State::SIZE_LF,
            (State::DIGITS, b';' | b' ' | b'\t') => State::EXTENSION,
            (State::DIGITS | State::EXTENSION | State::SIZE_LF, b'\n') if self.left == 0 => {
                State::LINE
            }
            (State::DIGITS | State::EXTENSION | State::SIZE_LF, b'\n') => State::DATA,
            (State::EXTENSION, _) => State::EXTENSION,
            (State::DATA_END, b'\r') => State::DATA_LF,
            (State::DATA_END | State::DATA_LF, b'\n') => State::SIZE,
            (State::LINE, b'\r') => State::LAST_LF,
            (State::LINE | State::LAST_LF, b'\n') => return Chunks::Done,
            (State::TRAILER, b'\n') => State::LINE,
            (State::LINE | State::TRAILER, _) => State::TRAILER,
            _ => return self.broken(byte),
        };
        self.behind_chunk |= u8::from(matches!(self.state, State::DATA_END | State::DATA_LF));
        self.state = next;
        Chunks::More
    }

    /// What a byte says that cannot stand where it does. Some readers take white space or
    /// a sign before a number.
    #[inline(always)]
    fn broken(&self, byte: u8) -> Chunks {
        let sign = byte.is_ascii_whitespace() || byte == b'+' || byte == b'-';
        match self.state {
            State::SIZE if self.behind_chunk != 0 && !sign => Chunks::NoSize,
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
