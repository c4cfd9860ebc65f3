//! What each trigger does to each version of hyper.

use anyhow::Result;
use testbed::client::{Outcome, Trigger, trigger};
use testbed::server::{HyperVersion, Options, Server};
use testbed::{BIG_BODY, UNIX_FIRST_WRITE};

/// Connections per trigger.
const CONNECTIONS: usize = 100;

fn outcomes(version: HyperVersion, options: &Options, kind: Trigger) -> Result<Vec<Outcome>> {
    let server = Server::start(version, options)?;
    (0..CONNECTIONS)
        .map(|_| Ok(trigger(server.addr(), kind)?))
        .collect()
}

/// The buggy version stops after the one write that an unread Unix socket takes.
fn always_truncates(kind: Trigger) -> Result<()> {
    for options in [
        Options::unix(),
        Options {
            vectored: false,
            ..Options::unix()
        },
    ] {
        for outcome in outcomes(HyperVersion::V1_8_1, &options, kind)? {
            assert!(outcome.truncated(), "{outcome:?}");
            assert_eq!(outcome.status, Some(200));
            assert_eq!(outcome.promised, Some(BIG_BODY));
            assert_eq!(outcome.head_bytes + outcome.received, UNIX_FIRST_WRITE);
        }
    }
    Ok(())
}

fn never_truncates(kind: Trigger) -> Result<()> {
    for outcome in outcomes(HyperVersion::V1_12_0, &Options::unix(), kind)? {
        assert!(outcome.complete(), "{outcome:?}");
        assert_eq!(outcome.received, BIG_BODY);
    }
    Ok(())
}

#[test]
fn ignore_truncates_always_before_the_fix() -> Result<()> {
    always_truncates(Trigger::Ignore)
}

#[test]
fn until_truncates_always_before_the_fix() -> Result<()> {
    always_truncates(Trigger::Until)
}

#[test]
fn graceful_truncates_always_before_the_fix() -> Result<()> {
    always_truncates(Trigger::Graceful)
}

#[test]
fn ignore_truncates_never_after_the_fix() -> Result<()> {
    never_truncates(Trigger::Ignore)
}

#[test]
fn until_truncates_never_after_the_fix() -> Result<()> {
    never_truncates(Trigger::Until)
}

#[test]
fn graceful_truncates_never_after_the_fix() -> Result<()> {
    never_truncates(Trigger::Graceful)
}

/// Over TCP only `graceful` tells the versions apart: with the others even a fixed hyper closes
/// with unread input, and the reset that follows takes sent data with it.
#[test]
fn graceful_over_tcp_tells_the_versions_apart() -> Result<()> {
    for version in HyperVersion::ALL {
        for outcome in outcomes(version, &Options::tcp(), Trigger::Graceful)? {
            assert_eq!(
                outcome.truncated(),
                version.truncates(),
                "{version}: {outcome:?}"
            );
        }
    }
    Ok(())
}
