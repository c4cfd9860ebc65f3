//! How much the daemon can take: responses per second without a lost event, its CPU
//! and its memory.

use std::{
    fmt,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use host::root;
use serde::Serialize;
use testbed::TempDir;

use crate::soak::{
    daemon::{Daemon, Sample},
    idle,
};

/// Rates that are tried, responses per second, one after the other.
const RATES: [u32; 12] = [
    5_000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 100_000, 125_000, 150_000, 200_000,
    300_000,
];

/// How long each goes on.
const LENGTH: Duration = Duration::from_secs(4);

/// How long the daemon has to take what is left, and to write its counters.
const SETTLED: Duration = Duration::from_millis(2500);

/// How long a thread answers at full speed before it looks at the clock.
const SLICE: Duration = Duration::from_millis(2);

/// Below this part of a rate it was not put on.
const REACHED: f64 = 0.95;

/// Connections whose memory is measured.
const OPEN: u64 = 100_000;

const REQUEST: &[u8] = b"GET /burst HTTP/1.1\r\nHost: burst\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A rate, and what came of it.
#[derive(Clone, Copy, Serialize)]
struct Step {
    /// Responses per second; each answers a request, which is a message too.
    responses_per_second: f64,
    messages_judged: f64,
    events_lost: f64,
    /// The daemon's CPU time for a million messages.
    cpu_seconds_per_million: f64,
}

/// All of it.
#[derive(Serialize)]
pub(super) struct Burst {
    cpus: usize,
    /// The highest rate at which nothing was lost, and neither at a lower one.
    responses_per_second_without_loss: f64,
    /// The machine gave no higher rate: the daemon's limit was not found.
    limited_by_load: bool,
    cpu_seconds_per_million_messages: f64,
    steps: Vec<Step>,
    open_connections: u64,
    /// Resident memory, MiB, where so many are open: with `limits.connections` as it is
    /// shipped, and where all are tracked.
    resident_mib_at_rest: f64,
    resident_mib_default_limit: f64,
    resident_mib_all_tracked: f64,
}

pub(super) fn measure(truncwatch: &Path) -> Result<Burst> {
    if !root::is_root() {
        bail!("bench burst needs root, as the daemon does");
    }
    let cpus = thread::available_parallelism()?.get();
    let (steps, limited_by_load) = rates(truncwatch, cpus)?;
    let right = steps.iter().take_while(|step| step.events_lost == 0.0);
    let best = right.last().copied();
    let (at_rest, shipped) = memory(truncwatch, "")?;
    // The most that the configuration takes.
    let limits = "[limits]\nconnections = 131072\nmemory_mib = 1024\n";
    let (_, all) = memory(truncwatch, limits)?;
    Ok(Burst {
        cpus,
        responses_per_second_without_loss: best.map_or(0.0, |best| best.responses_per_second),
        limited_by_load,
        cpu_seconds_per_million_messages: best.map_or(0.0, |best| best.cpu_seconds_per_million),
        steps,
        open_connections: OPEN,
        resident_mib_at_rest: at_rest,
        resident_mib_default_limit: shipped,
        resident_mib_all_tracked: all,
    })
}

/// Goes up until something is lost or the machine has no more; whether the second.
fn rates(truncwatch: &Path, threads: usize) -> Result<(Vec<Step>, bool)> {
    const LOST: &str = "truncwatch_events_lost_total{why=\"ring-full\"}";
    const JUDGED: &str = "truncwatch_messages_judged_total";
    const CPU: &str = "process_cpu_seconds_total";
    let folder = TempDir::new()?;
    let mut daemon = Daemon::spawn(truncwatch, folder.path(), "")?;
    daemon.watches()?;
    thread::sleep(SETTLED);
    let now = || -> Result<[f64; 3]> {
        Ok([
            daemon.number(LOST)?,
            daemon.number(JUDGED)?,
            daemon.number(CPU)?,
        ])
    };
    let mut steps = Vec::new();
    for rate in RATES {
        let before = now()?;
        let rate = f64::from(rate);
        let answered = load(rate, threads)?;
        thread::sleep(SETTLED);
        let after = now()?;
        let [lost, judged, cpu] = [0, 1, 2].map(|at| after[at] - before[at]);
        let step = Step {
            responses_per_second: answered / LENGTH.as_secs_f64(),
            messages_judged: judged,
            events_lost: lost,
            cpu_seconds_per_million: cpu / judged * 1e6,
        };
        eprintln!(
            "burst: {:.0} responses a second, {lost} events lost",
            step.responses_per_second
        );
        // Both ends of each connection are watched. Those of other processes, too.
        if lost == 0.0 && judged < 2.0 * answered {
            bail!("of {} messages {judged} were judged", 2.0 * answered);
        }
        steps.push(step);
        if lost > 0.0 {
            return Ok((steps, false));
        }
        if step.responses_per_second < rate * REACHED {
            return Ok((steps, true));
        }
    }
    Ok((steps, true))
}

/// Answers at this rate, as far as the machine can; how many.
fn load(rate: f64, threads: usize) -> Result<f64> {
    let failed = AtomicBool::new(false);
    let each = rate / threads as f64;
    let answered = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let failed = &failed;
                scope.spawn(move || {
                    let answered = answer(each);
                    if answered.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    answered
                })
            })
            .collect();
        let mut sum = 0.0;
        for thread in threads {
            match thread.join() {
                Ok(answered) => sum += answered?,
                Err(_) => bail!("a thread of the load panicked"),
            }
        }
        Ok(sum)
    })?;
    if failed.load(Ordering::Relaxed) {
        bail!("a connection failed");
    }
    Ok(answered)
}

