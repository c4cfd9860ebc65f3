//! Whether a watch changes what it watches.
//!
//! A race in hyper 1.8.1 that some of all responses lose: an observer that slows the
//! server down, or that takes its CPU away at the wrong moment, changes how many.
//! Variants take turns in small batches.
//!
//! The server is pinned as a rule, so tokio's default is one worker: nearly a half lose it. Without
//! workers a third do. With two it was 41 to 93 %, by the hour, and what comes of a
//! connection hangs on what came of the one before: 88 % are cut short behind one that was,
//! 45 % behind a whole one.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use host::root;
use serde::Serialize;
use testbed::{
    TempDir,
    client::{Outcome, race},
    cpu::on_cpu,
    server::{HyperVersion, Options, Server, build},
};

use super::{EMPTY, Programs, observer, statistics::mean};

/// Where server and clients take turns, if they are pinned. Observers may run anywhere.
const CPU: usize = 0;

/// Connections between two changes of the observer.
const BATCH: u32 = 40;

/// How long a batch may take. A connection takes some 20 ms, or 200 under
/// strace.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Untraced,
    /// Programs that return at once, on truncwatch's hooks.
    Empty,
    Truncwatch,
    Control,
    /// Another build of truncwatch.
    Beside,
    StraceAll,
}

/// Those that always take part, the two untraced ones with none beside them.
const VARIANTS: [Variant; 4] = [
    Variant::Untraced,
    Variant::Empty,
    Variant::Truncwatch,
    Variant::Control,
];

/// The turns of so many variants in a round, by index. In twice as many rounds each
/// comes twice at each place, and twice after each other one (E. J. Williams,
/// "Experimental designs balanced for the estimation of residual effects of
/// treatments", 1949).
fn turns(variants: usize, round: usize) -> Vec<usize> {
    // 0, 1, n-1, 2, n-2 and so on, each round one further, every other backwards.
    let zigzag = (0..variants).map(|place| {
        if place % 2 == 1 {
            place.div_ceil(2)
        } else {
            (variants - place / 2) % variants
        }
    });
    let mut turns: Vec<_> = zigzag.map(|it| (it + round / 2) % variants).collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

/// The server, and where it and the clients run.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Setting {
    /// Worker threads of the server; 0 is tokio's default, 1 is none beside the main thread.
    pub(super) threads: u32,
    /// Server and clients on one CPU ([`CPU`]); else on any.
    pub(super) pinned: bool,
}

impl Setting {
    fn options(self) -> Options {
        Options {
            threads: self.threads as usize,
            cpu: self.pinned.then_some(CPU),
            ..Options::race(CPU)
        }
    }

