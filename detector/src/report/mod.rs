//! What is printed: findings and the summary, for people and for scripts.
//! Knows nothing of kernels.

mod brief;
pub mod doctor;
mod errno;
mod file;
mod json;
mod options;
mod outcome;
mod place;
mod processes;
mod stack;
mod status;
mod summary;
mod table;
pub mod terminal;
mod text;
mod when;

use std::{
    fmt,
    io::{self, Write},
    os::fd::AsFd,
};

pub(crate) use self::{
    file::{create as create_file, written_to},
    json::ending_call,
    summary::several,
};
pub use self::{
    json::{
        HeldBackProcess, SCHEMA, finding as finding_json, held_back as held_back_json,
        summary as summary_json,
    },
    options::{ColorChoice, Reporting},
    outcome::{Outcome, Seen},
    place::Place,
    processes::{Identity, ProcessSummary, Processes, UnjudgedBy},
    status::{Counts, Status},
    summary::{KERNEL_REASONS, LogSummary, Summary},
    table::finding as finding_table,
    when::When,
};
use crate::{judge::Finding, stack::Stack};

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON lines, for scripts.
    Json,
}

/// A finding with what only the system can add.
#[derive(Clone, Debug)]
pub struct Reported<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// When the connection was ended.
    pub time: When,
    /// The program of the process that ended it.
    pub exe: Option<&'a str>,
    /// The unit of systemd that it belongs to.
    pub unit: Option<&'a str>,
    /// The container.
    pub container: Option<&'a str>,
    /// The stack of the thread that ended it.
    pub stack: &'a Stack,
    /// Print the whole target, not only what is before the first `?`.
    pub show_query: bool,
    /// A log of strace tells it: of what the kernel knows of the socket, only what calls
    /// show.
    pub of_log: bool,
    /// Calls of which a log has no line, and that it holds only if they were
    /// traced.
    pub assumes: &'a [&'static str],
}

impl Reported<'_> {
    /// The request target as it may be printed.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        let target = self.finding.message.target.as_deref()?;
        if self.show_query {
            Some(target)
        } else {
            target.split('?').next()
        }
    }
}

/// Where it is printed.
pub struct Printer<'a> {
    out: Box<dyn Write + 'a>,
    format: Format,
    color: bool,
    columns: Option<u16>,
    /// One line a finding.
    brief: bool,
}

impl<'a> Printer<'a> {
    /// Prints to `out`, which is so many columns wide if it is a terminal.
    pub fn new(
        out: Box<dyn Write + 'a>,
        format: Format,
        color: bool,
        columns: Option<u16>,
    ) -> Self {
        Self {
            out,
            format,
            color,
            columns,
            brief: false,
        }
    }

    /// Prints findings for people in one line each.
    #[must_use]
    pub fn brief(self, brief: bool) -> Self {
        Self { brief, ..self }
    }

    /// Prints a finding, and passes it on at once.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finding(&mut self, reported: &Reported<'_>) -> io::Result<()> {
        match self.format {
            Format::Table if self.brief => {
                let line = brief::line(reported, self.color, self.columns);
                self.out.write_all(format!("{line}\n").as_bytes())?;
            }
            Format::Table => {
                let block = table::finding(reported, self.color, self.columns);
                self.out.write_all(format!("{block}\n\n").as_bytes())?;
            }
            Format::Json => {
                let line = json::finding(reported)? + "\n";
                self.out.write_all(line.as_bytes())?;
            }
        }
        self.out.flush()
    }

    /// Ends a line that somebody else may have begun.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn newline(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// Prints to standard error from now on: nobody reads the other any more.
    pub fn redirect_to_stderr(&mut self) {
        self.out = Box::new(io::stderr());
    }

    /// How it prints.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints the summary.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        match self.format {
            Format::Table => write!(self.out, "{summary}")?,
            Format::Json => writeln!(self.out, "{}", json::summary(summary)?)?,
        }
        self.out.flush()
    }
}

/// Says something on standard error, one line. What is said there is no result:
/// where nobody reads it any more, nothing is lost and nothing goes wrong.
pub fn note(text: fmt::Arguments<'_>) {
    let written = writeln!(io::stderr(), "truncwatch: {text}");
    drop(written);
}

/// The same of something long: on a terminal, in lines of whole words.
pub(crate) fn note_wrapped(text: &str) {
    for line in text::wrapped(&format!("truncwatch: {text}"), columns(io::stderr())) {
        aside(format_args!("{line}"));
    }
}

/// A line on standard error that is said with a note, as it is.
pub(crate) fn aside(text: fmt::Arguments<'_>) {
    let written = writeln!(io::stderr(), "{text}");
    drop(written);
}

/// How wide a terminal is; `None` where it is none.
#[must_use]
pub fn columns(terminal: impl AsFd) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    // A terminal that does not know says 0.
    (size.ws_col >= 40).then_some(size.ws_col)
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "durations; far below 2^53 ns matter"
)]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (14_991_808, "14,991,808"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
