//! Logs that are not UTF-8: UTF-16, as PowerShell writes what it redirects.

use std::io::{self, Read};

/// How two bytes make a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// ASCII, or anything that has its letters.
    Pod,
    Utf16Le,
    Utf16Be,
}

/// What the text that begins so is written in, and how many bytes say so.
pub(super) fn encoding(start: &[u8]) -> (Encoding, usize) {
    match start {
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Pod, 3),
        // UTF-32 begins so too, and is refused.
        [0xff, 0xfe, 0, 0, ..] => (Encoding::Pod, 0),
        [0xff, 0xfe, ..] => (Encoding::Utf16Le, 2),
        [0xfe, 0xff, ..] => (Encoding::Utf16Be, 2),
        // Without the mark: letters of ASCII only.
        [first, 0, second, 0, third, 0, ..] if is_text(&[*first, *second, *third]) => {
            (Encoding::Utf16Le, 0)
        }
        [0, first, 0, second, 0, third, ..] if is_text(&[*first, *second, *third]) => {
            (Encoding::Utf16Be, 0)
        }
        _ => (Encoding::Pod, 0),
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Bytes that are taken at a time.
const PIECE: usize = 1 << 14;

/// Gives UTF-16 as UTF-8.
pub(super) struct Utf16<R> {
    reader: R,
    encoding: Encoding,
    /// A unit's first byte.
    half: Option<u8>,
    /// The first of two units that make one letter.
    high: Option<u16>,
    /// What was made and not given on, from here.
    ready: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16<R> {
    pub(super) fn new(reader: R, encoding: Encoding) -> Self {
        Self {
            reader,
            encoding,
            half: None,
            high: None,
            ready: Vec::new(),
            given: 0,
        }
    }

    fn push(&mut self, letter: char) {
        let mut bytes = [0; 4];
        self.ready
            .extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes());
    }

    fn unit(&mut self, unit: u16) {
        let units: Vec<u16> = self.high.take().into_iter().chain([unit]).collect();
        if matches!(units.as_slice(), [0xd800..=0xdbff]) {
            self.high = Some(unit);
            return;
        }
        for letter in char::decode_utf16(units) {
            self.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            let mut piece = [0; PIECE];
            let count = self.reader.read(&mut piece)?;
            if count == 0 {
                if self.half.take().is_none() && self.high.take().is_none() {
                    return Ok(0);
                }
                // It ends within a letter.
                self.high = None;
                self.push(char::REPLACEMENT_CHARACTER);
                continue;
            }
            for byte in piece.get(..count).unwrap_or_default() {
                let Some(first) = self.half.take() else {
                    self.half = Some(*byte);
                    continue;
                };
                let unit = match self.encoding {
                    Encoding::Utf16Be => u16::from_be_bytes([first, *byte]),
                    _ => u16::from_le_bytes([first, *byte]),
                };
                self.unit(unit);
            }
        }
        let left = self.ready.get(self.given..).unwrap_or_default();
        let count = left.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str, big: bool, mark: bool) -> Vec<u8> {
        let mark = mark.then_some('\u{feff}');
        mark.into_iter()
            .chain(text.chars())
            .collect::<String>()
            .encode_utf16()
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    }

    #[test]
    fn utf_16_is_read_by_its_mark_or_its_zeros() {
        let text = "close(4) = 0\r\n\u{1f600} \u{e9}\n";
        for big in [false, true] {
            for mark in [false, true] {
                let written = bytes(text, big, mark);
                let (encoding, skip) = encoding(&written);
                assert_ne!(encoding, Encoding::Pod);
                assert_eq!(skip, if mark { 2 } else { 0 });
                let mut read = String::new();
                Utf16::new(written.get(skip..).unwrap_or_default(), encoding)
                    .read_to_string(&mut read)
                    .expect("UTF-8");
                assert_eq!(read, text);
            }
        }
        assert_eq!(encoding(b"\xef\xbb\xbfclose"), (Encoding::Pod, 3));
        for plain in [
            &b"close(4) = 0"[..],
            b"",
            b"\0\0\0\0\0\0",
            b"\xff\xfe\0\0c\0\0\0",
        ] {
            assert_eq!(encoding(plain), (Encoding::Pod, 0));
        }
    }

    #[test]
    fn what_ends_within_a_letter_is_told() {
        let mut read = String::new();
        Utf16::new(&b"a\0\x3d\xd8b"[..], Encoding::Utf16Le)
            .read_to_string(&mut read)
            .expect("UTF-8");
        assert_eq!(read, "a\u{fffd}");
    }
}
