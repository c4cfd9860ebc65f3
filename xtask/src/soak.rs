//! The daemon under mixed load for as long as one likes: each truncation is told
//! once, none is invented, and its memory stays flat. Part of the time very many
//! connections are open beside.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use testbed::{TempDir, soak::Soak};

use crate::root;

/// Resident memory that the daemon may take, KiB.
const MOST_KIB: u64 = 64 << 10;

/// The daemon's own numbers.
const NUMBERS: &str = "truncwatch.prom";

/// What is done.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How long the load goes on
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,

    /// Connections that are open and idle in the second third of that time
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    idle: u64,

    /// With the same number the same choices are made
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Hold so many idle connections, until standard input ends
    #[arg(long, hide = true)]
    holder: Option<usize>,
}

/// The daemon, killed with its handle.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.0.kill().is_ok() && self.0.wait().is_err() {}
    }
}

/// Puts on the load and compares.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(pairs) = arguments.holder {
        return hold(pairs);
    }
    if !root::is_root() {
        bail!("the daemon needs root: sudo --preserve-env=PATH,HOME cargo xtask soak");
    }
    let truncwatch = root::build_truncwatch()?;
    let folder = TempDir::new()?;
    let told = folder.path().join("told");
    let mut daemon = start(&truncwatch, folder.path(), &told)?;
    let length = Duration::from_secs(arguments.minutes * 60);
    let (stop, stopped) = channel::<()>();
    let pid = daemon.0.id();
    let idle = arguments.idle;
    let watched = thread::spawn(move || {
        let began = Instant::now();
        let mut holders = Vec::new();
        let mut samples = Vec::new();
        while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            let part = began.elapsed().as_secs() * 3 / length.as_secs().max(1);
            if part == 1 && holders.is_empty() && idle > 0 {
                holders = start_holders(idle)?;
            } else if part > 1 {
                holders.clear();
            }
            samples.push(Sample::of(pid)?);
        }
        Ok::<_, anyhow::Error>(samples)
    });
    let truth = Soak::run(length, arguments.seed)?;
    // What the last settles.
    thread::sleep(Duration::from_secs(3));
    drop(stop);
    let samples = match watched.join() {
        Ok(samples) => samples?,
        Err(_) => bail!("the thread that looks at its memory panicked"),
    };
    let numbers = fs::read_to_string(folder.path().join(NUMBERS))?;
    end(&mut daemon.0)?;
    let text = fs::read_to_string(&told)?;
    let findings: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let verdict = truth.compare(&findings);
    println!(
        "soak: {} messages whole, {} injected truncations, {} servers killed; {} told once, {} missed, {} twice, {} invented",
        truth.healthy,
        truth.injected.len(),
        truth.kills,
        verdict.right,
        verdict.missed.len(),
        verdict.doubled.len(),
        verdict.invented.len()
    );
    let flat = report(&samples);
    // Why something may have been missed.
    for line in numbers.lines() {
        let counted = !line.ends_with(" 0");
        let why = [
            "truncwatch_unjudged",
            "truncwatch_events_lost",
            "process_cpu",
        ];
        if counted && why.iter().any(|name| line.starts_with(name)) {
            println!("  {line}");
        }
    }
    for what in verdict.missed.iter().take(5) {
        println!("  missed: {what:?}");
    }
    for what in verdict.invented.iter().take(5) {
        println!("  invented: {what}");
    }
    if verdict.right != truth.injected.len() || !verdict.invented.is_empty() {
        bail!("what was told is not what was done");
    }
    flat
}

/// What the daemon uses at a moment.
#[derive(Clone, Copy)]
struct Sample {
    resident_kib: u64,
    /// The most so far, also between samples.
    peak_kib: u64,
    descriptors: usize,
}

impl Sample {
    fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .context("the daemon does not run any more")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("no {name}"))
        };
        Ok(Self {
            resident_kib: number("VmRSS:")?,
            peak_kib: number("VmHWM:")?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        })
    }
}

/// Prints memory and descriptors by thirds of the time; an error if they grow.
fn report(samples: &[Sample]) -> Result<()> {
    let third = samples.len().div_ceil(3).max(1);
    let most = samples.last().map_or(0, |sample| sample.peak_kib);
    for (name, part) in ["first", "second", "last"]
        .iter()
        .zip(samples.chunks(third))
    {
        let memory = || part.iter().map(|sample| sample.resident_kib);
        let files = || part.iter().map(|sample| sample.descriptors);
        println!(
            "  {name} third: {} to {} KiB resident, {} to {} descriptors",
            memory().min().unwrap_or(0),
            memory().max().unwrap_or(0),
            files().min().unwrap_or(0),
            files().max().unwrap_or(0)
        );
    }
    println!("  peak: {most} KiB resident");
    if most > MOST_KIB {
        bail!("the daemon took {most} KiB, more than {MOST_KIB}");
    }
    Ok(())
}

fn start(truncwatch: &Path, folder: &Path, told: &Path) -> Result<Daemon> {
    let config = folder.join("c.toml");
    fs::write(
        &config,
        format!(
            "[findings]\noutput = \"stdout\"\nin_full = 100000000\nin_full_all = 100000000\n\
             [metrics]\ntextfile = {:?}\ntextfile_seconds = 1\n",
            folder.join(NUMBERS)
        ),
    )?;
    let mut child = Command::new(truncwatch)
        .args(["daemon", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(fs::File::create(told)?)
        .stderr(Stdio::piped())
        .spawn()?;
    let errors = child.stderr.take().context("no standard error")?;
    let daemon = Daemon(child);
    let mut lines = BufReader::new(errors).lines();
    loop {
        let line = lines.next().context("the daemon ended")??;
        eprintln!("{line}");
        if line.contains("watching") {
            break;
        }
    }
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            eprintln!("{line}");
        }
    });
    Ok(daemon)
}

fn end(daemon: &mut Child) -> Result<()> {
    let pid = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process number")?, Signal::TERM)?;
    let status = daemon.wait()?;
    if !status.success() {
        bail!("the daemon ended with {status}");
    }
    Ok(())
}

/// Processes that hold so many connections together: each has a limit of
/// descriptors. They end when their input does.
fn start_holders(connections: u64) -> Result<Vec<Holder>> {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(4096);
    // Both ends of a pair are connections, and each has a descriptor.
    let pairs = limit.saturating_sub(100) / 2;
    let mut left = connections / 2;
    let mut holders = Vec::new();
    while left > 0 {
        let share = left.min(pairs);
        left -= share;
        let child = Command::new(std::env::current_exe()?)
            .args(["soak", "--holder", &share.to_string()])
            .stdin(Stdio::piped())
            .spawn()?;
        holders.push(Holder(child));
    }
    Ok(holders)
}

/// A process that holds connections.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ended by itself, or was killed.
        if self.0.wait().is_err() {}
    }
}

/// So many connections on which a request was answered.
fn hold(pairs: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )?;
    let mut held = Vec::with_capacity(pairs);
    const REQUEST: &[u8] = b"GET /idle HTTP/1.1\r\nHost: idle\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nidle";
    for _ in 0..pairs {
        let (mut server, mut client) = UnixStream::pair()?;
        client.write_all(REQUEST)?;
        server.read_exact(&mut [0; REQUEST.len()])?;
        server.write_all(RESPONSE)?;
        client.read_exact(&mut [0; RESPONSE.len()])?;
        held.push((server, client));
        // Not all within the same second.
        thread::sleep(Duration::from_micros(100));
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
