//! The program: parse, run, turn the outcome into an exit status.

use std::process::ExitCode;

use clap::Parser as _;
use truncwatch::{
    analyze,
    cli::{Cli, Command},
    watch,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Some(Command::Analyze(options)) => analyze::run(options),
        None => watch::run(&cli),
    };
    match outcome {
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
