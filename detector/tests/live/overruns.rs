//! More bytes than promised, in calls of which only a part is looked at.

use anyhow::Result;
use testbed::{
    calls::{self, Launcher},
    client::Request,
};

use crate::servers::{text, watch};

/// By these calls, so many bytes promised and so many sent.
fn found(sends: &[&str], sizes: &[(u64, u64)]) -> Result<()> {
    for tcp in [false, true] {
        let mut launcher = Launcher::start(&calls::build()?)?;
        let watcher = watch(launcher.pid(), &["--follow"])?;
        let mut expected = Vec::new();
        for send in sends {
            for (promised, sent) in sizes {
                launcher.run_with(tcp, |mut connection| {
                    let path = format!("/{send}/close/{promised}/{sent}");
                    let request = Request::get(&path);
                    let outcome = connection.request(&request);
                    // Until all was taken: what does not fit would wait for the client.
                    connection.drain();
                    (outcome, Some(connection))
                })?;
                expected.push((*promised, *sent));
            }
        }
        let report = watcher.stop()?;
        let summary = &report.summary;
        assert_eq!(report.sizes(), expected, "{sends:?} {summary}");
        for finding in &report.findings {
            assert_eq!(text(finding, "/cause"), Some("overrun"), "{finding:#}");
            assert_eq!(text(finding, "/fault"), Some("local"), "{finding:#}");
        }
        assert_eq!(report.unjudged(), 0, "{summary}");
    }
    Ok(())
}

const SIZES: [(u64, u64); 6] = [
    (10, 4058),
    (10, 4097),
    (10, 8192),
    (10, 10_000),
    (1000, 65_536),
    (10, 1 << 20),
];

#[test]
fn of_head_and_body_in_one_call() -> Result<()> {
    found(&["write", "writev", "sendmsg"], &SIZES)
}

#[test]
fn of_a_head_and_then_a_body() -> Result<()> {
    found(&["apart", "pwritev2-apart"], &SIZES)
}

/// The promised bytes end within the second call.
#[test]
fn of_a_body_that_began_with_its_head() -> Result<()> {
    let sizes = [(30, 10_000), (1000, 65_536), (1000, 1 << 20)];
    found(&["inside"], &sizes)
}
