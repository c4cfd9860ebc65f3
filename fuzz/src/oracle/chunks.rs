//! Where a chunked body ends: RFC 9112 section 7.1.

/// What a piece of the body brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// The body goes on.
    More,
    /// The body, trailer section included, ended after so many bytes of the
    /// piece.
    Done(usize),
    /// This is no chunked body.
    Invalid,
    /// It was one, and where the next chunk's size has to stand is a byte with which
    /// none begins, however leniently it is read.
    NoSize,
}

/// What a byte is that is no chunk data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPart {
    /// It tells where chunks begin and end.
    Framing,
    /// Of an extension or a trailer field.
    Text,
}

/// Follows a chunked body piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkDecoder {
    state: State,
    /// A chunk came, and the line's end behind it was seen.
    behind_chunk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the size: its value so far and whether it has a digit.
    Size(u64, bool),
    /// In a chunk extension, up to the line's end.
    Extension(u64),
    /// At the line feed of a size line.
    SizeLf(u64),
    /// In chunk data, with so many bytes left.
    Data(u64),
    /// At the line's end after chunk data.
    DataCr,
    DataLf,
    /// In the trailer section, at the start of a line.
    LineStart,
    /// In a trailer field.
    Line,
    /// At the line feed that ends the body.
    LastLf,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self {
            state: State::Size(0, false),
            behind_chunk: false,
        }
    }
}

impl ChunkDecoder {
    /// Takes the next bytes of the body.
    pub fn feed(&mut self, piece: &[u8]) -> Chunks {
        self.feed_parts(piece, |_, _| {})
    }

    /// The same; says of each byte that is no chunk data, by its place in the
    /// piece, what it is.
    pub fn feed_parts(&mut self, piece: &[u8], mut tell: impl FnMut(usize, ChunkPart)) -> Chunks {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            if let State::Data(left) = self.state {
                let here = piece.len() - at;
                let taken = usize::try_from(left).map_or(here, |left| left.min(here));
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 {
                    State::DataCr
                } else {
                    State::Data(left)
                };
                continue;
            }
            at += 1;
            let Some(next) = self.step(byte) else {
                // Some readers take white space or a sign before a number.
                let none = self.state == State::Size(0, false)
                    && !(byte.is_ascii_whitespace() || b"+-".contains(&byte));
                return if self.behind_chunk && none {
                    Chunks::NoSize
                } else {
                    Chunks::Invalid
                };
            };
            let text = matches!(
                self.state,
                State::Extension(_) | State::LineStart | State::Line
            ) && !b"\r\n".contains(&byte);
            tell(
                at - 1,
                if text {
                    ChunkPart::Text
                } else {
                    ChunkPart::Framing
                },
            );
            match next {
                Step::Go(state) => {
                    self.behind_chunk |= matches!(self.state, State::DataCr | State::DataLf);
                    self.state = state;
                }
                Step::Done => return Chunks::Done(at),
            }
        }
        Chunks::More
    }

    /// Bytes of chunk data that are still to come, if it is in the middle of a
    /// chunk.
    #[must_use]
    pub fn data_left(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            _ => 0,
        }
    }

    /// Passes over bytes that were not seen: `true` if they can only have been
    /// chunk data and the line's end behind it.
    #[must_use]
    pub fn skip(&mut self, bytes: u64) -> bool {
        // Bytes up to the line's end, and of that how many have passed.
        let (left, passed) = match self.state {
            State::Data(left) => (left, 0),
            State::DataCr => (0, 0),
            State::DataLf => (0, 1),
            _ => return bytes == 0,
        };
        self.state = match bytes
            .checked_sub(left)
            .map(|end| end.saturating_add(passed))
        {
            None => State::Data(left - bytes),
            Some(0) => State::DataCr,
            Some(1) => State::DataLf,
            Some(2) => {
                // It may have been a bare line feed, and a byte of what follows.
                self.behind_chunk = false;
                State::Size(0, false)
            }
            Some(_) => return false,
        };
        true
    }

    fn step(self, byte: u8) -> Option<Step> {
        let state = match (self.state, byte) {
            (State::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                State::Size(size.checked_mul(16)?.checked_add(digit)?, true)
            }
            (State::Size(size, true), b'\r') | (State::Extension(size), b'\r') => {
                State::SizeLf(size)
            }
            (State::Size(size, true), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(size, true) | State::Extension(size) | State::SizeLf(size), b'\n') => {
                if size == 0 {
                    State::LineStart
                } else {
                    State::Data(size)
                }
            }
            (State::Extension(size), _) => State::Extension(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataCr | State::DataLf, b'\n') => State::Size(0, false),
            (State::LineStart, b'\r') => State::LastLf,
            (State::LineStart | State::LastLf, b'\n') => return Some(Step::Done),
            (State::Line, b'\n') => State::LineStart,
            (State::LineStart | State::Line, _) => State::Line,
            _ => return None,
        };
        Some(Step::Go(state))
    }
}

enum Step {
    Go(State),
    Done,
}
