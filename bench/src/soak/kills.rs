//! The daemon is killed at random moments, many times: clients notice nothing, the
//! kernel has nothing of it any more, and the next one begins as the first did.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use testbed::{
    TempDir,
    bpf::Held,
    soak::{Dice, Soak},
};

use super::{
    Clients, Done,
    daemon::{self, Daemon},
};

/// The longest life of a daemon, milliseconds; beginning takes some 200 of them.
const LIFE: u64 = 3000;

/// Kills so many, while the load goes on.
///
/// # Errors
/// If something is left of one, a client notices, or a finding is invented.
pub fn run(truncwatch: &Path, kills: u64, clients: Clients) -> Result<Done> {
    let folder = TempDir::new()?;
    // It ends when all are killed.
    let load = Soak::start(clients.seed, clients.rest)?;
    let mut dice = Dice::new(clients.seed);
    let mut early = 0;
    let mut result = Ok(());
    let mut done = 0;
    for _ in 0..kills {
        if load.failed() {
            break;
        }
        match one(truncwatch, folder.path(), &mut dice) {
            Ok(watched) => early += u64::from(!watched),
            Err(error) => {
                result = Err(error).with_context(|| format!("after {done} kills"));
                break;
            }
        }
        done += 1;
    }
    let truth = load.stop().context("a client or a server")?;
    result?;
    let verdict = truth.compare(&daemon::findings(&folder.path().join("told"))?);
    println!(
        "soak: {done} daemons killed, {early} of them before they watched; nothing was left of any; \
         {} messages whole, {} injected truncations, {} servers and clients killed; {} told, {} invented",
        truth.healthy,
        truth.injected.len(),
        truth.kills,
        verdict.right,
        verdict.invented.len()
    );
    if !verdict.invented.is_empty() || !verdict.doubled.is_empty() {
        bail!("what was told is not what was done: {verdict:?}");
    }
    Ok(Done::of(&truth))
}

/// One daemon's life; whether it watched before it was killed.
fn one(truncwatch: &Path, folder: &Path, dice: &mut Dice) -> Result<bool> {
    let mut daemon = Daemon::spawn(truncwatch, folder, "")?;
    let life = Duration::from_millis(dice.below(LIFE));
    let began = Instant::now();
    // In the midst of its beginning, too.
    let early = dice.below(4) == 0;
    if early {
        thread::sleep(life / 12);
    } else {
        daemon.watches()?;
        thread::sleep(life.saturating_sub(began.elapsed()));
    }
    let held = Held::by(daemon.pid())?;
    daemon.kill()?;
    let left = held.left_in_the_end()?;
    if left != Held::default() {
        bail!("the kernel still has {left:?} of a daemon that was killed");
    }
    if !early && held.programs.is_empty() {
        bail!("the daemon held no programs");
    }
    Ok(!early)
}
