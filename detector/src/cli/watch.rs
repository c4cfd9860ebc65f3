//! The command line of a watch.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

use super::reporting::ReportingArguments;
use crate::{
    capture::live::{RING_BYTES, Stacks, comm, unit},
    watch::Options,
};

const FILTERS: &str = "Filters";

/// What to watch, for how long, and how to report it.
#[derive(Args, Clone, Debug)]
pub(super) struct WatchArguments {
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
    pids: Vec<Pids>,

    /// Watch its children too: those it has already and those to come, as with
    /// a server's master process; always so for a command
    #[arg(short, long, requires = "root")]
    follow: bool,

    /// Run this command and watch it with its children, until it ends: as the
    /// user who called sudo, with every probe in place before its first
    /// instruction
    #[arg(
        last = true,
        value_name = "COMMAND",
        group = "root",
        conflicts_with = "pid"
    )]
    pub(super) command: Vec<OsString>,

    /// Only processes, or threads, of this name, as ps -e shows it: the kernel
    /// keeps 15 bytes of a name, and no more are compared; may be repeated
    #[arg(long, value_name = "NAME", help_heading = FILTERS, value_parser = comm)]
    comm: Vec<String>,

    /// Only processes of this unit of systemd, such as nginx.service, also when
    /// it restarts; may be repeated
    #[arg(long, value_name = "NAME", help_heading = FILTERS, value_parser = unit)]
    unit: Vec<String>,

    /// Only processes in this control group (version 2) or below, by its folder
    /// or as in /proc/PID/cgroup; may be repeated
    #[arg(long, value_name = "PATH", help_heading = FILTERS)]
    cgroup: Vec<PathBuf>,

    /// Only connections with this local or remote port; may be repeated
    #[arg(
        long,
        value_name = "N",
        help_heading = FILTERS,
        allow_negative_numbers = true,
        value_parser = port,
    )]
    port: Vec<u16>,

    /// Stop after SECONDS; a command is then ended with SIGTERM
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        value_parser = seconds,
    )]
    duration: Option<Duration>,

    /// Stop after N findings; a command is then ended with SIGTERM
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = count,
    )]
    count: Option<u64>,

    /// Also report messages that make no progress for SECONDS while bytes are
    /// still owed, on a socket that is still connected (0 disables)
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        value_parser = seconds_or_none,
        default_value = "0",
    )]
    stall: Duration,

    /// How to report it.
    #[command(flatten)]
    reporting: ReportingArguments,

    /// Do not capture call stacks: findings then do not show who closed the
    /// connection
    #[arg(long)]
    no_stack: bool,

    /// Capture a stack for every finding (default: the first 8 per process, then
    /// one per second)
    #[arg(long, conflicts_with = "no_stack")]
    all_stacks: bool,

    /// Say on standard error what is watched, and the kernel side's counters
    #[arg(short, long)]
    verbose: bool,

    /// Size of the ring buffer in bytes; a power of two of at least a page
    #[arg(long, value_name = "BYTES", hide = true, default_value_t = RING_BYTES)]
    ring_bytes: u32,

    /// Most connections that are tracked at a time
    #[arg(long, value_name = "N", hide = true)]
    max_connections: Option<u32>,

    /// Take this tracepoint, or this kernel field (structure.path), for missing;
    /// may be repeated
    #[arg(long, value_name = "NAME", hide = true)]
    hide: Vec<String>,

    /// Load this BPF object instead of the embedded one
    #[arg(long, value_name = "FILE", hide = true)]
    bpf_object: Option<PathBuf>,
}

/// Processes of one word of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pids(Vec<u32>);

impl WatchArguments {
    /// The same as the watch takes it.
    pub(super) fn build(self) -> Options {
        let mut pids = Vec::new();
        for pid in self.pids.iter().flat_map(|word| &word.0) {
            if !pids.contains(pid) {
                pids.push(*pid);
            }
        }
        Options {
            pids,
            follow: self.follow,
            command: self.command,
            comms: self.comm,
            units: self.unit,
            cgroups: self.cgroup,
            ports: self.port,
            duration: self.duration,
            count: self.count,
            stall: self.stall,
            reporting: self.reporting.build(),
            stacks: match (self.no_stack, self.all_stacks) {
                (true, _) => Stacks::None,
                (false, false) => Stacks::Some,
                (false, true) => Stacks::All,
            },
            verbose: self.verbose,
            ring_bytes: self.ring_bytes,
            max_connections: self.max_connections,
            hidden: self.hide,
            bpf_object: self.bpf_object,
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

fn seconds(text: &str) -> Result<Duration, String> {
    duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give a positive number of seconds, such as 60 or 0.5".to_owned())
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "give a number of seconds, such as 30; 0 is off".to_owned())
}

fn duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
