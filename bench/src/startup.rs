//! How long a watch takes to begin.

use std::{fmt, path::Path};

use anyhow::Result;
use serde::Serialize;

use super::{
    observer,
    statistics::{median, percentile},
    worker::Worker,
};

/// Milliseconds within which a watch should begin on an idle machine.
const TARGET_MS: f64 = 300.0;

/// Milliseconds from the start of the process to `truncwatch: watching`.
#[derive(Serialize)]
pub(super) struct Startup {
    runs: u32,
    median_ms: f64,
    p95_ms: f64,
    target_ms: f64,
}

pub(super) fn measure(truncwatch: &Path, runs: u32) -> Result<Startup> {
    // Something to watch.
    let worker = Worker::start()?;
    let mut times = Vec::new();
    for run in 1..=runs {
        let watch = observer::truncwatch(truncwatch, worker.pid()).start()?;
        times.push(watch.took.as_secs_f64() * 1e3);
        watch.stop()?;
        eprintln!("startup: run {run} of {runs}");
    }
    Ok(Startup {
        runs,
        median_ms: median(times.iter().copied()),
        p95_ms: percentile(95, times),
        target_ms: TARGET_MS,
    })
}

impl fmt::Display for Startup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            median_ms,
            p95_ms,
            target_ms,
        } = self;
        write!(
            f,
            "startup: from exec to watching, {runs} runs
  median {median_ms:.0} ms, 95th percentile {p95_ms:.0} ms (target on an idle machine: {target_ms:.0} ms)"
        )
    }
}
