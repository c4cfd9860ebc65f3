//! The program: parse, run, turn the outcome into an exit status.

use std::process::ExitCode;

use clap::Parser as _;
use truncwatch::{cli::Cli, watch};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match watch::run(&cli) {
        Ok(summary) => ExitCode::from(summary.exit_status()),
        Err(error) => {
            // One line, whatever the causes hold.
            let text = format!("{error:#}")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            eprintln!("truncwatch: {text}");
            ExitCode::from(2)
        }
    }
}
