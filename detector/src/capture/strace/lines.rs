//! Lines of a log of any size, in constant memory.

use std::io::{self, Read};

use memchr::memchr2;

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// Longest line that is read; strace writes such a one for `-s 1000000 -xx`.
const LONGEST: usize = 16 << 20;

/// The lines of what `reader` gives.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What was given out ends here.
    start: usize,
    /// What was read ends here.
    end: usize,
    over: bool,
}

/// A line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineText<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// One that is too long to be read.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// Reads from `reader`, in large blocks.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; 2 * BLOCK],
            start: 0,
            end: 0,
            over: false,
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    ///
    /// If the reader has one. What was read before is given out first.
    pub fn next_line(&mut self) -> io::Result<Option<LineText<'_>>> {
        let mut searched = 0;
        let mut too_long = false;
        loop {
            let from = self.start + searched;
            let unread = self.buffer.get(from..self.end).unwrap_or_default();
            let found = memchr2(b'\n', b'\r', unread);
            searched += found.unwrap_or(unread.len());
            if found.is_some()
                && let Some(next) = self.behind(self.start + searched)
            {
                let line = self.start..self.start + searched;
                self.start = next;
                return Ok(Some(if too_long {
                    LineText::TooLong
                } else {
                    LineText::Whole(self.buffer.get(line).unwrap_or_default())
                }));
            }
            if self.over {
                let line = self.start..self.end;
                self.start = self.end;
                if line.is_empty() && !too_long {
                    return Ok(None);
                }
                return Ok(Some(if too_long {
                    LineText::TooLong
                } else {
                    LineText::Whole(self.buffer.get(line).unwrap_or_default())
                }));
            }
            if searched > LONGEST {
                too_long = true;
                self.start = self.end;
                searched = 0;
            }
            self.fill()?;
        }
    }

    /// Where the next line begins if one ends here: with a line feed, carriage returns
    /// and a line feed, or a carriage return alone. `None` if that is not read yet.
    fn behind(&self, end: usize) -> Option<usize> {
        let rest = self.buffer.get(end..self.end)?;
        let returns = rest.iter().take_while(|byte| **byte == b'\r').count();
        match rest.get(returns) {
            Some(b'\n') => Some(end + returns + 1),
            Some(_) => Some(end + 1),
            None if self.over => Some(end + 1),
            None => None,
        }
    }

    /// Reads on. What was given out makes way.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.end + BLOCK {
            self.buffer.resize(self.end + BLOCK, 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.reader.read(room) {
            Ok(0) => self.over = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.over = true;
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Few<'a>(&'a [u8], usize);

    impl Read for Few<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(room.len());
            let (now, later) = self.0.split_at(count);
            room[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn lines(text: &[u8], few: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(Few(text, few));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().expect("no error") {
            found.push(match line {
                LineText::Whole(line) => Some(line.to_vec()),
                LineText::TooLong => None,
            });
        }
        found
    }

    #[test]
    fn lines_end_where_they_do() {
        let whole = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Some(text.as_bytes().to_vec()))
                .collect::<Vec<_>>()
        };
        for few in [1, 2, 3, 100] {
            assert_eq!(lines(b"", few), whole(&[]));
            assert_eq!(lines(b"a\nbc\n\nd", few), whole(&["a", "bc", "", "d"]));
            assert_eq!(lines(b"a\n", few), whole(&["a"]));
            assert_eq!(lines(b"a\r\nb\r\r\nc\r", few), whole(&["a", "b", "c"]));
            assert_eq!(lines(b"a\rb\r\rc", few), whole(&["a", "b", "", "c"]));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_told_and_passed() {
        let mut text = b"a\n".to_vec();
        text.resize(LONGEST + 3 * BLOCK, b'x');
        text.extend_from_slice(b"\nb\n");
        let found = lines(&text, BLOCK);
        assert_eq!(found, [Some(b"a".to_vec()), None, Some(b"b".to_vec())]);
    }
}
