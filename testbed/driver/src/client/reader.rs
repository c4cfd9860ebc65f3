//! Taking bytes off the socket, and counting them.

use std::io::{self, Read};

use super::End;
use super::stream::Stream;

/// Bytes asked for by one read.
const PIECE: usize = 64 * 1024;

/// A stream and what has been read from it but not yet used. The error of every method is the
/// way in which the response ended.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) stream: Stream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes used since the connection began.
    used: u64,
}

impl Reader {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: vec![0; PIECE].into(),
            start: 0,
            end: 0,
            used: 0,
        }
    }

    /// Bytes used since the connection began.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Uses up to `most` bytes that come next; at least one, unless `most` is 0.
    pub(super) fn take(&mut self, most: u64) -> Result<&[u8], End> {
        if self.start == self.end && most > 0 {
            self.fill()?;
        }
        let there = &self.buffer[self.start..self.end];
        let len = usize::try_from(most).map_or(there.len(), |most| there.len().min(most));
        self.start += len;
        self.used += len as u64;
        Ok(&there[..len])
    }

    /// Uses a line of at most `most` bytes, and returns it with its line feed.
    pub(super) fn line(&mut self, most: usize) -> Result<Vec<u8>, End> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            if line.len() == most {
                return Err(End::Malformed("a line that is too long"));
            }
            line.extend_from_slice(self.take(1)?);
        }
        Ok(line)
    }

    fn fill(&mut self) -> Result<(), End> {
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(End::Eof),
                Ok(len) => {
                    (self.start, self.end) = (0, len);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
