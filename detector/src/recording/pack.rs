//! Packs what is written in blocks, and unpacks them.
//!
//! A block is its length packed, its length unpacked and the CRC-32 of what is
//! unpacked (32 bits each, little-endian), then the packed bytes (DEFLATE, RFC
//! 1951). Each stands for itself: what a crash or damage leaves is read up to the
//! last whole block, and no byte of a block is used before its sum is right.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// Most bytes of one block before they are packed.
const BLOCK: usize = 1 << 18;

/// Most bytes of one block, packed. What does not shrink grows by a few bytes
/// (`deflateBound`, zlib.h).
const PACKED: usize = BLOCK + BLOCK / 8;

/// How long bytes wait at most until their block is written, if somebody flushes
/// that often.
const AGE: Duration = Duration::from_millis(900);

/// The numbers before a block's bytes.
const HEAD: usize = 12;

/// Packs what is written to it. Once it was flushed, bytes that wait when it is
/// dropped are written then, as far as that works.
pub(super) struct Packer<W: Write> {
    out: W,
    waiting: Vec<u8>,
    since: Instant,
    compress: Compress,
    /// Nothing was flushed yet.
    first: bool,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            waiting: Vec::new(),
            since: Instant::now(),
            // Half or more of the bytes are zeros: higher levels make little more of it,
            // and cost the watch more time.
            compress: Compress::new(Compression::new(3), false),
            first: true,
        }
    }

    /// Writes what waits, as a block.
    fn block(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut crc = Crc::new();
        crc.update(&self.waiting);
        let mut packed = Vec::with_capacity(PACKED);
        self.compress.reset();
        let status =
            self.compress
                .compress_vec(&self.waiting, &mut packed, FlushCompress::Finish)?;
        if status != Status::StreamEnd {
            return Err(io::Error::other("a block does not fit its room"));
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let mut head = Vec::with_capacity(HEAD + packed.len());
        head.extend_from_slice(&length(&packed)?.to_le_bytes());
        head.extend_from_slice(&length(&self.waiting)?.to_le_bytes());
        head.extend_from_slice(&crc.sum().to_le_bytes());
        // In one piece: a crash leaves it whole, or not there.
        head.append(&mut packed);
        self.out.write_all(&head)?;
        self.waiting.clear();
        Ok(())
    }

    /// Writes and passes on all there is.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.first = false;
        self.block()?;
        self.out.flush()
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        let room = BLOCK - self.waiting.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.waiting.extend_from_slice(taken);
        if self.waiting.len() == BLOCK {
            self.block()?;
        }
        Ok(taken.len())
    }

    /// Passes on what has waited for long enough: blocks that hold little shrink
    /// little.
    fn flush(&mut self) -> io::Result<()> {
        if self.first || self.since.elapsed() >= AGE {
            return self.finish();
        }
        self.out.flush()
    }
}

impl<W: Write> Drop for Packer<W> {
    fn drop(&mut self) {
        // A watch that never began leaves no file.
        if !self.first {
            // One that failed has said so.
            drop(self.finish());
        }
    }
}

/// What is wrong with a block.
#[derive(Debug, thiserror::Error)]
#[error("a packed block is damaged")]
pub(super) struct Damaged;

/// Unpacks what is read from `input`.
pub(super) struct Unpacker<R> {
    input: R,
    packed: Vec<u8>,
    block: Vec<u8>,
    at: usize,
    /// Bytes of a block that is not whole.
    torn: u64,
    decompress: Decompress,
}

