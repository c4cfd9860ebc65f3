//! Counts how each trigger ends on each version, and how often the race truncates.

use std::collections::BTreeMap;

use anyhow::Result;
use testbed::client::{Outcome, Trigger, race, trigger};
use testbed::cpu::on_cpu;
use testbed::server::{HyperVersion, Options, Server};

/// Connections per trigger and version.
const CONNECTIONS: usize = 100;

/// Runs of the race, and connections in each.
const RACES: (usize, usize) = (3, 200);

fn main() -> Result<()> {
    for version in HyperVersion::ALL {
        for options in [Options::unix(), Options::tcp()] {
            let server = Server::start(version, &options)?;
            for kind in Trigger::ALL {
                let outcomes: Vec<_> = (0..CONNECTIONS)
                    .map(|_| trigger(server.addr(), kind))
                    .collect::<Result<_, _>>()?;
                println!(
                    "{version} {:?} {kind}: {}",
                    options.listen,
                    summary(&outcomes)
                );
            }
        }
    }
    for version in HyperVersion::ALL {
        let server = Server::start(version, &Options::race(0))?;
        for _ in 0..RACES.0 {
            let outcomes: Vec<_> = on_cpu(0, || {
                (0..RACES.1)
                    .map(|_| race(server.addr()))
                    .collect::<Result<_, _>>()
            })??;
            println!("{version} race: {}", summary(&outcomes));
        }
    }
    Ok(())
}

/// How many were truncated, and how many of each kind there were.
fn summary(outcomes: &[Outcome]) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for outcome in outcomes {
        let kind = format!("{} bytes then {:?}", outcome.wire, outcome.end);
        *kinds.entry(kind).or_default() += 1;
    }
    let truncated = outcomes
        .iter()
        .filter(|outcome| outcome.truncated())
        .count();
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} × {kind}"))
        .collect();
    format!(
        "{truncated} of {} truncated ({})",
        outcomes.len(),
        kinds.join(", ")
    )
}
