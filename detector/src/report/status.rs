//! The line on a terminal that says how the watch goes, and changes in place.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::{columns, grouped, terminal};

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
            "{}:{:02} {} connection{}, {} message{}, {} finding{}, {} unjudged, {} lost",
            seconds / 60,
            seconds % 60,
            grouped(self.connections),
            plural(self.connections),
            grouped(self.judged),
            plural(self.judged),
            grouped(self.findings),
            plural(self.findings),
            grouped(self.unjudged),
            grouped(self.lost),
        )
    }
}

/// The line. Not there where standard error is no terminal, or one that takes no escapes,
/// and not drawn while this process is in the terminal's background.
#[derive(Debug)]
pub struct Status {
    line: ProgressBar,
    due: Instant,
}

impl Status {
    /// Begins it, or if it is not `wanted`, one that never shows.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        let target = if wanted && !terminal::is_dumb() && io::stderr().is_terminal() {
            ProgressDrawTarget::term_like(Box::new(Narrow))
        } else {
            ProgressDrawTarget::hidden()
        };
        let line = ProgressBar::with_draw_target(None, target);
        // Cut where it is too long, not wrapped.
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
        if !terminal::is_ours() {
            return;
        }
        // That draws it.
        self.line.set_message(counts().to_string());
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

/// Standard error, this wide, less what `^C` takes: indicatif fills a line to
/// its end, the terminal would put that on the next one when Ctrl-C ends the
/// watch, and then only the next one would be taken away.
#[derive(Clone, Copy, Debug)]
struct Narrow;

impl Narrow {
    /// CSI sequences (ECMA-48): CUU, CUD, CUF, CUB.
    fn control(count: usize, direction: char) -> io::Result<()> {
        match count {
            0 => Ok(()),
            _ => Self::draw(format_args!("\u{1b}[{count}{direction}")),
        }
    }

    /// Draws, unless the terminal is somebody else's by now: a line that is there when
    /// this process goes to the background stays.
    fn draw(what: fmt::Arguments<'_>) -> io::Result<()> {
        if !terminal::is_ours() {
            return Ok(());
        }
        io::stderr().write_fmt(what)
    }
}

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        // One that does not know how wide it is most likely has 80 columns.
        columns(io::stderr()).unwrap_or(80).saturating_sub(3)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::control(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::control(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::control(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::control(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        Self::draw(format_args!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        Self::draw(format_args!("{s}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::draw(format_args!("\r\u{1b}[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
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
        insta::assert_snapshot!(counts, @"1439:59 123,456 connections, 123,456 messages, 99 findings, 999 unjudged, 9 lost");
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
        insta::assert_snapshot!(counts, @"1:01 1 connection, 0 messages, 1 finding, 0 unjudged, 0 lost");
    }
}
