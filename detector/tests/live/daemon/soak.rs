//! Mixed load, of which everything is known. `cargo xtask soak` is the same for
//! as long as one likes.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::soak::{Soak, Verdict};

use super::{Daemon, ask, free_port, held};

#[test]
fn every_truncation_is_told_once_and_none_is_invented() -> Result<()> {
    let port = free_port()?;
    let config = format!(
        "[findings]\noutput = \"stdout\"\nin_full = 1000000\nin_full_all = 1000000\n[metrics]\nlisten = \"127.0.0.1:{port}\""
    );
    let daemon = Daemon::start(&config)?;
    let descriptors = || -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count())
    };
    let before = (held(daemon.pid())?, descriptors()?);
    let truth = Soak::run(Duration::from_secs(20), 1)?;
    thread::sleep(Duration::from_secs(3));
    let (_, page) = ask(port, "/metrics", "*/*")?;
    let after = (held(daemon.pid())?, descriptors()?);
    let resident = resident(daemon.pid())?;
    let output = daemon.output.clone();
    daemon.stop()?;
    let findings: Vec<Value> = output
        .all()
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let verdict = truth.compare(&findings);
    // It means something only if there was something.
    assert!(
        truth.injected.len() >= 10 && truth.healthy > 100,
        "{truth:?}"
    );
    let right = Verdict {
        right: truth.injected.len(),
        ..Verdict::default()
    };
    let unjudged: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("truncwatch_") && !line.ends_with(" 0"))
        .collect();
    assert_eq!(verdict, right, "{unjudged:#?}");
    assert_eq!(before.0, after.0, "programs and maps");
    // Programs that were read for stacks stay open for half a minute: hyper's and
    // Node's, and their libraries.
    assert!(
        after.1 < before.1 + 16,
        "{before:?} descriptors, then {after:?}"
    );
    assert!(resident < 64 << 10, "{resident} KiB");
    Ok(())
}

/// Resident memory, KiB.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse()?)
}
