//! What a watch costs nginx: CPU per request, requests per second.
//!
//! nginx's worker has one CPU and wrk another; what observes takes what they leave.
//! Each run has an nginx of its own. What is compared is within one round.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use host::{root, setup};
use serde::Serialize;
use testbed::{
    TempDir,
    cpu::pin_process,
    nginx::{Nginx, Options},
};

use super::{EMPTY, Programs, observer, statistics::median, wrk};

/// Seconds that one run takes, and one before it that is not counted.
const SECONDS: u32 = 2;

/// Bodies of the responses.
const SIZES: [(&str, usize); 2] = [("1 KiB", 1 << 10), ("1 MiB", 1 << 20)];

/// The CPU of nginx's worker, and that of wrk.
const SERVER_CPU: usize = 0;
const CLIENT_CPU: usize = 1;

/// System calls with which nginx sends and ends; what strace looks at.
const CALLS: &str = "trace=write,writev,sendto,sendmsg,sendfile,shutdown,close";

/// Least requests per second, and most CPU per request, to those of an unwatched
/// server.
const TARGET_REQUESTS: f64 = 0.99;
const TARGET_CPU: f64 = 0.97;

/// Who looks on.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Variant {
    /// Nobody.
    Nothing,
    /// The empty programs.
    Empty,
    /// `truncwatch --pid MASTER --follow`.
    Watch,
    /// The same by another build.
    Beside,
    /// `truncwatch daemon`, watching the whole host: nginx and wrk.
    Daemon,
    /// A script that adds up the bytes of each descriptor.
    Bpftrace,
    /// strace with a filter in the kernel; nginx was started under it.
    StraceSeccomp,
}

const VARIANTS: [Variant; 7] = [
    Variant::Nothing,
    Variant::Empty,
    Variant::Watch,
    Variant::Beside,
    Variant::Daemon,
    Variant::Bpftrace,
    Variant::StraceSeccomp,
];

impl Variant {
    fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty programs, same hooks",
            Self::Watch => "truncwatch --pid … --follow",
            Self::Beside => "the other build",
            Self::Daemon => "truncwatch daemon",
            Self::Bpftrace => "bpftrace, bytes per fd",
            Self::StraceSeccomp => "strace -f --seccomp-bpf -e …",
        }
    }
}

/// What one run came to.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    /// CPU of nginx, nanoseconds.
    cpu_ns: f64,
    /// CPU of what observes; not of strace, which is no child of ours.
    observer_ns: Option<f64>,
}

/// One variant's numbers with one size: medians over rounds.
#[derive(Serialize)]
struct Row {
    response: &'static str,
    observer: Variant,
    requests_per_second: f64,
    /// nginx's, in the kernel and out of it.
    cpu_ns_per_request: f64,
    observer_ns_per_request: Option<f64>,
    /// Requests per second, to those with nothing attached in the same round.
    ratio_requests: f64,
    /// CPU per request with nothing attached, to that.
    ratio_cpu: f64,
}

/// All of them.
#[derive(Serialize)]
pub(super) struct Server {
    rounds: u32,
    /// Rounds at whose beginning or end another truncwatch was running: ratios mean
    /// little then.
    disturbed_rounds: u32,
    target_ratio_requests: f64,
    target_ratio_cpu: f64,
    rows: Vec<Row>,
}

pub(super) fn measure(programs: Programs<'_>, rounds: u32, strace: bool) -> Result<Server> {
    if !root::is_root() {
        bail!("bench server needs root, as its observers do");
    }
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("bench server needs two CPUs, one for nginx and one for wrk");
    }
    setup::bench_programs()?;
    let mut runs: Vec<_> = SIZES
        .iter()
        .flat_map(|(name, size)| VARIANTS.map(|variant| (*name, *size, variant, Vec::new())))
        .collect();
    let mut disturbed_rounds = 0;
    let turns = runs.len();
    for round in 0..rounds {
        let before = observer::another_truncwatch()?;
        for step in 0..turns {
            let (_, size, variant, done) = &mut runs[(step + round as usize) % turns];
            let program = match variant {
                Variant::StraceSeccomp if !strace => None,
                Variant::Beside => programs.beside,
                _ => Some(programs.truncwatch),
            };
            if let Some(program) = program {
                done.push(run(program, *variant, *size).context(variant.label())?);
            }
        }
        disturbed_rounds += u32::from(before || observer::another_truncwatch()?);
        eprintln!("server: round {} of {rounds}", round + 1);
    }
    let base: Vec<_> = runs
        .iter()
        .filter(|(_, _, variant, _)| *variant == Variant::Nothing)
        .map(|(name, _, _, done)| (*name, done.clone()))
        .collect();
    let rows = runs
        .into_iter()
        .filter(|(.., done)| !done.is_empty())
        .map(|(name, _, variant, done)| {
            let base = base.iter().find(|(other, _)| *other == name);
            Row::new(name, variant, &done, base.map_or(&[], |(_, base)| base))
        })
        .collect();
    Ok(Server {
        rounds,
        disturbed_rounds,
        target_ratio_requests: TARGET_REQUESTS,
        target_ratio_cpu: TARGET_CPU,
        rows,
    })
}

