//! Measures what watching costs, and prints it. Times are not asserted: they
//! differ from machine to machine and from run to run. What is asserted is that
//! nothing is found where nothing was cut short.
//!
//! | file | what it does |
//! | --- | --- |
//! | `per_call.rs` | nanoseconds that a watch adds to a system call |
//! | `probe_effect.rs` | whether a watch changes how often a race is lost |
//! | `startup.rs` | milliseconds until a watch begins |
//! | [`healthy`] | what is found among healthy messages: nothing |
//! | `analyze.rs` | how fast a log of strace is judged, and with how much memory |
//! | `burst.rs` | how much the daemon can take |
//! | `server.rs` | what a watch costs nginx under load |
//! | [`soak`] | the daemon under mixed load for long, and what it tells |
//! | `observer.rs` | starts and ends truncwatch, strace and bpftrace |
//! | `worker.rs` | the process whose calls are timed |
//! | `wrk.rs` | runs wrk, and reads what it says |
//! | `lines.rs` | waits for a line, but not forever |
//! | `statistics.rs` | medians and their like |

mod analyze;
mod burst;
pub mod healthy;
mod lines;
mod observer;
mod per_call;
mod probe_effect;
mod server;
pub mod soak;
mod startup;
mod statistics;
mod worker;
mod wrk;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use host::root;
use serde::Serialize;

/// What to measure, and how often.
#[derive(Args)]
pub struct Arguments {
    /// What to measure; everything if nothing is named
    #[arg(value_enum)]
    names: Vec<Name>,

    /// Print one JSON object per measurement
    #[arg(long)]
    json: bool,

    /// Connections per variant of probe-effect
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,

    /// Worker threads of the server of probe-effect: 0 is tokio's default, one on the one CPU it may
    /// run on, 1 its runtime without workers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=64))]
    threads: u32,

    /// Server and clients of probe-effect may run on every CPU, not on one
    #[arg(long)]
    unpinned: bool,

    /// Rounds of per-call, server and analyze, runs of startup
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Messages of healthy, over all servers together
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,

    /// Size of the log of analyze, in millions of bytes
    #[arg(long, value_name = "MB", default_value_t = 1074, value_parser = clap::value_parser!(u64).range(1..))]
    megabytes: u64,

    /// Leave out strace, which takes most of the time of per-call and
    /// probe-effect; its numbers are then missing
    #[arg(long)]
    no_strace: bool,

    /// Another build of truncwatch, which takes its turn in the rounds of per-call, probe-effect,
    /// startup and server
    #[arg(long, value_name = "PROGRAM")]
    beside: Option<PathBuf>,

    /// Be the process that is measured
    #[arg(long, hide = true)]
    worker: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Nanoseconds added to a system call
    PerCall,
    /// Change of a race's outcome
    ProbeEffect,
    /// Milliseconds until a watch begins
    Startup,
    /// CPU per request and requests per second of nginx
    Server,
    /// Responses per second that the daemon can take, its CPU and memory
    Burst,
    /// Findings among healthy messages
    Healthy,
    /// Seconds to judge a log of strace, against grep
    Analyze,
}

/// Programs that return at once, on the same hooks: built from
/// `detector-ebpf/src/bin/empty.rs`.
const EMPTY: &str = "bench/bpf/empty.bpf.o";

/// What is measured.
#[derive(Clone, Copy)]
struct Programs<'a> {
    /// The build of this tree.
    truncwatch: &'a Path,
    /// Another build to compare with.
    beside: Option<&'a Path>,
}

/// A measurement, with its name.
#[derive(Serialize)]
struct Measurement<T> {
    bench: &'static str,
    #[serde(flatten)]
    result: T,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.worker {
        return worker::work();
    }
    let truncwatch = root::build_truncwatch()?;
    let programs = Programs {
        truncwatch: &truncwatch,
        beside: arguments.beside.as_deref(),
    };
    let wanted = |name| arguments.names.is_empty() || arguments.names.contains(&name);
    if wanted(Name::PerCall) {
        let result = per_call::measure(programs, arguments.rounds, !arguments.no_strace)?;
        print(arguments, "per-call", result)?;
    }
    if wanted(Name::ProbeEffect) {
        let strace = !arguments.no_strace;
        let setting = probe_effect::Setting {
            threads: arguments.threads,
            pinned: !arguments.unpinned,
        };
        let result = probe_effect::measure(programs, arguments.connections, setting, strace)?;
        print(arguments, "probe-effect", result)?;
    }
    if wanted(Name::Startup) {
        let result = startup::measure(programs, arguments.rounds)?;
        print(arguments, "startup", result)?;
    }
    if wanted(Name::Server) {
        let result = server::measure(programs, arguments.rounds, !arguments.no_strace)?;
        print(arguments, "server", result)?;
    }
    if wanted(Name::Burst) {
        print(arguments, "burst", burst::measure(&truncwatch)?)?;
    }
    if wanted(Name::Analyze) {
        let result = analyze::measure(&truncwatch, arguments.rounds, arguments.megabytes)?;
        print(arguments, "analyze", result)?;
    }
    if wanted(Name::Healthy) {
        let result = healthy::measure(&truncwatch, arguments.messages)?;
        let right = result.assert_right();
        print(arguments, "healthy", result)?;
        right?;
    }
    Ok(())
}

fn print<T: Serialize + Display>(
    arguments: &Arguments,
    bench: &'static str,
    result: T,
) -> Result<()> {
    if arguments.json {
        println!("{}", serde_json::to_string(&Measurement { bench, result })?);
    } else {
        println!("{result}\n");
    }
    Ok(())
}
