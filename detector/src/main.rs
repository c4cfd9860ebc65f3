//! The program: parse, run one mode, turn the outcome into an exit status.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use truncwatch::{
    analyze,
    cli::{self, Cli, Generate, Mode},
    daemon, doctor, generate,
    report::note,
    watch,
};

fn main() -> ExitCode {
    match cli::parse().map_err(Into::into).and_then(|cli| run(&cli)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // One line, whatever the causes hold.
            let text = format!("{error:#}")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            note(format_args!("{text}"));
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<u8> {
    match (&cli.mode, cli.generate) {
        (Some(Mode::Analyze(options)), _) => Ok(analyze::run(options)?.exit_status()),
        (Some(Mode::Record(options)), _) => Ok(watch::record(options)?.status),
        (Some(Mode::Doctor(options)), _) => doctor::run(options),
        (Some(Mode::Daemon(options)), _) => daemon::run(options),
        (None, Some(kind)) => print(kind),
        (None, None) => Ok(watch::run(&cli.watching)?.status),
    }
}

/// Prints a file for packages.
fn print(kind: Generate) -> Result<u8> {
    let mut out = io::stdout().lock();
    match generate::write(kind, &mut out).and_then(|()| out.flush()) {
        // A reader that has seen enough, such as head.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        result => Ok(result.map(|()| 0)?),
    }
}
