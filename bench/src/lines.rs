//! Waits for a line, but not forever.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// The lines of a pipe, read by a thread: the writer never waits.
pub(super) struct Lines(Receiver<Line>);

/// A line and when it came.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) at: Instant,
}

impl Lines {
    /// Reads `pipe` to its end.
    pub(super) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        // Ends with the pipe, at the latest when its writer is killed.
        thread::spawn(move || {
            for text in BufReader::new(pipe).lines().map_while(Result::ok) {
                let at = Instant::now();
                // Nobody may care any more; the pipe is emptied all the same.
                if sender.send(Line { text, at }).is_err() {}
            }
        });
        Self(lines)
    }

    /// The next line.
    pub(super) fn next(&self, patience: Duration) -> Result<Line> {
        match self.0.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!("it said nothing for {} s", patience.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("it said no more"),
        }
    }
}
