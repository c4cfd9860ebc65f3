//! The race is one. In a file of its own, so that no other test runs beside it.

use anyhow::Result;
use testbed::client::race;
use testbed::cpu::on_cpu;
use testbed::server::{HyperVersion, Options, Server};

/// Connections per run: few enough for a test, enough that neither end of the scale is chance.
const CONNECTIONS: usize = 200;

fn truncated(version: HyperVersion) -> Result<usize> {
    let server = Server::start(version, &Options::race(0))?;
    on_cpu(0, || {
        let mut truncated = 0;
        for _ in 0..CONNECTIONS {
            truncated += usize::from(race(server.addr())?.truncated());
        }
        Ok(truncated)
    })?
}

/// The usual share is about one half; how much it varies depends on what else runs. One test, not
/// two: two would share the CPU.
#[test]
fn truncates_some_before_the_fix_and_none_after() -> Result<()> {
    let before = truncated(HyperVersion::V1_8_1)?;
    assert!(
        (1..CONNECTIONS).contains(&before),
        "{before} of {CONNECTIONS}"
    );
    assert_eq!(truncated(HyperVersion::V1_12_0)?, 0);
    Ok(())
}