    /// Makes connections, one after the other.
    fn connect(self, server: &Server, count: u32) -> Result<Vec<Outcome>> {
        let deadline = Instant::now() + PATIENCE;
        let connect = || {
            (0..count)
                .map(|_| {
                    ensure!(Instant::now() < deadline, "a batch takes too long");
                    Ok(race(server.addr())?)
                })
                .collect()
        };
        if self.pinned {
            on_cpu(CPU, connect)?
        } else {
            connect()
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.threads {
            0 => write!(f, "tokio's default runtime")?,
            1 => write!(f, "tokio's current-thread runtime")?,
            threads => write!(f, "{threads} workers")?,
        }
        write!(f, ", {}", if self.pinned { "one CPU" } else { "every CPU" })
    }
}

/// The shares of connections whose response was truncated.
#[derive(Serialize)]
pub(super) struct ProbeEffect {
    /// Per variant.
    connections: u32,
    #[serde(flatten)]
    setting: Setting,
    untraced: f64,
    /// With empty programs on truncwatch's hooks.
    empty: f64,
    truncwatch: f64,
    /// Untraced once more.
    control: f64,
    /// `None` if strace was left out.
    strace_all: Option<f64>,
    /// truncwatch's share less the mean of the two untraced ones, and the
    /// standard error of that, from the batches.
    difference: f64,
    difference_error: f64,
    /// The same of the empty programs: what no program on these hooks can avoid.
    empty_difference: f64,
    empty_difference_error: f64,
    /// The share with another build, and this build's share less that, with its standard
    /// error.
    #[serde(skip_serializing_if = "Option::is_none")]
    beside: Option<Beside>,
    /// Truncated responses that the clients of the watched batches saw.
    clients_truncated: usize,
    /// Findings that truncwatch printed for them, by cause.
    findings: BTreeMap<String, usize>,
    /// Records that truncwatch says it lost.
    events_lost: u64,
    /// Batches in which the two numbers differed.
    batches_that_differ: usize,
    /// Where those batches' reports and outcomes are kept.
    kept: Option<PathBuf>,
}

/// What came with another build.
#[derive(Serialize)]
struct Beside {
    share: f64,
    difference: f64,
    difference_error: f64,
}

pub(super) fn measure(
    programs: Programs<'_>,
    connections: u32,
    setting: Setting,
    strace: bool,
) -> Result<ProbeEffect> {
    ensure!(
        !observer::another_truncwatch()?,
        "another truncwatch runs, whose hooks are on the calls of every process: end it first"
    );
    let server = build(HyperVersion::V1_8_1)?;
    let Programs { truncwatch, beside } = programs;
    let mut variants = VARIANTS.to_vec();
    variants.extend(beside.map(|_| Variant::Beside));
    variants.extend(strace.then_some(Variant::StraceAll));
    let empty = root::folder().join(EMPTY);
    let mut shares = vec![Vec::new(); variants.len()];
    let mut counts = vec![0; variants.len()];
    let mut reports = Reports::default();
    let options = setting.options();
    let mut done = 0;
    let mut round = 0;
    while done < connections {
        let batch = BATCH.min(connections - done);
        // A server per round: what a process happens to be like meets all
        // variants alike.
        let server = Server::start_binary(&server, &options)?;
        for turn in turns(variants.len(), round) {
            let truncated = match variants[turn] {
                Variant::Untraced | Variant::Control => {
                    truncated(&setting.connect(&server, batch)?)
                }
                Variant::Empty => {
                    let empty = observer::truncwatch(truncwatch, server.pid())
                        .option("--bpf-object", &empty)
                        .start()?;
                    let outcomes = setting.connect(&server, batch)?;
                    empty.stop()?;
                    truncated(&outcomes)
                }
                Variant::Beside => {
                    let program = beside.context("no other build")?;
                    Reports::default().watch(program, setting, &server, batch)?
                }
                Variant::Truncwatch => reports.watch(truncwatch, setting, &server, batch)?,
                Variant::StraceAll => {
                    let strace = observer::strace(server.pid()).start()?;
                    let outcomes = setting.connect(&server, batch)?;
                    strace.stop()?;
                    truncated(&outcomes)
                }
            };
            counts[turn] += truncated;
            shares[turn].push(truncated as f64 / f64::from(batch));
        }
        done += batch;
        round += 1;
        eprintln!("probe-effect: {done} of {connections} per variant, {counts:?} truncated");
    }
    let of = |variant| variants.iter().position(|it| *it == variant);
    let share = |variant| of(variant).map(|of| counts[of] as f64 / f64::from(connections));
    let always = |variant| share(variant).context("a variant took no part");
    let (untraced, control) = (always(Variant::Untraced)?, always(Variant::Control)?);
    let (empty, truncwatch) = (always(Variant::Empty)?, always(Variant::Truncwatch)?);
    // The standard error of the difference of two variants, or of one and the untraced ones.
    let each = |round: usize, variant| of(variant).map_or(0.0, |of: usize| shares[of][round]);
    let error = |variant, to: &dyn Fn(usize) -> f64| {
        let differences: Vec<_> = (0..round)
            .map(|round| each(round, variant) - to(round))
            .collect();
        mean(&differences).1
    };
    let to_untraced = |round| {
        f64::midpoint(
            each(round, Variant::Untraced),
            each(round, Variant::Control),
        )
    };
    let beside = share(Variant::Beside).map(|share| Beside {
        share,
        difference: truncwatch - share,
        difference_error: error(Variant::Truncwatch, &|round| each(round, Variant::Beside)),
    });
    Ok(ProbeEffect {
        connections,
        setting,
        untraced,
        empty,
        truncwatch,
        control,
        strace_all: share(Variant::StraceAll),
        difference: truncwatch - f64::midpoint(untraced, control),
        difference_error: error(Variant::Truncwatch, &to_untraced),
        empty_difference: empty - f64::midpoint(untraced, control),
        empty_difference_error: error(Variant::Empty, &to_untraced),
        beside,
        clients_truncated: reports.clients_truncated,
        findings: reports.findings,
        events_lost: reports.events_lost,
        batches_that_differ: reports.differ,
        kept: reports.kept,
    })
}

fn truncated(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| outcome.truncated())
        .count()
}