impl<R: Read> Unpacker<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            packed: Vec::new(),
            block: Vec::new(),
            at: 0,
            torn: 0,
            decompress: Decompress::new(false),
        }
    }

    /// Bytes behind the last whole block.
    pub(super) fn torn(&self) -> u64 {
        self.torn
    }

    /// Reads the next block; `false` if there is no whole one any more.
    fn next_block(&mut self) -> io::Result<bool> {
        (self.at, self.torn) = (0, 0);
        self.block.clear();
        if !self.fill(HEAD)? {
            return Ok(false);
        }
        let number = |at: usize| {
            let bytes = self.packed.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let (packed, length, sum) = (number(0), number(4), number(8));
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, Damaged);
        let packed = usize::try_from(packed).map_err(|_| damaged())?;
        let length = usize::try_from(length).map_err(|_| damaged())?;
        // Before there is room for it.
        if packed > PACKED || length > BLOCK || length == 0 {
            return Err(damaged());
        }
        if !self.fill(packed)? {
            self.torn += HEAD as u64;
            return Ok(false);
        }
        // No more than the room is unpacked.
        self.block.reserve_exact(length);
        self.decompress.reset(false);
        self.decompress
            .decompress_vec(&self.packed, &mut self.block, FlushDecompress::Finish)
            .map_err(|_| damaged())?;
        let mut crc = Crc::new();
        crc.update(&self.block);
        if self.block.len() != length || crc.sum() != sum {
            self.block.clear();
            return Err(damaged());
        }
        Ok(true)
    }

    /// Reads so many bytes; `false` if there are fewer.
    fn fill(&mut self, length: usize) -> io::Result<bool> {
        self.packed.clear();
        let read = self
            .input
            .by_ref()
            .take(length as u64)
            .read_to_end(&mut self.packed);
        match read {
            Ok(_) => {}
            // Packed once more, by gzip, and cut off.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        let whole = self.packed.len() == length;
        if !whole {
            self.torn = self.packed.len() as u64;
        }
        Ok(whole)
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(0);
        }
        let left = self.block.get(self.at..).unwrap_or_default();
        let count = left.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not shrink.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..length).map(next).collect()
    }

    fn packed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut packer = Packer::new(&mut packed);
        for piece in pieces {
            packer.write_all(piece).expect("written");
            packer.finish().expect("written");
        }
        drop(packer);
        packed
    }

    fn unpacked(packed: &[u8]) -> (Vec<u8>, io::Result<usize>) {
        let mut whole = Vec::new();
        let read = Unpacker::new(packed).read_to_end(&mut whole);
        (whole, read)
    }

    #[test]
    fn what_was_written_is_read() {
        for bytes in [
            vec![0; 3 * BLOCK + 7],
            noise(2 * BLOCK),
            b"x".to_vec(),
            vec![],
        ] {
            let (whole, read) = unpacked(&packed(&[&bytes]));
            assert!(read.is_ok());
            assert!(whole == bytes, "{} bytes", bytes.len());
        }
        let small = packed(&[&vec![0; 1 << 20]]).len();
        assert!(small < 12_000, "{small}");
    }

    #[test]
    fn what_a_crash_leaves_is_read_up_to_the_last_whole_block() {
        let pieces = [&noise(1000)[..], &[7; 5000], b"end"];
        let all = packed(&pieces);
        let first = packed(&pieces[..1]).len();
        let second = packed(&pieces[..2]).len();
        for length in 0..all.len() {
            let (whole, read) = unpacked(&all[..length]);
            assert!(read.is_ok());
            let blocks = [first, second].iter().filter(|end| length >= **end).count();
            assert_eq!(whole, pieces[..blocks].concat(), "{length}");
        }
    }

    #[test]
    fn a_damaged_block_is_not_used() {
        let pieces = [&noise(1000)[..], &[7; 5000]];
        let all = packed(&pieces);
        let first = packed(&pieces[..1]).len();
        for at in first..all.len() {
            let mut damaged = all.clone();
            damaged[at] ^= 0x10;
            let (whole, read) = unpacked(&damaged);
            // Bits behind the end of what is packed mean nothing.
            let meant = whole != pieces.concat();
            // A length may be one that reaches beyond the end.
            assert!(!meant || read.is_err() || at < first + 4, "{at}");
            assert!(!meant || whole == pieces[0], "{at}");
        }
    }

    #[test]
    fn a_bomb_takes_no_more_than_a_block() {
        let mut bomb = packed(&[&[0; 1000]]);
        // Says that it is small, and is not; and that it is large.
        bomb[4..8].copy_from_slice(&10_u32.to_le_bytes());
        assert!(unpacked(&bomb).1.is_err());
        bomb[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpacked(&bomb).1.is_err());
        bomb[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpacked(&bomb).1.is_err());
    }
}
