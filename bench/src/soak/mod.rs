//! The daemon under mixed load for as long as one likes: each truncation is told
//! once, none is invented, and its memory stays flat. Part of the time very many
//! connections are open beside.

pub(crate) mod daemon;
pub(crate) mod idle;
pub mod kills;

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::Args;
use host::root;
use testbed::{
    TempDir,
    soak::{Soak, Truth},
};

use self::daemon::{Daemon, Sample};

/// Resident memory that the daemon may take, KiB.
const MOST_KIB: u64 = 64 << 10;

/// What is done.
#[derive(Args)]
pub struct Arguments {
    /// How long the load goes on
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,

    /// Connections that are open and idle in the second third of that time
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    idle: u64,

    /// With the same number the same choices are made
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Clients rest so many milliseconds at most now and then; without, the load takes
    /// all CPUs
    #[arg(long, value_name = "MS", default_value_t = 0)]
    rest: u64,

    /// Kill the daemon so many times instead, at random moments, and look for what is
    /// left of it
    #[arg(long, value_name = "N", conflicts_with_all = ["minutes", "idle"])]
    kills: Option<u64>,

    /// Hold so many idle connections, until standard input ends
    #[arg(long, hide = true)]
    holder: Option<usize>,
}

/// Puts on the load and compares.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(pairs) = arguments.holder {
        return idle::hold(pairs);
    }
    if !root::is_root() {
        bail!("the daemon needs root: sudo --preserve-env=PATH,HOME cargo xtask soak");
    }
    let truncwatch = root::build_truncwatch()?;
    let clients = Clients {
        seed: arguments.seed,
        rest: arguments.rest,
    };
    match arguments.kills {
        Some(kills) => kills::run(&truncwatch, kills, clients).map(drop),
        None => load(&truncwatch, arguments.minutes, arguments.idle, clients).map(drop),
    }
}

/// How the clients of the load choose and rest.
#[derive(Clone, Copy)]
pub struct Clients {
    /// With the same number they make the same choices.
    pub seed: u64,
    /// The longest rest, milliseconds.
    pub rest: u64,
}

/// What a load was made of, after the daemon reported it as it was.
pub struct Done {
    /// Messages that were whole.
    pub messages: u64,
    /// Truncations that were injected.
    pub truncations: u64,
    /// Servers and clients that were killed.
    pub kills: u64,
}

impl Done {
    fn of(truth: &Truth) -> Self {
        Self {
            messages: truth.healthy,
            truncations: truth.injected.len() as u64,
            kills: truth.kills,
        }
    }
}

/// Puts the daemon under load, with so many idle connections in the second third.
///
/// # Errors
/// If a truncation is missed, reported twice or invented, or if the daemon grows.
pub fn load(truncwatch: &Path, minutes: u64, idle: u64, clients: Clients) -> Result<Done> {
    let folder = TempDir::new()?;
    let mut daemon = Daemon::spawn(truncwatch, folder.path(), "")?;
    daemon.watches()?;
    let length = Duration::from_secs(minutes * 60);
    let (stop, stopped) = channel::<()>();
    let pid = daemon.pid();
    let watched = thread::spawn(move || {
        let began = Instant::now();
        let mut holders = Vec::new();
        let mut samples = Vec::new();
        while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            let part = began.elapsed().as_secs() * 3 / length.as_secs().max(1);
            if part == 1 && holders.is_empty() && idle > 0 {
                holders = idle::start(idle)?;
            } else if part > 1 {
                holders.clear();
            }
            samples.push(Sample::of(pid)?);
        }
        Ok::<_, anyhow::Error>(samples)
    });
    let truth = Soak::run_with_rests(length, clients.seed, clients.rest)?;
    // What the last settles.
    thread::sleep(Duration::from_secs(3));
    drop(stop);
    let samples = match watched.join() {
        Ok(samples) => samples?,
        Err(_) => bail!("the thread that looks at its memory panicked"),
    };
    let numbers = daemon.numbers()?;
    daemon.end()?;
    let verdict = truth.compare(&daemon.findings()?);
    println!(
        "soak: {} messages whole, {} injected truncations, {} servers and clients killed; {} told once, {} missed, {} twice, {} invented",
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
            "truncwatch_shedding",
            "truncwatch_findings_held_back",
            "truncwatch_sink_failures",
            "process_cpu",
        ];
        if counted && why.iter().any(|name| line.starts_with(name)) {
            println!("  {line}");
        }
    }
    for what in verdict.missed.iter().take(5) {
        println!("  missed: {what:?}");
    }
    for what in verdict.doubled.iter().take(5) {
        println!("  twice: {what}");
    }
    for what in verdict.invented.iter().take(5) {
        println!("  invented: {what}");
    }
    let wrong = !verdict.invented.is_empty() || !verdict.doubled.is_empty();
    if verdict.right != truth.injected.len() || wrong {
        bail!("what was told is not what was done");
    }
    flat?;
    Ok(Done::of(&truth))
}

/// How much more memory may be taken in the last third of the time than in the
/// first, KiB, and how many more descriptors.
const GROWTH_KIB: u64 = 8 << 10;
const GROWTH_DESCRIPTORS: usize = 8;

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
        let bpf = || part.iter().map(|sample| sample.bpf);
        println!(
            "  {name} third: {} to {} KiB resident, {} to {} descriptors, {} to {} of them BPF",
            memory().min().unwrap_or(0),
            memory().max().unwrap_or(0),
            files().min().unwrap_or(0),
            files().max().unwrap_or(0),
            bpf().min().unwrap_or(0),
            bpf().max().unwrap_or(0)
        );
    }
    println!("  peak: {most} KiB resident");
    if most > MOST_KIB {
        bail!("the daemon took {most} KiB, more than {MOST_KIB}");
    }
    let middle = |part: &[Sample]| {
        let mut memory: Vec<_> = part.iter().map(|sample| sample.resident_kib).collect();
        memory.sort_unstable();
        memory.get(memory.len() / 2).copied().unwrap_or(0)
    };
    let files = |part: &[Sample]| part.iter().map(|sample| sample.descriptors).max();
    let (first, last) = (
        &samples[..third.min(samples.len())],
        samples.chunks(third).last(),
    );
    let last = last.unwrap_or_default();
    let (before, after) = (middle(first), middle(last));
    if after > before + GROWTH_KIB {
        bail!("its memory grew from {before} to {after} KiB (medians)");
    }
    if files(last) > files(first).map(|most| most + GROWTH_DESCRIPTORS) {
        bail!("its descriptors grew");
    }
    let bpf = samples.iter().map(|sample| sample.bpf);
    if bpf.clone().min() != bpf.max() {
        bail!("its programs and maps are not always as many");
    }
    Ok(())
}
