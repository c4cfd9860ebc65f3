//! How long a watch takes to begin.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::{
    Programs, observer,
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
    /// The median of the other build.
    #[serde(skip_serializing_if = "Option::is_none")]
    beside_median_ms: Option<f64>,
    /// This build's, to the other's in the same run: the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_beside: Option<f64>,
}

pub(super) fn measure(programs: Programs<'_>, runs: u32) -> Result<Startup> {
    // Something to watch.
    let worker = Worker::start()?;
    let mut times = Vec::new();
    let mut beside = Vec::new();
    for run in 1..=runs {
        let turns = [
            Some((programs.truncwatch, &mut times)),
            programs.beside.map(|it| (it, &mut beside)),
        ];
        let mut turns: Vec<_> = turns.into_iter().flatten().collect();
        if run % 2 == 0 {
            turns.reverse();
        }
        for (program, times) in turns {
            let watch = observer::truncwatch(program, worker.pid()).start()?;
            times.push(watch.took.as_secs_f64() * 1e3);
            watch.stop()?;
        }
        eprintln!("startup: run {run} of {runs}");
    }
    let of_beside = |value: f64| programs.beside.map(|_| value);
    Ok(Startup {
        runs,
        median_ms: median(times.iter().copied()),
        p95_ms: percentile(95, times.iter().copied()),
        target_ms: TARGET_MS,
        beside_median_ms: of_beside(median(beside.iter().copied())),
        ratio_to_beside: of_beside(median(
            times.iter().zip(&beside).map(|(time, other)| time / other),
        )),
    })
}

impl fmt::Display for Startup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            median_ms,
            p95_ms,
            target_ms,
            beside_median_ms,
            ratio_to_beside,
        } = self;
        write!(
            f,
            "startup: from exec to watching, {runs} runs
  median {median_ms:.0} ms, 95th percentile {p95_ms:.0} ms (target on an idle machine: {target_ms:.0} ms)"
        )?;
        if let (Some(beside), Some(ratio)) = (beside_median_ms, ratio_to_beside) {
            write!(
                f,
                "\n  the other build: median {beside:.0} ms; this one ×{ratio:.2} in the same run"
            )?;
        }
        Ok(())
    }
}
