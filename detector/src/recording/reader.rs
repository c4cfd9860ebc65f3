//! Reads a recording.

use std::io::{self, Read};

use super::{
    Frame, FrameError, MAGIC, Packing, VERSION, form1,
    pack::{Damaged, Unpacker},
};

/// Longest frame of this kind: a file that somebody else made, packed or not, may
/// ask for no more memory than that.
const fn frame_limit(kind: u8) -> u32 {
    match kind {
        // The sockets that are open at the end of a watch, all in one.
        7 => 1 << 28,
        _ => 1 << 24,
    }
}

/// What follows [`MAGIC`] in a recording of 0.1.0.
const FIRST: [u8; 4] = [1, 0, 0, 0];

/// Frames, one after the other.
pub struct Reader<R> {
    input: Frames<R>,
    /// The frames are of form 1.
    first: bool,
    /// Bytes of whole frames, and of what is before them.
    at: u64,
    torn: u64,
    room: Vec<u8>,
}

/// Where frames are read from.
enum Frames<R> {
    Plain(R),
    Packed(Box<Unpacker<R>>),
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(room),
            Self::Packed(input) => input.read(room),
        }
    }
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another form.
    #[error(
        "it is a recording of form {0}, packing {1}, and this version of truncwatch reads forms 1 and {VERSION}: analyze it with the version that made it"
    )]
    Version(u16, u8),
    /// A block of packed frames is none.
    #[error("it is damaged: the block behind byte {0} of what is packed in it")]
    Block(u64),
    /// It does not begin as one.
    #[error("it is no recording of truncwatch")]
    Magic,
    /// A frame is none.
    #[error("it is damaged at byte {0}: {1}")]
    Frame(u64, FrameError),
    /// A frame's length is none.
    #[error("it is damaged at byte {0}: a frame of {1} bytes")]
    Length(u64, u32),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl<R: Read> Reader<R> {
    /// Reads its beginning.
    ///
    /// # Errors
    ///
    /// If it is no recording, or another version's.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut magic = [0; MAGIC.len()];
        let mut version = [0; 4];
        input.read_exact(&mut magic).map_err(cut)?;
        if magic != MAGIC {
            return Err(ReadError::Magic);
        }
        input.read_exact(&mut version).map_err(cut)?;
        let first = version == FIRST;
        let input = match version {
            form if form == Packing::None.form() => Frames::Plain(input),
            form if form == Packing::Blocks.form() => {
                Frames::Packed(Box::new(Unpacker::new(input)))
            }
            FIRST => Frames::Plain(input),
            [low, high, packing, _] => {
                return Err(ReadError::Version(u16::from_le_bytes([low, high]), packing));
            }
        };
        Ok(Self {
            input,
            first,
            at: 16,
            torn: 0,
            room: Vec::new(),
        })
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is none of this version's.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReadError> {
        let at = self.at;
        if !self.fill(5)? {
            return Ok(None);
        }
        let length = self
            .room
            .first_chunk()
            .map_or(0, |n| u32::from_le_bytes(*n));
        let kind = self.room.get(4).copied().unwrap_or(0);
        if length == 0 || length > frame_limit(kind) {
            return Err(ReadError::Length(at, length));
        }
        if !self.fill(u64::from(length) - 1)? {
            self.torn += 5;
            return Ok(None);
        }
        self.at += u64::from(length) + 4;
        let decode = if self.first {
            form1::decode
        } else {
            Frame::decode
        };
        let frame = decode(kind, &self.room).map_err(|error| ReadError::Frame(at, error))?;
        Ok(Some(frame))
    }

    /// Whether the recording tells if a peer answered with HTTP, and which side
    /// connected: without either, what looks like a request may be something else.
    #[must_use]
    pub fn knows_answers(&self) -> bool {
        !self.first
    }

    /// Bytes behind the last whole frame.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
            + match &self.input {
                Frames::Plain(_) => 0,
                Frames::Packed(input) => input.torn(),
            }
    }

    /// Reads so many bytes; `false` if there are fewer.
    fn fill(&mut self, length: u64) -> Result<bool, ReadError> {
        self.room.clear();
        match self.input.by_ref().take(length).read_to_end(&mut self.room) {
            Ok(_) => {}
            // Compressed, and cut off.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Damaged>()) => {
                return Err(ReadError::Block(self.at + self.room.len() as u64));
            }
            Err(error) => return Err(error.into()),
        }
        let whole = self.room.len() as u64 == length;
        if !whole {
            self.torn = self.room.len() as u64;
        }
        Ok(whole)
    }
}

fn cut(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Magic,
        _ => ReadError::Read(error),
    }
}
