//! Runs what takes hours, in batches, and keeps the sums.
//!
//! | file | what it does |
//! | --- | --- |
//! | `group.rs` | what a batch of each group is |
//! | `servers.rs` | the matrix of servers: tests that CI leaves out |
//! | `sources.rs` | the hash of the sources that a sum is of |
//! | `sums.rs` | the committed file, and the table that quotes it |
//!
//! A batch takes seconds to minutes. It is added when it is done, so a kill loses
//! one batch. A batch that fails is not added: the next run begins with it again.

mod group;
mod servers;
mod sources;
mod sums;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum as _};
use host::root;

use self::group::{Batch, Group};

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Run this group; may be repeated (default: each of them)
    #[arg(long = "group", value_name = "GROUP", value_enum)]
    groups: Vec<Group>,

    /// Begin no batch of a group that would end later than this; one is always run
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
}

/// Runs batches of each group, and adds those that succeed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // Two would run the same batches.
    let lock = fs::File::create(root::target().join("prove.lock"))?;
    lock.try_lock()
        .context("another cargo xtask prove is running here")?;
    let groups = if arguments.groups.is_empty() {
        Group::value_variants()
    } else {
        &arguments.groups
    };
    let mut failed = Vec::new();
    for group in groups {
        let length = Duration::from_secs(arguments.minutes.saturating_mul(60));
        if let Err(error) = prove(*group, length) {
            eprintln!("{group}: FAILED, and not added: {error:#}");
            failed.push(group.to_string());
        }
    }
    if !failed.is_empty() {
        bail!(
            "a batch failed: {}; cargo xtask prove --group {} begins with it again",
            failed.join(", "),
            failed.join(" --group ")
        );
    }
    Ok(())
}

/// Runs batches of a group for so long, where earlier runs ended.
fn prove(group: Group, length: Duration) -> Result<()> {
    let runner = group.runner()?;
    let began = Instant::now();
    loop {
        // The batch may build: what is built is what is hashed.
        let sources = sources::hash()?;
        let batch = Batch {
            number: sums::batches(&sources, &group.to_string())?,
            left: length.saturating_sub(began.elapsed()),
        };
        let batch_began = Instant::now();
        let counts = runner(&batch).with_context(|| format!("batch {}", batch.number))?;
        if sources::hash()? != sources {
            bail!("the sources changed meanwhile");
        }
        let all = sums::add(&sources, &group.to_string(), &counts)?;
        println!("{group}: batch {} added; so far {all}", batch.number);
        if began.elapsed() + batch_began.elapsed() > length {
            return Ok(());
        }
    }
}
