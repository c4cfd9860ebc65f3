//! The command line of `truncwatch analyze`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{ColorChoice, FormatName},
    report::Format,
};

/// Which log, and how to report.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The log that strace wrote, with -o or from standard error, or what
    /// truncwatch record wrote; gzip is unpacked; - is standard input
    #[arg(value_name = "FILE")]
    pub log: PathBuf,

    /// Report also what the peer cut short (always counted)
    #[arg(long)]
    pub show_peer: bool,

    /// Print request targets whole; they are cut at `?` otherwise
    #[arg(long)]
    pub show_query: bool,

    /// Write the report to this file instead of standard output
    #[arg(short, long, value_name = "REPORT")]
    pub output: Option<PathBuf>,

    /// Print findings as blocks for people or as JSON lines for scripts
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: FormatName,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// When to use colours; NO_COLOR in the environment is heeded
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

const EXAMPLES: &str = "\
Examples:
  strace -f -tt -yy -s 8192 -e trace=%net,%desc,%process -o trace.log ./server
  truncwatch analyze trace.log
      Run a server under strace; judge what it did.
  zcat trace.log.gz | truncwatch analyze --json -
      Judge standard input, for a script.

Exit status:
  0  read to the end, no finding whose fault is local
  1  at least one such finding
  2  no log of strace and no recording, or it cannot be read
  3  no such finding, but the file shows too little of something";

impl Options {
    /// How to print.
    #[must_use]
    pub fn format(&self) -> Format {
        if self.json || self.format == FormatName::Json {
            Format::Json
        } else {
            Format::Table
        }
    }
}
