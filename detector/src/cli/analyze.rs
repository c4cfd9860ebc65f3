//! The command line of `truncwatch analyze`.

use std::path::PathBuf;

use clap::Args;

use super::reporting::ReportingArguments;
use crate::analyze::Options;

/// Which log, and how to report.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("output", |argument| argument.value_name("REPORT")),
)]
pub(super) struct AnalyzeArguments {
    /// The log that strace wrote, with -o or from standard error, or what
    /// truncwatch record wrote; gzip is unpacked; - is standard input
    #[arg(value_name = "FILE")]
    log: PathBuf,

    /// strace was asked for every call that matters (%net, %desc, %process,
    /// close_range and unshare), although the log does not show it
    #[arg(long)]
    all_traced: bool,

    /// How to report it.
    #[command(flatten)]
    reporting: ReportingArguments,
}

impl AnalyzeArguments {
    /// The same as the analysis takes it.
    pub(super) fn build(self) -> Options {
        Options {
            log: self.log,
            all_traced: self.all_traced,
            reporting: self.reporting.build(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  strace -f -tt -yy -s 8192 -o trace.log \\
    -e trace=%net,%desc,%process,close_range,unshare ./server
  truncwatch analyze trace.log
      Run a server under strace; judge what it did.
  zcat trace.log.gz | truncwatch analyze --json -
      Judge standard input, for a script.

A log shows what strace was asked for, and no more: \"not judged: none\" means that
nothing of what is in the log was left out. Calls that were not traced, processes
that were not followed (-f) and what came before strace are not in it; what shows
that something is missing is counted, and says so.

Exit status:
  0  read to the end, no finding whose fault is local
  1  at least one such finding
  2  no log of strace and no recording, or it cannot be read
  3  no such finding, but the file shows too little of something

What each reason of not judging means, and what to do: docs/json.md (see
truncwatch --help).";
