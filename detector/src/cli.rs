//! The command line.

mod usage;

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    ops::Deref,
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::usage::in_one_line;
use crate::{
    analyze,
    capture::live::COMM_BYTES,
    report::{Format, terminal},
};

/// Report HTTP messages that were cut short, from what the kernel accepted.
///
/// truncwatch counts the bytes that the kernel took from a process on each
/// connection, compares them with the Content-Length that the process
/// promised, and reports every shutdown, close or exit that comes too early.
///
/// Without --pid and without a command every process on the host is watched, as
/// far as it passes the filters: --comm, --unit, --cgroup and --port. Of one
/// kind, one has to fit; of different kinds, all: `--comm nginx --comm node
/// --port 80` is nginx or node, on port 80.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "truncwatch",
    version,
    after_help = EXAMPLES,
    override_usage = USAGE,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// Another mode than watching.
    #[command(subcommand)]
    pub mode: Option<Mode>,

    /// What to watch.
    #[command(flatten)]
    pub watching: Watching,

    /// Print a file that is made from these definitions and do nothing else:
    /// the manual page, or a shell's completions
    #[arg(long, value_enum, value_name = "KIND", exclusive = true)]
    pub generate: Option<Generate>,
}

/// What to watch, for how long, and how to report it.
#[derive(Args, Clone, Debug)]
pub struct Watching {
    /// Watch these processes, with all their threads: `-p 12,34`, or as many words,
    /// as `--pid $(pidof nginx)` gives them; may be repeated
    #[arg(
        id = "pid",
        short,
        long,
        value_name = "PID",
        group = "root",
        num_args = 1..,
        allow_negative_numbers = true,
        value_parser = pids,
    )]
    pub pids: Vec<Pids>,

    /// The same one by one, each once.
    #[arg(skip)]
    pub pid: Vec<u32>,

    /// Watch its children too: those it has already and those to come, as with
    /// a server's master process; always so for a command
    #[arg(short, long, requires = "root")]
    pub follow: bool,

    /// Run this command and watch it with its children, until it ends: as the
    /// user who called sudo, with every probe in place before its first
    /// instruction
    #[arg(
        last = true,
        value_name = "COMMAND",
        group = "root",
        conflicts_with = "pid"
    )]
    pub command: Vec<OsString>,

    /// Only processes, or threads, of this name, as ps -e shows it: the kernel
    /// keeps 15 bytes of a name, and no more are compared; may be repeated
    #[arg(long, value_name = "NAME", help_heading = FILTERS, value_parser = name)]
    pub comm: Vec<String>,

    /// Only processes of this unit of systemd, such as nginx.service, also when
    /// it is started anew; may be repeated
    #[arg(long, value_name = "NAME", help_heading = FILTERS, value_parser = unit)]
    pub unit: Vec<String>,

    /// Only processes in this control group (version 2) or below, by its folder
    /// or as in /proc/PID/cgroup; may be repeated
    #[arg(long, value_name = "PATH", help_heading = FILTERS)]
    pub cgroup: Vec<PathBuf>,

    /// Only connections with this local or remote port; may be repeated
    #[arg(
        long,
        value_name = "N",
        help_heading = FILTERS,
        allow_negative_numbers = true,
        value_parser = port,
    )]
    pub port: Vec<u16>,

    /// Stop after so many seconds; a command is then ended with SIGTERM
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        value_parser = seconds,
    )]
    pub duration: Option<std::time::Duration>,

    /// Stop after so many findings; a command is then ended with SIGTERM
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = count,
    )]
    pub count: Option<u64>,

    /// Report also a message that owes bytes and made no progress for so many
    /// seconds, on a socket that is still connected; 0 is off
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        value_parser = seconds_or_none,
        default_value = "0",
    )]
    pub stall: std::time::Duration,

    /// How to report it.
    #[command(flatten)]
    pub reporting: Reporting,

    /// Copy no stacks: findings then do not say who called what ended them
    #[arg(long)]
    pub no_stack: bool,

    /// Copy the stack of each finding; else, of a process's findings, of eight at
    /// once and then of one a second
    #[arg(long, conflicts_with = "no_stack")]
    pub all_stacks: bool,

    /// Say on standard error what is watched, and the kernel side's counters
    #[arg(short, long)]
    pub verbose: bool,

    /// Size of the ring buffer in bytes; a power of two of at least a page
    #[arg(long, value_name = "BYTES", hide = true, default_value_t = crate::capture::live::RING_BYTES)]
    pub ring_bytes: u32,

    /// Most connections that are tracked at a time
    #[arg(long, value_name = "N", hide = true)]
    pub max_connections: Option<u32>,

    /// Take this tracepoint, or this kernel field (structure.path), for missing;
    /// may be repeated
    #[arg(long, value_name = "NAME", hide = true)]
    pub hide: Vec<String>,

    /// Load this BPF object instead of the embedded one
    #[arg(long, value_name = "FILE", hide = true)]
    pub bpf_object: Option<PathBuf>,
}

