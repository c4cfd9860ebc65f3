//! The command line: what clap parses, and the plain options that the rest takes.

mod analyze;
mod daemon;
mod doctor;
mod record;
mod reporting;
mod usage;
mod watch;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use self::{
    analyze::AnalyzeArguments,
    daemon::{DAEMON_NOTES, DaemonArguments},
    doctor::{DOCTOR_STATUS, DoctorArguments},
    record::RecordArguments,
    usage::in_one_line,
    watch::WatchArguments,
};
/// Report HTTP messages that were cut short, from what the kernel accepted.
///
/// truncwatch counts the bytes that the kernel took from a process on each
/// connection, compares them with the Content-Length that the process
/// promised, and reports every shutdown, close or exit that comes too early.
///
/// Without --pid and without a command every process on the host is watched that
/// passes the filters: --comm, --unit, --cgroup and --port. Repeat a filter to
/// match any of its values; different filters must all match: `--comm nginx
/// --comm node --port 80` is nginx or node, on port 80.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "truncwatch",
    version,
    after_help = EXAMPLES,
    override_usage = USAGE,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    /// Another mode than watching.
    #[command(subcommand)]
    mode: Option<ModeArguments>,

    /// What to watch.
    #[command(flatten)]
    watching: WatchArguments,

    /// Print a file that is made from these definitions and do nothing else:
    /// the manual page, or a shell's completions
    #[arg(long, value_enum, value_name = "KIND", exclusive = true)]
    generate: Option<Generate>,
}

const USAGE: &str = "\
truncwatch [OPTIONS]
       truncwatch [OPTIONS] -- COMMAND [ARGUMENTS]
       truncwatch record [OPTIONS] -o FILE [-- COMMAND [ARGUMENTS]]
       truncwatch analyze [OPTIONS] FILE
       truncwatch doctor [--json]
       truncwatch daemon [--config FILE] [--check-config]";

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
enum ModeArguments {
    /// Judge a log of strace, or a recording, instead of watching; needs no root
    Analyze(AnalyzeArguments),
    /// Watch, and keep what was judged in a file, for `truncwatch analyze`
    Record(Box<RecordArguments>),
    /// Say what works on this kernel with these privileges, by trying it
    #[command(after_help = DOCTOR_STATUS)]
    Doctor(DoctorArguments),
    /// Watch without end, for a service manager: findings to the journal, numbers
    /// to Prometheus
    #[command(after_help = DAEMON_NOTES)]
    Daemon(DaemonArguments),
}

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

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Mode {
    /// A watch.
    Watch(crate::watch::Options),
    /// A watch that is written down.
    Record(crate::watch::RecordOptions),
    /// A log, or a recording.
    Analyze(crate::analyze::Options),
    /// What works here.
    Doctor(crate::doctor::Options),
    /// A watch without end.
    Daemon(crate::daemon::Options),
    /// A file made from the definitions.
    Generate(Generate),
}

/// The definitions that `--help`, the manual page and completions are made of.
#[must_use]
pub fn definitions() -> clap::Command {
    Arguments::command()
}

/// Reads the command line. Where help or the version was asked for, prints that
/// and ends the program.
///
/// # Errors
///
/// If it is not understood: with one line that says why and what to do.
pub fn parse() -> Result<Mode, UsageError> {
    parse_from(std::env::args_os().collect())
}

/// The same of these words, of which the first is the program.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_from(words: Vec<OsString>) -> Result<Mode, UsageError> {
    // A script's variable that is empty must not make it the whole host.
    let ends_in_dashes = words.last().is_some_and(|word| word == "--");
    let arguments = Arguments::try_parse_from(&words).map_err(|error| {
        if error.use_stderr() {
            UsageError(in_one_line(&definitions(), &error, &words))
        } else {
            error.exit()
        }
    })?;
    let watching = match &arguments.mode {
        Some(ModeArguments::Record(record)) => &record.watching,
        _ => &arguments.watching,
    };
    if ends_in_dashes && watching.command.is_empty() {
        let text = "no command after --: give one, or leave out the -- (see truncwatch --help)";
        return Err(UsageError(text.to_owned()));
    }
    Ok(match (arguments.mode, arguments.generate) {
        (Some(ModeArguments::Analyze(analyze)), _) => Mode::Analyze(analyze.build()),
        (Some(ModeArguments::Record(record)), _) => Mode::Record(record.build()),
        (Some(ModeArguments::Doctor(doctor)), _) => Mode::Doctor(doctor.build()),
        (Some(ModeArguments::Daemon(daemon)), _) => Mode::Daemon(daemon.build()),
        (None, Some(kind)) => Mode::Generate(kind),
        (None, None) => Mode::Watch(arguments.watching.build()),
    })
}

/// A command line that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        definitions().debug_assert();
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
        let cli = Arguments::try_parse_from(all);
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
            parse_from(words).map(|mode| match mode {
                Mode::Watch(options) => options.pids,
                Mode::Record(options) => options.watch.pids,
                other => panic!("{other:?}"),
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
            assert!(Arguments::try_parse_from(all).is_err(), "{arguments:?}");
        }
    }
}
