//! What a batch of each group is.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use bench::{
    healthy,
    soak::{self, Clients},
};
use clap::ValueEnum;
use host::root;
use xshell::cmd;

use super::{servers::Matrix, sums::Counts};
use crate::fuzz;

/// The groups.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Group {
    /// Whole messages of real servers, one server for each batch: none is reported
    Healthy,
    /// The daemon under mixed load: each injected truncation is reported once
    Soak,
    /// The daemon is killed at random moments: nothing is left of it
    Kills,
    /// Inputs that libFuzzer makes, one target for each batch
    Fuzz,
    /// Random histories of connections, which the judge must agree with
    Histories,
    /// The matrix of servers, one test for each batch
    Servers,
}

/// One batch.
pub(super) struct Batch {
    /// The batches that the sum has already: another choice of chance for each.
    pub(super) number: u64,
    /// The time that the group has left.
    pub(super) left: Duration,
}

/// Runs a batch; returns what it proved.
pub(super) type Runner = Box<dyn Fn(&Batch) -> Result<Counts>>;

/// Messages of a batch of healthy ones.
const MESSAGES: u64 = 10_000;

/// The most minutes of a soak, and its idle connections.
const MINUTES: u64 = 5;
const IDLE: u64 = 20_000;

/// The longest rest of a client, milliseconds: others use the machine too.
const REST: u64 = 30;

/// Daemons that a batch kills.
const KILLS: u64 = 10;

/// Inputs of a batch for one target.
const INPUTS: u32 = 100_000;

/// Histories of a batch for each property.
const HISTORIES: u64 = 10_000;

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Soak => "soak",
            Self::Kills => "kills",
            Self::Fuzz => "fuzz",
            Self::Histories => "histories",
            Self::Servers => "servers",
        })
    }
}

impl Group {
    /// Prepares what all batches need.
    pub(super) fn runner(self) -> Result<Runner> {
        Ok(match self {
            Self::Healthy => {
                let truncwatch = watcher()?;
                Box::new(move |batch| {
                    let servers = healthy::servers() as u64;
                    let server = usize::try_from(batch.number % servers)?;
                    let judged = healthy::one(&truncwatch, server, MESSAGES)?;
                    Ok([("messages judged", judged)].into())
                })
            }
            Self::Soak => {
                let truncwatch = watcher()?;
                Box::new(move |batch| {
                    let minutes = (batch.left.as_secs() / 60).clamp(1, MINUTES);
                    let done = soak::load(&truncwatch, minutes, IDLE, clients(batch))?;
                    Ok([
                        ("minutes", minutes),
                        ("messages whole", done.messages),
                        ("truncations, each reported once", done.truncations),
                        ("servers and clients killed", done.kills),
                    ]
                    .into())
                })
            }
            Self::Kills => {
                let truncwatch = watcher()?;
                Box::new(move |batch| {
                    let done = soak::kills::run(&truncwatch, KILLS, clients(batch))?;
                    Ok([
                        ("daemons killed", KILLS),
                        ("messages whole", done.messages),
                        ("truncations", done.truncations),
                    ]
                    .into())
                })
            }
            Self::Fuzz => Box::new(|batch| {
                let targets = fuzz::Target::value_variants();
                let target = usize::try_from(batch.number % targets.len() as u64)?;
                fuzz::run(&fuzz::Arguments {
                    targets: targets[target..=target].to_vec(),
                    runs: INPUTS,
                    // Zero would be another one each time.
                    seed: u32::try_from(batch.number + 1)?,
                })?;
                Ok([("inputs", u64::from(INPUTS))].into())
            }),
            Self::Histories => Box::new(|batch| {
                let histories = histories(batch.number)?;
                Ok([("histories", histories)].into())
            }),
            Self::Servers => {
                watcher()?;
                let matrix = Matrix::prepare()?;
                Box::new(move |batch| matrix.run(batch.number))
            }
        })
    }
}

/// Other choices in each batch, the same when it is run again.
fn clients(batch: &Batch) -> Clients {
    Clients {
        // The parts of a load have the seeds that follow.
        seed: batch.number * 10 + 1,
        rest: REST,
    }
}

/// Builds truncwatch, which only root may use.
fn watcher() -> Result<PathBuf> {
    if !root::is_root() {
        bail!("a watch needs root: sudo --preserve-env=PATH,HOME cargo xtask prove");
    }
    root::build_truncwatch()
}

/// Runs the judge's properties; how many histories they were given.
fn histories(number: u64) -> Result<u64> {
    let shell = root::shell()?;
    let cargo = root::cargo();
    let _cases = shell.push_env("PROPTEST_CASES", HISTORIES.to_string());
    let _seed = shell.push_env("PROPTEST_RNG_SEED", number.to_string());
    let output = cmd!(
        shell,
        "{cargo} test --locked --package truncwatch --lib -- judge::histories::"
    )
    .read()
    .with_context(|| {
        format!("PROPTEST_CASES={HISTORIES} PROPTEST_RNG_SEED={number} make the same ones")
    })?;
    // All of that module are properties.
    let properties = passed(&output)
        .filter(|count| *count > 0)
        .context("no property of judge::histories was run")?;
    Ok(HISTORIES * properties)
}

/// `test result: ok. 10 passed; …`
fn passed(output: &str) -> Option<u64> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("test result: ok. "))?;
    line.split_once(" passed")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_passed_are_counted() {
        let output =
            "\nrunning 10 tests\n..........\ntest result: ok. 10 passed; 0 failed; 0 ignored";
        assert_eq!(passed(output), Some(10));
        assert_eq!(passed("test result: FAILED. 9 passed; 1 failed"), None);
    }
}