/// What truncwatch said of its batches.
#[derive(Default)]
struct Reports {
    clients_truncated: usize,
    findings: BTreeMap<String, usize>,
    events_lost: u64,
    differ: usize,
    kept: Option<PathBuf>,
}

impl Reports {
    /// One batch, watched.
    fn watch(
        &mut self,
        truncwatch: &Path,
        setting: Setting,
        server: &Server,
        batch: u32,
    ) -> Result<usize> {
        let folder = TempDir::new()?;
        let path = folder.path().join("report.jsonl");
        let watch = observer::truncwatch(truncwatch, server.pid())
            .flag("--json")
            .option("--output", &path)
            .start()?;
        let outcomes = setting.connect(server, batch)?;
        watch.stop()?;
        let report = fs::read_to_string(&path).context("truncwatch wrote no report")?;
        let found = self.take(&report)?;
        let truncated = truncated(&outcomes);
        self.clients_truncated += truncated;
        if found != truncated {
            self.keep(&report, &outcomes)?;
        }
        Ok(truncated)
    }

    /// Counts the findings of a report.
    fn take(&mut self, report: &str) -> Result<usize> {
        let mut found = 0;
        for line in report.lines() {
            let line: serde_json::Value = serde_json::from_str(line)?;
            match line["type"].as_str() {
                Some("finding") => {
                    let cause = line["cause"].as_str().unwrap_or("?").to_owned();
                    *self.findings.entry(cause).or_default() += 1;
                    found += 1;
                }
                Some("summary") => self.events_lost += line["events_lost"].as_u64().unwrap_or(0),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Puts a batch in which something does not fit where it stays.
    fn keep(&mut self, report: &str, outcomes: &[Outcome]) -> Result<()> {
        self.differ += 1;
        let folder = std::env::temp_dir().join(format!("probe-effect-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let outcomes: String = outcomes.iter().map(|it| format!("{it:?}\n")).collect();
        fs::write(folder.join(format!("{}.report.jsonl", self.differ)), report)?;
        fs::write(
            folder.join(format!("{}.clients.txt", self.differ)),
            outcomes,
        )?;
        self.kept = Some(folder);
        Ok(())
    }
}

impl fmt::Display for ProbeEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "probe-effect: truncated share of {} connections each, in turns, {}",
            self.connections, self.setting
        )?;
        for (label, share) in [
            ("untraced", Some(self.untraced)),
            ("empty, same hooks", Some(self.empty)),
            ("truncwatch", Some(self.truncwatch)),
            ("untraced again", Some(self.control)),
            ("the other build", self.beside.as_ref().map(|it| it.share)),
            ("strace -f, every call", self.strace_all),
        ] {
            if let Some(share) = share {
                writeln!(f, "  {label:<22}{:>6.1} %", share * 100.0)?;
            }
        }
        for (label, difference, error) in [
            ("truncwatch", self.difference, self.difference_error),
            (
                "empty programs",
                self.empty_difference,
                self.empty_difference_error,
            ),
        ] {
            writeln!(
                f,
                "  {label} less untraced: {:+.1} ± {:.1} percentage points",
                difference * 100.0,
                error * 100.0
            )?;
        }
        if let Some(beside) = &self.beside {
            writeln!(
                f,
                "  truncwatch less the other build: {:+.1} ± {:.1} percentage points",
                beside.difference * 100.0,
                beside.difference_error * 100.0
            )?;
        }
        let found: usize = self.findings.values().sum();
        write!(
            f,
            "  while it watched, clients saw {} truncated responses and truncwatch reported {found} ({} events lost)",
            self.clients_truncated, self.events_lost
        )?;
        if let Some(kept) = &self.kept {
            write!(
                f,
                "\n  {} batches differ: kept in {}",
                self.batches_that_differ,
                kept.display()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_comes_as_often_at_each_place_and_after_each_other() {
        for variants in 4..=6 {
            let mut places = vec![vec![0; variants]; variants];
            let mut pairs = vec![vec![0; variants]; variants];
            for round in 0..2 * variants {
                let turns = turns(variants, round);
                for (place, of) in turns.iter().enumerate() {
                    places[*of][place] += 1;
                }
                for pair in turns.windows(2) {
                    pairs[pair[0]][pair[1]] += 1;
                }
            }
            assert!(places.iter().flatten().all(|count| *count == 2));
            for (one, row) in pairs.iter().enumerate() {
                for (other, count) in row.iter().enumerate() {
                    assert_eq!(*count, if one == other { 0 } else { 2 });
                }
            }
        }
    }
}
