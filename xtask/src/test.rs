//! Everything that is tested, in one command.

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use crate::{root, setup};

/// Runs all tests; says what it left out.
pub(crate) fn run() -> Result<()> {
    let shell = root::shell()?;
    let cargo = root::cargo();
    let mut left_out = Vec::new();
    if let Err(error) = setup::test_programs() {
        left_out.push(format!("the tests with nginx and strace: {error:#}"));
    }
    let live = root::is_root();
    if !live {
        left_out.push(
            "the tests on the live kernel (detector/tests/live): they load eBPF programs and need \
             root; run sudo --preserve-env=PATH,HOME cargo xtask test"
                .to_owned(),
        );
    }
    if root::is_ci() && !left_out.is_empty() {
        bail!(
            "in continuous integration nothing may be left out: {}",
            left_out.join("; ")
        );
    }
    // The servers are built once, ahead of the tests that time out.
    for version in testbed::server::HyperVersion::ALL {
        testbed::server::build(version)?;
    }
    let driver: &[&str] = if root::has("nginx") {
        &[]
    } else {
        &["--exclude", "testbed"]
    };
    cmd!(shell, "{cargo} test --locked --workspace {driver...}")
        .run()
        .context("tests failed")?;
    if live {
        let skipped: &[&str] = if root::has("nginx") {
            &[]
        } else {
            &["--skip", "nginx"]
        };
        // Two at a time: each drives a server of its own, and they count.
        cmd!(
            shell,
            "{cargo} test --locked --package truncwatch --test live -- --test-threads=2 {skipped...}"
        )
        .run()
        .context("tests on the live kernel failed")?;
    }
    for what in &left_out {
        println!("LEFT OUT: {what}");
    }
    if left_out.is_empty() {
        println!("all tests ran, those on the live kernel too");
    }
    Ok(())
}