/// What to report, where and how: of a watch, and of a log.
#[derive(Args, Clone, Debug)]
pub struct Reporting {
    /// Report also what the peer cut short (always counted)
    #[arg(long)]
    pub show_peer: bool,

    /// Print request targets whole; they are cut at `?` otherwise
    #[arg(long)]
    pub show_query: bool,

    /// Write the report to this file instead of standard output; with a command it
    /// keeps the two apart
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print findings as blocks for people or as JSON lines for scripts
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: FormatName,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Print one line a finding: when, cause, fault, process, message, bytes sent
    /// of those promised, and the call that ended it
    #[arg(long, conflicts_with_all = ["json", "format"])]
    pub brief: bool,

    /// When to use colours; auto heeds NO_COLOR and TERM=dumb in the environment
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// Processes of one word of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pids(Vec<u32>);

const USAGE: &str = "\
truncwatch [OPTIONS]
       truncwatch [OPTIONS] -- COMMAND [ARGUMENTS]
       truncwatch record [OPTIONS] -o FILE [-- COMMAND [ARGUMENTS]]
       truncwatch analyze [OPTIONS] FILE
       truncwatch doctor [--json]
       truncwatch daemon [--config FILE] [--check-config]";

const FILTERS: &str = "Filters";

const EXAMPLES: &str = "\
Examples:
  sudo truncwatch --pid 4242
      Watch one server until Ctrl-C; then print a summary.
  sudo truncwatch -f --pid $(pidof nginx)
      Watch a master process and its workers, also those to come.
  sudo truncwatch -- ./server --listen 8080
      Run a server as yourself and watch it from its first instruction.
  sudo truncwatch --unit nginx.service --port 80
      Watch what a service does on one port, across restarts.
  sudo truncwatch --json --duration 60 -o findings.jsonl
      Watch the whole host for a minute, for a script.
  truncwatch analyze trace.log
      Judge a log that strace wrote.
  sudo truncwatch record -o watch.rec --pid 4242
  truncwatch analyze watch.rec
      Keep what a watch is judged by, and judge it later.
  sudo truncwatch doctor
      See what works on this kernel with these privileges.
  sudo truncwatch daemon --config truncwatch.toml
      Watch for months; systemctl start truncwatch does that.
  truncwatch --generate complete-bash
      Print completions for bash; man is the manual page.

Exit status:
  0  watched or read to the end, no finding whose fault is local (one
     whose fault is unknown, as after the peer's FIN over TCP, does not count)
  1  at least one such finding
  2  could not do the work
  3  no such finding, but something was missed (events lost, map full,
     a log that shows too little), or there was traffic that may have been
     HTTP and nothing of it was judged (encrypted, http2, mid-stream,
     not-observed)
With a command, one that failed gives its own status where there is no such
finding: as a shell has it, 128 and the number of the signal for one that was
killed. A line on standard error says whose status it is. One that ended by
SIGTERM because a limit was reached has not failed.

A connection of which both ends are watched, as on loopback, counts as two.

What is not judged is counted in the summary by reason (encrypted, mid-stream,
head-cut, ...). What each means and what to do about it, and every field of the
JSON lines: docs/json.md in the source, /usr/share/doc/truncwatch/json.md in the
package.";

/// Another mode than watching.
#[derive(Clone, Debug, Subcommand)]
pub enum Mode {
    /// Judge a log of strace, or a recording, instead of watching; needs no root
    Analyze(analyze::Options),
    /// Watch, and keep what was judged in a file, for `truncwatch analyze`
    Record(Box<RecordOptions>),
    /// Say what works on this kernel with these privileges, by trying it
    #[command(after_help = DOCTOR_STATUS)]
    Doctor(DoctorOptions),
    /// Watch without end, for a service manager: findings to the journal, numbers
    /// to Prometheus
    #[command(after_help = DAEMON_NOTES)]
    Daemon(DaemonOptions),
}

/// Where the daemon's configuration is.
#[derive(Args, Clone, Debug)]
pub struct DaemonOptions {
    /// Read this configuration [default: /etc/truncwatch/truncwatch.toml, if it is
    /// there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Say whether the configuration is right, and do nothing else
    #[arg(long)]
    pub check_config: bool,
}

const DAEMON_NOTES: &str = "\
Without a configuration every process on the host is watched, findings go to
the journal, or as JSON lines to standard output where there is none, and
metrics are at http://127.0.0.1:9849/metrics.
/etc/truncwatch/truncwatch.toml, as it is shipped, explains every key.

Signals:
  SIGHUP             read the configuration again; counters and limits stay
  SIGTERM, SIGINT    end: what is open is judged, what was held back is told

Exit status:
  0  ended by a signal, whatever was found
  2  could not do the work, or the configuration is wrong";

/// What to record: the options of a watch.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Watch, and keep what was judged in a file, for truncwatch analyze",
    after_help = RECORD_NOTES,
    override_usage = "truncwatch record [OPTIONS] -o FILE [-- COMMAND [ARGUMENTS]]",
    mut_arg("output", |argument| argument
        .required(true)
        .help("Write the recording to this file, which only you may read")),
    mut_arg("json", |argument| argument
        .help("Print the findings too, as JSON lines; nothing is printed otherwise")),
    mut_arg("format", |argument| argument.hide(true)),
    mut_arg("color", |argument| argument.hide(true)),
    mut_arg("brief", |argument| argument.hide(true)),
    mut_arg("show_query", |argument| argument
        .help("Keep request targets whole; what follows `?` is taken out otherwise")),
)]
pub struct RecordOptions {
    /// What to watch.
    #[command(flatten)]
    pub watching: Watching,

