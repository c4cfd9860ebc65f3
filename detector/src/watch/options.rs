//! What a command asks of a watch.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{capture::live::Stacks, report::Reporting};

/// What to watch, for how long, and how to report it.
#[derive(Clone, Debug)]
pub struct Options {
    /// These processes, each once; all if there are none and no command.
    pub pids: Vec<u32>,
    /// Their children too; always so for a command.
    pub follow: bool,
    /// The command to run and watch, with its arguments.
    pub command: Vec<OsString>,
    /// Only processes, or threads, with one of these names.
    pub comms: Vec<String>,
    /// Only processes of one of these units of systemd.
    pub units: Vec<String>,
    /// Only processes in one of these control groups or below.
    pub cgroups: Vec<PathBuf>,
    /// Only connections with one of these local or remote ports.
    pub ports: Vec<u16>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Stop after so many findings.
    pub count: Option<u64>,
    /// No progress for so long is a finding; 0 is off.
    pub stall: Duration,
    /// How to report it.
    pub reporting: Reporting,
    /// Which stacks are copied.
    pub stacks: Stacks,
    /// Say what is watched, and the kernel side's counters.
    pub verbose: bool,
    /// Size of the ring buffer in bytes.
    pub ring_bytes: u32,
    /// Most connections that are tracked at a time.
    pub max_connections: Option<u32>,
    /// Tracepoints and kernel fields that are taken for missing.
    pub hidden: Vec<String>,
    /// The BPF object to load instead of the embedded one.
    pub bpf_object: Option<PathBuf>,
}

/// A watch that is written down: [`Reporting::output`] is the recording's file.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// What to watch.
    pub watch: Options,
    /// Replace the file if it is there.
    pub force: bool,
}
