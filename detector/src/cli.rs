//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{analyze, report::Format};

/// Report HTTP messages that were cut short, from what the kernel accepted.
///
/// truncwatch counts the bytes that the kernel took from a process on each
/// connection, compares them with the Content-Length that the process
/// promised, and reports every shutdown, close or exit that comes too early.
#[derive(Clone, Debug, Parser)]
#[command(name = "truncwatch", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of watching
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Watch this process, with all its threads; may be repeated. Without it
    /// every process on the host is watched
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Vec<u32>,

    /// Watch its children too: those it has already and those to come, as with
    /// a server's master process
    #[arg(short, long, requires = "pid")]
    pub follow: bool,

    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<std::time::Duration>,

    /// Stop after so many findings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Report also a message that owes bytes and made no progress for so many
    /// seconds; 0 is off
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_none, default_value = "0")]
    pub stall: std::time::Duration,

    /// Report also what the peer cut short (always counted)
    #[arg(long)]
    pub show_peer: bool,

    /// Print request targets whole; they are cut at `?` otherwise
    #[arg(long)]
    pub show_query: bool,

    /// Write the report to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
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

    /// Copy no stacks: findings then do not say who called what ended them
    #[arg(long)]
    pub no_stack: bool,

    /// Say on standard error what is watched, and the kernel side's counters
    #[arg(short, long)]
    pub verbose: bool,

    /// Size of the ring buffer in bytes; a power of two of at least a page
    #[arg(long, value_name = "BYTES", hide = true, default_value_t = crate::capture::live::RING_BYTES)]
    pub ring_bytes: u32,

    /// Most connections that are tracked at a time
    #[arg(long, value_name = "N", hide = true)]
    pub max_connections: Option<u32>,

    /// Load this BPF object instead of the embedded one
    #[arg(long, value_name = "FILE", hide = true)]
    pub bpf_object: Option<PathBuf>,
}

/// What else there is to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Judge a log of strace instead of watching; needs no root
    Analyze(analyze::Options),
}

const EXAMPLES: &str = "\
Examples:
  sudo truncwatch --pid 4242
      Watch one server until Ctrl-C; then print a summary.
  sudo truncwatch -f --pid $(cat /run/nginx.pid)
      Watch a master process and its workers.
  sudo truncwatch --json --duration 60 -o findings.jsonl
      Watch the whole host for a minute, for a script.
  truncwatch analyze trace.log
      Judge a log that strace wrote.

Exit status:
  0  watched or read to the end, no finding whose fault is local
  1  at least one such finding
  2  could not do the work
  3  no such finding, but something was missed (events lost, map full,
     a log that shows too little)";

/// See [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Blocks for people.
    Table,
    /// JSON lines.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Cli {
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

fn seconds(text: &str) -> Result<std::time::Duration, String> {
    duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give a positive number of seconds, such as 60 or 0.5".to_owned())
}

fn seconds_or_none(text: &str) -> Result<std::time::Duration, String> {
    duration(text).ok_or_else(|| "give a number of seconds, such as 30; 0 is off".to_owned())
}

fn duration(text: &str) -> Option<std::time::Duration> {
    std::time::Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_values_are_refused() {
        for arguments in [
            &["--pid", "0"][..],
            &["--pid", "x"],
            &["--duration", "0"],
            &["--duration", "-1"],
            &["--duration", "inf"],
            &["--count", "0"],
            &["--follow"],
            &["--json", "--format", "table"],
        ] {
            let all = std::iter::once(&"truncwatch").chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
