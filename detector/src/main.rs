//! The program: parse, run one mode, turn the outcome into an exit status.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser as _;
use truncwatch::{
    cli::{Cli, Generate},
    generate,
    report::note,
    watch,
};

fn main() -> ExitCode {
    match run(&Cli::parse()) {
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
    match cli.generate {
        Some(kind) => print(kind),
        None => Ok(watch::run(cli)?.exit_status()),
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
