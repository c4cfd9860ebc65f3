//! The line on a terminal that says how the watch goes, and changes in place.

use std::{
    fmt,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::grouped;

/// How often it changes.
const PERIOD: Duration = Duration::from_millis(250);

/// What it says. At most 80 columns, up to hundreds of thousands of
/// connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Since the watch began.
    pub seconds: u64,
    /// Connections that moved bytes.
    pub connections: u64,
    /// Messages proved whole or cut short.
    pub judged: u64,
    /// Findings that were reported.
    pub findings: u64,
    /// Messages and connections that were not judged.
    pub unjudged: u64,
    /// Events that were lost.
    pub lost: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, .. } = self;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{}:{:02}  {} connection{}  {} judged  {} finding{}  {} unjudged  {} lost",
            seconds / 60,
            seconds % 60,
            grouped(self.connections),
            plural(self.connections),
            grouped(self.judged),
            grouped(self.findings),
            plural(self.findings),
            grouped(self.unjudged),
            grouped(self.lost),
        )
    }
}

/// The line. Not there where standard error is no terminal.
#[derive(Debug)]
pub struct Status {
    line: ProgressBar,
    due: Instant,
}

impl Status {
    /// Begins it, or if it is not `wanted`, one that never shows.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        let line = if wanted {
            // Hides itself where standard error is no terminal.
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        // A line that is too long is cut, not wrapped.
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            line.set_style(style);
        }
        Self {
            line,
            due: Instant::now(),
        }
    }

    /// Shows these counts, which are asked for only if it is time to.
    pub fn show(&mut self, counts: impl FnOnce() -> Counts) {
        let now = Instant::now();
        if self.line.is_hidden() || now < self.due {
            return;
        }
        self.due = now + PERIOD;
        self.line.set_message(counts().to_string());
        self.line.tick();
    }

    /// Prints something else meanwhile, on a line of its own.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.line.suspend(print)
    }

    /// Takes it away.
    pub fn end(&self) {
        self.line.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_80_columns() {
        let counts = Counts {
            seconds: 86_399,
            connections: 123_456,
            judged: 123_456,
            findings: 99,
            unjudged: 999,
            lost: 9,
        };
        insta::assert_snapshot!(counts, @"1439:59  123,456 connections  123,456 judged  99 findings  999 unjudged  9 lost");
        assert!(
            counts.to_string().len() <= 80,
            "{}",
            counts.to_string().len()
        );
    }

    #[test]
    fn one_is_not_many() {
        let counts = Counts {
            seconds: 61,
            connections: 1,
            findings: 1,
            ..Counts::default()
        };
        insta::assert_snapshot!(counts, @"1:01  1 connection  0 judged  1 finding  0 unjudged  0 lost");
    }
}
