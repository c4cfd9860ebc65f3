//! The bug that this exists for.

use anyhow::Result;
use testbed::{
    BIG_BODY,
    client::{Conn, Request, Trigger, trigger},
    server::{self, HyperVersion, Server},
};

use crate::servers::{assert_clean, hyper, text, truncwatch, watch};

/// Connections per trigger.
const EACH: usize = 100;

#[test]
fn every_truncated_connection_is_reported_once_with_the_clients_numbers() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let watcher = watch(server.pid(), &[])?;
    let mut truncated = Vec::new();
    let mut healthy = 0;
    for cause in Trigger::ALL {
        for _ in 0..EACH {
            let outcome = trigger(server.addr(), cause)?;
            assert!(outcome.truncated(), "{cause} did not trigger: {outcome:?}");
            truncated.push((BIG_BODY, outcome.received));
        }
        let mut connection = Conn::connect(server.addr())?;
        for _ in 0..EACH {
            assert!(
                connection
                    .request(&Request::get("/bytes/300000"))
                    .complete()
            );
            healthy += 1;
        }
    }
    let report = watcher.stop()?;
    assert_eq!(report.sizes(), truncated);
    for finding in &report.findings {
        assert_eq!(text(finding, "/cause"), Some("premature-shutdown"));
        assert_eq!(text(finding, "/fault"), Some("local"));
        assert_eq!(
            finding.pointer("/stranded_bytes"),
            finding.pointer("/missing_bytes")
        );
        assert_eq!(
            finding.pointer("/socket/peer_pid"),
            Some(&std::process::id().into())
        );
    }
    assert_eq!(
        report.count("messages_judged"),
        Some(3 * EACH as u64 + healthy)
    );
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    assert_eq!(report.status.code(), Some(1));
    Ok(())
}

#[test]
fn without_vectored_writes_the_bug_looks_different_and_is_found_too() -> Result<()> {
    let mut options = server::Options::unix();
    options.vectored = false;
    let server = Server::start(HyperVersion::V1_8_1, &options)?;
    let watcher = watch(server.pid(), &[])?;
    let outcome = trigger(server.addr(), Trigger::Until)?;
    let report = watcher.stop()?;
    assert_eq!(report.sizes(), vec![(BIG_BODY, outcome.received)]);
    let calls = report.findings[0]
        .pointer("/timeline")
        .cloned()
        .unwrap_or_default();
    assert!(calls.to_string().contains("sendto"), "{calls}");
    Ok(())
}

#[test]
fn over_tcp_what_the_kernel_accepted_is_reported() -> Result<()> {
    let server = Server::start(HyperVersion::V1_8_1, &server::Options::tcp())?;
    let watcher = watch(server.pid(), &[])?;
    // Only this one ends without a reset, which throws away what the kernel
    // had accepted: the client then counts less than the kernel.
    // It is a race, which a machine under load may win.
    let mut outcome = trigger(server.addr(), Trigger::Graceful)?;
    for _ in 0..20 {
        if outcome.truncated() {
            break;
        }
        outcome = trigger(server.addr(), Trigger::Graceful)?;
    }
    let report = watcher.stop()?;
    assert_eq!(report.sizes(), vec![(BIG_BODY, outcome.received)]);
    assert_eq!(text(&report.findings[0], "/socket/family"), Some("inet"));
    assert_eq!(
        text(&report.findings[0], "/socket/local"),
        Some(&*server.addr().to_string())
    );
    Ok(())
}

#[test]
fn the_fixed_version_is_silent() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &[])?;
    for cause in Trigger::ALL {
        for _ in 0..EACH {
            assert!(trigger(server.addr(), cause)?.complete());
        }
    }
    assert_clean(&watcher.stop()?, 3 * EACH as u64);
    Ok(())
}

#[test]
fn a_query_is_not_printed_unless_asked_for() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    for (option, target) in [
        (&[][..], "/lie/10/5"),
        (&["--show-query"], "/lie/10/5?token=1"),
    ] {
        let watcher = watch(server.pid(), option)?;
        Conn::connect(server.addr())?.request(&Request::get("/lie/10/5?token=1"));
        let report = watcher.stop()?;
        assert_eq!(text(&report.findings[0], "/message/target"), Some(target));
        assert_eq!(report.summary.to_string().contains("token"), false);
    }
    assert!(truncwatch().exists());
    Ok(())
}
