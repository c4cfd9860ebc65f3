//! truncwatch's chores, as `cargo xtask …`.

mod bench;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "truncwatch's chores")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure what watching costs, as ratios of interleaved runs
    Bench(bench::Arguments),
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Bench(arguments) => bench::run(&arguments),
    }
}