    /// Replace the file if it is there; without, that is refused
    #[arg(long)]
    pub force: bool,
}

const RECORD_NOTES: &str = "\
A recording holds what the judge read: the framing of messages (first lines,
Content-Length, Transfer-Encoding and Connection, sizes of chunks), counts,
times, addresses, and the stacks of findings. Other fields and the bytes of
bodies are taken out before it is written.

Examples:
  sudo truncwatch record -o watch.rec --pid 4242
      Record a watch until Ctrl-C.
  truncwatch analyze watch.rec
      Judge it again: the same findings, also on another machine.

Exit status: that of a watch.";

/// How to print what `doctor` found.
#[derive(Args, Clone, Copy, Debug)]
pub struct DoctorOptions {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,

    /// When to use colours; auto heeds NO_COLOR and TERM=dumb in the environment
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

const DOCTOR_STATUS: &str = "\
Exit status:
  0  everything works
  2  watching cannot work; the remedy is in the table
  3  watching works, and something is not seen";

/// Files made from the definitions of the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// The manual page, for troff.
    Man,
    /// Completions for bash.
    CompleteBash,
    /// Completions for zsh.
    CompleteZsh,
    /// Completions for fish.
    CompleteFish,
    /// Completions for elvish.
    CompleteElvish,
    /// Completions for PowerShell.
    CompletePowershell,
}

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

/// Reads the command line. Where help or the version was asked for, prints that
/// and ends the program.
///
/// # Errors
///
/// If it is not understood: with one line that says why and what to do.
pub fn parse() -> Result<Cli, UsageError> {
    parse_from(std::env::args_os().collect())
}

fn parse_from(words: Vec<OsString>) -> Result<Cli, UsageError> {
    // A script's variable that is empty must not make it the whole host.
    let ends_in_dashes = words.last().is_some_and(|word| word == "--");
    let mut cli = Cli::try_parse_from(&words).map_err(|error| {
        if error.use_stderr() {
            UsageError(in_one_line(&error, &words))
        } else {
            error.exit()
        }
    })?;
    let watching = match &mut cli.mode {
        Some(Mode::Record(options)) => &mut options.watching,
        _ => &mut cli.watching,
    };
    watching.list_pids();
    let command = &watching.command;
    if ends_in_dashes && command.is_empty() {
        let text = "no command after --: give one, or leave out the -- (see truncwatch --help)";
        return Err(UsageError(text.to_owned()));
    }
    Ok(cli)
}

/// A command line that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl ColorChoice {
    /// Whether to use colours for what goes to standard output.
    #[must_use]
    pub fn wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                io::stdout().is_terminal()
                    && !terminal::is_dumb()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}

impl Watching {
    /// Takes the processes out of the words that name them.
    fn list_pids(&mut self) {
        for pid in self.pids.iter().flat_map(|word| &word.0) {
            if !self.pid.contains(pid) {
                self.pid.push(*pid);
            }
        }
    }
}

impl Deref for Watching {
    type Target = Reporting;

    fn deref(&self) -> &Reporting {
        &self.reporting
    }
}