/// One connection, kept alive, both ends of it in this thread.
fn answer(rate: f64) -> Result<f64> {
    let (mut server, mut client) = UnixStream::pair()?;
    let mut buffer = [0; 256];
    let began = Instant::now();
    let mut answered = 0.0;
    while began.elapsed() < LENGTH {
        // As many as are due by now, and no more than a slice at once.
        let slice = Instant::now();
        while answered < began.elapsed().as_secs_f64() * rate && slice.elapsed() < SLICE {
            client.write_all(REQUEST)?;
            server.read_exact(&mut buffer[..REQUEST.len()])?;
            server.write_all(RESPONSE)?;
            client.read_exact(&mut buffer[..RESPONSE.len()])?;
            answered += 1.0;
        }
        if answered >= began.elapsed().as_secs_f64() * rate {
            thread::sleep(Duration::from_micros(500));
        }
    }
    Ok(answered)
}

/// Resident memory before and while very many connections are open, MiB.
fn memory(truncwatch: &Path, limits: &str) -> Result<(f64, f64)> {
    let folder = TempDir::new()?;
    let mut daemon = Daemon::spawn(truncwatch, folder.path(), limits)?;
    daemon.watches()?;
    thread::sleep(SETTLED);
    let mib = || -> Result<f64> { Ok(Sample::of(daemon.pid())?.resident_kib as f64 / 1024.0) };
    let before = mib()?;
    let holders = idle::start(OPEN)?;
    let until = Instant::now() + Duration::from_secs(120);
    while daemon.number("truncwatch_connections_total")? < OPEN as f64 {
        if Instant::now() > until {
            bail!("not all connections were opened");
        }
        thread::sleep(Duration::from_millis(200));
    }
    thread::sleep(SETTLED);
    let after = mib()?;
    drop(holders);
    daemon.end()?;
    Ok((before, after))
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "burst: truncwatch daemon, whole host, {} CPUs for the load and for it",
            self.cpus
        )?;
        writeln!(
            f,
            "  {:.0} responses a second without a lost event{}, {:.1} s of CPU per million messages",
            self.responses_per_second_without_loss,
            if self.limited_by_load {
                " (the load gave no more)"
            } else {
                ""
            },
            self.cpu_seconds_per_million_messages
        )?;
        for step in &self.steps {
            writeln!(
                f,
                "  {:>10.0}/s: {:.0} events lost, {:.1} s of CPU per million messages",
                step.responses_per_second, step.events_lost, step.cpu_seconds_per_million
            )?;
        }
        write!(
            f,
            "  {:.0} MiB resident at rest; with {} connections open {:.0} MiB with the limit as shipped, {:.0} MiB where all are tracked",
            self.resident_mib_at_rest,
            self.open_connections,
            self.resident_mib_default_limit,
            self.resident_mib_all_tracked
        )
    }
}
