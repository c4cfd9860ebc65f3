//! Reads a recording.

use std::io::{self, Read};

use super::{Frame, FrameError, MAGIC, VERSION};

/// Longest frame: the sockets that are open at the end of a watch are one.
const FRAME_LIMIT: u32 = 1 << 30;

/// Frames, one after the other.
pub struct Reader<R> {
    input: R,
    /// Bytes read, and whole frames.
    at: u64,
    torn: u64,
    room: Vec<u8>,
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another form.
    #[error(
        "it is a recording of form {0}, and this version of truncwatch reads form {VERSION}: analyze it with the version that made it"
    )]
    Version(u32),
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
        match u32::from_le_bytes(version) {
            VERSION => Ok(Self {
                input,
                at: 16,
                torn: 0,
                room: Vec::new(),
            }),
            other => Err(ReadError::Version(other)),
        }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is none of this version's.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReadError> {
        let at = self.at;
        if !self.fill(4)? {
            return Ok(None);
        }
        let length = self
            .room
            .first_chunk()
            .map_or(0, |n| u32::from_le_bytes(*n));
        if length == 0 || length > FRAME_LIMIT {
            return Err(ReadError::Length(at, length));
        }
        if !self.fill(u64::from(length))? {
            self.torn += 4;
            return Ok(None);
        }
        self.at += u64::from(length) + 4;
        let (kind, rest) = self.room.split_first().ok_or(ReadError::Length(at, 0))?;
        let frame = Frame::decode(*kind, rest).map_err(|error| ReadError::Frame(at, error))?;
        Ok(Some(frame))
    }

    /// Bytes behind the last whole frame.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// Reads so many bytes; `false` if there are fewer.
    fn fill(&mut self, length: u64) -> Result<bool, ReadError> {
        self.room.clear();
        match self.input.by_ref().take(length).read_to_end(&mut self.room) {
            Ok(_) => {}
            // Compressed, and cut off.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
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
