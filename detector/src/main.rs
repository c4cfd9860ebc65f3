//! The program: parse, run one mode, turn the outcome into an exit status.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use truncwatch::{
    analyze,
    cli::{self, Generate, Mode},
    daemon, doctor, generate,
    report::note,
    watch,
};

fn main() -> ExitCode {
    match cli::parse().map_err(Into::into).and_then(|mode| run(&mode)) {
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

fn run(mode: &Mode) -> Result<u8> {
    match mode {
        Mode::Watch(options) => Ok(watch::run(options)?.status),
        Mode::Record(options) => Ok(watch::record(options)?.status),
        Mode::Analyze(options) => Ok(analyze::run(options)?.exit_status()),
        Mode::Doctor(options) => doctor::run(options),
        Mode::Daemon(options) => daemon::run(options),
        Mode::Generate(kind) => print(*kind),
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