impl Reporting {
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

/// The processes of a word, which a shell may have made of several: `12,34`, `12 34`.
fn pids(text: &str) -> Result<Pids, String> {
    const WANTED: &str = "give the numbers of processes, as ps -e shows them";
    let split = |letter: char| letter == ',' || letter.is_whitespace();
    let words: Vec<_> = text.trim().split(split).collect();
    let pid = |word: &str| word.parse().ok().filter(|pid: &u32| *pid > 0);
    if let [word] = words.as_slice() {
        let pid = pid(word).ok_or_else(|| WANTED.to_owned())?;
        return Ok(Pids(vec![pid]));
    }
    let mut found = Vec::new();
    // A comma and a space are one separation; two commas have nothing between them.
    let spaced = text.split(',').map(str::trim);
    for part in spaced {
        if part.is_empty() {
            return Err(format!(
                "there is no number between two commas, or at an end: {WANTED}"
            ));
        }
        for word in part.split_whitespace() {
            found.push(pid(word).ok_or_else(|| format!("{word} is no such number: {WANTED}"))?);
        }
    }
    Ok(Pids(found))
}

fn port(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|port| *port > 0);
    number.ok_or_else(|| {
        "give one port, from 1 to 65535; for several, --port may be repeated".to_owned()
    })
}

fn count(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|count| *count > 0);
    number.ok_or_else(|| "give a number of findings, 1 or more".to_owned())
}

/// As much of a process's name as the kernel keeps (`TASK_COMM_LEN`, proc(5)).
pub(crate) fn kept(name: &str) -> &[u8] {
    let bytes = name.as_bytes();
    bytes.get(..COMM_BYTES).unwrap_or(bytes)
}

pub(crate) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("give a name as ps -e prints it".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn unit(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '\0']) || text.starts_with(['.', '-']) {
        return Err("give a unit's name, such as nginx.service".to_owned());
    }
    Ok(text.to_owned())
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
    fn a_command_keeps_its_own_options() {
        let all = [
            "truncwatch",
            "--json",
            "-f",
            "--",
            "sh",
            "-c",
            "true",
            "--json",
        ];
        let cli = Cli::try_parse_from(all);
        assert!(cli.is_ok_and(|cli| cli.watching.command == ["sh", "-c", "true", "--json"]));
    }

    #[test]
    fn no_command_is_not_the_whole_host() {
        let parsed = |words: &[&str]| parse_from(words.iter().map(OsString::from).collect());
        assert!(parsed(&["truncwatch", "--"]).is_err());
        assert!(parsed(&["truncwatch", "--", "sh", "--"]).is_ok());
        assert!(parsed(&["truncwatch"]).is_ok());
        assert!(parsed(&["truncwatch", "record", "-o", "x", "--"]).is_err());
        assert!(parsed(&["truncwatch", "record", "-o", "x", "--", "sh", "--"]).is_ok());
        assert!(parsed(&["truncwatch", "record", "--pid", "1"]).is_err());
    }

    #[test]
    fn processes_come_in_lists() {
        let listed = |words: &[&str]| {
            let words = words.iter().map(OsString::from).collect();
            parse_from(words).map(|cli| match cli.mode {
                Some(Mode::Record(options)) => options.watching.pid,
                _ => cli.watching.pid,
            })
        };
        for (words, pids) in [
            (&["-p", "1,2"][..], &[1, 2][..]),
            (&["-p1,2"], &[1, 2]),
            (&["--pid=1,2"], &[1, 2]),
            (&["--pid", "1, 2"], &[1, 2]),
            (&["--pid", " 1 2\n"], &[1, 2]),
            // As a shell expands $(pidof nginx).
            (&["--pid", "12", "34", "56"], &[12, 34, 56]),
            (&["-f", "--pid", "12", "34", "--json"], &[12, 34]),
            (&["--pid", "12", "34", "-f", "-p", "56,12"], &[12, 34, 56]),
            (&["record", "-o", "x", "-p", "1", "2,3"], &[1, 2, 3]),
            (&["--json"], &[]),
            (&["--", "-p", "1"], &[]),
        ] {
            let words = [&["truncwatch"], words].concat();
            let listed = listed(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert_eq!(listed, pids, "{words:?}");
        }
        for words in [
            &["-p", "1,,2"][..],
            &["-p", "1,"],
            &["-p", ","],
            &["-p", ""],
            &["-p", "1,x"],
            &["-p", "1", "x"],
            &["-p", "1 0"],
            &["-p", "1,-2"],
            &["-p", "1", "-2"],
            &["-p", "1-3"],
            &["-p"],
            &["--pid", "--json"],
            &["--pid", "1", "2", "--", "true"],
            &["--pid", "1", "4294967296"],
        ] {
            let words = [&["truncwatch"], words].concat();
            let error = match listed(&words) {
                Ok(pids) => panic!("{words:?}: {pids:?}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(error.lines().count(), 1, "{error}");
        }
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
            &["--port", "0"],
            &["--port", "65536"],
            &["--unit", "../x"],
            &["--comm", ""],
            &["--pid", "1", "--", "true"],
            &["--pid", "1", "doctor"],
            &["--generate", "man", "--pid", "1"],
            &["true"],
        ] {
            let all = std::iter::once(&"truncwatch").chain(arguments);
            assert!(Cli::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