/// An nginx, somebody who looks on, and a load.
fn run(truncwatch: &Path, variant: Variant, size: usize) -> Result<Run> {
    let mut options = Options::default();
    if variant == Variant::StraceSeccomp {
        let words = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", CALLS];
        options.under = words.map(str::to_owned).into();
        options.under.extend(["-o", "/dev/null"].map(str::to_owned));
    }
    let nginx = Nginx::start(&options)?;
    nginx.put("body", &vec![b'x'; size])?;
    let workers = nginx.worker_pids()?;
    let [worker] = workers[..] else {
        bail!("nginx has not one worker: {workers:?}");
    };
    pin_process(worker, SERVER_CPU)?;
    let folder = TempDir::new()?;
    let plan = match variant {
        Variant::Nothing | Variant::StraceSeccomp => None,
        Variant::Empty => Some(
            observer::truncwatch(truncwatch, nginx.master_pid())
                .flag("--follow")
                .option("--bpf-object", root::folder().join(EMPTY)),
        ),
        Variant::Watch | Variant::Beside => {
            Some(observer::truncwatch(truncwatch, nginx.master_pid()).flag("--follow"))
        }
        Variant::Daemon => {
            let config = folder.path().join("c.toml");
            fs::write(&config, "[findings]\noutput = \"stdout\"\n")?;
            Some(observer::daemon(truncwatch, &config))
        }
        Variant::Bpftrace => Some(observer::bpftrace(&script(worker))),
    };
    let observer = plan.map(observer::Plan::start).transpose()?;
    // Caches, connections, and what an observer does at its beginning.
    wrk::run(&nginx.tcp(), "/body", 1, CLIENT_CPU)?;
    let observed = || {
        let pid = observer.as_ref().map(observer::Observer::pid);
        pid.map(observer::cpu_ns).transpose()
    };
    let before = (observer::cpu_ns(worker)?, observed()?);
    let load = wrk::run(&nginx.tcp(), "/body", SECONDS, CLIENT_CPU)?;
    let after = (observer::cpu_ns(worker)?, observed()?);
    if let Some(observer) = observer {
        observer.stop()?;
    }
    Ok(Run {
        per_second: load.per_second,
        cpu_ns: (after.0 - before.0) / load.requests,
        observer_ns: after
            .1
            .zip(before.1)
            .map(|(after, before)| (after - before) / load.requests),
    })
}

/// Adds up the bytes that a process sent by each descriptor. It knows nothing of HTTP,
/// and of who ended a connection.
fn script(pid: u32) -> String {
    const CALLS: [&str; 5] = ["write", "writev", "sendto", "sendmsg", "sendfile64"];
    let list = |side: &str| {
        CALLS
            .map(|call| format!("tracepoint:syscalls:sys_{side}_{call}"))
            .join(",")
    };
    // Arguments have other names in others' tracepoints: sendfile's is out_fd.
    let (rest, sendfile): (Vec<_>, Vec<_>) = CALLS.iter().partition(|call| **call != "sendfile64");
    let enter = |calls: &[&str], field: &str| {
        let places = calls
            .iter()
            .map(|call| format!("tracepoint:syscalls:sys_enter_{call}"));
        let places = places.collect::<Vec<_>>().join(",");
        format!("{places} /pid == {pid}/ {{ @fd[tid] = args->{field}; }}\n")
    };
    format!(
        "{}{}{} /pid == {pid}/ {{ if (args->ret > 0) {{ @bytes[@fd[tid]] = sum(args->ret); }} }}\n\
         interval:ms:50 /@said == 0/ {{ printf(\"attached\\n\"); @said = 1; }}\n",
        enter(&rest, "fd"),
        enter(&sendfile, "out_fd"),
        list("exit"),
    )
}

impl Row {
    fn new(response: &'static str, observer: Variant, runs: &[Run], base: &[Run]) -> Self {
        let pairs = || runs.iter().zip(base);
        let observers: Vec<_> = runs.iter().filter_map(|run| run.observer_ns).collect();
        Self {
            response,
            observer,
            requests_per_second: median(runs.iter().map(|run| run.per_second)),
            cpu_ns_per_request: median(runs.iter().map(|run| run.cpu_ns)),
            observer_ns_per_request: (!observers.is_empty()).then(|| median(observers)),
            ratio_requests: median(pairs().map(|(run, base)| run.per_second / base.per_second)),
            ratio_cpu: median(pairs().map(|(run, base)| base.cpu_ns / run.cpu_ns)),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "server: nginx under wrk, 64 connections kept alive, medians of {} rounds; ratios to nothing\n  \
             in the same round (targets: requests {TARGET_REQUESTS}, CPU {TARGET_CPU})",
            self.rounds
        )?;
        for (name, _) in SIZES {
            write!(
                f,
                "\n  {:<30}{:>16}{:>8}{:>16}{:>8}{:>14}",
                name, "requests/s", "ratio", "CPU µs/request", "ratio", "observer's"
            )?;
            for row in self.rows.iter().filter(|row| row.response == name) {
                let own = row.observer_ns_per_request;
                write!(
                    f,
                    "\n  {:<30}{:>16.0}{:>8.3}{:>16.2}{:>8.3}{:>14}",
                    row.observer.label(),
                    row.requests_per_second,
                    row.ratio_requests,
                    row.cpu_ns_per_request / 1e3,
                    row.ratio_cpu,
                    own.map_or_else(String::new, |ns| format!("{:.2}", ns / 1e3))
                )?;
            }
        }
        if self.disturbed_rounds > 0 {
            write!(
                f,
                "\n  another truncwatch ran in {} rounds: measure again without it",
                self.disturbed_rounds
            )?;
        }
        Ok(())
    }
}
