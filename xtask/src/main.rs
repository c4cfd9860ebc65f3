//! truncwatch's chores, as `cargo xtask …`.

mod demo;
mod deny;
mod dist;
mod ebpf;
mod fuzz;
mod prove;
mod test;

use std::process::ExitCode;

use bench::soak;
use clap::{Parser, Subcommand};
use host::setup;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "truncwatch's chores")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building the kernel side and the tests need
    Setup(setup::Arguments),
    /// Build the kernel side from source, into the committed objects
    Ebpf(ebpf::Arguments),
    /// Watch a real server with hyper's bug, then one without
    Demo,
    /// Run all tests but the matrix of servers; as root those on the live kernel too
    Test,
    /// Run what reads bytes from outside with inputs that libFuzzer makes
    Fuzz(fuzz::Arguments),
    /// Measure what watching costs, as ratios of interleaved runs
    Bench(bench::Arguments),
    /// Build what is installed: a static program, a package for Debian, an archive; and the book
    Dist(dist::Arguments),
    /// Check licences, bans, sources and advisories of the dependencies (deny.toml)
    Deny,
    /// Put the daemon under mixed load for long, and compare what it tells
    Soak(soak::Arguments),
    /// Run what takes hours in batches, and add what they prove to docs/proved.json
    Prove(prove::Arguments),
    /// Run the tests of the live kernel on other kernels, in emulated machines
    Vm(machines::Arguments),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Ebpf(arguments) => ebpf::run(&arguments),
        Task::Demo => demo::run(),
        Task::Test => test::run(),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Deny => deny::run(),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Prove(arguments) => prove::run(&arguments),
        Task::Vm(arguments) => machines::run(&arguments, dist::package),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
